/* What steps on dynamic values and regions share. */
#ifndef GS_EXEC_STEP_DYNAMIC_H
#define GS_EXEC_STEP_DYNAMIC_H

#include "exec/step/step.h"

/* The call of a node on dynamic values, on one device. */
typedef struct gs_dynstep {
  gs_dyncall call;
  gs_dyn *view;   /* [nin] of operands that do not lie in dynamic values */
  gs_arena arena; /* for the time of one run */
} gs_dynstep;

/* Makes x ready to run step s of d; it is freed with d. */
void gs_dynstep_init(gs_dynstep *x, gs_device *d, int s);
/* Runs it: binds operands, stores results, drops dynamic values that nobody
 * reads after it. */
gs_status gs_dynstep_run(gs_dynstep *x, gs_device *d, int s);
/* Whether b is a tensor of the type and shape of v. */
bool gs_dynstep_fits(const gs_dyn *b, const gs_value *v);

#endif
