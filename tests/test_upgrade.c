/* The opset upgrade.
 *
 * Cases (see cases.h) are a line "opset N" and a graph in text form; expected
 * is the graph after the upgrade, each node with its row and version. */
#include "cases.h"
#include "pass/prepare/upgrade.h"

static void set_opset(gs_graph *g, int opset) {
  for (int i = 0; i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->opset = opset;
    for (int k = 0; k < n->nattr; k++)
      if (n->attr[k].kind == GS_ATTR_GRAPH) set_opset(n->attr[k].g, opset);
  }
}

static void run_case(gs_arena *a, char *text, gs_buf *b) {
  int opset = 0;
  char *graph = strchr(text, '\n');
  gs_graph *g;
  gs_err e;
  gs_err_init(&e);
  must(sscanf(text, "opset %d", &opset) == 1 && graph, "opset N");
  if (gs_graph_parse(a, graph + 1, "case", &g, &e) != GS_OK) {
    gs_buf_printf(b, "error: %s\n", e.diag[0].text);
    gs_err_free(&e);
    return;
  }
  set_opset(g, opset);
  if (gs_pass_upgrade(g, &e) != GS_OK) {
    gs_buf_printf(b, "error %d: %s: %s\n", e.first, e.diag[0].place,
                  e.diag[0].text);
    gs_err_free(&e);
    return;
  }
  gs_graph_print(b, g);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    must(n->id == i, "the order of ids");
    gs_buf_printf(b, "%s%s %d", i ? ", " : "# ",
                  n->op ? n->op->name : "no row", n->opset);
  }
  gs_buf_char(b, '\n');
  if (gs_graph_check(g, &e) != GS_OK)
    gs_buf_printf(b, "check: %s\n", e.diag[0].text);
  gs_err_clear(&e);
  for (int i = 0; i < g->node.n; i++) { /* shapes must follow, where known */
    gs_node *n = g->node.at[i];
    bool known = n->op != NULL;
    for (int j = 0; j < n->nin && known; j++)
      known = !n->in[j] || (n->in[j]->rank >= 0 &&
                            (n->in[j]->rank == 0 || n->in[j]->dims[0] >= 0));
    if (known && gs_shape_infer(g, n, &e) != GS_OK)
      gs_buf_printf(b, "shape: %s\n", e.diag[0].text);
    gs_err_clear(&e);
  }
  gs_err_free(&e);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "upgrade", run_case, NULL);
}
