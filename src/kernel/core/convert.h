/* Conversions between element types, exact or rounded once to nearest even.
 *
 * Rules are those of ONNX Cast: floats to integers truncate (out of range: as
 * x86 converts, see convert.c), integers to integers keep the low bits, zero
 * is false and all else true.  Float rounding is to nearest even; beyond the
 * range f16, bf16 and f32 give infinities; f8 gives what `saturate` says; f4
 * always saturates. */
#ifndef GS_KERNEL_CONVERT_H
#define GS_KERNEL_CONVERT_H

#include "base/status.h"
#include "ir/dtype.h"

typedef enum gs_round_mode { /* of f8e8m0 only */
  GS_ROUND_UP,
  GS_ROUND_DOWN,
  GS_ROUND_NEAREST
} gs_round_mode;

typedef struct gs_cast_mode {
  bool saturate; /* f8 only; ONNX's default is true */
  gs_round_mode round;
} gs_cast_mode;

/* Whether gs_convert knows t: every type but strings and complex numbers. */
bool gs_convert_knows(gs_dtype t);

/* dst[i] = (to)src[i] for n elements.  Both start at a byte boundary (4- and
 * 2-bit types: two or four elements to a byte, first in the low bits; unused
 * bits of the last byte become 0).  mode NULL: saturating, rounding up.
 * dst and src are aligned to their elements and do not overlap.  Cost O(n). */
void gs_convert(gs_dtype to, void *dst, gs_dtype from, const void *src,
                int64_t n, const gs_cast_mode *mode);

/* v as one element of type t at `out` (16 bytes, aligned), a code of a packed
 * type in the low bits of a byte: rounded, and integers saturate; NaN becomes 0
 * in them, and only what is above 0 is true.  False for strings. */
bool gs_element_of(gs_dtype t, double v, void *out);

/* Bulk forms, used by kernels that compute in f32. */
void gs_f16_to_f32(float *dst, const uint16_t *src, int64_t n);
void gs_f32_to_f16(uint16_t *dst, const float *src, int64_t n);
void gs_bf16_to_f32(float *dst, const uint16_t *src, int64_t n);
void gs_f32_to_bf16(uint16_t *dst, const float *src, int64_t n);

/* One element. code is the type's bit pattern; float types of at most 16 bits
 * only (the others: GS_UNDEFINED behaviour is a zero). */
double gs_float_decode(gs_dtype t, uint32_t code);
uint32_t gs_float_encode(gs_dtype t, double x, const gs_cast_mode *mode);

#endif
