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

/* How much of a large set of cases is tried: one of each `of`, of which the
 * seed decides where to begin (GSHARD_SWEEP=N; 1 is the default), or all with
 * GSHARD_SWEEP=full, when `of` is 1. */
typedef struct suite_sample {
  int of;
  unsigned long seed;
} suite_sample;
suite_sample suite_sample_of(int of);
/* Whether the i-th case is one of them. */
bool suite_chosen(suite_sample s, unsigned long i);

/* Runs the tests; what main() returns. */
int suite_run(const char *name, TCase *t);

#endif
