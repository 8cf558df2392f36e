/* Reports of gshard-annotate and gshard-partition: text, or JSON as
 * schemas/gshard-report.schema.json says. */
#ifndef GS_API_REPORT_H
#define GS_API_REPORT_H

#include "io/onnx/model.h"
#include "plan/auto_shard.h"
#include "plan/hand_on.h"
#include "pass/match/match.h"
#include "pass/partition/partition.h"
#include "pass/propagate/propagate.h"

typedef struct gs_report {
  const char *tool;
  const gs_model *model;             /* for origins noted in it, or NULL */
  const gs_graph *graph;             /* annotated: global shapes */
  const gs_spec *spec;               /* or NULL */
  const gs_match_result *match;      /* or NULL */
  const gs_propagation *propagation; /* or NULL */
  const gs_partition *partition;
  const gs_auto_shard *fill; /* what options.auto chose, or NULL */
  bool stacked; /* it chose stacks of branches too */
  const gs_handed *handed;   /* by options.short, or NULL */
  GS_VEC(const gs_value *) explain; /* what --explain names */
  const char *binding; /* of the program; NULL: there is one */
  GS_VEC(const struct gs_report *) more; /* of the other bindings */
} gs_report;

/* Where the sharding of v comes from: "spec.yaml:8:5 (label)", "the model",
 * "dp=spec.yaml:4:5; tp=spec.yaml:9:5" where axes differ, or "" when nothing
 * reaches it. */
char *gs_report_origin(gs_arena *a, const gs_report *r, const gs_value *v);

/* The same for a collective: what split the axes that it works over. */
char *gs_report_cause(gs_arena *a, const gs_report *r, const gs_collective *c);

/* Prints why v is moved: each collective on it, who needs it, and where the
 * axes that it works over come from. */
void gs_report_moves(gs_buf *b, const gs_report *r, const gs_value *v,
                     gs_rule_text *rule_text, void *context);

/* A few lines: rules matched, tensors sharded, weights, collectives, and the
 * largest of what runs whole or gathers much; of other bindings what they send
 * and take. */
void gs_report_summary(gs_buf *b, const gs_report *r);
/* The summary, then rules, the largest replicated tensors, every collective
 * with bytes and origin. */
void gs_report_text(gs_buf *b, const gs_report *r);
void gs_report_json(gs_buf *b, const gs_report *r);

/* ---- pieces ---- */

typedef struct gs_report_totals {
  int sharded, replicated;
  double weights;     /* whole */
  double sent;        /* per device */
} gs_report_totals;

/* A dim that its axes do not divide. */
typedef struct gs_uneven_dim {
  const gs_value *value;
  int dim;
  int64_t size, shards, block;
  int64_t last;  /* elements of the last shard that has any */
  int64_t empty; /* shards behind it */
} gs_uneven_dim;
typedef GS_VEC(gs_uneven_dim) gs_uneven_list;

/* Bytes of the whole of v; 0 where only a run knows. */
double gs_report_whole_bytes(const gs_value *v);
gs_report_totals gs_report_count(const gs_report *r);
/* The uneven dims of all values, in their order. */
gs_uneven_list gs_report_uneven(gs_arena *a, const gs_report *r);
const char *gs_report_axes_text(gs_arena *a, const gs_mesh *m,
                                const gs_axes *axes);

/* What put sub-axis `axis` on v: a rule of the spec, or what the model
 * notes. */
char *gs_report_axis_origin(gs_arena *a, const gs_report *r,
                            const gs_value *v, int axis);
/* The value that brought `axis` to c: the moved one, or an operand of the node
 * that computes it (partial values do not show their axes). */
const gs_value *gs_report_carrier(const gs_collective *c, int axis);
/* Whether v is a weight that its sharding splits and devices hold whole. */
bool gs_report_held_whole(const gs_report *r, const gs_value *v);
/* "key": "value", then `after`. */
void gs_report_pair(gs_buf *b, const char *key, const char *value,
                    const char *after);
/* The member "explained" of the report: r->explain as objects, with whole
 * chains; nothing when there are none. */
void gs_report_explained(gs_buf *b, const gs_report *r);

#endif
