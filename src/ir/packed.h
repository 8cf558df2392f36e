/* Elements of 4 and 2 bits: two or four to a byte, the first in the low bits;
 * a tensor starts at a byte, unused bits of its last byte are 0. */
#ifndef GS_IR_PACKED_H
#define GS_IR_PACKED_H

#include <string.h>

#include "ir/dtype.h"

/* Whether several elements of t share a byte. */
static inline bool gs_dtype_packed(gs_dtype t) {
  int bits = gs_dtype_get((int)t)->bits;
  return bits > 0 && bits < 8;
}

/* Code i of `bits` bits (2 or 4). */
static inline unsigned gs_code_get(int bits, const void *p, int64_t i) {
  unsigned b = ((const uint8_t *)p)[bits == 4 ? i >> 1 : i >> 2];
  return bits == 4 ? b >> (i & 1) * 4 & 15 : b >> (i & 3) * 2 & 3;
}
/* Replaces code i. */
static inline void gs_code_put(int bits, void *p, int64_t i, unsigned code) {
  int at = bits == 4 ? (int)(i & 1) * 4 : (int)(i & 3) * 2;
  uint8_t *b = (uint8_t *)p + (bits == 4 ? i >> 1 : i >> 2);
  unsigned mask = ((1u << bits) - 1) << at;
  *b = (uint8_t)((*b & ~mask) | (code << at & mask));
}

/* n codes from element `first` of src, one to a byte; with a sign they are
 * extended.  Cost O(n). */
void gs_codes_unpack(int bits, bool sign, uint8_t *dst, const void *src,
               int64_t first, int64_t n);
/* n codes, one to a byte (high bits ignored), to the first n places of dst. */
void gs_codes_pack(int bits, void *dst, const uint8_t *src, int64_t n);

/* gs_subarray_copy (exec/data/subarray.h) for elements of `bits` bits: a box
 * of count[] codes between packed arrays that do not overlap. */
void gs_packed_copy(int bits, int rank, const int64_t *count, const void *src,
                    const int64_t *sdims, const int64_t *sfirst, void *dst,
                    const int64_t *ddims, const int64_t *dfirst);

#endif
