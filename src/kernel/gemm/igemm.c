#include "kernel/gemm/igemm.h"

#include <string.h>

#include "base/math.h"
#include "kernel/core/isa.h"
#include "kernel/core/par.h"
#ifdef GS_HAVE_X86
#include <immintrin.h>
#endif

enum { ROWS = 4, COLS = 16, DEPTH = 512 /* pairs of k at a time */ };

#define GS_STAMP "kernel/gemm/igemm.inc"
#include "kernel/core/stamp.h"

static int64_t pairs_of(int64_t k) { return gs_ceil_div(k, 2); }

size_t gs_igemm_a_size(int64_t m, int64_t k) {
  return (size_t)(gs_ceil_div(m, ROWS) * ROWS * pairs_of(k)) * 4;
}
size_t gs_igemm_b_size(int64_t n, int64_t k) {
  return (size_t)(gs_ceil_div(n, COLS) * COLS * pairs_of(k)) * 4;
}

/* Panels of `wide` rows of a (columns of b): [panel][pair][wide][2]. */
typedef struct packing {
  const gs_bytes *x;
  int wide;
  int64_t n, k;
  int64_t step, along; /* of an index of the panel, of k */
  int16_t *to;
} packing;

static void pack_line(const packing *p, int64_t i, int16_t *to) {
  const gs_bytes *x = p->x;
  int32_t z = x->zero ? x->zero[i * x->step] : 0;
  const int8_t *s = (const int8_t *)x->data + i * p->step;
  const uint8_t *u = (const uint8_t *)x->data + i * p->step;
  for (int64_t k = 0; k < p->k; k++) {
    int32_t v = x->sign ? s[k * p->along] : u[k * p->along];
    to[k / 2 * 2 * p->wide + k % 2] = (int16_t)(v - z);
  }
  if (p->k % 2) to[p->k / 2 * 2 * p->wide + 1] = 0;
}

static void pack_panels(void *ctx, int64_t lo, int64_t hi) {
  const packing *p = ctx;
  int64_t pairs = pairs_of(p->k);
  for (int64_t panel = lo; panel < hi; panel++) {
    int16_t *to = p->to + panel * pairs * p->wide * 2;
    int64_t have = gs_min(p->wide, p->n - panel * p->wide);
    if (have < p->wide)
      memset(to, 0, (size_t)(pairs * p->wide) * 2 * sizeof *to);
    for (int64_t i = 0; i < have; i++)
      pack_line(p, panel * p->wide + i, to + 2 * i);
  }
}

void gs_igemm_pack_a(const gs_bytes *a, int64_t m, int64_t k, void *to,
                     int threads) {
  packing p = {a, ROWS, m, k, a->row, a->col, to};
  gs_parallel(threads, gs_ceil_div(m, ROWS), k * ROWS, pack_panels, &p);
}

void gs_igemm_pack_b(const gs_bytes *b, int64_t n, int64_t k, void *to,
                     int threads) {
  packing p = {b, COLS, n, k, b->col, b->row, to};
  gs_parallel(threads, gs_ceil_div(n, COLS), k * COLS, pack_panels, &p);
}

typedef struct job {
  int64_t m, n, k, ldc;
  const int16_t *a, *b;
  int32_t *c;
} job;

static void one_tile(const job *j, int64_t ip, int64_t jp, int64_t first,
                     int64_t pairs) {
  int32_t acc[ROWS][COLS];
  int64_t all = pairs_of(j->k);
  int64_t m = gs_min(ROWS, j->m - ip * ROWS);
  int64_t n = gs_min(COLS, j->n - jp * COLS);
  int32_t *c = j->c + ip * ROWS * j->ldc + jp * COLS;
  memset(acc, 0, sizeof acc);
  for (int64_t r = 0; first && r < m; r++)
    memcpy(acc[r], c + r * j->ldc, (size_t)n * sizeof *c);
  GS_PICK(tile)((int)m, pairs, j->a + (ip * all + first) * ROWS * 2,
                j->b + (jp * all + first) * COLS * 2, acc);
  for (int64_t r = 0; r < m; r++)
    memcpy(c + r * j->ldc, acc[r], (size_t)n * sizeof *c);
}

/* Panels of columns; a part of k that fits the cache at a time. */
static void columns(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  int64_t pairs = pairs_of(j->k), rows = gs_ceil_div(j->m, ROWS);
  for (int64_t first = 0; first < pairs || !first; first += DEPTH)
    for (int64_t jp = lo; jp < hi; jp++)
      for (int64_t ip = 0; ip < rows; ip++)
        one_tile(j, ip, jp, first, gs_min(DEPTH, pairs - first));
}

static void rows(void *ctx, int64_t lo, int64_t hi) {
  job part = *(const job *)ctx;
  part.a += lo * pairs_of(part.k) * ROWS * 2;
  part.c += lo * ROWS * part.ldc;
  part.m = gs_min(part.m, hi * ROWS) - lo * ROWS;
  columns(&part, 0, gs_ceil_div(part.n, COLS));
}

void gs_igemm(int64_t m, int64_t n, int64_t k, const void *a, const void *b,
              int32_t *c, int64_t ldc, int threads) {
  job j = {m, n, k, ldc, a, b, c};
  if (!m || !n) return;
  if (n >= m)
    gs_parallel(threads, gs_ceil_div(n, COLS), COLS * m * gs_max(1, k / 8),
                columns, &j);
  else
    gs_parallel(threads, gs_ceil_div(m, ROWS), ROWS * n * gs_max(1, k / 8),
                rows, &j);
}
