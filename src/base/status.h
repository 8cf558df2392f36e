/* Status codes and diagnostics.
 *
 * A gs_status is also the exit code of the tools: what a function returns is
 * what main() may return.  Every function that can fail takes a gs_err last
 * and has told it the place and the reason before it returns non-zero. */
#ifndef GS_BASE_STATUS_H
#define GS_BASE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "gshard.h"

/* Texts of the codes of gshard.h. */
#define GS_STATUSES(X)                                                         \
  X(OK, "success")                                                             \
  X(NO, "the answer is no: a check or comparison failed")                      \
  X(USAGE, "wrong use of the command line")                                    \
  X(DATA, "malformed input data")                                              \
  X(NOINPUT, "an input is missing or cannot be opened")                        \
  X(UNSUPPORTED, "a valid request that this version does not support")         \
  X(INTERNAL, "an internal error of gshard")                                   \
  X(RESOURCE, "out of memory, threads or descriptors")                         \
  X(CANTCREATE, "an output cannot be created or already exists")               \
  X(IO, "an input/output error, such as a full disk or a short file")          \
  X(TIMEOUT, "a timeout, or a peer was lost")                                  \
  X(MISMATCH, "ranks or plan files do not fit together")                       \
  X(SPEC, "a sharding specification that cannot be carried out")

/* The one-line description of a status code; never NULL. */
const char *gs_status_text(gs_status s);

/* At most this many diagnostics are kept; the rest are counted. */
enum { GS_MAX_DIAGS = 20 };

typedef struct gs_diag {
  gs_status code;
  bool warning;
  const char *place; /* "spec.yaml:3:9" or "m.onnx: node 'a' (Add)" or NULL */
  const char *text;
  const char *line; /* source line for the caret, or NULL */
  int col, width;   /* 1-based column and width of the caret mark */
  const char *hint; /* or NULL */
} gs_diag;

typedef struct gs_err {
  gs_arena arena;
  gs_diag diag[GS_MAX_DIAGS];
  int n;         /* diagnostics kept */
  int dropped;   /* diagnostics past GS_MAX_DIAGS */
  gs_status first; /* code of the first error, GS_OK if none */
} gs_err;

void gs_err_init(gs_err *e);
void gs_err_free(gs_err *e);
/* Forgets all diagnostics; keeps the memory. */
void gs_err_clear(gs_err *e);

/* Records an error and returns its code, so that `return gs_fail(...)` reads
 * well.  place may be NULL.  e may be NULL: the text is then lost. */
gs_status gs_fail(gs_err *e, gs_status code, const char *place,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Appends the diagnostics of `from` to e and forgets them there. */
void gs_err_move(gs_err *e, gs_err *from);
/* Records a warning. */
void gs_warn(gs_err *e, const char *place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds to the newest diagnostic. */
void gs_err_hint(gs_err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void gs_err_caret(gs_err *e, const char *line, size_t len, int col, int width);

/* Prints every diagnostic as "who: place: error: text", line, caret, hint; all
 * in one write, so that those of several processes are not mixed.
 * Bytes that are no printable UTF-8 are escaped as \xNN. */
void gs_err_print(const gs_err *e, FILE *f, const char *who, bool color);
/* The same as a JSON array of {code, warning, place, message, hint}. */
void gs_err_print_json(const gs_err *e, FILE *f);

#define GS_TRY(expr)                                                           \
  do {                                                                         \
    gs_status try_status_ = (expr);                                            \
    if (try_status_ != GS_OK) return try_status_;                              \
  } while (0)

#endif
