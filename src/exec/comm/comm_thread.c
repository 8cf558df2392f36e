/* Transfers between devices of one process, through shared memory.
 *
 * Start shows the caller's list of pieces to the group; wait meets the others
 * and reads their memory; end meets them again, so that nobody writes what
 * others still read. */
#include <string.h>

#include "base/assert.h"
#include "exec/comm/team.h"

typedef struct thread_comm {
  gs_comm base;
  gs_member me;
} thread_comm;

typedef struct thread_transfer {
  gs_transfer base;
  gs_rendezvous *rendezvous; /* of a group */
  uint32_t turn;             /* of it, when the caller came */
  gs_pairing pair;
} thread_transfer;

static gs_member *member_of(gs_transfer *t) {
  return &((thread_comm *)t->comm)->me;
}

static void make(gs_transfer *base) {
  thread_transfer *t = (thread_transfer *)base;
  const gs_group *g = &base->group;
  gs_member *me = member_of(base);
  if (g->me >= 0) t->rendezvous = gs_team_rendezvous(me, g->member, g->n);
  else
    gs_pairing_make(&t->pair, me, base->comm->position, g->member[0],
                    g->member[1]);
}

static gs_status start(gs_transfer *base, gs_err *e) {
  thread_transfer *t = (thread_transfer *)base;
  (void)e;
  const gs_piece *put = base->put[base->round];
  if (base->group.me < 0) gs_pairing_start(&t->pair, put);
  else
    t->turn = gs_team_show(t->rendezvous, base->group.me, base->round, put);
  return GS_OK;
}

/* Member 1's piece of a pair. */
static gs_status take(thread_transfer *t, gs_err *e) {
  const gs_transfer *base = &t->base;
  const gs_want *want = &base->want[1];
  if (base->group.member[1] != base->comm->position)
    return gs_pairing_wait(&t->pair, member_of(&t->base)->team, want, e);
  if (want->bytes) memcpy(want->to, base->put[0][0].at, want->bytes);
  return GS_OK;
}

static gs_status wait(gs_transfer *base, gs_err *e) {
  thread_transfer *t = (thread_transfer *)base;
  const gs_group *g = &base->group;
  if (g->me < 0) return take(t, e);
  GS_TRY(gs_team_await(member_of(base)->team, t->rendezvous, t->turn, e));
  const gs_piece *const *put = t->rendezvous->put[base->round];
  for (int k = 0; k < g->n; k++) {
    int i = (g->me + k) % g->n; /* not all at the same peer */
    const gs_want *want = &base->want[i];
    gs_assert(put[i][g->me].bytes == want->bytes);
    base->got[i] = want->to ? want->to : put[i][g->me].at;
    if (want->to && want->bytes)
      memcpy(want->to, put[i][g->me].at, want->bytes);
  }
  return GS_OK;
}

static gs_status end(gs_transfer *base, gs_err *e) {
  thread_transfer *t = (thread_transfer *)base;
  gs_team *team = member_of(base)->team;
  if (base->group.me < 0) return gs_pairing_end(&t->pair, team, e);
  return gs_team_meet(team, t->rendezvous, e);
}

static void fail(gs_comm *base) {
  gs_team_fail(((thread_comm *)base)->me.team);
}

static const gs_comm_ops thread_ops = {.name = "threads",
                                       .size = sizeof(thread_transfer),
                                       .make = make,
                                       .start = start,
                                       .wait = wait,
                                       .end = end,
                                       .fail = fail};

gs_comm *gs_comm_thread(gs_team *t, gs_arena *a, int64_t position) {
  thread_comm *c = GS_NEW(a, thread_comm);
  c->base.ops = &thread_ops;
  c->base.position = position;
  c->base.ndevice = t->n;
  c->base.arena = a;
  c->me.team = t;
  c->me.arena = a;
  return &c->base;
}
