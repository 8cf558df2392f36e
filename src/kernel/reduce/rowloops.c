#include "kernel/reduce/rowloops.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/isa.h"
#include "kernel/pointwise/vmath.h"

enum { LANES = GS_LANES };

#define GS_STAMP "kernel/reduce/rowloops.inc"
#include "kernel/core/stamp.h"

const gs_fold *gs_fold_get(gs_fold_op op, gs_dtype t) {
  int c = t == GS_FLOAT ? 0 : t == GS_DOUBLE ? 1 : t == GS_INT64 ? 2 : 3;
  return &GS_PICK(folds)[op][c];
}

const gs_row_loops *gs_row_loops_get(gs_dtype t) {
  return t == GS_DOUBLE ? GS_PICK(&rows_f64) : GS_PICK(&rows_f32);
}
