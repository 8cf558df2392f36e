/* Devices of one process: what they share in order to meet.
 *
 * Members of a group publish pointers to their buffers, meet, and read each
 * other's memory.  Waiting is by futex, after a short spin when every device
 * has a core of its own, so that hundreds of devices may share two cores. */
#ifndef GS_EXEC_TEAM_H
#define GS_EXEC_TEAM_H

#include <pthread.h>
#include <stdatomic.h>

#include "exec/comm/comm.h"

/* Where the members of a group meet for one of their transfers. */
typedef struct gs_rendezvous {
  int n;
  const gs_piece **put[2]; /* [n] what each has for the others, by round */
  _Atomic uint32_t arrived, turn, sleepers;
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
  bool spin;
  double timeout; /* seconds that one wait may take; 0: for ever */
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

/* The rendezvous of these devices (all of the team) for the caller's next
 * transfer between them: the k-th call of each gets the same.  Cost O(n). */
gs_rendezvous *gs_team_rendezvous(gs_member *m, const int64_t *member, int n);
/* The caller has come to m; its turn, for gs_team_await, which returns when all
 * n members have.  GS_TIMEOUT when one failed. */
uint32_t gs_team_come(gs_rendezvous *m);
gs_status gs_team_await(gs_team *t, gs_rendezvous *m, uint32_t turn,
                        gs_err *e);
/* Both. */
gs_status gs_team_meet(gs_team *t, gs_rendezvous *m, gs_err *e);
/* Shows `put` to the peers in round 0 or 1 as member i of m, and comes there;
 * the turn. */
uint32_t gs_team_show(gs_rendezvous *m, int i, int round, const gs_piece *put);

/* A transfer between pairs: what device `me` sends to one and gets from
 * another, each a party of two. */
typedef struct gs_pairing {
  gs_rendezvous *out, *in; /* NULL: with a device that is not of the team */
  uint32_t out_turn, in_turn; /* when the caller came */
} gs_pairing;

/* Of the pair's ends, those in the team; not for a device with itself. */
void gs_pairing_make(gs_pairing *x, gs_member *m, int64_t me, int64_t to,
                     int64_t from);
void gs_pairing_start(gs_pairing *x, const gs_piece *put);
/* Copies what `from` has. */
gs_status gs_pairing_wait(gs_pairing *x, gs_team *t, const gs_want *want,
                          gs_err *e);
gs_status gs_pairing_end(gs_pairing *x, gs_team *t, gs_err *e);
/* The status of a device whose peer failed. */
gs_status gs_team_lost(gs_err *e);

/* The communicator of one device when all devices are in this process. */
gs_comm *gs_comm_thread(gs_team *t, gs_arena *a, int64_t position);

#endif
