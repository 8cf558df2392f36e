/* Rotation of pairs of elements by angles that depend on the position. */
#ifndef GS_KERNEL_ROTARY_H
#define GS_KERNEL_ROTARY_H

#include "kernel/core/kernel.h"

/* x -> y, [batch, head, row, element] with strides in elements; the first
 * `turn` elements of a head are rotated, the others copied. cos and sin have
 * turn / 2 elements per row, of x's type. */
typedef struct gs_rotary {
  gs_dtype type; /* f32 f64 f16 bf16 */
  bool interleaved; /* pairs (0,1), (2,3), ...; else (0, h), (1, h + 1), ... */
  int64_t batch, heads, rows, head, turn;
  int64_t xb, xh, xr, yb, yh, yr;
  double scale; /* of cos and sin */
} gs_rotary;

/* at[batch * rows]: the row of cos and sin for every position. */
void gs_rotary_run(const gs_rotary *p, const void *x, void *y,
                   const void *cos, const void *sin, const int64_t *at,
                   int threads);

#endif
