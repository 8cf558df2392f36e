/* Steps: what a device runs.
 *
 * How a step of each kind is prepared and run stands in one file per kind
 * (step_kernel.c, ...), as a row of gs_step_kinds. */
#ifndef GS_EXEC_STEP_H
#define GS_EXEC_STEP_H

#include "exec/step/device.h"

/* All work on step s of device d, on the device's thread.  Errors go to
 * d->err; the caller adds device and step. */
typedef struct gs_step_ops {
  const char *name;
  /* Once, in the order of the steps: makes d->state[s], rejects what it cannot
   * run, and raises d->scratch_size to what it wants.  Steps that run once
   * run now.  d->mem is not there yet. */
  gs_status (*prepare)(gs_device *d, int s);
  /* The places of values are known, or have changed; not for steps that run
   * once.  NULL: it looks them up when it starts. */
  void (*bind)(gs_device *d, int s);
  /* Runs it, or begins to.  Operands and results are its own until it is
   * waited for (the memory plan sees to that); the device's scratch only until
   * `start` returns, for the next step has the same. */
  gs_status (*start)(gs_device *d, int s);
  /* Returns when it has ended.  NULL: it has when `start` returns. */
  gs_status (*wait)(gs_device *d, int s);
} gs_step_ops;

extern const gs_step_ops gs_step_kernel, gs_step_collective, gs_step_dynamic,
    gs_step_region;

/* [GS_NSTEP], for gs_device_init. */
extern const gs_step_ops *const gs_step_kinds[];

#endif
