/* f16 and bf16 to and from f32, for reductions, comparison and random data. */
#ifndef GS_EXEC_HALF_H
#define GS_EXEC_HALF_H

#include "ir/dtype.h"

/* n numbers of type t (FLOAT16 or BFLOAT16); rounding is to nearest even. */
void gs_half_widen(gs_dtype t, const uint16_t *x, float *y, int64_t n);
void gs_half_narrow(gs_dtype t, const float *x, uint16_t *y, int64_t n);

#endif
