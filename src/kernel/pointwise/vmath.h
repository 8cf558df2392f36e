/* What vmath.inc needs once: constants and the bits of a float. */
#ifndef GS_KERNEL_VMATH_H
#define GS_KERNEL_VMATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/isa.h"

/* ln 2 = LN2_HI + LN2_LO; k * LN2_HI is exact for |k| < 2^15. */
#define GS_LN2_HI 0.693359375f
#define GS_LN2_LO (-2.12194440e-4f)

/* The same for double: |k| < 2^20. */
#define GS_LN2_HI_F64 0x1.62e42feep-1
#define GS_LN2_LO_F64 0x1.a39ef35793c76p-33
#define GS_LOG2E_F64 0x1.71547652b82fep0
/* Adding it rounds a double below 2^51 to an integer, which then stands in the
 * low bits. */
#define GS_ROUND_F64 0x1.8p52
/* pi/2 in three parts; the first two times k are exact for |k| < 2^20. */
#define GS_2_PI_F64 0x1.45f306dc9c883p-1
#define GS_PI_2_HI 0x1.921fb544p0
#define GS_PI_2_MID 0x1.0b4611a6p-34
#define GS_PI_2_LO 0x1.3198a2e037073p-69
#define GS_TURNS 1e6f

GS_INLINE uint64_t gs_f64_bits(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}
GS_INLINE double gs_f64_from(uint64_t u) {
  double x;
  memcpy(&x, &u, sizeof x);
  return x;
}
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
