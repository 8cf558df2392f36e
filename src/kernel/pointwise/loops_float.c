#include "kernel/pointwise/loops.h"

#include <math.h>
#include <stddef.h>

#include "kernel/core/isa.h"
#include "kernel/pointwise/vmath.h"

/* The remainder with the sign of y. */
static float floor_mod_f32(float x, float y) {
  float r = fmodf(x, y);
  if (r == 0) return copysignf(0, y);
  return (r < 0) != (y < 0) ? r + y : r;
}
static double floor_mod_f64(double x, double y) {
  double r = fmod(x, y);
  if (r == 0) return copysign(0, y);
  return (r < 0) != (y < 0) ? r + y : r;
}

#define GS_STAMP "kernel/pointwise/loops_float.inc"
#include "kernel/core/stamp.h"

gs_loop *gs_loop_float(gs_loop_id id, gs_dtype t) {
  if (t != GS_FLOAT && t != GS_DOUBLE) return NULL;
  return GS_PICK(table)[id][t == GS_DOUBLE];
}
