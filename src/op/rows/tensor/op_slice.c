/* Operators that cut, join, pad and repeat: the dims that they touch must be
 * whole, all others pass. */
#include "base/math.h"
#include "op/rows/tensor/movement.h"

/* ---- Concat, Split ---- */

gs_status gs_rule_concat(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  const gs_value *x = n->in[0], *y = n->out[0];
  int axis = gs_move_axis(gs_node_int(n, "axis", 0), x->rank);
  (void)e;
  gs_rule_begin(a, n, r);
  for (int d = 0; d < x->rank; d++) {
    int f = d == axis ? gs_rule_whole(r, y->dims[d])
                      : gs_rule_factor(r, y->dims[d], GS_PASS);
    gs_rule_put(&r->out[0], d, f);
    for (int i = 0; i < n->nin; i++)
      gs_rule_put(&r->in[i], d,
                  d == axis ? gs_rule_whole(r, n->in[i]->dims[d]) : f);
  }
  return GS_OK;
}

gs_status gs_shape_concat(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t dims[GS_MAX_RANK];
  int axis;
  if (!gs_node_attr(n, "axis"))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "needs the attribute 'axis'");
  GS_TRY(gs_shape_axis_attr(g->arena, n, "axis", 0, &axis, e));
  for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d];
  for (int i = 1; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    bool fits = v && v->rank == x->rank;
    GS_TRY(gs_shape_same_type(g->arena, n, 0, i, e));
    for (int d = 0; fits && d < x->rank; d++)
      fits = d == axis ? gs_add(dims[d], v->dims[d], &dims[d])
                       : v->dims[d] == x->dims[d];
    if (!fits)
      return gs_fail(
          e, GS_DATA, gs_node_place(g->arena, n),
          "operand %d of shape %s cannot be joined to %s along dim %d", i,
          v ? gs_shape_text(g->arena, v->dtype, v->rank, v->dims) : "none",
          gs_shape_text(g->arena, x->dtype, x->rank, x->dims), axis);
  }
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

gs_status gs_rule_split(gs_arena *a, const gs_node *n, gs_rule *r,
                        gs_err *e) {
  const gs_value *x = n->in[0];
  int axis = gs_move_axis(gs_node_int(n, "axis", 0), x->rank);
  (void)e;
  gs_rule_begin(a, n, r);
  gs_rule_in_whole(r, n, 1);
  for (int d = 0; d < x->rank; d++) {
    int f = d == axis ? gs_rule_whole(r, x->dims[d])
                      : gs_rule_factor(r, x->dims[d], GS_PASS);
    gs_rule_put(&r->in[0], d, f);
    for (int o = 0; o < n->nout; o++)
      if (n->out[o])
        gs_rule_put(&r->out[o], d,
                    d == axis ? gs_rule_whole(r, n->out[o]->dims[d]) : f);
  }
  return GS_OK;
}

/* Sizes along the axis: the operand `split`, or num_outputs equal parts of
 * ceil(n / num_outputs) of which the last may be shorter. */
static gs_status split_sizes(gs_graph *g, const gs_node *n, int64_t size,
                             int64_t *part, gs_err *e) {
  const int64_t *list;
  int64_t sum = 0;
  int count;
  GS_TRY(gs_shape_const_ints(g->arena, n, 1, &list, &count, e));
  if (list) {
    bool fits = count == n->nout;
    for (int i = 0; fits && i < count; i++) {
      fits = list[i] >= 0 && gs_add(sum, list[i], &sum);
      part[i] = list[i];
    }
    if (fits && sum == size) return GS_OK;
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "%d split sizes for %d outputs, sum %lld, dim %lld", count,
                   n->nout, (long long)sum, (long long)size);
  }
  if (gs_node_int(n, "num_outputs", n->nout) != n->nout)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "num_outputs is %lld, but there are %d outputs",
                   (long long)gs_node_int(n, "num_outputs", 0), n->nout);
  for (int i = 0; i < n->nout; i++) part[i] = gs_ceil_div(size, n->nout);
  for (int i = 0; i < n->nout - 1; i++) sum += part[i];
  if (sum > size)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "a dim of %lld cannot be split into %d parts of %lld",
                   (long long)size, n->nout, (long long)part[0]);
  part[n->nout - 1] = size - sum;
  return GS_OK;
}

gs_status gs_shape_split(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t dims[GS_MAX_RANK], *part = GS_NEWS(g->arena, n->nout, int64_t);
  int axis;
  GS_TRY(gs_shape_axis_attr(g->arena, n, "axis", 0, &axis, e));
  if (gs_move_open(n, 1)) return gs_move_keep(g, n, e);
  GS_TRY(split_sizes(g, n, x->dims[axis], part, e));
  for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d];
  for (int o = 0; o < n->nout; o++) {
    dims[axis] = part[o];
    GS_TRY(gs_shape_set(g, n, o, x->dtype, x->rank, dims, e));
  }
  return GS_OK;
}

/* ---- Slice ---- */

typedef struct range {
  int64_t start, end, step; /* clamped to the dim */
  int64_t count;            /* elements taken */
  bool touched;             /* not simply the whole dim */
} range;

/* ONNX's clamping: [0, n] upwards, start in [0, n-1] and end in [-1, n-1]
 * downwards. */
static range clamp_range(int64_t start, int64_t end, int64_t step, int64_t n) {
  range r = {.step = step};
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  if (start < 0) start += n;
  if (end < 0) end += n;
  r.start = gs_min(gs_max(start, 0), high);
  r.end = gs_min(gs_max(end, low), high);
  if (step > 0 && r.end > r.start)
    r.count = gs_ceil_div(r.end - r.start, step);
  if (step < 0 && r.start > r.end)
    r.count = step == INT64_MIN ? 1 : gs_ceil_div(r.start - r.end, -step);
  r.touched = !(r.start == 0 && step == 1 && r.end == n);
  return r;
}

/* The ranges of a Slice with constant operands.  GS_UNSUPPORTED when one is
 * not constant, GS_DATA when they do not fit together. */
static gs_status slice_ranges(gs_arena *a, const gs_node *n, range *r,
                              gs_err *e) {
  static const char *const what[] = {"", "starts", "ends", "axes", "steps"};
  const gs_value *x = n->in[0];
  const int64_t *list[5] = {NULL};
  int count[5] = {0};
  bool seen[GS_MAX_RANK] = {false};
  for (int i = 1; i < 5; i++) {
    if (!gs_node_in(n, i)) continue;
    list[i] = gs_value_int_list(a, n->in[i], &count[i]);
    if (!list[i]) return gs_shape_not_constant(a, n, i, e);
    if (count[i] != count[1])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "%d starts, but %d %s", count[1], count[i], what[i]);
  }
  for (int d = 0; d < x->rank; d++)
    r[d] = clamp_range(0, x->dims[d], 1, x->dims[d]);
  for (int i = 0; i < count[1]; i++) {
    int64_t d = list[3] ? list[3][i] : i, step = list[4] ? list[4][i] : 1;
    if (d < 0) d += x->rank;
    if (d < 0 || d >= x->rank || seen[d] || step == 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     step == 0 ? "step 0 for dim %lld of '%s'"
                               : "axis %lld is out of range or repeated "
                                 "for '%s'",
                     (long long)d, x->name);
    seen[d] = true;
    r[d] = clamp_range(list[1][i], list[2][i], step, x->dims[d]);
  }
  return GS_OK;
}

gs_status gs_rule_slice(gs_arena *a, const gs_node *n, gs_rule *r,
                        gs_err *e) {
  range part[GS_MAX_RANK];
  bool touched[GS_MAX_RANK];
  bool known = slice_ranges(a, n, part, NULL) == GS_OK;
  (void)e;
  gs_rule_begin(a, n, r);
  for (int i = 1; i < n->nin; i++) gs_rule_in_whole(r, n, i);
  for (int d = 0; d < n->in[0]->rank; d++)
    touched[d] = !known || part[d].touched;
  gs_move_dims(r, n, touched);
  return GS_OK;
}

gs_status gs_shape_slice(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  range part[GS_MAX_RANK];
  int64_t dims[GS_MAX_RANK];
  for (int i = 1; i < n->nin; i++)
    if (gs_move_open(n, i) && n->out[0]->rank == x->rank)
      return gs_move_keep(g, n, e);
  GS_TRY(slice_ranges(g->arena, n, part, e));
  for (int d = 0; d < x->rank; d++) dims[d] = part[d].count;
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

/* Only the touched dims are named: their ends are exact, whatever the local
 * sizes of the others. */
gs_status gs_local_slice(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[0];
  range part[GS_MAX_RANK];
  int64_t v[4][GS_MAX_RANK];
  gs_value *in[5];
  int count = 0;
  (void)e;
  if (slice_ranges(l->program->arena, l->node, part, NULL) != GS_OK) {
    gs_local_same(l); /* not constant: every dim is whole */
    return GS_OK;
  }
  for (int d = 0; d < x->rank; d++) {
    if (!part[d].touched) continue;
    v[0][count] = part[d].start;
    /* -1 would count from the end */
    v[1][count] = part[d].end < 0 ? INT64_MIN : part[d].end;
    v[2][count] = d;
    v[3][count++] = part[d].step;
  }
  in[0] = l->in[0];
  in[1] = gs_value_ints(l->program, "starts", v[0], count);
  in[2] = gs_value_ints(l->program, "ends", v[1], count);
  in[3] = gs_value_ints(l->program, "axes", v[2], count);
  in[4] = gs_value_ints(l->program, "steps", v[3], count);
  l->out[0] = gs_local_emit(l, "", l->node->op_type, in, 5, x->dtype, x->rank,
                            l->out_dims[0])
                  ->out[0];
  return GS_OK;
}

/* ---- Pad ---- */

/* What is added before and after each dim; both may be negative. */
static gs_status pad_amounts(gs_arena *a, const gs_node *n, int64_t *before,
                             int64_t *after, gs_err *e) {
  const gs_value *x = n->in[0], *axes_in = gs_node_in(n, 3);
  const int64_t *pads, *axes = NULL;
  bool seen[GS_MAX_RANK] = {false};
  int count, naxes = x->rank;
  pads = gs_value_int_list(a, gs_node_in(n, 1), &count);
  if (axes_in) axes = gs_value_int_list(a, axes_in, &naxes);
  if (!pads || (axes_in && !axes))
    return gs_shape_not_constant(a, n, pads ? 3 : 1, e);
  if (naxes > x->rank || count != 2 * naxes)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%d pads for %d dims of '%s' (rank %d)", count, naxes,
                   x->name, x->rank);
  for (int d = 0; d < x->rank; d++) before[d] = after[d] = 0;
  for (int i = 0; i < naxes; i++) {
    int64_t d = axes ? axes[i] : i;
    if (d < 0) d += x->rank;
    if (d < 0 || d >= x->rank || seen[d])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "axis %lld is out of range or repeated for '%s'",
                     (long long)(axes ? axes[i] : i), x->name);
    seen[d] = true;
    before[d] = pads[i];
    after[d] = pads[naxes + i];
  }
  return GS_OK;
}

gs_status gs_rule_pad(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  int64_t before[GS_MAX_RANK], after[GS_MAX_RANK];
  bool touched[GS_MAX_RANK];
  bool known = pad_amounts(a, n, before, after, NULL) == GS_OK;
  (void)e;
  gs_rule_begin(a, n, r);
  for (int i = 1; i < n->nin; i++) gs_rule_in_whole(r, n, i);
  for (int d = 0; d < n->in[0]->rank; d++)
    touched[d] = !known || before[d] || after[d];
  gs_move_dims(r, n, touched);
  return GS_OK;
}

gs_status gs_shape_pad(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t before[GS_MAX_RANK], after[GS_MAX_RANK], dims[GS_MAX_RANK];
  if ((gs_move_open(n, 1) || gs_move_open(n, 3)) &&
      n->out[0]->rank == x->rank)
    return gs_move_keep(g, n, e);
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 2, e));
  GS_TRY(pad_amounts(g->arena, n, before, after, e));
  for (int d = 0; d < x->rank; d++) {
    if (!gs_add(x->dims[d], before[d], &dims[d]) ||
        !gs_add(dims[d], after[d], &dims[d]) || dims[d] < 0)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "dim %d of '%s' (%lld) cannot be padded by %lld and %lld",
                     d, x->name, (long long)x->dims[d], (long long)before[d],
                     (long long)after[d]);
  }
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

/* ---- Tile, Trilu ---- */

gs_status gs_rule_tile(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  bool touched[GS_MAX_RANK];
  int count;
  const int64_t *times = gs_value_int_list(a, n->in[1], &count);
  (void)e;
  gs_rule_begin(a, n, r);
  gs_rule_in_whole(r, n, 1);
  for (int d = 0; d < n->in[0]->rank; d++)
    touched[d] = !times || times[d] != 1;
  gs_move_dims(r, n, touched);
  return GS_OK;
}

gs_status gs_shape_tile(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  const int64_t *times;
  int64_t dims[GS_MAX_RANK];
  int count;
  if (gs_move_open(n, 1) && n->out[0]->rank == x->rank)
    return gs_move_keep(g, n, e);
  GS_TRY(gs_shape_const_ints(g->arena, n, 1, &times, &count, e));
  if (count != x->rank)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "%d repeats, but '%s' has rank %d", count, x->name,
                   x->rank);
  for (int d = 0; d < x->rank; d++)
    if (times[d] < 0 || !gs_mul(x->dims[d], times[d], &dims[d]))
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "dim %d of '%s' cannot be repeated %lld times", d,
                     x->name, (long long)times[d]);
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

gs_status gs_rule_trilu(gs_arena *a, const gs_node *n, gs_rule *r,
                        gs_err *e) {
  bool touched[GS_MAX_RANK] = {false};
  int rank = n->in[0]->rank;
  (void)e;
  gs_rule_begin(a, n, r);
  gs_rule_in_whole(r, n, 1);
  touched[rank - 1] = touched[rank - 2] = true;
  gs_move_dims(r, n, touched);
  return GS_OK;
}

