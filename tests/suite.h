/* How tests in C end. */
#ifndef GS_TESTS_SUITE_H
#define GS_TESTS_SUITE_H

#include <check.h>

/* Runs the tests; what main() returns. */
int suite_run(const char *name, TCase *t);

#endif
