/* BitShift, BitwiseAnd, BitwiseNot, BitwiseOr, BitwiseXor and BitCast.
 *
 * The bits of a type do not depend on its sign, so that signed integers run
 * the loops of unsigned ones; only a shift to the right differs. */
#include "kernel/pointwise/pointwise.h"
#include "kernel/core/layout.h"
#include "kernel/core/support.h"

/* ---- loops: shared by the types of a size ---- */

#define LOOP(op, T, expr)                                                      \
  static void op##_##T(void *out, const void *const *in, int64_t n,            \
                       const double *param) {                                  \
    const T *v = in[0], *w = in[1];                                            \
    T *o = out;                                                                \
    (void)param;                                                               \
    for (int64_t i = 0; i < n; i++) {                                          \
      const T x = v[i], y = w[i];                                              \
      o[i] = (T)(expr);                                                        \
    }                                                                          \
  }
#define NOT(T)                                                                 \
  static void not_##T(void *out, const void *const *in, int64_t n,             \
                      const double *param) {                                   \
    const T *v = in[0];                                                        \
    T *o = out;                                                                \
    (void)param;                                                               \
    for (int64_t i = 0; i < n; i++) o[i] = (T)~v[i];                           \
  }
/* Shifts by the width or more (by less than 0 when seen as signed) leave what
 * the sign gives: 0, or -1 to the right of a negative number. */
#define WIDTH(T) (8 * (int)sizeof(T))
#define UNSIGNED(T)                                                            \
  NOT(T)                                                                       \
  LOOP(and, T, x & y)                                                          \
  LOOP(or, T, x | y)                                                           \
  LOOP(xor, T, x ^ y)                                                          \
  LOOP(left, T, y < WIDTH(T) ? (uint64_t)x << y : 0)                           \
  LOOP(right, T, y < WIDTH(T) ? x >> y : 0)
/* >> of a negative number copies its sign in every compiler that is used. */
#define SIGNED(T)                                                              \
  LOOP(right, T, x >> (y >= 0 && y < WIDTH(T) ? y : WIDTH(T) - 1))
UNSIGNED(uint8_t)
UNSIGNED(uint16_t)
UNSIGNED(uint32_t)
UNSIGNED(uint64_t)
SIGNED(int8_t)
SIGNED(int16_t)
SIGNED(int32_t)
SIGNED(int64_t)

typedef gs_loop *by_size[4]; /* of 1, 2, 4 and 8 bytes */
#define SIZES(op, u)                                                           \
  {op##_##u##int8_t, op##_##u##int16_t, op##_##u##int32_t, op##_##u##int64_t}
static const by_size and_loops = SIZES(and, u);
static const by_size or_loops = SIZES(or, u);
static const by_size xor_loops = SIZES(xor, u);
static const by_size not_loops = SIZES(not, u);
static const by_size left_loops = SIZES(left, u);
static const by_size right_loops = SIZES(right, u);
static const by_size signed_right_loops = SIZES(right, );

/* ---- kernels ---- */

static gs_status plan(gs_kctx *k, const by_size loops) {
  gs_dtype t = k->in[0].dtype;
  if (!gs_dtype_whole(t) || t == GS_BOOL) return gs_kernel_no_type(k, t);
  int bits = gs_dtype_get((int)t)->bits;
  gs_pw_spec s = {.loop = loops[bits == 8    ? 0
                                : bits == 16 ? 1
                                : bits == 32 ? 2
                                             : 3],
                  .want = t,
                  .made = t};
  return gs_pw_plan(k, &s);
}

static gs_status prep_shift(gs_kctx *k) {
  const char *way = gs_node_string(k->node, "direction", "");
  if (!strcmp(way, "LEFT")) return plan(k, left_loops);
  bool sign = gs_dtype_get((int)k->in[0].dtype)->cls == 'i';
  return plan(k, sign ? signed_right_loops : right_loops);
}

static gs_status prep_and(gs_kctx *k) { return plan(k, and_loops); }
static gs_status prep_or(gs_kctx *k) { return plan(k, or_loops); }
static gs_status prep_xor(gs_kctx *k) { return plan(k, xor_loops); }
static gs_status prep_not(gs_kctx *k) { return plan(k, not_loops); }

extern const gs_kernel gs_kernel_bit_shift, gs_kernel_bitwise_and,
    gs_kernel_bitwise_or, gs_kernel_bitwise_xor, gs_kernel_bitwise_not,
    gs_kernel_bit_cast;
const gs_kernel gs_kernel_bit_shift = {prep_shift, gs_pw_run};
const gs_kernel gs_kernel_bitwise_and = {prep_and, gs_pw_run};
const gs_kernel gs_kernel_bitwise_or = {prep_or, gs_pw_run};
const gs_kernel gs_kernel_bitwise_xor = {prep_xor, gs_pw_run};
const gs_kernel gs_kernel_bitwise_not = {prep_not, gs_pw_run};

/* A bool is one byte of 0 or 1: any other byte is made 1. */
static gs_status bit_cast_run(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t bytes = gs_dtype_bytes((int)x->dtype, x->n);
  if (bytes < 0) return gs_kernel_no_type(k, x->dtype);
  if (bytes && x->data != y->data && y->pitch)
    gs_part_put(y, (size_t)(bytes / x->n), 0, y->n, x->data);
  else if (bytes && x->data != y->data)
    memcpy(y->data, x->data, (size_t)bytes);
  uint8_t *to = y->data;
  for (int64_t i = 0; y->dtype == GS_BOOL && i < y->n; i++)
    to[gs_part_place(y, i)] = to[gs_part_place(y, i)] != 0;
  return GS_OK;
}
const gs_kernel gs_kernel_bit_cast = {NULL, bit_cast_run};
