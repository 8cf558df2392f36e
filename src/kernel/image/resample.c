#include "kernel/image/resample.h"

#include <math.h>
#include <stddef.h>

#include "base/isa.h"
#include "kernel/core/convert.h"

/* Index i, or 0 for one of -1.  Keeps compilers from computing indices in
 * vectors, from which they would take them one by one again: loads of elements
 * are not made faster by that. */
static inline int64_t one_index(int32_t i) {
  __asm__("" : "+r"(i));
  return i < 0 ? 0 : i;
}

#define GS_STAMP "kernel/image/resample.inc"
#include "kernel/core/stamp.h"

const gs_resample *gs_resample_get(gs_dtype t) {
  return t == GS_DOUBLE ? GS_PICK(&loops_f64) : GS_PICK(&loops_f32);
}

gs_dtype gs_resample_type(gs_dtype t) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  bool f32 = d->cls == 'f' ? d->bits <= 32 : d->bits <= 16;
  return f32 ? GS_FLOAT : GS_DOUBLE;
}

/* The largest and smallest number of an integer type that doubles hold: the
 * 64-bit types end between two doubles. */
static void limits(gs_dtype t, double *low, double *high) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  bool is_signed = d->cls == 'i';
  int bits = d->bits - is_signed;
  *low = is_signed ? -ldexp(1, bits) : 0;
  *high = bits < 54 ? ldexp(1, bits) - 1 : ldexp(1, bits) - ldexp(1, bits - 53);
}

#define CLAMP(T, rint)                                                         \
  {                                                                            \
    T *x = src, lo = (T)low, hi = (T)high;                                     \
    for (int64_t i = 0; i < n; i++) {                                          \
      T v = cut ? x[i] : rint(x[i]);                                           \
      x[i] = v < lo ? lo : v > hi ? hi : v == v ? v : 0;                       \
    }                                                                          \
  }
void gs_resample_store(gs_dtype dst_t, void *dst, gs_dtype src_t, void *src,
                       int64_t n, bool cut) {
  double low, high;
  if (gs_dtype_get((int)dst_t)->cls != 'f') {
    limits(dst_t, &low, &high);
    if (src_t == GS_DOUBLE) CLAMP(double, rint)
    else CLAMP(float, rintf)
  }
  gs_convert(dst_t, dst, src_t, src, n, NULL);
}
#undef CLAMP
