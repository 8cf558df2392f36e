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

/* The rendezvous point of one group. */
typedef struct gs_rendezvous {
  int n;
  const int64_t *member; /* [n] device positions */
  const gs_piece **put[2]; /* [n] what each has for the others, by round */
  _Atomic uint32_t arrived, turn, sleepers;
  struct gs_rendezvous *next;
} gs_rendezvous;

/* Where a device leaves a pointer for one other device. */
typedef struct gs_mailbox {
  const void *in;
  _Atomic int64_t to;
  _Atomic uint32_t sent, taken;
} gs_mailbox;

typedef struct gs_team {
  int64_t first, n; /* devices [first, first + n) */
  bool spin;
  double timeout; /* seconds that one wait may take; 0: for ever */
  _Atomic uint32_t failed;
  pthread_mutex_t lock; /* guards rendezvous and arena */
  gs_rendezvous *rendezvous;
  gs_arena arena;
  gs_mailbox *mailbox; /* [n] */
} gs_team;

/* What each device remembers of the team. */
typedef struct gs_member {
  gs_team *team;
  GS_VEC(gs_rendezvous *) known; /* rendezvous this device takes part in */
  gs_arena *arena;
} gs_member;

void gs_team_init(gs_team *t, int64_t first, int64_t n, double timeout);
void gs_team_free(gs_team *t);
/* Wakes everybody who waits; from now on every wait fails. */
void gs_team_fail(gs_team *t);

/* The rendezvous of these devices (all of the team), made at first use; O(n).
 */
gs_rendezvous *gs_team_rendezvous(gs_member *m, const int64_t *member, int n);
/* The caller has come to m; its turn, for gs_team_await, which returns when all
 * n members have.  GS_TIMEOUT when one failed. */
uint32_t gs_team_come(gs_rendezvous *m);
gs_status gs_team_await(gs_team *t, gs_rendezvous *m, uint32_t turn,
                        gs_err *e);
/* Both. */
gs_status gs_team_meet(gs_team *t, gs_rendezvous *m, gs_err *e);
/* Leaves in for device `to`; gs_team_sent waits until it was copied. */
void gs_team_post(gs_team *t, int64_t me, int64_t to, const void *in);
gs_status gs_team_take(gs_team *t, int64_t me, int64_t from, void *out,
                       size_t bytes, gs_err *e);
gs_status gs_team_sent(gs_team *t, int64_t me, gs_err *e);
/* The status of a device whose peer failed. */
gs_status gs_team_lost(gs_err *e);

/* The communicator of one device when all devices are in this process. */
gs_comm *gs_comm_thread(gs_team *t, gs_arena *a, int64_t position);

#endif
