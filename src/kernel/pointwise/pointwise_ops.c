/* The pointwise operators: which loop each runs, and in what types.  f16 and
 * bf16 are computed in f32 and rounded once. */
#include <limits.h>

#include "kernel/core/convert.h"
#include "kernel/core/layout.h"
#include "kernel/pointwise/pointwise.h"

/* The type in which elements of type t are computed. */
static gs_dtype wide(gs_dtype t) {
  int bits = gs_dtype_get((int)t)->bits;
  bool narrow = gs_dtype_get((int)t)->cls == 'f' && bits >= 8 && bits < 32;
  return narrow ? GS_FLOAT : t;
}

/* A loop over operands of one type with a result of that type. */
static gs_status same(gs_kctx *k, gs_loop_id id) {
  gs_dtype t = wide(k->in[0].dtype);
  gs_pw_spec s = {.loop = gs_loop_get(id, t), .want = t, .made = t};
  if (!s.loop) return gs_kernel_no_type(k, k->in[0].dtype);
  return gs_pw_plan(k, &s);
}

/* The same with a bool result. */
static gs_status predicate(gs_kctx *k, gs_loop_id id, double p0, double p1) {
  gs_dtype t = wide(k->in[0].dtype);
  gs_pw_spec s = {.loop = gs_loop_get(id, t),
                  .want = t,
                  .made = GS_BOOL,
                  .param = {p0, p1}};
  if (!s.loop) return gs_kernel_no_type(k, k->in[0].dtype);
  return gs_pw_plan(k, &s);
}

static gs_status fold(gs_kctx *k, gs_loop_id id, bool mean) {
  gs_dtype t = wide(k->in[0].dtype);
  gs_pw_spec s = {.loop = gs_loop_get(id, t),
                  .last = mean ? gs_loop_get(GS_LOOP_SCALE, t) : NULL,
                  .chain = true,
                  .want = t,
                  .made = t,
                  .param = {k->nin, 0}};
  if (!s.loop || (mean && !s.last))
    return gs_kernel_no_type(k, k->in[0].dtype);
  if (k->nin == 1) s.loop = NULL;
  return gs_pw_plan(k, &s);
}

#define SAME_TYPE(name, ID)                                                    \
  static gs_status prep_##name(gs_kctx *k) { return same(k, GS_LOOP_##ID); }   \
  extern const gs_kernel gs_kernel_##name;                                     \
  const gs_kernel gs_kernel_##name = {prep_##name, gs_pw_run};
#define PREDICATE(name, ID)                                                    \
  static gs_status prep_##name(gs_kctx *k) {                                   \
    return predicate(k, GS_LOOP_##ID, 0, 0);                                   \
  }                                                                            \
  extern const gs_kernel gs_kernel_##name;                                     \
  const gs_kernel gs_kernel_##name = {prep_##name, gs_pw_run};
#define FOLD(name, ID, mean)                                                   \
  static gs_status prep_##name(gs_kctx *k) {                                   \
    return fold(k, GS_LOOP_##ID, mean);                                        \
  }                                                                            \
  extern const gs_kernel gs_kernel_##name;                                     \
  const gs_kernel gs_kernel_##name = {prep_##name, gs_pw_run};
#define OWN(name)                                                              \
  extern const gs_kernel gs_kernel_##name;                                     \
  const gs_kernel gs_kernel_##name = {prep_##name, gs_pw_run};

SAME_TYPE(abs, ABS)
SAME_TYPE(neg, NEG)
SAME_TYPE(ceil, CEIL)
SAME_TYPE(floor, FLOOR)
SAME_TYPE(round, ROUND)
SAME_TYPE(sign, SIGN)
SAME_TYPE(reciprocal, RECIPROCAL)
SAME_TYPE(sqrt, SQRT)
SAME_TYPE(exp, EXP)
SAME_TYPE(log, LOG)
SAME_TYPE(sin, SIN)
SAME_TYPE(cos, COS)
SAME_TYPE(tanh, TANH)
SAME_TYPE(erf, ERF)
SAME_TYPE(sigmoid, SIGMOID)
SAME_TYPE(softplus, SOFTPLUS)
SAME_TYPE(relu, RELU)
SAME_TYPE(not, NOT)
SAME_TYPE(add, ADD)
SAME_TYPE(sub, SUB)
SAME_TYPE(mul, MUL)
SAME_TYPE(div, DIV)
SAME_TYPE(and, AND)
SAME_TYPE(or, OR)
SAME_TYPE(xor, XOR)
PREDICATE(isnan, ISNAN)
PREDICATE(equal, EQUAL)
PREDICATE(greater, GREATER)
PREDICATE(greater_or_equal, GREATER_OR_EQUAL)
PREDICATE(less, LESS)
PREDICATE(less_or_equal, LESS_OR_EQUAL)
FOLD(max, MAX, false)
FOLD(min, MIN, false)
FOLD(sum, ADD, false)
FOLD(mean, ADD, true)

static gs_status prep_isinf(gs_kctx *k) {
  return predicate(k, GS_LOOP_ISINF,
                   (double)gs_node_int(k->node, "detect_negative", 1),
                   (double)gs_node_int(k->node, "detect_positive", 1));
}
OWN(isinf)

static gs_status prep_gelu(gs_kctx *k) {
  const char *how = gs_node_string(k->node, "approximate", "none");
  if (!strcmp(how, "none")) return same(k, GS_LOOP_GELU);
  if (!strcmp(how, "tanh")) return same(k, GS_LOOP_GELU_TANH);
  return gs_fail(k->err, GS_DATA, gs_node_place(k->arena, k->node),
                 "attribute approximate is '%s', not none or tanh", how);
}
OWN(gelu)

static gs_status prep_mod(gs_kctx *k) {
  bool c = gs_node_int(k->node, "fmod", 0) != 0;
  return same(k, c ? GS_LOOP_FMOD : GS_LOOP_MOD);
}
OWN(mod)

/* Floats: in the base's type.  Integer bases: by repeated multiplication in
 * int64, or in double when the exponent is a float. */
static gs_status prep_pow(gs_kctx *k) {
  gs_dtype t = wide(k->in[0].dtype);
  if (gs_dtype_get((int)t)->cls != 'f')
    t = gs_dtype_get((int)k->in[1].dtype)->cls == 'f' ? GS_DOUBLE : GS_INT64;
  for (int i = 0; i < 2; i++)
    if (!gs_convert_knows(k->in[i].dtype) ||
        gs_dtype_get((int)k->in[i].dtype)->bits < 8)
      return gs_kernel_no_type(k, k->in[i].dtype);
  gs_pw_spec s = {.loop = gs_loop_get(GS_LOOP_POW, t), .want = t, .made = t};
  return gs_pw_plan(k, &s);
}
OWN(pow)

static gs_status prep_clip(gs_kctx *k) {
  gs_dtype t = wide(k->in[0].dtype);
  bool lo = k->nin > 1 && k->in[1].rank >= 0;
  bool hi = k->nin > 2 && k->in[2].rank >= 0;
  gs_loop_id id = lo && hi  ? GS_LOOP_CLIP
                  : lo      ? GS_LOOP_CLIP_LO
                            : GS_LOOP_CLIP_HI;
  gs_loop_id one = GS_LOOP_CLIP_SAME;
  gs_pw_spec s = {.loop = gs_loop_get(id, t),
                  .single = lo && hi ? gs_loop_float(one, t) : NULL,
                  .want = t,
                  .made = t,
                  .nop = 1 + lo + hi,
                  .op = {0, lo ? 1 : 2, 2}};
  if (!s.loop) return gs_kernel_no_type(k, k->in[0].dtype);
  if (!lo && !hi) s.loop = NULL;
  return gs_pw_plan(k, &s);
}
OWN(clip)

/* Elements are only moved, so all types of a size share a loop. */
static gs_status prep_where(gs_kctx *k) {
  gs_dtype t = k->in[1].dtype, as;
  switch (gs_dtype_get((int)t)->bits) {
  case 8: as = GS_UINT8; break;
  case 16: as = GS_UINT16; break;
  case 32: as = GS_UINT32; break;
  case 64: as = GS_UINT64; break;
  case 128: as = GS_COMPLEX128; break;
  default: return gs_kernel_no_type(k, t);
  }
  gs_pw_spec s = {.loop = gs_loop_get(GS_LOOP_WHERE, as),
                  .want = t,
                  .want0 = GS_BOOL,
                  .made = t};
  return gs_pw_plan(k, &s);
}
OWN(where)

static gs_status prep_identity(gs_kctx *k) {
  if (gs_dtype_bytes((int)k->in[0].dtype, 1) < 0)
    return gs_kernel_no_type(k, k->in[0].dtype);
  return GS_OK;
}
static gs_status run_identity(gs_kctx *k) {
  const gs_view *in = &k->in[0], *out = &k->out[0];
  if (out->n == 0 || out->data == in->data) return GS_OK;
  if (out->pitch)
    gs_part_put(out, (size_t)gs_dtype_bytes((int)out->dtype, 1), 0, out->n,
                in->data);
  else
    memcpy(out->data, in->data,
           (size_t)gs_dtype_bytes((int)out->dtype, out->n));
  return GS_OK;
}
extern const gs_kernel gs_kernel_identity;
const gs_kernel gs_kernel_identity = {prep_identity, run_identity};

