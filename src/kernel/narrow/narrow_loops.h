/* The loops of narrow.c, by instruction set. */
#ifndef GS_KERNEL_NARROW_LOOPS_H
#define GS_KERNEL_NARROW_LOOPS_H

#include "kernel/narrow/narrow.h"

enum {
  GROUP = 4,    /* rows that share the work of widening a weight */
  GROUP_MANY = 12, /* floats, more rows than GROUP: side by side; all of them */
  SOME_ROWS = 132, /* share that work, this many at a time */
  SEGMENT = 32, /* elements of a segment at most: sums of 16 bits hold them */
  AHEAD = 4096  /* bytes that are asked for before they are wanted */
};

/* spread: `rows` rows of a as tile and many read them, to[depth][rows] and
 * sums[segments][rows].  tile: the products of at most GROUP of them with tile
 * number `tile`; many: those of m rows, SOME_ROWS at most, in groups of
 * GROUP_MANY.  Both add up in one order. */
typedef struct gs_narrow_floats {
  int lanes;
  void (*spread)(const gs_narrow *w, int rows, const float *a, int64_t lda,
                 float *to, float *sums);
  void (*tile)(const gs_narrow *w, int rows, int64_t tile, const float *a,
               const float *sums, float *y, int64_t ldy);
  void (*many)(const gs_narrow *w, int64_t m, int64_t tile, const float *a,
               const float *sums, float *y, int64_t ldy);
} gs_narrow_floats;

/* The same for to[depth / 4][rows][4] of i8, steps and sums. */
typedef struct gs_narrow_ints {
  void (*spread)(const gs_narrow *w, int rows, const float *a, int64_t lda,
                 int8_t *to, float *steps, float *sums);
  void (*tile)(const gs_narrow *w, int rows, int64_t tile, const int8_t *a,
               const float *steps, const float *sums, float *y, int64_t ldy);
} gs_narrow_ints;

/* Of packing: bits of a weight; columns of a tile; where scales and zero points
 * begin, and all bytes, by the other members; which constant operand i is
 * (false: it may change; i -1: none). */
static inline int gs_narrow_bits(const gs_narrow *w) {
  return w->bits ? w->bits : w->type == GS_FLOAT ? 32 : 16;
}
int64_t gs_narrow_width(void);
void gs_narrow_finish(gs_narrow *w);
bool gs_narrow_fixed(const gs_kctx *k, int i, const void **which);

const gs_narrow_floats *gs_narrow_floats_get(void);
const gs_narrow_ints *gs_narrow_ints_get(void);

#endif
