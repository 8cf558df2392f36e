#include "ir/dtype.h"

#include <string.h>

#include "base/assert.h"

static const gs_dtype_info rows[GS_NDTYPE] = {
    [0] = {"?", "?", 0, '?', NULL},
#define X(name, text, bits, cls, npy)                                          \
  [GS_##name] = {#name, text, bits, cls, npy},
    GS_DTYPES(X)
#undef X
};

const gs_dtype_info *gs_dtype_get(int t) {
  return &rows[t > 0 && t < GS_NDTYPE ? t : 0];
}

gs_dtype gs_dtype_parse(const char *s) {
  for (int t = 1; t < GS_NDTYPE; t++)
    if (!strcmp(rows[t].text, s)) return (gs_dtype)t;
  return GS_UNDEFINED;
}

int64_t gs_dtype_bytes(int t, int64_t n) {
  int bits = gs_dtype_get(t)->bits;
  if (!bits || n < 0) return -1;
  gs_assert(bits % 8 == 0 || 8 % bits == 0);
  if (bits < 8) return n / (8 / bits) + (n % (8 / bits) != 0);
  int64_t bytes;
  return __builtin_mul_overflow(n, (int64_t)(bits / 8), &bytes) ? -1 : bytes;
}
