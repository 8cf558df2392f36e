/* Rows of quantised numbers: what quantised kernels share. */
#ifndef GS_KERNEL_QUANT_H
#define GS_KERNEL_QUANT_H

#include <stdbool.h>

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

/* What becomes of exact sums in i32: x = sum * scale + bias in f32, negative
 * ones 0 with relu; then x, or saturate(round(x / by) + zero) as QuantizeLinear
 * has it. */
typedef struct gs_finish {
  const float *scale, *bias; /* for each row or column of the sums */
  bool by_row;               /* else 32 more than there are columns may be
                                read */
  bool relu;
  gs_dtype to;               /* f32, i8 or u8 */
  float by, zero;
} gs_finish;

/* Rows [i, i + m) and columns [j, j + n) of the sums, n at most 32; rows of c
 * are 32 apart and may be read to their end, those of y `pitch` elements. */
void gs_quant_finish(const gs_finish *f, int64_t i, int64_t m, int64_t j,
                     int64_t n, const int32_t *c, void *y, int64_t pitch);

#endif
