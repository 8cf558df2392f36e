#include "base/clock.h"

#include <time.h>

double gs_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

double gs_waited(gs_patience *p) {
  const double most = 0.2;
  double now = gs_now(), since = p->last > 0 ? now - p->last : 0;
  p->waited += since < most ? since : most;
  p->last = now;
  return p->waited;
}
