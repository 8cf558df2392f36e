/* gshard: sharding ONNX models over many devices, and running them.
 *
 * This is the whole public interface of libgshard; the library shows no other
 * name.
 *
 * What holds for all calls:
 * - What can fail returns a gs_status and takes a gs_err last, which may be
 *   NULL; it has then been told the place and the reason.
 * - Nothing here ends the process, installs signal or exit handlers, or
 *   changes limits, masks and settings that belong to the whole process,
 *   unless its text says so. */
#ifndef GSHARD_H
#define GSHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#define GS_API __attribute__((visibility("default")))
#define GS_FORMAT(text, rest) __attribute__((format(printf, text, rest)))
#else
#define GS_API
#define GS_FORMAT(text, rest)
#endif

/* "0.1.0", of the library that runs. */
GS_API const char *gs_version(void);

/* ---- status -------------------------------------------------------------- */

/* Also the exit codes of the tools: free of the ranges that the shell,
 * timeout(1), MPI launchers and automake use. */
typedef enum gs_status {
  GS_UNKNOWN = -1, /* within gshard only: what is asked for is known only in a
                      run; no call of this header returns it */
  GS_OK = 0,
  GS_NO = 1,           /* the answer is no: a check or comparison failed */
  GS_USAGE = 64,       /* a call or command line that makes no sense */
  GS_DATA = 65,        /* malformed input data */
  GS_NOINPUT = 66,     /* an input is missing or cannot be opened */
  GS_UNSUPPORTED = 69, /* a valid request that this version does not support */
  GS_INTERNAL = 70,    /* an error of gshard itself */
  GS_RESOURCE = 71,    /* out of memory, threads or descriptors */
  GS_CANTCREATE = 73,  /* an output cannot be created or exists already */
  GS_IO = 74,          /* an error of reading or writing, such as a full disk */
  GS_TIMEOUT = 75,     /* a timeout, or a peer was lost */
  GS_MISMATCH = 76,    /* ranks or plan files do not fit together */
  GS_SPEC = 78         /* a sharding spec that cannot be carried out */
} gs_status;

/* One line for a status; never NULL. */
GS_API const char *gs_status_text(gs_status s);

/* ---- element types ------------------------------------------------------- */

/* Numbered as TensorProto.DataType of ONNX. */
typedef enum gs_dtype {
  GS_DTYPE_INVALID = -1, /* never given out; keeps the enum signed */
  GS_UNDEFINED = 0,
  GS_FLOAT = 1,
  GS_UINT8 = 2,
  GS_INT8 = 3,
  GS_UINT16 = 4,
  GS_INT16 = 5,
  GS_INT32 = 6,
  GS_INT64 = 7,
  GS_STRING = 8,
  GS_BOOL = 9, /* one byte, 0 or 1 */
  GS_FLOAT16 = 10,
  GS_DOUBLE = 11,
  GS_UINT32 = 12,
  GS_UINT64 = 13,
  GS_COMPLEX64 = 14,
  GS_COMPLEX128 = 15,
  GS_BFLOAT16 = 16,
  GS_FLOAT8E4M3FN = 17,
  GS_FLOAT8E4M3FNUZ = 18,
  GS_FLOAT8E5M2 = 19,
  GS_FLOAT8E5M2FNUZ = 20,
  GS_UINT4 = 21, /* two in a byte, the first in the low half */
  GS_INT4 = 22,
  GS_FLOAT4E2M1 = 23,
  GS_FLOAT8E8M0 = 24,
  GS_UINT2 = 25, /* four in a byte */
  GS_INT2 = 26,
  GS_NDTYPE
} gs_dtype;

#ifdef __cplusplus
}
#endif

#endif
