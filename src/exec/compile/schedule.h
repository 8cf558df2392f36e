/* The schedule: in which turn a step starts, and in which it is waited for; a
 * part of gs_program_new. */
#ifndef GS_EXEC_SCHEDULE_H
#define GS_EXEC_SCHEDULE_H

#include "exec/compile/program.h"

/* Fills in p->turn, and `start` and `wait` of the steps, which are in an order
 * in which they can run.
 *
 * ensures: steps start in the order of the program, which is the same on all
 * devices for collectives, and after all steps whose results they read were
 * waited for; they are waited for in the order in which they start.  Cost
 * O(operands * steps that are open at a time). */
void gs_program_schedule(gs_arena *a, gs_program *p, gs_schedule how);

#endif
