/* The memory plan: lifetimes of values to offsets in one arena; a part of
 * gs_program_new.
 *
 * requires: the schedule.  ensures: of values in GS_STORAGE_ARENA, those of
 * which one is made, or read, in a turn that lies in the interval of the
 * other do not overlap, but for results that lie over operand 0. */
#ifndef GS_EXEC_MEMORY_H
#define GS_EXEC_MEMORY_H

#include "exec/compile/program.h"

/* Fills in `last` and `offset` of the buffers and p->arena_size.  Cost
 * O(operands + values * live values). */
void gs_program_memory(gs_arena *a, gs_program *p);

/* The most bytes that are wanted at once, and the first turn in which they
 * are. */
typedef struct gs_peak {
  size_t bytes;
  int turn;
} gs_peak;

/* What gs_program_memory would have to find places for.  Changes buffers
 * (`last` and `root`) as that does: either is called once, on buffers as the
 * schedule has left them. */
gs_peak gs_program_peak(gs_program *p);

#endif
