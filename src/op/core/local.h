/* Helpers of local functions, besides those of op.h. */
#ifndef GS_OP_LOCAL_H
#define GS_OP_LOCAL_H

#include "op/core/op.h"

/* Replaces the constant shape operand 0 or 1 by the local dims of result 0. */
gs_local_fn gs_local_shape0, gs_local_shape1;

/* gs_local_emit with one operand and a type: "Cast" to t; x itself when it is
 * of that type. */
gs_value *gs_local_cast(gs_local *l, gs_value *x, gs_dtype t);
/* gs_local_emit for an operator of ONNX whose result is like operand 0. */
gs_node *gs_local_like(gs_local *l, const char *op_type, gs_value *const *in,
                       int nin);
/* A scalar constant of f32, f64, f16, bf16 or an integer type. */
gs_value *gs_local_scalar(gs_local *l, gs_dtype t, double value);
/* Operand i, where it is given, with zeros where its last blocks are padded:
 * positions and lengths there would be out of range.  Replaces l->in[i]. */
void gs_local_mask(gs_local *l, int i);
/* Operand i, where it is given, on one device along the axes and zero on the
 * others: what is added to partial results counts once.  i < 0 or no axes:
 * nothing.  Replaces l->in[i]. */
void gs_local_once(gs_local *l, int i, const gs_axes *axes);
/* The elements of x that each device is to hold of dim d, `want`, of those that
 * it has, `have`, which contain them; both over `axes`. */
gs_value *gs_local_cut(gs_local *l, gs_value *x, int d, const gs_axes *axes,
                       const gs_held_range *have, const gs_held_range *want);
/* x with n more places, which hold 0, at the end of dim d. */
gs_value *gs_local_extend(gs_local *l, gs_value *x, int d, int64_t n);
/* The operator of that name in ai.gshard, which knows the mesh, with all
 * operands and attributes; the caller adds what more it needs. */
gs_node *gs_local_meshed(gs_local *l);
/* The operator of that name in ai.gshard, which has a row of GS_OP_PLACED, on
 * operands and results as they are: with the placement that their forms say,
 * and all else as the node, so that operands such as sizes and scales are
 * those of the whole.  Where no dim is split: the node itself. */
gs_node *gs_local_placed(gs_local *l);
/* The same, as the local function of a row. */
gs_local_fn gs_local_place;
/* Whether dims [from, to) of result 0 are split. */
bool gs_local_splits(const gs_local *l, int from, int to);
/* Copies the attribute of that name from l->node, when it has one. */
void gs_local_copy(gs_local *l, gs_node *to, const char *name);

/* The seed of a node that draws: its attribute, else a whole number from the
 * name of its result (which is another in the program). */
double gs_node_seed(const gs_node *n);

#endif
