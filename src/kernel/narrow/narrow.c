#include "kernel/narrow/narrow.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "ir/packed.h"
#include "kernel/core/convert.h"
#include "kernel/core/par.h"
#include "kernel/core/share.h"
#include "kernel/narrow/narrow_loops.h"

enum { MANY = 256 }; /* rows at a time */

int64_t gs_narrow_width(void) { return 2 * gs_narrow_floats_get()->lanes; }

static int64_t tiles_of(const gs_narrow *w) {
  return gs_ceil_div(w->n, gs_narrow_width());
}

static size_t up(size_t n) { return (n + 63) / 64 * 64; }

static int64_t float_size(gs_dtype t) { return t == GS_FLOAT ? 4 : 2; }

/* ---- packing ---- */

/* Codes of k that stand one behind another -> a word of gs_narrow. */
static uint32_t word_of(int bits, uint32_t x) {
  uint32_t to = 0;
  if (bits == 8) return x ^ 0x80808080u;
  if (bits == 4) {
    for (int h = 0; h < 2; h++) {
      uint32_t b = x >> (16 * h) & 0xffff;
      b = (b | b << 8) & 0x00ff00ffu;
      b = (b | b << 4) & 0x0f0f0f0fu;
      to |= b << (4 * h);
    }
    return to;
  }
  for (int t = 0; t < 4; t++) {
    uint32_t b = x >> (8 * t) & 255;
    b = (b | b << 6 | b << 12 | b << 18) & 0x03030303u;
    to |= b << (2 * t);
  }
  return to;
}

typedef struct packing {
  const gs_narrow *to;
  const gs_nbits *codes;
  const char *floats; /* or these, element (k, n) at k * row + n * col */
  int64_t row, col;
} packing;

static void pack_words(const gs_narrow *to, const gs_nbits *w, uint32_t *q) {
  int64_t width = gs_narrow_width(), bytes = w->block * w->bits / 8 * w->blocks;
  for (int64_t n = 0; n < w->n; n++) {
    uint32_t *tile = q + n / width * width * bytes / 4 + n % width;
    const uint8_t *from = w->codes + n * bytes;
    for (int64_t i = 0; i < bytes / 4; i++) {
      const uint8_t *b = from + 4 * i;
      uint32_t x = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                   (uint32_t)b[3] << 24;
      tile[i * width] = word_of(to->bits, x);
    }
  }
}

/* Element (n, block) of size bytes -> [tiles][blocks][T]. */
static void pack_blocks(const gs_nbits *w, int64_t size, const char *from,
                        char *to) {
  int64_t width = gs_narrow_width();
  for (int64_t n = 0; n < w->n; n++) {
    char *tile = to + (n / width * width * w->blocks + n % width) * size;
    for (int64_t b = 0; b < w->blocks; b++, from += size)
      memcpy(tile + b * width * size, from, (size_t)size);
  }
}

static void pack_zero_codes(const gs_nbits *w, uint8_t *to) {
  int64_t width = gs_narrow_width(), row = gs_ceil_div(w->blocks * w->bits, 8);
  const uint8_t *from = w->zeros;
  for (int64_t n = 0; n < w->n; n++, from += row) {
    uint8_t *tile = to + n / width * width * w->blocks + n % width;
    for (int64_t b = 0; b < w->blocks; b++)
      tile[b * width] =
          w->bits == 8 ? from[b] : (uint8_t)gs_code_get(w->bits, from, b);
  }
}

static bool pack_codes(void *ctx, void *to) {
  const packing *p = ctx;
  const gs_nbits *w = p->codes;
  char *at = to;
  memset(to, 0, p->to->bytes);
  pack_words(p->to, w, to);
  pack_blocks(w, float_size(w->type), w->scales, at + p->to->scales_at);
  if (p->to->zeros == GS_ZEROS_CODE)
    pack_zero_codes(w, (uint8_t *)at + p->to->zeros_at);
  else if (p->to->zeros)
    pack_blocks(w, float_size(w->type), w->zeros, at + p->to->zeros_at);
  return true;
}

/* [k][n], k * row + n * col, to tiles. */
#define PACK_FLOATS(name, T)                                                   \
  static void name(const packing *p, void *to) {                               \
    const gs_narrow *w = p->to;                                                \
    const T *from = (const void *)p->floats;                                   \
    int64_t width = gs_narrow_width();                                         \
    for (int64_t n0 = 0; n0 < w->n; n0 += width) {                             \
      T *tile = (T *)to + n0 * w->depth;                                       \
      int64_t n = gs_min(width, w->n - n0);                                    \
      for (int64_t k = 0; k < w->k; k++)                                       \
        for (int64_t c = 0; c < n; c++)                                        \
          tile[k * width + c] = from[k * p->row + (n0 + c) * p->col];          \
    }                                                                          \
  }
PACK_FLOATS(pack_f32, float)
PACK_FLOATS(pack_half, uint16_t)
#undef PACK_FLOATS

static bool pack_floats(void *ctx, void *to) {
  const packing *p = ctx;
  memset(to, 0, p->to->bytes);
  if (p->to->type == GS_FLOAT) pack_f32(p, to);
  else pack_half(p, to);
  return true;
}

void gs_narrow_finish(gs_narrow *w) {
  int64_t columns = tiles_of(w) * gs_narrow_width(), size = float_size(w->type);
  size_t scales = (size_t)(columns * w->blocks * size);
  w->scales_at = up((size_t)(columns * w->depth * gs_narrow_bits(w) / 8));
  w->zeros_at = w->scales_at + up(scales);
  w->bytes = w->zeros_at;
  if (w->zeros == GS_ZEROS_CODE)
    w->bytes += up((size_t)(columns * w->blocks));
  else if (w->zeros)
    w->bytes += up(scales);
}

bool gs_narrow_fixed(const gs_kctx *k, int i, const void **which) {
  *which = i < 0 ? NULL : k->in[i].fixed;
  return i < 0 || (*which && k->in[i].data);
}

void gs_narrow_keep_codes(gs_narrow *to, gs_kctx *k, gs_narrow_from from,
                          int64_t first, const gs_nbits *w) {
  const void *codes, *scales, *zeros;
  *to = (gs_narrow){.bits = w->bits, .type = w->type, .n = w->n, .k = w->k,
                    .block = w->block, .blocks = w->blocks,
                    .depth = w->block * w->blocks,
                    .segment = w->block % SEGMENT ? SEGMENT / 2 : SEGMENT};
  if (!gs_narrow_fixed(k, from.codes, &codes) ||
      !gs_narrow_fixed(k, from.scales, &scales) ||
      !gs_narrow_fixed(k, from.zeros, &zeros) || w->group || !w->n || !w->k ||
      w->block % (SEGMENT / 2))
    return;
  to->zeros = !w->zeros ? GS_ZEROS_NONE
              : w->packed ? GS_ZEROS_CODE : GS_ZEROS_FLOAT;
  if (!w->zeros) to->zero = (float)(1 << (w->bits - 1));
  if (w->bits == 8) to->zero -= 128;
  gs_narrow_finish(to);
  const char *key = gs_sprintf(
      k->arena, "codes %p %p %p %lld %d %lld %lld %lld", codes, scales, zeros,
      (long long)first, w->bits, (long long)w->n, (long long)w->k,
      (long long)w->block);
  packing p = {.to = to, .codes = w};
  to->packed = gs_kernel_once(k, key, to->bytes, pack_codes, &p);
}

void gs_narrow_keep_floats(gs_narrow *to, gs_kctx *k, int i, int64_t first,
                           int64_t n, int64_t depth, int64_t ld,
                           bool by_column) {
  const gs_view *b = &k->in[i];
  *to = (gs_narrow){.type = b->dtype, .n = n, .k = depth, .block = SEGMENT,
                    .depth = gs_ceil_div(depth, SEGMENT) * SEGMENT,
                    .segment = SEGMENT};
  if (!b->fixed || !b->data || !n || !depth) return;
  gs_assert(b->dtype == GS_FLOAT || b->dtype == GS_FLOAT16 ||
            b->dtype == GS_BFLOAT16);
  gs_narrow_finish(to);
  const char *key = gs_sprintf(
      k->arena, "floats %p %lld %lld %lld %lld %d", b->fixed,
      (long long)first, (long long)n, (long long)depth, (long long)ld,
      by_column);
  packing p = {.to = to, .floats = (const char *)b->data +
                                   first * float_size(b->dtype),
               .row = by_column ? 1 : ld, .col = by_column ? ld : 1};
  to->packed = gs_kernel_once(k, key, to->bytes, pack_floats, &p);
}

/* ---- the product ---- */

typedef struct job {
  const gs_narrow *w;
  bool ints;
  const float *a;
  float *y;
  int64_t m, lda, ldy;
  char *spread; /* rows of a, [m][depth] */
  float *steps, *sums; /* [m][segments] */
} job;

static int64_t segments_of(const gs_narrow *w) {
  return w->depth / w->segment;
}

size_t gs_narrow_scratch(const gs_narrow *w, bool ints, int64_t m) {
  m = gs_min(m, MANY);
  size_t rows = (size_t)m * (size_t)w->depth * (ints ? 1 : 4);
  return up(rows) + 2 * up((size_t)(m * segments_of(w)) * sizeof(float));
}

/* Rows that are spread side by side. */
static int64_t group_of(const job *j) {
  return !j->ints && j->m > GROUP ? GROUP_MANY : GROUP;
}

static void spread_groups(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  int64_t d = j->w->depth, s = segments_of(j->w), of = group_of(j);
  for (int64_t g = lo; g < hi; g++) {
    int64_t i = g * of;
    int rows = (int)gs_min(of, j->m - i);
    const float *a = j->a + i * j->lda;
    if (j->ints)
      gs_narrow_ints_get()->spread(j->w, rows, a, j->lda,
                                   (int8_t *)j->spread + i * d,
                                   j->steps + i * s, j->sums + i * s);
    else
      gs_narrow_floats_get()->spread(j->w, rows, a, j->lda,
                                     (float *)(void *)j->spread + i * d,
                                     j->sums + i * s);
  }
}

static void int_tiles(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  int64_t d = j->w->depth, s = segments_of(j->w);
  const gs_narrow_ints *ints = gs_narrow_ints_get();
  for (int64_t t = lo; t < hi; t++)
    for (int64_t i = 0; i < j->m; i += GROUP)
      ints->tile(j->w, (int)gs_min(GROUP, j->m - i), t,
                 (const int8_t *)j->spread + i * d, j->steps + i * s,
                 j->sums + i * s, j->y + i * j->ldy, j->ldy);
}

/* Number lo of all tiles for the first SOME_ROWS, then for those behind. */
static void float_tiles(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  int64_t d = j->w->depth, s = segments_of(j->w), all = tiles_of(j->w);
  const gs_narrow_floats *floats = gs_narrow_floats_get();
  for (int64_t item = lo; item < hi; item++) {
    int64_t i = item / all * SOME_ROWS, m = gs_min(SOME_ROWS, j->m - i);
    const float *a = (const float *)(const void *)j->spread + i * d;
    float *y = j->y + i * j->ldy;
    if (j->m <= GROUP)
      floats->tile(j->w, (int)m, item % all, a, j->sums, y, j->ldy);
    else
      floats->many(j->w, m, item % all, a, j->sums + i * s, y, j->ldy);
  }
}

void gs_narrow_product(const gs_narrow *w, bool ints, int64_t m,
                       const float *a, int64_t lda, float *y, int64_t ldy,
                       void *scratch, int threads) {
  gs_assert(w->packed && (w->bits || !ints));
  for (int64_t i = 0; i < m; i += MANY) {
    job j = {.w = w, .ints = ints, .a = a + i * lda, .y = y + i * ldy,
             .m = gs_min(MANY, m - i), .lda = lda, .ldy = ldy,
             .spread = scratch};
    size_t rows = (size_t)j.m * (size_t)w->depth * (ints ? 1 : 4);
    size_t sums = up((size_t)(j.m * segments_of(w)) * sizeof(float));
    j.sums = (float *)(void *)(j.spread + up(rows));
    j.steps = (float *)(void *)(j.spread + up(rows) + sums);
    gs_parallel(threads, gs_ceil_div(j.m, group_of(&j)),
                group_of(&j) * w->depth, spread_groups, &j);
    int64_t some = ints ? j.m : gs_min(j.m, SOME_ROWS);
    gs_parallel(threads, tiles_of(w) * gs_ceil_div(j.m, some),
                some * w->depth * gs_narrow_width() / 4,
                ints ? int_tiles : float_tiles, &j);
  }
}
