/* Applying a sharding specification to a graph: which tensors the rules name,
 * and what they say about them.
 *
 * requires  shapes inferred, operators looked up (gs_pass_upgrade, _infer)
 * ensures   graph->mesh; annotations whose shardings hold on it; node->rule of
 *           custom operators
 * keeps     nodes and values
 * breaks    nothing; a sharding that a value has already is removed where a
 *           rule overrides it, and re-expressed when the mesh gets finer */
#ifndef GS_PASS_MATCH_H
#define GS_PASS_MATCH_H

#include "ir/graph/graph.h"
#include "ir/mesh/spec.h"
#include "pass/segments/segments.h"

/* What the rules say of one tensor, or of one use of it. */
typedef struct gs_annotation {
  gs_value *value;
  gs_node *node; /* NULL: the value itself; else its use by this node */
  int operand;
  gs_sharding *sharding;
  int *rule; /* [rank] spec->rule that set each dim; -1: options.io; -2: none,
                an open dim */
  int by;    /* the rule that named the tensor first; -1: options.io */
} gs_annotation;

typedef struct gs_rule_count {
  int64_t matched; /* tensors, or uses, that fit its match */
  int64_t used;    /* those of which at least one dim is as it says */
} gs_rule_count;

typedef struct gs_value_group { /* values that are sharded alike */
  int n;
  gs_value **value;
  const gs_spec_group *from; /* NULL: state, and what it becomes */
} gs_value_group;

typedef struct gs_value_barrier { /* between the value and its uses */
  gs_value *value;
  gs_direction direction;
  const gs_spec_barrier *from;
} gs_value_barrier;

typedef struct gs_custom_rule { /* of a node without a row */
  gs_node *node;
  const char *rule; /* node->rule; gs_rule_parse has accepted it */
  const gs_spec_op *from;
} gs_custom_rule;

typedef struct gs_match_result {
  GS_VEC(gs_annotation) annotation; /* in the order of the rules */
  gs_rule_count *rule;              /* [spec->rule.n] */
  int matched;                      /* rules that matched something */
  GS_VEC(gs_value_group) group;
  GS_VEC(gs_value_barrier) barrier;
  GS_VEC(gs_custom_rule) op;
  const gs_segment_list *segments; /* as rules have cut the graph before; or
                                      NULL */
} gs_match_result;

/* The tensors of which rules say `segments`, to be cut before they are matched;
 * the graph stays as it is.  GS_SPEC and GS_UNSUPPORTED, at the place of the
 * segments, where they do not fit a tensor (gs_segments_fit), or the rule does
 * not split one dim of it. */
gs_status gs_pass_match_segments(gs_arena *a, const gs_spec *spec, gs_graph *g,
                                 gs_segment_list *out, gs_err *e);

/* Errors: GS_SPEC for rules that match nothing or not as often as expected,
 * wrong ranks, unknown axes, axes used twice, dims that do not divide (where
 * the spec forbids it); GS_UNSUPPORTED for device orders that are no sub-axes.
 * Tells up to GS_MAX_DIAGS of them.  Cost O(rules * names + annotations). */
gs_status gs_pass_match(gs_arena *a, const gs_spec *spec, gs_graph *g,
                        gs_match_result *out, gs_err *e);

/* The spec with styles, splits, assignments and patterns replaced by one
 * `shard` rule per tensor, as YAML that reads back in and gives the same
 * annotations. */
void gs_spec_dump(gs_buf *b, const gs_spec *spec, const gs_graph *g,
                  const gs_match_result *r);

/* "spec.yaml:12:5 (label)" of a rule, for reports. */
char *gs_rule_origin(gs_arena *a, const gs_spec *spec, int rule);

#endif
