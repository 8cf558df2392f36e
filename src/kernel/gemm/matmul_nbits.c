/* MatMulNBits (com.microsoft).  Constant weights are packed once; rows are
 * rounded to i8 where accuracy_level 4 allows it. */
#include "kernel/gemm/gemm.h"
#include "kernel/narrow/narrow.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"

enum { A, B, SCALES, ZEROS, G_IDX, BIAS };

enum { LEVEL_INT8 = 4 };

typedef struct plan {
  gs_nbits w;
  gs_narrow narrow; /* packed: NULL where w may change */
  bool ints;
  int64_t m;
  size_t a, y; /* places in scratch of both in f32, for 16-bit floats */
} plan;

/* Packs the weights, and says what is not read any more. */
static void keep(gs_kctx *k, plan *p) {
  bool zeros = gs_kernel_has(k, ZEROS), group = gs_kernel_has(k, G_IDX);
  p->ints = gs_node_int(k->node, "accuracy_level", 0) == LEVEL_INT8;
  if (group || !gs_kernel_known(k, B)) return;
  gs_nbits w = p->w;
  w.codes = k->in[B].data;
  w.scales = k->in[SCALES].data;
  if (zeros) w.zeros = k->in[ZEROS].data;
  gs_narrow_keep_codes(&p->narrow, k,
                       (gs_narrow_from){B, SCALES, zeros ? ZEROS : -1}, 0, &w);
  if (!p->narrow.packed) return;
  k->in[B].unread = k->in[SCALES].unread = true;
  if (zeros) k->in[ZEROS].unread = true;
}

static gs_status prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  const gs_view *x = &k->in[A];
  gs_nbits *w = &p->w;
  k->state = p;
  w->bits = (int)gs_node_int(k->node, "bits", 4);
  w->k = x->dims[x->rank - 1];
  w->n = k->in[B].dims[0];
  w->block = gs_node_int(k->node, "block_size", 0);
  w->blocks = gs_ceil_div(w->k, w->block);
  w->type = x->dtype;
  w->packed = gs_kernel_has(k, ZEROS) && k->in[ZEROS].dtype == GS_UINT8;
  p->m = gs_dims_count(x->dims, 0, x->rank - 1);
  keep(k, p);
  size_t size = p->narrow.packed
                    ? gs_narrow_scratch(&p->narrow, p->ints, p->m)
                    : gs_nbits_scratch(w->k, p->m, k->threads);
  size = (size + 63) / 64 * 64;
  p->a = size;
  if (gs_dtype_half(x->dtype)) {
    size += ((size_t)x->n * 4 + 63) / 64 * 64;
    p->y = size;
    size += (size_t)k->out[0].n * 4;
  }
  k->scratch_size = size;
  return GS_OK;
}

static gs_status check_groups(gs_kctx *k, const plan *p) {
  const int32_t *g = k->in[G_IDX].data;
  for (int64_t i = 0; i < p->w.k; i++)
    if (g[i] < 0 || g[i] >= p->w.blocks)
      return gs_kernel_fail(k, GS_DATA, "g_idx[%lld] is %d; there are %lld "
                            "blocks", (long long)i, g[i],
                            (long long)p->w.blocks);
  return GS_OK;
}

typedef struct addition {
  const gs_view *bias;
  float *y;
  int64_t n;
} addition;

static void add_rows(void *ctx, int64_t lo, int64_t hi) {
  const addition *j = ctx;
  enum { SOME = 256 };
  float b[SOME];
  size_t size = (size_t)gs_dtype_get((int)j->bias->dtype)->bits / 8;
  for (int64_t at = 0; at < j->n; at += SOME) {
    int64_t n = gs_min(SOME, j->n - at);
    gs_convert(GS_FLOAT, b, j->bias->dtype,
               (const char *)j->bias->data + (size_t)at * size, n, NULL);
    for (int64_t i = lo; i < hi; i++)
      for (int64_t c = 0; c < n; c++) j->y[i * j->n + at + c] += b[c];
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *x = &k->in[A], *y = &k->out[0];
  bool half = gs_dtype_half(x->dtype);
  gs_nbits w = p->w;
  w.codes = k->in[B].data;
  w.scales = k->in[SCALES].data;
  if (gs_kernel_has(k, ZEROS)) w.zeros = k->in[ZEROS].data;
  if (gs_kernel_has(k, G_IDX)) {
    GS_TRY(check_groups(k, p));
    w.group = k->in[G_IDX].data;
  }
  char *s = k->scratch;
  const float *a = x->data;
  float *to = y->data;
  if (half) {
    gs_half_widen(x->dtype, x->n, x->data, (float *)(void *)(s + p->a),
                  k->threads);
    a = (const float *)(void *)(s + p->a);
    to = (float *)(void *)(s + p->y);
  }
  if (p->narrow.packed)
    gs_narrow_product(&p->narrow, p->ints, p->m, a, w.k, to, w.n, s,
                      k->threads);
  else if (!gs_nbits_product(&w, p->m, a, w.k, to, w.n, s, k->threads))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the product");
  if (gs_kernel_has(k, BIAS)) {
    addition j = {&k->in[BIAS], to, w.n};
    gs_parallel(k->threads, p->m, w.n, add_rows, &j);
  }
  if (half) gs_half_narrow(y->dtype, y->n, to, y->data, k->threads);
  return GS_OK;
}

extern const gs_kernel gs_kernel_matmul_nbits;
const gs_kernel gs_kernel_matmul_nbits = {prep, run};
