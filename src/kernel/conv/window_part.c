#include "kernel/conv/window_part.h"

#include "base/math.h"
#include "kernel/core/support.h"

gs_status gs_window_part_get(gs_kctx *k, const int64_t *size,
                             gs_window_part *p) {
  gs_value x = *k->node->in[0];
  GS_TRY(gs_kctx_operand(k, 0, &p->x));
  GS_TRY(gs_kctx_result(k, 0, &p->y));
  if (!gs_kctx_alike(&p->x, 0, k->in[0].dims, &p->y, 0, k->out[0].dims))
    return gs_kernel_fail(k, GS_DATA, "the result is not of the batch that the "
                          "operand is of");
  x.rank = p->x.rank;
  x.dims = p->x.dims;
  GS_TRY(gs_window_read(k->arena, k->node, &x, size, &p->whole, k->err));
  p->w = p->whole;
  for (int d = 0; d < p->w.n; d++) {
    int64_t n = k->in[0].dims[d + 2], first = p->x.first[d + 2];
    int64_t o = p->y.first[d + 2], s = p->w.stride[d], lead = p->w.begin[d];
    p->w.in[d] = n;
    p->w.out[d] = k->out[0].dims[d + 2];
    p->w.begin[d] += first - o * s;
    p->low[d] = gs_min(n, gs_max(0, -first));
    p->high[d] = gs_max(p->low[d], gs_min(n, p->whole.in[d] - first));
    int64_t end = gs_min(o + p->w.out[d], p->whole.out[d]);
    if (o < end &&
        !gs_kctx_has(&p->x, d + 2, n, o * s - lead,
                     (end - 1) * s - lead + gs_window_span(&p->w, d) - 1))
      return gs_kernel_fail(k, GS_DATA, "elements that windows cover are "
                            "missing along spatial dim %d", d);
  }
  return GS_OK;
}
