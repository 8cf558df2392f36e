/* MatMulNBits (com.microsoft).  Constant weights are packed once; rows are
 * rounded to i8 where accuracy_level 4 allows it. */
#include "kernel/core/support.h"
#include "kernel/gemm/narrow_rows.h"
#include "kernel/narrow/narrow.h"

enum { A, B, SCALES, ZEROS, G_IDX, BIAS };

enum { LEVEL_INT8 = 4 };

typedef struct plan {
  gs_nbits w;
  gs_narrow narrow; /* packed: NULL where w may change */
  bool ints;
  int64_t m;
  gs_narrow_rows rows;
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
  gs_narrow_rows_plan(&p->rows, k,
                      p->narrow.packed
                          ? gs_narrow_scratch(&p->narrow, p->ints, p->m)
                          : gs_nbits_scratch(w->k, p->m, k->threads));
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

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const float *a;
  float *y;
  gs_nbits w = p->w;
  w.codes = k->in[B].data;
  w.scales = k->in[SCALES].data;
  if (gs_kernel_has(k, ZEROS)) w.zeros = k->in[ZEROS].data;
  if (gs_kernel_has(k, G_IDX)) {
    GS_TRY(check_groups(k, p));
    w.group = k->in[G_IDX].data;
  }
  gs_narrow_rows_begin(&p->rows, k, &a, &y);
  if (p->narrow.packed)
    gs_narrow_product(&p->narrow, p->ints, p->m, a, w.k, y, w.n, k->scratch,
                      k->threads);
  else if (!gs_nbits_product(&w, p->m, a, w.k, y, w.n, k->scratch, k->threads))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the product");
  gs_narrow_rows_end(k, BIAS, y);
  return GS_OK;
}

extern const gs_kernel gs_kernel_matmul_nbits;
const gs_kernel gs_kernel_matmul_nbits = {prep, run};
