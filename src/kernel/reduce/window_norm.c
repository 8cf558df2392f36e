/* LpNormalization, LRN and MeanVarianceNormalization.  All are computed in
 * double, the elements of a dim in an order of their own, and rounded once: the
 * bytes of a result do not depend on the dims that are kept.  LRN of f32, as
 * networks have it, is computed in f32. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/isa.h"
#include "kernel/core/coord.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"

#define GS_STAMP "kernel/reduce/lrn.inc"
#include "kernel/core/stamp.h"

enum { SIDE = 64, BLOCK = 1024, LANES = 4 }; /* LANES divides BLOCK */

static gs_status float_type(gs_kctx *k) {
  gs_dtype t = k->in[0].dtype;
  if (t == GS_FLOAT || t == GS_DOUBLE || t == GS_FLOAT16 || t == GS_BFLOAT16)
    return GS_OK;
  return gs_kernel_no_type(k, t);
}

static int64_t size_of(const gs_view *v) {
  return gs_dtype_get((int)v->dtype)->bits / 8;
}
/* f32, the usual type, without the detour over the table of conversions. */
static void load(const gs_view *v, int64_t at, int64_t n, double *to) {
  const char *from = (const char *)v->data + at * size_of(v);
  if (v->dtype == GS_FLOAT && (uintptr_t)from % sizeof(float) == 0) {
    const float *f = (const float *)(const void *)from;
    for (int64_t i = 0; i < n; i++) to[i] = (double)f[i];
    return;
  }
  gs_convert(GS_DOUBLE, to, v->dtype, from, n, NULL);
}
static void store(const gs_view *v, int64_t at, int64_t n,
                  const double *from) {
  char *to = (char *)v->data + at * size_of(v);
  if (v->dtype == GS_FLOAT) {
    float *f = (float *)(void *)to;
    for (int64_t i = 0; i < n; i++) f[i] = (float)from[i];
    return;
  }
  gs_convert(v->dtype, to, GS_DOUBLE, from, n, NULL);
}

/* ---- LpNormalization: x[outer, n, inner] by the norm along n ---- */

typedef struct lp_plan {
  int64_t outer, n, inner;
  bool squares;
} lp_plan;

static gs_status lp_prep(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  lp_plan *p = GS_NEW(k->arena, lp_plan);
  int d;
  GS_TRY(float_type(k));
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "axis", -1), x->rank, &d));
  p->outer = gs_dims_count(x->dims, 0, d);
  p->n = x->dims[d];
  p->inner = gs_dims_count(x->dims, d + 1, x->rank);
  p->squares = gs_node_int(k->node, "p", 2) == 2;
  k->state = p;
  return GS_OK;
}

static double lp_term(const lp_plan *p, double x) {
  return p->squares ? x * x : fabs(x);
}
/* The norm from the sums over elements 0, LANES, ..., over 1, ... and so on. */
static double lp_norm(const lp_plan *p, const double *sum, int64_t step) {
  double s = (sum[0] + sum[2 * step]) + (sum[step] + sum[3 * step]);
  return p->squares ? sqrt(s) : s;
}

static void lp_row(const gs_kctx *k, int64_t at) {
  const lp_plan *p = k->state;
  double x[BLOCK], sum[LANES] = {0};
  for (int64_t i = 0; i < p->n; i += BLOCK) {
    int64_t m = gs_min(BLOCK, p->n - i), j = 0;
    load(&k->in[0], at + i, m, x);
    for (; j + LANES <= m; j += LANES)
      for (int l = 0; l < LANES; l++) sum[l] += lp_term(p, x[j + l]);
    for (int l = 0; j < m; j++, l++) sum[l] += lp_term(p, x[j]);
  }
  double norm = lp_norm(p, sum, 1);
  if (norm == 0) norm = 1; /* where all is 0 the result is */
  for (int64_t i = 0; i < p->n; i += BLOCK) {
    int64_t m = gs_min(BLOCK, p->n - i);
    load(&k->in[0], at + i, m, x);
    for (int64_t j = 0; j < m; j++) x[j] /= norm;
    store(&k->out[0], at + i, m, x);
  }
}

/* m <= SIDE rows side by side, the first elements of which begin at `at`. */
static void lp_rows(const gs_kctx *k, int64_t at, int64_t m) {
  const lp_plan *p = k->state;
  double x[SIDE], norm[SIDE], sum[LANES * SIDE] = {0};
  gs_assert(m > 0 && m <= SIDE);
  for (int64_t i = 0; i < p->n; i++) {
    double *lane = sum + i % LANES * SIDE;
    load(&k->in[0], at + i * p->inner, m, x);
    for (int64_t j = 0; j < m; j++) lane[j] += lp_term(p, x[j]);
  }
  for (int64_t j = 0; j < m; j++) {
    norm[j] = lp_norm(p, sum + j, SIDE);
    if (norm[j] == 0) norm[j] = 1;
  }
  for (int64_t i = 0; i < p->n; i++) {
    load(&k->in[0], at + i * p->inner, m, x);
    for (int64_t j = 0; j < m; j++) x[j] /= norm[j];
    store(&k->out[0], at + i * p->inner, m, x);
  }
}

static void lp_blocks(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const lp_plan *p = k->state;
  int64_t per = gs_ceil_div(p->inner, SIDE);
  for (int64_t b = lo; b < hi; b++) {
    int64_t c = b % per * SIDE, at = b / per * p->n * p->inner + c;
    if (p->inner == 1) lp_row(k, at);
    else lp_rows(k, at, gs_min(SIDE, p->inner - c));
  }
}

static gs_status lp_run(gs_kctx *k) {
  const lp_plan *p = k->state;
  if (k->out[0].n)
    gs_parallel(k->threads, p->outer * gs_ceil_div(p->inner, SIDE),
                2 * p->n * gs_min(SIDE, p->inner), lp_blocks, k);
  return GS_OK;
}

extern const gs_kernel gs_kernel_lp_norm, gs_kernel_lrn, gs_kernel_mvn;
const gs_kernel gs_kernel_lp_norm = {lp_prep, lp_run};

/* ---- LRN: x[batch, channels, inner] / (bias + alpha / size * the squares of
 * the channels around)^beta ---- */

typedef struct lrn_plan {
  int64_t batch, inner, before, after;
  int64_t channels; /* of the whole tensors */
  int64_t x_first, x_channels, y_first, y_channels; /* of this device */
  double bias, factor, beta;
  bool fast;
} lrn_plan;

static gs_status lrn_prep(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  lrn_plan *p = GS_NEW(k->arena, lrn_plan);
  int64_t size = gs_node_int(k->node, "size", 0);
  GS_TRY(float_type(k));
  if (x->rank < 2 || size < 1)
    return gs_kernel_fail(k, GS_DATA, "size %lld", (long long)size);
  gs_kextent from, to;
  GS_TRY(gs_kctx_operand(k, 0, &from));
  GS_TRY(gs_kctx_result(k, 0, &to));
  p->batch = x->dims[0];
  p->channels = to.dims[1];
  p->x_first = from.first[1];
  p->x_channels = x->dims[1];
  p->y_first = to.first[1];
  p->y_channels = k->out[0].dims[1];
  p->inner = gs_dims_count(x->dims, 2, x->rank);
  p->before = (size - 1) / 2;
  p->after = size / 2;
  int64_t last = gs_min(p->channels, p->y_first + p->y_channels) - 1;
  if (last >= p->y_first && !gs_kctx_has(&from, 1, x->dims[1],
                                         p->y_first - p->before,
                                         last + p->after))
    return gs_kernel_fail(k, GS_DATA, "channels around those of the result are "
                          "missing");
  p->bias = gs_node_float(k->node, "bias", 1);
  p->factor = gs_node_float(k->node, "alpha", 9.999999747378752e-05) /
              (double)size;
  p->beta = gs_node_float(k->node, "beta", 0.75);
  p->fast = x->dtype == GS_FLOAT && p->beta == 0.75 && p->bias > 0 &&
            p->factor >= 0;
  k->state = p;
  return GS_OK;
}

/* x / s^beta; 3/4 is what networks use. */
static double lrn_divide(double x, double s, double beta) {
  if (beta == 0.75 && s > 0) {
    double root = sqrt(s);
    return x / (root * sqrt(root));
  }
  return x / pow(s, beta);
}

/* The same for f32 with numbers that make s positive: in f32, with nothing to
 * convert.  Channels past the last one are zero. */
static void lrn_fast(const gs_kctx *k, int64_t batch, int64_t at, int64_t m) {
  const lrn_plan *p = k->state;
  const float *x = k->in[0].data;
  float *y = k->out[0].data;
  x += batch * p->x_channels * p->inner + at;
  y += batch * p->y_channels * p->inner + at;
  for (int64_t i = 0; i < p->y_channels; i++, y += p->inner) {
    int64_t c = p->y_first + i;
    if (c >= p->channels) {
      memset(y, 0, (size_t)m * sizeof *y);
      continue;
    }
    int64_t lo = gs_max(0, c - p->before);
    int64_t hi = gs_min(p->channels - 1, c + p->after);
    GS_PICK(lrn_f32)(y, x + (c - p->x_first) * p->inner,
                     x + (lo - p->x_first) * p->inner, hi - lo + 1, p->inner,
                     m, (const float[]){(float)p->bias, (float)p->factor});
  }
}

/* Channel c of the whole, for m <= SIDE neighbours; x: the first of them in
 * the operand. */
static void lrn_channel(const gs_kctx *k, int64_t c, int64_t x, int64_t m,
                        double *y) {
  const lrn_plan *p = k->state;
  double z[SIDE], sum[SIDE];
  int64_t end = gs_min(p->channels - 1, c + p->after);
  for (int64_t i = 0; i < m; i++) sum[i] = 0;
  for (int64_t d = gs_max(0, c - p->before); d <= end; d++) {
    load(&k->in[0], x + (d - p->x_first) * p->inner, m, z);
    for (int64_t i = 0; i < m; i++) sum[i] += z[i] * z[i];
  }
  load(&k->in[0], x + (c - p->x_first) * p->inner, m, z);
  for (int64_t i = 0; i < m; i++)
    y[i] = lrn_divide(z[i], p->bias + p->factor * sum[i], p->beta);
}

/* All channels of m <= SIDE neighbours from `at` on, of a plane.  Those past
 * the last one are zero. */
static void lrn_block(const gs_kctx *k, int64_t batch, int64_t at, int64_t m) {
  const lrn_plan *p = k->state;
  int64_t x = batch * p->x_channels * p->inner + at;
  int64_t y = batch * p->y_channels * p->inner + at;
  for (int64_t c = 0; c < p->y_channels; c++) {
    double row[SIDE] = {0};
    if (c + p->y_first < p->channels)
      lrn_channel(k, c + p->y_first, x, m, row);
    store(&k->out[0], y + c * p->inner, m, row);
  }
}

static void lrn_blocks(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const lrn_plan *p = k->state;
  int64_t per = gs_ceil_div(p->inner, SIDE);
  for (int64_t b = lo; b < hi; b++) {
    int64_t at = b % per * SIDE, m = gs_min(SIDE, p->inner - at);
    bool aligned = (uintptr_t)k->in[0].data % sizeof(float) == 0;
    if (p->fast && aligned) lrn_fast(k, b / per, at, m);
    else lrn_block(k, b / per, at, m);
  }
}

static gs_status lrn_run(gs_kctx *k) {
  const lrn_plan *p = k->state;
  if (k->out[0].n)
    gs_parallel(k->threads, p->batch * gs_ceil_div(p->inner, SIDE),
                8 * p->y_channels * gs_min(SIDE, p->inner), lrn_blocks, k);
  return GS_OK;
}

const gs_kernel gs_kernel_lrn = {lrn_prep, lrn_run};

/* ---- MeanVarianceNormalization: (x - mean) / (deviation + 1e-9) ---- */

typedef struct lattice { /* a part of the dims, outer first */
  int n;
  int64_t dim[GS_MAX_RANK], stride[GS_MAX_RANK], count;
} lattice;

typedef struct mvn_plan {
  lattice kept, averaged; /* the latter without its innermost dim */
  int64_t run, step;      /* that dim: its length and stride */
} mvn_plan;

static int64_t offset_of(const lattice *l, int64_t i) {
  int64_t at = 0;
  for (int d = l->n; d-- > 0; i /= l->dim[d])
    at += i % l->dim[d] * l->stride[d];
  return at;
}

static void add_dim(lattice *l, int64_t dim, int64_t stride) {
  l->count *= dim;
  if (l->n && l->stride[l->n - 1] == dim * stride) { /* one with the last */
    l->dim[l->n - 1] *= dim;
    l->stride[l->n - 1] = stride;
    return;
  }
  l->dim[l->n] = dim;
  l->stride[l->n++] = stride;
}

static gs_status mvn_prep(gs_kctx *k) {
  static const int64_t otherwise[] = {0, 2, 3};
  const gs_view *x = &k->in[0];
  mvn_plan *p = GS_NEW(k->arena, mvn_plan);
  bool set[GS_MAX_RANK] = {false};
  int count, d;
  const int64_t *axes = gs_node_ints(k->node, "axes", &count);
  GS_TRY(float_type(k));
  if (!gs_node_attr(k->node, "axes")) {
    axes = otherwise;
    count = 3;
  }
  for (int i = 0; i < count; i++) {
    GS_TRY(gs_kernel_axis(k, axes[i], x->rank, &d));
    set[d] = true;
  }
  p->kept.count = p->averaged.count = 1;
  for (d = 0; d < x->rank; d++)
    if (x->dims[d] != 1)
      add_dim(set[d] ? &p->averaged : &p->kept, x->dims[d],
              gs_dims_count(x->dims, d + 1, x->rank));
  p->run = p->step = 1;
  if (p->averaged.n && x->n) {
    int last = --p->averaged.n;
    p->run = p->averaged.dim[last];
    p->step = p->averaged.stride[last];
    p->averaged.count /= p->run;
  }
  k->state = p;
  return GS_OK;
}

/* Adds x and (x - mean)^2 over the run that begins at `at`; then the result
 * there. */
#define MVN(tag, T)                                                            \
  static double mvn_sum_##tag(const void *v, int64_t at, const mvn_plan *p,    \
                              double sum) {                                    \
    const T *x = (const T *)v + at;                                            \
    for (int64_t i = 0; i < p->run; i++) sum += (double)x[i * p->step];        \
    return sum;                                                                \
  }                                                                            \
  static double mvn_var_##tag(const void *v, int64_t at, const mvn_plan *p,    \
                              double mean, double sum) {                       \
    const T *x = (const T *)v + at;                                            \
    for (int64_t i = 0; i < p->run; i++) {                                     \
      double d = (double)x[i * p->step] - mean;                                \
      sum += d * d;                                                            \
    }                                                                          \
    return sum;                                                                \
  }                                                                            \
  static void mvn_put_##tag(const void *v, void *w, int64_t at,                \
                            const mvn_plan *p, double mean, double by) {       \
    const T *x = (const T *)v + at;                                            \
    T *y = (T *)w + at;                                                        \
    for (int64_t i = 0; i < p->run; i++)                                       \
      y[i * p->step] = (T)(((double)x[i * p->step] - mean) / by);              \
  }                                                                            \
  static void mvn_one_##tag(const mvn_plan *p, const void *x, void *y,         \
                            int64_t at) {                                      \
    double mean = 0, var = 0, n = (double)(p->run * p->averaged.count);        \
    for (int64_t i = 0; i < p->averaged.count; i++)                            \
      mean = mvn_sum_##tag(x, at + offset_of(&p->averaged, i), p, mean);       \
    mean /= n;                                                                 \
    for (int64_t i = 0; i < p->averaged.count; i++)                            \
      var = mvn_var_##tag(x, at + offset_of(&p->averaged, i), p, mean, var);   \
    for (int64_t i = 0; i < p->averaged.count; i++)                            \
      mvn_put_##tag(x, y, at + offset_of(&p->averaged, i), p, mean,            \
                    sqrt(var / n) + 1e-9);                                     \
  }
MVN(f32, float)
MVN(f64, double)

typedef struct mvn_job {
  const mvn_plan *p;
  const void *x;
  void *y;
  bool wide;
} mvn_job;

static void mvn_range(void *ctx, int64_t lo, int64_t hi) {
  const mvn_job *j = ctx;
  for (int64_t o = lo; o < hi; o++) {
    int64_t at = offset_of(&j->p->kept, o);
    if (j->wide) mvn_one_f64(j->p, j->x, j->y, at);
    else mvn_one_f32(j->p, j->x, j->y, at);
  }
}

/* 16-bit floats are made f32 first, as a whole. */
static gs_status mvn_wide_prep(gs_kctx *k) {
  GS_TRY(mvn_prep(k));
  if (size_of(&k->in[0]) == 2)
    k->scratch_size = 2 * (size_t)k->in[0].n * sizeof(float);
  return GS_OK;
}

static gs_status mvn_run(gs_kctx *k) {
  const mvn_plan *p = k->state;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  mvn_job j = {p, x->data, y->data, x->dtype == GS_DOUBLE};
  bool narrow = size_of(x) == 2;
  if (!x->n) return GS_OK;
  if (narrow) {
    j.x = k->scratch;
    j.y = (float *)k->scratch + x->n;
    gs_convert(GS_FLOAT, k->scratch, x->dtype, x->data, x->n, NULL);
  }
  gs_parallel(k->threads, p->kept.count, 3 * x->n / p->kept.count, mvn_range,
              &j);
  if (narrow) gs_convert(y->dtype, y->data, GS_FLOAT, j.y, x->n, NULL);
  return GS_OK;
}

const gs_kernel gs_kernel_mvn = {mvn_wide_prep, mvn_run};
