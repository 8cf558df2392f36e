/* LayerNormalization and RMSNormalization: x[rows, n] with n the product of
 * the dims from axis on; scale and bias broadcast to those dims.
 *
 * y = (x - mean) / sqrt(var + epsilon) * scale + bias, var the mean of
 * (x - mean)^2; for RMS mean is 0.  f16 and bf16 are computed in f32 and
 * rounded once; f64 in f64. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"
#include "kernel/core/par.h"
#include "kernel/reduce/rowloops.h"

typedef union number {
  float f32;
  double f64;
} number;

typedef struct plan {
  bool rms;
  gs_dtype type; /* of the computation */
  int wide;      /* bytes of it */
  int axis;
  int64_t rows, n;
  double epsilon;
  const gs_row_loops *loop;
  const gs_fold *sum, *squares;
} plan;

typedef struct job {
  const gs_kctx *k;
  const plan *p;
  const char *gain, *bias; /* [n] in the computed type; bias may be NULL */
} job;

static bool float_type(gs_dtype t) {
  return t == GS_FLOAT || t == GS_DOUBLE || t == GS_FLOAT16 ||
         t == GS_BFLOAT16;
}

/* Operand i (scale, bias) must broadcast to x's dims from the axis on. */
static gs_status check(gs_kctx *k, int i, int axis) {
  const gs_view *x = &k->in[0], *v = &k->in[i];
  if (!float_type(v->dtype)) return gs_kernel_no_type(k, v->dtype);
  bool ok = true;
  for (int d = 0; d < v->rank && ok; d++) {
    int e = d + x->rank - v->rank;
    ok = v->dims[d] == 1 || (e >= axis && v->dims[d] == x->dims[e]);
  }
  return ok ? GS_OK
            : gs_fail(k->err, GS_DATA, gs_node_place(k->arena, k->node),
                      "operand %d does not broadcast to the normalized dims",
                      i);
}

static gs_status prep(gs_kctx *k, bool rms) {
  const gs_view *in = &k->in[0];
  if (!float_type(in->dtype)) return gs_kernel_no_type(k, in->dtype);
  for (int i = 0; i < k->nout; i++)
    if (k->out[i].rank >= 0 && !float_type(k->out[i].dtype))
      return gs_kernel_no_type(k, k->out[i].dtype);
  int64_t axis = gs_node_int(k->node, "axis", -1);
  if (axis < 0) axis += in->rank;
  if (axis < 0 || axis >= in->rank)
    return gs_fail(k->err, GS_DATA, gs_node_place(k->arena, k->node),
                   "axis is outside of a rank %d tensor", in->rank);
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  p->rms = rms;
  p->axis = (int)axis;
  p->type = in->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  p->wide = in->dtype == GS_DOUBLE ? 8 : 4;
  p->rows = gs_product(in->dims, p->axis);
  p->n = gs_product(in->dims + axis, in->rank - p->axis);
  p->epsilon = gs_node_float(k->node, "epsilon", 1e-5);
  p->loop = gs_row_loops_get(p->type);
  p->sum = gs_fold_get(GS_FOLD_SUM, p->type);
  p->squares = gs_fold_get(GS_FOLD_SQUARES, p->type);
  for (int i = 1; i < k->nin; i++)
    if (k->in[i].rank >= 0) GS_TRY(check(k, i, p->axis));
  k->scratch_size = 2 * ((size_t)p->n * (size_t)p->wide + 64);
  return GS_OK;
}

/* Operand i as p->n elements of the computed type. */
static const char *expanded(const gs_kctx *k, const plan *p, int i,
                            char *buf) {
  const gs_view *x = &k->in[0], *v = &k->in[i];
  if (v->n == p->n && v->dtype == p->type) return v->data;
  if (v->n == p->n) {
    gs_convert(p->type, buf, v->dtype, v->data, p->n, NULL);
    return buf;
  }
  int size = gs_dtype_get((int)v->dtype)->bits / 8;
  for (int64_t j = 0; j < p->n; j++) {
    int64_t rest = j, at = 0, stride = 1;
    for (int d = x->rank; d-- > p->axis;) {
      int e = d - (x->rank - v->rank);
      int64_t c = rest % x->dims[d];
      rest /= x->dims[d];
      if (e < 0) continue;
      if (v->dims[e] != 1) at += c * stride;
      stride *= v->dims[e];
    }
    gs_convert(p->type, buf + j * p->wide, v->dtype,
               (const char *)v->data + at * size, 1, NULL);
  }
  return buf;
}

static const void *load(const job *j, int64_t at, int64_t n, void *buf) {
  const gs_view *in = &j->k->in[0];
  if (in->dtype == j->p->type)
    return (const char *)in->data + at * j->p->wide;
  gs_convert(j->p->type, buf, in->dtype, (const char *)in->data + at * 2, n,
             NULL);
  return buf;
}

/* Mean (0 for RMS) and reciprocal deviation of a row: stat[0], stat[1] in the
 * computed type. */
static void statistics(const job *j, int64_t at, void *stat) {
  const plan *p = j->p;
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  number sum = {.f64 = 0}, var = {.f64 = 0};
  bool f32 = p->type == GS_FLOAT;
  for (int64_t i = 0; i < p->n && !p->rms; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, p->n - i);
    p->sum->row(&sum, load(j, at + i, m, buf), m);
  }
  if (f32) sum.f32 /= (float)p->n;
  else sum.f64 /= (double)p->n;
  for (int64_t i = 0; i < p->n; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, p->n - i);
    const void *x = load(j, at + i, m, buf);
    if (p->rms) p->squares->row(&var, x, m);
    else p->loop->deviation(&var, x, &sum, m);
  }
  if (f32) {
    float *s = stat;
    s[0] = sum.f32;
    s[1] = 1.0f / sqrtf(var.f32 / (float)p->n + (float)p->epsilon);
  } else {
    double *s = stat;
    s[0] = sum.f64;
    s[1] = 1.0 / sqrt(var.f64 / (double)p->n + p->epsilon);
  }
}

static void put(const job *j, int i, int64_t at, const void *stat) {
  const gs_kctx *k = j->k;
  if (i >= k->nout || k->out[i].rank < 0 || !k->out[i].data) return;
  int size = gs_dtype_get((int)k->out[i].dtype)->bits / 8;
  gs_convert(k->out[i].dtype, (char *)k->out[i].data + at * size, j->p->type,
             stat, 1, NULL);
}

static void rows(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  const gs_view *out = &j->k->out[0];
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  _Alignas(64) char res[GS_CHUNK * sizeof(number)];
  _Alignas(16) char stat[2 * sizeof(number)];
  bool same = out->dtype == p->type;
  for (int64_t r = lo; r < hi; r++) {
    int64_t at = r * p->n;
    statistics(j, at, stat);
    put(j, 1, r, stat);
    put(j, 2, r, stat + p->wide);
    for (int64_t i = 0; i < p->n; i += GS_CHUNK) {
      int64_t m = gs_min(GS_CHUNK, p->n - i);
      void *o = same ? (char *)out->data + (at + i) * p->wide : res;
      p->loop->normalize(o, load(j, at + i, m, buf), stat,
                         j->gain + i * p->wide,
                         j->bias ? j->bias + i * p->wide : NULL, m);
      if (!same)
        gs_convert(out->dtype,
                   (char *)out->data +
                       gs_dtype_bytes((int)out->dtype, at + i),
                   p->type, o, m, NULL);
    }
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  if (p->rows == 0 || p->n == 0) return GS_OK;
  char *buf = k->scratch;
  size_t half = k->scratch_size / 2 / 64 * 64;
  job j = {.k = k, .p = p, .gain = expanded(k, p, 1, buf)};
  if (k->nin > 2 && k->in[2].rank >= 0)
    j.bias = expanded(k, p, 2, buf + half);
  gs_parallel(k->threads, p->rows, 2 * p->n, rows, &j);
  return GS_OK;
}

static gs_status prep_layer_norm(gs_kctx *k) { return prep(k, false); }
static gs_status prep_rms_norm(gs_kctx *k) { return prep(k, true); }
extern const gs_kernel gs_kernel_layer_norm, gs_kernel_rms_norm;
const gs_kernel gs_kernel_layer_norm = {prep_layer_norm, run};
const gs_kernel gs_kernel_rms_norm = {prep_rms_norm, run};
