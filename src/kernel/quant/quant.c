/* QuantizeLinear and DequantizeLinear.
 *
 * A tensor is cut into rows along which either one scale holds or one scale
 * per element; rows into chunks, which are computed in f32. */
#include "kernel/quant/quant.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/isa.h"
#include "ir/packed.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"
#include "op/rows/nn/scales.h"

typedef void quantise_fn(void *to, const float *x, int64_t n,
                         const float *scale, const float *zero, int64_t step,
                         float lo, float hi);
typedef void scale_fn(float *to, const float *x, int64_t n, const float *scale,
                      const float *zero, int64_t step);
typedef void widen_fn(float *to, const void *from, int64_t n);

struct quant_loops {
  quantise_fn *quantise_8, *quantise_16;
  scale_fn *divide, *dequantise;
  widen_fn *widen_i8, *widen_u8, *widen_i16, *widen_u16;
  void (*requantise)(uint8_t *to, const int32_t *x, int64_t n,
                     const float *scale, int64_t step, float zero, float lo,
                     float hi);
  void (*finish)(const gs_finish *f, int64_t i, int64_t m, int64_t j,
                 int64_t n, const int32_t *c, float lo, float hi, char *y,
                 int64_t pitch);
};

#define GS_STAMP "kernel/quant/quant.inc"
#include "kernel/core/stamp.h"

static const struct quant_loops *loops(void) { return GS_PICK(&quant); }

enum { CHUNK = 512, PIECE = 4096 };

/* ---- rows of quantised numbers ---- */

void gs_quant_range(gs_dtype t, float *lo, float *hi) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  bool sign = d->cls == 'i';
  gs_assert(d->bits <= 16);
  *lo = sign ? -(float)(1 << (d->bits - 1)) : 0;
  *hi = (float)((1 << (d->bits - sign)) - 1);
}

/* Floats of 8 or 4 bits, a code to a byte. */
static void widen_codes(float *dst, gs_dtype t, const uint8_t *src,
                        int64_t n) {
  for (int64_t i = 0; i < n; i++)
    dst[i] = (float)gs_float_decode(t, src[i]);
}

void gs_quant_widen(float *dst, gs_dtype t, const void *src, int64_t first,
                    int64_t n) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  uint8_t codes[CHUNK];
  if (d->bits < 8) {
    for (int64_t at = 0; at < n; at += CHUNK) {
      gs_assert(first >= 0);
      int64_t m = gs_min(CHUNK, n - at);
      gs_codes_unpack(d->bits, d->cls == 'i', codes, src, first + at, m);
      if (d->cls == 'f') widen_codes(dst + at, t, codes, m);
      else if (d->cls == 'i') loops()->widen_i8(dst + at, codes, m);
      else loops()->widen_u8(dst + at, codes, m);
    }
    return;
  }
  src = (const char *)src + first * (d->bits / 8);
  switch (t) {
  case GS_INT8: loops()->widen_i8(dst, src, n); break;
  case GS_UINT8: loops()->widen_u8(dst, src, n); break;
  case GS_INT16: loops()->widen_i16(dst, src, n); break;
  case GS_UINT16: loops()->widen_u16(dst, src, n); break;
  default: gs_convert(GS_FLOAT, dst, t, src, n, NULL);
  }
}

void gs_requantise(gs_dtype t, void *dst, const int32_t *src, int64_t n,
                   const float *scale, int64_t step, int32_t zero) {
  float lo, hi;
  gs_quant_range(t, &lo, &hi);
  loops()->requantise(dst, src, n, scale, step, (float)zero, lo, hi);
}

void gs_quant_finish(const gs_finish *f, int64_t i, int64_t m, int64_t j,
                     int64_t n, const int32_t *c, void *y, int64_t pitch) {
  float lo = 0, hi = 0;
  gs_assert(n <= 32);
  if (f->to != GS_FLOAT) gs_quant_range(f->to, &lo, &hi);
  loops()->finish(f, i, m, j, n, c, lo, hi, y, pitch);
}

/* ---- plans ---- */

typedef struct plan {
  gs_quant_layout q;
  int64_t rows, length; /* rows of at most `length` elements */
  int64_t outer, dim, inner, blocks; /* around the axis */
  int64_t scales;
  bool vector;       /* a scale per element of a row */
  gs_dtype round;    /* quotients are rounded to it; GS_FLOAT: they are not */
  bool wide;         /* an i32 takes part that f32 would round */
  gs_cast_mode mode;
} plan;

static gs_status plan_rows(gs_kctx *k, plan *p) {
  const gs_view *x = &k->in[0];
  GS_TRY(gs_quant_layout_of(k->arena, k->node, &p->q, k->err));
  p->scales = k->in[1].n;
  p->blocks = 1;
  if (p->q.kind == GS_QUANT_TENSOR) {
    p->rows = gs_ceil_div(x->n, PIECE);
    p->length = PIECE;
    return GS_OK;
  }
  gs_assert(p->q.axis >= 0 && p->q.axis < x->rank);
  p->outer = gs_dims_count(x->dims, 0, p->q.axis);
  p->dim = x->dims[p->q.axis];
  p->inner = gs_dims_count(x->dims, p->q.axis + 1, x->rank);
  p->length = p->inner;
  p->rows = p->outer * p->dim;
  if (p->q.kind == GS_QUANT_AXIS) {
    p->vector = p->inner == 1;
    if (!p->vector) return GS_OK;
    p->rows = p->outer;
    p->length = p->dim;
    return GS_OK;
  }
  p->blocks = gs_ceil_div(p->dim, p->q.block);
  p->vector = p->inner > 1;
  if (p->vector) return GS_OK;
  p->rows = p->outer * p->blocks;
  p->length = gs_min(p->q.block, p->dim);
  return GS_OK;
}

typedef struct row {
  int64_t first, n; /* elements */
  int64_t scale;    /* index of the first one's */
} row;

static row row_at(const plan *p, int64_t n, int64_t r) {
  if (p->q.kind == GS_QUANT_TENSOR) {
    int64_t first = r * PIECE;
    return (row){first, gs_min(PIECE, n - first), 0};
  }
  if (p->q.kind == GS_QUANT_AXIS)
    return (row){r * p->length, p->length, p->vector ? 0 : r % p->dim};
  if (p->vector) {
    int64_t o = r / p->dim, d = r % p->dim;
    int64_t s = (o * p->blocks + d / p->q.block) * p->inner;
    return (row){r * p->inner, p->inner, s};
  }
  int64_t o = r / p->blocks, first = r % p->blocks * p->q.block;
  return (row){o * p->dim + first, gs_min(p->q.block, p->dim - first), r};
}

/* ---- running ---- */

typedef struct job {
  const gs_kctx *k;
  const plan *p;
  const float *scale, *zero; /* [scales] */
  uint8_t *codes;            /* packed results, a code to a byte */
} job;

static void round_to(gs_dtype t, float *x, int64_t n) {
  uint16_t half[CHUNK];
  if (t == GS_FLOAT16) {
    gs_f32_to_f16(half, x, n);
    gs_f16_to_f32(x, half, n);
  } else if (t == GS_BFLOAT16) {
    gs_f32_to_bf16(half, x, n);
    gs_bf16_to_f32(x, half, n);
  }
}

/* x / scale with an i32 in f64, as if rounded once; what is left to do is to
 * add the zero point. */
static void divide_wide(const job *j, int64_t at, int64_t s, int64_t n,
                        float *q) {
  const gs_view *x = &j->k->in[0], *v = &j->k->in[1];
  double a[CHUNK], b;
  size_t size = (size_t)gs_dtype_get((int)x->dtype)->bits / 8;
  size_t width = (size_t)gs_dtype_get((int)v->dtype)->bits / 8;
  gs_convert(GS_DOUBLE, a, x->dtype, (const char *)x->data + (size_t)at * size,
             n, NULL);
  for (int64_t i = 0; i < n; i++) {
    int64_t e = j->p->vector ? s + i : s;
    gs_convert(GS_DOUBLE, &b, v->dtype,
               (const char *)v->data + (size_t)e * width, 1, NULL);
    double r = a[i] / b; /* saturates anyway beyond this, exact within */
    q[i] = fabs(r) < 0x1p20 ? (float)rint(r) : (float)r;
  }
}

/* What is to be quantised, of a chunk: divided already where the quotient is
 * rounded or wide. */
static void quotients(const job *j, int64_t at, int64_t s, int64_t n,
                      float *q) {
  static const float none;
  const plan *p = j->p;
  const gs_view *x = &j->k->in[0];
  if (p->wide) {
    divide_wide(j, at, s, n, q);
    return;
  }
  if (x->dtype == GS_FLOAT)
    memcpy(q, (const float *)x->data + at, (size_t)n * sizeof *q);
  else
    gs_convert(GS_FLOAT, q, x->dtype,
               (const char *)x->data +
                   gs_dtype_bytes((int)x->dtype, at), n, NULL);
  if (p->round == GS_FLOAT) return;
  round_to(p->round, q, n);
  float zeros[CHUNK];
  if (p->vector) memset(zeros, 0, sizeof zeros);
  loops()->divide(q, q, n, j->scale + s, p->vector ? zeros : &none,
                  p->vector);
  round_to(p->round, q, n);
}

static void store_float(const job *j, int64_t at, int64_t n, const float *q) {
  const gs_view *y = &j->k->out[0];
  if (!j->codes) {
    gs_convert(y->dtype, (char *)y->data + at, GS_FLOAT, q, n, &j->p->mode);
    return;
  }
  uint8_t some[CHUNK];
  int bits = gs_dtype_get((int)y->dtype)->bits;
  gs_convert(y->dtype, some, GS_FLOAT, q, n, &j->p->mode);
  gs_codes_unpack(bits, false, j->codes + at, some, 0, n);
}

static void quantise_chunk(const job *j, int64_t at, int64_t s, int64_t n) {
  const plan *p = j->p;
  const gs_view *x = &j->k->in[0], *y = &j->k->out[0];
  const gs_dtype_info *d = gs_dtype_get((int)y->dtype);
  float q[CHUNK], ones[CHUNK], lo, hi;
  const float *from = q, *scale = j->scale + s, *zero = j->zero + s;
  bool divided = p->wide || p->round != GS_FLOAT;
  if (x->dtype == GS_FLOAT && !divided) from = (const float *)x->data + at;
  else quotients(j, at, s, n, q);
  if (divided) {
    for (int64_t i = 0; i < n; i++) ones[i] = 1;
    scale = ones;
  }
  if (d->cls == 'f') {
    loops()->divide(q, from, n, scale, zero, p->vector);
    store_float(j, at, n, q);
    return;
  }
  gs_quant_range(y->dtype, &lo, &hi);
  if (d->bits == 16)
    loops()->quantise_16((uint16_t *)y->data + at, from, n, scale, zero,
                         p->vector, lo, hi);
  else
    loops()->quantise_8((j->codes ? j->codes : (uint8_t *)y->data) + at, from,
                        n, scale, zero, p->vector, lo, hi);
}

static void dequantise_chunk(const job *j, int64_t at, int64_t s, int64_t n) {
  const gs_view *x = &j->k->in[0], *y = &j->k->out[0];
  float buf[CHUNK];
  float *to = y->dtype == GS_FLOAT ? (float *)y->data + at : buf;
  if (j->p->wide) {
    const int32_t *i32 = (const int32_t *)x->data + at, *z = j->k->in[2].data;
    for (int64_t i = 0; i < n; i++) {
      int64_t e = j->p->vector ? s + i : s;
      to[i] = (float)((int64_t)i32[i] - z[e]) * j->scale[e];
    }
  } else {
    gs_quant_widen(buf, x->dtype, x->data, at, n);
    loops()->dequantise(to, buf, n, j->scale + s, j->zero + s, j->p->vector);
  }
  if (to == buf)
    gs_convert(y->dtype, (uint16_t *)y->data + at, GS_FLOAT, buf, n, NULL);
}

static void each(const job *j, int64_t lo, int64_t hi,
                 void (*chunk)(const job *, int64_t, int64_t, int64_t)) {
  for (int64_t r = lo; r < hi; r++) {
    row w = row_at(j->p, j->k->in[0].n, r);
    for (int64_t i = 0; i < w.n; i += CHUNK)
      chunk(j, w.first + i, j->p->vector ? w.scale + i : w.scale,
            gs_min(CHUNK, w.n - i));
  }
}

static void quantise_rows(void *ctx, int64_t lo, int64_t hi) {
  each(ctx, lo, hi, quantise_chunk);
}
static void dequantise_rows(void *ctx, int64_t lo, int64_t hi) {
  each(ctx, lo, hi, dequantise_chunk);
}

/* Scales and zero points as f32 in scratch: [scales] each. */
static void parameters(gs_kctx *k, const plan *p, job *j) {
  float *scale = k->scratch, *zero = scale + p->scales;
  const gs_view *s = &k->in[1];
  gs_convert(GS_FLOAT, scale, s->dtype, s->data, p->scales, NULL);
  for (int64_t i = 0; i < p->scales && p->round != GS_FLOAT; i += CHUNK)
    round_to(p->round, scale + i, gs_min(CHUNK, p->scales - i));
  if (gs_kernel_has(k, 2))
    gs_quant_widen(zero, k->in[2].dtype, k->in[2].data, 0, p->scales);
  else
    memset(zero, 0, (size_t)p->scales * sizeof *zero);
  *j = (job){.k = k, .p = p, .scale = scale, .zero = zero};
}

static gs_status prep(gs_kctx *k, plan **out) {
  plan *p = GS_NEW(k->arena, plan);
  k->state = *out = p;
  GS_TRY(plan_rows(k, p));
  p->round = GS_FLOAT;
  k->scratch_size = 2 * (size_t)p->scales * sizeof(float);
  return GS_OK;
}

static gs_status prep_quantize(gs_kctx *k) {
  plan *p;
  GS_TRY(prep(k, &p));
  p->mode.saturate = gs_node_int(k->node, "saturate", 1) != 0;
  gs_dtype s = k->in[1].dtype;
  int64_t precision = gs_node_int(k->node, "precision", 0);
  p->round = precision ? (gs_dtype)precision : s;
  p->wide = p->round == GS_INT32;
  if (p->round != GS_FLOAT16 && p->round != GS_BFLOAT16) p->round = GS_FLOAT;
  if (gs_dtype_packed(k->out[0].dtype))
    k->scratch_size += (size_t)k->out[0].n;
  return GS_OK;
}

static gs_status run_quantize(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *y = &k->out[0];
  if (!y->n) return GS_OK;
  job j;
  parameters(k, p, &j);
  bool packed = gs_dtype_packed(y->dtype);
  if (packed) j.codes = (uint8_t *)k->scratch + 2 * p->scales * 4;
  gs_parallel(k->threads, p->rows, p->length, quantise_rows, &j);
  if (packed)
    gs_codes_pack(gs_dtype_get((int)y->dtype)->bits, y->data, j.codes, y->n);
  return GS_OK;
}

extern const gs_kernel gs_kernel_quantize, gs_kernel_dequantize;
const gs_kernel gs_kernel_quantize = {prep_quantize, run_quantize};

static gs_status prep_dequantize(gs_kctx *k) {
  plan *p;
  GS_TRY(prep(k, &p));
  p->wide = k->in[0].dtype == GS_INT32 && gs_kernel_has(k, 2);
  return GS_OK;
}

static gs_status run_dequantize(gs_kctx *k) {
  const plan *p = k->state;
  if (!k->out[0].n) return GS_OK;
  job j;
  parameters(k, p, &j);
  gs_parallel(k->threads, p->rows, p->length, dequantise_rows, &j);
  return GS_OK;
}

const gs_kernel gs_kernel_dequantize = {prep_dequantize, run_dequantize};
