/* Adding the windows of a column matrix up to an image. */
#ifndef GS_KERNEL_COL2IM_H
#define GS_KERNEL_COL2IM_H

#include "kernel/core/kernel.h"
#include "op/rule/window.h"

/* Places first .. first + n of the windows, which are numbered row by row. */
typedef struct gs_col_part {
  int64_t first, n;
} gs_col_part;

/* For channels [lo, hi): image[first + c, w.out...] = sum over taps t and
 * places p of col[c, t, p] where window p of the transposed sense (w.in places)
 * has its element t there.  Of the image data, run and pitch are read.  type:
 * f32, f64, or an integer type of whole bytes (wrapping).  Taps are added in
 * ascending order.  part: the places that col has, of those that w has; NULL:
 * all. */
void gs_col2im(const gs_window *w, const gs_col_part *part, gs_dtype type,
               const void *col, const gs_view *image, int64_t first,
               int64_t lo, int64_t hi);

#endif
