/* Constants as a device's kernels read them: where they lie, or a copy.
 *
 * A copy (of a block, or for alignment) is made when a step is prepared that
 * reads it, once for all devices of the process.  Steps that have packed a
 * constant do not read it again; when all have, a copy is freed and a mapped
 * one loses its pages, so that weights are not in memory twice. */
#ifndef GS_EXEC_HELD_H
#define GS_EXEC_HELD_H

#include <pthread.h>

#include "exec/compile/program.h"

typedef struct gs_held gs_held;

/* Blocks by what they hold.  Used by one thread, its elements by many. */
typedef struct gs_holdings {
  gs_arena *arena;
  gs_map held;   /* place and range -> gs_held */
  gs_map same;   /* file and range -> the first tensor there */
  bool join;     /* graphs open the same files: look for the same ranges */
  bool huge;     /* copies ask for large pages */
} gs_holdings;

void gs_holdings_init(gs_holdings *h, gs_arena *a, bool join, bool huge);

/* The tensor that has the elements of constant v; GS_NOINPUT when they are
 * missing. */
gs_status gs_holdings_tensor(gs_holdings *h, const gs_value *v,
                             const gs_tensor **out, gs_err *e);
/* The same constant, for steps of p. */
gs_held *gs_held_whole(gs_holdings *h, const gs_program *p, const gs_value *v,
                       const gs_tensor *t);
/* The block of slice l for the device at `position`. */
gs_held *gs_held_block(gs_holdings *h, const gs_program *p, const gs_slice *l,
                       int64_t position, const gs_tensor *t);
/* Memory of its own for v, which p computes only once. */
gs_held *gs_held_result(gs_arena *a, const gs_program *p, const gs_value *v,
                        bool huge);

/* Its elements; copied by the first that asks. */
void *gs_held_get(gs_held *h);
/* Where it stays in its file: maps its pages, so that runs do not wait for
 * them.  On so many threads; the first that asks does it. */
void gs_held_map(gs_held *h, int threads);
/* One of its readers (gs_program.readers) does not read it any more. */
void gs_held_done(gs_held *h);

#endif
