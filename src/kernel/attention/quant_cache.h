/* Keys or values that a cache holds in 8 or 4 bits. */
#ifndef GS_KERNEL_QUANT_CACHE_H
#define GS_KERNEL_QUANT_CACHE_H

#include "kernel/core/kernel.h"

/* An element is code * scale.  Codes of 8 bits are i8; of those of 4 bits, from
 * -8 to 7, two stand in a u8, plus 8 each, the first in the low half. */
typedef struct gs_quant_cache {
  int bits;           /* 8 or 4; 0: it holds elements as they are */
  bool each;          /* scale [heads, head], else [1] */
  int64_t head, first; /* elements of a head; which of the heads is head 0 */
  const float *scale;
} gs_quant_cache;

/* Bytes of a row of a head. */
int64_t gs_quant_cache_row(const gs_quant_cache *c);
/* `rows` rows of head h, which follow one another, as floats. */
void gs_quant_cache_read(const gs_quant_cache *c, int64_t h, const char *from,
                         int64_t rows, float *to);
/* A row of head h, rounded to the nearest, ties to even: in x as it will be
 * read, and in `to` unless that is NULL. */
void gs_quant_cache_round(const gs_quant_cache *c, int64_t h, float *x,
                          char *to);

#endif
