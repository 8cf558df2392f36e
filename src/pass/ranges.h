/* How far the integers of inputs may go that are used as indices: token ids
 * into a table, positions. */
#ifndef GS_PASS_RANGES_H
#define GS_PASS_RANGES_H

#include "op/op.h"

/* For every integer input of g how many values, counted from 0, its elements
 * may have so that no use of them as an index is out of range: the smallest
 * size of a dim that they index, at most what the type holds.  Uses are
 * followed through nodes that move or convert elements, and into graphs in
 * attributes that capture them.  0: no use as an index is found.
 * requires  n->op set, shapes inferred
 * Cost O(nodes + operands). */
int64_t *gs_pass_ranges(gs_arena *a, const gs_graph *g);

#endif
