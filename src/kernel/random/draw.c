/* Bernoulli and Multinomial: element i of the result comes from number i of
 * RandomUniform's with the same seed. */
#include <math.h>

#include "kernel/core/coord.h"
#include "kernel/core/par.h"
#include "kernel/random/random.h"
#include "kernel/core/support.h"
#include "op/core/local.h"

enum { BLOCK = 512 };

static uint64_t key_of(const gs_node *n) {
  float f = (float)gs_node_seed(n);
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

static gs_status float_prep(gs_kctx *k) {
  gs_dtype t = k->in[0].dtype;
  if (t != GS_FLOAT && t != GS_DOUBLE && t != GS_FLOAT16 && t != GS_BFLOAT16)
    return gs_kernel_no_type(k, t);
  if (!gs_convert_knows(k->out[0].dtype) ||
      gs_dtype_get((int)k->out[0].dtype)->bits < 8)
    return gs_kernel_no_type(k, k->out[0].dtype);
  return GS_OK;
}

/* ---- Bernoulli: 1 where the number is below the element ---- */

static void bernoulli(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  gs_dtype t = x->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  gs_uniform u = {.dtype = t, .low = 0, .high = 1, .key = key_of(k->node)};
  int64_t in = gs_dtype_get((int)x->dtype)->bits / 8;
  int64_t out = gs_dtype_get((int)y->dtype)->bits / 8;
  double drawn[BLOCK], given[BLOCK];
  float drawn32[BLOCK];
  bool one[BLOCK];
  for (int64_t at = lo; at < hi; at += BLOCK) {
    int64_t n = gs_min(BLOCK, hi - at);
    gs_uniform_fill(&u, at, n, t == GS_FLOAT ? (void *)drawn32 : drawn);
    if (t == GS_FLOAT) gs_convert(GS_DOUBLE, drawn, t, drawn32, n, NULL);
    gs_convert(GS_DOUBLE, given, x->dtype, (const char *)x->data + at * in, n,
               NULL);
    for (int64_t i = 0; i < n; i++) one[i] = drawn[i] < given[i];
    gs_convert(y->dtype, (char *)y->data + at * out, GS_BOOL, one, n, NULL);
  }
}

static gs_status bernoulli_run(gs_kctx *k) {
  gs_parallel(k->threads, k->out[0].n, 16, bernoulli, k);
  return GS_OK;
}

extern const gs_kernel gs_kernel_bernoulli, gs_kernel_multinomial,
    gs_kernel_g_multinomial;
const gs_kernel gs_kernel_bernoulli = {float_prep, bernoulli_run};

/* ---- Multinomial ---- */

typedef struct rows {
  int64_t first, count; /* of the whole result; past them is padding */
} rows;

static gs_status multinomial_prep(gs_kctx *k) {
  rows *r = GS_NEW(k->arena, rows);
  GS_TRY(float_prep(k));
  r->count = k->out[0].dims[0];
  k->state = r;
  k->scratch_size = (size_t)k->in[0].dims[1] * sizeof(double);
  return GS_OK;
}

static gs_status sharded_prep(gs_kctx *k) {
  int64_t idx[2];
  int n;
  GS_TRY(multinomial_prep(k));
  rows *r = k->state;
  const int64_t *shape = gs_node_ints(k->node, "shape", &n);
  if (n != 2) return gs_kernel_fail(k, GS_DATA, "shape has %d entries", n);
  GS_TRY(gs_kctx_split_index(k, 2, shape, k->out[0].dims, idx));
  r->first = idx[0] * r->count;
  r->count = gs_max(0, gs_min(r->count, shape[0] - r->first));
  return GS_OK;
}

/* sum[i] = e^x[0] + ... + e^x[i], divided by the largest power. */
static void accumulate(double *sum, int64_t n) {
  double max = -(double)INFINITY, total = 0;
  for (int64_t i = 0; i < n; i++)
    if (sum[i] > max) max = sum[i];
  for (int64_t i = 0; i < n; i++) {
    total += exp(sum[i] - max);
    sum[i] = total;
  }
}

/* The first class whose sum is above t; the last one if none is. */
static int64_t pick(const double *sum, int64_t n, double t) {
  int64_t lo = 0, hi = n - 1;
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (sum[mid] > t) hi = mid;
    else lo = mid + 1;
  }
  return lo;
}

static gs_status multinomial_run(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  const rows *r = k->state;
  gs_uniform u = {.dtype = GS_DOUBLE, .low = 0, .high = 1,
                  .key = key_of(k->node)};
  int64_t n = x->dims[1], count = y->dims[1];
  int64_t size = gs_dtype_get((int)x->dtype)->bits / 8;
  double *sum = k->scratch, drawn[BLOCK];
  if (y->n)
    memset(y->data, 0, (size_t)gs_dtype_bytes((int)y->dtype, y->n));
  for (int64_t b = 0; count && b < r->count; b++) {
    gs_convert(GS_DOUBLE, sum, x->dtype, (const char *)x->data + b * n * size,
               n, NULL);
    accumulate(sum, n);
    if (!isfinite(sum[n - 1]))
      return gs_kernel_fail(k, GS_DATA, "row %lld has no probabilities",
                            (long long)(r->first + b));
    for (int64_t s = 0; s < count; s++) {
      if (s % BLOCK == 0)
        gs_uniform_fill(&u, (r->first + b) * count + s,
                        gs_min(BLOCK, count - s), drawn);
      int64_t at = b * count + s, c = pick(sum, n, drawn[s % BLOCK] *
                                                       sum[n - 1]);
      if (y->dtype == GS_INT64) ((int64_t *)y->data)[at] = c;
      else ((int32_t *)y->data)[at] = (int32_t)c;
    }
  }
  return GS_OK;
}

const gs_kernel gs_kernel_multinomial = {multinomial_prep, multinomial_run};
const gs_kernel gs_kernel_g_multinomial = {sharded_prep, multinomial_run};
