/* What comm_mpi.c, world_mpi.c and talk_mpi.c share.
 *
 * MPI is called by one thread at a time, the one that holds the lock.  Data of
 * collectives, control messages between all ranks, and the talk of ranks about
 * themselves have communicators of their own. */
#ifndef GS_EXEC_WORLD_MPI_H
#define GS_EXEC_WORLD_MPI_H

#include <mpi.h>

#include "base/data/clock.h"
#include "exec/comm/commons.h"

/* A wait that lasts this many seconds is told to who asks. */
#define GS_NOTED_AFTER 0.1

enum { GS_NAMED = 8 }; /* ranks that one answer names */

/* What one rank says to another about itself. */
typedef struct gs_word {
  int32_t kind, round; /* answers have the round of their question */
  int32_t waits;       /* how many of its threads wait for other ranks */
  uint32_t begun;      /* waits so far */
  int32_t n, awaited[GS_NAMED]; /* ranks that it waits for */
} gs_word;

/* The newest word of a kind to a rank. */
typedef struct gs_letter {
  gs_word word;
  MPI_Request request;
} gs_letter;

typedef struct gs_talk {
  gs_letter *letter; /* [kinds * nrank] */
  gs_word *answer;   /* [nrank] the newest */
  uint32_t *begun;   /* [nrank] waits of each when it was last asked */
  bool *heard;       /* [nrank] who knows that this rank wants to speak */
  bool asked;        /* whether the answers are of now */
  int round, claimed; /* lowest other rank that wants to speak; nrank: none */
  int *awaited;       /* [nrank] waits of this rank for each */
  int waits;
  uint32_t begun_here;
  bool listens, stop; /* the thread; stop is guarded by gate */
  pthread_t thread;
  pthread_mutex_t gate;
  pthread_cond_t wake;
} gs_talk;

typedef struct mpi_world {
  gs_world base;
  MPI_Comm data, control, talk;
  pthread_mutex_t lock;
  _Atomic uint32_t calls; /* times that the lock was taken */
  int level;              /* thread support of MPI */
  int most_tag;
  size_t chunk; /* bytes of one message */
  gs_commons *commons; /* with ranks of this host; NULL: none share */
  uint64_t made; /* communicators of this rank's first device so far */
  MPI_Status *no_status; /* MPI_STATUSES_IGNORE, which compilers warn of */
  gs_talk t;
} mpi_world;

static inline void gs_mpi_lock(mpi_world *w) {
  pthread_mutex_lock(&w->lock);
  atomic_fetch_add_explicit(&w->calls, 1, memory_order_relaxed);
}

static inline void gs_mpi_unlock(mpi_world *w) {
  pthread_mutex_unlock(&w->lock);
}

/* Takes part in the talk, by a thread where MPI allows it. */
gs_status gs_talk_start(mpi_world *w, gs_arena *a, gs_err *e);
void gs_talk_stop(mpi_world *w);
/* This rank begins, or ends, a wait for n ranks (peer[i] < 0: for all);
 * the caller holds the lock. */
void gs_talk_wait(mpi_world *w, const int *peer, int n);
void gs_talk_go(mpi_world *w, const int *peer, int n);
/* A wait has lasted as long as it may: whether to wait on, because all ranks
 * answer and one of them is at work or has gone on since the last time. */
bool gs_talk_wait_on(mpi_world *w);

#endif
