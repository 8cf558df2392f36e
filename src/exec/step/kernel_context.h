/* Kernels' contexts, for the steps that run kernels. */
#ifndef GS_EXEC_KERNEL_CONTEXT_H
#define GS_EXEC_KERNEL_CONTEXT_H

#include "exec/step/step.h"

/* For one thread, of operands and results whose data is not there.  Outputs
 * have at least the row's places, so that kernels may look at optional ones
 * that the node does not have. */
gs_kctx *gs_kernel_context(gs_arena *a, const gs_program *p, const gs_node *n,
                           int64_t position, gs_err *e);
/* The same on a device, with the data of constants and what it shares. */
gs_kctx *gs_kernel_context_of(gs_device *d, const gs_node *n);
/* Where the operands and results of the node lie now. */
void gs_kernel_bind(gs_device *d, gs_kctx *k);
/* What the prepared step does not read any more may go. */
void gs_kernel_let_go(gs_device *d, const gs_step *step, const gs_kctx *k);

#endif
