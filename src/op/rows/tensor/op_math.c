/* EyeLike and ReverseSequence. */
#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

gs_rule_fn gs_rule_reverse_sequence;
gs_shape_fn gs_shape_reverse_sequence;

gs_local_fn gs_local_eye_like;

/* The operand, of which only the shape is read, may be split otherwise than the
 * result: where that is whole, zeros of its shape stand in for the operand. */
gs_status gs_local_eye_like(gs_local *l, gs_err *e) {
  const gs_value *y = l->node->out[0];
  (void)e;
  if (gs_local_splits(l, 0, 2)) {
    gs_local_placed(l);
    return GS_OK;
  }
  gs_value *shape = gs_value_ints(l->program, NULL, y->dims, 2);
  gs_value *zeros = gs_local_emit(l, "", "ConstantOfShape", &shape, 1,
                                  GS_FLOAT, 2, y->dims)->out[0];
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
