/* MatMul and Gemm.  f16 and bf16 are widened, summed in f32 and rounded once,
 * constant matrices of them in registers; sums run over k in an order that
 * depends on sizes alone. */
#include <math.h>

#include "base/assert.h"
#include "kernel/gemm/gemm.h"
#include "kernel/narrow/narrow.h"
#include "kernel/core/support.h"

typedef struct plan {
  gs_gemm g;
  gs_narrow narrow; /* b, where it is constant; else packed: NULL */
  bool half;
  double alpha, beta; /* Gemm */
  int64_t crow, ccol; /* Gemm: strides of C, 0 where it is broadcast */
} plan;

static gs_status check_type(gs_kctx *k, plan *p) {
  gs_dtype t = k->in[0].dtype;
  p->half = gs_dtype_half(t);
  p->g.dtype = p->half ? GS_FLOAT : t;
  if (!gs_gemm_has(p->g.dtype)) return gs_kernel_no_type(k, t);
  return GS_OK;
}

/* Sizes of the last two dims, with the 1-D forms of MatMul. */
static gs_status matmul_shape(gs_kctx *k, plan *p) {
  const gs_view *a = &k->in[0], *b = &k->in[1];
  gs_gemm *g = &p->g;
  if (a->rank < 1 || b->rank < 1)
    return gs_kernel_fail(k, GS_DATA, "an operand is a scalar");
  int ra = a->rank, rb = b->rank;
  int64_t kb = rb == 1 ? b->dims[0] : b->dims[rb - 2];
  g->m = ra == 1 ? 1 : a->dims[ra - 2];
  g->k = a->dims[ra - 1];
  g->n = rb == 1 ? 1 : b->dims[rb - 1];
  g->lda = gs_max(1, g->k);
  g->ldb = gs_max(1, g->n);
  if (kb != g->k)
    return gs_kernel_fail(k, GS_DATA, "inner dims %lld and %lld differ",
                          (long long)g->k, (long long)kb);
  return GS_OK;
}

static gs_status matmul_batch(gs_kctx *k, gs_gemm *g) {
  const gs_view *a = &k->in[0], *b = &k->in[1];
  int na = (int)gs_max(0, a->rank - 2), nb = (int)gs_max(0, b->rank - 2);
  int n = na > nb ? na : nb;
  gs_assert(n <= GS_MAX_RANK - 2);
  int64_t sa[GS_MAX_RANK], sb[GS_MAX_RANK], dims[GS_MAX_RANK];
  int64_t ta = g->m * g->k, tb = g->k * g->n;
  for (int d = n - 1; d >= 0; d--) {
    int64_t da = d - n + na >= 0 ? a->dims[d - n + na] : 1;
    int64_t db = d - n + nb >= 0 ? b->dims[d - n + nb] : 1;
    if (da != db && da != 1 && db != 1)
      return gs_kernel_fail(k, GS_DATA, "batch dims %lld and %lld differ",
                            (long long)da, (long long)db);
    dims[d] = da == 1 ? db : da;
    sa[d] = da == 1 ? 0 : ta;
    sb[d] = db == 1 ? 0 : tb;
    ta *= da;
    tb *= db;
  }
  for (int d = 0; d < n; d++) gs_gemm_batch(g, dims[d], sa[d], sb[d]);
  /* One matrix for a whole dense batch: more rows of a instead. */
  if (g->nbatch == 1 && g->sb[0] == 0 && g->sa[0] == g->m * g->k &&
      (!g->pitch || g->run == g->n)) {
    g->m *= g->batch;
    g->batch = 1;
    g->nbatch = 0;
  }
  return GS_OK;
}

/* Tiles are rows at one pitch. */
extern bool gs_fits_product(const gs_node *n, const gs_view *y);
bool gs_fits_product(const gs_node *n, const gs_view *y) {
  (void)n;
  return !y->apart;
}

enum { NARROW = 32 }; /* columns below which tiles would be mostly empty */

/* Packs b, which then is not read any more. */
static void keep(gs_kctx *k, plan *p) {
  gs_gemm *g = &p->g;
  bool real = p->half || g->dtype == GS_FLOAT;
  if (real && g->batch == 1 && !g->ta && g->n >= NARROW)
    gs_narrow_keep_floats(&p->narrow, k, 1, 0, g->n, g->k, g->ldb, g->tb);
  if (!p->narrow.packed) gs_gemm_keep(g, k, 1, 0);
  k->in[1].unread = p->narrow.packed || g->packed;
}

/* In f32, where they are half: a, c, the addend, b; then what the product
 * wants. */
static size_t scratch_b(const gs_kctx *k, const plan *p) {
  if (!p->half) return 0;
  int64_t n = k->in[0].n + k->out[0].n + (gs_kernel_has(k, 2) ? k->in[2].n : 0);
  return ((size_t)n * sizeof(float) + 63) / 64 * 64;
}

static void plan_scratch(gs_kctx *k, const plan *p) {
  k->scratch_size = scratch_b(k, p);
  if (p->narrow.packed)
    k->scratch_size += gs_narrow_scratch(&p->narrow, false, p->g.m);
  else if (p->half && !p->g.packed)
    k->scratch_size += (size_t)k->in[1].n * sizeof(float);
}

static gs_status matmul_prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  p->g.batch = 1;
  GS_TRY(check_type(k, p));
  if (!p->half) { /* else it is rounded to there */
    p->g.run = k->out[0].run;
    p->g.pitch = k->out[0].pitch;
  }
  GS_TRY(matmul_shape(k, p));
  GS_TRY(matmul_batch(k, &p->g));
  keep(k, p);
  plan_scratch(k, p);
  k->state = p;
  return GS_OK;
}

/* The product in the type that is computed with: into *c, which is the
 * output, or scratch when it must be rounded. */
static gs_status product(gs_kctx *k, const plan *p, void **c) {
  const void *a = k->in[0].data, *b = k->in[1].data;
  void *rest = (char *)k->scratch + scratch_b(k, p);
  *c = k->out[0].data;
  if (p->half) {
    float *fa = k->scratch;
    gs_assert(k->scratch);
    gs_half_widen(k->in[0].dtype, k->in[0].n, a, fa, k->threads);
    *c = fa + k->in[0].n;
    a = fa;
  }
  if (p->narrow.packed) {
    gs_narrow_product(&p->narrow, false, p->g.m, a, p->g.lda, *c,
                      gs_gemm_row(&p->g), rest, k->threads);
    return GS_OK;
  }
  if (p->half) {
    if (!p->g.packed)
      gs_half_widen(k->in[1].dtype, k->in[1].n, b, rest, k->threads);
    b = rest;
  }
  if (!gs_gemm_run(&p->g, a, b, *c, k->threads))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the product");
  return GS_OK;
}

static gs_status matmul_run(gs_kctx *k) {
  const plan *p = k->state;
  void *c;
  GS_TRY(product(k, p, &c));
  if (p->half) gs_half_narrow_to(&k->out[0], c, k->threads);
  return GS_OK;
}

const gs_kernel gs_kernel_matmul = {matmul_prep, matmul_run};

/* ---- Gemm ---- */

static gs_status gemm_addend(gs_kctx *k, plan *p) {
  if (!gs_kernel_has(k, 2)) return GS_OK;
  const gs_view *c = &k->in[2];
  int64_t cols = c->rank > 0 ? c->dims[c->rank - 1] : 1;
  int64_t rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
  if (c->rank > 2 || (rows != 1 && rows != p->g.m) ||
      (cols != 1 && cols != p->g.n))
    return gs_kernel_fail(k, GS_DATA, "C does not broadcast to [%lld,%lld]",
                          (long long)p->g.m, (long long)p->g.n);
  p->crow = rows == 1 ? 0 : cols;
  p->ccol = cols == 1 ? 0 : 1;
  return GS_OK;
}

static gs_status gemm_prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  const gs_view *a = &k->in[0], *b = &k->in[1];
  gs_gemm *g = &p->g;
  GS_TRY(check_type(k, p));
  if (a->rank != 2 || b->rank != 2)
    return gs_kernel_fail(k, GS_DATA, "an operand is not a matrix");
  g->ta = gs_node_int(k->node, "transA", 0) != 0;
  g->tb = gs_node_int(k->node, "transB", 0) != 0;
  g->batch = 1;
  g->m = a->dims[g->ta];
  g->k = a->dims[!g->ta];
  g->n = b->dims[!g->tb];
  g->lda = gs_max(1, a->dims[1]);
  g->ldb = gs_max(1, b->dims[1]);
  if (b->dims[g->tb] != g->k)
    return gs_kernel_fail(k, GS_DATA, "inner dims %lld and %lld differ",
                          (long long)g->k, (long long)b->dims[g->tb]);
  p->alpha = gs_node_float(k->node, "alpha", 1);
  p->beta = gs_node_float(k->node, "beta", 1);
  bool whole = rint(p->alpha) == p->alpha && rint(p->beta) == p->beta &&
               fabs(p->alpha) < 0x1p62 && fabs(p->beta) < 0x1p62;
  if (!whole && gs_dtype_whole(a->dtype))
    return gs_kernel_fail(k, GS_UNSUPPORTED,
                          "alpha or beta is not an integer, although the type "
                          "is %s",
                          gs_dtype_get((int)a->dtype)->text);
  GS_TRY(gemm_addend(k, p));
  keep(k, p);
  plan_scratch(k, p);
  k->state = p;
  return GS_OK;
}

/* out = alpha * out + beta * C. */
#define AXPBY(name, type)                                                      \
  static void name(const plan *p, const void *vc, void *vo, int nt) {          \
    const type *c = vc;                                                        \
    type *o = vo;                                                              \
    type al = (type)p->alpha, be = (type)p->beta;                              \
    (void)nt;                                                                  \
    _Pragma("omp parallel for num_threads(nt) schedule(static) if (nt > 1)")   \
    for (int64_t i = 0; i < p->g.m; i++) {                                     \
      type *r = o + i * p->g.n;                                                \
      if (p->alpha != 1)                                                       \
        for (int64_t j = 0; j < p->g.n; j++) r[j] = (type)(al * r[j]);         \
      if (!c || p->beta == 0) continue;                                        \
      const type *q = c + i * p->crow;                                         \
      if (p->ccol)                                                             \
        for (int64_t j = 0; j < p->g.n; j++) r[j] = (type)(r[j] + be * q[j]);  \
      else                                                                     \
        for (int64_t j = 0; j < p->g.n; j++) r[j] = (type)(r[j] + be * q[0]);  \
    }                                                                          \
  }
AXPBY(axpby_f32, float)
AXPBY(axpby_f64, double)
#undef AXPBY

/* The same for integers of `size` bytes, 64-bit arithmetic cut to the type. */
static void axpby_int(const plan *p, size_t size, const char *c, char *o) {
  uint64_t al = (uint64_t)(int64_t)p->alpha;
  uint64_t be = (uint64_t)(int64_t)p->beta;
  bool add = c && p->beta != 0;
  for (int64_t i = 0; i < p->g.m; i++)
    for (int64_t j = 0; j < p->g.n; j++) {
      uint64_t x = 0, y = 0; /* little-endian: the low bytes are enough */
      char *r = o + (i * p->g.n + j) * (int64_t)size;
      memcpy(&x, r, size);
      int64_t at = i * p->crow + j * p->ccol;
      if (add) memcpy(&y, c + at * (int64_t)size, size);
      x = al * x + be * y;
      memcpy(r, &x, size);
    }
}

static gs_status gemm_run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *o = &k->out[0];
  const void *add = gs_kernel_has(k, 2) ? k->in[2].data : NULL;
  int nt = gs_kernel_threads(k, o->n * 4);
  void *c;
  GS_TRY(product(k, p, &c));
  if (p->half) {
    float *f = NULL;
    if (add) {
      f = (float *)c + o->n;
      gs_half_widen(o->dtype, k->in[2].n, add, f, k->threads);
    }
    axpby_f32(p, f, c, nt);
    gs_half_narrow(o->dtype, o->n, c, o->data, k->threads);
  } else if (o->dtype == GS_FLOAT) {
    axpby_f32(p, add, c, nt);
  } else if (o->dtype == GS_DOUBLE) {
    axpby_f64(p, add, c, nt);
  } else {
    axpby_int(p, (size_t)gs_dtype_get((int)o->dtype)->bits / 8, add, c);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_gemm = {gemm_prep, gemm_run};
