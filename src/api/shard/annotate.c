#include "api/shard/annotate.h"

#include "api/shard/bindings.h"
#include "base/assert.h"

#include <string.h>

/* ---- uses that have a sharding of their own ---- */

/* A value equal to v: a constant sharing its tensor, or a copy of it made
 * where v is. */
static gs_value *replica_of(gs_graph *g, gs_value *v, const char *name) {
  if (v->constant) return gs_value_constant(g, name, v->constant);
  gs_node *n = gs_node_new(g, "", "Identity", name, 1, 1);
  n->op = gs_op_find(n->domain, n->op_type);
  gs_assert(n->op);
  n->opset = n->op->since;
  n->origin = v->def ? v->def->origin : n->name;
  n->in[0] = v;
  gs_value *y = gs_value_new(g, name, v->dtype, v->rank, v->dims);
  gs_node_output(n, 0, y);
  gs_graph_move_nodes(g, n->id, v->def ? v->def->id + 1 : 0);
  return y;
}

static bool alike(const gs_sharding *a, const gs_sharding *b) {
  if (!gs_sharding_equal(a, b) || a->replicated != b->replicated) return false;
  for (int d = 0; d < a->rank; d++)
    if (a->dim[d].open != b->dim[d].open ||
        a->dim[d].priority != b->dim[d].priority)
      return false;
  return true;
}

/* Gives the use a value of its own; uses that say the same share one. */
static void give_own_value(gs_graph *g, gs_use_sharding *u) {
  gs_assert(u->operand >= 0 && u->operand < u->node->nin);
  for (int i = 0; i < g->use_sharding.n && !u->own; i++) {
    const gs_use_sharding *o = &g->use_sharding.at[i];
    if (o->own && o->value == u->value && alike(o->sharding, u->sharding))
      u->own = o->own;
  }
  if (!u->own) {
    const char *by = *u->node->name ? u->node->name : u->node->op_type;
    u->own = replica_of(g, u->value,
                     gs_sprintf(g->arena, "%s@%s:%d", u->value->name, by,
                                u->operand));
    u->own->sharding = u->sharding;
  }
  u->node->in[u->operand] = u->own;
}

/* ---- what the rules say ---- */

/* What the model says of a use; NULL: nothing. */
static gs_use_sharding *find_use(gs_graph *g, const gs_annotation *n) {
  for (int i = 0; i < g->use_sharding.n; i++)
    if (g->use_sharding.at[i].node == n->node &&
        g->use_sharding.at[i].operand == n->operand)
      return &g->use_sharding.at[i];
  return NULL;
}

/* By value: what all its annotated uses agree on; NULL when they do not. */
typedef struct agreement {
  gs_sharding *sharding;
  bool broken;
} agreement;

static agreement *find_agreements(gs_arena *a, const gs_graph *g,
                                  const gs_match_result *r) {
  agreement *at = GS_NEWS(a, g->value.n + 1, agreement);
  for (int i = 0; i < r->annotation.n; i++) {
    const gs_annotation *n = &r->annotation.at[i];
    agreement *x = &at[n->value->id];
    gs_assert(n->value->id < g->value.n);
    if (!n->node) continue;
    if (!x->sharding) x->sharding = n->sharding;
    else if (!alike(x->sharding, n->sharding)) x->broken = true;
  }
  return at;
}

/* Takes over the annotations: those of values, then those of uses.  A use
 * speaks for the value if nothing else is said of it and the other annotated
 * uses agree. */
static void take_annotations(gs_arena *a, gs_graph *g,
                             const gs_match_result *r, int *rule) {
  agreement *agreed = find_agreements(a, g, r);
  for (int i = 0; i < r->annotation.n; i++) {
    const gs_annotation *n = &r->annotation.at[i];
    if (n->node) continue;
    n->value->sharding = n->sharding;
    rule[n->value->id] = n->by;
  }
  for (int i = 0; i < r->annotation.n; i++) {
    const gs_annotation *n = &r->annotation.at[i];
    gs_value *v = n->value;
    if (!n->node) continue;
    if (!v->sharding && !agreed[v->id].broken) {
      v->sharding = n->sharding;
      rule[v->id] = n->by;
    }
    gs_use_sharding *u = find_use(g, n);
    if (!u && v->sharding && alike(v->sharding, n->sharding)) continue;
    if (!u) u = gs_push(g->arena, &g->use_sharding);
    *u = (gs_use_sharding){.node = n->node,
                           .operand = n->operand,
                           .value = v,
                           .sharding = n->sharding,
                           .by = n->by};
  }
}

static void take_barriers(const gs_match_result *r, gs_barrier *barrier) {
  for (int i = 0; i < r->barrier.n; i++) {
    const gs_value_barrier *b = &r->barrier.at[i];
    gs_barrier *at = &barrier[b->value->id];
    if (b->direction == GS_DIRECTION_NONE ||
        b->direction == GS_DIRECTION_BACKWARD)
      at->no_forward = true;
    if (b->direction == GS_DIRECTION_NONE ||
        b->direction == GS_DIRECTION_FORWARD)
      at->no_backward = true;
  }
}

/* A barrier behind a value stands behind its replicas too, not before them. */
static void split_uses(gs_graph *g, int *rule, gs_barrier *barrier) {
  for (int i = 0; i < g->use_sharding.n; i++) {
    gs_use_sharding *u = &g->use_sharding.at[i];
    if (!u->own) give_own_value(g, u);
    rule[u->own->id] = u->by;
    barrier[u->own->id] = barrier[u->value->id];
  }
}

/* What fill chose, as annotations (for --dump-spec): added to those that gave
 * the value its sharding `said`, or else new ones. */
static void note_choices(gs_arena *a, const gs_graph *g,
                         const gs_auto_shard *made, gs_sharding *const *said,
                         gs_match_result *r) {
  bool *told = GS_NEWS(a, g->value.n + 1, bool);
  for (int i = 0; i < r->annotation.n; i++) {
    gs_annotation *n = &r->annotation.at[i];
    int id = n->value->id;
    if (!made->filled[id] || !said[id]) continue;
    if (n->node && !alike(n->sharding, said[id])) continue;
    n->sharding = n->value->sharding;
    told[id] = true;
  }
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    if (!made->filled[i] || told[i]) continue;
    gs_annotation *n = gs_push(a, &r->annotation);
    *n = (gs_annotation){.value = v, .sharding = v->sharding,
                         .by = GS_RULE_FILL};
    n->rule = GS_NEWS(a, v->rank + 1, int);
    for (int d = 0; d < v->rank; d++)
      n->rule[d] = v->sharding->dim[d].axes.n ? GS_RULE_FILL : -2;
  }
}

/* Completes the shardings, with axes of short dims handed on if h is given. */
static gs_status complete(gs_arena *a, gs_graph *g, double memory,
                          gs_propagate_input *in, gs_handed *h,
                          gs_propagation *out, gs_err *e) {
  gs_sharding **said = GS_NEWS(a, g->value.n + 1, gs_sharding *);
  for (int i = 0; i < g->value.n; i++) said[i] = g->value.at[i]->sharding;
  GS_TRY(gs_pass_propagate(a, g, in, out, e));
  if (!h) return GS_OK;
  GS_TRY(gs_pass_hand_on(a, g, in, said, memory, h, e));
  in->handed = h->axes;
  return h->n ? gs_pass_propagate(a, g, in, out, e) : GS_OK;
}

/* Lets a graph with other sizes have the uses of g that have a sharding of
 * their own; what values are given changes with what is tried. */
static void follow(gs_arena *a, const gs_graph *g, gs_graph *more) {
  gs_bindings_share(g, more);
  int max = more->value.n + more->use_sharding.n + 1;
  split_uses(more, GS_NEWS(a, max, int), GS_NEWS(a, max, gs_barrier));
  for (int i = 0; i < more->value.n; i++) more->value.at[i]->sharding = NULL;
}

static gs_status choose(gs_arena *a, gs_graph *g, gs_match_result *r,
                        const gs_auto_shard_options *fill,
                        gs_auto_shard *filled, gs_propagate_input *in,
                        gs_err *e) {
  gs_sharding **said = GS_NEWS(a, g->value.n + 1, gs_sharding *);
  for (int i = 0; i < g->value.n; i++) said[i] = g->value.at[i]->sharding;
  for (int i = 0; i < fill->nmore; i++) follow(a, g, fill->more[i]);
  GS_TRY(gs_pass_auto_shard(a, g, in, fill, filled, e));
  in->filled = filled->filled;
  if (r) note_choices(a, g, filled, said, r);
  return GS_OK;
}

gs_status gs_pass_annotate(gs_arena *a, gs_graph *g, gs_match_result *r,
                           const gs_auto_shard_options *fill,
                           gs_auto_shard *filled, gs_handed *handed,
                           gs_propagation *out, gs_err *e) {
  int uses = g->use_sharding.n + (r ? r->annotation.n : 0);
  int max = g->value.n + uses + 1;
  int *rule = GS_NEWS(a, max, int);
  gs_barrier *barrier = GS_NEWS(a, max, gs_barrier);
  gs_propagate_input in = {.rule = rule, .barrier = barrier};
  for (int i = 0; i < max; i++) rule[i] = GS_RULE_NONE;
  if (r) {
    for (int i = 0; i < r->op.n; i++)
      r->op.at[i].node->rule = r->op.at[i].rule;
    take_annotations(a, g, r, rule);
    take_barriers(r, barrier);
    gs_tensor_group *group = GS_NEWS(a, r->group.n + 1, gs_tensor_group);
    for (int i = 0; i < r->group.n; i++)
      group[i] = (gs_tensor_group){r->group.at[i].n, r->group.at[i].value};
    in.group = group;
    in.ngroup = r->group.n;
  }
  split_uses(g, rule, barrier);
  GS_TRY(gs_graph_check(g, e));
  if (fill) GS_TRY(choose(a, g, r, fill, filled, &in, e));
  return complete(a, g, fill ? fill->memory : 0, &in, handed, out, e);
}
