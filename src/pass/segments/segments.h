/* Packed products: weights whose columns are those of several products, such
 * as queries, keys and values, become the weights of each. */
#ifndef GS_PASS_SEGMENTS_H
#define GS_PASS_SEGMENTS_H

#include "op/core/op.h"

/* Where all that is read of a product with constants are segments of its
 * columns -- a node that only copies (Split, Slice), or one whose row takes
 * several operands laid end to end (JOINED of ops.def) --
 *
 *     y = MatMul(x, W)    q, k, v = Split(y)
 *
 * it becomes a product for each segment, with its part of the constants:
 *
 *     q = MatMul(x, W:0)    k = MatMul(x, W:1)    v = MatMul(x, W:2)
 *
 * so that each is split by itself: a block of W is no block of each.  Nodes
 * between that pass columns (the Add of a bias) are cut likewise.  A part has
 * no bytes of its own (gs_tensor_part); its tensor says of what it is a part.
 * *count is how many products were cut.
 *
 * requires: gs_pass_infer.  keeps: names of inputs and outputs; weights that
 * are cut are gone.  Cost: O(nodes), and a rule for each node that is cut. */
gs_status gs_pass_segments(gs_graph *g, int *count, gs_err *e);

#endif
