/* Golden cases of steps that are made one (data/fuse.txt): a graph in; out, the
 * steps of its program.  Each is run with its steps fused, by one thread and by
 * three, and with every node a step of its own: the results must be alike. */
#include "cases.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "exec/step/step.h"
#include "graphs.h"
#include "pass/prepare/infer.h"

enum { MAX_OUT = 4 };

static gs_status load(gs_arena *a, const char *given, gs_graph **g,
                      gs_err *e) {
  GS_TRY(graph_read(a, given, "case", g, e));
  if ((*g)->output.n > MAX_OUT)
    return gs_fail(e, GS_UNSUPPORTED, NULL, "more than %d outputs", MAX_OUT);
  return gs_pass_infer(a, *g, NULL, e);
}

static void print_step(gs_buf *b, const gs_node *n) {
  gs_buf_printf(b, "%s = %s(", n->out[0]->name, n->op_type);
  for (int i = 0; i < n->nin; i++)
    gs_buf_printf(b, "%s%s", i ? ", " : "", n->in[i] ? n->in[i]->name : "");
  gs_buf_printf(b, ")\n");
}

static gs_status print(gs_arena *a, gs_buf *b, const gs_graph *g, gs_err *e) {
  gs_compile how = {.kinds = gs_step_kinds, .n = 1};
  gs_program *p;
  GS_TRY(gs_program_new(a, g, &how, &p, e));
  for (int i = 0; i < p->step.n; i++) print_step(b, p->step.at[i].node);
  return GS_OK;
}

static gs_status execute(gs_arena *a, const gs_graph *g, int threads,
                         bool apart, gs_tensor **out, gs_err *e) {
  gs_exec_config config = {.graph = &g, .ngraph = 1, .ndevice = 1,
                           .threads = threads, .verify = true,
                           .apart = apart};
  gs_random r = {.seed = 5};
  gs_exec *x;
  gs_status s = gs_exec_new(&config, &x, e);
  if (!s) s = graph_draw_inputs(a, g, &r, x, e);
  if (!s) s = gs_exec_run(x, e);
  if (!s) s = graph_take_outputs(a, g, x, out, e);
  gs_exec_free(x);
  return s;
}

static gs_status compare(gs_tensor **got, gs_tensor **want, int n,
                         const gs_tolerance *by, const char *what, gs_buf *b,
                         gs_err *e) {
  for (int i = 0; i < n; i++) {
    gs_comparison c;
    GS_TRY(gs_compare(got[i], want[i], by, &c, e));
    if (!c.equal) gs_buf_printf(b, "output %d differs %s\n", i, what);
  }
  return GS_OK;
}

static gs_status try_case(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  const gs_tolerance exact = {0}, near = {.rtol = 1e-5, .atol = 1e-5};
  gs_tensor *one[MAX_OUT], *many[MAX_OUT], *apart[MAX_OUT];
  gs_graph *g;
  GS_TRY(load(a, given, &g, e));
  GS_TRY(print(a, b, g, e));
  GS_TRY(execute(a, g, 1, false, one, e));
  GS_TRY(execute(a, g, 3, false, many, e));
  GS_TRY(execute(a, g, 1, true, apart, e));
  GS_TRY(compare(many, one, g->output.n, &exact, "on three threads", b, e));
  return compare(apart, one, g->output.n, &near, "from single steps", b, e);
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  graph_case(a, given, b, try_case);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "fuse", run_case, NULL);
}
