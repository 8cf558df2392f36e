/* Writes the malformed models and tensors, for tests of the tools. */
#include <stdio.h>

#include "malformed.h"

static int put(const char *dir, const malformed *m) {
  char path[4096];
  wire w = {0};
  snprintf(path, sizeof path, "%s/%s", dir, m->name);
  FILE *f = fopen(path, "wb");
  if (!f) return 1;
  m->make(&w);
  if (w.n) fwrite(w.at, 1, w.n, f);
  wire_free(&w);
  printf("%s %d %s\n", m->name, m->code, m->fragment);
  return fclose(f) != 0;
}

int malformed_write(const char *dir) {
  if (malformed_setup(dir)) {
    perror(dir);
    return 73;
  }
  int failed = 0;
  for (int i = 0; i < malformed_nmodels; i++)
    failed |= put(dir, &malformed_models[i]);
  for (int i = 0; i < malformed_ntensors; i++)
    failed |= put(dir, &malformed_tensors[i]);
  return failed ? 74 : 0;
}
