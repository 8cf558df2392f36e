#include "kernel/pointwise/loops.h"

#include <math.h>
#include <stddef.h>

#include "base/isa.h"
#include "kernel/pointwise/vmath.h"

enum { BLOCK = 1024 }; /* elements of IN_BLOCKS */

/* r, the remainder with the sign of x, with that of y. */
#define FLOOR_OF(tag, T, S)                                                    \
  static inline T floor_of_##tag(T r, T y) {                                   \
    const T v = (r < 0) != (y < 0) ? r + y : r;                                \
    return r == 0 ? copysign##S(0, y) : v;                                     \
  }                                                                            \
  static T floor_mod_##tag(T x, T y) {                                         \
    return floor_of_##tag(fmod##S(x, y), y);                                   \
  }
FLOOR_OF(f32, float, f)
FLOOR_OF(f64, double, )
#undef FLOOR_OF

#define GS_STAMP "kernel/pointwise/loops_float.inc"
#include "kernel/core/stamp.h"

gs_loop *gs_loop_float(gs_loop_id id, gs_dtype t) {
  if (t != GS_FLOAT && t != GS_DOUBLE) return NULL;
  return GS_PICK(table)[id][t == GS_DOUBLE];
}
