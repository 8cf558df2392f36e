#include "kernel/pointwise/activations.h"

#include <math.h>

#include "base/isa.h"
#include "kernel/pointwise/pointwise.h"
#include "kernel/core/support.h"
#include "kernel/pointwise/vmath.h"

enum { BLOCK = 1024 }; /* elements that stay in the cache */

#define GS_STAMP "kernel/pointwise/activations.inc"
#include "kernel/core/stamp.h"

/* ---- integers; sums and products wrap ---- */

static void prelu_i64(void *out, const void *const *in, int64_t n,
                      const double *param) {
  const int64_t *x = in[0], *slope = in[1];
  int64_t *o = out;
  (void)param;
  for (int64_t i = 0; i < n; i++)
    o[i] = x[i] < 0 ? (int64_t)((uint64_t)x[i] * (uint64_t)slope[i]) : x[i];
}

/* a and b are cut to integers. */
static int64_t whole(double v) {
  if (!(v > -0x1p63)) return INT64_MIN;
  return v < 0x1p63 ? (int64_t)v : INT64_MAX;
}

static void shrink_i64(void *out, const void *const *in, int64_t n,
                       const double *param) {
  const int64_t *x = in[0], a = whole(param[0]);
  const uint64_t b = (uint64_t)whole(param[1]);
  const int64_t low = (int64_t)(0 - (uint64_t)a);
  int64_t *o = out;
  for (int64_t i = 0; i < n; i++) {
    uint64_t v = (uint64_t)x[i];
    o[i] = (int64_t)(x[i] < low ? v + b : x[i] > a ? v - b : 0);
  }
}

/* With a below 0 everything is above it. */
static void shrink_u64(void *out, const void *const *in, int64_t n,
                       const double *param) {
  const uint64_t *x = in[0];
  const int64_t a = whole(param[0]);
  const uint64_t b = (uint64_t)whole(param[1]), low = 0 - (uint64_t)a;
  uint64_t *o = out;
  for (int64_t i = 0; i < n; i++)
    o[i] = a < 0 && x[i] < low               ? x[i] + b
           : a < 0 || x[i] > (uint64_t)a     ? x[i] - b
                                             : 0;
}

gs_loop *gs_act_get(gs_act_id id, gs_dtype t) {
  if (t == GS_FLOAT || t == GS_DOUBLE)
    return GS_PICK(table)[id][t == GS_DOUBLE];
  if (t == GS_INT64 && id == GS_ACT_PRELU) return prelu_i64;
  if (t == GS_INT64 && id == GS_ACT_SHRINK) return shrink_i64;
  if (t == GS_UINT64 && id == GS_ACT_SHRINK) return shrink_u64;
  return NULL;
}

/* ---- kernels ---- */

/* The type in which elements of type t are computed: f16 and bf16 in f32,
 * integers in 64 bits. */
static gs_dtype wide(gs_dtype t) {
  if (t == GS_FLOAT16 || t == GS_BFLOAT16) return GS_FLOAT;
  if (!gs_dtype_whole(t) || t == GS_BOOL) return t;
  return gs_dtype_get((int)t)->cls == 'u' ? GS_UINT64 : GS_INT64;
}

static gs_status plan(gs_kctx *k, gs_act_id id, double a, double b) {
  gs_dtype t = wide(k->in[0].dtype);
  gs_pw_spec s = {.loop = gs_act_get(id, t),
                  .want = t,
                  .made = t,
                  .param = {a, b}};
  if (!s.loop) return gs_kernel_no_type(k, k->in[0].dtype);
  return gs_pw_plan(k, &s);
}

/* Attributes a and b with their defaults. */
static gs_status plan_with(gs_kctx *k, gs_act_id id, const char *a, double a0,
                           const char *b, double b0) {
  return plan(k, id, gs_node_float(k->node, a, a0),
              b ? gs_node_float(k->node, b, b0) : b0);
}

#define KERNEL(name, expr)                                                     \
  static gs_status prep_##name(gs_kctx *k) { return expr; }                    \
  extern const gs_kernel gs_kernel_##name;                                     \
  const gs_kernel gs_kernel_##name = {prep_##name, gs_pw_run};

KERNEL(acos, plan(k, GS_ACT_ACOS, 0, 0))
KERNEL(acosh, plan(k, GS_ACT_ACOSH, 0, 0))
KERNEL(asin, plan(k, GS_ACT_ASIN, 0, 0))
KERNEL(asinh, plan(k, GS_ACT_ASINH, 0, 0))
KERNEL(atan, plan(k, GS_ACT_ATAN, 0, 0))
KERNEL(atanh, plan(k, GS_ACT_ATANH, 0, 0))
KERNEL(cosh, plan(k, GS_ACT_COSH, 0, 0))
KERNEL(sinh, plan(k, GS_ACT_SINH, 0, 0))
KERNEL(tan, plan(k, GS_ACT_TAN, 0, 0))
KERNEL(mish, plan(k, GS_ACT_MISH, 0, 0))
KERNEL(softsign, plan(k, GS_ACT_SOFTSIGN, 0, 0))
KERNEL(hard_swish, plan(k, GS_ACT_HARD_SWISH, 1.0 / 6, 0.5))
KERNEL(celu, plan_with(k, GS_ACT_CELU, "alpha", 1, NULL, 0))
KERNEL(elu, plan_with(k, GS_ACT_ELU, "alpha", 1, NULL, 0))
KERNEL(selu, plan_with(k, GS_ACT_SELU, "alpha", 1.6732631921768188, "gamma",
                       1.0507010221481323))
KERNEL(hard_sigmoid, plan_with(k, GS_ACT_HARD_SIGMOID, "alpha",
                               0.20000000298023224, "beta", 0.5))
KERNEL(leaky_relu, plan_with(k, GS_ACT_LEAKY_RELU, "alpha",
                             0.009999999776482582, NULL, 0))
KERNEL(shrink, plan_with(k, GS_ACT_SHRINK, "lambd", 0.5, "bias", 0))
KERNEL(swish, plan_with(k, GS_ACT_SWISH, "alpha", 1, NULL, 0))
KERNEL(swiglu, plan_with(k, GS_ACT_SWIGLU, "alpha", 1, NULL, 0))
KERNEL(thresholded_relu, plan_with(k, GS_ACT_THRESHOLDED_RELU, "alpha", 1,
                                   NULL, 0))

/* No unsigned number is below 0: the result is a copy. */
static gs_status prep_prelu(gs_kctx *k) {
  gs_dtype t = wide(k->in[0].dtype);
  if (t != GS_UINT64) return plan(k, GS_ACT_PRELU, 0, 0);
  gs_pw_spec s = {.want = k->in[0].dtype, .made = k->in[0].dtype, .nop = 1};
  return gs_pw_plan(k, &s);
}
extern const gs_kernel gs_kernel_prelu;
const gs_kernel gs_kernel_prelu = {prep_prelu, gs_pw_run};
