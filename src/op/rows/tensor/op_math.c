/* Rules and shapes of the rows of "activations and more mathematics" and of
 * "bits and integers". */
#include <string.h>

#include "op/core/local.h"
#include "op/core/rule.h"
#include "op/core/shape.h"
#include "op/core/signature.h"

gs_shape_fn gs_shape_bit_shift, gs_shape_bit_cast;

static gs_status no_type(gs_graph *g, const gs_node *n, const char *want,
                         gs_err *e) {
  const gs_value *x = n->in[0];
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "operand 0 '%s' is %s, but must be %s", x->name,
                 gs_dtype_get((int)x->dtype)->text, want);
}

gs_status gs_shape_bit_shift(gs_graph *g, gs_node *n, gs_err *e) {
  const char *way = gs_node_string(n, "direction", "");
  if (strcmp(way, "LEFT") && strcmp(way, "RIGHT"))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'direction' is '%s', neither LEFT nor RIGHT",
                   way);
  return gs_shape_signed(g, n, e);
}

gs_status gs_shape_bit_cast(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t to = gs_node_int(n, "to", GS_UNDEFINED);
  if (to <= GS_UNDEFINED || to >= GS_NDTYPE)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'to' is %lld, which is not an element type",
                   (long long)to);
  const gs_dtype_info *from = gs_dtype_get((int)x->dtype);
  const gs_dtype_info *as = gs_dtype_get((int)to);
  if (!from->bits || from->bits != as->bits)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "'%s' is %s, which does not have as many bits as %s",
                   x->name,
                   from->text, as->text);
  return gs_shape_set(g, n, 0, (gs_dtype)to, x->rank, x->dims, e);
}

/* ---- Det, EyeLike, ReverseSequence ---- */

gs_rule_fn gs_rule_det, gs_rule_reverse_sequence;
gs_shape_fn gs_shape_det, gs_shape_reverse_sequence;

gs_status gs_shape_det(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  if (gs_dtype_get((int)x->dtype)->cls != 'f')
    return no_type(g, n, "of a floating-point type", e);
  if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2])
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "'%s' %s does not end in square matrices", x->name,
                   gs_shape_text(g->arena, x->dtype, x->rank, x->dims));
  return gs_shape_set(g, n, 0, x->dtype, x->rank - 2, x->dims, e);
}

gs_status gs_rule_det(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  const gs_value *x = n->in[0];
  (void)e;
  gs_rule_begin(a, n, r);
  for (int d = 0; d < x->rank; d++) {
    bool batch = d < x->rank - 2;
    int f = gs_rule_factor(r, x->dims[d], batch ? GS_PASS : GS_WHOLE);
    gs_rule_put(&r->in[0], d, f);
    if (batch) gs_rule_put(&r->out[0], d, f);
  }
  return GS_OK;
}

gs_local_fn gs_local_eye_like;

/* The operand may be split, the result is not: zeros of the global shape stand
 * in for it. */
gs_status gs_local_eye_like(gs_local *l, gs_err *e) {
  const gs_value *y = l->node->out[0];
  gs_value *shape = gs_value_ints(l->program, NULL, y->dims, 2);
  gs_value *zeros = gs_local_emit(l, "", "ConstantOfShape", &shape, 1,
                                  GS_FLOAT, 2, y->dims)->out[0];
  (void)e;
  gs_node *n = gs_local_same(l);
  n->in[0] = zeros;
  gs_node_set_int(l->program, n, "dtype", y->dtype);
  return GS_OK;
}

static gs_status sequence_axes(gs_arena *a, const gs_node *n, int *time,
                               int *batch, gs_err *e) {
  GS_TRY(gs_shape_axis_attr(a, n, "time_axis", 0, time, e));
  GS_TRY(gs_shape_axis_attr(a, n, "batch_axis", 1, batch, e));
  if (*time != *batch) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "time_axis and batch_axis are both %d", *time);
}

gs_status gs_shape_reverse_sequence(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *v = n->in[1];
  int time, batch;
  GS_TRY(sequence_axes(a, n, &time, &batch, e));
  if (v->dtype != GS_INT64 || v->rank != 1 || v->dims[0] != x->dims[batch])
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' %s is not one i64 for each of dim %d of '%s' %s",
                   v->name, gs_shape_text(a, v->dtype, v->rank, v->dims),
                   batch, x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims));
  return gs_shape_set_like(g, n, 0, e);
}

gs_status gs_rule_reverse_sequence(gs_arena *a, const gs_node *n, gs_rule *r,
                                   gs_err *e) {
  int time, batch;
  GS_TRY(sequence_axes(a, n, &time, &batch, e));
  gs_rule_begin(a, n, r);
  gs_rule_tie(n, r, 0, 1);
  r->factor[time].kind = GS_WHOLE; /* factors of the result are 0, 1, ... */
  gs_rule_put(&r->in[1], 0, r->out[0].dim[batch].f[0]);
  return GS_OK;
}
