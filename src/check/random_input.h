/* Made-up inputs: element i of a tensor is a function of seed, name and i
 * alone, so that runs on any number of devices get the same data. */
#ifndef GS_EXEC_RANDOM_H
#define GS_EXEC_RANDOM_H

#include "ir/tensor.h"

typedef struct gs_random {
  uint64_t seed;
  bool integers;  /* floats get small integers: -2 .. 2 */
  bool ranged;    /* integers (and floats) lie in [low, high) */
  int64_t low, high;
} gs_random;

/* Floats: normal with mean 0 and variance 1 (Box-Muller on Philox4x32-10),
 * or uniform in the range.  Integers and bools: 0 or 1, or uniform in the
 * range.  GS_UNSUPPORTED for strings, GS_USAGE for an empty range or one that
 * the type cannot hold. */
gs_status gs_random_tensor(gs_arena *a, const char *name, gs_dtype dtype,
                           int rank, const int64_t *dims, const gs_random *r,
                           gs_tensor **out, gs_err *e);

/* "LO:HI" */
gs_status gs_random_range(gs_random *r, const char *text, gs_err *e);

#endif
