/* Rows of quantised numbers: what quantised kernels share. */
#ifndef GS_KERNEL_QUANT_H
#define GS_KERNEL_QUANT_H

#include "ir/dtype.h"

/* Smallest and largest value of an integer type of at most 16 bits. */
void gs_quant_range(gs_dtype t, float *lo, float *hi);

/* n elements of a quantised type (op/rows/nn/scales.h), i32 included, from
 * element `first` of src to f32, which holds them exactly but for i32. */
void gs_quant_widen(float *dst, gs_dtype t, const void *src, int64_t first,
                    int64_t n);

/* i32 sums to t (i8 or u8): saturate(round(src[i] * scale) + zero), rounded
 * to nearest even; step 0: one scale for all, 1: scale[i]. */
void gs_requantise(gs_dtype t, void *dst, const int32_t *src, int64_t n,
                   const float *scale, int64_t step, int32_t zero);

#endif
