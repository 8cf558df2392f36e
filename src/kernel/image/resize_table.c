/* Tables of Resize: for each element of a dim of the result, which elements
 * it is made of, and their weights. */
#include <math.h>

#include "kernel/image/resize.h"
#include "kernel/core/support.h"

static int64_t nearest(gs_resize_round round, double x) {
  switch (round) {
  case GS_RESIZE_FLOOR: return (int64_t)floor(x);
  case GS_RESIZE_CEIL: return (int64_t)ceil(x);
  case GS_RESIZE_PREFER_CEIL: return (int64_t)floor(x + 0.5);
  default: return (int64_t)ceil(x - 0.5);
  }
}

/* Keys' cubic kernel with coefficient a. */
static double cubic(double a, double x) {
  x = fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

/* How many elements lie under the kernel, which widens by 1 / shrink. */
static double tap_count(const gs_resize_how *how, double shrink) {
  if (how->mode == GS_RESIZE_NEAREST) return 1;
  return 2 * ceil((how->mode == GS_RESIZE_LINEAR ? 1 : 2) / shrink);
}

/* Weights of the elements from `first` on for the place x; *first is set. */
static void weigh(const gs_resize_how *how, const gs_resize_table *t,
                  double x, double shrink, int64_t *first, double *w) {
  double sum = 0, low = floor(x);
  *first = (int64_t)low - t->taps / 2 + 1;
  for (int j = 0; j < t->taps; j++) {
    double away = (low - t->taps / 2 + 1 + j - x) * shrink;
    w[j] = how->mode == GS_RESIZE_LINEAR ? fmax(0, 1 - fabs(away))
                                         : cubic(how->cubic_a, away);
    bool out = *first + j < 0 || *first + j >= t->in;
    if (how->exclude_outside && out) w[j] = 0;
    sum += w[j];
  }
  if ((how->antialias || how->exclude_outside) && sum != 0)
    for (int j = 0; j < t->taps; j++) w[j] /= sum;
}

static void set_weight(gs_resize_table *t, gs_dtype type, int64_t i,
                       double w) {
  if (type == GS_DOUBLE) ((double *)t->w)[i] = w;
  else ((float *)t->w)[i] = (float)w;
}

static bool is_doubled(const gs_resize_table *t) {
  if (t->out != 2 * t->in) return false;
  for (int64_t i = 0; i < t->out; i++)
    if (t->at[i] != i / 2) return false;
  return true;
}

static void fill(const gs_resize_how *how, const gs_resize_dim *d,
                 double shrink, gs_dtype type, double *w,
                 gs_resize_table *t) {
  for (int64_t i = 0; i < t->out; i++) {
    double x = gs_resize_origin(how->coord, d, i);
    int64_t first;
    if (t->outside)
      t->outside[i] = !(x >= 0 && x <= (double)(t->in - 1));
    /* Far outside all is edge. */
    x = fmin(fmax(x, -4.0 * t->taps - 4), (double)t->in + 4.0 * t->taps + 4);
    if (how->mode == GS_RESIZE_NEAREST) first = nearest(how->round, x);
    else weigh(how, t, x, shrink, &first, w);
    for (int j = 0; j < t->taps; j++) {
      int64_t at = gs_min(gs_max(first + j, 0), t->in - 1);
      t->at[j * t->out + i] = (int32_t)at;
      if (t->w) set_weight(t, type, j * t->out + i, w[j]);
    }
  }
}

gs_status gs_resize_table_make(gs_kctx *k, gs_arena *a,
                               const gs_resize_how *how,
                               const gs_resize_dim *d, gs_dtype type,
                               gs_resize_table *t) {
  double ratio = d->exact && d->in ? (double)d->out / (double)d->in : d->scale;
  double shrink = how->antialias ? fmin(ratio, 1) : 1;
  *t = (gs_resize_table){.in = d->in, .out = d->out};
  if (!d->out) return GS_OK;
  double taps = tap_count(how, shrink);
  int64_t entries;
  if (d->in > INT32_MAX || d->out > INT32_MAX || taps > INT32_MAX ||
      !gs_mul((int64_t)taps, d->out, &entries) || entries > INT32_MAX)
    return gs_kernel_fail(k, GS_UNSUPPORTED,
                          "a dim of %lld made of %lld is too long",
                          (long long)d->out, (long long)d->in);
  t->taps = (int)taps;
  t->at = GS_NEWS(a, entries, int32_t);
  if (how->mode != GS_RESIZE_NEAREST)
    t->w = gs_calloc(a, (size_t)entries, type == GS_DOUBLE ? 8 : 4);
  if (how->coord == GS_RESIZE_TF_CROP_AND_RESIZE)
    t->outside = GS_NEWS(a, t->out, bool);
  fill(how, d, shrink, type, GS_NEWS(a, t->taps, double), t);
  t->doubled = !t->w && is_doubled(t);
  return GS_OK;
}
