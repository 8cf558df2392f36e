/* The numbers of a ranged exchange as attributes of its node (gshard-ops(7)):
 * this reads them and writes them, and nothing else does. */
#ifndef GS_OP_EXCHANGE_NODE_H
#define GS_OP_EXCHANGE_NODE_H

#include "ir/graph/graph.h"
#include "ir/mesh/exchange.h"

/* What n says, in the arena; *dim is the dim of its operands.  Everything that
 * follows from the attributes and the local shapes of the operands holds:
 * gs_exchange_check, operands that differ along the dim only and have blocks of
 * the stated length there, a fill of one element.  GS_DATA with the node, the
 * attribute and the numbers. */
gs_status gs_node_exchange(gs_arena *a, const gs_node *n, const gs_mesh *m,
                           gs_exchange *x, int *dim, gs_err *e);
/* Gives n these attributes; those with default values are left out. */
void gs_node_set_exchange(gs_graph *g, gs_node *n, int dim,
                          const gs_exchange *x);

#endif
