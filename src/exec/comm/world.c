/* What all ranks do by the calls of world_mpi.c, and what stands in for these
 * in builds without MPI. */
#include "exec/comm/world.h"

#include <stdlib.h>
#include <string.h>


#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

gs_status gs_world_agree(gs_world *w, gs_status mine, gs_status *all,
                         int *rank, gs_err *e) {
  /* The largest number is that of the lowest rank that failed. */
  uint64_t x = 0;
  if (mine) x = ((uint64_t)(w->nrank - w->rank) << 32) | (uint32_t)mine;
  GS_TRY(gs_world_reduce(w, &x, 1, false, e));
  *all = (gs_status)(uint32_t)x;
  *rank = x ? w->nrank - (int)(x >> 32) : -1;
  return GS_OK;
}

gs_status gs_world_max(gs_world *w, double *x, gs_err *e) {
  return gs_world_reduce(w, x, 1, true, e);
}

/* ---- claims ---- */

/* The lowest rank among those that say what most say, and how many. */
static int most_of(const gs_said *said, int n, int *count) {
  int best = 0;
  *count = 0;
  for (int i = 0; i < n; i++) {
    int same = 0;
    for (int k = 0; k < n; k++) same += said[k].hash == said[i].hash;
    if (same > *count) {
      *count = same;
      best = i;
    }
    if (2 * same > n) break;
  }
  return best;
}

gs_status gs_world_differ(const gs_world *w, const char *what,
                          const gs_said *said, gs_err *e) {
  int count, best = most_of(said, w->nrank, &count);
  gs_arena a;
  gs_arena_init(&a);
  const char *as = gs_world_name(&a, w, best);
  if (count > 1) as = gs_sprintf(&a, "%s and %d more", as, count - 1);
  for (int r = 0; r < w->nrank; r++)
    if (said[r].hash != said[best].hash)
      gs_fail(e, GS_MISMATCH, NULL, "%s has a different %s: %s, not %s as on "
              "%s",
              gs_world_name(&a, w, r), what, said[r].text, said[best].text,
              as);
  gs_arena_free(&a);
  return GS_MISMATCH;
}

gs_status gs_world_compare(gs_world *w, const gs_claim *claim, int n,
                           gs_err *e) {
  gs_arena *a = &e->arena; /* outlives a wait that is given up */
  uint64_t *max = GS_NEWS(a, 2 * n + 1, uint64_t);
  for (int i = 0; i < n; i++) {
    max[2 * i] = claim[i].hash;
    max[2 * i + 1] = ~claim[i].hash;
  }
  GS_TRY(gs_world_reduce(w, max, 2 * n, false, e));
  int at = 0;
  while (at < n && max[2 * at] == ~max[2 * at + 1]) at++;
  if (at == n) return GS_OK;
  gs_said *mine = GS_NEW(a, gs_said);
  gs_said *all = GS_NEWS(a, w->nrank, gs_said);
  mine->hash = claim[at].hash;
  strncpy(mine->text, claim[at].text, sizeof mine->text - 1);
  GS_TRY(gs_world_gather(w, mine, sizeof *mine, all, e));
  return gs_world_differ(w, claim[at].what, all, e);
}

#ifndef HAVE_MPI

const char *gs_world_library(gs_arena *a) {
  (void)a;
  return NULL;
}

gs_status gs_world_init(gs_arena *a, double timeout, gs_world **out,
                        gs_err *e) {
  (void)a, (void)timeout;
  *out = NULL;
  return gs_fail(e, GS_UNSUPPORTED, NULL,
                 "the mpi transport is not in this build of gshard "
                 "(configured without MPI)");
}

/* Without a world nobody can call these. */
static _Noreturn void never(void) { abort(); }
void gs_world_abort(gs_world *w, int code) {
  (void)w;
  _Exit(code);
}
gs_status gs_world_share(gs_world *w, gs_arena *a, int most, gs_err *e) {
  (void)w, (void)a, (void)most, (void)e;
  never();
}
bool gs_world_shares(const gs_world *w) {
  (void)w;
  never();
}
void gs_world_chunk(gs_world *w, size_t bytes) { (void)w, (void)bytes; }
gs_status gs_world_finalize(gs_world *w, gs_err *e) {
  (void)w, (void)e;
  never();
}
gs_status gs_world_reduce(gs_world *w, void *p, int n, bool real, gs_err *e) {
  (void)w, (void)p, (void)n, (void)real, (void)e;
  never();
}
gs_status gs_world_gather(gs_world *w, const void *p, size_t n, void *all,
                          gs_err *e) {
  (void)w, (void)p, (void)n, (void)all, (void)e;
  never();
}
gs_status gs_world_bcast(gs_world *w, void *p, uint64_t n, gs_err *e) {
  (void)w, (void)p, (void)n, (void)e;
  never();
}
gs_status gs_world_send(gs_world *w, int to, const void *p, size_t n,
                        gs_err *e) {
  (void)w, (void)to, (void)p, (void)n, (void)e;
  never();
}
gs_status gs_world_recv(gs_world *w, int from, void *p, size_t n, gs_err *e) {
  (void)w, (void)from, (void)p, (void)n, (void)e;
  never();
}
void gs_world_blame(gs_world *w, gs_err *e) {
  (void)w, (void)e;
  never();
}
void gs_world_speak(gs_world *w) {
  (void)w;
  never();
}
gs_status gs_comm_mpi(gs_world *w, gs_team *t, gs_arena *a, int64_t position,
                      int64_t ndevice, gs_comm **out, gs_err *e) {
  (void)w, (void)t, (void)a, (void)position, (void)ndevice, (void)out,
      (void)e;
  never();
}

#endif
