/* 16-bit floats to f32 and back, rounding to nearest even. */
#ifndef GS_KERNEL_HALF_H
#define GS_KERNEL_HALF_H

#include <stdint.h>
#include <string.h>

static inline float gs_bf16_get(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}
static inline uint16_t gs_bf16_put(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static inline float gs_f16_get(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 1023;
  uint32_t u;
  float f;
  if (e == 0) { /* zero and subnormals: m * 2^-24 is exact */
    f = (float)m * 0x1p-24f;
    memcpy(&u, &f, 4);
    u |= sign;
  } else {
    u = sign | (e == 31 ? 0xffu : e + 112) << 23 | m << 13;
  }
  memcpy(&f, &u, 4);
  return f;
}
static inline uint16_t gs_f16_put(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  uint32_t sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
  if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (a < 0x38800000) { /* subnormal: adding 0.5 rounds at bit 2^-24 */
    float g;
    memcpy(&g, &a, 4);
    g += 0.5f;
    memcpy(&a, &g, 4);
    return (uint16_t)(sign | (a - 0x3f000000));
  }
  a += 0xfff + (a >> 13 & 1);
  return (uint16_t)(sign | ((a - 0x38000000) >> 13));
}

#endif
