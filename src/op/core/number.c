#include "op/core/number.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

static double half(uint16_t h) {
  int exponent = h >> 10 & 31, digits = h & 1023;
  double v = exponent == 31 ? (digits ? NAN : (double)INFINITY)
             : exponent     ? ldexp(1024 + digits, exponent - 25)
                            : ldexp(digits, -24);
  return h >> 15 ? -v : v;
}

static double single(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return (double)f;
}

bool gs_number_at(const gs_tensor *t, int64_t i, double *x) {
  const char *p = gs_tensor_bytes(t);
  uint16_t h;
  uint32_t w;
  gs_assert(i >= 0 && i < gs_tensor_count(t));
  if (!p) return false;
  switch (t->dtype) {
  case GS_DOUBLE: memcpy(x, p + i * 8, sizeof *x); return true;
  case GS_FLOAT:
    memcpy(&w, p + i * 4, sizeof w);
    *x = single(w);
    return true;
  case GS_FLOAT16:
    memcpy(&h, p + i * 2, sizeof h);
    *x = half(h);
    return true;
  case GS_BFLOAT16: /* the upper half of an f32 */
    memcpy(&h, p + i * 2, sizeof h);
    *x = single((uint32_t)h << 16);
    return true;
  default: return false;
  }
}
