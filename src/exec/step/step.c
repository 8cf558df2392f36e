#include "exec/step/step.h"

const gs_step_ops *const gs_step_kinds[GS_NSTEP] = {
    [GS_STEP_KERNEL] = &gs_step_kernel,
    [GS_STEP_COLLECTIVE] = &gs_step_collective,
    [GS_STEP_GROUP] = &gs_step_group,
    [GS_STEP_DYNAMIC] = &gs_step_dynamic,
    [GS_STEP_REGION] = &gs_step_region,
};
