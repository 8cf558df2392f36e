/* Partial sums that are passed on instead of being reduced at once: what is
 * added to other partial sums is reduced together with them. */
#include "base/math.h"
#include "pass/partition/partition_impl.h"

enum { MAX_AHEAD = 8 }; /* nodes that are looked at before they are made */

gs_subset gs_partitioner_partial(const gs_partitioner *p, const gs_value *v) {
  const gs_held_form *x = p->held[v->id];
  if (!x || x->next || p->nuse[v->id] != 1 ||
      x->form.sharding->reduce != GS_REDUCE_SUM)
    return 0;
  return x->form.sharding->partial;
}

static bool additive(const gs_node *n) {
  return n->op && (n->op->flags & GS_OP_ADDITIVE);
}

/* Over which axes v will probably be partial, if it is not made yet. */
static gs_subset expected(const gs_partitioner *p, const gs_value *v,
                          int depth) {
  if (p->held[v->id]) return gs_partitioner_partial(p, v);
  const gs_node *n = v->def;
  if (!n || !n->op || !depth || p->nuse[v->id] != 1) return 0;
  gs_subset axes = 0;
  if (additive(n)) {
    for (int i = 0; i < n->nin && !axes; i++)
      if (n->in[i]) axes = expected(p, n->in[i], depth - 1);
    return axes;
  }
  if (n->op->combine != GS_REDUCE_SUM) return 0;
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_rule *r = GS_NEW(&tmp, gs_rule);
  gs_assignment *as = GS_NEW(&tmp, gs_assignment);
  if (!gs_rule_of(&tmp, n, r, NULL))
    for (int i = 0; i < r->nin; i++)
      if (gs_node_in(n, i))
        gs_project(p->m, r, &r->in[i], n->in[i]->sharding, as);
  axes = gs_assignment_partial(r, as);
  gs_arena_free(&tmp);
  return axes;
}

/* Is the result of n only added to something that is partial over `axes` as
 * well? */
static bool meets_partial(const gs_partitioner *p, const gs_node *n,
                          gs_subset axes) {
  for (int depth = MAX_AHEAD; depth > 0; depth--) {
    const gs_value *v = n->out[0];
    if (!v || p->nuse[v->id] != 1 || !p->reader[v->id]) return false;
    n = p->reader[v->id];
    if (!additive(n)) return false;
    for (int i = 0; i < n->nin; i++)
      if (n->in[i] && n->in[i] != v && expected(p, n->in[i], MAX_AHEAD) == axes)
        return true;
  }
  return false;
}

static double elements(const gs_value *v) {
  return (double)gs_product(v->dims, v->rank);
}

gs_subset gs_partitioner_deferred(const gs_partitioner *p, const gs_node *n) {
  const gs_op *op = n->op;
  if (!op || gs_node_dynamic(n)) return 0;
  bool all = additive(n);
  if (!all && !(op->flags & GS_OP_LINEAR)) return 0;
  gs_subset axes = 0;
  double before = 0, after = 0;
  int partial = 0, others = 0;
  for (int i = 0; i < n->nin && (all || i == 0); i++) {
    if (!n->in[i]) continue;
    gs_subset these = gs_partitioner_partial(p, n->in[i]);
    const gs_held_form *x = p->held[n->in[i]->id];
    if (!these) {
      /* One that others read too is reduced for all of them. */
      if (x && x->form.sharding->partial) return 0;
      others++;
      continue;
    }
    if (axes && axes != these) return 0;
    axes = these;
    partial++;
    before += elements(n->in[i]);
  }
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) after += elements(n->out[i]);
  if (after > before) return 0;
  if (others && partial < 2 && !meets_partial(p, n, axes)) return 0;
  return axes;
}
