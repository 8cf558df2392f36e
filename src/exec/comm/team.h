/* Devices of one process: what they share in order to meet (meeting.h). */
#ifndef GS_EXEC_TEAM_H
#define GS_EXEC_TEAM_H

#include <pthread.h>

#include "exec/comm/meeting.h"

/* Where the members of a group meet for one of their transfers. */
typedef struct gs_rendezvous {
  gs_meeting *at;
  struct gs_rendezvous *next; /* for the group's next transfer */
} gs_rendezvous;

/* Devices that meet: a group, or sender and receiver of a pair. */
typedef struct gs_party {
  int n;
  const int64_t *member; /* [n] device positions */
  gs_rendezvous *first, *last; /* in the order in which transfers are made */
  struct gs_party *next;
} gs_party;

typedef struct gs_team {
  int64_t first, n; /* devices [first, first + n) */
  double timeout; /* seconds that one wait may take; 0: for ever */
  gs_waiter waiter;
  _Atomic uint32_t failed;
  pthread_mutex_t lock; /* guards parties and arena */
  gs_party *party;
  gs_arena arena;
} gs_team;

/* What a device remembers of a party that it is in. */
typedef struct gs_seat {
  gs_party *party;
  gs_rendezvous *last; /* of the transfer that it made last */
} gs_seat;

/* What each device remembers of the team. */
typedef struct gs_member {
  gs_team *team;
  GS_VEC(gs_seat) seat;
  gs_arena *arena;
} gs_member;

void gs_team_init(gs_team *t, int64_t first, int64_t n, double timeout);
void gs_team_free(gs_team *t);
/* Wakes everybody who waits; from now on every wait fails. */
void gs_team_fail(gs_team *t);

/* The meeting of these devices (all of the team) for the caller's next
 * transfer between them: the k-th call of each gets the same.  Cost O(n). */
gs_meeting *gs_team_meeting(gs_member *m, const int64_t *member, int n);

/* A transfer between pairs: what a device sends to one and gets from another,
 * each a meeting of two, of which the first sends. */
typedef struct gs_pairing {
  gs_visit out, in; /* without a place: with a device that is not near */
} gs_pairing;

/* Shows put[0]; *kept as in gs_visit_show. */
gs_status gs_pairing_start(gs_pairing *x, const gs_piece *put,
                           gs_trays *pool, bool *kept, gs_err *e);
/* Returns when the piece that is for the caller is there. */
gs_status gs_pairing_await(gs_pairing *x, gs_waiter *w,
                           const gs_piece **piece, gs_err *e);
gs_status gs_pairing_end(gs_pairing *x, gs_waiter *w, gs_trays *pool,
                         gs_err *e);

/* The communicator of one device when all devices are in this process. */
gs_comm *gs_comm_thread(gs_team *t, gs_arena *a, int64_t position);

#endif
