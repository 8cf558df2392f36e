/* What a graph costs as its values are sharded now: the propagation and the
 * partition of searches, thrown away but for their price. */
#ifndef GS_PLAN_TRIAL_H
#define GS_PLAN_TRIAL_H

#include "pass/partition/partition.h"
#include "pass/propagate/propagate.h"

typedef struct gs_trial {
  double seconds; /* of one run */
  double bytes;   /* weights and activations per device */
  double flops;   /* per device */
} gs_trial;

/* Propagates, from what stands in value->sharding of all values, and
 * partitions: scratch and shardings in a.  memo is of g. */
gs_status gs_trial_run(gs_arena *a, gs_graph *g, const gs_propagate_input *in,
                       gs_partition_memo *memo, gs_trial *out, gs_err *e);

/* Likewise, of a graph whose values all have a sharding. */
gs_status gs_trial_price(gs_arena *a, gs_graph *g, gs_partition_memo *memo,
                         gs_trial *out, gs_err *e);

/* What it is judged by, less is better: a sum of logarithms, so that parts of
 * the time stand against parts of the bytes, ten for one. */
double gs_trial_judged(const gs_trial *x);

#endif
