/* What a graph costs under the shardings that plan/auto_shard tries: one
 * program, or one for each size of the model. */
#ifndef GS_PLAN_AUTO_PRICE_H
#define GS_PLAN_AUTO_PRICE_H

#include "plan/auto_shard.h"

/* The graph with other sizes: `of` are the values of g by its own, `to` its own
 * by those of g; NULL where there is none of the name. */
typedef struct gs_auto_sized {
  gs_graph *g;
  gs_value **of, **to;
  gs_partition_memo memo;
} gs_auto_sized;

typedef struct gs_auto_price {
  gs_graph *g;
  const gs_propagate_input *in;
  const gs_auto_shard_options *opt;
  gs_partition_memo memo;
  gs_auto_sized *more; /* [opt->nmore] */
  double *weight;      /* [1 + opt->nmore] runs of each; 1 at first */
  int only;            /* the size that is priced, 0: of g; -1: all, at first */
} gs_auto_price;

/* Cost O(values of all sizes). */
void gs_auto_price_init(gs_auto_price *p, gs_arena *a, gs_graph *g,
                        const gs_propagate_input *in,
                        const gs_auto_shard_options *opt);
/* How large dim d of v is where it is smallest: what is split is split for all
 * sizes. */
int64_t gs_auto_least_dim(const gs_auto_price *p, const gs_value *v, int d);
/* The price of the shardings that the values of g have.  Leaves what
 * propagation gave to g in g.  Errors as of the passes.  Cost: a propagation
 * and a partition of each size. */
gs_status gs_auto_price_now(gs_auto_price *p, gs_arena *tmp,
                            gs_auto_shard_score *x, gs_err *e);

#endif
