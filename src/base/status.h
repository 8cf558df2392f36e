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

/* At most this many diagnostics are kept; the rest are counted. */
enum { GS_MAX_DIAGS = 20 };

/* What gshard.h knows by name only. */
struct gs_err {
  gs_arena arena;
  gs_diag diag[GS_MAX_DIAGS];
  int n;         /* diagnostics kept */
  int dropped;   /* diagnostics past GS_MAX_DIAGS */
  gs_status first; /* code of the first error, GS_OK if none */
  char reserve[256]; /* the text when there is no memory for one */
};

void gs_err_init(gs_err *e);
void gs_err_free(gs_err *e);

/* Appends the diagnostics of `from` to e and forgets them there. */
void gs_err_move(gs_err *e, gs_err *from);
/* Adds to the newest diagnostic. */
void gs_err_caret(gs_err *e, const char *line, size_t len, int col, int width);


#endif
