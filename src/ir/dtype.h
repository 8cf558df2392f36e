/* Element types: one row each of those that gshard.h numbers. */
#ifndef GS_IR_DTYPE_H
#define GS_IR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gshard.h"

/*  name        text       bits  class  .npy descr (NULL: none)
 *  class: f float, i signed, u unsigned, b bool, c complex, s string       */
#define GS_DTYPES(X)                                                           \
  X(FLOAT, "f32", 32, 'f', "<f4")                                              \
  X(UINT8, "u8", 8, 'u', "|u1")                                                \
  X(INT8, "i8", 8, 'i', "|i1")                                                 \
  X(UINT16, "u16", 16, 'u', "<u2")                                             \
  X(INT16, "i16", 16, 'i', "<i2")                                              \
  X(INT32, "i32", 32, 'i', "<i4")                                              \
  X(INT64, "i64", 64, 'i', "<i8")                                              \
  X(STRING, "str", 0, 's', NULL)                                               \
  X(BOOL, "bool", 8, 'b', "|b1")                                               \
  X(FLOAT16, "f16", 16, 'f', "<f2")                                            \
  X(DOUBLE, "f64", 64, 'f', "<f8")                                             \
  X(UINT32, "u32", 32, 'u', "<u4")                                             \
  X(UINT64, "u64", 64, 'u', "<u8")                                             \
  X(COMPLEX64, "c64", 64, 'c', "<c8")                                          \
  X(COMPLEX128, "c128", 128, 'c', "<c16")                                      \
  X(BFLOAT16, "bf16", 16, 'f', NULL)                                           \
  X(FLOAT8E4M3FN, "f8e4m3fn", 8, 'f', NULL)                                    \
  X(FLOAT8E4M3FNUZ, "f8e4m3fnuz", 8, 'f', NULL)                                \
  X(FLOAT8E5M2, "f8e5m2", 8, 'f', NULL)                                        \
  X(FLOAT8E5M2FNUZ, "f8e5m2fnuz", 8, 'f', NULL)                                \
  X(UINT4, "u4", 4, 'u', NULL)                                                 \
  X(INT4, "i4", 4, 'i', NULL)                                                  \
  X(FLOAT4E2M1, "f4e2m1", 4, 'f', NULL)                                        \
  X(FLOAT8E8M0, "f8e8m0", 8, 'f', NULL)                                        \
  X(UINT2, "u2", 2, 'u', NULL)                                                 \
  X(INT2, "i2", 2, 'i', NULL)

typedef struct gs_dtype_info {
  const char *name; /* ONNX's: "FLOAT" */
  const char *text; /* ours: "f32" */
  int bits;         /* 0 for strings */
  char cls;
  const char *npy;
} gs_dtype_info;

/* The row of t; a row named "?" for a number that is not a data type. */
const gs_dtype_info *gs_dtype_get(int t);
/* The type whose text form is s, GS_UNDEFINED if there is none. */
gs_dtype gs_dtype_parse(const char *s);
/* Bytes of n packed elements (4- and 2-bit types round up); -1 on overflow,
 * for strings and for undefined types. */
int64_t gs_dtype_bytes(int t, int64_t n);

#endif
