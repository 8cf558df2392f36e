/* Rows that data decide get places: experts that take their tokens by NonZero
 * become branches of a known size. */
#ifndef GS_PASS_ROWS_H
#define GS_PASS_ROWS_H

#include "op/core/op.h"

typedef struct gs_rows {
  int count;       /* nodes that make rows, which were replaced */
  double places;   /* of all of these together */
  double elements; /* of the masks that they look at */
} gs_rows;

/* A node that makes rows, as many as its data say (NonZero of a mask), and all
 * that is computed from them, up to nodes that scatter them into tensors of a
 * known size, become nodes on a fixed number of rows: what begins and ends
 * rows as `op/functions/rows.txt` says, all between as it is, for each row
 * by itself.  Of
 *
 *     at = NonZero(mask)  x[at] -> f -> y[at] += f
 *
 * every place of the mask has a row; those where it is 0 add nothing.  Where at
 * most one place along a dim of the mask can be other than 0 (one-hot of what a
 * TopK selects) one row stands for all of these.  With a capacity, rows are at
 * most so many: the first ones that are there, others are dropped.
 *
 * Rows of masks that say the same are the same rows; those of a mask that is
 * broadcast along its last dims are whole rows of what they are put into.
 * Where a reader wants as many rows as places can be set (a Split for as many
 * experts as there are), these places are all there in any run that it does not
 * end.
 *
 * Where rows are mixed, counted or returned, nothing is changed.
 *
 * capacity: 0: as many rows as there can be, the same result always.
 * requires: gs_pass_infer.  ensures: what follows from it.  keeps: names of
 * inputs, outputs and weights, and of values that are still there.
 * Cost: O(nodes), once more for each kind of rows that cannot get places. */
gs_status gs_pass_rows(gs_graph *g, int64_t capacity, gs_rows *out, gs_err *e);

#endif
