/* Tables of Resize: for each element of a dim of the result, which elements
 * it is made of, and their weights. */
#include <math.h>

#include "kernel/image/resize.h"
#include "kernel/core/support.h"

/* Keys' cubic kernel with coefficient a. */
static double cubic(double a, double x) {
  x = fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

/* Weights of the `taps` elements from `first` on, of a dim of n, for the
 * place x. */
static void weigh(const gs_resize_how *how, int64_t n, int taps, double x,
                  double shrink, int64_t first, double *w) {
  double sum = 0, low = floor(x);
  for (int j = 0; j < taps; j++) {
    double away = (low - taps / 2 + 1 + j - x) * shrink;
    w[j] = how->mode == GS_RESIZE_LINEAR ? fmax(0, 1 - fabs(away))
                                         : cubic(how->cubic_a, away);
    bool out = first + j < 0 || first + j >= n;
    if (how->exclude_outside && out) w[j] = 0;
    sum += w[j];
  }
  if ((how->antialias || how->exclude_outside) && sum != 0)
    for (int j = 0; j < taps; j++) w[j] /= sum;
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

/* A table that is made. */
typedef struct maker {
  const gs_resize_how *how;
  const gs_resize_dim *d;
  const gs_resize_part *part;
  gs_dtype type;
  double *w; /* [taps] */
  gs_resize_table *t;
} maker;

/* Element i of the part; false when an element that it is made of is not among
 * those of the part.  Past the end of the dim, and where the extrapolation
 * value will stand, any will do. */
static bool fill(const maker *m, int64_t i) {
  gs_resize_table *t = m->t;
  const gs_resize_part *part = m->part;
  int64_t n = m->d->in, o = part->out_first + i;
  double x = gs_resize_origin(m->how->coord, m->d, o);
  bool any = o >= m->d->out;
  if (t->outside) any |= t->outside[i] = !(x >= 0 && x <= (double)(n - 1));
  int64_t first = gs_resize_first(m->how, t->taps, n, &x);
  if (t->w)
    weigh(m->how, n, t->taps, x, gs_resize_shrink(m->how, m->d), first, m->w);
  for (int j = 0; j < t->taps; j++) {
    int64_t at = gs_min(gs_max(first + j, 0), n - 1) - part->in_first;
    if (!any && (at < 0 || at >= part->in)) return false;
    at = gs_max(gs_min(at, part->in - 1), 0);
    t->at[j * t->out + i] = (int32_t)at;
    if (t->w) set_weight(t, m->type, j * t->out + i, m->w[j]);
  }
  return true;
}

gs_status gs_resize_table_make(gs_kctx *k, gs_arena *a,
                               const gs_resize_how *how,
                               const gs_resize_dim *d,
                               const gs_resize_part *part, gs_dtype type,
                               gs_resize_table *t) {
  *t = (gs_resize_table){.in = part->in, .out = part->out,
                         .shrinks = d->out < d->in};
  if (!part->out) return GS_OK;
  double taps = gs_resize_taps(how, d);
  int64_t entries;
  if (d->in > INT32_MAX || d->out > INT32_MAX || taps > INT32_MAX ||
      !gs_mul((int64_t)taps, part->out, &entries) || entries > INT32_MAX)
    return gs_kernel_fail(k, GS_UNSUPPORTED,
                          "a dim of %lld made of %lld is too long",
                          (long long)d->out, (long long)d->in);
  t->taps = (int)taps;
  t->at = GS_NEWS(a, entries, int32_t);
  if (how->mode != GS_RESIZE_NEAREST)
    t->w = gs_calloc(a, (size_t)entries, type == GS_DOUBLE ? 8 : 4);
  if (how->coord == GS_RESIZE_TF_CROP_AND_RESIZE)
    t->outside = GS_NEWS(a, t->out, bool);
  maker m = {how, d, part, type, GS_NEWS(a, t->taps, double), t};
  for (int64_t i = 0; i < t->out; i++)
    if (!fill(&m, i))
      return gs_kernel_fail(k, GS_DATA, "element %lld of a dim of %lld is made "
                            "of others than %lld to %lld",
                            (long long)(part->out_first + i),
                            (long long)d->out, (long long)part->in_first,
                            (long long)(part->in_first + part->in - 1));
  t->doubled = !t->w && is_doubled(t);
  return GS_OK;
}
