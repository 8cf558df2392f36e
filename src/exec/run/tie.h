/* Outputs that are inputs of the next run.
 *
 * A tied value stays on its devices where the output is split as the input is
 * read.  A device then has two memories for it, which change places after a
 * run; or one, where the step that makes the output may write over the input
 * (exec/compile/keep.h).  What has padding, or is another value's memory, is
 * copied, block by block.  Else the value is joined, and given as one from
 * outside. */
#ifndef GS_EXEC_TIE_H
#define GS_EXEC_TIE_H

#include "exec/run/run.h"

/* A tie of an exec. */
typedef struct gs_tied {
  int out, in;      /* of the graph's lists */
  const char *name; /* of the input */
  gs_tie_way way;
  gs_dyn *value; /* JOIN: it lies in `whole` */
  void *whole;
  void **now;   /* [devices] memory of the input, unless it was given */
  void **spare; /* [devices] COPY: where it will be next */
} gs_tied;

/* Finds out what becomes of the ties of the configuration, and makes their
 * memory: all begin as zeros.  The devices are prepared. */
gs_status gs_exec_tie(gs_exec *x, gs_err *e);

#endif
