/* Gathering and scattering by index.
 *
 * Along a dim of the data that indices select from, each device has a block:
 * what is read is zero where another device has it, so that the sum is the
 * result, and what is written is written by its owner.  Updates may be split
 * as well where they are reduced: each device applies its own, to the data on
 * one device and to the identity of the reduction on the others. */
#include "base/assert.h"
#include "base/math.h"
#include "op/core/local.h"
#include "op/core/signature.h"
#include "op/rows/tensor/movement.h"

/* Ties dim i of operand a with dim j of result 0 by a passing factor. */
static int tie(gs_rule *r, gs_tensor_map *t, int i, int64_t size, int j) {
  int f = gs_rule_factor(r, size, GS_PASS);
  gs_rule_put(t, i, f);
  gs_rule_put(&r->out[0], j, f);
  return f;
}

static gs_status index_type(gs_graph *g, const gs_node *n, gs_err *e) {
  const gs_value *v = n->in[1];
  if (v->dtype == GS_INT64 || v->dtype == GS_INT32) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "indices '%s' are of type %s, need i32 or i64", v->name,
                 gs_dtype_get(v->dtype)->text);
}

/* ---- Gather ---- */

gs_status gs_shape_gather(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0], *i = n->in[1];
  int64_t dims[2 * GS_MAX_RANK];
  int axis, rank = 0;
  GS_TRY(index_type(g, n, e));
  GS_TRY(gs_shape_axis_attr(g->arena, n, "axis", 0, &axis, e));
  for (int d = 0; d < axis; d++) dims[rank++] = x->dims[d];
  for (int d = 0; d < i->rank; d++) dims[rank++] = i->dims[d];
  for (int d = axis + 1; d < x->rank; d++) dims[rank++] = x->dims[d];
  return gs_shape_set(g, n, 0, x->dtype, rank, dims, e);
}

gs_status gs_local_gather(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[0];
  int axis = gs_move_axis(gs_node_int(l->node, "axis", 0), x->rank);
  const gs_axes *axes = &l->factor[l->rule->in[0].dim[axis].f[0]];
  const gs_value *y = l->node->out[0];
  gs_node *n;
  (void)e;
  if (axes->n == 0) {
    gs_local_same(l);
    return GS_OK;
  }
  n = gs_local_emit(l, "ai.gshard", l->node->op_type, l->in, 2, x->dtype,
                    y->rank, l->out_dims[0]);
  gs_node_set_int(l->program, n, "axis", axis);
  gs_node_set_axes(l->program, n, "axes", axes);
  gs_node_set_int(l->program, n, "size", x->dims[axis]);
  l->out[0] = n->out[0];
  return GS_OK;
}

/* ---- factors that indices select along, or select ---- */

static bool scatters(const gs_node *n) { return n->op->min_in > 2; }

/* A factor of the data alone, or of data and result: written by its owner, or
 * read by all and summed. */
static int data_factor(gs_rule *r, const gs_node *n, int64_t size) {
  gs_factor_kind kind = scatters(n)                       ? GS_PASS
                        : gs_rule_adds(n->in[0]->dtype) ? GS_SUMMED
                                                          : GS_LOOKUP;
  return gs_rule_factor(r, size, kind);
}

/* A factor of indices and updates alone: those of each device give a partial
 * result where they are reduced. */
static int update_factor(gs_rule *r, const gs_node *n, int64_t size) {
  static const char *const names[GS_NREDUCE] = {
      [GS_REDUCE_SUM] = "add",
      [GS_REDUCE_PROD] = "mul",
      [GS_REDUCE_MAX] = "max",
      [GS_REDUCE_MIN] = "min"};
  const char *reduction = gs_node_string(n, "reduction", "none");
  for (int k = 0; k < GS_NREDUCE && gs_rule_adds(n->in[0]->dtype); k++) {
    if (strcmp(reduction, names[k])) continue;
    int f = gs_rule_factor(r, size, GS_SUMMED);
    if (f < GS_MAX_FACTORS) r->factor[f].reduce = (gs_reduce)k;
    return f;
  }
  return gs_rule_whole(r, size);
}

/* Operand 0 on the first device along axes, ones elsewhere. */
static void enter_once(gs_local *l, const gs_axes *axes) {
  gs_value *x = l->in[0], *at[3];
  gs_node *n = gs_local_emit(l, "ai.gshard", "Coordinate", NULL, 0, GS_INT64,
                             0, NULL);
  gs_node_set_axes(l->program, n, "axes", axes);
  at[0] = n->out[0];
  at[1] = gs_local_scalar(l, GS_INT64, 0);
  at[0] = gs_local_emit(l, "", "Equal", at, 2, GS_BOOL, 0, NULL)->out[0];
  at[1] = x;
  at[2] = gs_local_scalar(l, x->dtype, 1);
  l->in[0] = gs_local_emit(l, "", "Where", at, 3, x->dtype, x->rank, x->dims)
                 ->out[0];
}

/* Where updates are split, the data counts once; of minima and maxima it may
 * count often. */
static void place_data(gs_local *l) {
  gs_subset set = 0;
  for (int f = 0; f < l->rule->nfactor; f++)
    if (l->rule->factor[f].kind == GS_SUMMED) set |= gs_axes_set(&l->factor[f]);
  gs_axes axes = gs_axes_of(set);
  if (!scatters(l->node) || !axes.n) return;
  if (l->stage[0].reduce == GS_REDUCE_SUM) gs_local_once(l, 0, &axes);
  if (l->stage[0].reduce == GS_REDUCE_PROD) enter_once(l, &axes);
}

/* The node, on a part of the data or of the places that the indices are for. */
static void emit_lookup(gs_local *l, bool part) {
  place_data(l);
  if (part) gs_local_placed(l);
  else gs_local_same(l);
}

static bool is_split(const gs_local *l, const gs_dim_map *d) {
  gs_assert(d->n <= 1);
  return d->n && l->factor[d->f[0]].n > 0;
}

/* ---- GatherElements, ScatterElements ---- */

/* Position d of the indices is position d of the data, which blocks respect
 * only when both are equally long; else, and along the axis, all indices may
 * meet any block of the data.  What is gathered is as long as the indices,
 * what is scattered (operand 2) lies like them. */
gs_status gs_rule_elements(gs_arena *a, const gs_node *n, gs_rule *r,
                           gs_err *e) {
  const gs_value *x = n->in[0], *i = n->in[1];
  int axis = gs_move_axis(gs_node_int(n, "axis", 0), x->rank);
  bool scatter = scatters(n);
  (void)e;
  gs_rule_begin(a, n, r);
  for (int d = 0; d < x->rank; d++) {
    bool pass = d != axis && x->dims[d] == i->dims[d];
    int f = pass ? gs_rule_factor(r, x->dims[d], GS_PASS)
                 : data_factor(r, n, x->dims[d]);
    int k = pass      ? f
            : scatter ? update_factor(r, n, i->dims[d])
                      : gs_rule_factor(r, i->dims[d], GS_PASS);
    gs_rule_put(&r->in[0], d, f);
    gs_rule_put(&r->in[1], d, k);
    if (scatter) gs_rule_put(&r->in[2], d, k);
    gs_rule_put(&r->out[0], d, scatter ? f : k);
  }
  return GS_OK;
}

gs_status gs_local_elements(gs_local *l, gs_err *e) {
  const gs_tensor_map *x = &l->rule->in[0], *i = &l->rule->in[1];
  int axis = gs_move_axis(gs_node_int(l->node, "axis", 0), x->rank);
  bool part = false;
  (void)e;
  for (int d = 0; d < x->rank; d++) {
    bool alike = x->dim[d].n && i->dim[d].n && x->dim[d].f[0] == i->dim[d].f[0];
    if (alike) continue;
    part |= is_split(l, &x->dim[d]) || (d != axis && is_split(l, &i->dim[d]));
  }
  emit_lookup(l, part);
  return GS_OK;
}

/* Operand 2 is of the type of operand 0 and has these dims. */
static gs_status updates_shape(gs_graph *g, const gs_node *n, int rank,
                               const int64_t *dims, gs_err *e) {
  const gs_value *u = n->in[2];
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 2, e));
  if (u->rank == rank && gs_same_dims(u->dims, dims, rank)) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "updates are %s, expected %s",
                 gs_shape_text(g->arena, u->dtype, u->rank, u->dims),
                 gs_shape_text(g->arena, u->dtype, rank, dims));
}

/* The result of gathering has these dims, that of scattering takes updates of
 * them (operand 2) and is like operand 0. */
static gs_status picked_shape(gs_graph *g, gs_node *n, int rank,
                              const int64_t *dims, gs_err *e) {
  if (n->op->min_in < 3)
    return gs_shape_set(g, n, 0, n->in[0]->dtype, rank, dims, e);
  GS_TRY(updates_shape(g, n, rank, dims, e));
  return gs_shape_set_like(g, n, 0, e);
}

/* Indices have the rank of the data and are no longer outside the axis. */
gs_status gs_shape_elements(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0], *i = n->in[1];
  bool fits = i->rank == x->rank;
  int axis;
  GS_TRY(index_type(g, n, e));
  GS_TRY(gs_shape_axis_attr(g->arena, n, "axis", 0, &axis, e));
  for (int d = 0; fits && d < x->rank; d++)
    fits = d == axis || i->dims[d] <= x->dims[d];
  if (fits) return picked_shape(g, n, i->rank, i->dims, e);
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "indices %s do not fit data %s along axis %d",
                 gs_shape_text(g->arena, i->dtype, i->rank, i->dims),
                 gs_shape_text(g->arena, x->dtype, x->rank, x->dims), axis);
}

/* ---- GatherND, ScatterND ---- */

/* The last dim of the indices: how many dims of the data they index. */
static int tuple_length(const gs_node *n) {
  return (int)n->in[1]->dims[n->in[1]->rank - 1];
}

static gs_status tuple_check(gs_graph *g, const gs_node *n, int64_t batch,
                             gs_err *e) {
  const gs_value *x = n->in[0], *i = n->in[1];
  GS_TRY(index_type(g, n, e));
  if (x->rank >= 1 && i->rank >= 1 && batch >= 0 && batch < i->rank &&
      batch < x->rank && i->dims[i->rank - 1] >= 1 &&
      i->dims[i->rank - 1] <= x->rank - batch &&
      gs_same_dims(i->dims, x->dims, (int)batch))
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "indices %s do not fit data %s with %lld batch dims",
                 gs_shape_text(g->arena, i->dtype, i->rank, i->dims),
                 gs_shape_text(g->arena, x->dtype, x->rank, x->dims),
                 (long long)batch);
}

/* How many dims before those that are indexed lie alike in data and indices. */
static int batch_of(const gs_node *n) {
  return scatters(n) ? 0 : (int)gs_node_int(n, "batch_dims", 0);
}

/* Indexed dim d of the data, where index d of the tuples only counts dim
 * `lead` of the indices: both are split alike.  -1: none. */
static int counted_by(gs_arena *a, const gs_node *n, int lead) {
  const gs_value *x = n->in[0], *i = n->in[1];
  int batch = batch_of(n), k = tuple_length(n);
  for (int d = batch; d < batch + k && lead >= batch; d++)
    if (x->dims[d] == i->dims[lead] &&
        gs_move_iota(a, i, lead, i->rank - 1, d - batch))
      return d;
  return -1;
}

/* The factors of the dims of the indices but the last, in lead[]; those that
 * indexed dims of the data share with them are put there. */
static void lead_factors(gs_arena *a, const gs_node *n, gs_rule *r,
                         bool *counted) {
  const gs_value *x = n->in[0], *i = n->in[1];
  int batch = batch_of(n);
  for (int d = 0; d < x->rank; d++) counted[d] = false;
  for (int d = 0; d < i->rank - 1; d++) {
    int at = d < batch ? d : counted_by(a, n, d);
    if (at >= 0 && counted[at]) at = -1;
    int f = at >= 0 || !scatters(n)
                ? gs_rule_factor(r, i->dims[d], GS_PASS)
                : update_factor(r, n, i->dims[d]);
    gs_rule_put(&r->in[1], d, f);
    if (scatters(n)) gs_rule_put(&r->in[2], d, f);
    else gs_rule_put(&r->out[0], d, f);
    if (at < 0) continue;
    counted[at] = true;
    gs_rule_put(&r->in[0], at, f);
    if (scatters(n)) gs_rule_put(&r->out[0], at, f);
  }
  gs_rule_put(&r->in[1], i->rank - 1, gs_rule_whole(r, tuple_length(n)));
}

gs_status gs_rule_gather_nd(gs_arena *a, const gs_node *n, gs_rule *r,
                            gs_err *e) {
  const gs_value *x = n->in[0], *i = n->in[1];
  int batch = batch_of(n), k = tuple_length(n);
  bool counted[GS_MAX_RANK];
  (void)e;
  gs_rule_begin(a, n, r);
  lead_factors(a, n, r, counted);
  for (int d = batch; d < batch + k; d++)
    if (!counted[d]) gs_rule_put(&r->in[0], d, data_factor(r, n, x->dims[d]));
  for (int d = batch + k; d < x->rank; d++)
    tie(r, &r->in[0], d, x->dims[d], i->rank - 1 + d - batch - k);
  return GS_OK;
}

gs_status gs_local_tuples(gs_local *l, gs_err *e) {
  int batch = batch_of(l->node), k = tuple_length(l->node);
  bool part = false;
  (void)e;
  for (int d = batch; d < batch + k; d++)
    part |= is_split(l, &l->rule->in[0].dim[d]);
  emit_lookup(l, part);
  return GS_OK;
}

gs_status gs_shape_tuples(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0], *i = n->in[1];
  int64_t batch = gs_node_int(n, "batch_dims", 0), dims[2 * GS_MAX_RANK];
  int rank = 0;
  GS_TRY(tuple_check(g, n, batch, e));
  for (int d = 0; d < i->rank - 1; d++) dims[rank++] = i->dims[d];
  for (int d = (int)batch + tuple_length(n); d < x->rank; d++)
    dims[rank++] = x->dims[d];
  return picked_shape(g, n, rank, dims, e);
}

gs_status gs_rule_scatter_nd(gs_arena *a, const gs_node *n, gs_rule *r,
                             gs_err *e) {
  const gs_value *x = n->in[0];
  int k = tuple_length(n), lead = n->in[1]->rank - 1;
  bool counted[GS_MAX_RANK];
  (void)e;
  gs_rule_begin(a, n, r);
  lead_factors(a, n, r, counted);
  for (int d = 0; d < x->rank; d++) {
    if (counted[d]) continue;
    int f = data_factor(r, n, x->dims[d]);
    gs_rule_put(&r->in[0], d, f);
    gs_rule_put(&r->out[0], d, f);
    if (d >= k) gs_rule_put(&r->in[2], lead + d - k, f);
  }
  return GS_OK;
}

/* ---- OneHot ---- */

/* The axis of the result that counts the classes. */
static int64_t class_axis(const gs_node *n) {
  int64_t axis = gs_node_int(n, "axis", -1);
  return axis < 0 ? axis + n->in[0]->rank + 1 : axis;
}

gs_status gs_rule_one_hot(gs_arena *a, const gs_node *n, gs_rule *r,
                          gs_err *e) {
  const gs_value *x = n->in[0], *y = n->out[0];
  int axis = (int)class_axis(n);
  (void)e;
  gs_rule_begin(a, n, r);
  gs_rule_in_whole(r, n, 1);
  gs_rule_in_whole(r, n, 2);
  for (int d = 0; d < x->rank; d++)
    tie(r, &r->in[0], d, x->dims[d], d < axis ? d : d + 1);
  /* A declared number of classes, which only a run knows, stays whole. */
  int f = gs_move_open(n, 1) ? gs_rule_whole(r, y->dims[axis])
                             : gs_rule_factor(r, y->dims[axis], GS_PASS);
  gs_rule_put(&r->out[0], axis, f);
  return GS_OK;
}

gs_status gs_local_one_hot(gs_local *l, gs_err *e) {
  int axis = (int)class_axis(l->node);
  (void)e;
  if (gs_local_splits(l, axis, axis + 1)) gs_local_placed(l);
  else gs_local_same(l);
  return GS_OK;
}

/* depth may be of any numeric type; a float counts by its integer part. */
static gs_status one_hot_depth(gs_graph *g, const gs_node *n, int64_t *depth,
                               gs_err *e) {
  const gs_value *v = n->in[1];
  const gs_tensor *t = v->constant;
  int count;
  const int64_t *list = gs_value_int_list(g->arena, v, &count);
  *depth = -1;
  if (list && count == 1) {
    *depth = *list;
  } else if (t && gs_tensor_count(t) == 1 && gs_tensor_bytes(t)) {
    double f = -1;
    float f32;
    if (t->dtype == GS_DOUBLE) memcpy(&f, gs_tensor_bytes(t), sizeof f);
    if (t->dtype == GS_FLOAT) {
      memcpy(&f32, gs_tensor_bytes(t), sizeof f32);
      f = (double)f32;
    }
    if (f >= 0 && f <= 0x1p53) *depth = (int64_t)f;
  } else if (!t) {
    return gs_shape_not_constant(g->arena, n, 1, e);
  }
  if (*depth >= 0) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "depth '%s' must be one non-negative number", v->name);
}

gs_status gs_shape_one_hot(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0], *v = n->in[2];
  int64_t axis = class_axis(n), dims[GS_MAX_RANK + 1];
  if (axis < 0 || axis > x->rank)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "axis %lld is out of range for a result of rank %d",
                   (long long)gs_node_int(n, "axis", -1), x->rank + 1);
  if (v->rank != 1 || v->dims[0] != 2)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "values '%s' are %s, not two elements", v->name,
                   gs_shape_text(g->arena, v->dtype, v->rank, v->dims));
  if (gs_move_open(n, 1) && n->out[0]->rank == x->rank + 1)
    return gs_shape_set(g, n, 0, v->dtype, n->out[0]->rank, n->out[0]->dims,
                        e);
  for (int d = 0; d < x->rank; d++) dims[d < axis ? d : d + 1] = x->dims[d];
  GS_TRY(one_hot_depth(g, n, &dims[axis], e));
  return gs_shape_set(g, n, 0, v->dtype, x->rank + 1, dims, e);
}

/* ---- how far indices go ---- */

/* The size of dim `axis`; 0 where it is not known. */
static int64_t dim_of(const gs_value *v, int64_t axis) {
  if (!v || v->rank < 1) return 0;
  if (axis < 0) axis += v->rank;
  if (axis < 0 || axis >= v->rank) return 0;
  return gs_max(v->dims[axis], 0);
}

/* Of all dims that the tuples name. */
static int64_t least_named(const gs_node *n, const gs_value *of,
                           const gs_value *index) {
  int64_t first = gs_node_int(n, "batch_dims", 0), min = INT64_MAX;
  int64_t k = dim_of(index, -1);
  for (int64_t d = 0; d < k; d++)
    min = gs_min(min, dim_of(of, first + d));
  return k ? min : 0;
}

/* Below n; nothing when that is 0. */
static gs_range below(int64_t n) { return (gs_range){0, n}; }

gs_range gs_index_range(const gs_node *n, int i) {
  if (!n->op || !n->op->index.kind || n->op->index.operand != i ||
      !gs_node_in(n, i))
    return below(0);
  int at = n->op->index.of;
  const gs_value *of = gs_node_in(n, at);
  switch ((gs_index_kind)n->op->index.kind) {
  case GS_INDEX_AXIS: return below(dim_of(of, gs_node_int(n, "axis", 0)));
  case GS_INDEX_TUPLE: return below(least_named(n, of, gs_node_in(n, i)));
  case GS_INDEX_ROWS:
    return below(gs_node_in(n, i)->rank > 1 ? dim_of(of, 0) : 0);
  case GS_INDEX_MADE:
    return below(dim_of(gs_node_out(n, 0), gs_node_int(n, "axis", -1)));
  case GS_INDEX_SIZE: {
    int64_t size = dim_of(gs_node_out(n, at), -2);
    return size ? (gs_range){size, size + 1} : below(0);
  }
  case GS_INDEX_NONE: break;
  }
  return below(0);
}

/* ---- Unique ---- */

/* How many are unique only a run knows, but not where each element went: one
 * number for each along the axis, or for each of all. */
gs_status gs_shape_unique(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  GS_TRY(gs_shape_signed(g, n, e));
  if (!gs_node_out(n, 2) || !gs_value_shaped(x)) return GS_OK;
  int64_t count = gs_product(x->dims, x->rank);
  if (gs_node_attr(n, "axis")) {
    int64_t axis = gs_node_int(n, "axis", 0);
    if (axis < 0) axis += x->rank;
    if (axis < 0 || axis >= x->rank) return GS_OK; /* told by the kernel */
    count = x->dims[axis];
  }
  return gs_shape_set(g, n, 2, GS_INT64, 1, &count, e);
}
