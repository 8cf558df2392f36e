/* Numbers that depend on how much of a cache is filled.
 *
 * A graph with a cache of a fixed size is inferred as of its last run, in
 * which the past fills all places but those that the run fills.  So what a
 * model computes from the length of the past is a constant there, of that run
 * alone.  Here the nodes that it was folded from are made again, over the
 * number of places that are filled in the place of dims that grow.
 *
 *     p = Shape(past)[2]     16 - 1, of 16 places     gshard.filled
 *     t = Shape(present)[2]  16                       gshard.filled + 1
 *     i = arange(1) + p      [15]                arange(1) + gshard.filled */
#ifndef GS_PASS_CACHE_LIVE_H
#define GS_PASS_CACHE_LIVE_H

#include "pass/state/cache.h"

typedef struct gs_live {
  gs_arena *a;
  gs_graph *g, *larger;
  const gs_states *s;
  const gs_cache *c;
  gs_map made;   /* name -> what is in its place */
  gs_map twin;   /* name of what is in its place -> value of `larger` */
  gs_node *last; /* of the nodes that have been made; what is filled before */
} gs_live;

/* first: the node behind which others are put. */
void gs_live_init(gs_live *l, gs_arena *a, gs_graph *g, const gs_states *s,
                  const gs_cache *c, gs_node *first);
/* The value of `larger` that x, a value of g, corresponds to; NULL: none. */
const gs_value *gs_live_twin(const gs_live *l, const gs_value *x);
/* Whether x is a constant that is another one with a larger cache. */
bool gs_live_differs(const gs_live *l, const gs_value *x);
/* What x, a constant of which gs_live_differs is true, is in each run: a value
 * of its type and size.  NULL: that cannot be said, for it was made by a node
 * whose result has another size in each run, or from a dim that does not grow
 * as the cache does.  Cost: inference of the nodes that x was made by, once. */
gs_value *gs_live_value(gs_live *l, const gs_value *x);

#endif
