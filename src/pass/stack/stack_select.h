/* Elements that one after another is put into. */
#ifndef GS_PASS_STACK_SELECT_H
#define GS_PASS_STACK_SELECT_H

#include "pass/stack/stack_terms.h"

/* Where node number *at is the last of a chain
 *
 *     y = c[n] ? p[n] : .. c[1] ? p[1] : x
 *
 * of equal branches p over weights of their own, such as experts that write
 * what they make of their tokens over these, a sum takes its place, of which at
 * most one term is not 0:
 *
 *     y = (w[1] ? p[1] : 0) + .. + (w[n] ? p[n] : 0) + (none of c ? x : 0)
 *
 * w[i]: c[i], and none of those behind it (which is so by itself where tests
 * are places of one-hot tensors).  *at is the number of that sum then.
 * reads: of g as it was.  Cost: of gs_branches_alike. */
gs_status gs_select_sum(gs_graph *g, const gs_reads *reads, int *at,
                        gs_arena *tmp, gs_err *e);

#endif
