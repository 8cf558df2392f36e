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
/* Copies the attribute of that name from l->node, when it has one. */
void gs_local_copy(gs_local *l, gs_node *to, const char *name);
/* Sets attribute `axes` of n to the text of a. */
void gs_local_axes(gs_local *l, gs_node *n, const char *name,
                   const gs_axes *a);

/* The seed of a node that draws: its attribute, else a whole number from the
 * name of its result (which is another in the program). */
double gs_node_seed(const gs_node *n);

#endif
