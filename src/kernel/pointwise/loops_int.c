#include "kernel/pointwise/loops.h"

#include <stddef.h>

#include "base/isa.h"

struct pair { /* any 16 bytes */
  uint64_t at[2];
};

/* x^y, wrapping; a negative y gives the integer part (1/x is 0 but for
 * x = 1, -1; x = 0 gives 0 too). */
static int64_t int_pow(int64_t x, int64_t y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
  uint64_t r = 1, b = (uint64_t)x;
  for (uint64_t n = (uint64_t)y; n; n >>= 1, b *= b)
    if (n & 1) r *= b;
  return (int64_t)r;
}

#define GS_STAMP "kernel/pointwise/loops_int.inc"
#include "kernel/core/stamp.h"

static int column(gs_dtype t) {
  switch (t) {
  case GS_INT8: return 0;
  case GS_INT16: return 1;
  case GS_INT32: return 2;
  case GS_INT64: return 3;
  case GS_UINT8: return 4;
  case GS_UINT16: return 5;
  case GS_UINT32: return 6;
  case GS_UINT64: return 7;
  case GS_BOOL: return 8;
  case GS_COMPLEX128: return 9;
  default: return -1;
  }
}

gs_loop *gs_loop_int(gs_loop_id id, gs_dtype t) {
  int c = column(t);
  return c < 0 ? NULL : GS_PICK(table)[id][c];
}

gs_loop *gs_loop_get(gs_loop_id id, gs_dtype t) {
  gs_loop *f = gs_loop_float(id, t);
  return f ? f : gs_loop_int(id, t);
}
