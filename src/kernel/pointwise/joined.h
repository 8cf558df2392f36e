/* Activations that a kernel applies to its result while that is in a cache. */
#ifndef GS_KERNEL_JOINED_H
#define GS_KERNEL_JOINED_H

#include "ir/graph/graph.h"
#include "kernel/pointwise/loops.h"

/* One operand, which may be the result. */
typedef struct gs_joined {
  gs_loop *loop; /* f32; NULL: nothing is applied */
  double param[2];
} gs_joined;

/* What the attributes `activation` (the name of an operator) and
 * `activation_params` (the numbers of its loop: the cell APPLY) of n say;
 * without the first of them, nothing. */
gs_joined gs_joined_get(const gs_node *n);

#endif
