/* The annotations of a spec put on a graph, then completed. */
#ifndef GS_PASS_ANNOTATE_H
#define GS_PASS_ANNOTATE_H

#include "pass/match.h"
#include "pass/propagate.h"

/* Takes over what the rules said (r may be NULL: only the shardings that
 * values have already) and propagates it.  requires, ensures: as
 * gs_pass_propagate.  GS_UNSUPPORTED where two uses of a tensor ask for
 * different shardings of it. */
gs_status gs_pass_annotate(gs_arena *a, gs_graph *g, const gs_match_result *r,
                           gs_propagation *out, gs_err *e);

#endif
