/* Weights of 2, 4 or 8 bits, in blocks along k with a scale and a zero point
 * each. */
#ifndef GS_KERNEL_NBITS_H
#define GS_KERNEL_NBITS_H

#include "ir/dtype.h"

/* w[n][k] = (code - zero) * scale. */
typedef struct gs_nbits {
  int bits;
  int64_t n, k, block, blocks; /* blocks = ceil(k / block); the bytes of a
                                  block are whole */
  const uint8_t *codes;        /* [n][blocks][block * bits / 8] */
  gs_dtype type;               /* of scales, and of zeros unless packed */
  const void *scales;          /* [n][blocks] */
  const void *zeros;           /* [n][blocks], or NULL: 2^(bits - 1) */
  bool packed; /* zeros are codes, a row of ceil(blocks * bits / 8) bytes */
  const int32_t *group; /* [k] block whose scale an element has; or NULL: the
                           one that it lies in */
} gs_nbits;

/* Row j, dequantised: k floats. */
void gs_nbits_row(const gs_nbits *w, int64_t j, float *to);

/* y[i][j] = sum of a[i][k] w[j][k] for m rows of lda floats; y has ldy.
 * panels: gs_nbits_scratch bytes.  Sums run in an order that sizes alone
 * decide.  False when oneDNN fails. */
bool gs_nbits_product(const gs_nbits *w, int64_t m, const float *a,
                      int64_t lda, float *y, int64_t ldy, void *panels,
                      int threads);
size_t gs_nbits_scratch(int64_t k, int64_t m, int threads);

#endif
