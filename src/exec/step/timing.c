#include "exec/step/timing.h"

#include <math.h>

#include "base/assert.h"
#include "base/data/clock.h"

static void forget(gs_timing *t) {
  t->counted = 0;
  for (int s = 0; s < t->nstep; s++) t->lap[s] = (gs_lap){.least = INFINITY};
}

gs_timing *gs_timing_new(gs_arena *a, const gs_program *p, bool traced) {
  gs_timing *t = GS_NEW(a, gs_timing);
  t->arena = a;
  t->lap = GS_NEWS(a, p->step.n, gs_lap);
  t->traced = traced;
  t->nstep = p->step.n;
  forget(t);
  return t;
}

void gs_timing_begin(gs_timing *t) {
  if (!t->runs) t->first = gs_now();
  if (t->runs == 1) forget(t);
}

void gs_timing_end(gs_timing *t, const gs_program *p) {
  gs_assert(t->nstep == p->step.n);
  t->runs++;
  t->counted++;
  for (int s = 0; s < p->step.n; s++) {
    gs_lap *l = &t->lap[s];
    if (p->step.at[s].once) continue;
    l->seconds += l->now;
    l->least = fmin(l->least, l->now);
    l->now = 0;
    gs_assert(l->waited <= l->seconds * (1 + 1e-9) + 1e-9);
  }
}

static void keep_span(gs_timing *t, gs_turn_time span) {
  if (t->nspan == GS_MAX_SPANS) {
    t->lost++;
    return;
  }
  if (!t->last || t->last->n == GS_SPANS) {
    gs_turn_times *more = GS_NEW(t->arena, gs_turn_times);
    if (t->last) t->last->next = more;
    else t->span = more;
    t->last = more;
  }
  gs_assert(t->last->n < GS_SPANS);
  t->last->at[t->last->n++] = span;
  t->nspan++;
}

void gs_timing_turn(gs_timing *t, const gs_program *p, int turn, double begin,
                    uint64_t sent) {
  double end = gs_now();
  const gs_turn *at = &p->turn.at[turn];
  gs_lap *l = &t->lap[at->step];
  gs_assert(turn >= 0 && turn < p->turn.n);
  gs_assert(end >= begin && !p->step.at[at->step].once);
  l->now += end - begin;
  if (at->wait) l->waited += end - begin;
  l->sent += sent;
  if (t->traced) keep_span(t, (gs_turn_time){turn, begin, end});
}
