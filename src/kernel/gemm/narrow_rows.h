/* Products of the rows of an operand with narrow weights, in the types of
 * nodes: what MatMulNBits and DequantMatMul share. */
#ifndef GS_KERNEL_NARROW_ROWS_H
#define GS_KERNEL_NARROW_ROWS_H

#include "kernel/core/kernel.h"

/* Operand 0 and result 0 in f32: where they lie, or in scratch where they are
 * 16-bit floats. */
typedef struct gs_narrow_rows {
  size_t a, y; /* places in scratch */
} gs_narrow_rows;

/* For prep, `own` being what the product wants of scratch (it comes first):
 * sets k->scratch_size. */
void gs_narrow_rows_plan(gs_narrow_rows *r, gs_kctx *k, size_t own);
/* Sets the rows to multiply and where the product goes. */
void gs_narrow_rows_begin(const gs_narrow_rows *r, gs_kctx *k, const float **a,
                          float **y);
/* Adds operand `bias` ([n], of the result's type; may be left out) to the
 * product, and rounds it to the result. */
void gs_narrow_rows_end(gs_kctx *k, int bias, float *y);

#endif
