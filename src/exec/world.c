/* Whether there is an MPI world, and what stands in for comm_mpi.c in builds
 * without MPI. */
#include "exec/world.h"

#include <stdlib.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

bool gs_world_launched(void) {
  static const char *const set[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK",
                                    "PMI_RANK", "PMI_ID"};
  for (size_t i = 0; i < sizeof set / sizeof *set; i++)
    if (getenv(set[i])) return true;
  return false;
}

#ifndef HAVE_MPI

gs_status gs_world_init(gs_arena *a, gs_world **out, gs_err *e) {
  (void)a;
  *out = NULL;
  return gs_fail(e, GS_UNSUPPORTED, NULL,
                 "the mpi transport is not in this build of gshard "
                 "(configured without MPI)");
}

/* Without a world nobody can call these. */
static _Noreturn void never(void) { abort(); }
void gs_world_finalize(gs_world *w) { (void)w; }
void gs_world_abort(gs_world *w, int code) {
  (void)w;
  _Exit(code);
}
void gs_world_chunk(gs_world *w, size_t bytes) { (void)w, (void)bytes; }
gs_status gs_world_agree(gs_world *w, gs_status mine, int *rank) {
  (void)w, (void)mine, (void)rank;
  never();
}
gs_status gs_world_check(gs_world *w, uint64_t plan, int version,
                         int64_t ndevice, gs_err *e) {
  (void)w, (void)plan, (void)version, (void)ndevice, (void)e;
  never();
}
void gs_world_bcast(gs_world *w, void *p, uint64_t n) {
  (void)w, (void)p, (void)n;
  never();
}
void gs_world_send(gs_world *w, int to, const void *p, size_t n) {
  (void)w, (void)to, (void)p, (void)n;
  never();
}
void gs_world_recv(gs_world *w, int from, void *p, size_t n) {
  (void)w, (void)from, (void)p, (void)n;
  never();
}
double gs_world_max(gs_world *w, double x) {
  (void)w;
  return x;
}
gs_status gs_comm_mpi(gs_world *w, gs_team *t, gs_arena *a, int64_t position,
                      int64_t ndevice, gs_comm **out, gs_err *e) {
  (void)w, (void)t, (void)a, (void)position, (void)ndevice, (void)out,
      (void)e;
  never();
}

#endif
