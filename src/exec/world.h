/* The processes of a run under MPI.  Without MPI (HAVE_MPI not defined)
 * gs_world_init fails with GS_UNSUPPORTED and nothing else is ever called. */
#ifndef GS_EXEC_WORLD_H
#define GS_EXEC_WORLD_H

#include "exec/team.h"

typedef struct gs_world {
  int rank, nrank;
  int nlocal; /* ranks on this host */
  char host[64];
} gs_world;

/* Whether an MPI launcher has started this process (from its environment). */
bool gs_world_launched(void);
gs_status gs_world_init(gs_arena *a, gs_world **out, gs_err *e);
/* All ranks: leaves MPI. */
void gs_world_finalize(gs_world *w);
/* Ends all ranks at once with this exit code. */
_Noreturn void gs_world_abort(gs_world *w, int code);

/* All ranks: the status of the lowest rank that failed, which is stored in
 * *rank (-1: none failed). */
gs_status gs_world_agree(gs_world *w, gs_status mine, int *rank);
/* All ranks: GS_MISMATCH on every rank unless all call it with the same plan
 * hash, format version and number of devices, which must be a multiple of the
 * number of ranks. */
gs_status gs_world_check(gs_world *w, uint64_t plan, int version,
                         int64_t ndevice, gs_err *e);
/* All ranks: p[0 .. n) of rank 0. */
void gs_world_bcast(gs_world *w, void *p, uint64_t n);
void gs_world_send(gs_world *w, int to, const void *p, size_t n);
void gs_world_recv(gs_world *w, int from, void *p, size_t n);
/* All ranks: the largest x of all. */
double gs_world_max(gs_world *w, double x);

/* The communicator of a device that this rank hosts; t holds the rank's
 * devices [t->first, t->first + t->n) of ndevice.  GS_UNSUPPORTED when a rank
 * hosts several devices and MPI is not thread-safe. */
gs_status gs_comm_mpi(gs_world *w, gs_team *t, gs_arena *a, int64_t position,
                      int64_t ndevice, gs_comm **out, gs_err *e);
/* Largest message in bytes (2^30 at first); for tests. */
void gs_world_chunk(gs_world *w, size_t bytes);

#endif
