/* Copies between two regular layouts: the core of the movement kernels. */
#ifndef GS_KERNEL_STRIDED_H
#define GS_KERNEL_STRIDED_H

#include "ir/tensor.h"

enum { GS_STRIDED_RANK = 2 * GS_MAX_RANK };

/* Element (i0, i1, ...) is read at sum(i * from) and written at sum(i * to);
 * strides are in elements and may be 0 or negative in `from`. */
typedef struct gs_strided {
  int rank;
  size_t size; /* bytes of an element: 1, 2, 4, 8 or 16 */
  int64_t n;   /* elements in all */
  int64_t dims[GS_STRIDED_RANK];
  int64_t from[GS_STRIDED_RANK];
  int64_t to[GS_STRIDED_RANK];
} gs_strided;

void gs_strided_init(gs_strided *s, size_t size);
/* Appends a dim, minor to those before it; merges it with the last one where
 * both layouts allow. */
void gs_strided_dim(gs_strided *s, int64_t n, int64_t from, int64_t to);
/* Whether the copy is one run of bytes. */
bool gs_strided_is_run(const gs_strided *s);
void gs_strided_run(const gs_strided *s, const void *from, void *to,
                    int threads);
/* Fills n elements of `size` bytes with *value. */
void gs_fill_elements(void *to, int64_t n, size_t size, const void *value);

#endif
