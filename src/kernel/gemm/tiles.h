/* Products of small matrices of f32 in tiles of registers: they are too small
 * for what a matrix library does to prepare a product. */
#ifndef GS_KERNEL_TILES_H
#define GS_KERNEL_TILES_H

#include <stdbool.h>
#include <stdint.h>

/* Rows and columns of a tile at most. */
enum { GS_TILE_ROWS = 8, GS_TILE_COLUMNS = 32 };

typedef struct gs_tiles {
  int64_t m, n, k;
  bool tb; /* b is [n, k] */
  int64_t lda, ldb, ldc;
  float scale;
} gs_tiles;

/* c[m,n] = scale * (a[m,k] b[k,n]), each sum in the order of k, with fused
 * multiply-adds where there are: an element depends on its row of a and its
 * column of b alone.  Of fewer than GS_TILE_ROWS rows a and c have room for so
 * many, which are read and written too.  panel: gs_tiles_panel(k) floats of
 * scratch. */
void gs_tiles_run(const gs_tiles *t, const float *a, const float *b, float *c,
                  float *panel);
static inline int64_t gs_tiles_panel(int64_t k) { return k * GS_TILE_COLUMNS; }

#endif
