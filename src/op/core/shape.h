/* Helpers of shape functions.
 *
 * All errors name the node; GS_DATA for what ONNX forbids, GS_UNSUPPORTED for
 * what gshard cannot know (shape operands that are not constant). */
#ifndef GS_OP_SHAPE_H
#define GS_OP_SHAPE_H

#include "op/core/op.h"

/* Sets type and shape of output i of n (nothing when it is left out); n->in
 * are known.  It replaces a declared shape, which may be stale (shape inference
 * says so); a declared type that contradicts is GS_DATA. */
gs_status gs_shape_set(gs_graph *g, gs_node *n, int i, gs_dtype dtype,
                       int rank, const int64_t *dims, gs_err *e);
/* Sets kind and element type (GS_UNDEFINED: not known) of output i, whose
 * shape only a run knows; a declared one is forgotten, for it is often that of
 * an example.  GS_DATA when the model declares another kind or type. */
gs_status gs_shape_dynamic(gs_graph *g, gs_node *n, int i, gs_kind kind,
                           gs_dtype dtype, gs_err *e);
/* The same with type and shape of operand 0. */
gs_status gs_shape_set_like(gs_graph *g, gs_node *n, int i, gs_err *e);

/* GS_DATA naming the node, unless operands i and j have one type. Operands
 * left out agree with everything. */
gs_status gs_shape_same_type(gs_arena *a, const gs_node *n, int i, int j,
                             gs_err *e);

/* NumPy broadcasting of a shape of rank `more` into dims[GS_MAX_RANK]; false
 * when they do not fit. */
bool gs_shape_merge(int *rank, int64_t *dims, int more, const int64_t *with);
/* NumPy broadcasting of operands first .. last-1 (left-out ones skipped) into
 * dims[GS_MAX_RANK]. */
gs_status gs_shape_broadcast(gs_arena *a, const gs_node *n, int first,
                             int last, int *rank, int64_t *dims, gs_err *e);

/* The shape of which both a, of rank n, and b, of rank m, with as many
 * elements, more than none, are finer ones: dims of both between places where
 * both have a dim that ends are one; no dims of one element.  [2,9,4] and
 * [2,1,4,9] give [2,36].  Returns its rank; room for n + m dims. */
int gs_shape_merged(const int64_t *a, int n, const int64_t *b, int m,
                    int64_t *dims);

/* An axis of rank `rank` from a file: negative counts from the end.  *axis is
 * replaced; out of range is GS_DATA naming node, tensor and shape.  rank is
 * that of the indexed shape (v's, or v's plus inserted dims). */
gs_status gs_shape_axis(gs_arena *a, const gs_node *n, const gs_value *v,
                        int rank, int64_t *axis, gs_err *e);
/* Attribute `name` as an axis of operand 0. */
gs_status gs_shape_axis_attr(gs_arena *a, const gs_node *n, const char *name,
                             int64_t otherwise, int *axis, gs_err *e);
/* Marks the listed axes (of a shape of that rank) in set; duplicates are
 * GS_DATA. */
gs_status gs_shape_axis_set(gs_arena *a, const gs_node *n, const gs_value *v,
                            int rank, const int64_t *axes, int count,
                            bool *set, gs_err *e);

/* The elements of constant integer operand i.  *list NULL when it is left
 * out; GS_UNKNOWN when it is not constant (gs_shape_not_constant). */
gs_status gs_shape_const_ints(gs_arena *a, const gs_node *n, int i,
                              const int64_t **list, int *count, gs_err *e);

/* GS_UNKNOWN, and a diagnostic of GS_UNSUPPORTED: operand i decides a shape,
 * but only a run knows it.  Every shape function says so by this, so that the
 * node can wait. */
gs_status gs_shape_not_constant(gs_arena *a, const gs_node *n, int i,
                                gs_err *e);

/* Results take the ranks and dims of the rule's results and the type of
 * operand 0. */
gs_status gs_shape_from_rule(gs_graph *g, gs_node *n, const gs_rule *r,
                             gs_err *e);
/* Shape function of rows with EIN: dims are products of factor sizes, the
 * type is that of operand 0. */
gs_shape_fn gs_shape_by_rule;

#endif
