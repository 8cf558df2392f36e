/* Axes of a dim that has become short go on along another dim.
 *
 * A convolution, a pool or a slice leaves fewer elements of a dim than it
 * read.  At some point blocks are hardly longer than the windows between them,
 * some devices have a shorter one than others or none at all, and in the end
 * the dim is gone: from there on propagation has nothing to split.  So, at
 * nodes that shorten a split dim, its axes are tried on each other dim of the
 * result: all of them, or those that the dim has no elements for.  Nodes that
 * do the same to tensors of the same shape are changed together.
 *
 *   c = Conv(x[2,64,12,80] {~,~,h,~}) strides=[2,1]   h=4: blocks of 1 or 2
 *   c {~,~,~,h} : [2,64,6,80]                         blocks of 20
 *
 * What helps most is taken, then what helps most with that, while one does:
 * no more time of the cost model, and less of time and bytes together as
 * options.auto counts them (plan/trial.h).  No tensor that anybody has said
 * something of is changed.
 *
 * requires  the graph is propagated from `said`
 * ensures   where something was handed on (out->n), value->sharding is what was
 *           said and what was taken, whose dims are open: to be propagated
 *           again; else as before
 * Cost: O(nodes) where no split dim becomes short; else at most 64
 * propagations and partitions of the graph, fewer of a large one. */
#ifndef GS_PLAN_HAND_ON_H
#define GS_PLAN_HAND_ON_H

#include "pass/propagate/propagate.h"

typedef struct gs_handed {
  int n;             /* how many tensors were changed */
  const gs_value *first;
  gs_subset *axes;   /* [nvalue] that were handed on; NULL: none at all */
  double before, after; /* seconds of one run */
} gs_handed;

/* said: [nvalue], before propagation.  memory: bytes per device past which none
 * may be added; 0: any. */
gs_status gs_pass_hand_on(gs_arena *a, gs_graph *g,
                          const gs_propagate_input *in,
                          gs_sharding *const *said, double memory,
                          gs_handed *out, gs_err *e);

#endif
