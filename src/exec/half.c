#include "exec/half.h"

#include <string.h>

static float f32_of(uint32_t u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

static uint32_t bits_of(float f) {
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  return u;
}

/* IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float widen_f16(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16;
  uint32_t rest = h & 0x7fff;
  if (rest >= 0x7c00) return f32_of(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  /* The exponent is rebased by a multiplication, which also makes
   * subnormals normal. */
  float magnitude = f32_of(rest << 13) * 0x1p112f;
  return f32_of(sign | bits_of(magnitude));
}

static uint16_t narrow_f16(float f) {
  uint32_t u = bits_of(f);
  uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
  uint32_t a = u & 0x7fffffff;
  if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
  if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* >= 65520 */
  if (a < 0x38800000) { /* subnormal: let the adder round at 2^-24 */
    float shifted = f32_of(a) + 0.5f;
    return (uint16_t)(sign | (bits_of(shifted) - 0x3f000000));
  }
  uint32_t odd = a >> 13 & 1;
  return (uint16_t)(sign | ((a - 0x38000000 + 0xfff + odd) >> 13));
}

static uint16_t narrow_bf16(float f) {
  uint32_t u = bits_of(f);
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

void gs_half_widen(gs_dtype t, const uint16_t *x, float *y, int64_t n) {
  if (t == GS_BFLOAT16) {
    for (int64_t i = 0; i < n; i++) y[i] = f32_of((uint32_t)x[i] << 16);
  } else {
    for (int64_t i = 0; i < n; i++) y[i] = widen_f16(x[i]);
  }
}

void gs_half_narrow(gs_dtype t, const float *x, uint16_t *y, int64_t n) {
  if (t == GS_BFLOAT16) {
    for (int64_t i = 0; i < n; i++) y[i] = narrow_bf16(x[i]);
  } else {
    for (int64_t i = 0; i < n; i++) y[i] = narrow_f16(x[i]);
  }
}
