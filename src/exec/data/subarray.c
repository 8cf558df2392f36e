#include "exec/data/subarray.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "ir/packed.h"
#include "ir/tensor.h"

void gs_subarray_copy(size_t size, int rank, const int64_t *count,
                      const void *src, const int64_t *sdims,
                      const int64_t *sfirst, void *dst, const int64_t *ddims,
                      const int64_t *dfirst) {
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK);
  if (gs_product(count, rank) <= 0) return;
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK && size > 0);
  int64_t sstep[GS_MAX_RANK + 1], dstep[GS_MAX_RANK + 1], at[GS_MAX_RANK + 1];
  const char *s = src;
  char *d = dst;
  /* Strides in bytes, and the first elements. */
  int64_t ss = (int64_t)size, ds = (int64_t)size;
  for (int i = rank - 1; i >= 0; i--) {
    sstep[i] = ss;
    dstep[i] = ds;
    if (sfirst) s += sfirst[i] * ss;
    if (dfirst) d += dfirst[i] * ds;
    ss *= sdims[i];
    ds *= ddims[i];
  }
  /* Dims [outer, rank) are one contiguous run in both arrays. */
  int outer = rank;
  size_t run = size;
  while (outer > 0) {
    outer--;
    run *= (size_t)count[outer];
    if (count[outer] != sdims[outer] || count[outer] != ddims[outer]) break;
  }
  memset(at, 0, sizeof at);
  for (;;) {
    memcpy(d, s, run);
    int i = outer - 1;
    for (; i >= 0; i--) {
      s += sstep[i];
      d += dstep[i];
      if (++at[i] < count[i]) break;
      s -= count[i] * sstep[i];
      d -= count[i] * dstep[i];
      at[i] = 0;
    }
    if (i < 0) return;
  }
}

void gs_subarray_move(gs_dtype t, int rank, const int64_t *count,
                      const void *src, const int64_t *sdims,
                      const int64_t *sfirst, void *dst, const int64_t *ddims,
                      const int64_t *dfirst) {
  int bits = gs_dtype_get((int)t)->bits;
  if (gs_dtype_packed(t))
    gs_packed_copy(bits, rank, count, src, sdims, sfirst, dst, ddims, dfirst);
  else
    gs_subarray_copy((size_t)bits / 8, rank, count, src, sdims, sfirst, dst,
                     ddims, dfirst);
}
