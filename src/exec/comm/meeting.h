/* Where devices meet that can read each other's memory: threads of a process,
 * processes of a host.
 *
 * Each member shows a sheet that says where its pieces are, and comes; when all
 * have come, each reads what is for it.  Small pieces are copied when they are
 * shown, so that a transfer of them takes one meeting; after others the members
 * meet again when all have read.  Large pieces are read where they lie.  Those
 * in between are copied for another reason: the device writes there again soon,
 * for which it would have to wait until those who have read have given up the
 * lines.
 *
 * A member shows on two sheets in turn: what it shows stays until it shows for
 * the second time after that, and then all others have come once more, which
 * they do when they have read it. */
#ifndef GS_EXEC_MEETING_H
#define GS_EXEC_MEETING_H

#include <stdatomic.h>

#include "exec/comm/comm.h"
#include "exec/comm/tray.h"

/* What a member shows. */
typedef struct gs_sheet {
  _Atomic uint32_t turn; /* in which it was shown */
  bool kept;             /* the pieces are copies */
  gs_piece piece[];      /* for each member, in the memory of who shows it */
} gs_sheet;

/* Of n members; followed by 2 n sheets. */
typedef struct gs_meeting {
  _Atomic uint32_t arrived;  /* members, in all turns together */
  _Atomic uint32_t sleepers; /* who are to be woken */
  uint32_t n;
  uint64_t key[2]; /* of whoever looks for it */
} gs_meeting;

size_t gs_meeting_bytes(int n);
/* Of zeroed memory. */
void gs_meeting_init(gs_meeting *m, int n);
/* Wakes all who sleep. */
void gs_meeting_wake(gs_meeting *m);

/* How to wait. */
typedef struct gs_waiter {
  double spin, yield; /* seconds in which the processor is held, and then is
                         offered to others, before the wait sleeps */
  const _Atomic uint32_t *failed; /* waits end with GS_TIMEOUT when it is set */
  /* Called before each sleep, with the seconds that have been waited; what is
   * not GS_OK ends the wait. */
  gs_status (*late)(const struct gs_waiter *w, double waited, gs_err *e);
  double timeout; /* for it: seconds that a wait may take; 0: for ever */
  double nap;     /* seconds that a sleep lasts at most */
  /* Where others want the processor too, what it is offered to keeps it for
   * milliseconds: it is not offered again before `until`, `rest` seconds on. */
  _Atomic double until, rest;
} gs_waiter;

/* Sets how long `devices` on `cpus` processors should hold them. */
void gs_waiter_spin(gs_waiter *w, int64_t devices, int64_t cpus);

/* A member's view of a meeting.  It comes no second time before it has waited
 * for the others of the first. */
typedef struct gs_visit {
  gs_meeting *at; /* NULL: none */
  int me;
  uint32_t turn, shown; /* how often the member has come, and shown */
  char *slot[2]; /* for copies of little, by `shown`: they stay */
  size_t size;   /* of a slot */
  int tray[2];  /* for others, from the pool of the caller, until all have
                    read them */
} gs_visit;

/* Shows pieces put[0 .. n), of which i is for member seat[i] (below 0: for
 * nobody; seat NULL: for member i).  All are copied where they are together at
 * most GS_KEPT bytes, which *kept says; so they are up to some more bytes, and
 * so is what others do not see.  GS_RESOURCE: there is no room for copies. */
gs_status gs_visit_show(gs_visit *v, const gs_piece *put, const int *seat,
                        int n, gs_trays *pool, bool *kept, gs_err *e);
/* Comes, and shows nothing; `blank`: where others show. */
void gs_visit_come(gs_visit *v, bool blank);
/* Returns when all have come as often as the caller. */
gs_status gs_visit_await(const gs_visit *v, gs_waiter *w, gs_err *e);
/* After the wait for others to read: comes again, and frees the trays when
 * all have. */
gs_status gs_visit_end(gs_visit *v, gs_waiter *w, gs_trays *pool,
                       gs_err *e);
/* What member i has shown when the caller showed last. */
const gs_sheet *gs_visit_sheet(const gs_visit *v, int i);
/* Whether it is known that member i has come, with what it shows. */
bool gs_visit_came(const gs_visit *v, int i);

/* GS_TIMEOUT: a device whose peer failed. */
gs_status gs_waiter_lost(gs_err *e);

#endif
