/* Rules, shapes and local forms of pooling. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"
#include "op/rule/window.h"

gs_rule_fn gs_rule_pool;
gs_shape_fn gs_shape_pool, gs_shape_global_pool,
    gs_shape_max_unpool, gs_shape_max_roi_pool, gs_shape_roi_align;
gs_local_fn gs_local_pool, gs_local_average_pool,
    gs_local_global_average_pool, gs_local_roi;

/* "'x' f32[3,4]", for messages. */
static const char *operand_text(gs_arena *a, const gs_value *v) {
  return gs_sprintf(a, "'%s' %s", v->name,
                    gs_shape_text(a, v->dtype, v->rank, v->dims));
}

/* ---- windows ---- */

gs_status gs_shape_pool(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  gs_window w;
  int64_t order = gs_node_int(n, "storage_order", 0); /* of MaxPool's indices */
  if (order != 0 && order != 1)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'storage_order' is %lld, neither 0 nor 1",
                   (long long)order);
  GS_TRY(gs_window_read(g->arena, n, x, NULL, &w, e));
  for (int d = 0; d < w.n; d++)
    if (gs_node_int(n, "count_include_pad", 0) == 0 &&
        (w.begin[d] >= gs_window_span(&w, d) ||
         w.end[d] >= gs_window_span(&w, d)))
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                     "padding of spatial dim %d as large as the window", d);
  int64_t dims[GS_MAX_RANK];
  memcpy(dims, x->dims, 2 * sizeof *dims);
  memcpy(dims + 2, w.out, (size_t)w.n * sizeof *dims);
  GS_TRY(gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e));
  return gs_shape_set(g, n, 1, GS_INT64, x->rank, dims, e);
}

/* Whether windows along spatial dim d divide by the same count everywhere. */
static bool counts_alike(const gs_node *n, const gs_window *w, int d) {
  int64_t last = (w->out[d] - 1) * w->stride[d] + gs_window_span(w, d);
  if (!w->begin[d] && last <= w->in[d]) return true;
  return gs_node_int(n, "count_include_pad", 0) != 0 &&
         last <= w->in[d] + w->begin[d] + w->end[d];
}

/* Batch and channels pass, spatial dims are windows.  The indices (result 1)
 * are split like the values. */
gs_status gs_rule_pool(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  const gs_value *x = n->in[0];
  gs_window w;
  GS_TRY(gs_window_read(a, n, x, NULL, &w, e));
  gs_rule_begin(a, n, r);
  for (int d = 0; d < 2; d++) {
    int f = gs_rule_factor(r, x->dims[d], GS_PASS);
    gs_rule_put(&r->in[0], d, f);
    gs_rule_put(&r->out[0], d, f);
  }
  double outside = n->op->combine == GS_REDUCE_MAX ? -INFINITY : 0;
  for (int d = 0; d < w.n; d++) gs_window_put(r, &w, 0, d, &outside);
  for (int d = 0; gs_node_out(n, 1) && d < x->rank; d++)
    gs_rule_put(&r->out[1], d, r->out[0].dim[d].f[0]);
  return GS_OK;
}

/* Held in windows, the operand has its padding already.  Dims of `edges` have
 * windows that are not alike everywhere. */
static void local_pool(gs_local *l, const gs_window *w, uint64_t edges) {
  uint64_t held = gs_window_held(l, 0);
  if (held & edges) {
    gs_local_placed(l);
    return;
  }
  gs_node *n = gs_local_same(l);
  if (held) gs_window_set_pads(l->program, n, w, held);
}

/* Indices count over the whole operand, its batch and channels too. */
gs_status gs_local_pool(gs_local *l, gs_err *e) {
  gs_window w;
  const gs_node *n = l->node;
  GS_TRY(gs_window_read(l->program->arena, n, n->in[0], NULL, &w, e));
  if (gs_node_out(n, 1)) gs_local_placed(l);
  else local_pool(l, &w, 0);
  return GS_OK;
}

gs_status gs_local_average_pool(gs_local *l, gs_err *e) {
  gs_window w;
  uint64_t edges = 0;
  const gs_node *n = l->node;
  GS_TRY(gs_window_read(l->program->arena, n, n->in[0], NULL, &w, e));
  for (int d = 0; d < w.n; d++)
    if (!counts_alike(n, &w, d)) edges |= (uint64_t)1 << d;
  local_pool(l, &w, edges);
  return GS_OK;
}

/* ---- all of a channel ---- */

gs_status gs_shape_global_pool(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t dims[GS_MAX_RANK];
  if (x->rank < 2)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "%s has no batch and channels",
                   operand_text(g->arena, x));
  for (int d = 0; d < x->rank; d++) dims[d] = d < 2 ? x->dims[d] : 1;
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

/* A sum divided by the true count. */
static gs_value *divide(gs_local *l, int out, gs_value *sum) {
  double count = 1;
  for (int f = 0; f < l->rule->nfactor; f++)
    if (l->rule->factor[f].kind == GS_SUMMED)
      count *= (double)l->rule->factor[f].size;
  gs_value *in[2] = {sum, gs_local_scalar(l, sum->dtype, count)};
  gs_value *mean = gs_local_like(l, "Div", in, 2)->out[0];
  return gs_local_cast(l, mean, l->node->out[out]->dtype);
}

/* With spatial dims split the sums are partial; 16-bit floats are summed in
 * f32 and rounded once. */
gs_status gs_local_global_average_pool(gs_local *l, gs_err *e) {
  (void)e;
  const gs_value *y = l->node->out[0];
  if (!l->partial) {
    gs_local_same(l);
    return GS_OK;
  }
  gs_dtype t = y->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  int64_t axes[GS_MAX_RANK];
  for (int d = 2; d < y->rank; d++) axes[d - 2] = d;
  gs_value *in[2] = {gs_local_cast(l, l->in[0], t),
                     gs_value_ints(l->program, NULL, axes, y->rank - 2)};
  gs_node *n = gs_local_emit(l, "", "ReduceSum", in, 2, t, y->rank,
                             l->out_dims[0]);
  l->out[0] = n->out[0];
  l->stage[0].finish = divide;
  return GS_OK;
}

/* ---- MaxUnpool ---- */

gs_status gs_shape_max_unpool(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *i = n->in[1];
  gs_window w;
  const int64_t *want;
  int count;
  GS_TRY(gs_window_read_transposed(a, n, x, NULL, &w, e));
  if (i->dtype != GS_INT64 || i->rank != x->rank ||
      !gs_same_dims(i->dims, x->dims, x->rank))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "indices %s are not i64 of the shape of %s",
                   operand_text(a, i), operand_text(a, x));
  GS_TRY(gs_shape_const_ints(a, n, 2, &want, &count, e));
  if (want && count != x->rank)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "output_shape '%s' has %d numbers, not %d", n->in[2]->name,
                   count, x->rank);
  int64_t dims[GS_MAX_RANK];
  memcpy(dims, x->dims, 2 * sizeof *dims);
  memcpy(dims + 2, w.out, (size_t)w.n * sizeof *dims);
  for (int d = 0; want && d < count; d++) {
    if (d < 2 ? want[d] != dims[d] : want[d] < dims[d])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "output_shape[%d] is %lld, but the windows need %lld", d,
                     (long long)want[d], (long long)dims[d]);
    dims[d] = want[d];
  }
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

/* ---- regions of interest ---- */

/* Result [regions, channels, out[0], out[1]] for regions of `each` numbers in
 * operand 1. */
static gs_status roi_shape(gs_graph *g, gs_node *n, int64_t each,
                           const int64_t *out, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *rois = n->in[1];
  GS_TRY(gs_shape_same_type(a, n, 0, 1, e));
  if (x->rank != 4 || rois->rank != 2 || rois->dims[1] != each)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%s must be of rank 4, and regions %s of shape [n,%lld]",
                   operand_text(a, x), operand_text(a, rois),
                   (long long)each);
  if (out[0] < 1 || out[1] < 1 || out[0] > INT32_MAX || out[1] > INT32_MAX)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "a result of %lld x %lld elements for each region",
                   (long long)out[0], (long long)out[1]);
  int64_t dims[4] = {rois->dims[0], x->dims[1], out[0], out[1]};
  return gs_shape_set(g, n, 0, x->dtype, 4, dims, e);
}

gs_status gs_shape_max_roi_pool(gs_graph *g, gs_node *n, gs_err *e) {
  int64_t out[2];
  if (!gs_node_attr(n, "pooled_shape"))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'pooled_shape' is missing");
  GS_TRY(gs_window_list(g->arena, n, "pooled_shape", 2, 1, 1, out, e));
  return roi_shape(g, n, 5, out, e);
}

gs_status gs_shape_roi_align(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *batch = n->in[2], *rois = n->in[1];
  int64_t out[2] = {gs_node_int(n, "output_height", 1),
                    gs_node_int(n, "output_width", 1)};
  const char *mode = gs_node_string(n, "mode", "avg");
  const char *frame =
      gs_node_string(n, "coordinate_transformation_mode", "half_pixel");
  if (strcmp(mode, "avg") && strcmp(mode, "max"))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'mode' is '%s', neither avg nor max", mode);
  if (strcmp(frame, "half_pixel") && strcmp(frame, "output_half_pixel"))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'coordinate_transformation_mode' is '%s', which "
                   "is not one of ONNX's", frame);
  GS_TRY(roi_shape(g, n, 4, out, e));
  if (batch->rank != 1 || batch->dims[0] != rois->dims[0] ||
      batch->dtype != GS_INT64)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "batch indices %s are not one i64 for each of %s",
                   operand_text(a, batch), operand_text(a, rois));
  return GS_OK;
}

/* Regions of the padding of uneven shards become zeros, so that none is of
 * an image that is not there. */
gs_status gs_local_roi(gs_local *l, gs_err *e) {
  (void)e;
  for (int i = 1; i < l->node->nin; i++) gs_local_mask(l, i);
  gs_local_same(l);
  return GS_OK;
}
