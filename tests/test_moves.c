/* Rules, shapes and local forms of the rows that move, index and create.
 *
 * Cases (see cases.h) are graphs in text form, with a last line such as
 *   local i=tp k=[dp,tp]
 * when factors of the last node are to be split.  Expected are a shape per
 * result and a rule per node, then the local program. */
#include "cases.h"
#include "op/core/op.h"

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

static void run_case(gs_arena *a, char *text, gs_buf *b) {
  char *local = strstr(text, "\nlocal ");
  gs_rule *r = GS_NEW(a, gs_rule);
  gs_graph *g;
  gs_err e;
  gs_err_init(&e);
  if (local) {
    *local = 0;
    local += strlen("\nlocal ");
  }
  if (gs_graph_parse(a, text, "case", &g, &e) != GS_OK) {
    gs_buf_printf(b, "error: %s\n", e.diag[0].text);
    gs_err_free(&e);
    return;
  }
  for (int i = 0; i < g->node.n; i++)
    print_node(g, g->node.at[i], r, b, &e);
  if (local) run_local(g, g->node.at[g->node.n - 1], r, local, b);
  gs_err_free(&e);
}

/* ---- reshape factors ---- */

/* Coordinate of factor f at element `at` of a tensor; -1 when it has no such
 * factor. */
static int64_t coordinate(const gs_rule *r, const gs_tensor_map *map,
                          const gs_value *v, int f, int64_t at) {
  for (int d = map->rank - 1; d >= 0; d--) {
    int64_t c = at % v->dims[d];
    at /= v->dims[d];
    for (int i = map->dim[d].n - 1; i >= 0; i--) {
      int g = map->dim[d].f[i];
      if (g == f) return c % r->factor[g].size;
      c /= r->factor[g].size;
    }
  }
  return -1;
}

/* Every element must have one coordinate on both sides for every passing
 * factor: its block is then the same set of elements, in the same order. */
static void check_reshape(const int64_t *from, int nfrom, const int64_t *to,
                          int nto) {
  gs_arena a;
  gs_arena_init(&a);
  gs_graph *g = gs_graph_new(&a, "");
  gs_node *n = gs_node_new(g, "", "Reshape", "", 2, 1);
  gs_rule r;
  n->op = gs_op_find("", "Reshape");
  n->in[0] = gs_value_new(g, "x", GS_FLOAT, nfrom, from);
  n->in[1] = gs_value_ints(g, "s", to, nto);
  gs_node_output(n, 0, gs_value_new(g, "y", GS_UNDEFINED, -1, NULL));
  ck_assert_int_eq(gs_shape_infer(g, n, NULL), GS_OK);
  ck_assert_int_eq(gs_rule_of(&a, n, &r, NULL), GS_OK);
  for (int f = 0; f < r.nfactor; f++) {
    int64_t count = 1;
    if (r.factor[f].kind != GS_PASS) continue;
    for (int d = 0; d < nfrom; d++) count *= from[d];
    for (int64_t at = 0; at < count; at++) {
      int64_t c = coordinate(&r, &r.in[0], n->in[0], f, at);
      if (c < 0 || c != coordinate(&r, &r.out[0], n->out[0], f, at))
        ck_abort_msg("factor %d of [%d,%d,%d] -> [%d,%d,%d]", f, (int)from[0],
                     (int)from[1], (int)from[2], (int)to[0], (int)to[1],
                     (int)to[2]);
    }
  }
  gs_arena_free(&a);
}

START_TEST(reshape_factors) {
  static const int64_t size[] = {1, 2, 3, 4, 6, 9};
  enum { N = sizeof size / sizeof *size, ALL = N * N * N };
  for (int i = 0; i < ALL; i++) {
    int64_t from[3] = {size[i / N / N], size[i / N % N], size[i % N]};
    for (int j = 0; j < ALL; j++) {
      int64_t to[3] = {size[j / N / N], size[j / N % N], size[j % N]};
      if (from[0] * from[1] * from[2] == to[0] * to[1] * to[2])
        check_reshape(from, 3, to, 3);
    }
  }
}
END_TEST

static void add_more(TCase *t) {
  tcase_add_test(t, reshape_factors);
  tcase_set_timeout(t, 1200);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "moves", run_case, add_more);
}
