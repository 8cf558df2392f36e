#include <float.h>
#include <math.h>
#include <string.h>

#include "base/isa.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/narrow/narrow_loops.h"
#ifdef GS_HAVE_X86
#include <immintrin.h>
#endif

#define GS_STAMP "kernel/narrow/narrow_int.inc"
#define GS_STAMP_VNNI
#include "kernel/core/stamp.h"

const gs_narrow_ints *gs_narrow_ints_get(void) {
  return GS_PICK_VNNI(&narrow);
}
