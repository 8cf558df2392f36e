/* Where a block lies that is a part of a window, which may be one of another:
 * of an exchange along one dim, whose result one along a later dim widens. */
#ifndef GS_EXEC_PART_H
#define GS_EXEC_PART_H

#include "exec/compile/program.h"

/* How v lies in the root of its buffer: run, pitch, runs, apart and lead. */
gs_view gs_program_view(const gs_program *p, const gs_value *v);
/* Bytes from the beginning of that root to v (see gs_buffer.at). */
size_t gs_program_at(const gs_program *p, const gs_value *v);
/* How what lies in a window as `part` says lies where that is itself a part of
 * a window.  requires: neither has groups, and the runs of `part` are whole
 * runs of `window`. */
gs_view gs_program_part_in(const gs_view *part, const gs_view *window);
/* Whether an exchange, node n, can write its result in runs of so many
 * elements: what stands behind its dim are whole ones. */
bool gs_exchange_writes_runs(const gs_node *n, int64_t run);

#endif
