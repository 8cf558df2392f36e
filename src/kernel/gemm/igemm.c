#include "kernel/gemm/igemm.h"

#include <string.h>

#include "base/assert.h"
#include "base/isa.h"
#include "base/math.h"
#include "kernel/core/par.h"
#ifdef GS_HAVE_X86
#include <immintrin.h>
#endif

struct way {
  int rows, cols; /* of a tile */
  bool bytes;     /* words are of four bytes, else of two i16 */
  void (*tile)(int rows, int64_t words, const char *a, int64_t lda,
               const uint32_t *b, int32_t *c);
  void (*correct)(int rows, const int32_t *zero, const int32_t *sum,
                  const int32_t *panel, int32_t *c);
  uint32_t (*flip_row)(const uint8_t *x, int64_t n, uint8_t flip, uint8_t *to);
  void (*widen_row)(const uint8_t *x, int64_t n, bool sign, int32_t zero,
                    int16_t *to);
  void (*zip)(const uint8_t *x, int64_t pitch, bool sign, int32_t zero,
              int64_t n, uint32_t *to); /* as many lines as a word has codes */
};

#ifndef GS_UNROLL
#ifdef __clang__
#define GS_UNROLL _Pragma("unroll")
#else
#define GS_UNROLL _Pragma("GCC unroll 16")
#endif
#endif
#define GS_STAMP "kernel/gemm/igemm.inc"
#define GS_STAMP_VNNI
#include "kernel/core/stamp.h"

static const struct way *way(void) { return GS_PICK_VNNI(&way); }

int gs_igemm_word(void) { return way()->bytes ? 4 : 2; }
int gs_igemm_cols(void) { return way()->cols; }

static int64_t words_of(int64_t k) { return gs_ceil_div(k, gs_igemm_word()); }

/* Bytes from one packed row of a to the next: an odd number of cache lines, so
 * that the rows of a tile do not fall into the same places of the caches. */
static int64_t row_size(int64_t words) {
  return (gs_ceil_div(words, 16) | 1) * 64;
}

/* Rows are followed by the zero point and the sum of each. */
size_t gs_igemm_a_size(int64_t m, int64_t k) {
  return (size_t)(m * row_size(words_of(k))) +
         2 * (size_t)m * sizeof(int32_t);
}

static int32_t *row_terms(const void *a, int64_t m, int64_t words) {
  return (int32_t *)((uintptr_t)a + (size_t)(m * row_size(words)));
}

/* Words are followed by two numbers for each column: the sum of its codes, less
 * k times its zero point, and the zero point. */
size_t gs_igemm_panel_size(int64_t words) {
  return (size_t)((words * way()->cols + 2 * way()->cols) * 4);
}

static int32_t *column_terms(void *panel, int64_t words) {
  return (int32_t *)panel + words * way()->cols;
}

size_t gs_igemm_b_size(int64_t n, int64_t k) {
  return (size_t)gs_ceil_div(n, way()->cols) *
         gs_igemm_panel_size(words_of(k));
}

/* ---- packing ---- */

void gs_igemm_codes(const void *x, bool sign, int32_t zero, int64_t n,
                    void *to) {
  const uint8_t *u = x;
  uint8_t *bytes = to, flip = sign ? 0 : 0x80;
  int16_t *pairs = to;
  for (int64_t i = 0; i < n; i++)
    if (way()->bytes) bytes[i] = u[i] ^ flip;
    else pairs[i] = (int16_t)((sign ? (int8_t)u[i] : u[i]) - zero);
}

void gs_igemm_zip(const void *x, int64_t pitch, int64_t lines, bool sign,
                  int32_t zero, int64_t n, uint32_t *to) {
  gs_assert(lines >= 1 && lines <= gs_igemm_word());
  if (lines == gs_igemm_word()) {
    way()->zip(x, pitch, sign, zero, n, to);
    return;
  }
  size_t size = (size_t)(4 / gs_igemm_word());
  const uint8_t *line = x;
  memset(to, 0, (size_t)n * sizeof *to);
  for (int64_t l = 0; l < lines; l++, line += pitch)
    for (int64_t i = 0; i < n; i++)
      gs_igemm_codes(line + i, sign, zero, 1,
                     (char *)(to + i) + (size_t)l * size);
}

typedef struct packing {
  const gs_bytes *x;
  int64_t n, k, words;
  char *to;
  int32_t *terms;
} packing;

/* Row i of a as u8. */
static void row_of_bytes(const packing *p, int64_t i, int32_t zero) {
  const gs_bytes *x = p->x;
  const uint8_t *from = (const uint8_t *)x->data + i * x->row;
  uint8_t *to = (uint8_t *)p->to + i * row_size(p->words);
  uint8_t flip = x->sign ? 0x80 : 0;
  uint32_t sum = way()->flip_row(from, p->k, flip, to);
  memset(to + p->k, 0, (size_t)(4 * p->words - p->k));
  p->terms[i] = zero + (x->sign ? 128 : 0);
  p->terms[p->n + i] = (int32_t)sum;
}

static void pack_rows(void *ctx, int64_t lo, int64_t hi) {
  const packing *p = ctx;
  const gs_bytes *x = p->x;
  for (int64_t i = lo; i < hi; i++) {
    int32_t zero = x->zero ? x->zero[i * x->step] : 0;
    if (way()->bytes) {
      row_of_bytes(p, i, zero);
      continue;
    }
    int16_t *to = (int16_t *)(void *)(p->to + i * row_size(p->words));
    const uint8_t *from = (const uint8_t *)x->data + i * x->row;
    way()->widen_row(from, p->k, x->sign, zero, to);
    if (p->k % 2) to[p->k] = 0;
  }
}

void gs_igemm_pack_a(const gs_bytes *a, int64_t m, int64_t k, void *to,
                     int threads) {
  int64_t words = words_of(k);
  gs_assert(a->col == 1);
  packing p = {a, m, k, words, to, row_terms(to, m, words)};
  gs_parallel(threads, m, k, pack_rows, &p);
}

enum { ONES = 16 }; /* words of 1 */

static const char *ones(void) {
  static const char all[4 * ONES] = {
      1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
      1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
      1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  return all;
}

void gs_igemm_close(void *panel, int64_t words, int64_t k, bool sign,
                    int32_t zero) {
  const struct way *w = way();
  if (!w->bytes) return;
  int32_t *terms = column_terms(panel, words);
  zero -= sign ? 0 : 128;
  memset(terms, 0, (size_t)w->cols * sizeof *terms);
  int32_t c[GS_IGEMM_COLS];
  for (int64_t i = 0; i < words; i += ONES) { /* a row of ones */
    w->tile(1, gs_min(ONES, words - i), ones(), 0,
            (const uint32_t *)panel + i * w->cols, c);
    for (int j = 0; j < w->cols; j++) terms[j] += c[j];
  }
  for (int j = 0; j < w->cols; j++) {
    terms[j] = (int32_t)((uint32_t)terms[j] - (uint32_t)k * (uint32_t)zero);
    terms[w->cols + j] = zero;
  }
}

/* Columns [j, j + n) as words of a panel. */
static void panel_of_bytes(const packing *p, int64_t j, int64_t n,
                           char *panel) {
  const gs_bytes *x = p->x;
  const struct way *w = way();
  int32_t *terms = column_terms(panel, p->words);
  for (int64_t c = 0; c < n; c++) {
    const uint8_t *from = (const uint8_t *)x->data + (j + c) * x->col;
    uint8_t *to = (uint8_t *)panel + 4 * c, flip = x->sign ? 0 : 0x80;
    int32_t zero = x->zero ? x->zero[(j + c) * x->step] : 0;
    int64_t sum = 0;
    for (int64_t k = 0; k < p->k; k++) {
      uint8_t v = from[k * x->row] ^ flip;
      to[k / 4 * 4 * w->cols + k % 4] = v;
      sum += (int8_t)v;
    }
    zero -= x->sign ? 0 : 128;
    terms[c] = (int32_t)(sum - p->k * zero);
    terms[w->cols + c] = zero;
  }
}

static void pack_panels(void *ctx, int64_t lo, int64_t hi) {
  const packing *p = ctx;
  const gs_bytes *x = p->x;
  const struct way *w = way();
  size_t size = gs_igemm_panel_size(p->words);
  for (int64_t i = lo; i < hi; i++) {
    char *panel = p->to + (size_t)i * size;
    int64_t j = i * w->cols, n = gs_min(w->cols, p->n - j);
    memset(panel, 0, size);
    if (w->bytes) {
      panel_of_bytes(p, j, n, panel);
      continue;
    }
    for (int64_t c = 0; c < n; c++) {
      const uint8_t *from = (const uint8_t *)x->data + (j + c) * x->col;
      int16_t *to = (int16_t *)(void *)panel + 2 * c;
      int32_t zero = x->zero ? x->zero[(j + c) * x->step] : 0;
      for (int64_t k = 0; k < p->k; k++) {
        int32_t v = from[k * x->row];
        to[k / 2 * 2 * w->cols + k % 2] =
            (int16_t)((x->sign ? (int8_t)v : v) - zero);
      }
    }
  }
}

void gs_igemm_pack_b(const gs_bytes *b, int64_t n, int64_t k, void *to,
                     int threads) {
  packing p = {b, n, k, words_of(k), to, NULL};
  gs_parallel(threads, gs_ceil_div(n, way()->cols), k * way()->cols,
              pack_panels, &p);
}

/* ---- products ---- */

typedef struct job {
  int64_t m, n, words;
  const char *a;
  const int32_t *terms; /* of rows */
  const char *b;
  gs_igemm_use *use;
  void *ctx;
} job;

/* Rows [lo, hi) of a with the panel of columns [j, j + n). */
static void panel_rows(const job *p, int64_t lo, int64_t hi, int64_t j,
                       int64_t n, const char *panel) {
  const struct way *w = way();
  int64_t lda = row_size(p->words);
  const int32_t *of = (const int32_t *)(const void *)panel +
                      p->words * w->cols;
  int32_t c[GS_IGEMM_ROWS * GS_IGEMM_COLS] __attribute__((aligned(64)));
  for (int64_t i = lo; i < hi; i += w->rows) {
    int rows = (int)gs_min(w->rows, hi - i);
    w->tile(rows, p->words, p->a + i * lda, lda,
            (const uint32_t *)(const void *)panel, c);
    if (w->bytes) w->correct(rows, p->terms + i, p->terms + p->m + i, of, c);
    p->use(p->ctx, i, rows, j, n, c);
  }
}

static void some_columns(const job *p, int64_t lo, int64_t hi, int64_t row,
                         int64_t end) {
  size_t size = gs_igemm_panel_size(p->words);
  int cols = way()->cols;
  for (int64_t i = lo; i < hi; i++)
    panel_rows(p, row, end, i * cols, gs_min(cols, p->n - i * cols),
               p->b + (size_t)i * size);
}

static void columns(void *ctx, int64_t lo, int64_t hi) {
  const job *p = ctx;
  some_columns(p, lo, hi, 0, p->m);
}

/* Many rows at a time, so that they stay in a cache for all columns. */
static void rows(void *ctx, int64_t lo, int64_t hi) {
  const job *p = ctx;
  int tall = way()->rows;
  some_columns(p, 0, gs_ceil_div(p->n, way()->cols), lo * tall,
               gs_min(p->m, hi * tall));
}

void gs_igemm_each(int64_t m, int64_t n, int64_t k, const void *a,
                   const void *b, gs_igemm_use *use, void *ctx, int threads) {
  const struct way *w = way();
  int64_t words = words_of(k);
  job p = {m, n, words, a, row_terms(a, m, words), b, use, ctx};
  if (!m || !n) return;
  if (n >= m)
    gs_parallel(threads, gs_ceil_div(n, w->cols),
                w->cols * m * gs_max(1, k / 16), columns, &p);
  else
    gs_parallel(threads, gs_ceil_div(m, w->rows),
                w->rows * n * gs_max(1, k / 16), rows, &p);
}

void gs_igemm_panel(int64_t m, int64_t j, int64_t n, int64_t words,
                    const void *a, const void *panel, gs_igemm_use *use,
                    void *ctx) {
  job p = {m, n, words, a, row_terms(a, m, words), NULL, use, ctx};
  gs_assert(n <= way()->cols);
  panel_rows(&p, 0, m, j, n, panel);
}

typedef struct store {
  int32_t *c;
  int64_t ldc;
} store;

static void put(void *ctx, int64_t i, int64_t m, int64_t j, int64_t n,
                const int32_t *c) {
  const store *s = ctx;
  for (int64_t r = 0; r < m; r++)
    memcpy(s->c + (i + r) * s->ldc + j, c + r * GS_IGEMM_COLS,
           (size_t)n * sizeof *c);
}

void gs_igemm(int64_t m, int64_t n, int64_t k, const void *a, const void *b,
              int32_t *c, int64_t ldc, int threads) {
  store s = {c, ldc};
  gs_igemm_each(m, n, k, a, b, put, &s, threads);
}
