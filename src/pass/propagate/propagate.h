/* Completes shardings over the whole graph (GShard section 3.2 "sharding
 * completion"; GSPMD section 3.5; priorities as in Shardy).
 *
 * requires  n->op set, shapes inferred, graph->mesh, annotated values carry
 *           their sharding
 * ensures   every value has a sharding, all dims closed
 * keeps     what the user gave: axes, closed dims, replicated and partial
 *
 * Levels, each to a fixpoint within every user priority: nodes that compute
 * element by element or only move; all nodes along factors that pass; summed
 * factors too; conflicts.  Before the last level nothing is chosen: tensors
 * that disagree share the prefix that they agree on.  At the last one the
 * larger tensor wins, then the first operand, or the first axis of the mesh
 * where uses of one value disagree.  All uses of a value are heard before it
 * is given anything, so the order of nodes and of rules says nothing.  What
 * comes from the producer goes before what uses ask for.  Constants that are
 * not annotated follow, and lead nobody.
 * Cost: O(levels * (nodes + uses of the values that change)), whatever the
 * number of operands of a node; memory O(nodes + operands). */
#ifndef GS_PASS_PROPAGATE_H
#define GS_PASS_PROPAGATE_H

#include "op/core/op.h"

/* Why a sub-axis splits a dim of a value. */
typedef struct gs_origin {
  int rule;             /* where the chain ends: what stated the axis there */
  const gs_node *via;   /* node it came through; NULL: stated by the rule */
  const gs_value *from; /* value on the other side of that node */
} gs_origin;

/* What may pass between a value and its uses (spec: barriers). */
typedef struct gs_barrier {
  bool no_forward;  /* its axes do not reach the nodes that use it */
  bool no_backward; /* those nodes give it no axes */
} gs_barrier;

typedef struct gs_tensor_group { /* values that are sharded alike (spec: groups)
                                  */
  int n;
  gs_value **value;
} gs_tensor_group;

typedef struct gs_propagate_input {
  const int *rule; /* [nvalue] spec rule that annotated it, or -1; or NULL */
  const gs_subset
      *filled; /* [nvalue] axes that plan/auto_shard chose; or NULL */
  const gs_subset
      *handed; /* [nvalue] axes that plan/hand_on gave it; or NULL */
  const gs_barrier *barrier; /* [nvalue], or NULL */
  int ngroup;
  const gs_tensor_group *group;
} gs_propagate_input;

typedef struct gs_propagation {
  gs_graph *graph;
  const int *rule;     /* copied from the input */
  const gs_subset *filled, *handed; /* likewise */
  bool *stated;        /* [nvalue] annotated, with at least one closed dim */
  gs_origin **origin;  /* [nvalue] NULL or [nsub] */
  int64_t visits;      /* of nodes: the work that was done */
} gs_propagation;

gs_status gs_pass_propagate(gs_arena *a, gs_graph *g,
                            const gs_propagate_input *in,
                            gs_propagation *out, gs_err *e);

/* The rule that a value's axes lead back to, following the chain of the first
 * axis that has one; -1 when it is replicated or unannotated. */
int gs_propagation_rule(const gs_propagation *p, const gs_value *v);

/* The same for one sub-axis of v; GS_RULE_FILL when plan/auto_shard chose it,
 * GS_RULE_SHORT when plan/hand_on gave it. */
int gs_propagation_axis_rule(const gs_propagation *p, const gs_value *v,
                             int axis);

/* Where sub-axis `axis` of v came from: NULL, or without a `from`, where it is
 * stated for v itself. */
const gs_origin *gs_propagation_origin(const gs_propagation *p,
                                       const gs_value *v, int axis);
/* The sub-axes of dim d of v from the from-th on that have one chain. */
gs_axes gs_propagation_alike(const gs_propagation *p, const gs_value *v,
                             int d, int from);
/* Whether it is stated that v, which is replicated, is so. */
bool gs_propagation_whole(const gs_propagation *p, const gs_value *v);
/* The first node at v where the axes of another tensor of it, *next, stop;
 * NULL: none.  Cost O(nodes). */
const gs_node *gs_propagation_stop(const gs_propagation *p, const gs_value *v,
                                   const gs_value **next);

/* What a rule of the spec is called: "spec.yaml:8:5 (label)". */
typedef const char *gs_rule_text(void *context, int rule);

/* Prints, for every axis of v, the chain from v back to the rule:
 *   h {dp,tp}
 *     axis tp on dim 1
 *       from 'w1' through node 'mlp/up' (MatMul)
 *       stated by spec.yaml:8:5
 * and for a replicated v who says so, or where axes stop next to it.  Of a
 * long chain the middle is left out.  Cost O(nodes). */
void gs_propagation_explain(gs_buf *b, const gs_propagation *p,
                            const gs_value *v, gs_rule_text *rule_text,
                            void *context);
/* The chain of one sub-axis alone. */
void gs_propagation_chain(gs_buf *b, const gs_propagation *p,
                          const gs_value *v, int axis, gs_rule_text *rule_text,
                          void *context);

#endif
