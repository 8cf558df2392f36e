/* gshard-run --steps. */
#ifndef GS_TOOLS_RUN_STEPS_H
#define GS_TOOLS_RUN_STEPS_H

#include "cli.h"

/* Refuses what cannot be together with --steps, or is nothing without it.
 * GS_USAGE. */
gs_status gs_run_steps_check(const gs_cli *c, gs_err *e);
/* What the command line says of the steps, on rank 0 (`first`) or another one.
 * From now on SIGINT and SIGTERM end the run after the step that is being made.
 * GS_USAGE. */
gs_status gs_run_steps_options(gs_cli *c, const gs_pair *in,
                               const gs_pair *out, bool first,
                               gs_steps_options *o, gs_err *e);
/* Makes all steps.  The files are complete also when one fails. */
gs_status gs_run_steps_make(gs_cli *c, gs_runner *r, gs_err *e);

#endif
