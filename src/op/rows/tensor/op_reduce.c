/* Rules, shapes and local forms of the rows of "reduction and scans". */
#include <float.h>
#include <string.h>

#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"
#include "op/core/signature.h"

gs_rule_fn gs_rule_reduce, gs_rule_arg, gs_rule_cumsum;
gs_shape_fn gs_shape_reduce, gs_shape_arg, gs_shape_topk;
gs_local_fn gs_local_reduce_mean, gs_local_reduce_l2, gs_local_reduce_log_sum,
    gs_local_reduce_log_sum_exp;

/* ---- reductions ---- */

/* Which dims of operand 0 a node reduces: those that operand 1 lists; all of
 * them when it lists none, unless noop_with_empty_axes.  Rows that have no
 * operand for it have the attribute `axis`. */
static gs_status reduced_axes(gs_arena *a, const gs_node *n, bool *set,
                              gs_err *e) {
  const gs_value *x = n->in[0];
  const int64_t *axes;
  int count, axis;
  memset(set, 0, GS_MAX_RANK * sizeof *set);
  if (n->op->max_in == 1) {
    GS_TRY(gs_shape_axis_attr(a, n, "axis", 0, &axis, e));
    set[axis] = true;
    return GS_OK;
  }
  GS_TRY(gs_shape_const_ints(a, n, 1, &axes, &count, e));
  if (count) return gs_shape_axis_set(a, n, x, x->rank, axes, count, set, e);
  bool all = gs_node_int(n, "noop_with_empty_axes", 0) == 0;
  for (int d = 0; d < x->rank; d++) set[d] = all;
  return GS_OK;
}

gs_status gs_shape_reduce(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  bool keep = gs_node_int(n, "keepdims", 1) != 0, set[GS_MAX_RANK];
  int64_t dims[GS_MAX_RANK];
  gs_dtype t = x->dtype;
  int rank = 0;
  GS_TRY(reduced_axes(g->arena, n, set, e));
  if (n->op->signature) GS_TRY(gs_signature_type(g, n, 0, &t, e));
  for (int d = 0; d < x->rank; d++) {
    if (!set[d]) dims[rank++] = x->dims[d];
    else if (keep) dims[rank++] = 1;
  }
  return gs_shape_set(g, n, 0, t, rank, dims, e);
}

/* Passing factors for the dims that stay, the family's kind for the others. */
gs_status gs_rule_reduce(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  const gs_value *x = n->in[0];
  bool keep = gs_node_int(n, "keepdims", 1) != 0, set[GS_MAX_RANK];
  int at = 0;
  GS_TRY(reduced_axes(a, n, set, e));
  gs_rule_begin(a, n, r);
  for (int d = 0; d < x->rank; d++) {
    int f = gs_rule_factor(r, x->dims[d],
                           set[d] ? n->op->family->kind : GS_PASS);
    gs_rule_put(&r->in[0], d, f);
    if (!set[d]) gs_rule_put(&r->out[0], at, f);
    at += keep || !set[d];
  }
  gs_rule_in_whole(r, n, 1);
  return GS_OK;
}

/* ---- CumSum ---- */

/* The axis of operand 1; -1 when it is not constant. */
static gs_status cumsum_axis(gs_arena *a, const gs_node *n, int *axis,
                             gs_err *e) {
  int count;
  const int64_t *list = gs_value_int_list(a, n->in[1], &count);
  *axis = -1;
  if (!list) return GS_OK;
  if (count != 1)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "axis '%s' must be one number, not %d", n->in[1]->name,
                   count);
  int64_t at = list[0];
  GS_TRY(gs_shape_axis(a, n, n->in[0], n->in[0]->rank, &at, e));
  *axis = (int)at;
  return GS_OK;
}

gs_status gs_rule_cumsum(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  int axis;
  GS_TRY(cumsum_axis(a, n, &axis, e));
  gs_rule_begin(a, n, r);
  gs_rule_tie(n, r, 0, 1);
  for (int d = 0; d < r->nfactor && d < GS_MAX_FACTORS; d++)
    if (d == axis) r->factor[d].kind = GS_SCAN;
    else if (axis < 0) r->factor[d].kind = GS_WHOLE;
  gs_rule_in_whole(r, n, 1);
  return GS_OK;
}

/* ---- TopK ---- */

gs_status gs_shape_topk(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0];
  int axis, count;
  const int64_t *k;
  GS_TRY(gs_shape_axis_attr(a, n, "axis", -1, &axis, e));
  GS_TRY(gs_shape_const_ints(a, n, 1, &k, &count, e));
  if (count != 1 || k[0] < 0 || k[0] > x->dims[axis])
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "k '%s' (%lld) must be one number from 0 to dim %d of '%s' "
                   "%s", n->in[1]->name, count ? (long long)k[0] : 0LL, axis,
                   x->name, gs_shape_text(a, x->dtype, x->rank, x->dims));
  int64_t dims[GS_MAX_RANK];
  memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  dims[axis] = k[0];
  GS_TRY(gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e));
  return gs_shape_set(g, n, 1, GS_INT64, x->rank, dims, e);
}

/* ---- local forms ---- */

/* The type that partial sums of type t are kept in: wide enough for the
 * result to be rounded once. */
static gs_dtype sum_type(gs_dtype t, bool squares) {
  const gs_dtype_info *info = gs_dtype_get(t);
  if (info->cls == 'f') return info->bits < 32 ? GS_FLOAT : t;
  if (squares) return GS_DOUBLE;
  return info->cls == 'u' ? GS_UINT64 : GS_INT64;
}

/* Elements that each result of the node is made from, over the whole model. */
static double true_count(const gs_local *l) {
  double count = 1;
  for (int f = 0; f < l->rule->nfactor; f++)
    if (l->rule->factor[f].kind == GS_SUMMED)
      count *= (double)l->rule->factor[f].size;
  return count;
}

/* Emits reduction op_type of the operand in its sum type. */
static void emit_sum(gs_local *l, const char *op_type, bool squares) {
  const gs_value *y = l->node->out[0];
  gs_dtype t = sum_type(y->dtype, squares);
  gs_value *in[2] = {gs_local_cast(l, l->in[0], t), NULL};
  int nin = 1;
  if (l->node->nin > 1 && l->in[1]) in[nin++] = l->in[1];
  gs_node *n = gs_local_emit(l, "", op_type, in, nin, t, y->rank,
                             l->out_dims[0]);
  gs_local_copy(l, n, "keepdims");
  gs_local_copy(l, n, "noop_with_empty_axes");
  l->out[0] = n->out[0];
}

static gs_value *divide(gs_local *l, int out, gs_value *sum) {
  gs_value *in[2] = {sum, gs_local_scalar(l, sum->dtype, true_count(l))};
  gs_value *mean = gs_local_like(l, "Div", in, 2)->out[0];
  return gs_local_cast(l, mean, l->node->out[out]->dtype);
}

gs_status gs_local_reduce_mean(gs_local *l, gs_err *e) {
  (void)e;
  if (l->partial) {
    emit_sum(l, "ReduceSum", false);
    l->stage[0].finish = divide;
  } else {
    gs_local_same(l);
  }
  return GS_OK;
}

static gs_value *root(gs_local *l, int out, gs_value *sum) {
  gs_value *y = gs_local_like(l, "Sqrt", &sum, 1)->out[0];
  return gs_local_cast(l, y, l->node->out[out]->dtype);
}

gs_status gs_local_reduce_l2(gs_local *l, gs_err *e) {
  (void)e;
  if (l->partial) {
    emit_sum(l, "ReduceSumSquare", true);
    l->stage[0].finish = root;
  } else {
    gs_local_same(l);
  }
  return GS_OK;
}

static gs_value *logarithm(gs_local *l, int out, gs_value *sum) {
  gs_value *y = gs_local_like(l, "Log", &sum, 1)->out[0];
  return gs_local_cast(l, y, l->node->out[out]->dtype);
}

gs_status gs_local_reduce_log_sum(gs_local *l, gs_err *e) {
  (void)e;
  if (l->partial) {
    emit_sum(l, "ReduceSum", true);
    l->stage[0].finish = logarithm;
  } else {
    gs_local_same(l);
  }
  return GS_OK;
}

/* The logarithm of sum_i e^(y_i) is m + ln sum_i e^(y_i - m), with y_i what
 * device i has found and m their maximum: two reductions of results. */
static gs_value *add_maximum(gs_local *l, int out, gs_value *sum) {
  gs_value *in[2] = {l->kept, NULL};
  in[1] = gs_local_like(l, "Log", &sum, 1)->out[0];
  gs_value *y = gs_local_like(l, "Add", in, 2)->out[0];
  return gs_local_cast(l, y, l->node->out[out]->dtype);
}

static gs_value *powers(gs_local *l, int out, gs_value *max) {
  gs_dtype t = max->dtype;
  double limit = t == GS_DOUBLE ? DBL_MAX : (double)FLT_MAX;
  (void)out;
  /* -inf less -inf is no number. */
  gs_value *bound[3] = {max, gs_local_scalar(l, t, -limit),
                        gs_local_scalar(l, t, limit)};
  gs_value *m = gs_local_like(l, "Clip", bound, 3)->out[0];
  gs_value *pair[2] = {l->kept, m};
  gs_value *less = gs_local_like(l, "Sub", pair, 2)->out[0];
  l->kept = m;
  return gs_local_like(l, "Exp", &less, 1)->out[0];
}

gs_status gs_local_reduce_log_sum_exp(gs_local *l, gs_err *e) {
  (void)e;
  if (l->partial) {
    emit_sum(l, "ReduceLogSumExp", true);
    l->kept = l->out[0];
    l->stage[0].finish = powers;
    l->stage[1] = (gs_local_stage){GS_REDUCE_SUM, add_maximum};
    l->nstage = 2;
  } else {
    gs_local_same(l);
  }
  return GS_OK;
}
