/* options.auto: fill -- dims that the user left open are split where the cost
 * model says that it pays.
 *
 * A choice splits one dim of some graph inputs or weights over one axis of
 * the mesh; propagation then completes the rest, as if the user had said it.
 * Tensors whose names differ in numbers only, have one shape and are used
 * alike (the same weight of every layer) are chosen together, and so are
 * inputs that have a dim of the same name or size.  Starting from what the
 * user said, the choice that helps most is taken until none helps; that is
 * done again without choices that may have led astray, and of the best way
 * those that no longer help are dropped.  What the user said is never changed.
 *
 * Better is: fewer bytes per device past the limit, then less time of
 * pass/reshard/cost.h's model (compute, memory and collectives), of which 1 %
 * is given for 10 % fewer bytes per device.  Of a model with several sizes
 * it is the time in which each program does as much work: as many operations,
 * so that a decoder's program of one token is run for every token of another.
 *
 * requires  as gs_pass_propagate; what the user said stands in
 *           value->sharding; `more` have the mesh of g and no shardings
 * ensures   value->sharding of chosen values has the chosen axes; their dims
 *           stay open
 * Cost: up to about 20 (choices + taken) propagations and partitions of each
 * graph. */
#ifndef GS_PASS_FILL_H
#define GS_PASS_FILL_H

#include "pass/partition/partition.h"
#include "pass/propagate/propagate.h"

typedef struct gs_auto_shard_options {
  double memory; /* bytes per device for weights and activations; 0: any */
  bool even;     /* only dims that the axis divides */
  int nmore;
  gs_graph *const *more; /* [nmore] g with other sizes, under its shardings */
} gs_auto_shard_options;

typedef struct gs_auto_shard_score {
  double excess;  /* bytes per device past the limit */
  double seconds; /* of one run, or of one of each size */
  double time;    /* likewise, weighted: what is compared */
  double flops;   /* per device */
  double bytes;   /* weights and activations per device, the most of all */
} gs_auto_shard_score;

typedef struct gs_auto_shard_choice {
  int n;
  gs_value *const *value; /* [n] */
  const int *dim;         /* [n] dim of each that is split */
  int axis;               /* of the mesh */
  gs_auto_shard_score after;    /* with this choice and those before it */
} gs_auto_shard_choice;

typedef struct gs_auto_shard {
  gs_auto_shard_score before, after;
  GS_VEC(gs_auto_shard_choice) choice; /* in the order of being taken */
  gs_subset *filled;             /* [nvalue] axes that were chosen */
} gs_auto_shard;

/* Whether x is better than y by as much as a choice has to be. */
bool gs_auto_shard_better(const gs_auto_shard_score *x,
                          const gs_auto_shard_score *y);

/* GS_SPEC when no sharding is found that fits the limit, with what the best
 * one takes. */
gs_status gs_pass_auto_shard(gs_arena *a, gs_graph *g,
                             const gs_propagate_input *in,
                             const gs_auto_shard_options *opt,
                             gs_auto_shard *out, gs_err *e);

#endif
