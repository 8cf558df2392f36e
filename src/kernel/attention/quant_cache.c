#include "kernel/attention/quant_cache.h"

#include <math.h>

#include "base/assert.h"

static const float *scales(const gs_quant_cache *c, int64_t h) {
  return c->each ? c->scale + (c->first + h) * c->head : c->scale;
}

int64_t gs_quant_cache_row(const gs_quant_cache *c) {
  gs_assert(c->bits == 8 || (c->bits == 4 && c->head % 2 == 0));
  return c->head * c->bits / 8;
}

static int code_at(const gs_quant_cache *c, const char *row, int64_t e) {
  if (c->bits == 8) return ((const signed char *)row)[e];
  return (((const unsigned char *)row)[e / 2] >> (e % 2 * 4) & 15) - 8;
}

void gs_quant_cache_read(const gs_quant_cache *c, int64_t h, const char *from,
                         int64_t rows, float *to) {
  const float *s = scales(c, h);
  int64_t row = gs_quant_cache_row(c);
  for (int64_t r = 0; r < rows; r++, from += row, to += c->head)
    for (int64_t e = 0; e < c->head; e++)
      to[e] = (float)code_at(c, from, e) * s[c->each ? e : 0];
}

void gs_quant_cache_round(const gs_quant_cache *c, int64_t h, float *x,
                          char *to) {
  const float *s = scales(c, h);
  float most = c->bits == 8 ? 127 : 7;
  for (int64_t e = 0; e < c->head; e++) {
    float by = s[c->each ? e : 0], q = nearbyintf(x[e] / by);
    /* A NaN, of which there is no code, is the least. */
    int code = q > most ? (int)most : q >= -most - 1 ? (int)q : -(int)most - 1;
    x[e] = (float)code * by;
    if (!to) continue;
    if (c->bits == 8)
      ((signed char *)to)[e] = (signed char)code;
    else if (e % 2 == 0)
      ((unsigned char *)to)[e / 2] = (unsigned char)(code + 8);
    else
      ((unsigned char *)to)[e / 2] |= (unsigned char)((code + 8) << 4);
  }
}
