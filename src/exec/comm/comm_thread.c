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
  int64_t *all; /* [ndevice] everybody, for the barrier */
  gs_rendezvous *rendezvous;
  uint32_t turn; /* of it, when the caller came */
} thread_comm;

static gs_status start(gs_comm *base, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  const gs_group *g = &base->group;
  (void)e;
  if (g->me < 0) {
    if (g->member[0] != base->position)
      gs_team_post(c->me.team, base->position, g->member[0],
                   base->put[0][0].at);
    return GS_OK;
  }
  c->rendezvous = gs_team_rendezvous(&c->me, g->member, g->n);
  c->rendezvous->put[base->round][g->me] = base->put[base->round];
  c->turn = gs_team_come(c->rendezvous);
  return GS_OK;
}

/* Member 1's piece of a pair. */
static gs_status take(gs_comm *base, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  const gs_want *want = &base->want[1];
  int64_t from = base->group.member[1];
  if (from != base->position)
    return gs_team_take(c->me.team, base->position, from, want->to,
                        want->bytes, e);
  memcpy(want->to, base->put[0][0].at, want->bytes);
  return GS_OK;
}

static gs_status wait(gs_comm *base, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  const gs_group *g = &base->group;
  if (g->me < 0) return take(base, e);
  GS_TRY(gs_team_await(c->me.team, c->rendezvous, c->turn, e));
  const gs_piece *const *put = c->rendezvous->put[base->round];
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

static gs_status end(gs_comm *base, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  if (base->group.me < 0) return gs_team_sent(c->me.team, base->position, e);
  return gs_team_meet(c->me.team, c->rendezvous, e);
}

static gs_status barrier(gs_comm *base, gs_err *e) {
  thread_comm *c = (thread_comm *)base;
  gs_rendezvous *m = gs_team_rendezvous(&c->me, c->all, (int)base->ndevice);
  return gs_team_meet(c->me.team, m, e);
}

static void fail(gs_comm *base) {
  gs_team_fail(((thread_comm *)base)->me.team);
}

static const gs_comm_ops thread_ops = {.name = "threads",
                                       .start = start,
                                       .wait = wait,
                                       .end = end,
                                       .barrier = barrier,
                                       .fail = fail};

gs_comm *gs_comm_thread(gs_team *t, gs_arena *a, int64_t position) {
  thread_comm *c = GS_NEW(a, thread_comm);
  c->base.ops = &thread_ops;
  c->base.position = position;
  c->base.ndevice = t->n;
  c->base.arena = a;
  c->me.team = t;
  c->me.arena = a;
  c->all = GS_NEWS(a, t->n, int64_t);
  for (int64_t i = 0; i < t->n; i++) c->all[i] = i;
  return &c->base;
}
