/* Inner loops of the reductions and row operators.
 *
 * Sums run over 32 lanes (element i to lane i mod 32), folded pairwise; the
 * caller splits long rows into chunks at fixed places.  So results depend on
 * the row alone, not on threads, alignment or instruction set. */
#ifndef GS_KERNEL_ROWLOOPS_H
#define GS_KERNEL_ROWLOOPS_H

#include <stdint.h>

#include "ir/dtype.h"

typedef enum gs_fold_op {
  GS_FOLD_SUM,
  GS_FOLD_PROD,
  GS_FOLD_MAX, /* NaN wins */
  GS_FOLD_MIN,
  GS_FOLD_SQUARES, /* sum of squares; partial results add */
  GS_FOLD_ABS,     /* sum of absolute values; partial results add */
  GS_NFOLD
} gs_fold_op;

enum {
  GS_CHUNK = 1024, /* elements of a row per call, at most */
  GS_LANES = 32
};

typedef struct gs_fold {
  /* *acc = *acc op (x[0] op ... x[n-1]), n <= GS_CHUNK. */
  void (*row)(void *acc, const void *x, int64_t n);
  /* acc[i] = acc[i] op x[i]. */
  void (*col)(void *acc, const void *x, int64_t n);
  /* acc[i] = acc[i] op part[i] for partial results: as col, but for
   * GS_FOLD_SQUARES and GS_FOLD_ABS, which add. */
  void (*join)(void *acc, const void *part, int64_t n);
} gs_fold;

/* t: f32, f64, i64 or u64 (integers wrap). */
const gs_fold *gs_fold_get(gs_fold_op op, gs_dtype t);

/* Softmax and normalization; T is float or double. */
typedef struct gs_row_loops {
  /* o[i] = e^(x[i] - *m), m >= x (f32: 0 below 1.2e-38); o may be x */
  void (*exp_less)(void *o, const void *x, const void *m, int64_t n);
  /* o[i] = e^(x[i] - m[i]) */
  void (*exp_less_each)(void *o, const void *x, const void *m, int64_t n);
  /* o[i] = x[i] * *s; x[i] * s[i]; x[i] - *s; x[i] - s[i] */
  void (*scale)(void *o, const void *x, const void *s, int64_t n);
  void (*scale_each)(void *o, const void *x, const void *s, int64_t n);
  void (*less)(void *o, const void *x, const void *s, int64_t n);
  void (*less_each)(void *o, const void *x, const void *s, int64_t n);
  /* *acc += sum of (x[i] - *mean)^2, n <= GS_CHUNK */
  void (*deviation)(void *acc, const void *x, const void *mean, int64_t n);
  /* o[i] = (x[i] - s[0]) * s[1] * g[i] + b[i]; b may be NULL */
  void (*normalize)(void *o, const void *x, const void *s, const void *g,
                    const void *b, int64_t n);
  /* n <= GS_CHUNK, 1 or more: *max = the largest of x (NaN may be passed over
   * where a number is larger than -inf), o[i] = e^(x[i] - *max), *sum = the sum
   * of these, all three as GS_FOLD_MAX, exp_less and GS_FOLD_SUM give them; o
   * may be x. */
  void (*powers)(void *o, const void *x, void *max, void *sum, int64_t n);
  /* the same of rows that lie one behind another, times 1 / *sum */
  void (*softmax)(void *o, const void *x, int64_t n, int64_t rows);
} gs_row_loops;

const gs_row_loops *gs_row_loops_get(gs_dtype t);

#endif
