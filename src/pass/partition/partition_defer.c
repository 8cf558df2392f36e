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

static double elements(const gs_value *v) {
  return (double)gs_product(v->dims, v->rank);
}

static gs_subset find_summed(const gs_partitioner *p, const gs_node *n,
                             gs_arena *tmp) {
  const gs_rule *r;
  if (gs_partitioner_rule(p, n, tmp, &r, NULL)) return 0;
  gs_assignment *as = gs_assignment_new(tmp, r);
  for (int i = 0; i < r->nin; i++)
    if (gs_node_in(n, i))
      gs_project(p->m, r, &r->in[i], n->in[i]->sharding, as);
  bool adds = gs_assignment_reduce(r, as) == GS_REDUCE_SUM;
  return adds ? gs_assignment_partial(r, as) : 0;
}

/* Axes of the summed factors that n splits, as its operands are assigned;
 * found once. */
static gs_subset summed(const gs_partitioner *p, const gs_node *n) {
  gs_subset *known = p->sums[n->id];
  if (known) return *known;
  gs_arena tmp;
  gs_arena_init(&tmp);
  known = p->sums[n->id] = GS_NEW(p->a, gs_subset);
  *known = find_summed(p, n, &tmp);
  gs_arena_free(&tmp);
  return *known;
}

/* Over which axes v will probably be partial, if it is not made yet. */
static gs_subset expected(const gs_partitioner *p, const gs_value *v,
                          int depth) {
  if (p->held[v->id]) return gs_partitioner_partial(p, v);
  const gs_node *n = v->def;
  if (!n || !n->op || !depth || p->nuse[v->id] != 1) return 0;
  gs_subset axes = gs_node_additive(n) ? 0 : summed(p, n);
  for (int i = 0; i < n->nin && !axes; i++) {
    const gs_value *x = n->in[i];
    if (x && gs_node_linear(n, i) &&
        (gs_node_additive(n) || elements(v) <= elements(x)))
      axes = expected(p, x, depth - 1);
  }
  return axes;
}

/* Is the result of n only added to something that is partial over `axes` as
 * well? */
static bool meets_partial(const gs_partitioner *p, const gs_node *n,
                          gs_subset axes) {
  for (int depth = MAX_AHEAD; depth > 0; depth--) {
    const gs_value *v = n->out[0];
    n = v ? gs_partitioner_reader(p, v) : NULL;
    if (!n || !gs_node_additive(n)) return false;
    for (int i = 0; i < n->nin; i++) {
      if (n->in[i] == v && !gs_node_linear(n, i)) return false;
      if (n->in[i] && n->in[i] != v && gs_node_linear(n, i) &&
          expected(p, n->in[i], MAX_AHEAD) == axes)
        return true;
    }
  }
  return false;
}

/* Of a sum: all that is partial, over the same axes. */
static gs_deferral of_sum(const gs_partitioner *p, const gs_node *n) {
  gs_deferral d = {.operand = -1}, none = {.operand = -1};
  int partial = 0, others = 0;
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i] || !gs_node_linear(n, i)) continue;
    gs_subset these = gs_partitioner_partial(p, n->in[i]);
    const gs_held_form *x = p->held[n->in[i]->id];
    if (these) {
      if (d.axes && d.axes != these) return none;
      d.axes = these;
      partial++;
    } else {
      /* One that others read too is reduced for all of them. */
      if (x && x->form.sharding->partial) return none;
      others++;
    }
  }
  if (others && partial < 2 && !meets_partial(p, n, d.axes)) return none;
  return d;
}

gs_deferral gs_partitioner_deferred(const gs_partitioner *p, const gs_node *n) {
  gs_deferral d = {.operand = -1};
  if (!n->op || gs_node_dynamic(n) || gs_node_has_region(n)) return d;
  if (gs_node_additive(n)) return of_sum(p, n);
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i] || !gs_node_linear(n, i)) continue;
    gs_subset these = gs_partitioner_partial(p, n->in[i]);
    if (!these ||
        (d.axes && elements(n->in[i]) <= elements(n->in[d.operand])))
      continue;
    d = (gs_deferral){these, i};
  }
  return d;
}

int gs_partitioner_onward(const gs_partitioner *p, const gs_value *v,
                          gs_subset axes, int *terms) {
  const gs_node *n = gs_partitioner_reader(p, v);
  if (!n || !n->op || gs_node_dynamic(n) || gs_node_has_region(n)) return -1;
  int at = 0;
  while (at < n->nin && n->in[at] != v) at++;
  if (at == n->nin || !gs_node_linear(n, at)) return -1;
  if (!gs_node_additive(n)) return at;
  bool all = true;
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i] || i == at || !gs_node_linear(n, i)) continue;
    bool joins = expected(p, n->in[i], MAX_AHEAD) == axes;
    *terms += joins;
    all = all && joins;
  }
  return all || meets_partial(p, n, axes) ? at : -1;
}

gs_subset gs_partitioner_expected(const gs_partitioner *p, const gs_value *v) {
  return expected(p, v, MAX_AHEAD);
}
