/* Rows of a tensor along any of its dims, in parts: what statistics are taken
 * of. */
#ifndef GS_KERNEL_BLOCK_ROWS_H
#define GS_KERNEL_BLOCK_ROWS_H

#include "kernel/core/coord.h"
#include "kernel/core/kernel.h"
#include "kernel/reduce/rowloops.h"

enum { GS_COLUMNS = 64 }; /* rows side by side, at most */

/* One loop over a dim, or over several that lie there as one. */
typedef struct gs_row_loop {
  int64_t n, x, y; /* elements; from one to the next, of operand and result */
} gs_row_loop;

/* The part of operand 0 that one block of a result is of: the element of
 * indices (k.., r..) lies at x + sum k*kept.x + sum r*along.x, its result at
 * y + sum k*kept.y. */
typedef struct gs_row_box {
  int nkept, nalong;
  gs_row_loop kept[GS_MAX_RANK], along[GS_MAX_RANK]; /* outer first */
  int64_t x, y;
  int64_t rows; /* kept indices */
  int64_t n;    /* elements of a row */
  bool columns; /* the innermost loop is a kept one: `side` rows of it are done
                   side by side */
  int64_t side;
} gs_row_box;

/* What attributes `dims`, `blocks` and `place` of a node say: its boxes. */
typedef struct gs_row_plan {
  int rank;
  bool along[GS_MAX_RANK];
  int64_t x[GS_MAX_RANK], y[GS_MAX_RANK]; /* dims of operand and results */
  int64_t global[GS_MAX_RANK];            /* of the whole operand */
  int64_t x_first[GS_MAX_RANK], y_first[GS_MAX_RANK];
  int64_t block[GS_MAX_RANK]; /* elements of a block of a dim */
  int64_t boxes;              /* blocks of a result on this device */
  double elements;            /* of a row of the whole */
} gs_row_plan;

/* The shapes have been checked (op/rows/nn/op_blocks.c). */
gs_status gs_row_plan_read(gs_kctx *k, gs_row_plan *p);
/* Box i of [0, p->boxes). */
void gs_row_box_of(const gs_row_plan *p, int64_t i, gs_row_box *b);
/* Where index i of these loops lies, in the operand and in the result. */
int64_t gs_row_loops_x(const gs_row_loop *loop, int n, int64_t i);
int64_t gs_row_loops_y(const gs_row_loop *loop, int n, int64_t i);

#endif
