#include "exec/run/crew.h"

#ifdef _OPENMP
#include <omp.h>
#else
#include <pthread.h>
#include <stdlib.h>
#endif

#include "base/arena.h"
#include "base/ending.h"

static gs_status too_few(int64_t n, int64_t started, const char *why,
                         gs_err *e) {
  return gs_fail(e, GS_RESOURCE, NULL,
                 "%lld devices need as many threads; only %lld started%s",
                 (long long)n, (long long)started, why);
}

static void work_on(void (*fn)(void *ctx, int64_t i), void *ctx, int64_t i) {
  bool before = gs_ending_work(true);
  fn(ctx, i);
  gs_ending_work(before);
}

#ifdef _OPENMP

/* These settings are the caller's: they hold for the region alone. */
gs_status gs_crew_run(int64_t n, int each, void (*fn)(void *ctx, int64_t i),
                      void *ctx, gs_err *e) {
  int started = 1;
  if (n == 1) {
    fn(ctx, 0);
    return GS_OK;
  }
  int dynamic = omp_get_dynamic(), levels = omp_get_max_active_levels();
  omp_set_dynamic(0);
  omp_set_max_active_levels(omp_get_active_level() + (each > 1 ? 2 : 1));
#pragma omp parallel num_threads((int)n)
  {
    int threads = omp_get_num_threads();
    if (threads == (int)n) work_on(fn, ctx, omp_get_thread_num());
#pragma omp master
    started = threads;
  }
  omp_set_dynamic(dynamic);
  omp_set_max_active_levels(levels);
  if (started == (int)n) return GS_OK;
  return too_few(n, started, " (see OMP_THREAD_LIMIT)", e);
}

#else

typedef enum { WAIT, GO, LEAVE } word;

/* What the threads of a run share. */
typedef struct crew {
  pthread_mutex_t lock;
  pthread_cond_t said;
  word word;
  void (*fn)(void *ctx, int64_t i);
  void *ctx;
} crew;

typedef struct member {
  crew *c;
  int64_t i;
  pthread_t thread;
} member;

static void say(crew *c, word w) {
  pthread_mutex_lock(&c->lock);
  c->word = w;
  pthread_cond_broadcast(&c->said);
  pthread_mutex_unlock(&c->lock);
}

static void *work(void *p) {
  member *m = p;
  crew *c = m->c;
  pthread_mutex_lock(&c->lock);
  while (c->word == WAIT) pthread_cond_wait(&c->said, &c->lock);
  bool go = c->word == GO;
  pthread_mutex_unlock(&c->lock);
  if (go) work_on(c->fn, c->ctx, m->i);
  return NULL;
}

gs_status gs_crew_run(int64_t n, int each, void (*fn)(void *ctx, int64_t i),
                      void *ctx, gs_err *e) {
  (void)each;
  crew c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, WAIT, fn,
            ctx};
  gs_arena a;
  gs_arena_init(&a);
  member *m = GS_NEWS(&a, n, member);
  int64_t started = 1;
  for (; started < n; started++) {
    m[started].c = &c;
    m[started].i = started;
    if (pthread_create(&m[started].thread, NULL, work, &m[started])) break;
  }
  say(&c, started == n ? GO : LEAVE);
  if (started == n) work_on(fn, ctx, 0);
  for (int64_t i = 1; i < started; i++) pthread_join(m[i].thread, NULL);
  gs_arena_free(&a);
  return started == n ? GS_OK : too_few(n, started, "", e);
}

#endif
