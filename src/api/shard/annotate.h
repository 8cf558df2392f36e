/* The annotations of a spec put on a graph, then completed. */
#ifndef GS_PASS_ANNOTATE_H
#define GS_PASS_ANNOTATE_H

#include "plan/auto_shard.h"
#include "plan/hand_on.h"
#include "pass/match/match.h"
#include "pass/propagate/propagate.h"

/* Takes over what the rules said (r may be NULL: only the shardings that
 * values and uses have already) and propagates it.  What is said of a use
 * holds for the value when nothing else is said of it and its other annotated
 * uses agree; otherwise the use gets a value of its own (graph->use_sharding).
 * With `fill`, plan/auto_shard chooses more before that (*filled), and its
 * choices are added to r as annotations of GS_RULE_FILL; with `handed`,
 * plan/hand_on gives axes of short dims to others. requires, ensures: as
 * gs_pass_propagate.  breaks: numbers of nodes; values are added behind those
 * there are. */
gs_status gs_pass_annotate(gs_arena *a, gs_graph *g, gs_match_result *r,
                           const gs_auto_shard_options *fill,
                           gs_auto_shard *filled, gs_handed *handed,
                           gs_propagation *out, gs_err *e);

#endif
