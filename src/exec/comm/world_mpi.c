/* The ranks of an MPI job and what all of them do together: start, agree,
 * hand on values, end. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifdef HAVE_MPI /* world.c has what stands in for it otherwise */
#include "exec/comm/world_mpi.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/data/cpus.h"
#include "base/data/hash.h"
#include "exec/comm/guard.h"

enum { POLLS = 64 }; /* before a wait looks at the clock */

/* ---- starting ---- */

const char *gs_world_library(gs_arena *a) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int n;
  if (MPI_Get_library_version(text, &n) != MPI_SUCCESS) return "MPI";
  /* "Open MPI v4.1.4, package: ..", "MPICH Version:\t4.0.2\nMPICH .." */
  text[strcspn(text, ",\n")] = 0;
  char *colon = strstr(text, " Version:");
  if (!colon) return gs_strdup(a, text);
  *colon = 0;
  char *number = colon + strlen(" Version:");
  return gs_sprintf(a, "%s %s", text, number + strspn(number, " \t"));
}

/* Whether the launcher started more processes than MPI knows of. */
static gs_status check_launcher(gs_arena *a, int nrank, int started, int rank,
                                gs_err *e) {
  if (nrank > 1 || started <= 1) return GS_OK;
  /* All processes find the same; one says it. */
  if (rank > 0) _exit(GS_MISMATCH);
  gs_fail(e, GS_MISMATCH, NULL,
          "the launcher started %d processes, but each is alone in MPI",
          started);
  gs_err_hint(e, "start them by the mpirun of this program's MPI (%s)",
              gs_world_library(a));
  return GS_MISMATCH;
}

/* The hosts of all ranks. */
static void gather_hosts(mpi_world *w, gs_arena *a) {
  char mine[GS_HOST_BYTES] = "";
  char(*all)[GS_HOST_BYTES] =
      gs_alloc(a, (size_t)w->base.nrank * GS_HOST_BYTES);
  if (gethostname(mine, sizeof mine - 1)) memcpy(mine, "?", 2);
  MPI_Allgather(mine, GS_HOST_BYTES, MPI_BYTE, all, GS_HOST_BYTES, MPI_BYTE,
                w->control);
  w->base.host = all;
}

/* Who else may use just the processors that this rank may use. */
static void count_sharers(mpi_world *w, gs_arena *a) {
  MPI_Comm here;
  int me, n;
  MPI_Comm_split_type(w->control, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL,
                      &here);
  MPI_Comm_rank(here, &me);
  MPI_Comm_size(here, &n);
  gs_cpus mine = gs_cpus_allowed(a);
  uint64_t hash = gs_hash(mine.word, mine.words * sizeof *mine.word, 0);
  uint64_t *all = GS_NEWS(a, n, uint64_t);
  MPI_Allgather(&hash, 1, MPI_UINT64_T, all, 1, MPI_UINT64_T, here);
  for (int i = 0; i < n; i++) {
    if (all[i] != hash) continue;
    w->base.nsharer++;
    w->base.sharer += i < me;
  }
  MPI_Comm_free(&here);
}

/* Calls that return when all ranks have come. */
static gs_status start(mpi_world *w, gs_arena *a, gs_err *e) {
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &w->level) !=
      MPI_SUCCESS)
    return gs_fail(e, GS_RESOURCE, NULL, "MPI cannot be initialised");
  MPI_Comm_dup(MPI_COMM_WORLD, &w->data);
  MPI_Comm_dup(MPI_COMM_WORLD, &w->control);
  MPI_Comm_dup(MPI_COMM_WORLD, &w->talk);
  MPI_Comm_rank(w->control, &w->base.rank);
  MPI_Comm_size(w->control, &w->base.nrank);
  count_sharers(w, a);
  gather_hosts(w, a);
  return GS_OK;
}

/* Seconds for what MPI does without a limit.  The lowest rank speaks first,
 * and its end ends the others. */
static double limit(double timeout, int rank) {
  return timeout > 0 ? timeout + 2 * (rank < 10 ? rank : 10) : 0;
}

gs_status gs_world_init(gs_arena *a, double timeout, gs_world **out,
                        gs_err *e) {
  mpi_world *w = GS_NEW(a, mpi_world);
  gs_guard g;
  /* Before MPI sets the same variables. */
  int rank, started = gs_world_started(&rank);
  w->base.timeout = timeout;
  w->chunk = (size_t)1 << 30;
  w->no_status = MPI_STATUSES_IGNORE;
  pthread_mutex_init(&w->lock, NULL);
  GS_TRY(gs_guard_start(&g, limit(timeout, rank), GS_TIMEOUT,
                        gs_sprintf(a,
                                   "rank %d: not all ranks of the job have "
                                   "started MPI within %g seconds",
                                   rank, timeout),
                        e));
  gs_status s = start(w, a, e);
  gs_guard_end(&g);
  GS_TRY(s);
  GS_TRY(check_launcher(a, w->base.nrank, started, rank, e));
  int *max, found;
  MPI_Comm_get_attr(w->data, MPI_TAG_UB, &max, &found);
  w->most_tag = found ? *max : 32767;
  *out = &w->base;
  return gs_talk_start(w, a, e);
}

/* ---- waiting ---- */

/* Waits for a request; peer < 0: it is one of all ranks. */
static gs_status await(mpi_world *w, MPI_Request *r, int peer, gs_err *e) {
  gs_patience patience = {0};
  bool noted = false;
  for (unsigned polls = 1;; polls++) {
    int done;
    gs_mpi_lock(w);
    MPI_Test(r, &done, MPI_STATUS_IGNORE);
    bool note = !done && !noted && patience.waited > GS_NOTED_AFTER;
    if (note) gs_talk_wait(w, &peer, 1);
    if (done && noted) gs_talk_go(w, &peer, 1);
    gs_mpi_unlock(w);
    noted = noted || note;
    if (done) return GS_OK;
    if (polls <= POLLS) continue;
    double waited = gs_waited(&patience);
    if (w->base.timeout > 0 && waited > w->base.timeout) {
      if (!gs_talk_wait_on(w)) break;
      patience = (gs_patience){0};
    }
    /* Others may need the processor. */
    if (waited > GS_NOTED_AFTER) usleep(1000);
    else sched_yield();
  }
  return gs_fail(e, GS_TIMEOUT, NULL, "waited %g seconds for %s",
                 w->base.timeout,
                 peer < 0 || !e ? "the other ranks"
                          : gs_world_name(&e->arena, &w->base, peer));
}

/* ---- what all ranks do ---- */

gs_status gs_world_reduce(gs_world *base, void *p, int n, bool real,
                          gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  MPI_Request r;
  gs_arena a;
  gs_arena_init(&a);
  size_t bytes = (size_t)n * 8;
  void *mine = gs_memdup(&a, p, bytes), *max = gs_alloc(&a, bytes);
  gs_mpi_lock(w);
  MPI_Iallreduce(mine, max, n, real ? MPI_DOUBLE : MPI_UINT64_T, MPI_MAX,
                 w->control, &r);
  gs_mpi_unlock(w);
  GS_TRY(await(w, &r, -1, e)); /* else MPI may still use the memory */
  memcpy(p, max, bytes);
  gs_arena_free(&a);
  return GS_OK;
}

gs_status gs_world_gather(gs_world *base, const void *p, size_t n, void *all,
                          gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  MPI_Request r;
  gs_mpi_lock(w);
  MPI_Iallgather(p, (int)n, MPI_BYTE, all, (int)n, MPI_BYTE, w->control, &r);
  gs_mpi_unlock(w);
  return await(w, &r, -1, e);
}

gs_status gs_world_bcast(gs_world *base, void *p, uint64_t n, gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  for (uint64_t at = 0; at < n; at += w->chunk) {
    uint64_t part = n - at < w->chunk ? n - at : w->chunk;
    MPI_Request r;
    gs_mpi_lock(w);
    MPI_Ibcast((char *)p + at, (int)part, MPI_BYTE, 0, w->control, &r);
    gs_mpi_unlock(w);
    GS_TRY(await(w, &r, base->rank ? 0 : -1, e));
  }
  return GS_OK;
}

gs_status gs_world_send(gs_world *base, int to, const void *p, size_t n,
                        gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  for (size_t at = 0; at < n; at += w->chunk) {
    size_t part = n - at < w->chunk ? n - at : w->chunk;
    MPI_Request r;
    gs_mpi_lock(w);
    MPI_Isend((const char *)p + at, (int)part, MPI_BYTE, to, 0, w->control,
              &r);
    gs_mpi_unlock(w);
    GS_TRY(await(w, &r, to, e));
  }
  return GS_OK;
}

gs_status gs_world_recv(gs_world *base, int from, void *p, size_t n,
                        gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  for (size_t at = 0; at < n; at += w->chunk) {
    size_t part = n - at < w->chunk ? n - at : w->chunk;
    MPI_Request r;
    gs_mpi_lock(w);
    MPI_Irecv((char *)p + at, (int)part, MPI_BYTE, from, 0, w->control, &r);
    gs_mpi_unlock(w);
    GS_TRY(await(w, &r, from, e));
  }
  return GS_OK;
}

void gs_world_chunk(gs_world *w, size_t bytes) {
  ((mpi_world *)w)->chunk = bytes;
}

/* ---- ending ---- */

gs_status gs_world_finalize(gs_world *base, gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  MPI_Request r;
  gs_guard g;
  gs_arena a;
  gs_mpi_lock(w);
  MPI_Ibarrier(w->control, &r);
  gs_mpi_unlock(w);
  GS_TRY(await(w, &r, -1, e));
  gs_talk_stop(w);
  gs_arena_init(&a);
  GS_TRY(gs_guard_start(&g, limit(base->timeout, base->rank), GS_TIMEOUT,
                        gs_sprintf(&a,
                                   "rank %d: not all ranks of the job have "
                                   "left MPI within %g seconds",
                                   base->rank, base->timeout),
                        e));
  MPI_Comm_free(&w->data);
  MPI_Comm_free(&w->control);
  MPI_Comm_free(&w->talk);
  MPI_Finalize();
  gs_guard_end(&g);
  gs_arena_free(&a);
  pthread_mutex_destroy(&w->lock);
  return GS_OK;
}

void gs_world_abort(gs_world *base, int code) {
  mpi_world *w = (mpi_world *)base;
  gs_guard g;
  gs_guard_start(&g, 10, code, NULL, NULL);
  struct timespec until = gs_later(1000);
  pthread_mutex_timedlock(&w->lock, &until); /* or without */
  MPI_Abort(MPI_COMM_WORLD, code);
  _Exit(code);
}

#endif
