/* Local forms of operators: what a row's local function makes of a node whose
 * factors are split.  The cases of data/local.txt and data/local/.
 *
 * A case (see cases.h) is a graph in text form with a mesh, whose last node is
 * looked at, and a line "split FACTOR=AXIS ..." (factors as the rule is
 * printed); expected is the program.  A partial result is finished as if it
 * were reduced. */
#include "cases.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

/* "i=tp k=dp": the axes of each factor. */
static void read_split(const gs_mesh *m, const char *s, gs_axes *factor) {
  while (*s) {
    must(s[0] >= 'i' && s[0] <= 'z' && s[1] == '=', s);
    int f = s[0] - 'i';
    s += 2;
    must(gs_axes_parse(m, &s, &factor[f], NULL) == GS_OK, s);
    while (*s == ' ') s++;
  }
}

/* The sharding of a tensor whose factors are split like that. */
static gs_sharding *sharding_of(gs_arena *a, const gs_tensor_map *t,
                                const gs_axes *factor) {
  gs_sharding *s = gs_sharding_new(a, t->rank, false);
  for (int d = 0; d < t->rank; d++)
    for (int i = 0; i < t->dim[d].n; i++)
      s->dim[d].axes = gs_axes_cat(&s->dim[d].axes, &factor[t->dim[d].f[i]]);
  return s;
}

static int64_t *local_dims(gs_arena *a, const gs_mesh *m,
                           const gs_sharding *s, const gs_value *v) {
  int64_t *dims = GS_NEWS(a, v->rank + 1, int64_t);
  gs_sharding_local(m, s, v->dims, dims);
  return dims;
}

static void operands(gs_local *l) {
  const gs_node *n = l->node;
  gs_arena *a = l->program->arena;
  l->in = GS_NEWS(a, n->nin + 1, gs_value *);
  for (int i = 0; i < n->nin; i++) {
    gs_value *v = n->in[i];
    if (!v) continue;
    gs_sharding *s = sharding_of(a, &l->rule->in[i], l->factor);
    if (v->constant) {
      l->in[i] = gs_value_constant(l->program, v->name, v->constant);
      continue;
    }
    l->in[i] = gs_value_new(l->program, v->name, v->dtype, v->rank,
                            local_dims(a, l->mesh, s, v));
    l->in[i]->is_input = true;
    *gs_push(a, &l->program->input) = l->in[i];
  }
}

static void results(gs_local *l) {
  const gs_node *n = l->node;
  gs_arena *a = l->program->arena;
  l->out = GS_NEWS(a, n->nout + 1, gs_value *);
  l->out_dims = GS_NEWS(a, n->nout + 1, int64_t *);
  l->out_sharding = GS_NEWS(a, n->nout + 1, gs_sharding *);
  for (int i = 0; i < n->nout; i++) {
    if (!n->out[i]) continue;
    l->out_sharding[i] = sharding_of(a, &l->rule->out[i], l->factor);
    l->out_dims[i] = local_dims(a, l->mesh, l->out_sharding[i], n->out[i]);
  }
}

/* Results have the right local shape, and the right type once finished. */
static void check_results(gs_local *l) {
  for (int i = 0; i < l->node->nout; i++) {
    const gs_value *want = l->node->out[i];
    if (!want) continue;
    for (int k = 0; k < l->nstage && l->stage[k].finish; k++)
      l->out[i] = l->stage[k].finish(l, i, l->out[i]);
    gs_value *got = l->out[i];
    must(got && got->rank == want->rank && got->dtype == want->dtype,
         want->name);
    for (int d = 0; d < got->rank; d++)
      must(got->dims[d] == l->out_dims[i][d], want->name);
    got->is_output = true;
    *gs_push(l->program->arena, &l->program->output) = got;
  }
}

/* What shape inference finds in the program is what the program says. */
static void check_program(gs_graph *g, gs_err *e) {
  for (int i = 0; i < g->node.n; i++) {
    gs_status s = gs_shape_infer(g, g->node.at[i], e);
    if (s) gs_err_print(e, stderr, "test_local", false);
    must(s == GS_OK, "the program's shapes contradict");
  }
  must(gs_graph_check(g, e) == GS_OK, "the program is not sound");
}

static void run_case(gs_arena *a, char *text, gs_buf *b) {
  char *split = strstr(text, "\nsplit ");
  if (split) {
    *split = 0;
    split += strlen("\nsplit ");
  }
  gs_err e;
  gs_err_init(&e);
  gs_graph *g;
  must(gs_graph_parse(a, text, "case", &g, &e) == GS_OK, text);
  must(g->mesh && g->node.n, text);
  gs_node *n = g->node.at[g->node.n - 1];
  n->op = gs_op_find(n->domain, n->op_type);
  n->opset = 25;
  gs_rule r;
  must(gs_shape_infer(g, n, &e) == GS_OK, text);
  must(gs_rule_of(a, n, &r, &e) == GS_OK, text);
  gs_axes factor[GS_MAX_FACTORS] = {0};
  read_split(g->mesh, split ? split : "", factor);
  gs_local l = {.node = n, .rule = &r, .factor = factor, .mesh = g->mesh,
                .nstage = 1};
  for (int f = 0; f < r.nfactor; f++)
    if (r.factor[f].kind == GS_SUMMED) l.partial |= gs_axes_set(&factor[f]);
  l.program = gs_graph_new(a, "");
  l.program->mesh = g->mesh;
  operands(&l);
  results(&l);
  if (n->op->local) must(n->op->local(&l, &e) == GS_OK, text);
  else gs_local_same(&l);
  check_results(&l);
  check_program(l.program, &e);
  gs_graph_print(b, l.program);
  gs_err_free(&e);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "local", run_case, NULL);
}
