/* Packing of matrices as DequantizeLinear has them. */
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "ir/packed.h"
#include "kernel/core/share.h"
#include "kernel/narrow/narrow_loops.h"

enum { CHUNK = 512, MOST_LANES = 32 };

/* n codes from element `first` on, one to a byte, as words have them: without a
 * sign, of 8 bits less 128. */
static void take(const gs_narrow_matrix *w, int bits, int64_t first, int64_t n,
                 uint8_t *to) {
  bool sign = gs_dtype_get((int)w->code)->cls == 'i';
  uint8_t flip = (uint8_t)(sign == (bits < 8) ? 1 << (bits - 1) : 0);
  if (bits == 8) memcpy(to, (const char *)w->codes + first, (size_t)n);
  else gs_codes_unpack(bits, false, to, w->codes, first, n);
  for (int64_t i = 0; flip && i < n; i++) to[i] ^= flip;
}

/* Bits from which on code i of a word stands there. */
static int shift_of(int bits, int64_t i) {
  return (int)(8 * (i % 4) + bits * (i / 4));
}

/* Words of one tile, columns [n0, n0 + n), of rows of all columns. */
static void words_of_rows(const gs_narrow *to, const gs_narrow_matrix *w,
                          int64_t n0, int64_t n, uint32_t *q) {
  int64_t width = gs_narrow_width(), per = 32 / to->bits;
  uint8_t row[MOST_LANES];
  for (int64_t k = 0; k < w->k; k++) {
    uint32_t *word = q + k / per * width;
    int shift = shift_of(to->bits, k % per);
    take(w, to->bits, k * w->n + n0, n, row);
    for (int64_t c = 0; c < n; c++) word[c] |= (uint32_t)row[c] << shift;
  }
}

/* The same of columns that lie one behind another. */
static void words_of_columns(const gs_narrow *to, const gs_narrow_matrix *w,
                             int64_t n0, int64_t n, uint32_t *q) {
  int64_t width = gs_narrow_width(), per = 32 / to->bits;
  uint8_t codes[CHUNK];
  for (int64_t c = 0; c < n; c++)
    for (int64_t k = 0; k < w->k; k += CHUNK) {
      int64_t some = gs_min(CHUNK, w->k - k);
      take(w, to->bits, (n0 + c) * w->k + k, some, codes);
      for (int64_t i = 0; i < some; i++)
        q[(k + i) / per * width + c] |= (uint32_t)codes[i]
                                        << shift_of(to->bits, i % per);
    }
}

/* Scales and zero points. */
static void pack_blocks(const gs_narrow *to, const gs_narrow_matrix *w,
                        char *packed) {
  int64_t width = gs_narrow_width();
  size_t size = w->type == GS_FLOAT ? 4 : 2;
  char *scales = packed + to->scales_at;
  uint8_t *zeros = (uint8_t *)packed + to->zeros_at;
  uint8_t flip = gs_dtype_get((int)w->code)->cls == 'i'
                     ? (uint8_t)(1 << (to->bits - 1)) : 0;
  for (int64_t n = 0; n < w->n; n++)
    for (int64_t b = 0; b < to->blocks; b++) {
      int64_t i = w->single ? 0 : w->by_column ? n * to->blocks + b
                                               : b * w->n + n;
      int64_t at = (n / width * to->blocks + b) * width + n % width;
      memcpy(scales + (size_t)at * size,
             (const char *)w->scales + (size_t)i * size, size);
      if (!w->zeros) continue;
      unsigned z = to->bits == 8 ? ((const uint8_t *)w->zeros)[i]
                                 : gs_code_get(to->bits, w->zeros, i);
      zeros[at] = (uint8_t)(z ^ flip);
    }
}

void gs_narrow_plan_matrix(gs_narrow *to, const gs_narrow_matrix *w) {
  const gs_dtype_info *d = gs_dtype_get((int)w->code);
  int64_t block = w->block ? w->block
                           : gs_ceil_div(gs_max(w->k, 1), SEGMENT) * SEGMENT;
  gs_assert(block % (SEGMENT / 2) == 0 && d->bits <= 8);
  *to = (gs_narrow){.bits = d->bits, .type = w->type, .n = w->n, .k = w->k,
                    .block = block, .blocks = gs_ceil_div(w->k, block),
                    .segment = block % SEGMENT ? SEGMENT / 2 : SEGMENT,
                    .zeros = w->zeros ? GS_ZEROS_CODE : GS_ZEROS_NONE};
  to->depth = to->block * to->blocks;
  if (!w->zeros && d->cls == 'i') to->zero = (float)(1 << (d->bits - 1));
  if (d->bits == 8) to->zero -= 128;
  gs_narrow_finish(to);
}

void gs_narrow_pack_matrix(const gs_narrow *to, const gs_narrow_matrix *w,
                           void *packed) {
  int64_t width = gs_narrow_width();
  gs_assert(width <= MOST_LANES && to->n == w->n && to->k == w->k);
  memset(packed, 0, to->bytes);
  for (int64_t n0 = 0; n0 < w->n; n0 += width) {
    uint32_t *q = (uint32_t *)packed + n0 * to->depth * to->bits / 32;
    int64_t n = gs_min(width, w->n - n0);
    if (w->by_column) words_of_columns(to, w, n0, n, q);
    else words_of_rows(to, w, n0, n, q);
  }
  pack_blocks(to, w, packed);
}

typedef struct packing {
  const gs_narrow *to;
  const gs_narrow_matrix *w;
} packing;

static bool pack(void *ctx, void *to) {
  const packing *p = ctx;
  gs_narrow_pack_matrix(p->to, p->w, to);
  return true;
}

void gs_narrow_keep_matrix(gs_narrow *to, gs_kctx *k, gs_narrow_from from,
                           const gs_narrow_matrix *w) {
  const void *codes, *scales, *zeros;
  gs_narrow_plan_matrix(to, w);
  if (!gs_narrow_fixed(k, from.codes, &codes) ||
      !gs_narrow_fixed(k, from.scales, &scales) ||
      !gs_narrow_fixed(k, from.zeros, &zeros) || !w->n || !w->k)
    return;
  const char *key = gs_sprintf(
      k->arena, "matrix %p %p %p %d %lld %lld %lld %d", codes, scales, zeros,
      (int)w->code, (long long)w->n, (long long)w->k, (long long)w->block,
      w->by_column);
  packing p = {to, w};
  to->packed = gs_kernel_once(k, key, to->bytes, pack, &p);
}
