/* How far the integers of inputs may go that are used as indices: token ids
 * into a table, positions. */
#ifndef GS_PASS_RANGES_H
#define GS_PASS_RANGES_H

#include "op/core/op.h"

/* For every integer input of g where its elements may lie so that no use of
 * them as an index is out of range, and where a use as a size says that size:
 * below the smallest dim that they index, and within what the type holds.
 * Uses are followed through nodes that move or convert elements, and into
 * graphs in attributes that capture them.  high is 0 where no such use is
 * found.
 * requires  n->op set, shapes inferred
 * Cost O(nodes + operands). */
gs_range *gs_pass_ranges(gs_arena *a, const gs_graph *g);

#endif
