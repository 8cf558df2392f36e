/* How tests in C end. */
#ifndef GS_TESTS_SUITE_H
#define GS_TESTS_SUITE_H

#include <check.h>
#include <stdbool.h>

/* Whether the test was asked to write what it expects: `test_NAME --update`. */
extern bool suite_updates;
void suite_arguments(int argc, char **argv);

/* Runs the tests; what main() returns. */
int suite_run(const char *name, TCase *t);

#endif
