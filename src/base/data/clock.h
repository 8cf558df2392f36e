/* Time, and how long to wait. */
#ifndef GS_BASE_CLOCK_H
#define GS_BASE_CLOCK_H

#include <time.h>

/* Seconds of a clock that goes forward evenly; its zero means nothing. */
double gs_now(void);

/* The time in so many milliseconds, for the timed waits of pthread. */
struct timespec gs_later(int ms);

/* How long a wait has lasted; zero at first. */
typedef struct gs_patience {
  double last, waited;
} gs_patience;

/* Seconds that have been waited since the first call.  Between two calls at
 * most a fifth of a second counts: a process that was stopped (Ctrl-Z), or
 * that another one kept from the processor, has not waited all that time, for
 * what it waits for may have stood still as well. */
double gs_waited(gs_patience *p);

#endif
