/* Copies of boxes between row-major arrays: slicing, packing, joining. */
#ifndef GS_EXEC_SUBARRAY_H
#define GS_EXEC_SUBARRAY_H

#include "ir/dtype.h"

/* Copies a box of count[0] x .. x count[rank-1] elements of `size` bytes from
 * src (dims sdims, box starting at sfirst; NULL: at 0) to dst.  The arrays do
 * not overlap.  Cost: one memcpy per contiguous run. */
void gs_subarray_copy(size_t size, int rank, const int64_t *count,
                      const void *src, const int64_t *sdims,
                      const int64_t *sfirst, void *dst, const int64_t *ddims,
                      const int64_t *dfirst);

/* The same for elements of type t, also those of less than a byte: then the
 * arrays are packed, and boxes may begin at any element. */
void gs_subarray_move(gs_dtype t, int rank, const int64_t *count,
                      const void *src, const int64_t *sdims,
                      const int64_t *sfirst, void *dst, const int64_t *ddims,
                      const int64_t *dfirst);

#endif
