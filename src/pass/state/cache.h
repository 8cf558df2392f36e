/* Caches of a fixed size: state that would grow from run to run.
 *
 * A cache that is Concat(past, new) becomes a buffer of `size` places, into
 * which each run writes what is new at the next place (TensorScatter): its past
 * and its present are then of one size, and one memory.  How many places are
 * filled is an input of the graph, `gshard.filled`, which the run counts.
 * An operator that lays them end to end itself (Attention) becomes one over
 * what has been written (op/functions/cached.txt).
 * What is not filled yet is hidden from all that looks at more than one place:
 * where an operator takes away elements of -inf (FADES of ops.def), by those;
 * where it sums a product, by zeros.
 *
 * Whether that is all is found out by inferring the graph twice, for caches of
 * `size` and of one more place.  What differs is what depends on the size, and
 * it has to be dims that grow with it, indices of which the first ones are the
 * same, and operands that say shapes of what is only moved.  What is computed
 * from such a dim (a position, from the length of the past) is computed from
 * the number of places that are filled instead (cache_live.h).  All else is
 * refused: the result would not be that of the model, whose cache has as many
 * places as are filled.
 *
 * A node that makes the present of the past itself (GroupQueryAttention) is
 * left as it is: it is told how many places are filled. */
#ifndef GS_PASS_CACHE_H
#define GS_PASS_CACHE_H

#include "pass/prepare/expand.h"
#include "pass/state/state.h"

/* What reads the past but for the node that writes reads this part of it. */
typedef struct gs_cache_past {
  gs_value *end; /* the constant that says how long it is */
  int64_t size;
  const gs_node *writer; /* its operand 1 is what is new */
  int dim;
} gs_cache_past;

typedef struct gs_cache {
  int n;             /* that have become buffers; 0: nothing is to be hidden */
  gs_graph *larger;  /* the graph with one place more in each */
  gs_graph *source;  /* a copy that is not inferred */
  gs_value **value, **more; /* [values of source] in the graph and in larger:
                               what inference drops, too */
  gs_bindings bind;  /* of the dims that are larger there */
  gs_value *filled;  /* the input that counts */
  const gs_node *batch; /* for how many sequences: it reads a past */
  GS_VEC(gs_cache_past) past;
  int64_t step;      /* that a run fills; set where there is such a past */
  gs_expander expander; /* of the forms that cached.txt has */
} gs_cache;

/* Binds the dims of state with a size, and writes in place where present is a
 * Concat of past and new.  Adds the input that counts: s->filled.
 * requires  gs_pass_upgrade; shapes are not inferred
 * GS_SPEC with the place in the spec: no dim of the past could grow, or it is
 * bound to another size; GS_UNSUPPORTED naming the node: present is made of
 * past in another way. */
gs_status gs_pass_cache(gs_arena *a, gs_graph *g, gs_states *s,
                        gs_bindings *bind, gs_cache *out, gs_err *e);
/* Sets how long the past is in the last run, in which the present is as long as
 * the buffer.
 * requires  all bindings; ahead of gs_pass_infer
 * GS_UNSUPPORTED naming the node: what is new has no known size; errors of
 * gs_pass_infer.  Cost: that of gs_pass_infer. */
gs_status gs_pass_cache_lengths(gs_arena *a, gs_graph *g, gs_cache *c,
                                const gs_bindings *bind, gs_err *e);
/* Hides what is not filled; sets s->step.
 * requires  gs_pass_cache_lengths, gs_pass_infer of g with these bindings
 * GS_UNSUPPORTED naming the node from which it cannot be hidden.
 * Cost: that of gs_pass_infer. */
gs_status gs_pass_cache_hide(gs_arena *a, gs_graph *g, gs_states *s,
                             gs_cache *c, const gs_bindings *bind, gs_err *e);

#endif
