/* Counter-based random numbers: element i of a tensor is a function of the
 * key and i alone, so that a shard draws the numbers of its place. */
#ifndef GS_KERNEL_RANDOM_H
#define GS_KERNEL_RANDOM_H

#include <stdint.h>

#include "ir/dtype.h"

/* Philox4x32-10 (Salmon et al., SC11). */
void gs_philox(const uint32_t counter[4], const uint32_t key[2],
               uint32_t out[4]);

typedef struct gs_uniform {
  gs_dtype dtype; /* f32, f64, f16, bf16 */
  double low, high;
  uint64_t key;
} gs_uniform;

/* Elements first .. first + n of the whole tensor, in [low, high): f32 from
 * 24 bits, f64 from 53, f16 and bf16 rounded from f32 and kept below high.
 * The counter is the element's index. */
void gs_uniform_fill(const gs_uniform *u, int64_t first, int64_t n, void *out);

typedef struct gs_normal {
  gs_dtype dtype; /* f32, f64, f16, bf16 */
  double mean, scale;
  uint64_t key;
} gs_normal;

/* The same for the normal distribution: elements 2i and 2i + 1 are a pair of
 * Box and Muller's transform of the draws of counter i (whose third word is 1,
 * so that they are none of gs_uniform_fill's), in double, rounded once. */
void gs_normal_fill(const gs_normal *u, int64_t first, int64_t n, void *out);

#endif
