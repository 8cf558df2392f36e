/* What the quantising operators share: how scales lie over a tensor. */
#ifndef GS_OP_QUANT_H
#define GS_OP_QUANT_H

#include "op/core/op.h"

typedef enum gs_quant_kind {
  GS_QUANT_TENSOR, /* one scale */
  GS_QUANT_AXIS,   /* scale[dims[axis]] */
  GS_QUANT_BLOCK   /* scale like x, but ceil(dims[axis] / block) along axis */
} gs_quant_kind;

typedef struct gs_quant_layout {
  gs_quant_kind kind;
  int axis;
  int64_t block;
} gs_quant_layout;

/* How scale (operand 1) lies over x (operand 0) of n, which has attributes
 * axis and block_size; GS_DATA when they do not fit. */
gs_status gs_quant_layout_of(gs_arena *a, const gs_node *n,
                             gs_quant_layout *q, gs_err *e);

/* GS_DATA unless the zero point (operand 2, if any) has the scale's shape. */
gs_status gs_quant_check_zero(gs_arena *a, const gs_node *n, gs_err *e);

/* Whether x, as a matrix of columns along dim `column` (0 or 1) to multiply
 * with, has a scale for each column or for runs of its elements: whole blocks
 * of a multiple of GS_QUANT_RUN. */
enum { GS_QUANT_RUN = 16 };
bool gs_quant_by_column(const gs_quant_layout *q, int column);
/* Integers of 2, 4 and 8 bits. */
bool gs_dtype_code(gs_dtype t);

/* Integers of at most 16 bits, and floats of at most 8 but e8m0: what
 * QuantizeLinear gives. */
bool gs_dtype_quantised(gs_dtype t);

#endif
