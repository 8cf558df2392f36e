#include "suite.h"

#include <stdlib.h>
#include <string.h>

bool suite_updates;

void suite_arguments(int argc, char **argv) {
  suite_updates = argc == 2 && !strcmp(argv[1], "--update");
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
