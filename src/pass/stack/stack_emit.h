/* Nodes in the place of others. */
#ifndef GS_PASS_STACK_EMIT_H
#define GS_PASS_STACK_EMIT_H

#include "op/core/op.h"

/* A node at the end of g, of ONNX's newest opset, with one result of an unknown
 * type; its origin and stage are those of `from`. */
gs_node *gs_stack_emit(gs_graph *g, const gs_node *from, const char *op,
                       const char *name, int nin);
/* Puts the nodes from number `first` on in the place of node number `at`. */
void gs_stack_place(gs_graph *g, int at, int first, gs_arena *tmp);

#endif
