#include "api/choose/noise.h"

#include <math.h>

#include "kernel/random/random.h"

/* A number in [0, 1) for an element. */
static double uniform(uint64_t seed, int64_t far, int64_t row, int64_t i) {
  uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, out[4];
  uint32_t counter[4] = {(uint32_t)far, (uint32_t)(i >> 1), (uint32_t)row,
                         0x746f6b65 ^ (uint32_t)((uint64_t)far >> 32)};
  gs_philox(counter, key, out); /* 0x746f..: none of a kernel's */
  const uint32_t *half = out + 2 * (i & 1);
  uint64_t bits = (uint64_t)half[0] << 32 | half[1];
  return (double)(bits >> 11) * 0x1p-53;
}

/* Whether -log(-log(u)) is certainly below c: it is where 1 - u is above
 * exp(-c), for log(u) is at most u - 1. */
static bool surely_below(double u, double c) {
  if (!(c > 2)) return false;
  int k = c < 36 ? (int)(c * 1.44) - 1 : 50; /* 2^-k is above exp(-c) */
  return 1 - u > ldexp(1, -k);
}

void gs_noise_add(const gs_draw *d, int64_t far, int64_t row, int64_t first,
                  int64_t n, double *x) {
  double best = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    double u = uniform(d->seed, far, row, first + i);
    if (surely_below(u, (best - x[i]) / d->temperature)) x[i] = -INFINITY;
    else x[i] -= d->temperature * log(-log(u));
    if (x[i] > best) best = x[i];
  }
}
