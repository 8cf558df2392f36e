/* BatchNormalization: y = (x - mean) / sqrt(var + epsilon) * scale + bias for
 * each channel.  16-bit floats are computed in f32. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/par.h"
#include "kernel/reduce/rowloops.h"
#include "kernel/core/support.h"

typedef struct plan {
  bool training;
  gs_dtype type;         /* of the computation: f32 or f64 */
  int64_t size;          /* bytes of it */
  int64_t batch, channels, n; /* n: elements of a channel of an image */
  double epsilon, momentum;
  const gs_row_loops *loop;
  const gs_fold *sum;
} plan;

typedef union number {
  float f32[2];
  double f64[2];
} number;

static gs_status prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  const gs_view *x = &k->in[0];
  k->state = p;
  for (int i = 0; i < 5; i++) {
    gs_dtype t = k->in[i].dtype;
    if (!gs_dtype_half(t) && t != GS_FLOAT && t != GS_DOUBLE)
      return gs_kernel_no_type(k, t);
  }
  p->training = gs_node_int(k->node, "training_mode", 0) != 0;
  p->epsilon = gs_node_float(k->node, "epsilon", 1e-5);
  p->momentum = gs_node_float(k->node, "momentum", 0.9);
  p->type = x->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  p->size = p->type == GS_DOUBLE ? 8 : 4;
  p->batch = x->dims[0];
  p->channels = x->rank > 1 ? x->dims[1] : 1;
  p->n = x->rank > 2 ? gs_dims_count(x->dims, 2, x->rank) : 1;
  p->loop = gs_row_loops_get(p->type);
  p->sum = gs_fold_get(GS_FOLD_SUM, p->type);
  k->scratch_size = 4 * (size_t)p->channels * sizeof(double);
  return GS_OK;
}

static double get(const gs_view *v, int64_t i) {
  double d;
  int64_t size = gs_dtype_get((int)v->dtype)->bits / 8;
  gs_convert(GS_DOUBLE, &d, v->dtype, (const char *)v->data + i * size, 1,
             NULL);
  return d;
}

static void put(const gs_view *v, int64_t i, double d) {
  int64_t size = gs_dtype_get((int)v->dtype)->bits / 8;
  gs_convert(v->dtype, (char *)v->data + i * size, GS_DOUBLE, &d, 1, NULL);
}

/* n <= GS_CHUNK elements of x from `at` in the computed type. */
static const void *load(const gs_kctx *k, int64_t at, int64_t n, void *buf) {
  const plan *p = k->state;
  const gs_view *x = &k->in[0];
  int64_t size = gs_dtype_get((int)x->dtype)->bits / 8;
  const char *from = (const char *)x->data + at * size;
  gs_assert(n <= GS_CHUNK && at + n <= x->n);
  if (x->dtype == p->type) return from;
  gs_convert(p->type, buf, x->dtype, from, n, NULL);
  return buf;
}

/* The sum over channel c of all images: of the elements, or of their squared
 * distances from *mean. */
static double channel_sum(const gs_kctx *k, int64_t c, const double *mean) {
  const plan *p = k->state;
  _Alignas(64) char buf[GS_CHUNK * sizeof(double)];
  double total = 0;
  bool narrow = p->type == GS_FLOAT;
  float mean32 = mean ? (float)*mean : 0;
  for (int64_t b = 0; b < p->batch; b++)
    for (int64_t i = 0; i < p->n; i += GS_CHUNK) {
      int64_t n = gs_min(GS_CHUNK, p->n - i);
      number acc = {.f64 = {0}};
      const void *x = load(k, (b * p->channels + c) * p->n + i, n, buf);
      if (!mean) p->sum->row(&acc, x, n);
      else p->loop->deviation(&acc, x, narrow ? (void *)&mean32
                                              : (void *)(uintptr_t)mean, n);
      total += narrow ? (double)acc.f32[0] : acc.f64[0];
    }
  return total;
}

/* Mean and variance of channels [lo, hi) into scratch, and the running ones
 * into results 1 and 2. */
static void statistics(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  double *mean = k->scratch, *var = mean + p->channels;
  double count = (double)(p->batch * p->n);
  for (int64_t c = lo; c < hi; c++) {
    mean[c] = get(&k->in[3], c);
    var[c] = get(&k->in[4], c);
    if (!p->training) continue;
    double old[2] = {mean[c], var[c]};
    mean[c] = channel_sum(k, c, NULL) / count;
    var[c] = channel_sum(k, c, &mean[c]) / count;
    double now[2] = {mean[c], var[c]};
    for (int i = 0; i < 2; i++)
      if (k->nout > i + 1 && k->out[i + 1].rank >= 0)
        put(&k->out[i + 1], c,
            old[i] * p->momentum + now[i] * (1 - p->momentum));
  }
}

/* y = (x - m) * a + b for n elements. */
static void scale_f32(float *y, const float *x, int64_t n, float m, float a,
                      float b) {
  for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * a + b;
}

static void scale_f64(double *y, const double *x, int64_t n, double m,
                      double a, double b) {
  for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * a + b;
}

/* Channels [lo, hi) of all images. */
static void normalize(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  const double *mean = k->scratch, *var = mean + p->channels;
  const gs_view *y = &k->out[0];
  int64_t size = gs_dtype_get((int)y->dtype)->bits / 8;
  _Alignas(64) char buf[GS_CHUNK * sizeof(double)];
  _Alignas(64) char res[GS_CHUNK * sizeof(double)];
  for (int64_t i = lo; i < hi; i++) {
    int64_t c = i % p->channels;
    double a = get(&k->in[1], c) / sqrt(var[c] + p->epsilon);
    double b = get(&k->in[2], c);
    for (int64_t j = 0; j < p->n; j += GS_CHUNK) {
      int64_t n = gs_min(GS_CHUNK, p->n - j), at = i * p->n + j;
      const void *x = load(k, at, n, buf);
      bool direct = y->dtype == p->type;
      char *to = (char *)y->data + at * size;
      if (p->type == GS_FLOAT)
        scale_f32(direct ? (void *)to : (void *)res, x, n, (float)mean[c],
                  (float)a, (float)b);
      else
        scale_f64(direct ? (void *)to : (void *)res, x, n, mean[c], a, b);
      if (!direct) gs_convert(y->dtype, to, p->type, res, n, NULL);
    }
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  gs_parallel(k->threads, p->channels, p->training ? p->batch * p->n * 4 : 1,
              statistics, k);
  gs_parallel(k->threads, p->batch * p->channels, p->n, normalize, k);
  return GS_OK;
}

const gs_kernel gs_kernel_batch_norm = {prep, run};
