/* What vmath.inc needs once: constants and the bits of a float. */
#ifndef GS_KERNEL_VMATH_H
#define GS_KERNEL_VMATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernel/core/isa.h"

/* ln 2 = LN2_HI + LN2_LO; k * LN2_HI is exact for |k| < 2^15. */
#define GS_LN2_HI 0.693359375f
#define GS_LN2_LO (-2.12194440e-4f)

GS_INLINE uint32_t gs_f32_bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}
GS_INLINE float gs_f32_from(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

#endif
