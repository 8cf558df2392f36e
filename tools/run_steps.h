/* gshard-run --steps. */
#ifndef GS_TOOLS_RUN_STEPS_H
#define GS_TOOLS_RUN_STEPS_H

#include "cli.h"

/* Refuses what cannot be together with --steps. GS_USAGE. */
gs_status gs_run_steps_check(const gs_cli *c, gs_err *e);
/* Opens the records of -i and what -o names; *more false: there is no step.
 * From now on SIGINT and SIGTERM end the run after the step that is being made.
 */
gs_status gs_run_steps_begin(gs_cli *c, gs_runner *r, const gs_pair *in,
                             const gs_pair *out, bool *more, gs_err *e);
/* Makes all steps.  The files are complete also when one fails. */
gs_status gs_run_steps_make(gs_cli *c, gs_runner *r, gs_err *e);

#endif
