/* Exact products of matrices of bytes: what MatMulInteger, QLinearMatMul and
 * integer convolutions use.
 *
 * c[m,n] = sum over k of (a[m,k] - za[m]) * (b[k,n] - zb[n]), in i32 that
 * wraps around.  Both are widened to 16 bits first, so that nothing saturates
 * on the way; c does not depend on the number of threads. */
#ifndef GS_KERNEL_IGEMM_H
#define GS_KERNEL_IGEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a matrix of bytes lies: element (i, j) at i * row + j * col; zero[i *
 * step] (a: i is the row, b: the column) is taken off; zero NULL: nothing. */
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
/* c with ldc elements from one row to the next. */
void gs_igemm(int64_t m, int64_t n, int64_t k, const void *a, const void *b,
              int32_t *c, int64_t ldc, int threads);

#endif
