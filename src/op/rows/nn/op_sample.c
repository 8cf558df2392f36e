/* GridSample, AffineGrid, CenterCropPad. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/core/number.h"
#include "op/rows/tensor/movement.h"
#include "op/rule/rule.h"

gs_rule_fn gs_rule_grid_sample;
gs_local_fn gs_local_grid_sample;
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

/* ---- which elements of the image a grid that is known points to ---- */

/* Places o of dim d of the result need elements of dim `dim[d]` of the image as
 * of[d] says; dim[d] 0: all of it, or dim d is none of the grid's. */
typedef struct sample_reach {
  int dim[GS_MAX_RANK];
  gs_reach of[GS_MAX_RANK];
} sample_reach;

/* How a GridSample reads. */
typedef struct sampling {
  int dims; /* sampled dims */
  int each; /* elements around a place along one of them: 1, 2, 4 */
  bool align, zeros, border;
} sampling;

/* Elements that one place needs of a dim; none where low > high. */
typedef struct span {
  int64_t low, high;
} span;

static void widen(span *s, int64_t i) {
  s->low = gs_min(s->low, i);
  s->high = gs_max(s->high, i);
}

/* The element that index i of n stands for, mirrored as the kernel does. */
static int64_t mirrored(bool align, int64_t i, int64_t n) {
  int64_t edge = align ? 0 : 1, period = 2 * (n - 1 + edge);
  if (period == 0) return 0;
  if (i < 0) i = -i - edge;
  i %= period;
  return i < n ? i : period - edge - i;
}

/* v, which is beyond [low, high], turned at both until it is within. */
static double reflected(double v, double low, double high) {
  double period = 2 * (high - low);
  if (period <= 0) return low;
  double rest = fmod(fabs(v - low), period);
  return low + (rest > high - low ? period - rest : rest);
}

/* Adds what coordinate c of a dim of n elements needs; false where that cannot
 * be told: the kernel rounds what is far outside in its own way. */
static bool add_place(const sampling *s, double c, int64_t n, span *at) {
  double v = s->align ? (c + 1) / 2 * (double)(n - 1)
                      : ((c + 1) * (double)n - 1) / 2;
  double low = s->align ? 0 : -0.5, high = (double)n - 1 - low;
  if (!isfinite(v)) return false;
  if (s->zeros) {
    v = fmin(fmax(v, -4), (double)n + 4);
  } else if (s->border) {
    v = fmin(fmax(v, 0), (double)n - 1);
  } else {
    if (fabs(v) > 1e3 * (double)n) return false;
    if (v < low || v > high) v = reflected(v, low, high);
  }
  double off = 1e-3 + 1e-6 * (double)n; /* by which the kernel may be */
  if (s->each == 1) v += 0.5;
  int64_t first = (int64_t)floor(v - off) - (s->each == 4);
  int64_t last = (int64_t)floor(v + off) + s->each / 2;
  for (int64_t i = first; i <= last; i++) {
    bool in = i >= 0 && i < n;
    if (s->zeros && !in) continue;
    widen(at, in           ? i
              : s->border ? (i < 0 ? 0 : n - 1)
                          : mirrored(s->align, i, n));
  }
  return true;
}

/* What each place of dim `along` of the grid (1, 2, ..) needs of dim d of the
 * image, over all others. */
static span *spans(gs_arena *a, const gs_node *n, const sampling *s, int along,
                   int d) {
  const gs_value *grid = n->in[1];
  const gs_tensor *t = grid->constant;
  int64_t count = grid->dims[along], inner = 1;
  int64_t size = n->in[0]->dims[d], all = 1;
  for (int i = 0; i <= s->dims; i++) all *= grid->dims[i];
  for (int i = along + 1; i <= s->dims; i++) inner *= grid->dims[i];
  span *o = GS_NEWS(a, count + 1, span);
  for (int64_t i = 0; i < count; i++) o[i] = (span){size, -1};
  /* Coordinates are listed innermost dim first. */
  for (int64_t i = 0; i < all; i++) {
    double c = 0;
    if (!gs_number_at(t, i * s->dims + s->dims + 1 - d, &c) ||
        !add_place(s, c, size, &o[i / inner % count]))
      return NULL;
  }
  return o;
}

/* The narrowest reach around all of [from, to] along the line through o[a] and
 * o[b]. */
static gs_reach fit_line(const span *o, int64_t from, int64_t to, int64_t a,
                         int64_t b) {
  int64_t rise = o[b].low + o[b].high - o[a].low - o[a].high;
  gs_reach r = {.num = rise ? rise : 1, .den = 2 * gs_max(b - a, 1)};
  bool any = false;
  for (int64_t i = from; i <= to; i++) {
    if (o[i].low > o[i].high) continue;
    int64_t first = o[i].low * r.den - r.num * i;
    int64_t last = o[i].high * r.den - r.num * i;
    r.first = any ? gs_min(r.first, first) : first;
    r.last = any ? gs_max(r.last, last) : last;
    any = true;
  }
  return r;
}

static int64_t width(const gs_reach *r) {
  return gs_floor_div(r->last - r->first, r->den) + 1;
}

/* A narrow reach around all of them: along the line from the first to the last,
 * or, since both may be cut off at the ends of the image, between the
 * quarters. */
static gs_reach fit(const span *o, int64_t count) {
  int64_t from = 0, to = count - 1;
  while (from < to && o[from].low > o[from].high) from++;
  while (from < to && o[to].low > o[to].high) to--;
  int64_t a = from + (to - from) / 4, b = to - (to - from) / 4;
  gs_reach all = fit_line(o, from, to, from, to), inner = all;
  if (o[a].low <= o[a].high && o[b].low <= o[b].high)
    inner = fit_line(o, from, to, a, b);
  if (width(&inner) < width(&all)) all = inner;
  all.count = count;
  return all;
}

static bool read_sampling(const gs_node *n, sampling *s) {
  const gs_value *grid = n->in[1];
  const gs_tensor *t = grid->constant;
  const char *mode = gs_node_string(n, "mode", "linear");
  const char *pad = gs_node_string(n, "padding_mode", "zeros");
  *s = (sampling){.dims = n->in[0]->rank - 2,
                  .each = !strcmp(mode, "nearest") ? 1
                          : !strcmp(mode, "cubic") ? 4
                                                   : 2,
                  .align = gs_node_int(n, "align_corners", 0) != 0,
                  .zeros = !strcmp(pad, "zeros"),
                  .border = !strcmp(pad, "border")};
  return t && gs_tensor_bytes(t);
}

/* Of dim d of the image: the dim of the result that is not taken and needs the
 * least of it; 0: none that needs less than all. */
static int best_dim(gs_arena *a, const gs_node *n, const sampling *s, int d,
                    const sample_reach *taken, gs_reach *best) {
  int64_t size = n->in[0]->dims[d], least = size;
  int at = 0;
  for (int k = 2; k < s->dims + 2; k++) {
    int64_t count = n->in[1]->dims[k - 1];
    if (taken->dim[k] || count < 2) continue;
    const span *o = spans(a, n, s, k - 1, d);
    if (!o) return 0;
    gs_reach r = fit(o, count);
    int64_t needs = width(&r);
    if (needs > least || (needs == least && (at || k != d))) continue;
    if (needs >= size) continue;
    least = needs;
    at = k;
    *best = r;
  }
  return at;
}

/* Those of a GridSample whose grid is constant: each dim of the image goes with
 * the dim of the result along which it needs the least at once, if that is less
 * than all.  Cost: the elements of the grid. */
static void find_reaches(const gs_node *n, sample_reach *r) {
  sampling s;
  memset(r, 0, sizeof *r);
  if (!read_sampling(n, &s)) return;
  gs_arena tmp;
  gs_arena_init(&tmp);
  for (int d = 2; d < n->in[0]->rank; d++) {
    gs_reach reach = {0};
    int64_t size = n->in[0]->dims[d], limit = INT32_MAX;
    int at = size > 0 && size < limit
                 ? best_dim(&tmp, n, &s, d, r, &reach) : 0;
    if (!at || n->in[1]->dims[at - 1] > limit) continue;
    r->dim[at] = d;
    r->of[at] = reach;
  }
  gs_arena_free(&tmp);
}

/* Spatial dims of the image that have windows are those that the grid, where it
 * is known, says. */
gs_status gs_rule_grid_sample(gs_arena *a, const gs_node *n, gs_rule *r,
                              gs_err *e) {
  const gs_value *x = n->in[0], *grid = n->in[1];
  sample_reach reach;
  (void)e;
  gs_rule_begin(a, n, r);
  int batch = gs_rule_factor(r, x->dims[0], GS_PASS);
  int channel = gs_rule_factor(r, x->dims[1], GS_PASS);
  gs_rule_put(&r->in[0], 0, batch);
  gs_rule_put(&r->in[1], 0, batch);
  gs_rule_put(&r->out[0], 0, batch);
  gs_rule_put(&r->in[0], 1, channel);
  gs_rule_put(&r->out[0], 1, channel);
  find_reaches(n, &reach);
  for (int d = 2; d < x->rank; d++) { /* of the result */
    int at = reach.dim[d], f;
    if (at) {
      gs_window_use use = {.reach = reach.of[d]};
      f = gs_rule_window(r, 0, at, 0, d, grid->dims[d - 1], &use);
    } else {
      f = gs_rule_factor(r, grid->dims[d - 1], GS_PASS);
      gs_rule_put(&r->out[0], d, f);
    }
    gs_rule_put(&r->in[1], d - 1, f);
  }
  for (int d = 2; d < x->rank; d++)
    if (!r->in[0].dim[d].n)
      gs_rule_put(&r->in[0], d, gs_rule_whole(r, x->dims[d]));
  gs_rule_put(&r->in[1], x->rank - 1, gs_rule_whole(r, x->rank - 2));
  return GS_OK;
}

gs_status gs_local_grid_sample(gs_local *l, gs_err *e) {
  (void)e;
  bool windows = false;
  for (int i = 0; i < l->rule->nuse; i++)
    windows |= l->factor[l->rule->use[i].factor].n > 0;
  if (windows) gs_local_placed(l);
  else gs_local_same(l);
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
