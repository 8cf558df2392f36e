#include "kernel/core/support.h"

#include "base/assert.h"

gs_status gs_kernel_fail(gs_kctx *k, gs_status code, const char *fmt, ...) {
  gs_arena a;
  gs_arena_init(&a);
  va_list ap;
  va_start(ap, fmt);
  const char *text = gs_vsprintf(&a, fmt, ap);
  va_end(ap);
  gs_fail(k->err, code, gs_node_place(&a, k->node), "%s", text);
  gs_arena_free(&a);
  return code;
}

gs_status gs_kernel_no_type(gs_kctx *k, gs_dtype t) {
  return gs_kernel_fail(k, GS_UNSUPPORTED, "no kernel for %s",
                        gs_dtype_get((int)t)->text);
}

gs_status gs_kernel_esize(gs_kctx *k, gs_dtype t, size_t *size) {
  int bits = gs_dtype_get((int)t)->bits;
  if (bits < 8 && t != GS_STRING) return gs_kernel_no_type(k, t);
  gs_assert(t == GS_STRING || bits >= 8);
  *size = t == GS_STRING ? sizeof(gs_string) : (size_t)bits / 8;
  return GS_OK;
}

bool gs_dtype_whole(gs_dtype t) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  return d->bits >= 8 && (d->cls == 'i' || d->cls == 'u' || d->cls == 'b');
}

int64_t gs_view_int(const gs_view *v, int64_t i) {
  gs_assert(i >= 0 && v->data); /* not every view says n */
  switch (v->dtype) {
  case GS_INT64: return ((const int64_t *)v->data)[i];
  case GS_INT32: return ((const int32_t *)v->data)[i];
  case GS_INT16: return ((const int16_t *)v->data)[i];
  case GS_INT8: return ((const int8_t *)v->data)[i];
  case GS_UINT64: return (int64_t)((const uint64_t *)v->data)[i];
  case GS_UINT32: return ((const uint32_t *)v->data)[i];
  case GS_UINT16: return ((const uint16_t *)v->data)[i];
  default: return ((const uint8_t *)v->data)[i];
  }
}

gs_status gs_kernel_ints(gs_kctx *k, int i, int64_t *out, int max, int *n) {
  *n = -1;
  if (!gs_kernel_has(k, i)) return GS_OK;
  const gs_view *v = &k->in[i];
  if (!gs_dtype_whole(v->dtype)) return gs_kernel_no_type(k, v->dtype);
  if (v->n > max)
    return gs_kernel_fail(k, GS_DATA,
                          "operand %d has %lld elements, more than %d",
                          i, (long long)v->n, max);
  gs_assert(v->n >= 0 && v->n <= max);
  *n = (int)v->n;
  for (int j = 0; j < *n; j++) out[j] = gs_view_int(v, j);
  return GS_OK;
}

gs_status gs_kernel_axis(gs_kctx *k, int64_t axis, int rank, int *out) {
  if (axis < -rank || axis >= rank)
    return gs_kernel_fail(k, GS_DATA, "axis %lld is outside of rank %d",
                          (long long)axis, rank);
  *out = (int)(axis < 0 ? axis + rank : axis);
  gs_assert(*out >= 0 && *out < rank);
  return GS_OK;
}
