/* Outputs that stay where they are from one run to the next. */
#ifndef GS_EXEC_KEEP_H
#define GS_EXEC_KEEP_H

#include "exec/compile/program.h"

/* What a device has of input `in` where all that reads it has it split as
 * `split` (NULL: whole); NULL where it is not so. */
const gs_value *gs_program_held(const gs_program *p, const gs_value *in,
                                const gs_sharding *split);
/* Gives the outputs of how->tie memory of their own (GS_STORAGE_KEPT), where a
 * step makes them, each device has the input as it has the output, and no
 * block has padding.  requires: gathers.  Before the memory plan. */
void gs_program_keep(gs_arena *a, gs_program *p, const gs_compile *how);
/* Whether step s may write its kept result i over the input that it becomes:
 * the row allows it, and nobody reads the input later. */
bool gs_program_over(const gs_program *p, const gs_step *s, int i);
/* Whether the row of a step lets result i have the memory of operand k. */
bool gs_step_allows(const gs_step *s, int i, int k);

#endif
