/* Golden cases of products of quantised operands (data/quantised.txt): a graph
 * in, of whose inputs those that do not begin with an x become constants after
 * inference; out, its steps in the order in which they run.  Scales are powers
 * of two, so that sums of f32 are exact: run with one thread and several, the
 * results must be those of every node as a step of its own. */
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

/* Bytes of all values; floats that begin with an s are powers of two. */
static gs_status draw(gs_arena *a, gs_value *v, gs_err *e) {
  const gs_dtype_info *d = gs_dtype_get((int)v->dtype);
  gs_random r = {.seed = 3, .integers = true,
                 .ranged = d->cls != 'f' && d->bits == 8};
  r.high = (int64_t)1 << (d->bits - (d->cls == 'i'));
  r.low = d->cls == 'i' ? -r.high : 0;
  gs_tensor *t;
  GS_TRY(gs_random_tensor(a, v->name, v->dtype, v->rank, v->dims, &r, &t, e));
  float *f = (float *)(uintptr_t)t->data;
  for (int64_t i = 0; *v->name == 's' && i < gs_product(v->dims, v->rank); i++)
    f[i] = 0.125f * (float)(1 << i % 3);
  v->constant = t;
  v->is_input = false;
  return GS_OK;
}

static gs_status make_constants(gs_arena *a, gs_graph *g, gs_err *e) {
  int to = 0;
  for (int i = 0; i < g->input.n; i++) {
    gs_value *v = g->input.at[i];
    if (*v->name == 'x') g->input.at[to++] = v;
    else GS_TRY(draw(a, v, e));
  }
  g->input.n = to;
  return GS_OK;
}

static gs_status execute(gs_arena *a, const gs_graph *g, int threads,
                         bool apart, gs_tensor **out, gs_err *e) {
  gs_exec_config config = {.graph = &g, .ngraph = 1, .ndevice = 1,
                           .threads = threads, .verify = true,
                           .apart = apart};
  gs_random r = {.seed = 5, .integers = true};
  gs_exec *x;
  gs_status s = gs_exec_new(&config, &x, e);
  if (!s) s = graph_draw_inputs(a, g, &r, x, e);
  for (int run = 0; run < 2 && !s; run++) s = gs_exec_run(x, e);
  if (!s) s = graph_take_outputs(a, g, x, out, e);
  gs_exec_free(x);
  return s;
}

static gs_status print(gs_arena *a, gs_buf *b, const gs_graph *g, gs_err *e) {
  gs_compile how = {.kinds = gs_step_kinds, .n = 1};
  gs_program *p;
  GS_TRY(gs_program_new(a, g, &how, &p, e));
  for (int i = 0; i < p->step.n; i++) {
    const gs_node *n = p->step.at[i].node;
    gs_buf_printf(b, "%s = %s(", n->out[0]->name, n->op_type);
    for (int k = 0; k < n->nin; k++)
      gs_buf_printf(b, "%s%s", k ? ", " : "", n->in[k] ? n->in[k]->name : "");
    gs_buf_printf(b, ")%s%s\n", gs_node_int(n, "relu", 0) ? " relu" : "",
                  p->step.at[i].once ? " once" : "");
  }
  return GS_OK;
}

static gs_status try_case(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  gs_tensor *want[MAX_OUT], *got[MAX_OUT];
  gs_graph *g;
  GS_TRY(graph_read(a, given, "case", &g, e));
  if (g->output.n > MAX_OUT)
    return gs_fail(e, GS_UNSUPPORTED, NULL, "more than %d outputs", MAX_OUT);
  GS_TRY(gs_pass_infer(a, g, NULL, e));
  GS_TRY(make_constants(a, g, e));
  GS_TRY(print(a, b, g, e));
  GS_TRY(execute(a, g, 1, true, want, e));
  for (int threads = 1; threads <= 4; threads += 3) {
    GS_TRY(execute(a, g, threads, false, got, e));
    for (int i = 0; i < g->output.n; i++) {
      gs_comparison c;
      gs_tolerance exact = {0};
      GS_TRY(gs_compare(got[i], want[i], &exact, &c, e));
      if (!c.equal) gs_buf_printf(b, "output %d differs\n", i);
    }
  }
  return GS_OK;
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  graph_case(a, given, b, try_case);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "quantised", run_case, NULL);
}
