/* The loops of narrow.c, by instruction set. */
#ifndef GS_KERNEL_NARROW_LOOPS_H
#define GS_KERNEL_NARROW_LOOPS_H

#include "kernel/narrow/narrow.h"

enum {
  GROUP = 4,    /* rows that share the work of widening a weight */
  SEGMENT = 32, /* elements of a segment at most: sums of 16 bits hold them */
  AHEAD = 4096  /* bytes that are asked for before they are wanted */
};

/* spread: `rows` rows of a (GROUP at most) as tile reads them, to[depth][rows]
 * and sums[segments][rows].  tile: their products with tile number `tile`. */
typedef struct gs_narrow_floats {
  int lanes;
  void (*spread)(const gs_narrow *w, int rows, const float *a, int64_t lda,
                 float *to, float *sums);
  void (*tile)(const gs_narrow *w, int rows, int64_t tile, const float *a,
               const float *sums, float *y, int64_t ldy);
} gs_narrow_floats;

/* The same for to[depth / 4][rows][4] of i8, steps and sums. */
typedef struct gs_narrow_ints {
  void (*spread)(const gs_narrow *w, int rows, const float *a, int64_t lda,
                 int8_t *to, float *steps, float *sums);
  void (*tile)(const gs_narrow *w, int rows, int64_t tile, const int8_t *a,
               const float *steps, const float *sums, float *y, int64_t ldy);
} gs_narrow_ints;

const gs_narrow_floats *gs_narrow_floats_get(void);
const gs_narrow_ints *gs_narrow_ints_get(void);

#endif
