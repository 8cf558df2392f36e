/* Resize. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/core/number.h"
#include "op/rows/tensor/movement.h"
#include "op/rows/nn/resize_dims.h"

gs_rule_fn gs_rule_resize;
gs_shape_fn gs_shape_resize;
gs_local_fn gs_local_resize;

/* Operand i as doubles: NULL and 0 when it is left out or empty.
 * GS_UNSUPPORTED when it is not constant. */
static gs_status floats(gs_arena *a, const gs_node *n, int i,
                        const double **list, int *count, gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  *list = NULL;
  *count = 0;
  if (!v || gs_product(v->dims, v->rank) == 0) return GS_OK;
  const void *bytes = v->constant ? gs_tensor_bytes(v->constant) : NULL;
  if (!bytes) return gs_shape_not_constant(a, n, i, e);
  int64_t m = gs_tensor_count(v->constant);
  if (v->rank != 1 || m > 2 * GS_MAX_RANK)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "operand %d '%s' must be a list, not %s", i, v->name,
                   gs_shape_text(a, v->dtype, v->rank, v->dims));
  double *x = GS_NEWS(a, m, double);
  for (int64_t j = 0; j < m; j++)
    if (!gs_number_at(v->constant, j, &x[j]))
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "operand %d '%s' must hold floats, not %s", i, v->name,
                     gs_dtype_get((int)v->dtype)->text);
  *list = x;
  *count = (int)m;
  return GS_OK;
}

/* Every dim, from constant operands; the region only where it counts. */
static gs_status plan(gs_arena *a, const gs_node *n, gs_resize_dim *dim,
                      gs_err *e) {
  gs_resize_args args = {0};
  gs_resize_how how;
  const gs_value *sizes = gs_node_in(n, 3);
  GS_TRY(gs_resize_attrs(a, n, &how, e));
  if (how.coord == GS_RESIZE_TF_CROP_AND_RESIZE)
    GS_TRY(floats(a, n, 1, &args.roi, &args.nroi, e));
  GS_TRY(floats(a, n, 2, &args.scales, &args.nscales, e));
  if (sizes && gs_product(sizes->dims, sizes->rank) > 0)
    GS_TRY(gs_shape_const_ints(a, n, 3, &args.sizes, &args.nsizes, e));
  return gs_resize_dims(a, n, n->in[0]->rank, n->in[0]->dims, &args, dim, e);
}

static bool is_open(const gs_node *n, int i) {
  const gs_value *v = gs_node_in(n, i);
  return v && gs_product(v->dims, v->rank) != 0 && gs_move_open(n, i);
}

static gs_status check_types(gs_arena *a, const gs_node *n,
                             const gs_resize_how *how, gs_err *e) {
  gs_dtype t = n->in[0]->dtype;
  char cls = gs_dtype_get((int)t)->cls;
  bool mixes = cls == 'f' || cls == 'i' || cls == 'u';
  if (how->mode == GS_RESIZE_NEAREST && how->antialias)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "antialias is for linear and cubic only");
  if (mixes || how->mode == GS_RESIZE_NEAREST) return GS_OK;
  return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                 "operand '%s' (%s) has no numbers to interpolate between",
                 n->in[0]->name, gs_dtype_get((int)t)->text);
}

gs_status gs_shape_resize(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  gs_resize_dim dim[GS_MAX_RANK];
  gs_resize_how how;
  int64_t dims[GS_MAX_RANK];
  GS_TRY(gs_resize_attrs(g->arena, n, &how, e));
  GS_TRY(check_types(g->arena, n, &how, e));
  bool crop = how.coord == GS_RESIZE_TF_CROP_AND_RESIZE;
  bool seen[GS_MAX_RANK] = {false};
  const gs_attr *axes = gs_node_attr(n, "axes");
  if (axes)
    GS_TRY(gs_shape_axis_set(g->arena, n, x, x->rank, axes->ints, axes->n,
                             seen, e));
  if ((is_open(n, 2) || is_open(n, 3) || (crop && is_open(n, 1))) &&
      n->out[0]->rank == x->rank)
    return gs_move_keep(g, n, e);
  GS_TRY(plan(g->arena, n, dim, e));
  for (int d = 0; d < x->rank; d++) dims[d] = dim[d].out;
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

/* Dims that a device resizes its part of, given the elements around. */
static void put_dims(gs_rule *r, const gs_node *n, const gs_resize_how *how,
                     const gs_resize_dim *dim) {
  for (int d = 0; d < n->in[0]->rank; d++) {
    gs_window_use use = {0};
    if (!dim[d].touched) {
      int f = gs_rule_factor(r, dim[d].in, GS_PASS);
      gs_rule_put(&r->in[0], d, f);
      gs_rule_put(&r->out[0], d, f);
    } else if (gs_resize_reach(how, &dim[d], &use.reach)) {
      gs_rule_window(r, 0, d, 0, d, dim[d].out, &use);
    } else {
      gs_rule_put(&r->in[0], d, gs_rule_whole(r, dim[d].in));
      gs_rule_put(&r->out[0], d, gs_rule_whole(r, dim[d].out));
    }
  }
}

gs_status gs_rule_resize(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  gs_resize_dim dim[GS_MAX_RANK];
  gs_resize_how how;
  bool touched[GS_MAX_RANK];
  GS_TRY(gs_resize_attrs(a, n, &how, e));
  bool known = plan(a, n, dim, NULL) == GS_OK;
  gs_rule_begin(a, n, r);
  for (int i = 1; i < n->nin; i++) gs_rule_in_whole(r, n, i);
  /* Operands that a run decides leave alone what `axes` does not list. */
  if (known) {
    put_dims(r, n, &how, dim);
    return GS_OK;
  }
  const gs_attr *axes = gs_node_attr(n, "axes");
  for (int d = 0; d < n->in[0]->rank; d++) touched[d] = !axes;
  for (int i = 0; axes && i < axes->n; i++)
    touched[gs_move_axis(axes->ints[i], n->in[0]->rank)] = true;
  gs_move_dims(r, n, touched);
  return GS_OK;
}

/* ---- the local form ---- */

static gs_value *float_list(gs_graph *g, const char *name, const double *v,
                            int n, bool wide) {
  gs_tensor *t;
  int64_t dims = n;
  if (gs_tensor_new(g->arena, wide ? GS_DOUBLE : GS_FLOAT, 1, &dims, &t, NULL))
    return NULL;
  double *f64 = GS_NEWS(g->arena, n + 1, double);
  float *f32 = GS_NEWS(g->arena, n + 1, float);
  for (int i = 0; i < n; i++) f32[i] = (float)(f64[i] = v[i]);
  t->data = wide ? (void *)f64 : (void *)f32;
  return gs_value_constant(g, name, t);
}

/* Only the touched dims are named, so that the local sizes of the others do
 * not matter.  Where one scale is kept for all listed dims they are touched
 * all or none. */
gs_status gs_local_resize(gs_local *l, gs_err *e) {
  const gs_node *n = l->node;
  gs_graph *g = l->program;
  gs_resize_dim dim[GS_MAX_RANK];
  int64_t axes[GS_MAX_RANK], sizes[GS_MAX_RANK];
  double scales[GS_MAX_RANK], roi[2 * GS_MAX_RANK];
  int count = 0;
  (void)e;
  if (plan(g->arena, n, dim, NULL) != GS_OK) {
    gs_local_same(l); /* not constant: every listed dim is whole */
    return GS_OK;
  }
  for (int d = 0; d < n->in[0]->rank; d++) {
    if (!dim[d].touched) continue;
    axes[count++] = d;
    if (!gs_local_splits(l, d, d + 1)) continue;
    gs_local_placed(l); /* with the global sizes and scales */
    return GS_OK;
  }
  if (!count) {
    l->out[0] = gs_local_emit(l, "", "Identity", l->in, 1, n->in[0]->dtype,
                              n->in[0]->rank, l->out_dims[0])
                    ->out[0];
    return GS_OK;
  }
  for (int i = 0; i < count; i++) {
    const gs_resize_dim *d = &dim[axes[i]];
    sizes[i] = d->want;
    scales[i] = d->scale;
    roi[i] = d->start;
    roi[count + i] = d->end;
  }
  const gs_value *region = gs_node_in(n, 1), *given = gs_node_in(n, 2);
  bool scaled = given && gs_product(given->dims, given->rank) > 0;
  bool all = count == n->in[0]->rank;
  if (all && !gs_node_attr(n, "axes")) {
    gs_local_same(l);
    return GS_OK;
  }
  gs_value *in[4] = {l->in[0], NULL, NULL, NULL};
  const char *crop = gs_node_string(n, "coordinate_transformation_mode", "");
  if (region && !strcmp(crop, "tf_crop_and_resize"))
    in[1] = float_list(g, "roi", roi, 2 * count, region->dtype == GS_DOUBLE);
  if (scaled) in[2] = float_list(g, "scales", scales, count, false);
  else in[3] = gs_value_ints(g, "sizes", sizes, count);
  gs_node *m = gs_local_emit(l, "", n->op_type, in, scaled ? 3 : 4,
                             n->in[0]->dtype, n->in[0]->rank, l->out_dims[0]);
  gs_node_set_all(g, m, n);
  gs_node_set_ints(g, m, "axes", axes, count);
  l->out[0] = m->out[0];
  return GS_OK;
}
