/* Softmax and LogSoftmax over one dim: x[outer, n, inner].
 *
 * f16 and bf16 are computed in f32.  Three passes: maximum, sum of
 * e^(x - max), result.  Along the last dim a row is read in chunks of
 * GS_CHUNK; otherwise COLUMNS adjacent rows are done side by side, with the
 * same order of summation: whether a dim is the last one longer than 1 may
 * depend on how the tensor is sharded.  When the result has the computed type,
 * the second pass leaves its powers there. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"
#include "kernel/core/par.h"
#include "kernel/reduce/rowloops.h"

enum { COLUMNS = 64 };

typedef union number {
  float f32;
  double f64;
} number;

typedef struct plan {
  bool log;
  gs_dtype type; /* of the computation */
  int wide;      /* bytes of it */
  int64_t outer, n, inner;
  const gs_row_loops *loop;
  const gs_fold *max, *sum;
} plan;

static gs_status prep(gs_kctx *k, bool log) {
  const gs_view *in = &k->in[0];
  gs_dtype t = in->dtype;
  if (t != GS_FLOAT && t != GS_DOUBLE && t != GS_FLOAT16 && t != GS_BFLOAT16)
    return gs_kernel_no_type(k, t);
  int64_t axis = gs_node_int(k->node, "axis", -1);
  if (axis < 0) axis += in->rank;
  if (axis < 0 || axis >= in->rank)
    return gs_fail(k->err, GS_DATA, gs_node_place(k->arena, k->node),
                   "axis is outside of a rank %d tensor", in->rank);
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  p->log = log;
  p->type = t == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  p->wide = t == GS_DOUBLE ? 8 : 4;
  gs_assert(axis >= 0 && axis < in->rank);
  p->outer = gs_product(in->dims, (int)axis);
  p->n = in->dims[axis];
  p->inner = gs_product(in->dims + axis + 1, in->rank - (int)axis - 1);
  p->loop = gs_row_loops_get(p->type);
  p->max = gs_fold_get(GS_FOLD_MAX, p->type);
  p->sum = gs_fold_get(GS_FOLD_SUM, p->type);
  return GS_OK;
}

/* Elements [at, at + n), n <= GS_CHUNK, in the computed type. */
static const void *load(const gs_kctx *k, int64_t at, int64_t n, void *buf) {
  const plan *p = k->state;
  const gs_view *in = &k->in[0];
  if (in->dtype == p->type) return (const char *)in->data + at * p->wide;
  gs_convert(p->type, buf, in->dtype, (const char *)in->data + at * 2, n,
             NULL);
  return buf;
}

/* Where results for [at, at + n) are computed; then their way home. */
static void *place(const gs_kctx *k, int64_t at, void *buf) {
  const plan *p = k->state;
  return k->out[0].dtype == p->type ? (char *)k->out[0].data + at * p->wide
                                    : buf;
}
static void flush(const gs_kctx *k, int64_t at, int64_t n, const void *buf) {
  const plan *p = k->state;
  const gs_view *out = &k->out[0];
  if (out->dtype != p->type)
    gs_convert(out->dtype, (char *)out->data + at * 2, p->type, buf, n, NULL);
}

static number start(gs_dtype t, bool max) {
  number v = {.f64 = 0};
  if (!max) return v;
  if (t == GS_FLOAT) v.f32 = -INFINITY;
  else v.f64 = (double)-INFINITY;
  return v;
}
/* sum -> 1 / sum, or max + ln sum for the logarithm. */
static void invert(const plan *p, number *sum, const number *max) {
  if (p->type == GS_FLOAT)
    sum->f32 = p->log ? (float)((double)max->f32 + log((double)sum->f32))
                      : 1.0f / sum->f32;
  else
    sum->f64 = p->log ? max->f64 + log(sum->f64) : 1.0 / sum->f64;
}

/* A row of one chunk: the same, in fewer steps. */
static void short_row(const gs_kctx *k, int64_t at) {
  const plan *p = k->state;
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  _Alignas(64) char res[GS_CHUNK * sizeof(number)];
  number max, sum;
  gs_assert(p->n > 0 && p->n <= GS_CHUNK);
  const void *x = load(k, at, p->n, buf);
  void *o = place(k, at, res);
  p->loop->powers(res, x, &max, &sum, p->n);
  invert(p, &sum, &max);
  if (p->log) p->loop->less(o, x, &sum, p->n);
  else p->loop->scale(o, res, &sum, p->n);
  flush(k, at, p->n, o);
}

static void one_row(const gs_kctx *k, int64_t at) {
  const plan *p = k->state;
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  _Alignas(64) char res[GS_CHUNK * sizeof(number)];
  number max = start(p->type, true), sum = start(p->type, false);
  bool keep = k->out[0].dtype == p->type && !p->log;
  for (int64_t i = 0; i < p->n; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, p->n - i);
    p->max->row(&max, load(k, at + i, m, buf), m);
  }
  for (int64_t i = 0; i < p->n; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, p->n - i);
    void *e = keep ? place(k, at + i, res) : res;
    p->loop->exp_less(e, load(k, at + i, m, buf), &max, m);
    p->sum->row(&sum, e, m);
  }
  invert(p, &sum, &max);
  for (int64_t i = 0; i < p->n; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, p->n - i);
    void *o = place(k, at + i, res);
    if (p->log) {
      p->loop->less(o, load(k, at + i, m, buf), &sum, m);
    } else {
      if (!keep) p->loop->exp_less(o, load(k, at + i, m, buf), &max, m);
      p->loop->scale(o, o, &sum, m);
    }
    flush(k, at + i, m, o);
  }
}

static void rows(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  bool same = k->in[0].dtype == p->type && k->out[0].dtype == p->type;
  if (p->n <= GS_CHUNK && same && !p->log)
    p->loop->softmax((char *)k->out[0].data + lo * p->n * p->wide,
                     (const char *)k->in[0].data + lo * p->n * p->wide, p->n,
                     hi - lo);
  else if (p->n <= GS_CHUNK)
    for (int64_t r = lo; r < hi; r++) short_row(k, r * p->n);
  else
    for (int64_t r = lo; r < hi; r++) one_row(k, r * p->n);
}

/* sum[0 .. c) += sums over rows [from, from + m) of their powers, m <=
 * GS_CHUNK, in the order of gs_fold's row. */
static void sum_chunk(const gs_kctx *k, int64_t at, int64_t c, int64_t from,
                      int64_t m, const char *max, char *sum) {
  const plan *p = k->state;
  _Alignas(64) char buf[COLUMNS * sizeof(number)];
  _Alignas(64) char res[COLUMNS * sizeof(number)];
  _Alignas(64) char lane[GS_LANES][COLUMNS * sizeof(number)];
  bool keep = k->out[0].dtype == p->type && !p->log;
  int used = (int)gs_min(GS_LANES, m);
  gs_assert(c <= COLUMNS && m <= GS_CHUNK);
  for (int i = 0; i < used; i++) memset(lane[i], 0, (size_t)(c * p->wide));
  for (int64_t i = 0; i < m; i++) {
    int64_t here = at + (from + i) * p->inner;
    void *e = keep ? place(k, here, res) : res;
    p->loop->exp_less_each(e, load(k, here, c, buf), max, c);
    p->sum->col(lane[i % GS_LANES], e, c);
  }
  for (int w = GS_LANES / 2; w > 0; w /= 2)
    for (int i = 0; i < w && i + w < used; i++)
      p->sum->join(lane[i], lane[i + w], c);
  p->sum->join(sum, lane[0], c);
}

/* c <= COLUMNS rows side by side; element i of them is at + i * inner. */
static void one_block(const gs_kctx *k, int64_t at, int64_t c) {
  const plan *p = k->state;
  _Alignas(64) char buf[COLUMNS * sizeof(number)];
  _Alignas(64) char res[COLUMNS * sizeof(number)];
  _Alignas(64) char max[COLUMNS * sizeof(number)];
  _Alignas(64) char sum[COLUMNS * sizeof(number)];
  bool keep = k->out[0].dtype == p->type && !p->log;
  number lowest = start(p->type, true);
  gs_assert(c > 0 && c <= COLUMNS);
  memset(sum, 0, sizeof sum);
  for (int64_t i = 0; i < c; i++)
    memcpy(max + i * p->wide, &lowest, (size_t)p->wide);
  for (int64_t i = 0; i < p->n; i++)
    p->max->col(max, load(k, at + i * p->inner, c, buf), c);
  for (int64_t i = 0; i < p->n; i += GS_CHUNK)
    sum_chunk(k, at, c, i, gs_min(GS_CHUNK, p->n - i), max, sum);
  for (int64_t i = 0; i < c; i++) {
    number s, m;
    memcpy(&s, sum + i * p->wide, (size_t)p->wide);
    memcpy(&m, max + i * p->wide, (size_t)p->wide);
    invert(p, &s, &m);
    memcpy(sum + i * p->wide, &s, (size_t)p->wide);
  }
  for (int64_t i = 0; i < p->n; i++) {
    int64_t here = at + i * p->inner;
    void *o = place(k, here, res);
    if (p->log) {
      p->loop->less_each(o, load(k, here, c, buf), sum, c);
    } else {
      if (!keep) p->loop->exp_less_each(o, load(k, here, c, buf), max, c);
      p->loop->scale_each(o, o, sum, c);
    }
    flush(k, here, c, o);
  }
}

static void blocks(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  int64_t per = gs_ceil_div(p->inner, COLUMNS);
  for (int64_t b = lo; b < hi; b++) {
    int64_t c = b % per * COLUMNS;
    one_block(k, b / per * p->n * p->inner + c,
              gs_min(COLUMNS, p->inner - c));
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  if (k->out[0].n == 0) return GS_OK;
  if (p->inner == 1)
    gs_parallel(k->threads, p->outer, 4 * p->n, rows, k);
  else
    gs_parallel(k->threads, p->outer * gs_ceil_div(p->inner, COLUMNS),
                4 * p->n * gs_min(p->inner, COLUMNS), blocks, k);
  return GS_OK;
}

static gs_status prep_softmax(gs_kctx *k) { return prep(k, false); }
static gs_status prep_log_softmax(gs_kctx *k) { return prep(k, true); }
extern const gs_kernel gs_kernel_softmax, gs_kernel_log_softmax;
const gs_kernel gs_kernel_softmax = {prep_softmax, run};
const gs_kernel gs_kernel_log_softmax = {prep_log_softmax, run};
