/* Shared by the files of gs_pass_match; not for others. */
#ifndef GS_PASS_MATCH_STATE_H
#define GS_PASS_MATCH_STATE_H

#include "pass/match/match.h"

/* A rule's dims once the mesh is known: `split`, `assign` and `shard` alike.
 */
typedef struct gs_rule_dims {
  int n;
  const gs_spec_dim *dim;
  int only; /* split: dim[0] is this dim, the others are whole; else -1 */
} gs_rule_dims;

typedef struct gs_matching {
  gs_arena *arena;
  const gs_spec *spec;
  gs_graph *graph;
  gs_match_result *out;
  gs_err *err;
  gs_mesh *mesh;
  gs_rule_dims *dims; /* [rules] */
  gs_uses uses;
} gs_matching;

/* Makes the mesh with all sub-axes that the rules use, and the rules' dims. */
gs_status gs_match_mesh(gs_matching *m);
/* The sub-axes that an axis of the spec names on the finished mesh. */
gs_axes gs_match_axes(const gs_mesh *mesh, const gs_spec_axes *a);
/* The axis that a style rule uses. */
gs_status gs_match_style_axis(gs_matching *m, const gs_spec_rule *rule,
                              gs_axes *out);

/* What a rule says of a value (use: node and operand, or NULL). */
gs_status gs_match_sharding(gs_matching *m, int rule, gs_value *v,
                            gs_node *node, int operand, gs_sharding **out);
/* The same of a tensor that is several end to end: how many heads or elements
 * belong together is asked of its parts only. */
gs_status gs_match_dims(gs_matching *m, int rule, gs_value *v, gs_node *node,
                        int operand, gs_sharding **out);
/* The part of the axes of dim d of v that does not cut heads (0: those of the
 * rule's `interleave`); GS_SPEC where none does. */
gs_status gs_match_fit_heads(gs_matching *m, const gs_spec_rule *r,
                             const gs_place *at, const gs_value *v, int d,
                             int64_t heads, gs_axes *axes);
/* How many heads dim d of operand k of n stands for, by who reads the dim of
 * result 0 that it becomes; 0: nobody says. */
int64_t gs_match_heads(gs_matching *m, const gs_node *n, int k, int d);
/* The weight operand of a node, -1 if there is none. */
int gs_match_weight(const gs_node *n);

/* Values and uses that fit a match. */
typedef struct gs_target {
  gs_value *value;
  gs_node *node;
  int operand;
} gs_target;
typedef struct gs_targets {
  gs_target *at;
  int n, cap;
} gs_targets;
/* style: nodes without input or output stand for their weight operand. */
gs_status gs_match_select(gs_matching *m, const gs_spec_match *match,
                          bool style, gs_targets *out);
/* Adds names like those of a match that has found nothing as a hint. */
void gs_match_hint(gs_matching *m, const gs_spec_match *match);
/* Rules of custom operators: sets node->rule, which styles then see. */
gs_status gs_match_ops(gs_matching *m);
/* Groups and barriers. */
gs_status gs_match_rest(gs_matching *m);

#endif
