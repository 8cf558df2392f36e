#include <string.h>

#include "base/assert.h"
#include "base/isa.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/narrow/narrow_loops.h"
#ifdef GS_HAVE_X86
#include <immintrin.h>
#endif

#define GS_STAMP "kernel/narrow/narrow_float.inc"
#include "kernel/core/stamp.h"

const gs_narrow_floats *gs_narrow_floats_get(void) { return GS_PICK(&narrow); }
