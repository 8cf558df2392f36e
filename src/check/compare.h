/* Whether two tensors are equal: bytewise, or within tolerances. */
#ifndef GS_EXEC_COMPARE_H
#define GS_EXEC_COMPARE_H

#include "base/buf.h"
#include "ir/dynamic.h"

/* |got - want| <= rtol * |want| + atol + scale * max|want| for floats and
 * complex parts; NaN and infinities must stand at the same places.  Integers,
 * bools and strings must be equal. */
typedef struct gs_tolerance {
  double rtol, atol, scale;
} gs_tolerance;

/* What a different order of sums may make of numbers of this type: 1e-3 and
 * 1e-5 (scale) for f32 and finer ones; for coarser types eight units in the
 * last place of the largest number, at most half of it. */
gs_tolerance gs_tolerance_of(gs_dtype t);

typedef struct gs_comparison {
  bool equal;      /* within the tolerance everywhere */
  bool same_bytes;
  int64_t n, bad;  /* numbers compared, and how many are out of tolerance */
  int64_t worst;   /* row-major index of the worst one; -1: all are the same */
  double got, want, distance, allowed; /* there; distance may be infinite */
  uint64_t got_bits, want_bits; /* there, of integers: exact */
  double largest;  /* max|want| over finite elements */
} gs_comparison;

/* GS_NO when type or shape differ (with a message); GS_OK otherwise, the
 * answer is in *out.  Cost O(elements). */
gs_status gs_compare(const gs_tensor *got, const gs_tensor *want,
                     const gs_tolerance *tol, gs_comparison *out, gs_err *e);

/* The same for values of any kind: GS_NO when kind or length differ; *out is
 * of the first tensor that is out of tolerance, else of the last one, and
 * *worst that tensor as it should be (may be NULL). */
gs_status gs_compare_dyn(const gs_dyn *got, const gs_dyn *want,
                         const gs_tolerance *tol, gs_comparison *out,
                         const gs_tensor **worst, gs_err *e);

/* "element [3,4] is 1.5, expected 1.25: distance 0.25, allowed 1e-3" */
void gs_comparison_print(gs_buf *b, const gs_tensor *t,
                         const gs_comparison *c);

/* Hash of type, shape and bytes. */
uint64_t gs_tensor_digest(const gs_tensor *t);
uint64_t gs_dyn_digest(const gs_dyn *b);

#endif
