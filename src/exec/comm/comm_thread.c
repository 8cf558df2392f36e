/* Transfers between devices of one process, through shared memory.
 *
 * Start shows the caller's pieces to the group; wait meets the others and reads
 * their memory; end meets them again where somebody's pieces were not copied,
 * so that nobody writes what others still read. */
#include <string.h>

#include "base/assert.h"
#include "exec/comm/team.h"

typedef struct thread_comm {
  gs_comm base;
  gs_member me;
  gs_trays pool;
} thread_comm;

typedef struct thread_transfer {
  gs_transfer base;
  gs_visit visit; /* of a group */
  bool again;     /* it meets again to end */
  gs_pairing pair;
} thread_transfer;

static gs_member *member_of(gs_transfer *t) {
  return &((thread_comm *)t->comm)->me;
}

static gs_trays *pool_of(gs_transfer *t) {
  return &((thread_comm *)t->comm)->pool;
}

static gs_waiter *waiter_of(gs_transfer *t) {
  return &member_of(t)->team->waiter;
}

static void make(gs_transfer *base) {
  thread_transfer *t = (thread_transfer *)base;
  const gs_group *g = &base->group;
  gs_member *m = member_of(base);
  int64_t me = base->comm->position;
  if (g->me >= 0) {
    t->visit.at = gs_team_meeting(m, g->member, g->n);
    t->visit.me = g->me;
    return;
  }
  int64_t out[2] = {me, g->member[0]}, in[2] = {g->member[1], me};
  t->pair.in.me = 1;
  if (g->member[0] != me) t->pair.out.at = gs_team_meeting(m, out, 2);
  if (g->member[1] != me) t->pair.in.at = gs_team_meeting(m, in, 2);
}

static gs_status start(gs_transfer *base, gs_err *e) {
  thread_transfer *t = (thread_transfer *)base;
  const gs_piece *put = base->put[base->round];
  gs_trays *pool = pool_of(base);
  if (base->group.me < 0)
    return gs_pairing_start(&t->pair, put, pool, &base->kept, e);
  return gs_visit_show(&t->visit, put, NULL, base->group.n, pool,
                       &base->kept, e);
}

/* Member 1's piece of a pair. */
static gs_status take(thread_transfer *t, gs_err *e) {
  gs_transfer *base = &t->base;
  const gs_want *want = &base->want[1];
  const gs_piece *piece = &base->put[0][0]; /* of a device with itself */
  if (t->pair.in.at)
    GS_TRY(gs_pairing_await(&t->pair, waiter_of(base), &piece, e));
  gs_assert(piece->bytes == want->bytes);
  if (want->bytes) memcpy(want->to, piece->at, want->bytes);
  return GS_OK;
}

static gs_status wait(gs_transfer *base, gs_err *e) {
  thread_transfer *t = (thread_transfer *)base;
  const gs_group *g = &base->group;
  if (g->me < 0) return take(t, e);
  GS_TRY(gs_visit_await(&t->visit, waiter_of(base), e));
  t->again = false;
  for (int k = 0; k < g->n; k++) {
    int i = (g->me + k) % g->n; /* not all at the same peer */
    const gs_sheet *sheet = gs_visit_sheet(&t->visit, i);
    const gs_piece *piece = &sheet->piece[g->me];
    const gs_want *want = &base->want[i];
    gs_assert(piece->bytes == want->bytes);
    t->again |= !sheet->kept;
    base->got[i] = want->to ? want->to : piece->at;
    if (want->to && want->bytes) memcpy(want->to, piece->at, want->bytes);
  }
  return GS_OK;
}

static gs_status end(gs_transfer *base, gs_err *e) {
  thread_transfer *t = (thread_transfer *)base;
  gs_waiter *w = waiter_of(base);
  if (base->group.me < 0) return gs_pairing_end(&t->pair, w, pool_of(base), e);
  return t->again ? gs_visit_end(&t->visit, w, pool_of(base), e) : GS_OK;
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
  c->pool = gs_trays_in(a);
  return &c->base;
}
