/* Weights that lie in files, read ahead of their use.
 *
 * A kernel that touches a mapped page waits for the disk, one page after
 * another.  So the ranges that are going to be read are asked for first, by
 * several threads at once, and what stays mapped is put in reach of the
 * process before the first run. */
#ifndef GS_EXEC_AHEAD_H
#define GS_EXEC_AHEAD_H

#include "ir/tensor.h"

typedef struct gs_ahead gs_ahead;

/* Threads of it are at most `threads`. */
gs_ahead *gs_ahead_new(gs_arena *a, int threads);
/* Bytes [at, at + n) of f will be read. */
void gs_ahead_add(gs_ahead *x, const gs_file *f, uint64_t at, uint64_t n);
/* Brings what was added into the memory of the system, beside other work; the
 * memory of this process does not grow.  Nothing may be added from here on.
 * Too little to be worth a thread: nothing happens. */
void gs_ahead_start(gs_ahead *x);
/* Waits for that.  NULL is allowed; also without a start. */
void gs_ahead_end(gs_ahead *x);

/* Maps the pages of the n bytes at p, which lie in f's map, on the calling
 * thread: reading them later finds them there. */
void gs_ahead_map(const gs_file *f, const void *p, size_t n);

#endif
