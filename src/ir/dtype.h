/* Element types: one row each, numbered as TensorProto.DataType. */
#ifndef GS_IR_DTYPE_H
#define GS_IR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  name        number  text       bits  class  .npy descr (NULL: none)
 *  class: f float, i signed, u unsigned, b bool, c complex, s string       */
#define GS_DTYPES(X)                                                           \
  X(FLOAT, 1, "f32", 32, 'f', "<f4")                                           \
  X(UINT8, 2, "u8", 8, 'u', "|u1")                                             \
  X(INT8, 3, "i8", 8, 'i', "|i1")                                              \
  X(UINT16, 4, "u16", 16, 'u', "<u2")                                          \
  X(INT16, 5, "i16", 16, 'i', "<i2")                                           \
  X(INT32, 6, "i32", 32, 'i', "<i4")                                           \
  X(INT64, 7, "i64", 64, 'i', "<i8")                                           \
  X(STRING, 8, "str", 0, 's', NULL)                                            \
  X(BOOL, 9, "bool", 8, 'b', "|b1")                                            \
  X(FLOAT16, 10, "f16", 16, 'f', "<f2")                                        \
  X(DOUBLE, 11, "f64", 64, 'f', "<f8")                                         \
  X(UINT32, 12, "u32", 32, 'u', "<u4")                                         \
  X(UINT64, 13, "u64", 64, 'u', "<u8")                                         \
  X(COMPLEX64, 14, "c64", 64, 'c', "<c8")                                      \
  X(COMPLEX128, 15, "c128", 128, 'c', "<c16")                                  \
  X(BFLOAT16, 16, "bf16", 16, 'f', NULL)                                       \
  X(FLOAT8E4M3FN, 17, "f8e4m3fn", 8, 'f', NULL)                                \
  X(FLOAT8E4M3FNUZ, 18, "f8e4m3fnuz", 8, 'f', NULL)                            \
  X(FLOAT8E5M2, 19, "f8e5m2", 8, 'f', NULL)                                    \
  X(FLOAT8E5M2FNUZ, 20, "f8e5m2fnuz", 8, 'f', NULL)                            \
  X(UINT4, 21, "u4", 4, 'u', NULL)                                             \
  X(INT4, 22, "i4", 4, 'i', NULL)                                              \
  X(FLOAT4E2M1, 23, "f4e2m1", 4, 'f', NULL)                                    \
  X(FLOAT8E8M0, 24, "f8e8m0", 8, 'f', NULL)                                    \
  X(UINT2, 25, "u2", 2, 'u', NULL)                                             \
  X(INT2, 26, "i2", 2, 'i', NULL)

typedef enum gs_dtype {
  GS_DTYPE_INVALID = -1, /* never stored; keeps the enum signed */
  GS_UNDEFINED = 0,
#define X(name, number, text, bits, cls, npy) GS_##name = number,
  GS_DTYPES(X)
#undef X
  GS_NDTYPE
} gs_dtype;

typedef struct gs_dtype_info {
  const char *name; /* ONNX's: "FLOAT" */
  const char *text; /* ours: "f32" */
  int bits;         /* 0 for strings */
  char cls;
  const char *npy;
} gs_dtype_info;

/* The row of t; a row named "?" for a number that is no data type. */
const gs_dtype_info *gs_dtype_get(int t);
/* The type whose text form is s, GS_UNDEFINED if there is none. */
gs_dtype gs_dtype_parse(const char *s);
/* Bytes of n packed elements (4- and 2-bit types round up); -1 on overflow,
 * for strings and for undefined types. */
int64_t gs_dtype_bytes(int t, int64_t n);

#endif
