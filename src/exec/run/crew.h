/* The threads of a process, one for each of its devices. */
#ifndef GS_EXEC_CREW_H
#define GS_EXEC_CREW_H

#include <stdint.h>

#include "base/status.h"

/* fn(ctx, i) for i in [0, n), all at once, 0 in the calling thread; returns
 * when all have.  Each uses `each` threads of its own.  n threads run or none
 * does: they may wait for each other.  GS_RESOURCE when the host gives fewer.
 */
gs_status gs_crew_run(int64_t n, int each, void (*fn)(void *ctx, int64_t i),
                      void *ctx, gs_err *e);

#endif
