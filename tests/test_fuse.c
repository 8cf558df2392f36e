/* Golden cases of steps that one kernel does (data/fuse*): a graph in, whose
 * inputs but those that begin with an x become constants; out, its steps, what
 * they do besides, and which results may lie in blocks of channels.  Each is
 * run with one thread and several: the same bytes; and with every node as a
 * step of its own on row-major tensors: the same numbers. */
#include <string.h>

#include "base/math.h"
#include "cases.h"
#include "graphs.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "exec/step/step.h"
#include "pass/prepare/infer.h"

enum { MAX_OUT = 4 };

/* Whether sums are of bytes: then floats are integers and scales powers of two,
 * so that results round alike whoever makes them. */
static bool of_bytes(const gs_graph *g) {
  for (int i = 0; i < g->input.n; i++) {
    const gs_value *v = g->input.at[i];
    if (*v->name == 'x' && gs_dtype_get((int)v->dtype)->cls != 'f') return true;
  }
  return false;
}

static gs_status draw(gs_arena *a, gs_value *v, bool bytes, gs_err *e) {
  const gs_dtype_info *d = gs_dtype_get((int)v->dtype);
  gs_random r = {.seed = 3, .integers = bytes,
                 .ranged = d->cls != 'f' && d->bits <= 8};
  r.high = (int64_t)1 << (d->bits - (d->cls == 'i'));
  r.low = d->cls == 'i' ? -r.high : 0;
  gs_tensor *t;
  GS_TRY(gs_random_tensor(a, v->name, v->dtype, v->rank, v->dims, &r, &t, e));
  float *f = (float *)(uintptr_t)t->data;
  int64_t scales = bytes && *v->name == 's' && v->dtype == GS_FLOAT
                       ? gs_product(v->dims, v->rank) : 0;
  for (int64_t i = 0; i < scales; i++) f[i] = 0.125f * (float)(1 << i % 3);
  v->constant = t;
  v->is_input = false;
  return GS_OK;
}

/* After inference, which would compute what depends on constants alone. */
static gs_status make_constants(gs_arena *a, gs_graph *g, gs_err *e) {
  bool bytes = of_bytes(g);
  int to = 0;
  for (int i = 0; i < g->input.n; i++) {
    gs_value *v = g->input.at[i];
    if (*v->name == 'x') g->input.at[to++] = v;
    else GS_TRY(draw(a, v, bytes, e));
  }
  g->input.n = to;
  return GS_OK;
}

static gs_status execute(gs_arena *a, const gs_graph *g, int threads,
                         bool apart, gs_tensor **out, gs_err *e) {
  gs_exec_config how = {.ndevice = 1, .threads = threads, .apart = apart};
  gs_random r = {.seed = 5, .integers = of_bytes(g)};
  return graph_execute(a, g, &how, &r, 2, out, e);
}

static void print_step(gs_buf *b, const gs_program *p, const gs_step *s) {
  const gs_node *n = s->node;
  gs_buf_printf(b, "%s = %s(", n->out[0]->name, n->op_type);
  for (int k = 0; k < n->nin; k++)
    gs_buf_printf(b, "%s%s", k ? ", " : "", n->in[k] ? n->in[k]->name : "");
  gs_buf_str(b, ")");
  const char *after = gs_node_string(n, "activation", NULL);
  const gs_attr *param = gs_node_attr(n, "activation_params");
  if (gs_node_int(n, "relu", 0)) gs_buf_str(b, " relu");
  if (after) gs_buf_printf(b, " %s", after);
  for (int i = 0; after && param && i < param->n; i++)
    gs_buf_printf(b, " %g", (double)param->floats[i]);
  gs_buf_printf(b, "%s%s\n", s->once ? " once" : "",
                p->any[n->out[0]->id] ? " blocks" : "");
}

static gs_status print(gs_arena *a, gs_buf *b, const gs_graph *g, gs_err *e) {
  gs_compile how = {.kinds = gs_step_kinds, .n = 1};
  gs_program *p;
  GS_TRY(gs_program_new(a, g, &how, &p, e));
  for (int i = 0; i < p->step.n; i++) print_step(b, p, &p->step.at[i]);
  return GS_OK;
}

/* What joining steps may change: sums in other orders, fewer roundings. */
static gs_tolerance close_to(gs_dtype t) {
  const gs_tolerance close = {.rtol = 1e-5, .scale = 1e-5};
  return t == GS_FLOAT ? close : gs_tolerance_of(t);
}

static gs_status compare(gs_tensor *const *got, gs_tensor *const *want, int n,
                         bool same, const char *what, gs_buf *b, gs_err *e) {
  for (int i = 0; i < n; i++) {
    gs_comparison c;
    gs_tolerance by = same ? (gs_tolerance){0} : close_to(want[i]->dtype);
    GS_TRY(gs_compare(got[i], want[i], &by, &c, e));
    if (!c.equal) gs_buf_printf(b, "output %d differs %s\n", i, what);
  }
  return GS_OK;
}

static gs_status try_case(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  gs_tensor *apart[MAX_OUT], *one[MAX_OUT], *many[MAX_OUT];
  gs_graph *g;
  GS_TRY(graph_read(a, given, "case", &g, e));
  if (g->output.n > MAX_OUT)
    return gs_fail(e, GS_UNSUPPORTED, NULL, "more than %d outputs", MAX_OUT);
  GS_TRY(gs_pass_infer(a, g, NULL, e));
  GS_TRY(make_constants(a, g, e));
  GS_TRY(print(a, b, g, e));
  GS_TRY(execute(a, g, 1, true, apart, e));
  GS_TRY(execute(a, g, 1, false, one, e));
  GS_TRY(execute(a, g, 4, false, many, e));
  GS_TRY(compare(one, many, g->output.n, true, "with threads", b, e));
  return compare(one, apart, g->output.n, false, "when fused", b, e);
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  graph_case(a, given, b, try_case);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "fuse", run_case, NULL);
}
