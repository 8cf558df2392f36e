/* Shared by the files of propagation; see propagate.h. */
#ifndef GS_PASS_PROPAGATE_IMPL_H
#define GS_PASS_PROPAGATE_IMPL_H

#include "pass/propagate/project.h"
#include "pass/propagate/propagate.h"

/* What is allowed at each level; each runs to a fixpoint with those before it
 * still in force. */
typedef struct level {
  bool simple_only; /* nodes that compute element by element or only move */
  bool summed;      /* along summed factors too (operand to operand) */
  bool windows;     /* along dims that a split makes exchange rows */
  bool decide;      /* resolve conflicts, larger tensor first */
} level;

/* A list of axes that tensors of a node give to a factor. */
typedef struct factor_axes {
  gs_axes axes;
  double weight;       /* bits of the largest tensor that gives it */
  int first, heaviest; /* the first slot that gives it; of that weight */
} factor_axes;

/* What the tensors of a node say of its factors, every list once: a node of a
 * hundred thousand operands is looked at by what differs between them. Kept
 * while a user priority lasts, and brought up to date as tensors grow. */
typedef struct view {
  gs_rule rule;
  struct factor_axes_list {
    factor_axes *at;
    int n, cap;
  } *factor; /* [nfactor] */
} view;

typedef struct prop {
  gs_arena *a;
  gs_graph *g;
  const gs_mesh *m;
  gs_uses uses;
  gs_propagation *out;
  const gs_propagate_input *in;
  bool *user;    /* by value: annotated, or in a group with one that is */
  bool *forward; /* by node: its results may grow */
  int64_t now;      /* counts changes */
  int64_t *changed; /* by node: when one of its tensors grew last */
  int64_t *heard;   /* by value: when its uses were heard last */
  int priority;     /* user dims of a higher number are not seen yet */
  level level;
  view **view;      /* by node; NULL: not looked at yet */
  gs_arena views;     /* of this priority */
  gs_arena tmp, kept; /* of one visit of a node; of the uses of a value */
  gs_assignment *slot; /* scratch: the factors of one slot */
  gs_err *e;
} prop;

/* One visit of a node. */
typedef struct visit {
  const gs_node *node;
  view *view;
  gs_axes *merged; /* [nfactor] what the tensors agree on at this level */
} visit;

/* Dim d of v as this user priority sees it. */
const gs_split *gs_prop_visible(const prop *p, const gs_value *v, int d);
/* Gathers what the tensors of a node say; O(factors) but for the first time.
 * The visit lasts until p->tmp is reset. */
gs_status gs_prop_project(prop *p, const gs_node *n, visit *v);
/* v grew: the nodes around it hear of it, and may change others. */
void gs_prop_mark(prop *p, const gs_value *v);

/* Whether this level looks at n at all. */
bool gs_prop_is_due(const prop *p, const gs_node *n);
/* The axes that s can no longer get. */
gs_subset gs_prop_taken(const prop *p, const gs_sharding *s);
/* The axes that every dim of slot s would have with what the factors now
 * have, in wanted[rank]; true if that is more than it has. */
bool gs_prop_extend(prop *p, const visit *v, int s, gs_axes *wanted);
/* The largest tensor (bits) that gives `axis` to a factor of dim d of slot s;
 * 0 when none does. */
double gs_prop_weight(const visit *v, int s, int d, int axis);
/* Notes that `axis` came to dim d of slot s of n from the first slot that has
 * it on a factor of that dim. */
void gs_prop_remember(prop *p, const gs_node *n, int s, int d, int axis);
gs_origin *gs_prop_origin(const prop *p, const gs_value *v);

/* Notes with every origin what stated the axis at the end of its chain;
 * O(values * axes). */
void gs_prop_find_ends(gs_propagation *p);

/* Gives v what all its uses agree on. */
gs_status gs_prop_back(prop *p, gs_value *v, bool *changed);
/* Lets the members of a group take over each other's axes. */
void gs_prop_group(prop *p, const gs_tensor_group *t, bool *changed);

#endif
