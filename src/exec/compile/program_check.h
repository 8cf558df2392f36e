/* The verifier of compiled programs: what the planner of memory and the order
 * of steps promise, found again without trusting them. */
#ifndef GS_EXEC_PROGRAM_CHECK_H
#define GS_EXEC_PROGRAM_CHECK_H

#include "exec/compile/program.h"

/* Walks the turns as a device does and states, of every program:
 *  - what a step reads was written by an earlier one, and nothing has been
 *    written over it since, nor is until the step is waited for;
 *  - every step starts in one turn of the schedule and is waited for in one;
 *  - buffers that are alive at once, and the scratch of steps from start to
 *    wait, do not overlap, and lie in the arena;
 *  - steps that run once read what is constant, and no others run once;
 *  - blocks that lie in windows do so where the exchange wants their elements,
 *    on every device, and in the way that their producers can write;
 *  - every output is there at the end;
 * and of devices [first, first + n), which run program[0] if np is 1, else one
 * each: every collective meets the same collective on all members of its group
 * (same operator, shapes and attributes, the same members in the same order),
 * in the order in which each of them starts its own and waits for them, so that
 * none waits for ever.
 *
 * GS_INTERNAL with node and device: a program that comes from a file is
 * compiled first, which refuses what is wrong with the file.  Cost O(steps *
 * live buffers) of a program, O(collectives * members) of the devices. */
gs_status gs_program_check(const gs_program *const *program, int np,
                           int64_t first, int64_t n, gs_err *e);

#endif
