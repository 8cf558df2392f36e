/* malformed_models DIR: writes the malformed models and tensors into DIR and
 * prints a line `file code fragment` for each. */
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

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: malformed_models DIR\n");
    return 64;
  }
  if (malformed_setup(argv[1])) {
    perror(argv[1]);
    return 73;
  }
  int failed = 0;
  for (int i = 0; i < malformed_nmodels; i++)
    failed |= put(argv[1], &malformed_models[i]);
  for (int i = 0; i < malformed_ntensors; i++)
    failed |= put(argv[1], &malformed_tensors[i]);
  return failed ? 74 : 0;
}
