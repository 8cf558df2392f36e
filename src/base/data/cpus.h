/* Sets of processors, numbered as the system numbers them. */
#ifndef GS_BASE_CPUS_H
#define GS_BASE_CPUS_H

#include "base/buf.h"

typedef struct gs_cpus {
  uint64_t *word; /* [words] a bit for each processor */
  size_t words;
} gs_cpus;

/* Those that the calling thread may use: what its cgroup, taskset(1) or a
 * launcher has left it.  Where the system does not say, processor 0. */
gs_cpus gs_cpus_allowed(gs_arena *a);
/* An empty set with room for what s has room for. */
gs_cpus gs_cpus_none(gs_arena *a, const gs_cpus *s);
void gs_cpus_add(gs_cpus *s, int64_t i);
bool gs_cpus_has(const gs_cpus *s, int64_t i);
/* s becomes the union of both, which have the same room. */
void gs_cpus_join(gs_cpus *s, const gs_cpus *more);
/* Whether all of `part` are in s. */
bool gs_cpus_within(const gs_cpus *part, const gs_cpus *s);
int64_t gs_cpus_count(const gs_cpus *s);
/* The first that is at least `from`; -1: there is none. */
int64_t gs_cpus_next(const gs_cpus *s, int64_t from);
/* Lets the calling thread, and those that it makes, use these alone.  False:
 * the system does not. */
bool gs_cpus_bind(const gs_cpus *s);
/* "0-3,8" */
void gs_cpus_print(gs_buf *b, const gs_cpus *s);

#endif
