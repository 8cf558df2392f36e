/* Exact products of matrices of bytes: what MatMulInteger, QLinearMatMul,
 * integer convolutions and the fused quantised steps use.
 *
 * c[m,n] = sum over k of (a[m,k] - za[m]) * (b[k,n] - zb[n]), in i32 that
 * wraps around: the same integers on every processor and for any number of
 * threads.  With VNNI four products of a u8 and an i8 are summed in 32 bits;
 * codes of the other sign are shifted by 128, and what shifts and zero points
 * add is taken off the sums.  Without it both are widened to 16 bits, less
 * their zero points, because sums of two bytes' products saturate in 16. */
#ifndef GS_KERNEL_IGEMM_H
#define GS_KERNEL_IGEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a matrix of bytes lies: element (i, j) at i * row + j * col (col 1 in
 * a); zero[i * step] (a: i is the row, b: the column) is taken off; zero NULL:
 * nothing. */
typedef struct gs_bytes {
  const void *data;
  bool sign; /* i8, else u8 */
  int64_t row, col;
  const int32_t *zero;
  int64_t step;
} gs_bytes;

/* Bytes that packed rows of a[m,k] and columns of b[k,n] take. */
size_t gs_igemm_a_size(int64_t m, int64_t k);
size_t gs_igemm_b_size(int64_t n, int64_t k);
/* to is aligned to 64.  Cost O(m k), O(n k). */
void gs_igemm_pack_a(const gs_bytes *a, int64_t m, int64_t k, void *to,
                     int threads);
void gs_igemm_pack_b(const gs_bytes *b, int64_t n, int64_t k, void *to,
                     int threads);

enum { GS_IGEMM_ROWS = 12, GS_IGEMM_COLS = 32 }; /* of the largest tile */

/* Takes a tile of sums: rows [i, i + m), columns [j, j + n), with GS_IGEMM_COLS
 * from one row of c to the next; all of these may be read.  Called once for
 * each tile, by any thread. */
typedef void gs_igemm_use(void *ctx, int64_t i, int64_t m, int64_t j,
                          int64_t n, const int32_t *c);
void gs_igemm_each(int64_t m, int64_t n, int64_t k, const void *a,
                   const void *b, gs_igemm_use *use, void *ctx, int threads);
/* c with ldc elements from one row to the next. */
void gs_igemm(int64_t m, int64_t n, int64_t k, const void *a, const void *b,
              int32_t *c, int64_t ldc, int threads);

/* ---- b in panels that the caller makes, such as a convolution ----
 *
 * A word of 32 bits holds gs_igemm_word() codes of k that stand one behind
 * another, of one column: i8, shifted where they are u8, or i16, less the zero
 * point.  What is past the end of k is 0. */
int gs_igemm_word(void); /* 4 or 2 */
int gs_igemm_cols(void); /* of a panel: at most GS_IGEMM_COLS */
/* Bytes of a panel of `words` words of each column, and of what belongs to
 * it. */
size_t gs_igemm_panel_size(int64_t words);
/* Code i of n from x on becomes element i of `to`, as words have them. */
void gs_igemm_codes(const void *x, bool sign, int32_t zero, int64_t n,
                    void *to);
/* to[i] = a word of the codes i of `lines` lines, each `pitch` after the one
 * before: of at most gs_igemm_word(); the rest of a word is 0. */
void gs_igemm_zip(const void *x, int64_t pitch, int64_t lines, bool sign,
                  int32_t zero, int64_t n, uint32_t *to);
/* To be called when the [words][cols] words of a panel are there: of k codes
 * of b with this zero point, and not more than `words` hold. */
void gs_igemm_close(void *panel, int64_t words, int64_t k, bool sign,
                    int32_t zero);
/* All m rows of a, which was packed with k = words * gs_igemm_word(), with a
 * panel that has columns [j, j + n). */
void gs_igemm_panel(int64_t m, int64_t j, int64_t n, int64_t words,
                    const void *a, const void *panel, gs_igemm_use *use,
                    void *ctx);

#endif
