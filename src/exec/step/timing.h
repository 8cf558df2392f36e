/* When the steps of a device ran. */
#ifndef GS_EXEC_TIMING_H
#define GS_EXEC_TIMING_H

#include "exec/compile/program.h"

/* A step in the runs that count: the first one, which finds nothing in caches,
 * until there are others, then these.  Steps that run once are in no run. */
typedef struct gs_lap {
  double seconds, least; /* in all runs, in the fastest of them */
  double waited;         /* of `seconds`, waiting for what it had started */
  uint64_t sent;         /* bytes, by its collective */
  double now;            /* seconds in this run */
} gs_lap;

/* One turn of a step. */
typedef struct gs_turn_time {
  int turn; /* of the program */
  double begin, end; /* gs_now */
} gs_turn_time;

enum { GS_SPANS = 4096, GS_MAX_SPANS = 1000000 };
typedef struct gs_turn_times {
  struct gs_turn_times *next;
  int n;
  gs_turn_time at[GS_SPANS];
} gs_turn_times;

typedef struct gs_timing {
  gs_arena *arena; /* of the device; for spans */
  gs_lap *lap;     /* [nstep] */
  int nstep;
  int64_t runs, counted;
  double first;    /* gs_now, when the first run began */
  bool traced;     /* keep spans, GS_MAX_SPANS at most */
  gs_turn_times *span, *last;
  int64_t nspan, lost;
} gs_timing;

gs_timing *gs_timing_new(gs_arena *a, const gs_program *p, bool traced);
/* Around a run. */
void gs_timing_begin(gs_timing *t);
void gs_timing_end(gs_timing *t, const gs_program *p);
/* A turn has ended, which sent so many bytes. */
void gs_timing_turn(gs_timing *t, const gs_program *p, int turn, double begin,
                    uint64_t sent);

#endif
