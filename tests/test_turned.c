/* Writes between two turns of a tensor.
 *
 * Cases (see cases.h) are graphs in text form; expected is the graph after the
 * pass.  Each is run before and after: the same bytes. */
#include "cases.h"
#include "graphs.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "pass/prepare/infer.h"
#include "pass/prepare/turned.h"

static gs_status execute(gs_arena *a, const gs_graph *g, gs_tensor **out,
                         gs_err *e) {
  gs_exec_config how = {.ndevice = 1, .threads = 1};
  gs_random r = {.seed = 5, .integers = true};
  return graph_execute(a, g, &how, &r, 1, out, e);
}

static gs_status turn_and_run(gs_arena *a, char *text, gs_buf *b, gs_err *e) {
  gs_tensor *before[1], *after[1];
  gs_graph *g;
  int count = 0;
  GS_TRY(graph_read(a, text, "case", &g, e));
  GS_TRY(gs_pass_infer(a, g, NULL, e));
  must(g->output.n == 1, "one output");
  GS_TRY(execute(a, g, before, e));
  GS_TRY(gs_pass_turned(g, &count, e));
  GS_TRY(execute(a, g, after, e));
  must(before[0]->nbytes == after[0]->nbytes &&
           !memcmp(before[0]->data, after[0]->data,
                   (size_t)after[0]->nbytes),
       "the same bytes");
  gs_graph_print(b, g);
  gs_buf_printf(b, "# %d\n", count);
  return GS_OK;
}

static void run_case(gs_arena *a, char *text, gs_buf *b) {
  graph_case(a, text, b, turn_and_run);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "turned", run_case, NULL);
}
