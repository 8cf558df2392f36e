/* How tests in C end. */
#ifndef GS_TESTS_SUITE_H
#define GS_TESTS_SUITE_H

#include <check.h>
#include <stdbool.h>

/* libcheck tells its parent of every assertion that holds, which is a write
 * each: most of the time of tests that compare elements.  Here only those that
 * do not hold are told. */
#undef ck_assert_msg
#define ck_assert_msg(expr, ...)                                               \
  ((expr) ? (void)0 : ck_abort_msg(__VA_ARGS__))
#undef ck_assert
#define ck_assert(expr) ck_assert_msg(expr, "Assertion '%s' failed", #expr)

/* Whether the test was asked to write what it expects: `test_NAME --update`. */
extern bool suite_updates;
void suite_arguments(int argc, char **argv);

/* Runs the tests; what main() returns. */
int suite_run(const char *name, TCase *t);

#endif
