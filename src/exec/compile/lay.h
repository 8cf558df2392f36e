/* Where in memory all values of a program are, and when its steps run; a part
 * of gs_program_new. */
#ifndef GS_EXEC_LAY_H
#define GS_EXEC_LAY_H

#include "exec/compile/program.h"

/* requires: the steps, their readers and producers.  ensures: what margins.h,
 * schedule.h and memory.h do.  Blocks lie within the windows that exchanges
 * make of them, but for those without which much less is wanted at once.  Cost
 * that of the three; of lifetimes up to 100 times. */
gs_status gs_program_lay(gs_arena *a, gs_program *p, const gs_compile *how,
                         gs_err *e);

#endif
