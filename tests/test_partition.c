/* Golden cases of propagation and partitioning (data/partition.txt): a graph
 * with a few shardings in, all shardings, the SPMD program and its collectives
 * out. */
#include "cases.h"
#include "graphs.h"
#include "pass/prepare/infer.h"
#include "pass/partition/partition.h"
#include "pass/propagate/propagate.h"

static gs_status partition(gs_arena *a, char *given, gs_buf *b, gs_err *e) {
  gs_graph *g;
  GS_TRY(graph_read(a, given, "case", &g, e));
  GS_TRY(gs_pass_infer(a, g, NULL, e));
  gs_propagate_input none = {0};
  gs_propagation done;
  GS_TRY(gs_pass_propagate(a, g, &none, &done, e));
  for (int i = 0; i < g->value.n; i++) {
    gs_buf_printf(b, "%s ", g->value.at[i]->name);
    gs_sharding_print(b, g->mesh, g->value.at[i]->sharding);
    gs_buf_char(b, '\n');
  }
  gs_partition made;
  GS_TRY(gs_pass_partition(a, g, &made, e));
  gs_graph_print(b, made.program);
  for (int i = 0; i < made.collective.n; i++) {
    const gs_collective *c = &made.collective.at[i];
    gs_buf_printf(b, "# %s over ", c->op);
    gs_axes_print(b, g->mesh, &c->axes);
    gs_buf_printf(b, ": %s %s -> %s, %.0f bytes\n", c->value->name, c->from,
                  c->to, c->bytes);
  }
  for (int i = 0; i < made.fallback.n; i++)
    if (made.fallback.at[i].whole)
      gs_buf_printf(b, "# whole: %s, %.0f bytes\n",
                    gs_node_place(a, made.fallback.at[i].node),
                    made.fallback.at[i].bytes);
  /* The program must read back in as itself. */
  gs_buf once, twice;
  gs_graph *again;
  gs_buf_init(&once, a);
  gs_buf_init(&twice, a);
  gs_graph_print(&once, made.program);
  GS_TRY(gs_graph_parse(a, once.at, "program", &again, e));
  gs_graph_print(&twice, again);
  if (strcmp(once.at, twice.at)) gs_buf_str(b, "does not read back in\n");
  return GS_OK;
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  graph_case(a, given, b, partition);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "partition", run_case, NULL);
}
