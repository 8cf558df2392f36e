/* Of gshard.h, which includes it: status, element types, diagnostics. */
#ifndef GSHARD_BASE_H
#define GSHARD_BASE_H

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

/* In a function that returns gs_status: returns what is not GS_OK. */
#define GS_TRY(expr)                                                           \
  do {                                                                         \
    gs_status try_status_ = (expr);                                            \
    if (try_status_ != GS_OK) return try_status_;                              \
  } while (0)

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

/* ---- diagnostics --------------------------------------------------------- */

/* What has gone wrong, or is noteworthy: the first 20 errors and warnings, and
 * how many more there were.  A gs_err is for one thread at a time. */
typedef struct gs_err gs_err;

typedef struct gs_diag {
  gs_status code; /* GS_OK of a warning */
  bool warning;
  const char *place; /* "spec.yaml:3:9" or "m.onnx: node 'a' (Add)" or NULL */
  const char *text;
  const char *line; /* of the source, for the mark below it; or NULL */
  int col, width;   /* of the mark, columns from 1 */
  const char *hint; /* or NULL */
} gs_diag;

/* NULL without memory. */
GS_API gs_err *gs_err_new(void);
/* NULL: nothing happens. */
GS_API void gs_err_delete(gs_err *e);
/* Forgets all of it. */
GS_API void gs_err_clear(gs_err *e);
GS_API int gs_err_count(const gs_err *e);
/* The i-th, 0 <= i < count; its texts stay until e is cleared or deleted. */
GS_API const gs_diag *gs_err_get(const gs_err *e, int i);
/* The code of the first error; GS_OK where there are warnings at most. */
GS_API gs_status gs_err_first(const gs_err *e);

/* For programs that report errors of their own with these.  gs_fail returns
 * `code`; `place` may be NULL; the hint is added to the newest diagnostic. */
GS_API gs_status gs_fail(gs_err *e, gs_status code, const char *place,
                         const char *fmt, ...) GS_FORMAT(4, 5);
GS_API void gs_warn(gs_err *e, const char *place, const char *fmt, ...)
    GS_FORMAT(3, 4);
GS_API void gs_err_hint(gs_err *e, const char *fmt, ...) GS_FORMAT(2, 3);

/* Prints all of it, "who: place: error: text" (who may be NULL), source line,
 * mark and hint, in one write.  What a terminal could obey is escaped. */
GS_API void gs_err_print(const gs_err *e, FILE *f, const char *who,
                         bool color);
/* A JSON array of {code, warning, place, message, hint}. */
GS_API void gs_err_print_json(const gs_err *e, FILE *f);

/* ---- how far it is ------------------------------------------------------- */

/* Bytes written so far, for another thread to look at. */
typedef struct gs_progress gs_progress;

/* NULL without memory. */
GS_API gs_progress *gs_progress_new(void);
GS_API void gs_progress_delete(gs_progress *p);
GS_API void gs_progress_reset(gs_progress *p);
/* total 0: not known.  Safe from any thread. */
GS_API void gs_progress_get(const gs_progress *p, uint64_t *done,
                            uint64_t *total);
/* " 1.20 GiB of 3.00 GiB", or nothing at the start, in n bytes (64 do). */
GS_API void gs_progress_text(const gs_progress *p, char *to, size_t n);

#ifdef __cplusplus
}
#endif

#endif
