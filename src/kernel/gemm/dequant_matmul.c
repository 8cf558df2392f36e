/* DequantMatMul: rows by a matrix as DequantizeLinear has it, which is packed
 * once where it is constant and stays as narrow as it is. */
#include "kernel/core/support.h"
#include "kernel/gemm/narrow_rows.h"
#include "kernel/narrow/narrow.h"

enum { X, W, SCALE, ZERO, BIAS };

typedef struct plan {
  gs_narrow_matrix w;
  gs_narrow narrow; /* packed: NULL where w may change */
  gs_narrow_rows rows;
  int64_t m;
  size_t room; /* for what is packed in every run, in scratch */
} plan;

static void set_data(const gs_kctx *k, gs_narrow_matrix *w) {
  w->codes = k->in[W].data;
  w->scales = k->in[SCALE].data;
  w->zeros = gs_kernel_has(k, ZERO) ? k->in[ZERO].data : NULL;
}

static gs_status prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  const gs_view *x = &k->in[X], *b = &k->in[W], *s = &k->in[SCALE];
  gs_narrow_matrix *w = &p->w;
  bool zero = gs_kernel_has(k, ZERO);
  k->state = p;
  w->by_column = gs_node_int(k->node, "transB", 0) != 0;
  w->k = b->dims[w->by_column];
  w->n = b->dims[!w->by_column];
  w->code = b->dtype;
  w->type = s->dtype;
  w->single = s->n == 1 && s->rank < 2;
  if (!w->single) w->block = gs_node_int(k->node, "block_size", 0);
  p->m = gs_dims_count(x->dims, 0, x->rank - 1);
  bool known = gs_kernel_known(k, W) && gs_kernel_known(k, SCALE) &&
               gs_kernel_known(k, ZERO);
  static const char there[1];
  if (known) set_data(k, w);
  else if (zero) w->zeros = there; /* only whether there are some */
  gs_narrow_plan_matrix(&p->narrow, w);
  if (known)
    gs_narrow_keep_matrix(&p->narrow, k,
                          (gs_narrow_from){W, SCALE, zero ? ZERO : -1}, w);
  if (p->narrow.packed) {
    k->in[W].unread = k->in[SCALE].unread = true;
    if (zero) k->in[ZERO].unread = true;
  } else {
    p->room = (p->narrow.bytes + 63) / 64 * 64;
  }
  gs_narrow_rows_plan(&p->rows, k,
                      p->room + gs_narrow_scratch(&p->narrow, false, p->m));
  return GS_OK;
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  gs_narrow w = p->narrow;
  const float *a;
  float *y;
  if (!p->narrow.packed) {
    gs_narrow_matrix from = p->w;
    set_data(k, &from);
    gs_narrow_pack_matrix(&w, &from, k->scratch);
    w.packed = k->scratch;
  }
  gs_narrow_rows_begin(&p->rows, k, &a, &y);
  gs_narrow_product(&w, false, p->m, a, p->w.k, y, p->w.n,
                    (char *)k->scratch + p->room, k->threads);
  gs_narrow_rows_end(k, BIAS, y);
  return GS_OK;
}

extern const gs_kernel gs_kernel_dequant_matmul;
const gs_kernel gs_kernel_dequant_matmul = {prep, run};
