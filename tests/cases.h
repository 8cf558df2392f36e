/* Golden cases in a text file, for tests that map a text to a text:
 *
 *   == name
 *   what is given
 *   --
 *   what is expected
 *
 * A comment may stand before the first case.  cases_main.h makes a test of
 * such a file. */
#ifndef GS_TESTS_CASES_H
#define GS_TESTS_CASES_H

#include <check.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* Appends to b what comes out for `given`. */
typedef void case_fn(gs_arena *a, char *given, gs_buf *b);

/* Also outside of a check run, where ck_assert must not be used. */
static inline void must(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "not as it must be: %s\n", what);
  abort();
}

static inline char *cases_read(const char *path) {
  FILE *f = fopen(path, "rb");
  char *text = NULL;
  size_t n = 0, got;
  must(f != NULL, path);
  do {
    text = realloc(text, n + 4097);
    must(text != NULL, "memory");
    got = fread(text + n, 1, 4096, f);
    n += got;
  } while (got > 0);
  text[n] = 0;
  fclose(f);
  return text;
}

/* Calls fn for tests/data/NAME.txt and for the files of tests/data/NAME/, in
 * the order of their names. */
static inline void cases_files(const char *name, void fn(const char *path)) {
  const char *srcdir = getenv("srcdir");
  char path[1000];
  glob_t found;
  snprintf(path, sizeof path, "%s/tests/data/%s.txt", srcdir ? srcdir : ".",
           name);
  fn(path);
  snprintf(path, sizeof path, "%s/tests/data/%s/*.txt",
           srcdir ? srcdir : ".", name);
  if (glob(path, 0, NULL, &found)) return;
  for (size_t i = 0; i < found.gl_pathc; i++) fn(found.gl_pathv[i]);
  globfree(&found);
}

/* Runs all cases of a file; returns how many differ from what it expects.
 * With `out`, writes the file with what comes out. */
static inline int cases_run(const char *path, case_fn *run, FILE *out) {
  char *all = cases_read(path), *at = all;
  int wrong = 0;
  while (at && *at) {
    gs_arena a;
    gs_buf b;
    char *body, *mid, *end;
    size_t length;
    if (strncmp(at, "== ", 3) != 0) { /* comment before the first case */
      end = strstr(at, "\n== ");
      if (out) fprintf(out, "%.*s", end ? (int)(end + 1 - at) : -1, at);
      at = end ? end + 1 : NULL;
      continue;
    }
    body = strchr(at, '\n') + 1;
    mid = strstr(body, "\n--\n");
    end = strstr(body, "\n== ");
    must(mid && (!end || mid < end), "-- in a case");
    length = end ? (size_t)(end + 1 - mid - 4) : strlen(mid + 4);
    gs_arena_init(&a);
    gs_buf_init(&b, &a);
    run(&a, gs_strndup(&a, body, (size_t)(mid - body)), &b);
    if (out) {
      fprintf(out, "%.*s\n--\n%s", (int)(mid - at), at, b.at ? b.at : "");
    } else if (b.n != length || memcmp(b.at, mid + 4, length) != 0) {
      fprintf(stderr, "%.*sexpected:\n%.*sgot:\n%s", (int)(body - at), at,
              (int)length, mid + 4, b.at);
      wrong++;
    }
    gs_arena_free(&a);
    at = end ? end + 1 : NULL;
  }
  free(all);
  return wrong;
}

#endif
