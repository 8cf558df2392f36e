/* Products with constant weights that stay as narrow in memory as they are:
 * codes of 2, 4 or 8 bits with scales, f16, bf16, f32.  They are packed once,
 * in tiles of columns side by side, and widened in registers. */
#ifndef GS_KERNEL_NARROW_H
#define GS_KERNEL_NARROW_H

#include "kernel/core/kernel.h"
#include "kernel/narrow/nbits.h"

typedef enum gs_zeros { GS_ZEROS_NONE, GS_ZEROS_CODE, GS_ZEROS_FLOAT } gs_zeros;

/* w[n][k].  Its memory, of T columns to a tile (T follows from the processor;
 * missing columns are 0), D being k in whole blocks:
 *   codes   [tiles][D / per][T] words of `per` codes of a column: code 4t + j
 *           in the bits from 8j + bits * t on; of 8 bits less 128
 *   floats  [tiles][D][T]
 *   scales  [tiles][blocks][T]
 *   zeros   [tiles][blocks][T] */
typedef struct gs_narrow {
  int bits;       /* of a code; 0: floats */
  gs_dtype type;  /* of the floats or scales */
  gs_zeros zeros;
  float zero;     /* with GS_ZEROS_NONE; less 128 where codes are */
  int64_t n, k, block, blocks, depth; /* depth: D */
  int64_t segment; /* elements that are added up before they are scaled */
  size_t scales_at, zeros_at, bytes;
  const char *packed;
} gs_narrow;

/* Packs w, which is of the operands codes, scales and zeros of k (-1: none),
 * once for all that have the same.  to->packed is NULL where one of them may
 * change, or blocks lie scattered (w->group).  `first` tells apart the matrices
 * that lie in the same operands.  O(n k). */
typedef struct gs_narrow_from {
  int codes, scales, zeros;
} gs_narrow_from;
void gs_narrow_keep_codes(gs_narrow *to, gs_kctx *k, gs_narrow_from from,
                          int64_t first, const gs_nbits *w);
/* The same for what DequantizeLinear makes of codes[k][n], or [n][k]
 * (by_column), of a type of 2, 4 or 8 bits.  Scales, and zero points of the
 * codes' type (NULL: 0): one (single); one per column; or where blocks are of
 * `block` elements [blocks][n], or [n][blocks]. */
typedef struct gs_narrow_matrix {
  gs_dtype code, type; /* of scales */
  int64_t n, k;
  int64_t block; /* 0: columns have one each; else a multiple of 16 */
  bool by_column, single;
  const void *codes, *scales, *zeros;
} gs_narrow_matrix;
void gs_narrow_keep_matrix(gs_narrow *to, gs_kctx *k, gs_narrow_from from,
                           const gs_narrow_matrix *w);
/* The same in two steps, for what may change: sets all of `to` but `packed`;
 * fills to->bytes bytes on a 64-byte boundary. */
void gs_narrow_plan_matrix(gs_narrow *to, const gs_narrow_matrix *w);
void gs_narrow_pack_matrix(const gs_narrow *to, const gs_narrow_matrix *w,
                           void *packed);
/* The same for a matrix b[k][n], or b[n][k] (by_column), of f32, f16 or bf16,
 * whose rows have ld elements: operand i from element `first` on. */
void gs_narrow_keep_floats(gs_narrow *to, gs_kctx *k, int i, int64_t first,
                           int64_t n, int64_t depth, int64_t ld,
                           bool by_column);

/* y[i][j] = sum of a[i][k] w[j][k] for m rows of lda floats; y has ldy.
 *
 * Segments of at most 32 elements are added up from left to right in f32, then
 * scaled and added to the sum: an element of y depends on its row and its
 * column alone, not on m, n, threads or the width of vectors.
 *
 * ints (codes only): each row of a is rounded to i8 by segments, in steps of
 * its largest magnitude / 127, and the sums of segments are exact: off by at
 * most 1 / 254 of that magnitude times the sum of |w|. */
void gs_narrow_product(const gs_narrow *w, bool ints, int64_t m,
                       const float *a, int64_t lda, float *y, int64_t ldy,
                       void *scratch, int threads);
size_t gs_narrow_scratch(const gs_narrow *w, bool ints, int64_t m);

#endif
