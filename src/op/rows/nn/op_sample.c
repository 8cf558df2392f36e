/* GridSample, AffineGrid, CenterCropPad. */
#include <string.h>

#include "op/rows/tensor/movement.h"

gs_rule_fn gs_rule_grid_sample;
gs_shape_fn gs_shape_grid_sample, gs_shape_affine_grid;
gs_local_fn gs_local_center_crop_pad;

static bool is_float(gs_dtype t) {
  return gs_dtype_get((int)t)->cls == 'f' && gs_dtype_get((int)t)->bits >= 16;
}

/* ---- GridSample: [N, C, in...], grid [N, out..., r] -> [N, C, out...] ---- */

gs_status gs_shape_grid_sample(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0], *grid = n->in[1];
  int64_t dims[GS_MAX_RANK];
  int r = x->rank - 2;
  if (r < 1 || grid->rank != x->rank || grid->dims[r + 1] != r ||
      grid->dims[0] != x->dims[0])
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "operand '%s' %s is not a grid for '%s' %s", grid->name,
                   gs_shape_text(g->arena, grid->dtype, grid->rank,
                                 grid->dims),
                   x->name,
                   gs_shape_text(g->arena, x->dtype, x->rank, x->dims));
  if (!is_float(grid->dtype))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "operand '%s' (%s) must hold floats", grid->name,
                   gs_dtype_get((int)grid->dtype)->text);
  dims[0] = x->dims[0];
  dims[1] = x->dims[1];
  int64_t taken = 1;
  for (int d = 0; d < r; d++) {
    dims[d + 2] = grid->dims[d + 1];
    if (dims[d + 2] == 0) taken = 0;
  }
  for (int d = 0; d < r; d++)
    if (taken && x->dims[d + 2] == 0)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "dim %d of '%s' is empty: nothing to sample", d + 2,
                     x->name);
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

gs_status gs_rule_grid_sample(gs_arena *a, const gs_node *n, gs_rule *r,
                              gs_err *e) {
  const gs_value *x = n->in[0], *grid = n->in[1];
  (void)e;
  gs_rule_begin(a, n, r);
  int batch = gs_rule_factor(r, x->dims[0], GS_PASS);
  int channel = gs_rule_factor(r, x->dims[1], GS_PASS);
  gs_rule_put(&r->in[0], 0, batch);
  gs_rule_put(&r->in[1], 0, batch);
  gs_rule_put(&r->out[0], 0, batch);
  gs_rule_put(&r->in[0], 1, channel);
  gs_rule_put(&r->out[0], 1, channel);
  for (int d = 2; d < x->rank; d++) {
    int f = gs_rule_factor(r, grid->dims[d - 1], GS_PASS);
    gs_rule_put(&r->in[1], d - 1, f);
    gs_rule_put(&r->out[0], d, f);
    gs_rule_put(&r->in[0], d, gs_rule_whole(r, x->dims[d]));
  }
  gs_rule_put(&r->in[1], x->rank - 1, gs_rule_whole(r, x->rank - 2));
  return GS_OK;
}

/* ---- AffineGrid: theta[N, r, r + 1], size -> [N, out..., r] ---- */

gs_status gs_shape_affine_grid(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *t = n->in[0];
  int64_t dims[GS_MAX_RANK];
  const int64_t *size;
  int count;
  if (t->rank != 3 || t->dims[1] < 2 || t->dims[1] > 3 ||
      t->dims[2] != t->dims[1] + 1 || !is_float(t->dtype))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "operand '%s' %s is not a batch of 2 x 3 or 3 x 4 matrices",
                   t->name,
                   gs_shape_text(g->arena, t->dtype, t->rank, t->dims));
  int r = (int)t->dims[1];
  if (gs_move_open(n, 1) && n->out[0]->rank == r + 2)
    return gs_move_keep(g, n, e);
  GS_TRY(gs_shape_const_ints(g->arena, n, 1, &size, &count, e));
  if (count != r + 2 || size[0] != t->dims[0])
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "operand '%s' is not a size of %d dims with a batch of %lld",
                   n->in[1]->name, r + 2, (long long)t->dims[0]);
  dims[0] = t->dims[0];
  for (int d = 0; d < r; d++) {
    dims[d + 1] = size[d + 2];
    if (size[d + 2] < 0)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "operand '%s' has a negative size", n->in[1]->name);
  }
  dims[r + 1] = r;
  return gs_shape_set(g, n, 0, t->dtype, r + 2, dims, e);
}

/* ---- CenterCropPad ---- */

/* Cut and padded alike at both ends; what is odd goes to the end. */
gs_status gs_span_center_crop_pad(gs_arena *a, const gs_node *n,
                                  gs_dim_span *s, gs_err *e) {
  const gs_value *x = n->in[0];
  const gs_attr *at = gs_node_attr(n, "axes");
  bool seen[GS_MAX_RANK] = {false};
  const int64_t *size;
  int count, naxes = at ? at->n : x->rank;
  GS_TRY(gs_shape_const_ints(a, n, 1, &size, &count, e));
  if (count != naxes || count > x->rank)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%d sizes for %d dims of '%s' (rank %d)", count, naxes,
                   x->name, x->rank);
  if (at) GS_TRY(gs_shape_axis_set(a, n, x, x->rank, at->ints, at->n, seen, e));
  for (int d = 0; d < x->rank; d++) s[d] = (gs_dim_span){0, 1, x->dims[d]};
  for (int i = 0; i < count; i++) {
    int d = gs_move_axis(at ? at->ints[i] : i, x->rank);
    if (size[i] < 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "a size of %lld for dim %d of '%s'", (long long)size[i],
                     d, x->name);
    s[d].first = (x->dims[d] - size[i]) / 2;
    s[d].count = size[i];
  }
  return GS_OK;
}

/* Only the touched dims are named. */
gs_status gs_local_center_crop_pad(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[0], *y = l->node->out[0];
  int64_t axes[GS_MAX_RANK], size[GS_MAX_RANK];
  int count = 0;
  (void)e;
  for (int d = 0; d < x->rank; d++) {
    if (x->dims[d] == y->dims[d] || (l->done >> d & 1)) continue;
    axes[count] = d;
    size[count++] = y->dims[d];
  }
  gs_node *n = gs_local_same(l);
  n->in[1] = gs_value_ints(l->program, "shape", size, count);
  gs_node_set_ints(l->program, n, "axes", axes, count);
  return GS_OK;
}
