#include "exec/comm/team.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/data/clock.h"
#include "base/data/cpus.h"
#include "base/escape.h"

enum { SPINS = 4000, NAP_MS = 100 };

void gs_team_init(gs_team *t, int64_t first, int64_t n, double timeout) {
  memset(t, 0, sizeof *t);
  gs_assert(n >= 1 && first >= 0);
  t->first = first;
  t->n = n;
  t->timeout = timeout;
  pthread_mutex_init(&t->lock, NULL);
  gs_arena_init(&t->arena);
  gs_cpus cpus = gs_cpus_allowed(&t->arena);
  t->spin = n <= gs_cpus_count(&cpus);
}

void gs_team_free(gs_team *t) {
  pthread_mutex_destroy(&t->lock);
  gs_arena_free(&t->arena);
}

/* Sleeps while *word == seen, for at most NAP_MS: a failure is noticed then
 * even if its wake-up went to another word. */
static void nap(_Atomic uint32_t *word, uint32_t seen) {
  struct timespec ts = {0, NAP_MS * 1000000L};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &ts, NULL, 0);
}

static void wake(_Atomic uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void gs_team_fail(gs_team *t) {
  atomic_store(&t->failed, 1);
  pthread_mutex_lock(&t->lock);
  for (gs_party *p = t->party; p; p = p->next)
    for (gs_rendezvous *m = p->first; m; m = m->next) wake(&m->turn);
  pthread_mutex_unlock(&t->lock);
}

gs_status gs_team_lost(gs_err *e) {
  return gs_fail(e, GS_TIMEOUT, NULL, "another device failed");
}

/* What a waiting loop remembers; zero at first. */
typedef struct wait_state {
  int spins;
  gs_patience patience;
} wait_state;

/* One turn of a waiting loop. */
static gs_status wait_on(gs_team *t, _Atomic uint32_t *word, uint32_t seen,
                         wait_state *w, gs_err *e) {
  if (atomic_load_explicit(&t->failed, memory_order_relaxed))
    return gs_team_lost(e);
  if (t->spin && ++w->spins < SPINS) {
    __builtin_ia32_pause();
    return GS_OK;
  }
  if (t->timeout > 0 && gs_waited(&w->patience) > t->timeout)
    return gs_fail(e, GS_TIMEOUT, NULL,
                   "waited %g seconds for another device", t->timeout);
  nap(word, seen);
  return GS_OK;
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
  m->n = p->n;
  for (int r = 0; r < 2; r++)
    m->put[r] = GS_NEWS(&t->arena, p->n, const gs_piece *);
  if (p->last) p->last->next = m;
  else p->first = m;
  return p->last = m;
}

gs_rendezvous *gs_team_rendezvous(gs_member *me, const int64_t *member, int n) {
  gs_assert(n > 0 && n <= me->team->n);
  gs_seat *seat = NULL;
  for (int i = 0; i < me->seat.n && !seat; i++)
    if (is_party(me->seat.at[i].party, member, n)) seat = &me->seat.at[i];
  gs_lock(&me->team->lock);
  if (!seat) seat = new_seat(me, member, n);
  gs_rendezvous *m = seat->last ? seat->last->next : seat->party->first;
  if (!m) m = new_rendezvous(me->team, seat->party);
  gs_unlock(&me->team->lock);
  return seat->last = m;
}

uint32_t gs_team_come(gs_rendezvous *m) {
  uint32_t turn = atomic_load_explicit(&m->turn, memory_order_relaxed);
  uint32_t others = (uint32_t)m->n - 1;
  if (atomic_fetch_add(&m->arrived, 1) != others) return turn;
  atomic_store(&m->arrived, 0);
  atomic_store(&m->turn, turn + 1);
  if (atomic_load(&m->sleepers)) wake(&m->turn);
  return turn;
}

gs_status gs_team_await(gs_team *t, gs_rendezvous *m, uint32_t turn,
                        gs_err *e) {
  wait_state w = {0};
  while (atomic_load_explicit(&m->turn, memory_order_acquire) == turn) {
    atomic_fetch_add(&m->sleepers, 1);
    gs_status s = wait_on(t, &m->turn, turn, &w, e);
    atomic_fetch_sub(&m->sleepers, 1);
    GS_TRY(s);
  }
  return GS_OK;
}

gs_status gs_team_meet(gs_team *t, gs_rendezvous *m, gs_err *e) {
  return gs_team_await(t, m, gs_team_come(m), e);
}

uint32_t gs_team_show(gs_rendezvous *m, int i, int round,
                      const gs_piece *put) {
  gs_assert(i >= 0 && i < m->n);
  m->put[round][i] = put;
  return gs_team_come(m);
}

void gs_pairing_make(gs_pairing *x, gs_member *m, int64_t me, int64_t to,
                     int64_t from) {
  const gs_team *t = m->team;
  int64_t out[2] = {me, to}, in[2] = {from, me};
  *x = (gs_pairing){0};
  if (to != me && to >= t->first && to < t->first + t->n)
    x->out = gs_team_rendezvous(m, out, 2);
  if (from != me && from >= t->first && from < t->first + t->n)
    x->in = gs_team_rendezvous(m, in, 2);
}

void gs_pairing_start(gs_pairing *x, const gs_piece *put) {
  if (x->out) x->out_turn = gs_team_show(x->out, 0, 0, put);
  if (x->in) x->in_turn = gs_team_show(x->in, 1, 0, NULL);
}

gs_status gs_pairing_wait(gs_pairing *x, gs_team *t, const gs_want *want,
                          gs_err *e) {
  if (!x->in) return GS_OK;
  GS_TRY(gs_team_await(t, x->in, x->in_turn, e));
  const gs_piece *piece = x->in->put[0][0];
  gs_assert(piece->bytes == want->bytes);
  if (want->bytes) memcpy(want->to, piece->at, want->bytes);
  return GS_OK;
}

gs_status gs_pairing_end(gs_pairing *x, gs_team *t, gs_err *e) {
  uint32_t in = x->in ? gs_team_come(x->in) : 0;
  if (x->out) {
    GS_TRY(gs_team_await(t, x->out, x->out_turn, e));
    GS_TRY(gs_team_meet(t, x->out, e));
  }
  return x->in ? gs_team_await(t, x->in, in, e) : GS_OK;
}
