/* The processes of a run under MPI.  Without MPI (HAVE_MPI not defined)
 * gs_world_init fails with GS_UNSUPPORTED and nothing else is ever called.
 *
 * Nothing here waits for ever: a rank that has waited `timeout` seconds asks
 * all others whether they are there.  While all answer, and one of them is at
 * work, it goes on waiting; else the call returns GS_TIMEOUT.  A rank answers
 * by a thread of its own, also while it computes. */
#ifndef GS_EXEC_WORLD_H
#define GS_EXEC_WORLD_H

#include "exec/comm/team.h"

enum { GS_HOST_BYTES = 64 };

typedef struct gs_world {
  int rank, nrank;
  int nsharer;    /* ranks on this host that may use the same processors */
  int sharer;     /* how many of these come before this one */
  double timeout; /* seconds; 0: waits for ever */
  const char (*host)[GS_HOST_BYTES]; /* [nrank] */
} gs_world;

/* Something that all ranks must have alike. */
typedef struct gs_claim {
  const char *what; /* "plan"; the same on all ranks */
  uint64_t hash;    /* what is compared */
  const char *text; /* the value for messages; its first bytes are shown */
} gs_claim;

/* One rank's side of a claim. */
typedef struct gs_said {
  uint64_t hash;
  char text[56]; /* ends with a NUL */
} gs_said;

/* Whether an MPI launcher has started this process (from its environment). */
bool gs_world_launched(void);
/* How many processes it says that it has started, and which one this is;
 * 0: it does not say. */
int gs_world_started(int *rank);
/* Name and version of the MPI library, NULL without one. */
const char *gs_world_library(gs_arena *a);

/* GS_MISMATCH when the launcher belongs to another MPI, so that every process
 * is alone.  Ends the process with GS_TIMEOUT when the other ranks do not come
 * within the timeout, for MPI itself would wait for ever. */
gs_status gs_world_init(gs_arena *a, double timeout, gs_world **out,
                        gs_err *e);
/* All ranks: leaves MPI. */
gs_status gs_world_finalize(gs_world *w, gs_err *e);
/* Ends all ranks at once with this exit code. */
_Noreturn void gs_world_abort(gs_world *w, int code);

/* "rank 2 (hostB)" */
const char *gs_world_name(gs_arena *a, const gs_world *w, int rank);

/* All ranks: *all is the status of the lowest rank that failed, which is
 * stored in *rank (-1: none failed). */
gs_status gs_world_agree(gs_world *w, gs_status mine, gs_status *all,
                         int *rank, gs_err *e);
/* All ranks, with the same n: GS_MISMATCH on every rank, with the same
 * message, unless the hashes are the same everywhere.  It names the ranks
 * that differ from most of them (of as many, from the lowest rank). */
gs_status gs_world_compare(gs_world *w, const gs_claim *claim, int n,
                           gs_err *e);
/* What gs_world_compare says about one claim that differs; said[nrank]. */
gs_status gs_world_differ(const gs_world *w, const char *what,
                          const gs_said *said, gs_err *e);
/* All ranks: p[i] becomes the largest of all; n numbers of 8 bytes, doubles
 * (real) or without sign. */
gs_status gs_world_reduce(gs_world *w, void *p, int n, bool real, gs_err *e);
/* All ranks: all[i * n ..] = rank i's p[0 .. n). */
gs_status gs_world_gather(gs_world *w, const void *p, size_t n, void *all,
                          gs_err *e);
/* All ranks: p[0 .. n) of rank 0. */
gs_status gs_world_bcast(gs_world *w, void *p, uint64_t n, gs_err *e);
gs_status gs_world_send(gs_world *w, int to, const void *p, size_t n,
                        gs_err *e);
gs_status gs_world_recv(gs_world *w, int from, void *p, size_t n, gs_err *e);
/* All ranks: *x becomes the largest of all. */
gs_status gs_world_max(gs_world *w, double *x, gs_err *e);
/* GS_MISMATCH when ndevice is not a multiple of the number of ranks. */
gs_status gs_world_spread(const gs_world *w, int64_t ndevice, gs_err *e);

/* After a call, or a run, ended with GS_TIMEOUT: finds out which ranks do not
 * answer and says so in e instead of what it says now. */
void gs_world_blame(gs_world *w, gs_err *e);
/* After a failure that the others do not know of: returns on the one rank
 * that is to print its message and to call gs_world_abort.  On others it
 * returns only when that has not ended them within ten seconds. */
void gs_world_speak(gs_world *w);

/* The communicator of a device that this rank hosts; t holds the rank's
 * devices [t->first, t->first + t->n) of ndevice.  GS_UNSUPPORTED when a rank
 * hosts several devices and MPI is not thread-safe. */
gs_status gs_comm_mpi(gs_world *w, gs_team *t, gs_arena *a, int64_t position,
                      int64_t ndevice, gs_comm **out, gs_err *e);
/* All ranks, once, before there are communicators, with the same `most`: from
 * now on ranks of a host read each other's memory, next to each other in
 * groups of at most so many (0: all), until a is freed.  Those that cannot
 * (other users or containers) send messages, as all do without this call. */
gs_status gs_world_share(gs_world *w, gs_arena *a, int most, gs_err *e);
/* Whether all ranks read each other's memory. */
bool gs_world_shares(const gs_world *w);
/* Largest message in bytes (2^30 at first); for tests. */
void gs_world_chunk(gs_world *w, size_t bytes);

#endif
