/* Rules, shapes and local forms of the rows that move, index and create.
 *
 * tests/data/moves.txt holds the cases:
 *
 *   == name
 *   graph in text form
 *   local i=tp k=[dp,tp]     optional: factor i of the last node is split
 *   --
 *   what is expected: a shape per result, a rule per node, the local program
 *
 * `test_moves --print FILE` writes the file again with what comes out. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "op/op.h"

/* Also outside of a check run, where ck_assert must not be used. */
static void must(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "test_moves: not as it must be: %s\n", what);
  abort();
}

static char *read_file(const char *path) {
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

/* ---- local forms ---- */

static int factor_named(const gs_rule *r, char c) {
  int f = c - 'i';
  must(f >= 0 && f < r->nfactor && r->factor[f].kind != GS_WHOLE,
       "a factor that may be split");
  return f;
}

/* "i=tp k=[dp,tp]" */
static void read_split(const gs_graph *g, const gs_rule *r, const char *s,
                       gs_axes *factor) {
  while (*s && *s != '\n') {
    int f = factor_named(r, s[0]);
    s += 2;
    must(gs_axes_parse(g->mesh, &s, &factor[f], NULL) == GS_OK, "axes");
    while (*s == ' ') s++;
  }
}

/* Sharding and local dims that follow from the factors. */
static gs_sharding *follow(const gs_graph *g, const gs_rule *r,
                           const gs_axes *factor, const gs_tensor_map *map,
                           const gs_value *v, int64_t *local) {
  gs_sharding *s = gs_sharding_new(g->arena, map->rank, false);
  for (int d = 0; d < map->rank; d++)
    for (int i = 0; i < map->dim[d].n; i++)
      s->dim[d].axes =
          gs_axes_cat(&s->dim[d].axes, &factor[map->dim[d].f[i]]);
  (void)r;
  gs_sharding_local(g->mesh, s, v->dims, local);
  return s;
}

static void run_local(gs_graph *g, gs_node *n, const gs_rule *r,
                      const char *text, gs_buf *b) {
  gs_arena *a = g->arena;
  gs_axes *factor = GS_NEWS(a, r->nfactor + 1, gs_axes);
  gs_graph *program = gs_graph_new(a, "");
  int64_t dims[GS_MAX_RANK];
  gs_local l = {.node = n, .rule = r, .factor = factor, .program = program};
  gs_err e;
  gs_err_init(&e);
  read_split(g, r, text, factor);
  program->mesh = l.mesh = g->mesh;
  l.in = GS_NEWS(a, n->nin + 1, gs_value *);
  l.out = GS_NEWS(a, n->nout, gs_value *);
  l.out_dims = GS_NEWS(a, n->nout, int64_t *);
  l.out_sharding = GS_NEWS(a, n->nout, gs_sharding *);
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    if (!v) continue;
    follow(g, r, factor, &r->in[i], v, dims);
    l.in[i] = gs_value_new(program, v->name, v->dtype, v->rank, dims);
    l.in[i]->constant = v->constant;
    l.in[i]->is_input = !v->constant;
    if (!v->constant) *gs_push(a, &program->input) = l.in[i];
  }
  for (int i = 0; i < n->nout; i++) {
    l.out_dims[i] = GS_NEWS(a, GS_MAX_RANK, int64_t);
    if (n->out[i])
      l.out_sharding[i] =
          follow(g, r, factor, &r->out[i], n->out[i], l.out_dims[i]);
  }
  if (n->op->local) must(n->op->local(&l, &e) == GS_OK, "local");
  else gs_local_same(&l);
  for (int i = 0; i < n->nout; i++) {
    if (!n->out[i]) continue;
    must(l.out[i] != NULL, "a result");
    must(l.out[i]->rank == n->out[i]->rank, "the rank");
    for (int d = 0; d < n->out[i]->rank; d++)
      must(l.out[i]->dims[d] == l.out_dims[i][d], "a dim");
    *gs_push(a, &program->output) = l.out[i];
    l.out[i]->is_output = true;
  }
  /* The local form must be a valid node of these shapes. */
  for (int i = 0; i < program->node.n; i++) {
    gs_status s = gs_shape_infer(program, program->node.at[i], &e);
    if (s) gs_buf_printf(b, "local error %d: %s\n", s, e.diag[0].text);
  }
  gs_graph_prune(program);
  gs_graph_print(b, program);
  gs_err_free(&e);
}

/* ---- cases ---- */

static void print_node(gs_graph *g, gs_node *n, gs_rule *r, gs_buf *b,
                       gs_err *e) {
  gs_status s;
  n->op = gs_op_find(n->domain, n->op_type);
  s = gs_shape_infer(g, n, e);
  for (int i = 0; i < n->nout && !s; i++)
    if (n->out[i])
      gs_buf_printf(b, "%s : %s\n", n->out[i]->name,
                    gs_shape_text(g->arena, n->out[i]->dtype, n->out[i]->rank,
                                  n->out[i]->dims));
  if (!s) s = gs_rule_of(g->arena, n, r, e);
  if (s) {
    gs_buf_printf(b, "error %d: %s: %s\n", s,
                  e->diag[0].place ? e->diag[0].place : "?", e->diag[0].text);
    gs_err_clear(e);
    return;
  }
  gs_rule_print(b, r);
  gs_buf_char(b, '\n');
}

static void run_case(gs_arena *a, const char *text, size_t len, gs_buf *b) {
  char *copy = gs_strndup(a, text, len);
  char *local = strstr(copy, "\nlocal ");
  gs_rule *r = GS_NEW(a, gs_rule);
  gs_graph *g;
  gs_err e;
  gs_err_init(&e);
  if (local) {
    *local = 0;
    local += strlen("\nlocal ");
  }
  if (gs_graph_parse(a, copy, "case", &g, &e) != GS_OK) {
    gs_buf_printf(b, "error: %s\n", e.diag[0].text);
    gs_err_free(&e);
    return;
  }
  for (int i = 0; i < g->node.n; i++)
    print_node(g, g->node.at[i], r, b, &e);
  if (local) run_local(g, g->node.at[g->node.n - 1], r, local, b);
  gs_err_free(&e);
}

/* Runs all cases of a file; returns how many differ from what it expects.
 * With `out`, writes the file with what comes out. */
static int run_file(const char *path, FILE *out) {
  char *all = read_file(path), *at = all;
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
    must(mid && (!end || mid < end), "-- after the graph");
    length = end ? (size_t)(end + 1 - mid - 4) : strlen(mid + 4);
    gs_arena_init(&a);
    gs_buf_init(&b, &a);
    run_case(&a, body, (size_t)(mid - body), &b);
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

START_TEST(cases) {
  const char *top = getenv("srcdir");
  char path[4096];
  snprintf(path, sizeof path, "%s/tests/data/moves.txt", top ? top : ".");
  ck_assert_int_eq(run_file(path, NULL), 0);
}
END_TEST

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "--print")) {
    run_file(argv[2], stdout);
    return 0;
  }
  Suite *s = suite_create("moves");
  TCase *t = tcase_create("cases");
  tcase_add_test(t, cases);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_ENV);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? 1 : 0;
}
