/* Elementary functions of float as straight-line code that vectorises.
 *
 * Each is a range reduction and a minimax polynomial (tests/gen/vmath.py
 * computes the coefficients); there is no branch, so a vector lane and a tail
 * element give the same bits.  Errors are in units of the last place (ulp),
 * as tests/test_kernel_math.c checks them against libm in double. */
#ifndef GS_KERNEL_VMATH_H
#define GS_KERNEL_VMATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernel/isa.h"

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

/* e^x, 1 ulp; 0 and inf past the range, denormal results exact to rounding. */
GS_INLINE float gs_expf(float x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds */
  float c = x < -104.0f ? -104.0f : x;
  c = c > 89.0f ? 89.0f : c;
  float t = c * 1.44269504f + magic;
  float k = t - magic;
  float r = (c - k * GS_LN2_HI) - k * GS_LN2_LO;
  float p = 0.000197903485968709f;
  p = p * r + 0.0013944657985121012f;
  p = p * r + 0.008333496749401093f;
  p = p * r + 0.04166629537940025f;
  p = p * r + 0.1666666567325592f;
  p = p * r + 0.5f;
  float y = 1.0f + (r + r * r * p);
  /* 2^k in two steps, so that each is a normal number. */
  uint32_t n = gs_f32_bits(t) - 0x4b400000u;
  uint32_t n1 = (uint32_t)((int32_t)n >> 1), n2 = n - n1;
  return y * gs_f32_from((n1 + 127u) << 23) * gs_f32_from((n2 + 127u) << 23);
}

/* ln x, 1 ulp; -inf at 0, NaN below. */
GS_INLINE float gs_logf(float x) {
  const uint32_t root = 0x3f3504f3u; /* sqrt(1/2) */
  float s = x < FLT_MIN ? x * 8388608.0f : x;
  float extra = x < FLT_MIN ? -23.0f : 0.0f;
  uint32_t d = gs_f32_bits(s) - root;
  float k = (float)((int32_t)d >> 23) + extra;
  float f = gs_f32_from((d & 0x7fffffu) + root) - 1.0f;
  float z = f * f;
  float p = 0.06746601313352585f;
  p = p * f - 0.11675640940666199f;
  p = p * f + 0.11888174712657928f;
  p = p * f - 0.12405591458082199f;
  p = p * f + 0.14219550788402557f;
  p = p * f - 0.1666799634695053f;
  p = p * f + 0.2000211924314499f;
  p = p * f - 0.25000008940696716f;
  p = p * f + 0.3333331346511841f;
  float y = f * z * p + k * GS_LN2_LO;
  y = y - 0.5f * z;
  y = (f + y) + k * GS_LN2_HI;
  y = x == INFINITY ? x : y;
  y = x == 0.0f ? -INFINITY : y;
  return x >= 0.0f ? y : NAN;
}

/* tanh x, 2 ulp. */
GS_INLINE float gs_tanhf(float x) {
  float a = fabsf(x), z = x * x;
  float p = 0.0021475369576364756f;
  p = p * z - 0.008182673715054989f;
  p = p * z + 0.021702967584133148f;
  p = p * z - 0.05394720286130905f;
  p = p * z + 0.13333210349082947f;
  p = p * z - 0.3333333134651184f;
  float near = x + x * (z * p);
  float far = 1.0f - 2.0f / (gs_expf(a + a) + 1.0f);
  far = copysignf(far, x);
  return a < 0.625f ? near : far;
}

/* erf x, 2 ulp: x P(x^2) near 0, 1 - e^-Q(|x|) with Q = -ln erfc after. */
GS_INLINE float gs_erff(float x) {
  float a = fabsf(x), z = x * x;
  float p = -1.0468837899679784e-05f;
  p = p * z + 0.00011501996777951717f;
  p = p * z - 0.0008511322666890919f;
  p = p * z + 0.00522258598357439f;
  p = p * z - 0.0268658846616745f;
  p = p * z + 0.11283788830041885f;
  p = p * z - 0.37612637877464294f;
  /* 2/sqrt(pi) = 1 + 0.128...: the sum below rounds once. */
  float near = x + x * (p * z + 0.12837916709551256f);
  float b = a > 4.0f ? 4.0f : a;
  float q = 7.374565598183835e-07f;
  q = q * b + 1.1311347407172434e-05f;
  q = q * b - 0.00037884965422563255f;
  q = q * b + 0.003994101192802191f;
  q = q * b - 0.02477451227605343f;
  q = q * b + 0.10785821080207825f;
  q = q * b + 0.6336632966995239f;
  q = q * b + 1.129381775856018f;
  q = q * b - 0.0001506137050455436f;
  float far = copysignf(1.0f - gs_expf(-q), x);
  return a < 0.9f ? near : far;
}

GS_INLINE float gs_sigmoidf(float x) {
  float e = gs_expf(-fabsf(x));
  return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

/* ln(1 + e^x) = max(x, 0) + log1p(e^-|x|). */
GS_INLINE float gs_softplusf(float x) {
  float t = gs_expf(-fabsf(x));
  float u = 1.0f + t;
  float l = gs_logf(u) + (t - (u - 1.0f)) / u;
  return (x > 0.0f ? x : 0.0f) + (x == x ? l : x);
}

GS_INLINE float gs_geluf(float x) {
  return 0.5f * x * (1.0f + gs_erff(x * 0.70710678f));
}

GS_INLINE float gs_gelu_tanhf(float x) {
  float u = 0.79788456f * (x + 0.044715f * (x * x * x));
  return 0.5f * x * (1.0f + gs_tanhf(u));
}

#endif
