/* main() of a test whose cases stand in tests/data/NAME.txt and in the files of
 * tests/data/NAME/ (see cases.h).
 * Without arguments it checks them all; `test_NAME --print FILE` prints the
 * file with what comes out. */
#ifndef GS_TESTS_CASES_MAIN_H
#define GS_TESTS_CASES_MAIN_H

#include "cases.h"

static const char *cases_file;
static case_fn *cases_maker;

static int cases_wrong;

static void cases_check(const char *path) {
  cases_wrong += cases_run(path, cases_maker, NULL);
}

START_TEST(cases) {
  cases_wrong = 0;
  cases_files(cases_file, cases_check);
  ck_assert_int_eq(cases_wrong, 0);
}
END_TEST

/* `more` may add tests of its own; NULL: there are none. */
static int cases_main(int argc, char **argv, const char *name, case_fn *run,
                      void (*more)(TCase *)) {
  if (argc == 3 && !strcmp(argv[1], "--print")) {
    cases_run(argv[2], run, stdout);
    return 0;
  }
  cases_file = name;
  cases_maker = run;
  Suite *s = suite_create(name);
  TCase *t = tcase_create("cases");
  tcase_set_timeout(t, 1200);
  tcase_add_test(t, cases);
  if (more) more(t);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_ENV);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? 1 : 0;
}

#endif
