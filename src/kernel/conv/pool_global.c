/* GlobalAveragePool, GlobalMaxPool, GlobalLpPool, MaxUnpool. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/isa.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/par.h"
#include "kernel/reduce/rowloops.h"
#include "kernel/core/support.h"
#include "op/rule/window.h"

#define GS_STAMP "kernel/conv/pool_global.inc"
#include "kernel/core/stamp.h"

typedef enum kind { AVERAGE, MAXIMUM, NORM } pool_kind;

typedef struct plan {
  pool_kind kind;
  gs_dtype type;       /* of the computation: f32 or f64 */
  const gs_fold *fold; /* NULL: powers */
  int64_t p;           /* of NORM */
  int64_t n;           /* elements of a channel */
} plan;

typedef union number {
  float f32;
  double f64;
} number;

static gs_status prep(gs_kctx *k, pool_kind kind) {
  plan *p = GS_NEW(k->arena, plan);
  const gs_view *x = &k->in[0];
  gs_dtype t = x->dtype;
  k->state = p;
  if (!gs_dtype_half(t) && t != GS_FLOAT && t != GS_DOUBLE)
    return gs_kernel_no_type(k, t);
  p->kind = kind;
  p->type = t == GS_DOUBLE ? t : GS_FLOAT;
  p->p = gs_node_int(k->node, "p", 2);
  if (kind == NORM && p->p < 1)
    return gs_kernel_fail(k, GS_DATA, "attribute 'p' is %lld",
                          (long long)p->p);
  if (kind != NORM || p->p == 2)
    p->fold = gs_fold_get(kind == AVERAGE   ? GS_FOLD_SUM
                          : kind == MAXIMUM ? GS_FOLD_MAX
                                            : GS_FOLD_SQUARES,
                          p->type);
  p->n = gs_dims_count(x->dims, 2, x->rank);
  k->out[0].block = k->out[0].any; /* of one place the order is the same */
  return GS_OK;
}

static void powers(const plan *p, number *acc, const void *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (p->type == GS_FLOAT) {
      float v = fabsf(((const float *)x)[i]);
      acc->f32 += p->p == 1 ? v : powf(v, (float)p->p);
    } else {
      double v = fabs(((const double *)x)[i]);
      acc->f64 += p->p == 1 ? v : pow(v, (double)p->p);
    }
  }
}

static void finish(const plan *p, number *acc) {
  double e = 1 / (double)p->p;
  if (p->type == GS_FLOAT) {
    if (p->kind == AVERAGE) acc->f32 /= (float)p->n;
    if (p->kind == NORM)
      acc->f32 = p->p == 2 ? sqrtf(acc->f32) : powf(acc->f32, (float)e);
  } else {
    if (p->kind == AVERAGE) acc->f64 /= (double)p->n;
    if (p->kind == NORM) acc->f64 = p->p == 2 ? sqrt(acc->f64)
                                              : pow(acc->f64, e);
  }
}

/* Channels [lo, hi). */
static void channels(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t size = gs_dtype_get((int)x->dtype)->bits / 8;
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  for (int64_t c = lo; c < hi; c++) {
    number acc = {.f64 = 0};
    if (p->kind == MAXIMUM && p->type == GS_FLOAT) acc.f32 = -INFINITY;
    else if (p->kind == MAXIMUM) acc.f64 = (double)-INFINITY;
    for (int64_t i = 0; i < p->n; i += GS_CHUNK) {
      int64_t n = gs_min(GS_CHUNK, p->n - i);
      const void *from = (const char *)x->data + (c * p->n + i) * size;
      if (x->dtype != p->type) {
        gs_convert(p->type, buf, x->dtype, from, n, NULL);
        from = buf;
      }
      if (p->fold) p->fold->row(&acc, from, n);
      else powers(p, &acc, from, n);
    }
    finish(p, &acc);
    gs_convert(y->dtype, (char *)y->data + c * size, p->type, &acc, 1, NULL);
  }
}

enum { LEVEL = 64 };

/* Blocks [lo, hi) of channels: sums of LEVEL places, then sums of those. */
static void blocks(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  int64_t lanes = k->in[0].block;
  gs_assert(lanes == 8 || lanes == 16);
  for (int64_t c = lo; c < hi; c++) {
    const float *x = (const float *)k->in[0].data + c * p->n * lanes;
    float *y = (float *)k->out[0].data + c * lanes;
    memset(y, 0, (size_t)lanes * sizeof *y);
    for (int64_t i = 0; i < p->n; i += LEVEL) {
      int64_t some = gs_min(p->n - i, LEVEL);
      if (lanes == 8) GS_PICK(sum_8)(y, x + i * lanes, some);
      else GS_PICK(sum_16)(y, x + i * lanes, some);
    }
    for (int64_t j = 0; j < lanes; j++) y[j] /= (float)p->n;
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  int block = k->in[0].block;
  if (block)
    gs_parallel(k->threads, k->out[0].n / block, p->n * block, blocks, k);
  else
    gs_parallel(k->threads, k->out[0].n, p->n, channels, k);
  return GS_OK;
}

#define POOL(name, KIND)                                                       \
  static gs_status prep_##name(gs_kctx *k) { return prep(k, KIND); }           \
  extern const gs_kernel gs_kernel_##name;                                     \
  const gs_kernel gs_kernel_##name = {prep_##name, run};
POOL(global_average_pool, AVERAGE)
POOL(global_max_pool, MAXIMUM)
POOL(global_lp_pool, NORM)

/* ---- MaxUnpool ---- */

typedef struct unpool {
  gs_window w;
  int64_t n; /* elements that the indices count */
} unpool;

static gs_status unpool_prep(gs_kctx *k) {
  unpool *p = GS_NEW(k->arena, unpool);
  size_t size;
  k->state = p;
  GS_TRY(gs_kernel_esize(k, k->in[0].dtype, &size));
  GS_TRY(gs_window_read_transposed(k->arena, k->node, k->node->in[0], NULL,
                                   &p->w, k->err));
  p->n = gs_dims_count(k->in[0].dims, 0, 2) * gs_dims_count(p->w.out, 0,
                                                            p->w.n);
  return GS_OK;
}

/* Indices count over the result as it follows from the windows; an
 * output_shape that is larger adds rows and columns after these. */
static gs_status unpool_run(gs_kctx *k) {
  const unpool *p = k->state;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  const int64_t *index = k->in[1].data;
  size_t size;
  GS_TRY(gs_kernel_esize(k, x->dtype, &size));
  if (y->n) memset(y->data, 0, (size_t)y->n * size);
  for (int64_t i = 0; i < x->n; i++) {
    int64_t rest = index[i], at = 0, stride = 1;
    if (rest < 0 || rest >= p->n)
      return gs_kernel_fail(k, GS_DATA, "index %lld is not one of %lld places",
                            (long long)rest, (long long)p->n);
    for (int d = p->w.n - 1; d >= 0; d--) {
      at += rest % p->w.out[d] * stride;
      rest /= p->w.out[d];
      stride *= y->dims[d + 2];
    }
    at += rest * stride;
    memcpy((char *)y->data + (size_t)at * size,
           (const char *)x->data + (size_t)i * size, size);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_max_unpool = {unpool_prep, unpool_run};
