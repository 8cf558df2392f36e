/* One model on its way through the passes; see gshard.h. */
#ifndef GS_API_SHARDER_H
#define GS_API_SHARDER_H

#include "api/call.h"
#include "api/shard/bindings.h"
#include "api/shard/load.h"
#include "api/shard/report.h"

typedef enum gs_stage { /* what has been done */
  GS_STAGE_NEW,
  GS_STAGE_LOADED,
  GS_STAGE_ANNOTATED,
  GS_STAGE_PARTITIONED
} gs_stage;

/* What the model becomes with a binding that is not the first. */
typedef struct gs_variant {
  gs_loaded model;
  gs_propagation done;
  gs_partition made;
  gs_report report;
} gs_variant;

struct gs_sharder {
  gs_blocks blocks;
  gs_arena arena;
  gs_stage stage;
  const char *producer;
  gs_spec spec;
  bool has_spec, matched, verify;
  gs_binding_list binding;
  gs_variant *more; /* [binding.n - 1] all but the first */
  gs_loaded model;
  gs_sharding **before; /* [nbefore] by value: what was loaded; or NULL */
  int nbefore;
  gs_stacking stacking; /* by this sharder */
  bool chose_stacks;    /* for that costs less */
  gs_match_result match;
  gs_auto_shard filled;
  gs_handed handed;
  gs_propagation done;
  gs_partition made;
  gs_report report;
};

/* GS_USAGE unless s has come so far; `what` needs it. */
gs_status gs_sharder_need(const gs_sharder *s, gs_stage stage,
                          const char *what, gs_err *e);
/* Puts the rules of the spec on the graph, once. */
gs_status gs_sharder_match(gs_sharder *s, gs_err *e);
/* The same, then completes the shardings; `spec`: there are rules. */
gs_status gs_sharder_complete(gs_sharder *s, bool spec, gs_err *e);

/* Of a loaded model: a line, or an object, for each node, and for each module
 * (ir/graph/module.h) with how many nodes and which weights. */
void gs_list_nodes(gs_buf *b, const gs_graph *g);
void gs_list_nodes_json(gs_buf *b, const gs_graph *g);
void gs_list_modules(gs_buf *b, const gs_graph *g);
void gs_list_modules_json(gs_buf *b, const gs_graph *g);

#endif
