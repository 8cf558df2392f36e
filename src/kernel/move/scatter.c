/* ScatterElements and ScatterND.  Updates are applied in their own order by
 * one thread, so that duplicates give the same bits every time; f16 and bf16
 * are reduced in f32 and rounded once.  Of a part of the data that
 * part is written. */
#include "base/assert.h"
#include "kernel/gemm/gemm.h"
#include "kernel/move/index.h"
#include "kernel/core/support.h"

typedef enum mode { NONE, ADD, MUL, MAX, MIN, NMODE } mode;

/* out[i] = out[i] combined with in[i]. */
typedef void merge_fn(void *out, const void *in, int64_t n);

typedef struct plan {
  mode mode;
  bool half; /* combined in an f32 copy in scratch */
  size_t size;
  merge_fn *merge; /* NULL for NONE */
  gs_elements e;
  gs_nd nd;
} plan;

#define MERGE(name, type, expr)                                                \
  static void name(void *vo, const void *vi, int64_t n) {                      \
    type *o = vo;                                                              \
    const type *x = vi;                                                        \
    for (int64_t i = 0; i < n; i++) o[i] = (type)(expr);                       \
  }
/* NaN on either side stays. */
#define FLOATS(s, type)                                                        \
  MERGE(add_##s, type, o[i] + x[i])                                            \
  MERGE(mul_##s, type, o[i] * x[i])                                            \
  MERGE(max_##s, type, x[i] > o[i] || x[i] != x[i] ? x[i] : o[i])              \
  MERGE(min_##s, type, x[i] < o[i] || x[i] != x[i] ? x[i] : o[i])
/* Sums and products wrap: the same bits as unsigned ones. */
#define INTS(s, type)                                                          \
  MERGE(add_##s, type, (uint64_t)o[i] + (uint64_t)x[i])                        \
  MERGE(mul_##s, type, (uint64_t)o[i] * (uint64_t)x[i])                        \
  MERGE(max_##s, type, x[i] > o[i] ? x[i] : o[i])                              \
  MERGE(min_##s, type, x[i] < o[i] ? x[i] : o[i])
FLOATS(f32, float)
FLOATS(f64, double)
INTS(i8, int8_t)
INTS(i16, int16_t)
INTS(i32, int32_t)
INTS(i64, int64_t)
INTS(u8, uint8_t)
INTS(u16, uint16_t)
INTS(u32, uint32_t)
INTS(u64, uint64_t)
MERGE(or_bool, uint8_t, o[i] | x[i])
MERGE(and_bool, uint8_t, o[i] & x[i])

#define ROW(s) {NULL, add_##s, mul_##s, max_##s, min_##s}
static merge_fn *const merges[GS_NDTYPE][NMODE] = {
    [GS_FLOAT] = ROW(f32),   [GS_DOUBLE] = ROW(f64),  [GS_INT8] = ROW(i8),
    [GS_INT16] = ROW(i16),   [GS_INT32] = ROW(i32),   [GS_INT64] = ROW(i64),
    [GS_UINT8] = ROW(u8),    [GS_UINT16] = ROW(u16),  [GS_UINT32] = ROW(u32),
    [GS_UINT64] = ROW(u64),  [GS_FLOAT16] = ROW(f32), [GS_BFLOAT16] = ROW(f32),
    [GS_BOOL] = {NULL, or_bool, and_bool, or_bool, and_bool}};

static gs_status plan_new(gs_kctx *k, plan **out) {
  static const char *const names[] = {"none", "add", "mul", "max", "min"};
  const char *s = gs_node_string(k->node, "reduction", "none");
  gs_dtype t = k->in[0].dtype;
  plan *p = GS_NEW(k->arena, plan);
  p->mode = NMODE;
  for (int i = 0; i < NMODE; i++)
    if (!strcmp(s, names[i])) p->mode = (mode)i;
  if (p->mode == NMODE)
    return gs_kernel_fail(k, GS_UNSUPPORTED, "reduction '%s'", s);
  GS_TRY(gs_kernel_esize(k, t, &p->size));
  if (k->in[2].dtype != t)
    return gs_kernel_fail(k, GS_DATA, "data and updates differ in type");
  if (p->mode != NONE) {
    p->merge = merges[t][p->mode];
    if (!p->merge) return gs_kernel_no_type(k, t);
    p->half = gs_dtype_half(t);
  }
  if (p->half) {
    p->size = sizeof(float);
    k->scratch_size = (size_t)(k->in[0].n + k->in[2].n) * sizeof(float);
  }
  k->state = *out = p;
  return GS_OK;
}

/* Where results are built, holding the data, and the updates. */
static void begin(gs_kctx *k, const plan *p, char **y, const char **u) {
  const gs_view *x = &k->in[0];
  *y = k->out[0].data;
  *u = k->in[2].data;
  if (p->half) {
    float *f = k->scratch;
    gs_half_widen(x->dtype, x->n, x->data, f, k->threads);
    gs_half_widen(x->dtype, k->in[2].n, *u, f + x->n, k->threads);
    gs_assert(k->scratch_size >= (size_t)(x->n + k->in[2].n) * sizeof *f);
    *y = (char *)f;
    *u = (const char *)(f + x->n);
  } else if (x->n && x->data != *y) {
    memcpy(*y, x->data, (size_t)x->n * p->size);
  }
}

static void end(gs_kctx *k, const plan *p, const char *y) {
  const gs_view *o = &k->out[0];
  if (p->half)
    gs_half_narrow(o->dtype, o->n, (const float *)(const void *)y, o->data,
                   k->threads);
}

static void put(const plan *p, char *to, const char *from, int64_t n) {
  gs_assert(n >= 0 && (p->merge || p->mode == NONE));
  if (p->merge) p->merge(to, from, n);
  else memcpy(to, from, (size_t)n * p->size);
}

/* ---- ScatterElements ---- */

static gs_status elements_prep(gs_kctx *k) {
  plan *p;
  GS_TRY(plan_new(k, &p));
  GS_TRY(gs_elements_init(k, &p->e));
  if (k->in[2].n != k->in[1].n)
    return gs_kernel_fail(k, GS_DATA, "indices and updates differ in size");
  return GS_OK;
}

static gs_status elements_run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *idx = &k->in[1];
  char *y;
  const char *u;
  GS_TRY(gs_kernel_index_check(k, idx, p->e.n));
  begin(k, p, &y, &u);
  int64_t size = (int64_t)p->size;
  for (int64_t i = 0; i < idx->n; i++) {
    int64_t at = gs_elements_at(&p->e, i, gs_view_int(idx, i));
    if (at >= 0) put(p, y + at * size, u + i * size, 1);
  }
  end(k, p, y);
  return GS_OK;
}

const gs_kernel gs_kernel_scatter_elements = {elements_prep, elements_run};

/* ---- ScatterND ---- */

static gs_status nd_prep(gs_kctx *k) {
  plan *p;
  GS_TRY(plan_new(k, &p));
  GS_TRY(gs_nd_init(k, &p->nd, 0));
  if (k->in[2].n != p->nd.tuples * p->nd.inner)
    return gs_kernel_fail(k, GS_DATA, "%lld updates for %lld slices of %lld",
                          (long long)k->in[2].n, (long long)p->nd.tuples,
                          (long long)p->nd.inner);
  return GS_OK;
}

static gs_status nd_run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_nd *nd = &p->nd;
  char *y;
  const char *u;
  int bad;
  GS_TRY(gs_nd_check(k, nd));
  begin(k, p, &y, &u);
  int64_t size = (int64_t)p->size;
  for (int64_t t = 0; t < nd->tuples && nd->inner; t++) {
    int64_t at = gs_nd_at(nd, k->in[1].data, t, &bad);
    if (at >= 0)
      put(p, y + at * size, u + t * nd->inner * size, nd->inner);
  }
  end(k, p, y);
  return GS_OK;
}

const gs_kernel gs_kernel_scatter_nd = {nd_prep, nd_run};
