#include "suite.h"

#include <stdlib.h>
#include <string.h>

bool suite_updates;

void suite_arguments(int argc, char **argv) {
  suite_updates = argc == 2 && !strcmp(argv[1], "--update");
}

suite_sample suite_sample_of(int of) {
  const char *asked = getenv("GSHARD_SWEEP");
  bool full = asked && !strcmp(asked, "full");
  return (suite_sample){full ? 1 : of,
                        asked && !full ? strtoul(asked, NULL, 10) : 1};
}

bool suite_chosen(suite_sample s, unsigned long i) {
  return (i + s.seed) % (unsigned long)s.of == 0;
}

int suite_run(const char *name, TCase *t) {
  Suite *s = suite_create(name);
  tcase_set_timeout(t, 1200);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_ENV);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
