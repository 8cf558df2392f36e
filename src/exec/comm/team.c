#include "exec/comm/team.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/data/clock.h"
#include "base/escape.h"

enum { SPINS = 4000, NAP_MS = 100 };

void gs_team_init(gs_team *t, int64_t first, int64_t n, double timeout) {
  memset(t, 0, sizeof *t);
  gs_assert(n >= 1 && first >= 0);
  t->first = first;
  t->n = n;
  t->timeout = timeout;
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
  t->spin = n <= cores;
  pthread_mutex_init(&t->lock, NULL);
  gs_arena_init(&t->arena);
  t->mailbox = GS_NEWS(&t->arena, n, gs_mailbox);
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
  for (gs_rendezvous *m = t->rendezvous; m; m = m->next) wake(&m->turn);
  pthread_mutex_unlock(&t->lock);
  for (int64_t i = 0; i < t->n; i++) {
    wake(&t->mailbox[i].sent);
    wake(&t->mailbox[i].taken);
  }
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

static bool same_members(const gs_rendezvous *m, const int64_t *member, int n) {
  return m->n == n &&
         !memcmp(m->member, member, (size_t)n * sizeof *member);
}

gs_rendezvous *gs_team_rendezvous(gs_member *me, const int64_t *member, int n) {
  gs_assert(n > 0 && n <= me->team->n);
  for (int i = 0; i < me->known.n; i++)
    if (same_members(me->known.at[i], member, n)) return me->known.at[i];
  gs_team *t = me->team;
  gs_lock(&t->lock);
  gs_rendezvous *m = t->rendezvous;
  while (m && !same_members(m, member, n)) m = m->next;
  if (!m) {
    m = GS_NEW(&t->arena, gs_rendezvous);
    m->n = n;
    m->member = gs_memdup(&t->arena, member, (size_t)n * sizeof *member);
    for (int r = 0; r < 2; r++)
      m->put[r] = GS_NEWS(&t->arena, n, const gs_piece *);
    m->next = t->rendezvous;
    t->rendezvous = m;
  }
  gs_unlock(&t->lock);
  *gs_push(me->arena, &me->known) = m;
  return m;
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

void gs_team_post(gs_team *t, int64_t me, int64_t to, const void *in) {
  gs_assert(to != me && to >= t->first && to < t->first + t->n);
  gs_mailbox *b = &t->mailbox[me - t->first];
  b->in = in;
  atomic_store(&b->to, to);
  atomic_fetch_add(&b->sent, 1);
  wake(&b->sent);
}

gs_status gs_team_take(gs_team *t, int64_t me, int64_t from, void *out,
                       size_t bytes, gs_err *e) {
  gs_assert(from != me && from >= t->first && from < t->first + t->n);
  gs_mailbox *b = &t->mailbox[from - t->first];
  wait_state w = {0};
  for (;;) {
    uint32_t sent = atomic_load(&b->sent);
    if (sent != atomic_load(&b->taken) && atomic_load(&b->to) == me) break;
    GS_TRY(wait_on(t, &b->sent, sent, &w, e));
  }
  memcpy(out, b->in, bytes);
  atomic_fetch_add(&b->taken, 1);
  wake(&b->taken);
  return GS_OK;
}

gs_status gs_team_sent(gs_team *t, int64_t me, gs_err *e) {
  gs_mailbox *b = &t->mailbox[me - t->first];
  wait_state w = {0};
  for (;;) {
    uint32_t taken = atomic_load(&b->taken);
    if (taken == atomic_load(&b->sent)) return GS_OK;
    GS_TRY(wait_on(t, &b->taken, taken, &w, e));
  }
}
