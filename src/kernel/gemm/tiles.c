#include "kernel/gemm/tiles.h"

#include <string.h>

#include "base/assert.h"
#include "base/isa.h"
#include "base/math.h"

typedef struct tile_loop {
  int high, columns; /* of a tile */
  void (*tile)(int64_t k, const float *a, int64_t lda, const float *b,
               int64_t ldb, float *c, int64_t ldc, float scale);
} tile_loop;

/* Lanes of a vector, rows of a tile: two vectors of each row fill the
 * registers but for what is multiplied. */
enum { WIDE_base = 4, HIGH_base = 6 };
enum { WIDE_avx2 = 8, HIGH_avx2 = 6, WIDE_avx512 = 16, HIGH_avx512 = 8 };

#if defined __clang__
#define CONTRACT
#define CONTRACTS _Pragma("STDC FP_CONTRACT ON")
#define UNROLL _Pragma("unroll")
#else
#define CONTRACT __attribute__((optimize("fp-contract=fast")))
#define CONTRACTS
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define GS_STAMP "kernel/gemm/tiles.inc"
#include "kernel/core/stamp.h"
#undef CONTRACT
#undef CONTRACTS
#undef UNROLL

enum { NEAR_ROWS = 512 }; /* floats between rows that need no copy */

/* Columns [from, from + w) of b -> panel[k][columns], zeros behind. */
static void pack(const gs_tiles *t, const float *b, int64_t from, int64_t w,
                 int64_t columns, float *panel) {
  if (w < columns)
    memset(panel, 0, (size_t)(t->k * columns) * sizeof *panel);
  if (t->tb) {
    for (int64_t j = 0; j < w; j++)
      for (int64_t p = 0; p < t->k; p++)
        panel[p * columns + j] = b[(from + j) * t->ldb + p];
    return;
  }
  for (int64_t p = 0; p < t->k; p++)
    memcpy(panel + p * columns, b + p * t->ldb + from,
           (size_t)w * sizeof *panel);
}

/* A tile of which w columns are there. */
static void narrow_tile(const tile_loop *l, const gs_tiles *t, const float *a,
                        const float *panel, float *c, int64_t w) {
  float all[GS_TILE_ROWS * GS_TILE_COLUMNS];
  l->tile(t->k, a, t->lda, panel, l->columns, all, l->columns, t->scale);
  for (int i = 0; i < l->high; i++)
    memcpy(c + i * t->ldc, all + i * l->columns, (size_t)w * sizeof *c);
}

void gs_tiles_run(const gs_tiles *t, const float *a, const float *b, float *c,
                  float *panel) {
  const tile_loop *l = GS_PICK(&loop);
  gs_assert(l->high <= GS_TILE_ROWS && l->columns <= GS_TILE_COLUMNS);
  for (int64_t j = 0; j < t->n; j += l->columns) {
    int64_t w = gs_min(l->columns, t->n - j), ld = t->ldb;
    const float *from = b + j;
    if (t->tb || w < l->columns || ld > NEAR_ROWS) {
      pack(t, b, j, w, l->columns, panel);
      from = panel;
      ld = l->columns;
    }
    for (int64_t next = 0; next < t->m; next += l->high) {
      /* The last tile has rows of the one before: they come out the same. */
      int64_t i = gs_max(0, gs_min(next, t->m - l->high));
      const float *row = a + i * t->lda;
      float *to = c + i * t->ldc + j;
      if (w < l->columns) narrow_tile(l, t, row, from, to, w);
      else l->tile(t->k, row, t->lda, from, ld, to, t->ldc, t->scale);
    }
  }
}
