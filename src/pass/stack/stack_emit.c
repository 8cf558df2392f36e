#include "pass/stack/stack_emit.h"

#include <string.h>

gs_node *gs_stack_emit(gs_graph *g, const gs_node *from, const char *op,
                       const char *name, int nin) {
  gs_node *n = gs_node_new(g, "", op, "", nin, 1);
  n->op = gs_op_find("", op);
  n->opset = n->op->since;
  n->origin = from->origin;
  n->stage = from->stage;
  gs_node_output(n, 0, gs_value_new(g, name, GS_UNDEFINED, -1, NULL));
  return n;
}

void gs_stack_place(gs_graph *g, int at, int first, gs_arena *tmp) {
  int n = g->node.n - first, rest = first - at - 1;
  gs_node **later = gs_memdup(tmp, g->node.at + at + 1,
                              (size_t)rest * sizeof *later);
  gs_node **made = gs_memdup(tmp, g->node.at + first,
                             (size_t)n * sizeof *made);
  memcpy(g->node.at + at, made, (size_t)n * sizeof *made);
  memcpy(g->node.at + at + n, later, (size_t)rest * sizeof *later);
  g->node.n--;
}
