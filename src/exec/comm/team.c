#include "exec/comm/team.h"

#include <string.h>

#include "base/assert.h"
#include "base/data/cpus.h"
#include "base/escape.h"

static gs_status late(const gs_waiter *w, double waited, gs_err *e) {
  if (w->timeout <= 0 || waited <= w->timeout) return GS_OK;
  return gs_fail(e, GS_TIMEOUT, NULL, "waited %g seconds for another device",
                 w->timeout);
}

void gs_team_init(gs_team *t, int64_t first, int64_t n, double timeout) {
  memset(t, 0, sizeof *t);
  gs_assert(n >= 1 && first >= 0);
  t->first = first;
  t->n = n;
  t->timeout = timeout;
  pthread_mutex_init(&t->lock, NULL);
  gs_arena_init(&t->arena);
  t->waiter = (gs_waiter){
      .failed = &t->failed, .late = late, .timeout = timeout, .nap = 0.1};
  gs_cpus cpus = gs_cpus_allowed(&t->arena);
  gs_waiter_spin(&t->waiter, n, gs_cpus_count(&cpus));
}

void gs_team_free(gs_team *t) {
  pthread_mutex_destroy(&t->lock);
  gs_arena_free(&t->arena);
}

void gs_team_fail(gs_team *t) {
  atomic_store(&t->failed, 1);
  pthread_mutex_lock(&t->lock);
  for (gs_party *p = t->party; p; p = p->next)
    for (gs_rendezvous *m = p->first; m; m = m->next) gs_meeting_wake(m->at);
  pthread_mutex_unlock(&t->lock);
}

static bool is_party(const gs_party *p, const int64_t *member, int n) {
  return p->n == n &&
         !memcmp(p->member, member, (size_t)n * sizeof *member);
}

/* The caller's seat in the party of these devices; t->lock is held. */
static gs_seat *new_seat(gs_member *me, const int64_t *member, int n) {
  gs_team *t = me->team;
  gs_party *p = t->party;
  while (p && !is_party(p, member, n)) p = p->next;
  if (!p) {
    p = GS_NEW(&t->arena, gs_party);
    p->n = n;
    p->member = gs_memdup(&t->arena, member, (size_t)n * sizeof *member);
    p->next = t->party;
    t->party = p;
  }
  gs_seat *seat = gs_push(me->arena, &me->seat);
  *seat = (gs_seat){.party = p};
  return seat;
}

static gs_rendezvous *new_rendezvous(gs_team *t, gs_party *p) {
  gs_rendezvous *m = GS_NEW(&t->arena, gs_rendezvous);
  m->at = gs_lines_in(&t->arena, gs_meeting_bytes(p->n));
  gs_meeting_init(m->at, p->n);
  if (p->last) p->last->next = m;
  else p->first = m;
  return p->last = m;
}

gs_meeting *gs_team_meeting(gs_member *me, const int64_t *member, int n) {
  gs_assert(n > 0 && n <= me->team->n);
  gs_seat *seat = NULL;
  for (int i = 0; i < me->seat.n && !seat; i++)
    if (is_party(me->seat.at[i].party, member, n)) seat = &me->seat.at[i];
  gs_lock(&me->team->lock);
  if (!seat) seat = new_seat(me, member, n);
  gs_rendezvous *m = seat->last ? seat->last->next : seat->party->first;
  if (!m) m = new_rendezvous(me->team, seat->party);
  gs_unlock(&me->team->lock);
  seat->last = m;
  return m->at;
}

/* ---- pairs ---- */

gs_status gs_pairing_start(gs_pairing *x, const gs_piece *put,
                           gs_trays *pool, bool *kept, gs_err *e) {
  static const int seat[1] = {1};
  if (x->out.at) GS_TRY(gs_visit_show(&x->out, put, seat, 1, pool, kept, e));
  if (x->in.at) gs_visit_come(&x->in, true);
  return GS_OK;
}

gs_status gs_pairing_await(gs_pairing *x, gs_waiter *w,
                           const gs_piece **piece, gs_err *e) {
  GS_TRY(gs_visit_await(&x->in, w, e));
  *piece = &gs_visit_sheet(&x->in, 0)->piece[1];
  return GS_OK;
}

/* What was not kept has been read when the receiver comes again. */
gs_status gs_pairing_end(gs_pairing *x, gs_waiter *w, gs_trays *pool,
                         gs_err *e) {
  bool gives = x->out.at && !gs_visit_sheet(&x->out, 0)->kept;
  bool takes = x->in.at && !gs_visit_sheet(&x->in, 0)->kept;
  if (takes) gs_visit_come(&x->in, false);
  if (x->out.at) GS_TRY(gs_visit_await(&x->out, w, e));
  if (gives) GS_TRY(gs_visit_end(&x->out, w, pool, e));
  return takes ? gs_visit_await(&x->in, w, e) : GS_OK;
}
