#include "exec/data/aligned.h"

#include <string.h>

#include "base/assert.h"

void *gs_alloc64(gs_arena *a, size_t n) {
  if (n > SIZE_MAX - 64) gs_out_of_memory(n);
  uintptr_t at = (uintptr_t)gs_alloc(a, n + 64);
  gs_assert(at <= UINTPTR_MAX - 64);
  return (void *)((at + 63) / 64 * 64);
}

bool gs_data_fits(gs_dtype t, const void *p) {
  const gs_dtype_info *info = gs_dtype_get((int)t);
  size_t unit = (size_t)(info->bits + 7) / 8 / (info->cls == 'c' ? 2 : 1);
  return unit && (uintptr_t)p % unit == 0;
}

const void *gs_data_aligned(gs_arena *a, const gs_tensor *t, const void *p) {
  if (gs_data_fits(t->dtype, p)) return p;
  void *copy = gs_alloc64(a, (size_t)t->nbytes);
  return memcpy(copy, p, (size_t)t->nbytes);
}

const void *gs_data_of(const gs_tensor *t) {
  static const char none[64];
  return t->nbytes ? gs_tensor_bytes(t) : none;
}

gs_status gs_data_missing(const gs_value *v, const gs_tensor *t, gs_err *e) {
  return gs_fail(e, GS_NOINPUT, v->name, "the data of this %s is missing",
                 t->file ? "weight in its file" : "weight");
}
