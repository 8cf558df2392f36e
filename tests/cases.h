/* Golden cases in text files, for tests that map a text to a text:
 *
 *   # at least 24 cases
 *   # More comments may follow.
 *   == name
 *   what is given
 *   --
 *   what is expected
 *
 * The first line says how many cases the file must hold at least, so that one
 * that lost some is noticed.  Cases that nothing is expected of, which other
 * tests take what is given from, have no line "--".
 *
 * A test whose main() is cases_main() checks every case of
 * tests/data/NAME.txt and of the files of tests/data/NAME/, each counted by
 * itself; `test_NAME FILE...` those of other files.  `test_NAME --update
 * FILE...` writes files anew with what comes out now. */
#ifndef GS_TESTS_CASES_H
#define GS_TESTS_CASES_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "suite.h"

typedef struct golden {
  const char *file, *name;
  char *given;
  const char *expected; /* NULL: there is no line "--" */
} golden;

/* Appends to b what comes out for `given`, which it may change. */
typedef void case_fn(gs_arena *a, char *given, gs_buf *b);

/* Also outside of a check run, where ck_assert must not be used. */
void must(bool ok, const char *what);

/* The cases of tests/data/NAME.txt and of tests/data/NAME/, in the order of
 * the files' names, behind those in `to`; *n is their number.  They live until
 * the end of the process. */
void cases_load(const char *name, golden **to, int *n);

/* Adds a test for each loaded file: does it hold as many cases as it says? */
void cases_count(TCase *t);

/* `more` may add tests of its own; NULL: there are none. */
int cases_main(int argc, char **argv, const char *name, case_fn *run,
               void (*more)(TCase *));

#endif
