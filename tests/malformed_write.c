/* Writes the malformed models and tensors, for tests of the tools. */
#include <stdio.h>

#include "malformed.h"

static int put(const char *dir, const char *name, const wire *w, int code,
               const char *fragment) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "wb");
  if (!f) return 1;
  if (w->n) fwrite(w->at, 1, w->n, f);
  printf("%s %d %s\n", name, code, fragment);
  return fclose(f) != 0;
}

static int put_all(const char *dir, const malformed *list, int n) {
  int failed = 0;
  for (int i = 0; i < n; i++) {
    wire w = {0};
    list[i].make(&w);
    failed |= put(dir, list[i].name, &w, list[i].code, list[i].fragment);
    wire_free(&w);
  }
  return failed;
}

int malformed_write(const char *dir) {
  if (malformed_setup(dir)) {
    perror(dir);
    return 73;
  }
  int failed = put_all(dir, malformed_bytes, malformed_nbytes) |
               put_all(dir, malformed_models, malformed_nmodels) |
               put_all(dir, malformed_devices, malformed_ndevices) |
               put_all(dir, malformed_tensors, malformed_ntensors) |
               malformed_places(put, dir) | malformed_nodes(put, dir);
  return failed ? 74 : 0;
}
