/* Steps: what a device runs.
 *
 * How a step of each kind is prepared and run stands in one file per kind
 * (step_kernel.c, ...), as a row of gs_step_kinds (gs_step_ops, in
 * exec/compile/program.h). */
#ifndef GS_EXEC_STEP_H
#define GS_EXEC_STEP_H

#include "exec/step/device.h"

extern const gs_step_ops gs_step_kernel, gs_step_collective, gs_step_group,
    gs_step_dynamic, gs_step_region;

/* [GS_NSTEP], for gs_program_new. */
extern const gs_step_ops *const gs_step_kinds[];

#endif
