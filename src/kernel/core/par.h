/* Work split over OpenMP threads: one place, so that every kernel splits in
 * the same way and none depends on how many threads there are. */
#ifndef GS_KERNEL_PAR_H
#define GS_KERNEL_PAR_H

#include <stdint.h>

/* fn(ctx, lo, hi) for ranges that cover [0, n) once.  Serial when n * cost
 * (elements touched per unit) is too small to pay for a team.  fn must give
 * the same result for any split. */
void gs_parallel(int threads, int64_t n, int64_t cost,
                 void (*fn)(void *ctx, int64_t lo, int64_t hi), void *ctx);

#endif
