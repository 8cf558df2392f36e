/* The numbers of a ranged exchange, and of a range, as attributes of a node
 * (gshard-ops(7)): this reads them and writes them, and nothing else does. */
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

/* Whether n is an exchange along a dim behind the channels, dim 1, of one f32
 * tensor, so that blocks of channels may be moved as they are. */
bool gs_exchange_takes_blocks(const gs_node *n);

/* Whether n is an exchange of what every device has whole: nothing is sent, and
 * each takes its places. */
bool gs_exchange_is_local(const gs_node *n);

/* A list of six numbers: m, a, b, c, e, length.  GS_DATA where there are not
 * six, c is not above 0, length is below 0, or the places of index 0 do not
 * fit. */
gs_status gs_node_range(gs_arena *a, const gs_node *n, const char *name,
                        gs_held_range *r, gs_err *e);
void gs_node_set_range(gs_graph *g, gs_node *n, const char *name,
                       const gs_held_range *r);

/* What the device at `position` gives and takes by plan, for graphs of one
 * device: six numbers for each piece, which are the position of the peer, the
 * operand, the first place of its block, the distance to the next one, how many
 * there are, and the place where the first of them goes. */
typedef struct gs_exchange_lists {
  int64_t *gives, *takes; /* `takes` has what it keeps, with itself as peer */
  int ngive, ntake;       /* numbers */
} gs_exchange_lists;
gs_exchange_lists gs_exchange_lists_of(gs_arena *a, const gs_mesh *m,
                                       const gs_exchange *x,
                                       const gs_exchange_plan *plan,
                                       int64_t position);

#endif
