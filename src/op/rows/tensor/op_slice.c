/* Operators that cut, join, pad and repeat. */
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/rows/tensor/movement.h"

/* ---- Concat, Split ---- */

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

/* ---- Slice, Pad, Tile: each dim for itself ---- */

/* Whether the dim stays as it is. */
static bool is_all(const gs_dim_span *s, int64_t n) {
  return s->first == 0 && s->step == 1 && s->count == n;
}

/* What stands around the operand, where the spans of n reach beyond it; false
 * when that is not known. */
static bool fill_of(const gs_node *n, gs_window_use *u) {
  const char *mode = gs_node_string(n, "mode", "constant");
  u->fill = GS_FILL_VALUE;
  if (n->op->around == GS_AROUND_WRAP) {
    u->fill = GS_FILL_WRAP;
  } else if (n->op->around == GS_AROUND_MODE) {
    if (strcmp(mode, "constant")) return gs_fill_parse(mode, &u->fill);
    if (gs_node_in(n, 2)) u->fill = GS_FILL_OPERAND;
    u->fill_in = 2;
  }
  return true;
}

/* Whether n can run on a part of operand 0, as a row of ai.gshard does. */
static bool has_parts(const gs_node *n) {
  const gs_op *op = gs_op_find("ai.gshard", n->op_type);
  return op && (op->flags & GS_OP_PLACED) && gs_rule_adds(n->in[0]->dtype);
}

/* Dims of which only a run knows what is taken: each device takes what it has,
 * and the sum is the result; or they are whole. */
static void rule_unknown(const gs_node *n, gs_rule *r, const bool *touched) {
  const gs_value *x = n->in[0], *y = n->out[0];
  bool summed = has_parts(n);
  for (int d = 0; d < x->rank; d++) {
    gs_factor_kind kind = touched[d] ? GS_SUMMED : GS_PASS;
    int f = summed || !touched[d] ? gs_rule_factor(r, x->dims[d], kind)
                                  : gs_rule_whole(r, x->dims[d]);
    gs_rule_put(&r->in[0], d, f);
    gs_rule_put(&r->out[0], d,
                touched[d] ? gs_rule_whole(r, y->dims[d]) : f);
  }
}

/* The dims that stay pass, the others are copies.  Where an operand that says
 * how is not constant, those are not that are not known to stay. */
gs_status gs_rule_span(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  const gs_value *x = n->in[0];
  gs_dim_span span[GS_MAX_RANK];
  gs_window_use use = {.copies = true};
  bool touched[GS_MAX_RANK];
  for (int d = 0; d < x->rank; d++) span[d] = (gs_dim_span){0};
  bool known = n->op->span(a, n, span, NULL) == GS_OK && fill_of(n, &use);
  (void)e;
  gs_rule_begin(a, n, r);
  for (int i = 1; i < n->nin; i++) gs_rule_in_whole(r, n, i);
  for (int d = 0; d < x->rank; d++)
    touched[d] = !is_all(&span[d], x->dims[d]);
  if (!known) rule_unknown(n, r, touched);
  for (int d = 0; known && d < x->rank; d++) {
    if (touched[d]) {
      const gs_dim_span *s = &span[d];
      use.reach = (gs_reach){s->count, s->step, 1, s->first, s->first,
                             0};
      gs_rule_window(r, 0, d, 0, d, s->count, &use);
      continue;
    }
    int f = gs_rule_factor(r, x->dims[d], GS_PASS);
    gs_rule_put(&r->in[0], d, f);
    gs_rule_put(&r->out[0], d, f);
  }
  return GS_OK;
}

gs_status gs_shape_span(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  gs_dim_span span[GS_MAX_RANK];
  int64_t dims[GS_MAX_RANK];
  for (int i = 1; i < n->nin; i++)
    if (gs_move_open(n, i) && n->out[0]->rank == x->rank)
      return gs_move_keep(g, n, e);
  GS_TRY(n->op->span(g->arena, n, span, e));
  for (int d = 0; d < x->rank; d++) dims[d] = span[d].count;
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

/* One that touches no dim is another name for its operand. */
static bool keep(gs_local *l) {
  if (!gs_rule_keeps(l->node, l->rule)) return false;
  l->out[0] = gs_local_like(l, "Identity", l->in, 1)->out[0];
  return true;
}

/* ONNX's clamping: [0, n] upwards, start in [0, n-1] and end in [-1, n-1]
 * downwards. */
static gs_dim_span clamped(int64_t start, int64_t end, int64_t step,
                           int64_t n) {
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  if (start < 0) start += n;
  if (end < 0) end += n;
  start = gs_min(gs_max(start, 0), high);
  end = gs_min(gs_max(end, low), high);
  gs_dim_span s = {.first = start, .step = step};
  if (step > 0 && end > start) s.count = gs_ceil_div(end - start, step);
  if (step < 0 && start > end)
    s.count = step == INT64_MIN ? 1 : gs_ceil_div(start - end, -step);
  return s;
}

/* The dims that are not sliced, where only a run knows how the others are: the
 * first ones are when there are no axes. */
static void keep_others(gs_arena *a, const gs_node *n, gs_dim_span *s) {
  const gs_value *x = n->in[0], *starts = n->in[1];
  bool sliced[GS_MAX_RANK] = {false};
  int count = starts->rank == 1 ? (int)starts->dims[0] : -1;
  const int64_t *axes = NULL;
  if (gs_node_in(n, 3)) axes = gs_value_int_list(a, n->in[3], &count);
  if ((gs_node_in(n, 3) && !axes) || count < 0) return;
  for (int i = 0; i < count; i++) {
    int64_t d = axes ? axes[i] : i;
    if (d < 0) d += x->rank;
    if (d < 0 || d >= x->rank) return;
    sliced[d] = true;
  }
  for (int d = 0; d < x->rank; d++)
    if (!sliced[d]) s[d] = (gs_dim_span){0, 1, x->dims[d]};
}

gs_status gs_span_slice(gs_arena *a, const gs_node *n, gs_dim_span *s,
                        gs_err *e) {
  static const char *const what[] = {"", "starts", "ends", "axes", "steps"};
  const gs_value *x = n->in[0];
  const int64_t *list[5] = {NULL};
  int count[5] = {0};
  bool seen[GS_MAX_RANK] = {false};
  for (int i = 1; i < 5; i++) {
    if (!gs_node_in(n, i)) continue;
    list[i] = gs_value_int_list(a, n->in[i], &count[i]);
    if (!list[i]) {
      keep_others(a, n, s);
      return gs_shape_not_constant(a, n, i, e);
    }
    if (count[i] != count[1])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "%d starts, but %d %s", count[1], count[i], what[i]);
  }
  for (int d = 0; d < x->rank; d++) s[d] = (gs_dim_span){0, 1, x->dims[d]};
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
    s[d] = clamped(list[1][i], list[2][i], step, x->dims[d]);
  }
  return GS_OK;
}

/* Only the touched dims are named: their ends are exact, whatever the local
 * sizes of the others. */
gs_status gs_local_slice(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[0];
  gs_dim_span span[GS_MAX_RANK];
  int64_t v[4][GS_MAX_RANK];
  gs_value *in[5];
  int count = 0;
  (void)e;
  if (keep(l)) return GS_OK;
  if (gs_span_slice(l->program->arena, l->node, span, NULL) != GS_OK) {
    bool part = false; /* not constant */
    for (int f = 0; f < l->rule->nfactor; f++)
      part |= l->rule->factor[f].kind == GS_SUMMED && l->factor[f].n;
    if (part) gs_local_placed(l);
    else gs_local_same(l);
    return GS_OK;
  }
  for (int d = 0; d < x->rank; d++) {
    const gs_dim_span *s = &span[d];
    if (is_all(s, x->dims[d]) || (l->done >> d & 1)) continue;
    int64_t last = s->first + s->step * (s->count - 1);
    int64_t end = s->count ? last + (s->step > 0 ? 1 : -1) : s->first;
    v[0][count] = s->first;
    v[1][count] = end < 0 ? INT64_MIN : end; /* -1 would count from the end */
    v[2][count] = d;
    v[3][count++] = s->step;
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

/* What is added before and after each dim may be negative. */
gs_status gs_span_pad(gs_arena *a, const gs_node *n, gs_dim_span *s,
                      gs_err *e) {
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
  for (int d = 0; d < x->rank; d++) s[d] = (gs_dim_span){0, 1, x->dims[d]};
  for (int i = 0; i < naxes; i++) {
    int64_t d = axes ? axes[i] : i, before = pads[i], after = pads[naxes + i];
    if (d < 0) d += x->rank;
    if (d < 0 || d >= x->rank || seen[d])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "axis %lld is out of range or repeated for '%s'",
                     (long long)(axes ? axes[i] : i), x->name);
    seen[d] = true;
    s[d].first = before == INT64_MIN ? INT64_MAX : -before;
    if (!gs_add(x->dims[d], before, &s[d].count) ||
        !gs_add(s[d].count, after, &s[d].count) || s[d].count < 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "dim %lld of '%s' (%lld) cannot be padded by %lld and "
                     "%lld",
                     (long long)d, x->name, (long long)x->dims[d],
                     (long long)before, (long long)after);
  }
  return GS_OK;
}

/* The pads of the dims that are not exchanged. */
gs_status gs_local_pad(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[0];
  gs_dim_span s[GS_MAX_RANK];
  int64_t pads[2 * GS_MAX_RANK] = {0};
  if (keep(l)) return GS_OK;
  gs_node *n = gs_local_same(l);
  if (!l->done) return GS_OK;
  GS_TRY(gs_span_pad(l->program->arena, l->node, s, e));
  for (int d = 0; d < x->rank; d++) {
    if (l->done >> d & 1) continue;
    pads[d] = -s[d].first;
    pads[x->rank + d] = s[d].count - x->dims[d] + s[d].first;
  }
  n->in[1] = gs_value_ints(l->program, "pads", pads, 2 * x->rank);
  if (n->nin > 3) n->in[3] = NULL;
  return GS_OK;
}

/* The elements come again from the first on. */
gs_status gs_span_tile(gs_arena *a, const gs_node *n, gs_dim_span *s,
                       gs_err *e) {
  const gs_value *x = n->in[0];
  const int64_t *times;
  int count;
  GS_TRY(gs_shape_const_ints(a, n, 1, &times, &count, e));
  if (count != x->rank)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%d repeats, but '%s' has rank %d", count, x->name,
                   x->rank);
  for (int d = 0; d < x->rank; d++) {
    s[d] = (gs_dim_span){0, 1, 0};
    if (times[d] < 0 || !gs_mul(x->dims[d], times[d], &s[d].count))
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "dim %d of '%s' cannot be repeated %lld times", d,
                     x->name, (long long)times[d]);
  }
  return GS_OK;
}

/* ---- Trilu ---- */


/* The repeats of the dims that are not exchanged. */
gs_status gs_local_tile(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[0];
  const int64_t *times;
  int64_t mine[GS_MAX_RANK];
  int count;
  if (keep(l)) return GS_OK;
  gs_node *n = gs_local_same(l);
  if (!l->done) return GS_OK;
  GS_TRY(gs_shape_const_ints(l->program->arena, l->node, 1, &times, &count, e));
  gs_assert(count == x->rank);
  for (int d = 0; d < x->rank; d++) mine[d] = l->done >> d & 1 ? 1 : times[d];
  n->in[1] = gs_value_ints(l->program, "repeats", mine, x->rank);
  return GS_OK;
}
