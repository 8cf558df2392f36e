/* Reductions over the members of a group, in ascending order. */
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "exec/comm/comm.h"
#include "kernel/core/convert.h"

enum { BLOCK = 512 }; /* elements that stay in the first-level cache */

/* acc[j] = acc[j] combined with x[j]; one function per type and reduction. */
#define COMBINE(name, type, expr)                                              \
  static void name(type *restrict acc, const type *restrict x, int n) {        \
    for (int j = 0; j < n; j++) {                                              \
      type a = acc[j], b = x[j];                                               \
      acc[j] = (type)(expr);                                                   \
    }                                                                          \
  }

/* NaN wins over numbers. */
#define FLOATS(type, tag)                                                      \
  COMBINE(tag##_sum, type, a + b)                                              \
  COMBINE(tag##_prod, type, a *b)                                              \
  COMBINE(tag##_max, type, b > a || b != b ? b : a)                            \
  COMBINE(tag##_min, type, b < a || b != b ? b : a)

/* Sums and products wrap round: they are computed in an unsigned type of at
 * least 32 bits. */
#define INTEGERS(type, wide, tag)                                              \
  COMBINE(tag##_sum, type, (wide)a + (wide)b)                                  \
  COMBINE(tag##_prod, type, (wide)a *(wide)b)                                  \
  COMBINE(tag##_max, type, b > a ? b : a)                                      \
  COMBINE(tag##_min, type, b < a ? b : a)

/*    number of the type, C type, what it is computed in, name */
#define FLOAT_TYPES(X)                                                         \
  X(FLOAT, float, f32)                                                         \
  X(DOUBLE, double, f64)
#define INTEGER_TYPES(X)                                                       \
  X(INT8, int8_t, uint32_t, i8)                                                \
  X(INT16, int16_t, uint32_t, i16)                                             \
  X(INT32, int32_t, uint32_t, i32)                                             \
  X(INT64, int64_t, uint64_t, i64)                                             \
  X(UINT8, uint8_t, uint32_t, u8)                                              \
  X(UINT16, uint16_t, uint32_t, u16)                                           \
  X(UINT32, uint32_t, uint32_t, u32)                                           \
  X(UINT64, uint64_t, uint64_t, u64)

#define X(number, type, tag) FLOATS(type, tag)
FLOAT_TYPES(X)
#undef X
#define X(number, type, wide, tag) INTEGERS(type, wide, tag)
INTEGER_TYPES(X)
#undef X
COMBINE(bool_or, uint8_t, a || b)
COMBINE(bool_and, uint8_t, a && b)


static void combine(gs_dtype t, gs_reduce r, void *acc, const void *x, int n) {
#define FOUR(type, tag)                                                        \
  switch (r) {                                                                 \
    case GS_REDUCE_SUM: tag##_sum((type *)acc, (const type *)x, n); break;     \
    case GS_REDUCE_PROD: tag##_prod((type *)acc, (const type *)x, n); break;   \
    case GS_REDUCE_MAX: tag##_max((type *)acc, (const type *)x, n); break;     \
    case GS_REDUCE_MIN: tag##_min((type *)acc, (const type *)x, n); break;     \
    case GS_NREDUCE: break;                                                    \
  }                                                                            \
  break;
  switch ((int)t) {
#define X(number, type, tag) case GS_##number: FOUR(type, tag)
    FLOAT_TYPES(X)
#undef X
#define X(number, type, wide, tag) case GS_##number: FOUR(type, tag)
    INTEGER_TYPES(X)
#undef X
    case GS_BOOL:
      if (r == GS_REDUCE_SUM || r == GS_REDUCE_MAX) bool_or(acc, x, n);
      else bool_and(acc, x, n);
      break;
  }
#undef FOUR
}

/* f16 and bf16: f32 in between, rounded once. */
static void reduce_half(gs_dtype t, gs_reduce r, int n, const void *const *in,
                        void *out, int64_t count) {
  float acc[BLOCK], x[BLOCK];
  gs_assert(n >= 1 && (t == GS_FLOAT16 || t == GS_BFLOAT16));
  for (int64_t at = 0; at < count; at += BLOCK) {
    int m = (int)gs_min(BLOCK, count - at);
    gs_convert(GS_FLOAT, acc, t, (const uint16_t *)in[0] + at, m, NULL);
    for (int i = 1; i < n; i++) {
      gs_convert(GS_FLOAT, x, t, (const uint16_t *)in[i] + at, m, NULL);
      combine(GS_FLOAT, r, acc, x, m);
    }
    gs_convert(t, (uint16_t *)out + at, GS_FLOAT, acc, m, NULL);
  }
}

static bool reducible(gs_dtype t) {
  char c = gs_dtype_get((int)t)->cls;
  int bits = gs_dtype_get((int)t)->bits;
  return bits >= 8 && (c == 'i' || c == 'u' || c == 'b' ||
                       (c == 'f' && bits >= 16));
}

gs_status gs_reduce_many(gs_dtype t, gs_reduce r, int n,
                         const void *const *in, void *out, int64_t count,
                         gs_err *e) {
  if (!reducible(t))
    return gs_fail(e, GS_UNSUPPORTED, NULL, "no %s reduction of %s",
                   gs_reduce_text(r), gs_dtype_get((int)t)->text);
  if (t == GS_FLOAT16 || t == GS_BFLOAT16) {
    reduce_half(t, r, n, in, out, count);
    return GS_OK;
  }
  size_t size = gs_span(t, 1);
  gs_assert(n >= 1 && size <= sizeof(double));
  _Alignas(64) char acc[BLOCK * sizeof(double)];
  for (int64_t at = 0; at < count; at += BLOCK) {
    int m = (int)gs_min(BLOCK, count - at);
    size_t skip = (size_t)at * size;
    memcpy(acc, (const char *)in[0] + skip, (size_t)m * size);
    for (int i = 1; i < n; i++)
      combine(t, r, acc, (const char *)in[i] + skip, m);
    memcpy((char *)out + skip, acc, (size_t)m * size);
  }
  return GS_OK;
}

void gs_reduce_part(int64_t total, int n, int i, int64_t *first,
                    int64_t *count) {
  gs_assert(n >= 1 && i >= 0 && i < n);
  int64_t part = gs_ceil_div(gs_ceil_div(total, n), 64) * 64;
  *first = gs_min(i * part, total);
  *count = gs_min(part, total - *first);
}
