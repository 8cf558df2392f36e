/* Where the time of a run goes, of gshard.h's gs_runner_profile. */
#ifndef GS_API_PROFILE_H
#define GS_API_PROFILE_H

#include "exec/run/run.h"
#include "exec/step/timing.h"

/* What one step takes, or all steps of an operator: of one run. */
typedef struct gs_profile_row {
  const char *op;       /* operator, or name of the collective */
  const gs_node *node;  /* NULL: of several steps */
  int step, steps;      /* its number, from 0; how many */
  double seconds, least, waited;
  double flops, bytes;  /* that a kernel has to do and to touch, 0: not known;
                           of a collective what it sends */
  double price;         /* seconds by the machine of the spec; 0: none */
  bool collective;
} gs_profile_row;

typedef struct gs_profile {
  GS_VEC(gs_profile_row) step, op; /* the slowest first */
  int64_t runs;
  bool warm; /* not of the first run */
  double seconds, waited, collectives; /* of one run */
} gs_profile;

/* Of a device that was timed and has run. */
void gs_profile_of(gs_arena *a, const gs_program *p, const gs_timing *t,
                   gs_profile *out);
/* Adds lines, of the slowest `most` steps; or a JSON object.  binding: NULL for
 * a plan that has one program. */
void gs_profile_text(gs_buf *b, const gs_profile *p, const char *binding,
                     int most);
void gs_profile_json(gs_buf *b, const gs_profile *p, const char *binding);

/* Adds the turns of one device as events of Chrome's trace format, each with a
 * comma before it; times in microseconds since `zero` (gs_now). */
void gs_trace_events(gs_buf *b, const gs_program *p, const gs_timing *t,
                     int rank, int64_t device, double zero);

#endif
