#include "base/data/clock.h"

#include "base/assert.h"

double gs_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

struct timespec gs_later(int ms) {
  struct timespec t;
  gs_assert(ms >= 0);
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += ms % 1000 * 1000000L;
  t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

double gs_waited(gs_patience *p) {
  const double max = 0.2;
  double now = gs_now(), since = p->last > 0 ? now - p->last : 0;
  p->waited += since < max ? since : max;
  p->last = now;
  return p->waited;
}
