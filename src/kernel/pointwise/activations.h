/* Inner loops of the activations, of the functions of trigonometry and of the
 * operators on bits; used as those of loops.h are. */
#ifndef GS_KERNEL_ACTIVATIONS_H
#define GS_KERNEL_ACTIVATIONS_H

#include "kernel/pointwise/loops.h"

/* a and b are param[0] and param[1]. */
typedef enum gs_act_id {
  GS_ACT_ACOS,
  GS_ACT_ACOSH,
  GS_ACT_ASIN,
  GS_ACT_ASINH,
  GS_ACT_ATAN,
  GS_ACT_ATANH,
  GS_ACT_COSH,
  GS_ACT_SINH,
  GS_ACT_TAN,
  GS_ACT_CELU, /* x > 0 ? x : a (e^(x/a) - 1) */
  GS_ACT_ELU,  /* x > 0 ? x : a (e^x - 1) */
  GS_ACT_SELU, /* x > 0 ? b x : b a (e^x - 1) */
  GS_ACT_HARD_SIGMOID, /* a x + b, kept in [0, 1] */
  GS_ACT_HARD_SWISH,   /* x times HARD_SIGMOID with these a and b */
  GS_ACT_LEAKY_RELU,   /* x < 0 ? a x : x */
  GS_ACT_MISH,         /* x tanh(ln(1 + e^x)) */
  GS_ACT_PRELU,        /* x < 0 ? x y : x; also i64 */
  GS_ACT_SHRINK, /* x < -a: x + b; x > a: x - b; else 0; also i64 and u64 */
  GS_ACT_SOFTSIGN, /* x / (1 + |x|) */
  GS_ACT_SWISH,    /* x / (1 + e^(-a x)) */
  GS_ACT_SWIGLU,   /* SWISH of x, times y */
  GS_ACT_THRESHOLDED_RELU, /* x > a ? x : 0 */
  GS_ACT_CLAMP,            /* x kept in [a, b]; b where a > b; NaN stays */
  GS_ACT_LOG_OF_SUM,       /* y + ln x; y is in[1] */
  GS_NACT
} gs_act_id;

/* The loop for f32 or f64 on this processor, NULL for other types but those
 * that are named above. */
gs_loop *gs_act_get(gs_act_id id, gs_dtype t);

#endif
