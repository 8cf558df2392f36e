#include "op/rows/nn/resize_dims.h"

#include <math.h>
#include <string.h>

#include "base/math.h"
#include "op/core/shape.h"

static gs_status choice(gs_arena *a, const gs_node *n, const char *attr,
                        const char *const *names, int count, int otherwise,
                        int *out, gs_err *e) {
  const char *s = gs_node_string(n, attr, names[otherwise]);
  for (int i = 0; i < count; i++)
    if (!strcmp(s, names[i])) {
      *out = i;
      return GS_OK;
    }
  return gs_fail(e, GS_DATA, gs_node_place(a, n), "%s '%s' is not known",
                 attr, s);
}

gs_status gs_resize_attrs(gs_arena *a, const gs_node *n, gs_resize_how *how,
                          gs_err *e) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const coords[] = {
      "half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
      "align_corners", "asymmetric",           "tf_crop_and_resize",
      "tf_half_pixel_for_nn"};
  static const char *const rounds[] = {"round_prefer_floor",
                                       "round_prefer_ceil", "floor", "ceil"};
  int mode = 0, coord = 0, round = 0;
  GS_TRY(choice(a, n, "mode", modes, 3, 0, &mode, e));
  GS_TRY(choice(a, n, "coordinate_transformation_mode", coords, 7, 0, &coord,
                e));
  GS_TRY(choice(a, n, "nearest_mode", rounds, 4, 0, &round, e));
  how->mode = (gs_resize_mode)mode;
  how->coord = (gs_resize_coord)coord;
  how->round = (gs_resize_round)round;
  how->antialias = gs_node_int(n, "antialias", 0) != 0;
  how->exclude_outside = gs_node_int(n, "exclude_outside", 0) != 0;
  how->cubic_a = gs_node_float(n, "cubic_coeff_a", -0.75);
  how->extrapolation = gs_node_float(n, "extrapolation_value", 0);
  return GS_OK;
}

/* The dims that the operands list, in their order. */
static gs_status listed_axes(gs_arena *a, const gs_node *n, int rank,
                             int64_t *axes, int *count, gs_err *e) {
  const gs_attr *at = gs_node_attr(n, "axes");
  bool seen[GS_MAX_RANK] = {false};
  *count = at ? at->n : rank;
  if (*count > rank)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%d axes for operand '%s' of rank %d", *count,
                   n->in[0]->name, rank);
  if (at)
    GS_TRY(gs_shape_axis_set(a, n, n->in[0], rank, at->ints, *count, seen, e));
  for (int i = 0; i < *count; i++) {
    axes[i] = at ? at->ints[i] : i;
    if (axes[i] < 0) axes[i] += rank;
  }
  return GS_OK;
}

static gs_status check_counts(gs_arena *a, const gs_node *n, int count,
                              bool crop, const gs_resize_args *args,
                              gs_err *e) {
  if ((args->nscales != 0) == (args->nsizes != 0))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   count ? "one of scales and sizes must be given"
                         : "scales or sizes are given for no dims");
  int given = args->nscales + args->nsizes;
  if (given != count)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%d %s for %d dims of '%s'", given,
                   args->nscales ? "scales" : "sizes", count, n->in[0]->name);
  if (crop && args->nroi != 2 * count)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%d numbers in the region of %d dims of '%s'", args->nroi,
                   count, n->in[0]->name);
  return GS_OK;
}

/* floor(in * scale) in f32, as ONNX's own shape inference has it: the region
 * does not count. */
static gs_status by_scale(gs_arena *a, const gs_node *n, gs_resize_dim *d,
                          double scale, gs_err *e) {
  double size = floor((double)((float)d->in * (float)scale));
  if (!(scale > 0) || size >= 0x1p62)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "a scale of %g for a dim of %lld of '%s'", scale,
                   (long long)d->in, n->in[0]->name);
  d->exact = false;
  d->scale = scale;
  d->out = (int64_t)size;
  return GS_OK;
}

/* One scale for all listed dims: the smallest or largest that a size asks
 * for. */
static gs_status keep_ratio(gs_arena *a, const gs_node *n, bool larger,
                            const int64_t *axes, int count,
                            gs_resize_dim *dim, gs_err *e) {
  double scale = -1;
  for (int i = 0; i < count; i++) {
    const gs_resize_dim *d = &dim[axes[i]];
    double s = (double)d->out / (double)d->in;
    if (d->in == 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "dim %lld of '%s' is empty and has no ratio to keep",
                     (long long)axes[i], n->in[0]->name);
    if (scale < 0 || (larger ? s > scale : s < scale)) scale = s;
  }
  for (int i = 0; i < count; i++) {
    gs_resize_dim *d = &dim[axes[i]];
    double size = floor(scale * (double)d->in + 0.5);
    if (size >= 0x1p62)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "dim %lld would be larger than 2^62",
                     (long long)axes[i]);
    d->exact = false;
    d->scale = scale;
    d->out = (int64_t)size;
  }
  return GS_OK;
}

static gs_status set_sizes(gs_arena *a, const gs_node *n, const int64_t *axes,
                           int count, const gs_resize_args *args,
                           gs_resize_dim *dim, gs_err *e) {
  static const char *const policies[] = {"stretch", "not_larger",
                                         "not_smaller"};
  int policy = 0;
  GS_TRY(choice(a, n, "keep_aspect_ratio_policy", policies, 3, 0, &policy,
                e));
  for (int i = 0; i < count; i++) {
    gs_resize_dim *d = &dim[axes[i]];
    if (args->nscales) {
      GS_TRY(by_scale(a, n, d, args->scales[i], e));
      continue;
    }
    if (args->sizes[i] < 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "a size of %lld for dim %lld of '%s'",
                     (long long)args->sizes[i], (long long)axes[i],
                     n->in[0]->name);
    d->out = d->want = args->sizes[i];
    d->exact = true;
    d->scale = d->in ? (double)d->out / (double)d->in : 1;
  }
  if (args->nsizes && policy)
    return keep_ratio(a, n, policy == 2, axes, count, dim, e);
  return GS_OK;
}

/* Whether an element may come from elsewhere or be mixed with others. */
static bool moves(const gs_resize_how *how, const gs_resize_dim *d) {
  if (d->in != d->out || (!d->exact && d->scale != 1)) return true;
  if (how->coord == GS_RESIZE_TF_CROP_AND_RESIZE)
    return d->start != 0 || d->end != 1;
  if (how->coord != GS_RESIZE_TF_HALF_PIXEL_FOR_NN) return false;
  return how->mode != GS_RESIZE_NEAREST ||
         how->round == GS_RESIZE_PREFER_CEIL || how->round == GS_RESIZE_CEIL;
}

gs_status gs_resize_dims(gs_arena *a, const gs_node *n, int rank,
                         const int64_t *in, const gs_resize_args *args,
                         gs_resize_dim *dim, gs_err *e) {
  gs_resize_how how;
  int64_t axes[GS_MAX_RANK];
  int count;
  GS_TRY(gs_resize_attrs(a, n, &how, e));
  bool crop = how.coord == GS_RESIZE_TF_CROP_AND_RESIZE;
  GS_TRY(listed_axes(a, n, rank, axes, &count, e));
  GS_TRY(check_counts(a, n, count, crop, args, e));
  for (int d = 0; d < rank; d++)
    dim[d] = (gs_resize_dim){.in = in[d], .out = in[d], .want = in[d],
                             .exact = true, .scale = 1, .end = 1};
  GS_TRY(set_sizes(a, n, axes, count, args, dim, e));
  for (int i = 0; i < count; i++) {
    gs_resize_dim *d = &dim[axes[i]];
    if (crop) {
      d->start = args->roi[i];
      d->end = args->roi[count + i];
      if (!isfinite(d->start) || !isfinite(d->end))
        return gs_fail(e, GS_DATA, gs_node_place(a, n),
                       "the region of dim %lld is not finite",
                       (long long)axes[i]);
    }
    d->touched = moves(&how, d);
    if (d->in == 0 && d->out > 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "dim %lld of '%s' is empty and cannot become %lld",
                     (long long)axes[i], n->in[0]->name, (long long)d->out);
  }
  return GS_OK;
}

double gs_resize_origin(gs_resize_coord coord, const gs_resize_dim *d,
                        int64_t i) {
  double in = (double)d->in, out = (double)d->out, x = (double)i;
  /* The length that the scale asks for need not be whole. */
  double wide = d->exact ? out : d->scale * in;
  double half = (d->exact ? (x + 0.5) * in / out : (x + 0.5) / d->scale);
  switch (coord) {
  case GS_RESIZE_ALIGN_CORNERS:
    return d->out > 1 ? x * (in - 1) / (wide - 1) : 0;
  case GS_RESIZE_ASYMMETRIC: return d->exact ? x * in / out : x / d->scale;
  case GS_RESIZE_TF_CROP_AND_RESIZE:
    if (d->out <= 1) return 0.5 * (d->start + d->end) * (in - 1);
    return d->start * (in - 1) +
           x * (d->end - d->start) * (in - 1) / (wide - 1);
  case GS_RESIZE_PYTORCH_HALF_PIXEL: return d->out > 1 ? half - 0.5 : 0;
  case GS_RESIZE_HALF_PIXEL_SYMMETRIC: /* from the centres, which agree */
    x += 0.5 - out / 2;
    return (d->exact ? x * in / out : x / d->scale) + in / 2 - 0.5;
  case GS_RESIZE_TF_HALF_PIXEL_FOR_NN: return half;
  default: return half - 0.5;
  }
}

/* ---- elements under the kernel ---- */

double gs_resize_shrink(const gs_resize_how *how, const gs_resize_dim *d) {
  double ratio = d->exact && d->in ? (double)d->out / (double)d->in : d->scale;
  return how->antialias ? fmin(ratio, 1) : 1;
}

double gs_resize_taps(const gs_resize_how *how, const gs_resize_dim *d) {
  if (how->mode == GS_RESIZE_NEAREST) return 1;
  double half = how->mode == GS_RESIZE_LINEAR ? 1 : 2;
  return 2 * ceil(half / gs_resize_shrink(how, d));
}

static int64_t nearest(gs_resize_round round, double x) {
  switch (round) {
  case GS_RESIZE_FLOOR: return (int64_t)floor(x);
  case GS_RESIZE_CEIL: return (int64_t)ceil(x);
  case GS_RESIZE_PREFER_CEIL: return (int64_t)floor(x + 0.5);
  default: return (int64_t)ceil(x - 0.5);
  }
}

int64_t gs_resize_first(const gs_resize_how *how, int taps, int64_t n,
                        double *x) {
  *x = fmin(fmax(*x, -4.0 * taps - 4), (double)n + 4.0 * taps + 4);
  if (how->mode == GS_RESIZE_NEAREST) return nearest(how->round, *x);
  return (int64_t)floor(*x) - taps / 2 + 1;
}

/* ---- the reach ---- */

enum { LOOKED_AT = 1 << 16 }; /* elements of a result, at most */
static const double SLACK = 1.0 / 32; /* of a slope, and of rounding */

/* A fraction within `error` of x >= 0, with the smallest denominator among the
 * convergents of its continued fraction.  False when it is too large. */
static bool fraction(double x, double error, int64_t *num, int64_t *den) {
  int64_t p[2] = {1, 0}, q[2] = {0, 1};
  double rest = x;
  for (int i = 0; i < 64; i++) {
    double whole = floor(rest);
    double np = whole * (double)p[0] + (double)p[1];
    double nq = whole * (double)q[0] + (double)q[1];
    if (np >= 0x1p31 || nq >= 0x1p31) return false;
    p[1] = p[0], p[0] = (int64_t)np;
    q[1] = q[0], q[0] = (int64_t)nq;
    *num = p[0];
    *den = q[0];
    if (fabs(x - np / nq) <= error) return true;
    rest = 1 / (rest - whole);
  }
  return false;
}

/* No element is farther outside than the spare one at either end. */
static bool stays(const gs_resize_how *how, const gs_resize_dim *d, int taps) {
  if (how->coord == GS_RESIZE_TF_CROP_AND_RESIZE) return true;
  double low = gs_resize_origin(how->coord, d, 0);
  double high = gs_resize_origin(how->coord, d, d->out - 1);
  return gs_resize_first(how, taps, d->in, &low) + taps >= 0 &&
         gs_resize_first(how, taps, d->in, &high) <= d->in;
}

/* Bounds of all elements, one more at either end for what rounding does and
 * for elements outside; false where those are farther away.  Places are base +
 * slope * o, but for the rounding of gs_resize_origin. */
static bool bound(const gs_resize_how *how, const gs_resize_dim *d, int taps,
                  double base, gs_reach *r) {
  double near = 0; /* of nearest: the element is floor(place + near), or one
                      before it where that is a whole number */
  double den = (double)r->den;
  if (!stays(how, d, taps)) return false;
  if (how->mode == GS_RESIZE_NEAREST && how->round != GS_RESIZE_FLOOR)
    near = how->round == GS_RESIZE_CEIL ? 1 : 0.5;
  int64_t first = how->mode == GS_RESIZE_NEAREST ? 0 : 1 - taps / 2;
  int64_t last = first + taps - 1;
  r->first = (int64_t)floor(den * (base + near - SLACK)) + r->den * (first - 1);
  r->last = (int64_t)ceil(den * (base + near + SLACK)) + r->den * (last + 1);
  return true;
}

/* The closest numbers of that slope, by a look at every element. */
static void fit(const gs_resize_how *how, const gs_resize_dim *d, int taps,
                gs_reach *r) {
  bool crop = how->coord == GS_RESIZE_TF_CROP_AND_RESIZE, any = false;
  int64_t low = 0, high = 0, end = d->in - 1;
  for (int64_t o = 0; o < d->out; o++) {
    double x = gs_resize_origin(how->coord, d, o);
    if (crop && !(x >= 0 && x <= (double)end)) continue;
    int64_t at = gs_resize_first(how, taps, d->in, &x);
    int64_t first = gs_min(gs_max(at, 0), end);
    int64_t last = gs_min(gs_max(at + taps - 1, 0), end);
    first = r->den * first - r->num * o;
    last = r->den * last - r->num * o;
    low = any ? gs_min(low, first) : first;
    high = any ? gs_max(high, last) : last;
    any = true;
  }
  r->first = gs_min(low + r->den - 1, high);
  r->last = high;
}

bool gs_resize_reach(const gs_resize_how *how, const gs_resize_dim *d,
                     gs_reach *r) {
  double taps = gs_resize_taps(how, d), base = 0, slope = 0;
  if (d->out < 1 || d->in < 1 || d->in > INT32_MAX || d->out > INT32_MAX ||
      taps > INT32_MAX)
    return false;
  base = gs_resize_origin(how->coord, d, 0);
  if (d->out > 1)
    slope = (gs_resize_origin(how->coord, d, d->out - 1) - base) /
            (double)(d->out - 1);
  if (!(slope >= 0) || !(fabs(base) < 0x1p31)) return false;
  *r = (gs_reach){.count = d->out, .num = 1, .den = 64 * d->out};
  if (slope > 0 && !fraction(slope, SLACK / 2 / (double)d->out, &r->num,
                             &r->den))
    return false;
  if (d->out > LOOKED_AT) return bound(how, d, (int)taps, base, r);
  fit(how, d, (int)taps, r);
  return true;
}
