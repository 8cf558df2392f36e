#include "kernel/narrow/nbits.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "ir/packed.h"
#include "kernel/core/convert.h"
#include "base/isa.h"
#include "kernel/onednn/onednn.h"
#include "kernel/core/par.h"
#ifdef GS_HAVE_X86
#include <immintrin.h>
#endif

enum {
  PANEL = 64, /* columns of a panel of floats */
  CHUNK = 64  /* blocks at a time; a multiple of what a byte holds */
};

struct nbits_loops {
  void (*expand)(float *to, int bits, const uint8_t *q, int64_t n, float scale,
                 float zero);
};

static inline unsigned gs_code_of(int bits, const uint8_t *q, int64_t i) {
  return bits == 8 ? q[i] : gs_code_get(bits, q, i);
}

#define GS_STAMP "kernel/narrow/nbits.inc"
#include "kernel/core/stamp.h"

static const struct nbits_loops *loops(void) { return GS_PICK(&nbits); }

/* n elements from i on as f32. */
static void floats(gs_dtype t, const void *from, int64_t i, int64_t n,
                   float *to) {
  size_t size = t == GS_FLOAT ? 4 : 2;
  gs_convert(GS_FLOAT, to, t, (const char *)from + (size_t)i * size, n, NULL);
}

/* Scales and zero points of blocks [b, b + n) of row j; b is a multiple of
 * CHUNK. */
static void parameters(const gs_nbits *w, int64_t j, int64_t b, int64_t n,
                       float *scale, float *zero) {
  gs_assert(b % CHUNK == 0 && n > 0 && n <= CHUNK);
  floats(w->type, w->scales, j * w->blocks + b, n, scale);
  if (!w->zeros) {
    for (int64_t i = 0; i < n; i++) zero[i] = (float)(1 << (w->bits - 1));
  } else if (w->packed) {
    const uint8_t *row = (const uint8_t *)w->zeros +
                         j * gs_ceil_div(w->blocks * w->bits, 8);
    for (int64_t i = 0; i < n; i++)
      zero[i] = (float)gs_code_of(w->bits, row, b + i);
  } else {
    floats(w->type, w->zeros, j * w->blocks + b, n, zero);
  }
}

/* Elements that have the scales of other blocks than their own. */
static void grouped_row(const gs_nbits *w, int64_t j, float *to) {
  const uint8_t *q = w->codes + j * w->blocks * (w->block * w->bits / 8);
  for (int64_t i = 0; i < w->k; i++) {
    int64_t g = w->group[i], first = g / CHUNK * CHUNK;
    gs_assert(g >= 0 && g < w->blocks);
    float scale[CHUNK], zero[CHUNK];
    parameters(w, j, first, g - first + 1, scale, zero);
    to[i] = ((float)gs_code_of(w->bits, q, i) - zero[g - first]) *
            scale[g - first];
  }
}

void gs_nbits_row(const gs_nbits *w, int64_t j, float *to) {
  if (w->group) {
    grouped_row(w, j, to);
    return;
  }
  int64_t blob = w->block * w->bits / 8;
  const uint8_t *q = w->codes + j * w->blocks * blob;
  float scale[CHUNK], zero[CHUNK];
  for (int64_t b = 0; b < w->blocks; b++) {
    int64_t in = b % CHUNK;
    if (!in)
      parameters(w, j, b, gs_min(CHUNK, w->blocks - b), scale, zero);
    int64_t n = gs_min(w->block, w->k - b * w->block);
    loops()->expand(to + b * w->block, w->bits, q + b * blob, n, scale[in],
                    zero[in]);
  }
}

typedef struct job {
  const gs_nbits *w;
  int64_t m, lda, ldy;
  const float *a;
  float *y;
  float *panels; /* [parts][PANEL][k] */
  int64_t parts;
  int *bad; /* [parts] */
} job;

static int64_t panels_of(const gs_nbits *w) {
  return gs_ceil_div(w->n, PANEL);
}

/* Part p of the panels, one after another in memory of its own. */
static void panel_parts(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const gs_nbits *w = j->w;
  for (int64_t p = lo; p < hi; p++) {
    float *panel = j->panels + p * PANEL * w->k;
    for (int64_t i = panels_of(w) * p / j->parts;
         i < panels_of(w) * (p + 1) / j->parts; i++) {
      int64_t first = i * PANEL, n = gs_min(PANEL, w->n - first);
      for (int64_t c = 0; c < n; c++)
        gs_nbits_row(w, first + c, panel + c * w->k);
      if (!gs_onednn_sgemm(false, true, j->m, n, w->k, j->a, j->lda, panel,
                           w->k, j->y + first, j->ldy))
        j->bad[p] = 1;
    }
  }
}

static int64_t parts_of(int threads) { return gs_max(1, threads); }

size_t gs_nbits_scratch(int64_t k, int64_t m, int threads) {
  (void)m;
  size_t parts = (size_t)parts_of(threads);
  return parts * (PANEL * (size_t)k * sizeof(float) + sizeof(int));
}

bool gs_nbits_product(const gs_nbits *w, int64_t m, const float *a,
                      int64_t lda, float *y, int64_t ldy, void *panels,
                      int threads) {
  job j = {.w = w, .m = m, .lda = lda, .ldy = ldy, .a = a, .y = y,
           .panels = panels, .parts = parts_of(threads)};
  if (!m || !w->n) return true;
  if (!w->k) {
    for (int64_t i = 0; i < m; i++)
      memset(y + i * ldy, 0, (size_t)w->n * sizeof *y);
    return true;
  }
  j.bad = (int *)(void *)(j.panels + j.parts * PANEL * w->k);
  memset(j.bad, 0, (size_t)j.parts * sizeof *j.bad);
  gs_parallel(threads, j.parts, w->n * w->k, panel_parts, &j);
  for (int64_t p = 0; p < j.parts; p++)
    if (j.bad[p]) return false;
  return true;
}
