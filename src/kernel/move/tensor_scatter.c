/* TensorScatter: rows of an update are written into a cache from a place on
 * that each batch has; the rest of the cache stays.  The result may be the
 * memory of the cache, and only the rows that change are touched then.  Of a
 * cache that is split along the axis a device writes the rows that it has. */
#include <string.h>

#include "base/assert.h"
#include "kernel/core/coord.h"
#include "kernel/core/support.h"

typedef struct plan {
  bool circular;
  int64_t batch, outer; /* outer: dims between batch and axis */
  int64_t length, rows; /* of the cache and the update along the axis */
  int64_t first, n;     /* rows of the cache that are here */
  int64_t inner;        /* bytes after the axis */
} plan;

static gs_status prep(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  size_t size;
  int axis;
  GS_TRY(gs_kernel_esize(k, x->dtype, &size));
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "axis", -2), x->rank, &axis));
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  p->circular =
      !strcmp(gs_node_string(k->node, "mode", "linear"), "circular");
  p->batch = x->dims[0];
  p->outer = gs_dims_count(x->dims, 1, axis);
  gs_kextent part;
  GS_TRY(gs_kctx_operand(k, 0, &part));
  p->length = part.dims[axis];
  p->first = part.first[axis];
  p->n = x->dims[axis];
  p->rows = k->in[1].dims[axis];
  p->inner = gs_dims_count(x->dims, axis + 1, x->rank) * (int64_t)size;
  return GS_OK;
}

static gs_status place(gs_kctx *k, const plan *p, int64_t b, int64_t *at) {
  *at = gs_kernel_has(k, 2) ? gs_view_int(&k->in[2], b) : 0;
  if (p->circular && p->length > 0) {
    *at %= p->length;
    if (*at < 0) *at += p->length;
    return GS_OK;
  }
  if (*at >= 0 && *at <= p->length - p->rows) return GS_OK;
  return gs_kernel_fail(k, GS_DATA,
                        "%lld rows do not fit at %lld in a cache of %lld",
                        (long long)p->rows, (long long)*at,
                        (long long)p->length);
}

/* Rows [at, at + rows) of the cache become those at u, where they are here. */
static void write_rows(const plan *p, char *to, const char *u, int64_t at,
                       int64_t rows) {
  int64_t from = gs_max(at, p->first);
  int64_t end = gs_min(at + rows, p->first + p->n);
  if (from < end)
    memcpy(to + (from - p->first) * p->inner, u + (from - at) * p->inner,
           (size_t)((end - from) * p->inner));
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  const char *from = k->in[1].data;
  int64_t bytes = p->batch * p->outer * p->n * p->inner;
  if (bytes && x->data != y->data) memcpy(y->data, x->data, (size_t)bytes);
  for (int64_t b = 0; bytes && b < p->batch; b++) {
    int64_t at;
    GS_TRY(place(k, p, b, &at));
    int64_t head = gs_min(p->rows, p->length - at);
    gs_assert(at >= 0 && at <= p->length && p->rows <= p->length);
    for (int64_t o = b * p->outer; o < (b + 1) * p->outer; o++) {
      char *to = (char *)y->data + o * p->n * p->inner;
      const char *u = from + o * p->rows * p->inner;
      write_rows(p, to, u, at, head);
      write_rows(p, to, u + head * p->inner, 0, p->rows - head);
    }
  }
  return GS_OK;
}

extern const gs_kernel gs_kernel_tensor_scatter;
const gs_kernel gs_kernel_tensor_scatter = {prep, run};
