/* Inner loops of Resize and GridSample. */
#ifndef GS_KERNEL_RESAMPLE_H
#define GS_KERNEL_RESAMPLE_H

#include <stdint.h>

#include "ir/dtype.h"

enum { GS_PICK_MOST = 256 };

/* Sums add in the order of the taps, the same on every instruction set; all
 * elements are floats, or all doubles. */
typedef struct gs_resample {
  /* o[i] = sum over t of x[at[t * n + i]] * w[t * n + i], taps >= 1 */
  void (*pick)(void *o, const void *x, const int32_t *at, const void *w,
               int taps, int64_t n);
  /* the same where an index of -1 stands for an element of 0; x has at least
   * one element, and n is at most GS_PICK_MOST */
  void (*pick0)(void *o, const void *x, const int32_t *at, const void *w,
                int taps, int64_t n);
  /* o[i] = sum over t of row[t][i] * w[t * step], taps >= 1 */
  void (*mix)(void *o, const void *const *row, const void *w, int64_t step,
              int taps, int64_t n);
} gs_resample;

/* t: f32 or f64. */
const gs_resample *gs_resample_get(gs_dtype t);

/* The type that numbers of type t are mixed in: f32, f64 where that would lose
 * digits. */
gs_dtype gs_resample_type(gs_dtype t);

/* dst[i] = src[i] for n elements, from f32 or f64 (src_t) to dst_t.  Integers
 * take the nearest value in their range (half to even), or with cut the one
 * towards zero; no number becomes 0.  src is overwritten. */
void gs_resample_store(gs_dtype dst_t, void *dst, gs_dtype src_t, void *src,
                       int64_t n, bool cut);

#endif
