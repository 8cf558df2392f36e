/* OneHot, or the classes of it that a device has. */
#include <math.h>

#include "kernel/core/coord.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

typedef struct plan {
  size_t size;
  int axis;
  int64_t depth, inner;
  int64_t first, n; /* classes that are here */
} plan;

static gs_status prep(gs_kctx *k) {
  const gs_view *idx = &k->in[0], *y = &k->out[0];
  plan *p = GS_NEW(k->arena, plan);
  gs_dtype t = idx->dtype;
  GS_TRY(gs_kernel_esize(k, k->in[2].dtype, &p->size));
  if (!gs_dtype_whole(t) && t != GS_FLOAT && t != GS_DOUBLE &&
      t != GS_FLOAT16 && t != GS_BFLOAT16)
    return gs_kernel_no_type(k, t);
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "axis", -1), y->rank,
                        &p->axis));
  if (k->in[2].n != 2)
    return gs_kernel_fail(k, GS_DATA, "values has %lld elements, not 2",
                          (long long)k->in[2].n);
  gs_kextent part;
  GS_TRY(gs_kctx_result(k, 0, &part));
  p->depth = part.dims[p->axis];
  p->first = part.first[p->axis];
  p->n = y->dims[p->axis];
  p->inner = gs_dims_count(y->dims, p->axis + 1, y->rank);
  k->state = p;
  return GS_OK;
}

/* Index i, or -1 when it selects nothing. */
static int64_t index_at(const gs_view *v, int64_t i, int64_t depth) {
  double f;
  switch (v->dtype) {
  case GS_FLOAT: f = (double)((const float *)v->data)[i]; break;
  case GS_DOUBLE: f = ((const double *)v->data)[i]; break;
  case GS_FLOAT16:
    f = (double)gs_f16_get(((const uint16_t *)v->data)[i]);
    break;
  case GS_BFLOAT16:
    f = (double)gs_bf16_get(((const uint16_t *)v->data)[i]);
    break;
  default: {
    int64_t n = gs_view_int(v, i);
    if (v->dtype == GS_UINT64 && n < 0) return -1;
    if (n < -depth || n >= depth) return -1;
    return n < 0 ? n + depth : n;
  }
  }
  f = trunc(f);
  if (!(f >= -(double)depth && f < (double)depth)) return -1;
  return f < 0 ? (int64_t)f + depth : (int64_t)f;
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *idx = &k->in[0], *y = &k->out[0];
  const char *values = k->in[2].data;
  if (!y->n) return GS_OK;
  int64_t size = (int64_t)p->size;
  int64_t outer = y->n / (p->n * p->inner);
  int nt = gs_kernel_threads(k, y->n * size);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t o = 0; o < outer; o++) {
    char *row = (char *)y->data + o * p->n * p->inner * size;
    gs_fill_elements(row, p->n * p->inner, p->size, values);
    for (int64_t j = 0; j < p->inner; j++) {
      int64_t v = index_at(idx, o * p->inner + j, p->depth) - p->first;
      if (v >= 0 && v < p->n)
        memcpy(row + (v * p->inner + j) * size, values + size, p->size);
    }
  }
  return GS_OK;
}

const gs_kernel gs_kernel_one_hot = {prep, run};
