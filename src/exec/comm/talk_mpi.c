/* What ranks tell each other about themselves while they wait.
 *
 * A rank that has waited too long asks everybody.  A thread of each rank
 * answers, whatever the others are at, so that only a rank that was stopped or
 * lost is silent.  Answers say for whom the rank itself waits: of the silent
 * ones, those that somebody waits for are to blame. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifdef HAVE_MPI
#include "exec/comm/world_mpi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"

enum { ASK, ANSWER, CLAIM, HEARD, KINDS };
enum { TURN_MS = 50, SHORT_MS = 5 };

/* Seconds in which a rank that is there answers, also on a busy machine. */
static double grace(const mpi_world *w) {
  double s = w->base.timeout;
  return s < 2 ? 2 : s > 10 ? 10 : s;
}

/* ---- words; the caller holds the lock ---- */

/* Says a word, unless the last one of this kind is still under way. */
static void say(mpi_world *w, int kind, int to, int round) {
  gs_letter *l = &w->t.letter[kind * w->base.nrank + to];
  int done = 1;
  MPI_Test(&l->request, &done, MPI_STATUS_IGNORE);
  if (!done) return;
  gs_word *x = &l->word;
  *x = (gs_word){.kind = kind, .round = round, .waits = w->t.waits,
                 .begun = w->t.begun_here};
  for (int r = 0; r < w->base.nrank && x->n < GS_NAMED; r++)
    if (w->t.awaited[r]) x->awaited[x->n++] = r;
  MPI_Isend(x, sizeof *x, MPI_BYTE, to, 0, w->talk, &l->request);
}

static void say_all(mpi_world *w, int kind) {
  for (int r = 0; r < w->base.nrank; r++)
    if (r != w->base.rank) say(w, kind, r, w->t.round);
}

/* Hears all that has come. */
static void hear(mpi_world *w) {
  for (;;) {
    MPI_Status st;
    int there;
    gs_word x;
    MPI_Iprobe(MPI_ANY_SOURCE, 0, w->talk, &there, &st);
    if (!there) return;
    int from = st.MPI_SOURCE;
    MPI_Recv(&x, sizeof x, MPI_BYTE, from, 0, w->talk, MPI_STATUS_IGNORE);
    if (x.kind == ASK) say(w, ANSWER, from, x.round);
    else if (x.kind == ANSWER) w->t.answer[from] = x;
    else if (x.kind == HEARD) w->t.heard[from] = true;
    else { /* CLAIM: from now on this rank makes none of its own */
      if (from < w->t.claimed) w->t.claimed = from;
      say(w, HEARD, from, 0);
    }
  }
}

static void hear_now(mpi_world *w) {
  gs_mpi_lock(w);
  hear(w);
  gs_mpi_unlock(w);
}

/* ---- the thread ---- */

/* MPI itself does not come back: nothing can be asked or said by it. */
static _Noreturn void stuck(const mpi_world *w) {
  fprintf(stderr,
          "%s: rank %d (%s): error: a call of MPI does not return\n",
          program_invocation_short_name, w->base.rank,
          w->base.host[w->base.rank]);
  _exit(GS_TIMEOUT);
}

static void *listen_on(void *p) {
  mpi_world *w = p;
  gs_talk *t = &w->t;
  gs_patience patience = {0};
  uint32_t calls = 0;
  pthread_mutex_lock(&t->gate);
  while (!t->stop) {
    struct timespec until = gs_later(TURN_MS);
    pthread_cond_timedwait(&t->wake, &t->gate, &until);
    pthread_mutex_unlock(&t->gate);
    until = gs_later(TURN_MS);
    if (!pthread_mutex_timedlock(&w->lock, &until)) {
      hear(w);
      gs_mpi_unlock(w);
      patience = (gs_patience){0};
    } else {
      uint32_t now = atomic_load(&w->calls);
      if (now != calls) patience = (gs_patience){0};
      calls = now;
      if (gs_waited(&patience) > w->base.timeout + 2 * grace(w) &&
          w->base.timeout > 0)
        stuck(w);
    }
    pthread_mutex_lock(&t->gate);
  }
  pthread_mutex_unlock(&t->gate);
  return NULL;
}

gs_status gs_talk_start(mpi_world *w, gs_arena *a, gs_err *e) {
  gs_talk *t = &w->t;
  int n = w->base.nrank;
  t->letter = GS_NEWS(a, KINDS * n, gs_letter);
  for (int i = 0; i < KINDS * n; i++) t->letter[i].request = MPI_REQUEST_NULL;
  t->answer = GS_NEWS(a, n, gs_word);
  t->begun = GS_NEWS(a, n, uint32_t);
  t->awaited = GS_NEWS(a, n, int);
  t->heard = GS_NEWS(a, n, bool);
  t->claimed = n;
  if (n == 1 || w->level < MPI_THREAD_SERIALIZED) return GS_OK;
  pthread_mutex_init(&t->gate, NULL);
  pthread_cond_init(&t->wake, NULL);
  int why = pthread_create(&t->thread, NULL, listen_on, w);
  if (why)
    return gs_fail(e, GS_RESOURCE, NULL, "a thread cannot be started: %s",
                   strerror(why));
  t->listens = true;
  return GS_OK;
}

void gs_talk_stop(mpi_world *w) {
  gs_talk *t = &w->t;
  if (!t->listens) return;
  pthread_mutex_lock(&t->gate);
  t->stop = true;
  pthread_cond_signal(&t->wake);
  pthread_mutex_unlock(&t->gate);
  pthread_join(t->thread, NULL);
  t->listens = false;
  hear_now(w); /* what MPI_Finalize should not find */
}

/* ---- waiting ---- */

void gs_talk_wait(mpi_world *w, const int *peer, int n) {
  w->t.waits++;
  w->t.begun_here++;
  for (int i = 0; i < n; i++)
    if (peer[i] >= 0) w->t.awaited[peer[i]]++;
}

void gs_talk_go(mpi_world *w, const int *peer, int n) {
  w->t.waits--;
  for (int i = 0; i < n; i++)
    if (peer[i] >= 0) w->t.awaited[peer[i]]--;
  gs_assert(w->t.waits >= 0);
}

static bool answers(const mpi_world *w, int r) {
  return r == w->base.rank || w->t.answer[r].round == w->t.round;
}

/* Asks everybody; true when all have answered. */
static bool ask(mpi_world *w) {
  gs_patience patience = {0};
  gs_mpi_lock(w);
  w->t.round++;
  say_all(w, ASK);
  gs_mpi_unlock(w);
  for (;;) {
    gs_mpi_lock(w);
    hear(w);
    int r = 0;
    while (r < w->base.nrank && answers(w, r)) r++;
    gs_mpi_unlock(w);
    if (r == w->base.nrank) return true;
    if (gs_waited(&patience) > grace(w)) return false;
    usleep(SHORT_MS * 1000);
  }
}

bool gs_talk_wait_on(mpi_world *w) {
  gs_talk *t = &w->t;
  if (!t->listens) return false;
  t->asked = true;
  if (!ask(w)) return false;
  bool on = false;
  for (int r = 0; r < w->base.nrank; r++) {
    if (r == w->base.rank) continue;
    const gs_word *x = &t->answer[r];
    if (!x->waits || x->begun != t->begun[r]) on = true;
    t->begun[r] = x->begun;
  }
  if (on) t->asked = false;
  return on;
}

/* ---- giving up ---- */

/* Whether somebody who answers, this rank too, waits for r. */
static bool wanted(const mpi_world *w, int r) {
  if (w->t.awaited[r]) return true;
  for (int i = 0; i < w->base.nrank; i++) {
    const gs_word *x = &w->t.answer[i];
    if (i == w->base.rank || !answers(w, i)) continue;
    for (int k = 0; k < x->n; k++)
      if (x->awaited[k] == r) return true;
  }
  return false;
}

/* "rank 2 (b)", "ranks 2 (b), 3 (c) and 5 more" */
static int name_lost(const mpi_world *w, gs_buf *b, bool only_wanted) {
  int n = 0, shown = 0;
  gs_buf list;
  gs_buf_init(&list, b->arena);
  for (int r = 0; r < w->base.nrank; r++) {
    if (answers(w, r) || (only_wanted && !wanted(w, r))) continue;
    if (++n > GS_NAMED) continue;
    gs_buf_printf(&list, "%s%d (%s)", shown++ ? ", " : "", r, w->base.host[r]);
  }
  if (!n) return 0;
  gs_buf_printf(b, "rank%s %s", n > 1 ? "s" : "", list.at);
  if (n > shown) gs_buf_printf(b, " and %d more", n - shown);
  return n;
}

void gs_world_blame(gs_world *base, gs_err *e) {
  mpi_world *w = (mpi_world *)base;
  gs_arena a;
  gs_buf b;
  gs_arena_init(&a);
  gs_buf_init(&b, &a);
  if (!w->t.listens) return;
  if (!w->t.asked) ask(w);
  gs_mpi_lock(w);
  int lost = name_lost(w, &b, true);
  if (!lost) lost = name_lost(w, &b, false);
  gs_mpi_unlock(w);
  const char *place = NULL;
  for (int i = 0; i < e->n && !place; i++)
    if (!e->diag[i].warning && e->diag[i].place)
      place = gs_strdup(&a, e->diag[i].place);
  if (lost) {
    gs_err_clear(e);
    gs_fail(e, GS_TIMEOUT, place, "%s %s not answer; waited %g seconds", b.at,
            lost > 1 ? "do" : "does", base->timeout);
    gs_err_hint(e, "it was stopped, or its host or the network is lost");
  } else {
    gs_err_hint(e, "all ranks answer: one computes for longer than "
                   "--timeout=%g, or they wait for each other",
                base->timeout);
  }
  gs_arena_free(&a);
}

/* Claims the word, unless another rank has.  Who hears of a claim makes none,
 * so once all have heard of the lowest one no other rank will speak: words of
 * one rank come in the order in which they were said. */
static bool claim(mpi_world *w) {
  gs_mpi_lock(w);
  hear(w);
  bool claims = w->t.claimed == w->base.nrank;
  if (claims) say_all(w, CLAIM);
  gs_mpi_unlock(w);
  return claims;
}

/* Whether all have heard of the claim that are not known to be silent. */
static bool all_heard(mpi_world *w) {
  gs_mpi_lock(w);
  hear(w);
  int r = 0;
  while (r < w->base.nrank && (r == w->base.rank || w->t.heard[r] ||
                               (w->t.asked && !answers(w, r))))
    r++;
  gs_mpi_unlock(w);
  return r == w->base.nrank;
}

void gs_world_speak(gs_world *base) {
  mpi_world *w = (mpi_world *)base;
  const double max = 10;
  gs_patience patience = {0};
  if (base->nrank == 1 || !w->t.listens) return;
  bool claims = claim(w);
  for (;;) {
    bool heard = all_heard(w);
    bool first = claims && w->t.claimed > base->rank;
    if (first && heard) return;
    if (gs_waited(&patience) > (first ? grace(w) : max)) return;
    usleep(SHORT_MS * 1000);
  }
}

#endif
