/* Inner loops of the pointwise operators, one for each (operation, type). */
#ifndef GS_KERNEL_LOOPS_H
#define GS_KERNEL_LOOPS_H

#include "ir/dtype.h"

/* out[i] = f(in[0][i], ...) for i < n; out may be in[0]. param: see the
 * operation. Results do not depend on alignment, n or the position i. */
typedef void gs_loop(void *out, const void *const *in, int64_t n,
                     const double *param);

typedef enum gs_loop_id {
  GS_LOOP_ABS,
  GS_LOOP_NEG,
  GS_LOOP_CEIL,
  GS_LOOP_FLOOR,
  GS_LOOP_ROUND,
  GS_LOOP_SIGN,
  GS_LOOP_RECIPROCAL,
  GS_LOOP_SQRT,
  GS_LOOP_EXP,
  GS_LOOP_LOG,
  GS_LOOP_SIN,
  GS_LOOP_COS,
  GS_LOOP_TANH,
  GS_LOOP_ERF,
  GS_LOOP_SIGMOID,
  GS_LOOP_SOFTPLUS,
  GS_LOOP_RELU,
  GS_LOOP_GELU,
  GS_LOOP_GELU_TANH,
  GS_LOOP_NOT,
  GS_LOOP_ISINF, /* param: detect negative, detect positive (0 or 1) */
  GS_LOOP_ISNAN,
  GS_LOOP_SCALE, /* x / param[0]; floats only */
  GS_LOOP_ADD,
  GS_LOOP_SUB,
  GS_LOOP_MUL,
  GS_LOOP_DIV, /* integers: truncates; x / 0 is 0 */
  GS_LOOP_MOD, /* sign of the divisor; integers: x mod 0 is 0 */
  GS_LOOP_FMOD, /* sign of the dividend */
  GS_LOOP_POW,
  GS_LOOP_AND,
  GS_LOOP_OR,
  GS_LOOP_XOR,
  GS_LOOP_EQUAL, /* comparisons, NOT, IS*: results are bool */
  GS_LOOP_GREATER,
  GS_LOOP_GREATER_OR_EQUAL,
  GS_LOOP_LESS,
  GS_LOOP_LESS_OR_EQUAL,
  GS_LOOP_MAX, /* NaN in either operand gives NaN */
  GS_LOOP_MIN,
  GS_LOOP_CLIP_LO, /* x, lo */
  GS_LOOP_CLIP_HI, /* x, hi */
  GS_LOOP_CLIP,    /* x, lo, hi: min(max(x, lo), hi), NaN as above */
  GS_LOOP_CLIP_SAME, /* the same, of lo and hi only element 0; floats only */
  GS_LOOP_WHERE,   /* bool, x, y; types UINT8..UINT64 and COMPLEX128 stand
                      for all types of 1, 2, 4, 8 and 16 bytes */
  GS_NLOOP
} gs_loop_id;

/* The loop for this processor; NULL when there is none for t.  Types with
 * loops: f32, f64, the integers of 8 to 64 bits, bool. */
gs_loop *gs_loop_get(gs_loop_id id, gs_dtype t);
/* The same for floats only, integers and bool only. */
gs_loop *gs_loop_float(gs_loop_id id, gs_dtype t);
gs_loop *gs_loop_int(gs_loop_id id, gs_dtype t);

#endif
