/* ArgMax, ArgMin, TopK, CumSum, CumProd. */
#include <math.h>

#include "base/assert.h"
#include "base/isa.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"
#include "kernel/pointwise/vmath.h"

enum {
  SIDE = 64, /* columns that are done side by side */
  ROWS = 8,  /* rows of sums at once */
  LANES = 32,
  FOUND = 64 /* elements that are looked through at once */
};

typedef struct cum_plan {
  bool exclusive, reverse;
} cum_plan;

/* x[rows][n, inner] -> y; rows 1 .. ROWS where inner is 1, else 1. */
typedef void cum_fn(const cum_plan *p, int64_t rows, int64_t n, int64_t inner,
                    const void *x, void *y);

typedef struct arg_loops {
  void (*columns)(const void *x, int64_t n, int64_t inner, int64_t m,
                  bool last, int64_t *out);
  int64_t (*row)(const void *x, int64_t n, bool last);
} arg_loops;

#define GS_STAMP "kernel/reduce/scan.inc"
#include "kernel/core/stamp.h"

static const uint64_t TOP = UINT64_C(1) << 63;

/* ---- order: every type as a 64-bit key ---- */

/* Unsigned keys in the order of the values: -0 equals +0, and NaN is above
 * everything. */
static uint64_t float_key(double v) {
  uint64_t u;
  if (v != v) return UINT64_MAX;
  if (v == 0) v = 0; /* -0 */
  memcpy(&u, &v, sizeof u);
  return u >> 63 ? ~u : u | TOP;
}

/* As the loop keys_f32 makes them. */
static uint64_t f32_key(float v) {
  uint64_t key;
  GS_PICK(keys_f32)(&v, 1, &key);
  return key;
}

static bool has_keys(gs_dtype t) {
  return (gs_dtype_whole(t) && t != GS_BOOL) || t == GS_FLOAT ||
         t == GS_DOUBLE || t == GS_FLOAT16 || t == GS_BFLOAT16;
}

/* Keys of n elements from `at`, `step` apart. */
static void load_keys(const gs_view *v, int64_t at, int64_t step, int64_t n,
                      uint64_t *key) {
  gs_assert(at >= 0 && step >= 1 && n >= 0);
  if (v->dtype == GS_FLOAT && step == 1) {
    GS_PICK(keys_f32)((const float *)v->data + at, n, key);
    return;
  }
  switch (v->dtype) {
#define X(name, type, expr)                                                    \
  case GS_##name: {                                                            \
    const type *p = (const type *)v->data + at;                                \
    for (int64_t i = 0; i < n; i++) {                                          \
      type x = p[i * step];                                                    \
      key[i] = expr;                                                           \
    }                                                                          \
    break;                                                                     \
  }
    X(FLOAT, float, f32_key(x))
    X(DOUBLE, double, float_key(x))
    X(FLOAT16, uint16_t, float_key((double)gs_f16_get(x)))
    X(BFLOAT16, uint16_t, float_key((double)gs_bf16_get(x)))
    X(INT8, int8_t, (uint64_t)x ^ TOP)
    X(INT16, int16_t, (uint64_t)x ^ TOP)
    X(INT32, int32_t, (uint64_t)x ^ TOP)
    X(INT64, int64_t, (uint64_t)x ^ TOP)
    X(UINT8, uint8_t, x)
    X(UINT16, uint16_t, x)
    X(UINT32, uint32_t, x)
    X(UINT64, uint64_t, x)
#undef X
  default: break;
  }
}

typedef struct lanes {
  int64_t outer, n, inner; /* before, along and after the axis */
} lanes;

static gs_status lanes_of(gs_kctx *k, int64_t axis, lanes *l) {
  const gs_view *x = &k->in[0];
  int d;
  GS_TRY(gs_kernel_axis(k, axis, x->rank, &d));
  l->outer = gs_dims_count(x->dims, 0, d);
  l->n = x->dims[d];
  l->inner = gs_dims_count(x->dims, d + 1, x->rank);
  return GS_OK;
}

/* Threads, and what each needs: keys of a lane and indices of it. */
static int lane_threads(const gs_kctx *k, const lanes *l) {
  int64_t work = l->outer * l->n * l->inner * 16;
  return (int)gs_max(1, gs_min(gs_kernel_threads(k, work),
                               l->outer * l->inner));
}

/* ---- ArgMax, ArgMin ---- */

typedef struct arg_plan {
  lanes l;
  const arg_loops *loops; /* [2] largest, smallest; NULL: by keys */
  bool last;   /* among equals, the last one */
  bool floats; /* the key UINT64_MAX is NaN */
} arg_plan;

/* The loops of type t for lanes of n; NULL: none. */
static const arg_loops *arg_loops_of(gs_dtype t, int64_t n) {
  int row = t == GS_FLOAT    ? 0
            : t == GS_DOUBLE ? 1
            : t == GS_INT32  ? 2
            : t == GS_INT64  ? 3
                             : -1;
  return row < 0 || n > INT32_MAX ? NULL : GS_PICK(args)[row];
}

static gs_status arg_prep(gs_kctx *k) {
  arg_plan *p = GS_NEW(k->arena, arg_plan);
  if (!has_keys(k->in[0].dtype)) return gs_kernel_no_type(k, k->in[0].dtype);
  GS_TRY(lanes_of(k, gs_node_int(k->node, "axis", 0), &p->l));
  p->last = gs_node_int(k->node, "select_last_index", 0) != 0;
  p->floats = gs_dtype_get((int)k->in[0].dtype)->cls == 'f';
  if (!p->l.n && k->out[0].n)
    return gs_kernel_fail(k, GS_DATA, "the dim is empty");
  p->loops = arg_loops_of(k->in[0].dtype, p->l.n);
  if (!p->loops)
    k->scratch_size =
        (size_t)(lane_threads(k, &p->l) * p->l.n) * sizeof(uint64_t);
  k->state = p;
  return GS_OK;
}

/* NaN is found by both, as the largest is: keys are turned for the smallest
 * except where they stand for NaN. */
static int64_t arg_lane(const arg_plan *p, bool min, const uint64_t *key) {
  gs_assert(p->l.n > 0);
  int64_t best = 0;
  uint64_t top = 0;
  for (int64_t i = 0; i < p->l.n; i++) {
    uint64_t v = key[i];
    if (min && !(p->floats && v == UINT64_MAX)) v = ~v;
    if (i == 0 || v > top || (p->last && v == top)) {
      top = v;
      best = i;
    }
  }
  return best;
}

typedef struct arg_job {
  const gs_kctx *k;
  const arg_plan *p;
  const arg_loops *loops;
} arg_job;

/* Rows, or blocks of SIDE columns, [lo, hi). */
static void arg_blocks(void *ctx, int64_t lo, int64_t hi) {
  const arg_job *j = ctx;
  const lanes *l = &j->p->l;
  int64_t size = gs_dtype_bytes((int)j->k->in[0].dtype, 1);
  int64_t per = gs_ceil_div(l->inner, SIDE), *out = j->k->out[0].data;
  for (int64_t b = lo; b < hi; b++) {
    int64_t o = b / per, c = b % per * SIDE;
    const char *x = (const char *)j->k->in[0].data +
                    (o * l->n * l->inner + c) * size;
    if (l->inner == 1) out[o] = j->loops->row(x, l->n, j->p->last);
    else
      j->loops->columns(x, l->n, l->inner, gs_min(SIDE, l->inner - c),
                        j->p->last, out + o * l->inner + c);
  }
}

static gs_status arg_run(gs_kctx *k, bool min) {
  const arg_plan *p = k->state;
  const lanes *l = &p->l;
  if (p->loops) {
    arg_job j = {k, p, &p->loops[min]};
    if (k->out[0].n)
      gs_parallel(k->threads, l->outer * gs_ceil_div(l->inner, SIDE),
                  l->n * gs_min(l->inner, SIDE), arg_blocks, &j);
    return GS_OK;
  }
  int64_t all = l->outer * l->inner, *out = k->out[0].data;
  int parts = lane_threads(k, l);
#pragma omp parallel for num_threads(parts) schedule(static) if (parts > 1)
  for (int t = 0; t < parts; t++) {
    uint64_t *key = (uint64_t *)k->scratch + t * l->n;
    for (int64_t i = all * t / parts; i < all * (t + 1) / parts; i++) {
      load_keys(&k->in[0], i / l->inner * l->n * l->inner + i % l->inner,
                l->inner, l->n, key);
      out[i] = arg_lane(p, min, key);
    }
  }
  return GS_OK;
}

static gs_status argmax_run(gs_kctx *k) { return arg_run(k, false); }
static gs_status argmin_run(gs_kctx *k) { return arg_run(k, true); }

const gs_kernel gs_kernel_argmax = {arg_prep, argmax_run};
const gs_kernel gs_kernel_argmin = {arg_prep, argmin_run};

/* ---- TopK ---- */

typedef struct topk_plan {
  lanes l;
  int64_t k;
  bool largest;
  size_t size;
} topk_plan;

static gs_status topk_prep(gs_kctx *k) {
  topk_plan *p = GS_NEW(k->arena, topk_plan);
  int64_t axis = gs_node_int(k->node, "axis", -1);
  const gs_view *v = k->out[0].rank >= 0 ? &k->out[0] : &k->out[1];
  int d;
  if (!has_keys(k->in[0].dtype)) return gs_kernel_no_type(k, k->in[0].dtype);
  GS_TRY(lanes_of(k, axis, &p->l));
  GS_TRY(gs_kernel_axis(k, axis, k->in[0].rank, &d));
  GS_TRY(gs_kernel_esize(k, k->in[0].dtype, &p->size));
  p->largest = gs_node_int(k->node, "largest", 1) != 0;
  p->k = v->dims[d];
  if (p->k > p->l.n)
    return gs_kernel_fail(k, GS_DATA, "the top %lld of %lld",
                          (long long)p->k, (long long)p->l.n);
  k->scratch_size = (size_t)(lane_threads(k, &p->l) * (p->l.n + p->k)) *
                    sizeof(uint64_t);
  k->state = p;
  return GS_OK;
}

/* Whether element a comes after b: a smaller key, or an equal one later. */
static bool after(const uint64_t *key, int64_t a, int64_t b) {
  return key[a] < key[b] || (key[a] == key[b] && a > b);
}

/* Restores the heap (the last element in order at its root) below i. */
static void sift(const uint64_t *key, int64_t *heap, int64_t n, int64_t i) {
  for (;;) {
    int64_t c = 2 * i + 1;
    if (c >= n) return;
    if (c + 1 < n && after(key, heap[c + 1], heap[c])) c++;
    if (!after(key, heap[c], heap[i])) return;
    int64_t t = heap[c];
    heap[c] = heap[i];
    heap[i] = t;
    i = c;
  }
}

/* The first k of n elements in order, by a heap of the k best so far. */
static void select_top(const uint64_t *key, int64_t n, int64_t k,
                       int64_t *heap) {
  if (!k) return;
  for (int64_t i = 0; i < k; i++) heap[i] = i;
  for (int64_t i = k / 2 - 1; i >= 0; i--) sift(key, heap, k, i);
  int64_t (*skip)(const uint64_t *, int64_t, int64_t, uint64_t) =
      GS_PICK(skip);
  for (int64_t i = k; i < n; i++) {
    if ((i - k) % FOUND == 0) i = skip(key, i, n, key[heap[0]]);
    if (i == n) break;
    if (!after(key, heap[0], i)) continue;
    heap[0] = i;
    sift(key, heap, k, 0);
  }
  for (int64_t m = k - 1; m > 0; m--) {
    int64_t t = heap[0];
    heap[0] = heap[m];
    heap[m] = t;
    sift(key, heap, m, 0);
  }
}

static void topk_lane(gs_kctx *k, const topk_plan *p, int64_t i,
                      uint64_t *key) {
  const lanes *l = &p->l;
  int64_t *top = (int64_t *)(key + l->n), size = (int64_t)p->size;
  int64_t o = i / l->inner, j = i % l->inner;
  load_keys(&k->in[0], o * l->n * l->inner + j, l->inner, l->n, key);
  if (!p->largest)
    for (int64_t e = 0; e < l->n; e++) key[e] = ~key[e];
  select_top(key, l->n, p->k, top);
  for (int64_t e = 0; e < p->k; e++) {
    int64_t to = (o * p->k + e) * l->inner + j;
    int64_t from = (o * l->n + top[e]) * l->inner + j;
    if (k->out[0].data)
      memcpy((char *)k->out[0].data + to * size,
             (const char *)k->in[0].data + from * size, p->size);
    if (k->nout > 1 && k->out[1].data)
      ((int64_t *)k->out[1].data)[to] = top[e];
  }
}

static gs_status topk_run(gs_kctx *k) {
  const topk_plan *p = k->state;
  const lanes *l = &p->l;
  int64_t all = l->outer * l->inner;
  int parts = lane_threads(k, l);
#pragma omp parallel for num_threads(parts) schedule(static) if (parts > 1)
  for (int t = 0; t < parts; t++)
    for (int64_t i = all * t / parts; i < all * (t + 1) / parts; i++)
      topk_lane(k, p, i, (uint64_t *)k->scratch + t * (l->n + p->k));
  return GS_OK;
}

const gs_kernel gs_kernel_topk = {topk_prep, topk_run};

/* ---- CumSum, CumProd ---- */

static gs_status cum_prep(gs_kctx *k) {
  cum_plan *p = GS_NEW(k->arena, cum_plan);
  if (!has_keys(k->in[0].dtype)) return gs_kernel_no_type(k, k->in[0].dtype);
  p->exclusive = gs_node_int(k->node, "exclusive", 0) != 0;
  p->reverse = gs_node_int(k->node, "reverse", 0) != 0;
  k->state = p;
  return GS_OK;
}

/* Types that have no loop of their own: each lane for itself.  Integers wrap,
 * 16-bit floats are computed in f32. */
#define CUM(name, type, wide, get, put, first, op)                             \
  static void name(const cum_plan *p, int64_t rows, int64_t n, int64_t inner,  \
                   const void *vx, void *vy) {                                 \
    const type *x = vx;                                                        \
    type *y = vy;                                                              \
    for (int64_t j = 0; j < rows * inner; j++) {                               \
      wide s = first;                                                          \
      for (int64_t i = 0; i < n; i++) {                                        \
        int64_t at = (p->reverse ? n - 1 - i : i) * inner + j % inner +        \
                     j / inner * n;                                            \
        wide before = s;                                                       \
        s = (wide)(s op (wide)get(x[at]));                                     \
        y[at] = (type)put(p->exclusive ? before : s);                          \
      }                                                                        \
    }                                                                          \
  }
#define BOTH(tag, type, get, put, wide)                                        \
  CUM(sum_##tag, type, wide, get, put, 0, +)                                   \
  CUM(prod_##tag, type, wide, get, put, 1, *)
BOTH(f16, uint16_t, gs_f16_get, gs_f16_put, float)
BOTH(bf16, uint16_t, gs_bf16_get, gs_bf16_put, float)
BOTH(8, uint8_t, , , uint32_t)
BOTH(16, uint16_t, , , uint32_t)
#undef BOTH
#undef CUM

static cum_fn *cum_of(gs_dtype t, size_t size, bool prod) {
  static cum_fn *const all[4][2] = {{sum_f16, prod_f16},
                                    {sum_bf16, prod_bf16},
                                    {sum_8, prod_8},
                                    {sum_16, prod_16}};
  cum_fn *const(*own)[2] = GS_PICK(cum);
  switch (t) {
  case GS_FLOAT: return own[0][prod];
  case GS_DOUBLE: return own[1][prod];
  case GS_FLOAT16: return all[0][prod];
  case GS_BFLOAT16: return all[1][prod];
  default: break;
  }
  if (size >= 4) return own[size == 4 ? 2 : 3][prod];
  return all[size == 1 ? 2 : 3][prod];
}

typedef struct cum_job {
  const gs_kctx *k;
  lanes l;
  cum_fn *f;
  int64_t rows, size; /* rows that f takes at once, bytes of an element */
} cum_job;

static void cum_some(void *ctx, int64_t lo, int64_t hi) {
  const cum_job *j = ctx;
  const lanes *l = &j->l;
  for (int64_t b = lo; b < hi; b++) {
    int64_t o = b * j->rows, at = o * l->n * l->inner * j->size;
    j->f(j->k->state, gs_min(j->rows, l->outer - o), l->n, l->inner,
         (const char *)j->k->in[0].data + at,
         (char *)j->k->out[0].data + at);
  }
}

static gs_status cum_run(gs_kctx *k, bool prod) {
  const gs_view *x = &k->in[0];
  cum_job j = {.k = k};
  int64_t axis;
  int n;
  size_t size;
  GS_TRY(gs_kernel_ints(k, 1, &axis, 1, &n));
  if (n != 1) return gs_kernel_fail(k, GS_DATA, "axis is not a scalar");
  GS_TRY(lanes_of(k, axis, &j.l));
  GS_TRY(gs_kernel_esize(k, x->dtype, &size));
  if (!x->n) return GS_OK;
  j.f = cum_of(x->dtype, size, prod);
  j.size = (int64_t)size;
  j.rows = j.l.inner == 1 ? ROWS : 1;
  gs_parallel(k->threads, gs_ceil_div(j.l.outer, j.rows),
              j.rows * j.l.n * j.l.inner, cum_some, &j);
  return GS_OK;
}

static gs_status cumsum_run(gs_kctx *k) { return cum_run(k, false); }
static gs_status cumprod_run(gs_kctx *k) { return cum_run(k, true); }

const gs_kernel gs_kernel_cumsum = {cum_prep, cumsum_run};
extern const gs_kernel gs_kernel_cumprod;
const gs_kernel gs_kernel_cumprod = {cum_prep, cumprod_run};
