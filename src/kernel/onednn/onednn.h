/* The only door to oneDNN. */
#ifndef GS_KERNEL_ONEDNN_H
#define GS_KERNEL_ONEDNN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* c[m,n] = a[m,k] b[k,n] (b[n,k] when tb, a[k,m] when ta), row-major with
 * leading dims lda, ldb, ldc; f32 throughout; beta 0.  Runs in the calling
 * thread, so that the result does not depend on the number of threads.
 * False when the library refuses. */
bool gs_onednn_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                     const float *a, int64_t lda, const float *b, int64_t ldb,
                     float *c, int64_t ldc);

/* The channels of the widest blocks in which convolutions run well on this
 * processor: 8 or 16; blocks of 8 always do. */
int gs_onednn_block(void);

/* "2.6.0": the library that the process runs with. */
const char *gs_onednn_version(gs_arena *a);

#endif
