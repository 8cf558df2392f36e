/* MatMulInteger and QLinearMatMul: a[...,m,k] b[...,k,n] with scales and zero
 * points per matrix, per row of a, or per column of b. */
#include "base/assert.h"
#include "ir/packed.h"
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/igemm.h"
#include "kernel/quant/quant.h"
#include "kernel/core/share.h"
#include "kernel/core/support.h"

typedef struct plan {
  int ia, ib;          /* operands */
  int za, zb;          /* operands: zero points */
  int64_t m, n, k;
  int nbatch;
  int64_t batch, dims[GS_MAX_RANK];
  bool real;           /* floats of 8 bits: computed in f32 */
  const void *packed;  /* constant b, or NULL */
  size_t a, b, zeros, sums, scale, size; /* places in scratch */
} plan;

/* ---- shapes ---- */

static int tail(const gs_view *v) { return v->rank < 2 ? v->rank : 2; }

static gs_status plan_batch(gs_kctx *k, plan *p) {
  const gs_view *a = &k->in[p->ia], *b = &k->in[p->ib];
  int na = a->rank - tail(a), nb = b->rank - tail(b);
  p->nbatch = na > nb ? na : nb;
  gs_assert(p->nbatch <= GS_MAX_RANK);
  p->batch = 1;
  for (int d = 0; d < p->nbatch; d++) {
    int64_t x = d - p->nbatch + na >= 0 ? a->dims[d - p->nbatch + na] : 1;
    int64_t y = d - p->nbatch + nb >= 0 ? b->dims[d - p->nbatch + nb] : 1;
    if (x != y && x != 1 && y != 1)
      return gs_kernel_fail(k, GS_DATA, "batch dims %lld and %lld differ",
                            (long long)x, (long long)y);
    p->dims[d] = x == 1 ? y : x;
    p->batch *= p->dims[d];
  }
  return GS_OK;
}

/* Which matrix of v the flat batch index is about; parameters have the batch
 * dims of their matrix. */
static int64_t matrix_of(const plan *p, const gs_view *v, int64_t batch) {
  gs_assert(batch >= 0);
  int64_t at = 0, stride = 1;
  for (int d = p->nbatch - 1; d >= 0; d--) {
    int64_t i = batch % p->dims[d];
    int e = d - p->nbatch + v->rank - 2;
    batch /= p->dims[d];
    if (e < 0) continue;
    if (v->dims[e] != 1) at += i * stride;
    stride *= v->dims[e];
  }
  return at;
}

/* The first element of parameter v for a matrix, and from one row (column)
 * to the next. */
static int64_t parameter(const plan *p, const gs_view *v, int64_t batch,
                         bool per_row, int64_t *step) {
  int64_t n = per_row ? p->m : p->n;
  *step = 0;
  if (v->n == 1) return 0;
  *step = 1;
  if (v->rank == 1) return 0;
  if (v->dims[v->rank - (per_row ? 2 : 1)] == 1) {
    *step = 0;
    n = 1;
  }
  return matrix_of(p, v, batch) * n;
}

/* One matrix b for a dense batch of a, with parameters that fit: more rows. */
static void fold(gs_kctx *k, plan *p, int scale) {
  const gs_view *b = &k->in[p->ib], *a = &k->in[p->ia];
  if (p->batch < 2 || b->rank > 2 || a->rank < 2) return;
  const int list[2] = {p->za, scale};
  for (int i = 0; i < 2; i++)
    if (list[i] >= 0 && gs_kernel_has(k, list[i]) && k->in[list[i]].n != 1)
      return;
  p->m *= p->batch;
  p->batch = 1;
  p->nbatch = 0;
}

static size_t place(plan *p, size_t bytes) {
  size_t at = p->size;
  p->size += (bytes + 63) / 64 * 64;
  return at;
}

static gs_status plan_new(gs_kctx *k, int ia, int ib, int za, int zb,
                          int scale, plan **out) {
  plan *p = GS_NEW(k->arena, plan);
  const gs_view *a = &k->in[ia], *b = &k->in[ib];
  *p = (plan){.ia = ia, .ib = ib, .za = za, .zb = zb};
  k->state = *out = p;
  if (a->rank < 1 || b->rank < 1)
    return gs_kernel_fail(k, GS_DATA, "an operand is a scalar");
  p->m = a->rank == 1 ? 1 : a->dims[a->rank - 2];
  p->k = a->dims[a->rank - 1];
  p->n = b->rank == 1 ? 1 : b->dims[b->rank - 1];
  if (b->dims[b->rank - tail(b)] != p->k)
    return gs_kernel_fail(k, GS_DATA, "inner dims %lld and %lld differ",
                          (long long)p->k,
                          (long long)b->dims[b->rank - tail(b)]);
  GS_TRY(plan_batch(k, p));
  fold(k, p, scale);
  return GS_OK;
}

/* ---- integers ---- */

/* Zero point i of one matrix as i32 in `to`; NULL when it is left out. */
static const int32_t *zeros(const gs_kctx *k, const plan *p, int i,
                            int64_t batch, bool per_row, int32_t *to,
                            int64_t *step) {
  if (!gs_kernel_has(k, i)) return NULL;
  const gs_view *v = &k->in[i];
  int64_t at = parameter(p, v, batch, per_row, step);
  int64_t n = *step ? per_row ? p->m : p->n : 1;
  for (int64_t j = 0; j < n; j++)
    to[j] = (int32_t)gs_view_int(v, at + j);
  return to;
}

static void pack_b(const gs_kctx *k, const plan *p, int64_t batch,
                   int32_t *zero, void *to, int threads) {
  const gs_view *b = &k->in[p->ib];
  int64_t step = 0;
  const int32_t *z = zeros(k, p, p->zb, batch, false, zero, &step);
  gs_bytes x = {.data = (const char *)b->data +
                        matrix_of(p, b, batch) * p->k * p->n,
                .sign = b->dtype == GS_INT8, .row = p->n, .col = 1,
                .zero = z, .step = step};
  gs_igemm_pack_b(&x, p->n, p->k, to, threads);
}

typedef struct packing {
  const gs_kctx *k;
  const plan *p;
} packing;

static bool pack(void *ctx, void *to) {
  const packing *j = ctx;
  gs_arena a;
  gs_arena_init(&a);
  pack_b(j->k, j->p, 0, GS_NEWS(&a, j->p->n, int32_t), to, 1);
  gs_arena_free(&a);
  return true;
}

/* A single constant b is packed once for all devices and runs. */
static void prepare_weight(gs_kctx *k, plan *p) {
  const gs_view *b = &k->in[p->ib];
  bool zero = gs_kernel_has(k, p->zb);
  if (b->rank > 2 || !b->n || !b->fixed || (zero && !k->in[p->zb].fixed))
    return;
  const char *key = gs_sprintf(
      k->arena, "bytes %p %p %d %lld %lld", b->fixed,
      zero ? k->in[p->zb].fixed : NULL, (int)b->dtype, (long long)p->n,
      (long long)p->k);
  packing job = {k, p};
  p->packed = gs_kernel_once(k, key, gs_igemm_b_size(p->n, p->k), pack, &job);
  k->in[p->ib].unread = p->packed != NULL;
}

static void plan_integers(gs_kctx *k, plan *p) {
  prepare_weight(k, p);
  p->a = place(p, gs_igemm_a_size(p->m, p->k));
  p->b = place(p, p->packed ? 0 : gs_igemm_b_size(p->n, p->k));
  p->zeros = place(p, (size_t)gs_max(p->m, p->n) * sizeof(int32_t));
}

/* One product of the batch. */
static void integers(gs_kctx *k, const plan *p, int64_t batch, int32_t *c) {
  char *s = k->scratch;
  int32_t *zero = (int32_t *)(void *)(s + p->zeros);
  const gs_view *a = &k->in[p->ia];
  const void *b = p->packed;
  if (!b) {
    pack_b(k, p, batch, zero, s + p->b, k->threads);
    b = s + p->b;
  }
  int64_t step = 0;
  const int32_t *z = zeros(k, p, p->za, batch, true, zero, &step);
  gs_bytes x = {.data = (const char *)a->data +
                        matrix_of(p, a, batch) * p->m * p->k,
                .sign = a->dtype == GS_INT8, .row = p->k, .col = 1,
                .zero = z, .step = step};
  gs_igemm_pack_a(&x, p->m, p->k, s + p->a, k->threads);
  gs_igemm(p->m, p->n, p->k, s + p->a, b, c, p->n, k->threads);
}

static gs_status prep_matmul_integer(gs_kctx *k) {
  plan *p;
  GS_TRY(plan_new(k, 0, 1, 2, 3, -1, &p));
  plan_integers(k, p);
  k->scratch_size = p->size;
  return GS_OK;
}

static gs_status run_matmul_integer(gs_kctx *k) {
  const plan *p = k->state;
  int32_t *c = k->out[0].data;
  for (int64_t i = 0; k->out[0].n && i < p->batch; i++)
    integers(k, p, i, c + i * p->m * p->n);
  return GS_OK;
}

extern const gs_kernel gs_kernel_matmul_integer, gs_kernel_qlinear_matmul;
const gs_kernel gs_kernel_matmul_integer = {prep_matmul_integer,
                                            run_matmul_integer};

/* ---- QLinearMatMul ---- */

static bool is_byte(gs_dtype t) { return t == GS_INT8 || t == GS_UINT8; }

static gs_status prep_qlinear_matmul(gs_kctx *k) {
  plan *p;
  GS_TRY(plan_new(k, 0, 3, 2, 5, 1, &p));
  bool a = is_byte(k->in[0].dtype), b = is_byte(k->in[3].dtype);
  p->real = !a || !b || !is_byte(k->out[0].dtype);
  if (p->real) {
    p->a = place(p, (size_t)(p->m * p->k) * sizeof(float));
    p->b = place(p, (size_t)(p->k * p->n) * sizeof(float));
  } else {
    plan_integers(k, p);
  }
  p->sums = place(p, (size_t)(p->m * p->n) * sizeof(float));
  p->scale = place(p, (size_t)p->n * sizeof(float));
  k->scratch_size = p->size;
  return GS_OK;
}

static float element(const gs_view *v, int64_t i) {
  float f;
  size_t size = (size_t)gs_dtype_get((int)v->dtype)->bits / 8;
  gs_convert(GS_FLOAT, &f, v->dtype,
             (const char *)v->data + (size_t)i * size, 1, NULL);
  return f;
}

/* scale[j] = the scale of a's row `row` times b's column j over y's. */
static int64_t scales(const gs_kctx *k, const plan *p, int64_t batch,
                      int64_t row, float *scale) {
  int64_t sa, sb;
  int64_t a = parameter(p, &k->in[1], batch, true, &sa);
  int64_t b = parameter(p, &k->in[4], batch, false, &sb);
  float x = element(&k->in[1], a + row * sa), y = element(&k->in[6], 0);
  for (int64_t j = 0; j < (sb ? p->n : 1); j++)
    scale[j] = x * element(&k->in[4], b + j) / y;
  return sb;
}

/* Matrix iv minus its zero points, in f32. */
static void widen(const gs_kctx *k, const plan *p, int iv, int iz,
                  int64_t batch, float *to) {
  bool is_a = iv == p->ia;
  const gs_view *v = &k->in[iv], *z = &k->in[iz];
  int64_t rows = is_a ? p->m : p->k, cols = is_a ? p->k : p->n, step;
  int64_t at = parameter(p, z, batch, is_a, &step);
  gs_quant_widen(to, v->dtype, v->data, matrix_of(p, v, batch) * rows * cols,
                 rows * cols);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++)
      to[i * cols + j] -= element(z, at + (is_a ? i : j) * step);
}

/* The result in f32, or i32 when there are only integers. */
static gs_status sums(gs_kctx *k, const plan *p, int64_t batch) {
  char *s = k->scratch;
  void *c = s + p->sums;
  if (!p->real) {
    integers(k, p, batch, c);
    return GS_OK;
  }
  float *a = (float *)(void *)(s + p->a), *b = (float *)(void *)(s + p->b);
  widen(k, p, p->ia, p->za, batch, a);
  widen(k, p, p->ib, p->zb, batch, b);
  gs_gemm g = {.dtype = GS_FLOAT, .m = p->m, .n = p->n, .k = p->k,
               .lda = gs_max(1, p->k), .ldb = gs_max(1, p->n), .batch = 1};
  if (!gs_gemm_run(&g, a, b, c, k->threads))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the product");
  return GS_OK;
}

/* n sums in f32 to the type of the result, rounded, at element `at`. */
static void finish_real(const gs_kctx *k, float *c, int64_t n,
                        const float *scale, int64_t step, int64_t at) {
  const gs_view *y = &k->out[0];
  float zero = element(&k->in[7], 0), lo, hi;
  for (int64_t j = 0; j < n; j++) c[j] *= scale[j * step];
  if (is_byte(y->dtype)) {
    gs_quant_range(y->dtype, &lo, &hi);
    for (int64_t j = 0; j < n; j++) {
      float q = c[j] > lo - zero ? c[j] : lo - zero;
      q = q < hi - zero ? q : hi - zero;
      ((uint8_t *)y->data)[at + j] =
          (uint8_t)(int32_t)(q + 12582912.0f - 12582912.0f + zero);
    }
    return;
  }
  for (int64_t j = 0; j < n; j++) c[j] += zero;
  gs_convert(y->dtype, (char *)y->data + at, GS_FLOAT, c, n, NULL);
}

static gs_status run_qlinear_matmul(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *y = &k->out[0];
  char *s = k->scratch;
  float *scale = (float *)(void *)(s + p->scale);
  for (int64_t b = 0; y->n && b < p->batch; b++) {
    GS_TRY(sums(k, p, b));
    int64_t step = 0;
    for (int64_t i = 0; i < p->m; i++) {
      int64_t at = (b * p->m + i) * p->n;
      if (!i || k->in[1].n > 1) step = scales(k, p, b, i, scale);
      char *row = s + p->sums + (size_t)(i * p->n) * 4;
      if (p->real)
        finish_real(k, (float *)(void *)row, p->n, scale, step, at);
      else
        gs_requantise(y->dtype, (char *)y->data + at, (int32_t *)(void *)row,
                      p->n, scale, step,
                      (int32_t)gs_view_int(&k->in[7], 0));
    }
  }
  return GS_OK;
}

const gs_kernel gs_kernel_qlinear_matmul = {prep_qlinear_matmul,
                                            run_qlinear_matmul};
