/* Hardmax: 1 at the first largest element along a dim, 0 elsewhere. NaN
 * counts as the largest, as it does for ArgMax. */
#include "kernel/core/par.h"
#include "kernel/core/support.h"

enum { SIDE = 64, BLOCK = 512 }; /* rows side by side; elements of a row */

typedef struct plan {
  int64_t n, inner; /* along and after the dim */
} plan;

static gs_status prep(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  plan *p = GS_NEW(k->arena, plan);
  int d;
  if (x->dtype != GS_FLOAT && x->dtype != GS_DOUBLE &&
      x->dtype != GS_FLOAT16 && x->dtype != GS_BFLOAT16)
    return gs_kernel_no_type(k, x->dtype);
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "axis", -1), x->rank, &d));
  p->n = x->dims[d];
  p->inner = gs_dims_count(x->dims, d + 1, x->rank);
  k->state = p;
  return GS_OK;
}

/* Elements [at, at + m) as doubles, in which they are exact. */
static void load(const gs_view *x, int64_t at, int64_t m, double *to) {
  int64_t size = gs_dtype_get((int)x->dtype)->bits / 8;
  gs_convert(GS_DOUBLE, to, x->dtype, (const char *)x->data + at * size, m,
             NULL);
}

/* `one` into the elements that were found, of m rows side by side from `at`;
 * the result is zero elsewhere. */
static void mark(const gs_view *y, const plan *p, int64_t at,
                 const int64_t *best, int64_t m) {
  static const float one = 1;
  uint64_t bits = 0;
  int64_t size = gs_dtype_get((int)y->dtype)->bits / 8;
  gs_convert(y->dtype, &bits, GS_FLOAT, &one, 1, NULL);
  for (int64_t i = 0; i < m; i++)
    memcpy((char *)y->data + (at + best[i] * p->inner + i) * size, &bits,
           (size_t)size);
}

/* Whether x comes before the largest so far. */
static bool above(double x, double top) {
  return x > top || (x != x && top == top);
}

/* One row of consecutive elements from `at`. */
static void one_row(const gs_kctx *k, int64_t at) {
  const plan *p = k->state;
  int64_t best = 0;
  double x[BLOCK], top = 0;
  for (int64_t i = 0; i < p->n; i += BLOCK) {
    int64_t m = gs_min(BLOCK, p->n - i);
    load(&k->in[0], at + i, m, x);
    for (int64_t j = 0; j < m; j++) {
      if (i + j > 0 && !above(x[j], top)) continue;
      best = i + j;
      top = x[j];
    }
  }
  mark(&k->out[0], p, at, &best, 1);
}

/* Blocks [lo, hi) of SIDE rows. */
static void blocks(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  int64_t per = gs_ceil_div(p->inner, SIDE);
  for (int64_t b = lo; b < hi; b++) {
    int64_t c = b % per * SIDE, m = gs_min(SIDE, p->inner - c);
    int64_t at = b / per * p->n * p->inner + c, best[SIDE] = {0};
    double top[SIDE], x[SIDE];
    if (p->inner == 1) {
      one_row(k, at);
      continue;
    }
    load(&k->in[0], at, m, top);
    for (int64_t i = 1; i < p->n; i++) {
      load(&k->in[0], at + i * p->inner, m, x);
      for (int64_t j = 0; j < m; j++) {
        bool more = above(x[j], top[j]);
        best[j] = more ? i : best[j];
        top[j] = more ? x[j] : top[j];
      }
    }
    mark(&k->out[0], p, at, best, m);
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *y = &k->out[0];
  if (y->n == 0) return GS_OK;
  memset(y->data, 0, (size_t)gs_dtype_bytes((int)y->dtype, y->n));
  int64_t outer = y->n / p->n / p->inner;
  gs_parallel(k->threads, outer * gs_ceil_div(p->inner, SIDE),
              p->n * gs_min(SIDE, p->inner), blocks, k);
  return GS_OK;
}

extern const gs_kernel gs_kernel_hardmax;
const gs_kernel gs_kernel_hardmax = {prep, run};
