/* What kernels share: access to operands, messages, thread counts. */
#ifndef GS_KERNEL_SUPPORT_H
#define GS_KERNEL_SUPPORT_H

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"

/* gs_fail with the node as the place. */
gs_status gs_kernel_fail(gs_kctx *k, gs_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether operand i is there (its data may still be unknown in prep). */
static inline bool gs_kernel_has(const gs_kctx *k, int i) {
  return i < k->nin && k->in[i].rank >= 0;
}
/* Whether operand i is absent, empty, or has its data: what prep may use. */
static inline bool gs_kernel_known(const gs_kctx *k, int i) {
  return !gs_kernel_has(k, i) || k->in[i].data || !k->in[i].n;
}

/* Bytes of one element of t, of a gs_string for strings; GS_UNSUPPORTED for
 * the types that are packed several to a byte. */
gs_status gs_kernel_esize(gs_kctx *k, gs_dtype t, size_t *size);

/* Element i of an integer or bool view. */
int64_t gs_view_int(const gs_view *v, int64_t i);
/* Whether t is an integer type of whole bytes, or bool. */
bool gs_dtype_whole(gs_dtype t);
/* The integers of operand i (GS_DATA when there are more than max,
 * GS_UNSUPPORTED when of another type); *n = -1 when it is absent. */
gs_status gs_kernel_ints(gs_kctx *k, int i, int64_t *out, int max, int *n);

/* Checks -rank <= axis < rank and makes it non-negative (GS_DATA). */
gs_status gs_kernel_axis(gs_kctx *k, int64_t axis, int rank, int *out);

/* Threads worth starting to move or compute `work` bytes. */
static inline int gs_kernel_threads(const gs_kctx *k, int64_t work) {
  return work < 1 << 17 ? 1 : k->threads < 1 ? 1 : k->threads;
}

/* One 16-bit float; for many there are the bulk forms of convert.h. */
static inline float gs_f16_get(uint16_t h) {
  float f;
  gs_f16_to_f32(&f, &h, 1);
  return f;
}
static inline uint16_t gs_f16_put(float f) {
  uint16_t h;
  gs_f32_to_f16(&h, &f, 1);
  return h;
}
static inline float gs_bf16_get(uint16_t h) {
  float f;
  gs_bf16_to_f32(&f, &h, 1);
  return f;
}
static inline uint16_t gs_bf16_put(float f) {
  uint16_t h;
  gs_f32_to_bf16(&h, &f, 1);
  return h;
}

/* dims[from .. to) multiplied; the sizes are known not to overflow. */
static inline int64_t gs_dims_count(const int64_t *dims, int from, int to) {
  gs_assert(from >= 0);
  int64_t n = 1;
  for (int d = from; d < to; d++) n *= dims[d];
  return n;
}

#endif
