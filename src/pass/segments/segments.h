/* Packed products: weights whose columns are those of several products, such
 * as queries, keys and values, become the weights of each. */
#ifndef GS_PASS_SEGMENTS_H
#define GS_PASS_SEGMENTS_H

#include "ir/place.h"
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

/* What is said of a constant: along `dim` it is `n` tensors end to end, of
 * these sizes. */
typedef struct gs_segment_sizes {
  const char *name;
  int dim, n;
  int64_t *size;
  const gs_place *at; /* in the spec; NULL: recorded in a model */
} gs_segment_sizes;
typedef GS_VEC(gs_segment_sizes) gs_segment_list;

/* Whether x is a constant that can be cut so: of elements of whole bytes, of
 * sizes above 0 that are its dim together. */
bool gs_segments_fit(const gs_value *x, const gs_segment_sizes *s);

/* Cuts constants as the list says, and with them what is made of them, as far
 * as a node does to each part what it does to the whole: where the dim passes
 * through it, and where it sums along it,
 *
 *     y = MatMul(x, W)    y = Add(MatMul(x0, W:0), MatMul(x1, W:1))
 *
 * What reads it otherwise reads the parts end to end (Concat), or those
 * segments that it takes.
 *
 * requires, keeps: as gs_pass_segments; gs_segments_fit of all in the list.
 * GS_SPEC where nothing that reads a constant takes it in parts.  Cost: as
 * gs_pass_segments. */
gs_status gs_pass_segments_given(gs_graph *g, const gs_segment_list *l,
                                 gs_err *e);

/* The list as metadata have it, a line "DIM SIZE,SIZE,.. NAME" for each; a text
 * that says of no constant of g what it can be cut into: false. */
char *gs_segments_text(gs_arena *a, const gs_segment_list *l);
bool gs_segments_parse(gs_arena *a, const gs_graph *g, const char *text,
                       gs_segment_list *out);

#endif
