/* Which processors the devices of this process run on.
 *
 * What a process may use is settled before it starts, by its cgroup, taskset(1)
 * or its launcher; nothing here leaves that.  Ranks of one host that may use
 * the same processors divide them among themselves. */
#ifndef GS_EXEC_PIN_H
#define GS_EXEC_PIN_H

#include "base/data/cpus.h"
#include "exec/comm/world.h"

/* A core, or what of it may be used. */
typedef struct gs_core {
  gs_cpus cpus;
  int socket, numa; /* which, from 0 on; -1: not known */
} gs_core;

/* The cores that have processors of `allowed`, as they lie in the machine:
 * those of a socket one after another, and within it of a NUMA node.  Without
 * hwloc each processor counts as one, and no more is known.  GS_RESOURCE: the
 * machine cannot be looked at. */
gs_status gs_cores_find(gs_arena *a, const gs_cpus *allowed,
                        const gs_core **out, int *n, gs_err *e);
/* Whether sockets and NUMA nodes are known in this build. */
bool gs_cores_known(void);

/* A device's place in the machine. */
typedef struct gs_pin {
  gs_cpus cpus; /* that its threads may use; they are bound to these */
  int threads;  /* how many these are, at least 1 */
} gs_pin;

typedef struct gs_pins {
  bool bound;     /* threads of devices are bound */
  gs_cpus allowed; /* what this process may use */
  gs_pin *device; /* [n] */
} gs_pins;

/* Places the n devices of a process that may use `allowed`; `threads` of all
 * of them together, 0: as many as there are cores.  w NULL: this is the only
 * process.  Devices share cores where there are more of them.  GS_UNSUPPORTED
 * where sockets or NUMA nodes are asked for and not known. */
gs_status gs_pins_make(gs_arena *a, const gs_cpus *allowed, gs_bind_to how,
                       int threads, const gs_world *w, int64_t n, gs_pins *out,
                       gs_err *e);

#endif
