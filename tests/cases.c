/* Reads, runs and writes golden cases. */
#include "cases.h"

#include <glob.h>

#include "suite.h"

/* A file: its text, which the cases point into, and how many they must be. */
typedef struct golden_file {
  const char *path;
  int least, n;
} golden_file;

enum { MAX_FILES = 64 };
static golden_file file[MAX_FILES];
static int nfile;
static golden *all;
static int nall;
static case_fn *runs;

void must(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "not as it must be: %s\n", what);
  abort();
}

static char *copy_of(const char *s, size_t n) {
  char *to = malloc(n + 1);
  must(to != NULL, "memory");
  memcpy(to, s, n);
  to[n] = 0;
  return to;
}

static char *read_text(const char *path) {
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

/* The case at `at`, a line "== name"; returns what follows it. */
static const char *read_case(const char *at, golden *c) {
  const char *body = at + strcspn(at, "\n");
  c->name = copy_of(at + 3, (size_t)(body - at) - 3);
  body += *body == '\n';
  const char *end = !strncmp(body, "== ", 3) ? body : strstr(body, "\n== ");
  if (!end) end = body + strlen(body);
  else if (end != body) end++;
  const char *mid = strstr(body, "\n--\n");
  if (mid && mid >= end) mid = NULL;
  const char *given_end = mid ? mid : end;
  c->given = copy_of(body, (size_t)(given_end - body));
  if (mid) c->expected = copy_of(mid + 4, (size_t)(end - mid) - 4);
  return end;
}

static const char *first_case(const char *text) {
  if (!strncmp(text, "== ", 3)) return text;
  const char *at = strstr(text, "\n== ");
  return at ? at + 1 : text + strlen(text);
}

static void load_file(const char *path, golden **to, int *n) {
  char *text = read_text(path);
  must(nfile < MAX_FILES, "fewer files of golden cases");
  golden_file *f = &file[nfile++];
  *f = (golden_file){.path = copy_of(path, strlen(path))};
  if (sscanf(text, "# at least %d cases\n", &f->least) != 1) f->least = 0;
  for (const char *at = first_case(text); *at; f->n++) {
    *to = realloc(*to, (size_t)(*n + 1) * sizeof **to);
    must(*to != NULL, "memory");
    golden *c = &(*to)[(*n)++];
    *c = (golden){.file = f->path};
    at = read_case(at, c);
  }
  free(text);
}

void cases_load(const char *name, golden **to, int *n) {
  const char *srcdir = getenv("srcdir");
  char path[1000];
  glob_t found;
  if (!srcdir) srcdir = ".";
  snprintf(path, sizeof path, "%s/tests/data/%s.txt", srcdir, name);
  load_file(path, to, n);
  snprintf(path, sizeof path, "%s/tests/data/%s/*.txt", srcdir, name);
  if (glob(path, 0, NULL, &found)) return;
  for (size_t i = 0; i < found.gl_pathc; i++)
    load_file(found.gl_pathv[i], to, n);
  globfree(&found);
}

/* ---- checking ---- */

static void outcome(const golden *c, gs_arena *a, gs_buf *b) {
  gs_buf_init(b, a);
  gs_buf_str(b, "");
  runs(a, gs_strdup(a, c->given), b);
}

START_TEST(cases) {
  const golden *c = &all[_i];
  gs_arena a;
  gs_buf b;
  gs_arena_init(&a);
  outcome(c, &a, &b);
  ck_assert_msg(c->expected != NULL, "%s: == %s: there is no line --", c->file,
                c->name);
  ck_assert_msg(!strcmp(b.at, c->expected),
                "%s:\n== %s\n%s\nexpected:\n%sgot:\n%s", c->file, c->name,
                c->given, c->expected, b.at);
  gs_arena_free(&a);
}
END_TEST

START_TEST(enough) {
  const golden_file *f = &file[_i];
  ck_assert_msg(f->least > 0, "%s: its first line is not '# at least N cases'",
                f->path);
  ck_assert_msg(f->n >= f->least, "%s: %d cases, where at least %d must be",
                f->path, f->n, f->least);
}
END_TEST

void cases_count(TCase *t) { tcase_add_loop_test(t, enough, 0, nfile); }

/* ---- writing ---- */

/* The comments before the cases; the least number of cases only grows. */
static void write_head(const golden_file *f, FILE *out) {
  char *text = read_text(f->path), *rest = text;
  const char *first = first_case(text);
  if (f->least) rest += strcspn(rest, "\n");
  rest += *rest == '\n';
  fprintf(out, "# at least %d cases\n", f->n > f->least ? f->n : f->least);
  if (rest < first) fprintf(out, "%.*s", (int)(first - rest), rest);
  free(text);
}

static int update(const golden_file *f) {
  char path[1000];
  snprintf(path, sizeof path, "%s.new", f->path);
  FILE *out = fopen(path, "wb");
  must(out != NULL, path);
  write_head(f, out);
  for (int i = 0; i < nall; i++) {
    const golden *c = &all[i];
    gs_arena a;
    gs_buf b;
    if (strcmp(c->file, f->path) != 0) continue;
    gs_arena_init(&a);
    outcome(c, &a, &b);
    size_t n = strlen(c->given);
    while (n && c->given[n - 1] == '\n') n--;
    fprintf(out, "== %s\n%.*s\n--\n%s", c->name, (int)n, c->given, b.at);
    gs_arena_free(&a);
  }
  if (!fclose(out) && !rename(path, f->path)) return 0;
  fprintf(stderr, "%s cannot be written\n", f->path);
  return 1;
}

int cases_main(int argc, char **argv, const char *name, case_fn *run,
               void (*more)(TCase *)) {
  bool updates = argc > 1 && !strcmp(argv[1], "--update");
  runs = run;
  for (int i = 1 + updates; i < argc; i++) load_file(argv[i], &all, &nall);
  if (updates) {
    int failed = 0;
    for (int i = 0; i < nfile; i++) failed += update(&file[i]);
    return failed ? 1 : 0;
  }
  if (argc == 1) cases_load(name, &all, &nall);
  TCase *t = tcase_create("cases");
  cases_count(t);
  tcase_add_loop_test(t, cases, 0, nall);
  if (more && argc == 1) more(t);
  return suite_run(name, t);
}
