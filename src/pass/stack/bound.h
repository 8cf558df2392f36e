/* Places of a mask that no run can set. */
#ifndef GS_PASS_BOUND_H
#define GS_PASS_BOUND_H

#include "op/core/op.h"

/* A number such that elements of v, of rank 1, from it on are 0 in every run,
 * as follows from indices that select among fewer than they are compared with
 * (a class of experts that no TopK chooses); else v's size.
 * Cost: nodes on the way from these indices, each run once on zeros. */
int64_t gs_mask_bound(gs_arena *a, gs_graph *g, const gs_value *v);

#endif
