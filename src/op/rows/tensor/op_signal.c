/* DFT, STFT, window functions, MelWeightMatrix. */
#include <string.h>

#include "op/rows/tensor/movement.h"

gs_rule_fn gs_rule_dft, gs_rule_stft;
gs_shape_fn gs_shape_dft, gs_shape_stft, gs_shape_window,
    gs_shape_mel_weight_matrix;

static bool is_float(gs_dtype t) {
  return gs_dtype_get((int)t)->cls == 'f' && gs_dtype_get((int)t)->bits >= 16;
}

/* Constant scalar operand i, or `otherwise` when it is left out. */
static gs_status scalar(gs_arena *a, const gs_node *n, int i,
                        int64_t otherwise, int64_t *out, gs_err *e) {
  const int64_t *list;
  int count;
  GS_TRY(gs_shape_const_ints(a, n, i, &list, &count, e));
  *out = otherwise;
  if (!list) return GS_OK;
  if (count != 1)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "operand %d '%s' must be a scalar, not %s", i,
                   n->in[i]->name,
                   gs_shape_text(a, n->in[i]->dtype, n->in[i]->rank,
                                 n->in[i]->dims));
  *out = list[0];
  return GS_OK;
}

/* Floats, the last dim of which holds real (1) or complex (2) numbers. */
static gs_status check_signal(gs_arena *a, const gs_node *n, int min_rank,
                              gs_err *e) {
  const gs_value *x = n->in[0];
  if (x->rank >= min_rank && is_float(x->dtype) &&
      (x->dims[x->rank - 1] == 1 || x->dims[x->rank - 1] == 2))
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand '%s' %s is not a signal: floats, with 1 or 2 as the "
                 "last dim", x->name,
                 gs_shape_text(a, x->dtype, x->rank, x->dims));
}

/* ---- DFT ---- */

/* The transformed dim, from a constant operand. */
static gs_status dft_axis(gs_arena *a, const gs_node *n, int *axis,
                          gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t at;
  GS_TRY(scalar(a, n, 2, -2, &at, e));
  GS_TRY(gs_shape_axis(a, n, x, x->rank, &at, e));
  if (at == x->rank - 1)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "the last dim of '%s' holds real and imaginary parts: it "
                   "cannot be transformed", x->name);
  *axis = (int)at;
  return GS_OK;
}

gs_status gs_shape_dft(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0];
  bool inverse = gs_node_int(n, "inverse", 0) != 0;
  bool onesided = gs_node_int(n, "onesided", 0) != 0;
  int64_t dims[GS_MAX_RANK], length;
  int axis;
  GS_TRY(check_signal(a, n, 2, e));
  int last = x->rank - 1;
  if (onesided && (x->dims[last] == 2) != inverse)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "a one-sided %s needs %s numbers, and '%s' is %s",
                   inverse ? "inverse" : "transform",
                   inverse ? "complex" : "real", x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims));
  if ((gs_move_open(n, 1) || gs_move_open(n, 2)) && n->out[0]->rank == x->rank)
    return gs_move_keep(g, n, e);
  GS_TRY(dft_axis(a, n, &axis, e));
  bool half = onesided && inverse;
  GS_TRY(scalar(a, n, 1, half ? 2 * (x->dims[axis] - 1) : x->dims[axis],
                &length, e));
  if (length < 1)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "a transform of length %lld of '%s' %s", (long long)length,
                   x->name, gs_shape_text(a, x->dtype, x->rank, x->dims));
  for (int d = 0; d < last; d++) dims[d] = x->dims[d];
  dims[axis] = onesided && !inverse ? length / 2 + 1 : length;
  dims[last] = half ? 1 : 2;
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

gs_status gs_rule_dft(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  const gs_value *x = n->in[0];
  bool touched[GS_MAX_RANK];
  int axis = 0;
  bool known = dft_axis(a, n, &axis, NULL) == GS_OK;
  (void)e;
  gs_rule_begin(a, n, r);
  for (int i = 1; i < n->nin; i++) gs_rule_in_whole(r, n, i);
  for (int d = 0; d < x->rank; d++)
    touched[d] = !known || d == axis || d == x->rank - 1;
  gs_move_dims(r, n, touched);
  return GS_OK;
}

/* ---- STFT: signal[B, L, 1 or 2] -> [B, frames, bins, 2] ----
 * Exporters also write signal[B, L] for real numbers. */

static gs_status frame_length(gs_graph *g, const gs_node *n, int64_t *length,
                              gs_err *e) {
  const gs_value *x = n->in[0], *w = gs_node_in(n, 2);
  gs_arena *a = g->arena;
  GS_TRY(scalar(a, n, 3, w ? w->dims[0] : x->dims[1], length, e));
  if (w && w->dims[0] != *length)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "frames of %lld, but the window '%s' has %lld elements",
                   (long long)*length, w->name, (long long)w->dims[0]);
  if (*length < 1 || *length > x->dims[1])
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "frames of %lld of a signal '%s' of %lld",
                   (long long)*length, x->name, (long long)x->dims[1]);
  return GS_OK;
}

gs_status gs_shape_stft(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *w = gs_node_in(n, 2);
  int64_t step, length;
  if (x->rank != 2 || !is_float(x->dtype)) GS_TRY(check_signal(a, n, 3, e));
  if (x->rank > 3)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "operand '%s' has rank %d, not 3", x->name, x->rank);
  GS_TRY(gs_shape_same_type(a, n, 0, 2, e));
  if (w && w->rank != 1)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "the window '%s' has rank %d, not 1", w->name, w->rank);
  bool onesided = gs_node_int(n, "onesided", 1) != 0;
  if (onesided && x->rank == 3 && x->dims[2] == 2)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "a one-sided transform needs real numbers, and '%s' is %s",
                   x->name, gs_shape_text(a, x->dtype, x->rank, x->dims));
  if ((gs_move_open(n, 1) || gs_move_open(n, 3)) && n->out[0]->rank == 4)
    return gs_move_keep(g, n, e);
  GS_TRY(scalar(a, n, 1, 0, &step, e));
  GS_TRY(frame_length(g, n, &length, e));
  if (step < 1)
    return gs_fail(e, GS_DATA, gs_node_place(a, n), "a frame step of %lld",
                   (long long)step);
  int64_t dims[4] = {x->dims[0], (x->dims[1] - length) / step + 1,
                     onesided ? length / 2 + 1 : length, 2};
  return gs_shape_set(g, n, 0, x->dtype, 4, dims, e);
}

/* Frames of the signal, a window of `length` elements every `step`; false where
 * operands say so at run time only. */
static bool frames_of(gs_arena *a, const gs_node *n, gs_reach *reach) {
  int count;
  const int64_t *step = gs_value_int_list(a, gs_node_in(n, 1), &count);
  const int64_t *given = gs_value_int_list(a, gs_node_in(n, 3), &count);
  const gs_value *window = gs_node_in(n, 2);
  if (!step || (gs_node_in(n, 3) && !given)) return false;
  int64_t length = given ? given[0] : window ? window->dims[0] : 0;
  *reach = (gs_reach){n->out[0]->dims[1], step[0], 1, 0, length - 1, 0};
  return step[0] > 0 && length > 0;
}

/* Batch and frames pass. */
gs_status gs_rule_stft(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  const gs_value *x = n->in[0], *y = n->out[0];
  gs_window_use use = {.fill = GS_FILL_VALUE};
  (void)e;
  gs_rule_begin(a, n, r);
  int batch = gs_rule_factor(r, x->dims[0], GS_PASS);
  gs_rule_put(&r->in[0], 0, batch);
  gs_rule_put(&r->out[0], 0, batch);
  for (int i = 1; i < n->nin; i++) gs_rule_in_whole(r, n, i);
  bool known = frames_of(a, n, &use.reach);
  if (known) gs_rule_window(r, 0, 1, 0, 1, y->dims[1], &use);
  for (int d = known ? 2 : 1; d < x->rank; d++)
    gs_rule_put(&r->in[0], d, gs_rule_whole(r, x->dims[d]));
  for (int d = known ? 2 : 1; d < 4; d++)
    gs_rule_put(&r->out[0], d, gs_rule_whole(r, y->dims[d]));
  return GS_OK;
}

/* ---- made from sizes alone ---- */

static gs_status made_type(gs_graph *g, const gs_node *n, gs_dtype *type,
                           gs_err *e) {
  int64_t t = gs_node_int(n, "output_datatype", GS_FLOAT);
  const gs_dtype_info *d =
      t > 0 && t <= GS_BFLOAT16 ? gs_dtype_get((int)t) : NULL;
  *type = (gs_dtype)t;
  if (d && d->bits >= 8 && (is_float(*type) || d->cls == 'i' || d->cls == 'u'))
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "output_datatype %lld is not a type that it may have",
                 (long long)t);
}

/* The declared shape, of a type that an attribute says. */
static gs_status keep_made(gs_graph *g, gs_node *n, gs_dtype t, gs_err *e) {
  return gs_shape_set(g, n, 0, t, n->out[0]->rank, n->out[0]->dims, e);
}

gs_status gs_shape_window(gs_graph *g, gs_node *n, gs_err *e) {
  gs_dtype t;
  int64_t size;
  GS_TRY(made_type(g, n, &t, e));
  if (gs_move_open(n, 0) && n->out[0]->rank == 1) return keep_made(g, n, t, e);
  GS_TRY(scalar(g->arena, n, 0, 0, &size, e));
  if (size < 0)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "a window of %lld elements", (long long)size);
  return gs_shape_set(g, n, 0, t, 1, &size, e);
}

gs_status gs_shape_mel_weight_matrix(gs_graph *g, gs_node *n, gs_err *e) {
  gs_dtype t;
  int64_t bins, length;
  GS_TRY(made_type(g, n, &t, e));
  if ((gs_move_open(n, 0) || gs_move_open(n, 1)) && n->out[0]->rank == 2)
    return keep_made(g, n, t, e);
  GS_TRY(scalar(g->arena, n, 0, 0, &bins, e));
  GS_TRY(scalar(g->arena, n, 1, 0, &length, e));
  if (bins < 1 || length < 1)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "%lld bands of a transform of length %lld",
                   (long long)bins, (long long)length);
  int64_t dims[2] = {length / 2 + 1, bins};
  return gs_shape_set(g, n, 0, t, 2, dims, e);
}
