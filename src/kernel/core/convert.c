/* Conversions go through one of three wide types that hold every value of
 * the source exactly: double (floats), int64 or uint64 (integers, bool).
 * f32 <-> f16, bf16 have direct loops. */
#include "kernel/core/convert.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/isa.h"
#ifdef GS_HAVE_X86
#include <immintrin.h>
#endif

enum { WIDE_F, WIDE_I, WIDE_U, NWIDE };
enum { BLOCK = 512 }; /* elements at a time; a multiple of 4 */

typedef void convert_fn(void *dst, const void *src, int64_t n);

/* A float of 8 bits, for its loop; codes are without the sign. */
struct f8 {
  int32_t shift;  /* bits of f32's fraction that are cut off */
  int32_t rebias; /* added to the bits of f32 by its larger bias */
  int32_t normal; /* bits of the smallest normal one as f32 */
  float magic;    /* a sum with it is a multiple of the smallest one */
  int32_t max, over, nan;
  int32_t zero; /* sign bit that zero may have */
};

struct narrow_set {
  void (*f16_to_f32)(float *, const uint16_t *, int64_t);
  void (*f32_to_f16)(uint16_t *, const float *, int64_t);
  void (*bf16_to_f32)(float *, const uint16_t *, int64_t);
  void (*f32_to_bf16)(uint16_t *, const float *, int64_t);
  void (*f32_to_f8)(uint8_t *, const float *, int64_t, const struct f8 *);
  convert_fn *widen[GS_NDTYPE];
  convert_fn *narrow[NWIDE][GS_NDTYPE];
};

/* ---- scalars ---- */

GS_INLINE float f16_decode(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, m = h & 0x7fffu;
  uint32_t u;
  if (m >= 0x7c00u) {
    u = 0x7f800000u | (m & 0x3ffu) << 13;
    if (m > 0x7c00u) u |= 0x400000u;
  } else if (m >= 0x400u) {
    u = (m << 13) + (112u << 23);
  } else { /* subnormal: m * 2^-24 */
    float f = (float)m * 0x1p-24f;
    memcpy(&u, &f, sizeof u);
  }
  u |= sign;
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

GS_INLINE uint16_t f16_encode(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  uint32_t sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  uint32_t h;
  if (a > 0x7f800000u) {
    h = 0x7e00u | ((a >> 13) & 0x3ffu);
  } else if (a >= 0x477ff000u) { /* rounds past 65504 */
    h = 0x7c00u;
  } else if (a >= 0x38800000u) {
    uint32_t r = a - (112u << 23);
    h = (r + 0xfffu + ((r >> 13) & 1u)) >> 13;
  } else { /* subnormal: adding 1/2 leaves a multiple of 2^-24 */
    float f;
    memcpy(&f, &a, sizeof f);
    f += 0.5f;
    memcpy(&h, &f, sizeof h);
    h -= 0x3f000000u;
  }
  return (uint16_t)(h | sign);
}

/* Truncations; out of range and NaN give the minimum, as x86's cvttsd2si
 * does.  Narrower integers take the low bits of the 32-bit result, u32 those
 * of the 64-bit one. */
GS_INLINE uint32_t trunc_32(double x) {
  return x > -2147483649.0 && x < 2147483648.0 ? (uint32_t)(int32_t)x
                                               : 0x80000000u;
}
GS_INLINE uint64_t trunc_64(double x) {
  return x >= -0x1p63 && x < 0x1p63 ? (uint64_t)(int64_t)x
                                    : (uint64_t)1 << 63;
}
GS_INLINE uint64_t trunc_u64(double x) {
  return x >= 0x1p63 && x < 0x1p64
             ? (uint64_t)(int64_t)(x - 0x1p63) + ((uint64_t)1 << 63)
             : trunc_64(x);
}

#define GS_STAMP "kernel/core/convert.inc"
#include "kernel/core/stamp.h"

static const struct narrow_set *loops(void) { return GS_PICK(&narrow); }

void gs_f16_to_f32(float *dst, const uint16_t *src, int64_t n) {
  loops()->f16_to_f32(dst, src, n);
}
void gs_f32_to_f16(uint16_t *dst, const float *src, int64_t n) {
  loops()->f32_to_f16(dst, src, n);
}
void gs_bf16_to_f32(float *dst, const uint16_t *src, int64_t n) {
  loops()->bf16_to_f32(dst, src, n);
}
void gs_f32_to_bf16(uint16_t *dst, const float *src, int64_t n) {
  loops()->f32_to_bf16(dst, src, n);
}

/* ---- small float formats ---- */

typedef struct format {
  int ebits, mbits, bias;
  uint32_t max;  /* code of the largest finite value */
  uint32_t over; /* what is past it, not saturating: infinity or NaN */
  uint32_t nan;
  bool uz; /* no negative zero; the code 1000... is the only NaN */
  bool clamps; /* has neither infinity nor NaN; `nan` stands for NaN */
} format;

static const format *format_of(gs_dtype t) {
  static const format f16 = {5, 10, 15, 0x7bff, 0x7c00, 0x7e00, 0, 0},
                      bf16 = {8, 7, 127, 0x7f7f, 0x7f80, 0x7fc0, 0, 0},
                      e4m3fn = {4, 3, 7, 0x7e, 0x7f, 0x7f, 0, 0},
                      e4m3fnuz = {4, 3, 8, 0x7f, 0x80, 0x80, 1, 0},
                      e5m2 = {5, 2, 15, 0x7b, 0x7c, 0x7f, 0, 0},
                      e5m2fnuz = {5, 2, 16, 0x7f, 0x80, 0x80, 1, 0},
                      e2m1 = {2, 1, 1, 7, 7, 8, 0, 1};
  switch (t) {
  case GS_FLOAT16: return &f16;
  case GS_BFLOAT16: return &bf16;
  case GS_FLOAT8E4M3FN: return &e4m3fn;
  case GS_FLOAT8E4M3FNUZ: return &e4m3fnuz;
  case GS_FLOAT8E5M2: return &e5m2;
  case GS_FLOAT8E5M2FNUZ: return &e5m2fnuz;
  case GS_FLOAT4E2M1: return &e2m1;
  default: return NULL;
  }
}

/* 2^e for -1022 <= e <= 1023. */
static double power(int e) {
  gs_assert(e >= -1022 && e <= 1023);
  uint64_t u = (uint64_t)(e + 1023) << 52;
  double x;
  memcpy(&x, &u, sizeof x);
  return x;
}

double gs_float_decode(gs_dtype t, uint32_t code) {
  if (t == GS_FLOAT8E8M0) {
    code &= 0xff;
    return code == 0xff ? (double)NAN : power((int)code - 127);
  }
  const format *f = format_of(t);
  if (!f) return 0;
  uint32_t sign = code >> (f->ebits + f->mbits) & 1;
  uint32_t low = code & ((1u << (f->ebits + f->mbits)) - 1);
  if (f->uz && sign && !low) return (double)NAN;
  if (!f->uz && low > f->max) {
    bool inf = f->over != f->nan && low == f->over;
    double x = inf ? (double)INFINITY : (double)NAN;
    return sign ? -x : x;
  }
  int e = (int)(low >> f->mbits);
  double m = (double)(low & ((1u << f->mbits) - 1));
  double x = e ? (m + (double)(1u << f->mbits)) * power(e - f->bias - f->mbits)
               : m * power(1 - f->bias - f->mbits);
  return sign ? -x : x;
}

/* A power of two (OCP microscaling scale); the sign is ignored.  Saturating
 * takes what is too small, and 0, for the smallest; else they are NaN. */
static uint32_t e8m0_encode(double x, const gs_cast_mode *mode) {
  if (isnan(x)) return 0xff;
  bool sat = !mode || mode->saturate;
  if (isinf(x)) return sat ? 0xfe : 0xff;
  if (x == 0) return sat ? 0 : 0xff;
  int e;
  double m = frexp(fabs(x), &e); /* x = 2m * 2^(e-1) */
  gs_round_mode round = mode ? mode->round : GS_ROUND_UP;
  int code = e - 1 + 127;
  if (round == GS_ROUND_UP ? m > 0.5 : round == GS_ROUND_NEAREST && m >= 0.75)
    code++;
  if (code < 0) return sat ? 0 : 0xff;
  return code <= 0xfe ? (uint32_t)code : sat ? 0xfe : 0xff;
}

uint32_t gs_float_encode(gs_dtype t, double x, const gs_cast_mode *mode) {
  if (t == GS_FLOAT8E8M0) return e8m0_encode(x, mode);
  const format *f = format_of(t);
  if (!f) return 0;
  bool f8 = gs_dtype_get((int)t)->bits == 8;
  bool sat = f->clamps || (f8 && (!mode || mode->saturate));
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  uint32_t sign = (uint32_t)(u >> 63) << (f->ebits + f->mbits);
  u &= ~((uint64_t)1 << 63);
  if (isnan(x)) return f->uz || f->clamps ? f->nan : f->nan | sign;
  uint32_t code;
  int e = (int)(u >> 52) - 1023; /* of x; below 2^-1022 it is taken for 0 */
  uint64_t m = (u & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
  int lowest = 1 - f->bias;
  int shift = 52 - f->mbits + (e < lowest ? lowest - e : 0);
  if (isinf(x)) {
    code = f->max + 1;
  } else if (e == -1023 || shift > 54) {
    code = 0;
  } else {
    uint64_t half = (uint64_t)1 << (shift - 1);
    uint64_t r = (m + half - 1 + (m >> shift & 1)) >> shift;
    /* r has its leading one when normal: it adds 1 to the exponent field. */
    uint64_t c = e < lowest ? r : r + ((uint64_t)(e - lowest) << f->mbits);
    code = c > f->max ? f->max + 1 : (uint32_t)c;
  }
  if (code > f->max) {
    if (!sat && f->uz) return f->nan;
    code = sat ? f->max : f->over;
  }
  return f->uz && !code ? 0 : code | sign;
}

/* ---- blocks ---- */

static bool is_f8(gs_dtype t) {
  return t == GS_FLOAT8E4M3FN || t == GS_FLOAT8E4M3FNUZ ||
         t == GS_FLOAT8E5M2 || t == GS_FLOAT8E5M2FNUZ;
}

bool gs_convert_knows(gs_dtype t) {
  char c = gs_dtype_get((int)t)->cls;
  return c == 'f' || c == 'i' || c == 'u' || c == 'b';
}

static int wide_of(gs_dtype t) {
  if (t == GS_UINT64) return WIDE_U;
  return gs_dtype_get((int)t)->cls == 'f' ? WIDE_F : WIDE_I;
}

/* Element i of packed codes of `bits` bits (8 at most, or 16). */
static uint32_t code_get(const uint8_t *p, int64_t i, int bits) {
  if (bits == 16) {
    uint16_t u;
    memcpy(&u, p + 2 * i, sizeof u);
    return u;
  }
  int per = 8 / bits;
  return (uint32_t)(p[i / per] >> (i % per * bits)) & ((1u << bits) - 1);
}

static void code_put(uint8_t *p, int64_t i, int bits, uint32_t code) {
  if (bits == 16) {
    uint16_t u = (uint16_t)code;
    memcpy(p + 2 * i, &u, sizeof u);
    return;
  }
  int per = 8 / bits, at = (int)(i % per) * bits;
  uint8_t old = at ? p[i / per] : 0;
  p[i / per] = (uint8_t)(old | (code & ((1u << bits) - 1)) << at);
}

/* n elements of type t at src to the wide type of t. */
static void widen(gs_dtype t, void *wide, const uint8_t *src, int64_t n) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  convert_fn *fn = loops()->widen[t];
  if (fn) {
    fn(wide, src, n);
  } else if (d->bits == 64) {
    memcpy(wide, src, (size_t)n * 8);
  } else if (d->cls == 'f') {
    double *w = wide;
    for (int64_t i = 0; i < n; i++)
      w[i] = gs_float_decode(t, code_get(src, i, d->bits));
  } else {
    int64_t *w = wide;
    int64_t sign = d->cls == 'i' ? (int64_t)1 << (d->bits - 1) : 0;
    for (int64_t i = 0; i < n; i++)
      w[i] = ((int64_t)code_get(src, i, d->bits) ^ sign) - sign;
  }
}

/* An integer of 64 bits for a format of at most 11 bits of precision: where
 * f64 cannot hold it, one bit stands for all that are lost, so that it is
 * rounded only once. */
static double wide_integer(int kind, const void *wide, int64_t i) {
  uint64_t u = ((const uint64_t *)wide)[i];
  bool minus = kind == WIDE_I && u >> 63;
  if (minus) u = -u;
  if (u >> 53) u = (u & ~(uint64_t)0xfff) | (u & 0xfff ? 0x800 : 0);
  return minus ? -(double)u : (double)u;
}

static uint32_t code_of(gs_dtype t, int kind, const void *wide, int64_t i,
                        const gs_cast_mode *mode) {
  const double *f = wide;
  const uint64_t *u = wide;
  if (gs_dtype_get((int)t)->cls == 'f')
    return gs_float_encode(
        t, kind == WIDE_F ? f[i] : wide_integer(kind, wide, i), mode);
  return kind == WIDE_F ? trunc_32(f[i]) : (uint32_t)u[i];
}

static void narrow(gs_dtype t, uint8_t *dst, int kind, const void *wide,
                   int64_t n, const gs_cast_mode *mode) {
  convert_fn *fn = loops()->narrow[kind][t];
  int bits = gs_dtype_get((int)t)->bits;
  if (fn) {
    fn(dst, wide, n);
  } else if (bits == 64) { /* the same kind, or 64-bit integers */
    memcpy(dst, wide, (size_t)n * 8);
  } else {
    for (int64_t i = 0; i < n; i++)
      code_put(dst, i, bits, code_of(t, kind, wide, i, mode));
  }
}

static void f32_to_f8(gs_dtype t, uint8_t *dst, const float *src, int64_t n,
                      const gs_cast_mode *mode) {
  const format *f = format_of(t);
  bool sat = !mode || mode->saturate;
  struct f8 p = {.shift = 23 - f->mbits,
                 .rebias = (127 - f->bias) * (1 << 23),
                 .normal = (128 - f->bias) * (1 << 23),
                 .magic = (float)power(24 - f->bias - f->mbits),
                 .max = (int32_t)f->max,
                 .over = (int32_t)(sat ? f->max : f->over),
                 .nan = (int32_t)f->nan,
                 .zero = f->uz ? 0 : 0x80};
  loops()->f32_to_f8(dst, src, n, &p);
}

/* Between floats of 8 bits and wider ones up to f32, by way of f32. */
static bool through_f32(gs_dtype to, void *dst, gs_dtype from,
                        const void *src, int64_t n,
                        const gs_cast_mode *mode) {
  bool wide_to = to == GS_FLOAT || to == GS_FLOAT16 || to == GS_BFLOAT16;
  bool wide_from =
      from == GS_FLOAT || from == GS_FLOAT16 || from == GS_BFLOAT16;
  if (!(is_f8(to) && wide_from) && !(is_f8(from) && wide_to)) return false;
  if (n < BLOCK / 2 && is_f8(from)) return false; /* not worth a table */
  float f[BLOCK], table[256];
  for (uint32_t c = 0; is_f8(from) && c < 256; c++)
    table[c] = (float)gs_float_decode(from, c);
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t m = n - at < BLOCK ? n - at : BLOCK;
    const uint8_t *s = (const uint8_t *)src + gs_dtype_bytes((int)from, at);
    uint8_t *d = (uint8_t *)dst + gs_dtype_bytes((int)to, at);
    for (int64_t i = 0; is_f8(from) && i < m; i++) f[i] = table[s[i]];
    if (is_f8(from)) gs_convert(to, d, GS_FLOAT, f, m, NULL);
    else gs_convert(GS_FLOAT, f, from, s, m, NULL);
    if (is_f8(to)) f32_to_f8(to, d, f, m, mode);
  }
  return true;
}

/* Pairs with loops of their own. */
static bool direct(gs_dtype to, void *dst, gs_dtype from, const void *src,
                   int64_t n) {
  if (to == GS_FLOAT && from == GS_FLOAT16) gs_f16_to_f32(dst, src, n);
  else if (to == GS_FLOAT16 && from == GS_FLOAT) gs_f32_to_f16(dst, src, n);
  else if (to == GS_FLOAT && from == GS_BFLOAT16) gs_bf16_to_f32(dst, src, n);
  else if (to == GS_BFLOAT16 && from == GS_FLOAT) gs_f32_to_bf16(dst, src, n);
  else return false;
  return true;
}

void gs_convert(gs_dtype to, void *dst, gs_dtype from, const void *src,
                int64_t n, const gs_cast_mode *mode) {
  if (n <= 0) return;
  if (to == from) {
    memcpy(dst, src, (size_t)gs_dtype_bytes((int)to, n));
    return;
  }
  if (direct(to, dst, from, src, n)) return;
  if (through_f32(to, dst, from, src, n, mode)) return;
  union {
    double f[BLOCK];
    int64_t i[BLOCK];
    uint64_t u[BLOCK];
  } wide;
  int kind = wide_of(from);
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t m = n - at < BLOCK ? n - at : BLOCK;
    widen(from, &wide, (const uint8_t *)src + gs_dtype_bytes((int)from, at),
          m);
    narrow(to, (uint8_t *)dst + gs_dtype_bytes((int)to, at), kind, &wide, m,
           mode);
  }
}

/* ---- one number ---- */

bool gs_element_of(gs_dtype t, double v, void *out) {
  double z = isnan(v) ? 0 : v;
  float part[2] = {(float)v, 0};
  double whole[2] = {v, 0};
  switch (t) {
#define X(name, type, min, max)                                                \
  case GS_##name: {                                                            \
    type r = z <= (double)(min) ? (min) : z >= (double)(max) ? (max) : (type)z;\
    memcpy(out, &r, sizeof r);                                                 \
    return true;                                                               \
  }
    X(INT8, int8_t, INT8_MIN, INT8_MAX)
    X(INT16, int16_t, INT16_MIN, INT16_MAX)
    X(INT32, int32_t, INT32_MIN, INT32_MAX)
    X(INT64, int64_t, INT64_MIN, INT64_MAX)
    X(UINT8, uint8_t, 0, UINT8_MAX)
    X(UINT16, uint16_t, 0, UINT16_MAX)
    X(UINT32, uint32_t, 0, UINT32_MAX)
    X(UINT64, uint64_t, 0, UINT64_MAX)
#undef X
  case GS_BOOL: *(uint8_t *)out = z > 0; return true; /* -inf: minimum */
  case GS_COMPLEX64: memcpy(out, part, sizeof part); return true;
  case GS_COMPLEX128: memcpy(out, whole, sizeof whole); return true;
  case GS_STRING: return false;
  default: break;
  }
  const gs_dtype_info *d = gs_dtype_get((int)t);
  if (d->cls != 'f') { /* fewer than 8 bits */
    bool sign = d->cls == 'i';
    double top = (double)((1 << (d->bits - sign)) - 1);
    v = fmin(fmax(z, sign ? -top - 1 : 0), top);
  }
  if (!gs_convert_knows(t)) return false;
  gs_convert(t, out, GS_DOUBLE, &v, 1, NULL);
  return true;
}
