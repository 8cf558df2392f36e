#include "pass/propagate/propagate.h"

#include <string.h>

#include "base/assert.h"
#include "pass/propagate/propagate_impl.h"

static const level levels[] = {
    {true, false, false, false},
    {false, false, false, false},
    {false, true, false, false},
    {false, true, true, false},
    {false, true, true, true},
};

/* ---- forward: from operands and other results to the results ---- */

/* Result i grows to what it may have; true if it did. */
static bool grow(prop *p, const visit *v, int i) {
  gs_value *y = v->node->out[i];
  gs_axes wanted[GS_MAX_RANK];
  gs_assert(i >= 0 && i < v->node->nout);
  int s = v->node->nin + i;
  if (!y || !gs_prop_extend(p, v, s, wanted)) return false;
  for (int d = 0; d < y->rank; d++) {
    gs_axes *have = &y->sharding->dim[d].axes;
    for (int k = have->n; k < wanted[d].n; k++)
      gs_prop_remember(p, v->node, s, d, wanted[d].at[k]);
    *have = wanted[d];
  }
  return true;
}

static gs_status visit_forward(prop *p, const gs_node *n, bool *changed) {
  visit v;
  gs_arena_reset(&p->tmp);
  GS_TRY(gs_prop_project(p, n, &v));
  bool *grew = GS_NEWS(&p->tmp, n->nout, bool);
  for (int i = 0; i < n->nout; i++) grew[i] = grow(p, &v, i);
  for (int i = 0; i < n->nout; i++) {
    if (!grew[i]) continue;
    gs_prop_mark(p, n->out[i]);
    *changed = true;
  }
  return GS_OK;
}

static gs_status sweep_forward(prop *p, bool *changed) {
  for (int i = 0; i < p->g->node.n; i++) {
    const gs_node *n = p->g->node.at[i];
    if (!p->forward[i] || !gs_prop_is_due(p, n)) continue;
    p->forward[i] = false;
    GS_TRY(visit_forward(p, n, changed));
  }
  return GS_OK;
}

/* ---- backward ---- */

static bool may_grow(const gs_value *v) {
  for (int d = 0; d < v->rank; d++)
    if (v->sharding->dim[d].open) return true;
  return false;
}

/* Has something changed around the uses of v since they were heard? */
static bool has_news(const prop *p, const gs_value *v) {
  for (int i = p->uses.first[v->id]; i < p->uses.first[v->id + 1]; i++)
    if (p->changed[p->uses.use[i].node->id] > p->heard[v->id]) return true;
  return false;
}

static gs_status back_to(prop *p, gs_value *v, bool *changed) {
  if (!v || !may_grow(v) || !has_news(p, v)) return GS_OK;
  p->heard[v->id] = p->now;
  if (p->in->barrier && p->in->barrier[v->id].no_backward) return GS_OK;
  return gs_prop_back(p, v, changed);
}

/* The uses of a value come after its producer, so all of them have what comes
 * from further back when the value's turn comes. */
static gs_status sweep_back(prop *p, bool *changed) {
  for (int i = p->g->node.n - 1; i >= 0; i--)
    for (int k = 0; k < p->g->node.at[i]->nout; k++)
      GS_TRY(back_to(p, p->g->node.at[i]->out[k], changed));
  for (int i = 0; i < p->g->value.n; i++)
    if (!p->g->value.at[i]->def)
      GS_TRY(back_to(p, p->g->value.at[i], changed));
  return GS_OK;
}

/* ---- all ---- */

/* A constant that is in a group with an annotated value leads as that does. */
static void lead_together(const prop *p, const gs_tensor_group *t) {
  bool user = false;
  for (int i = 0; i < t->n; i++) user |= p->user[t->value[i]->id];
  for (int i = 0; i < t->n; i++) p->user[t->value[i]->id] = user;
}

static gs_status run_level(prop *p) {
  memset(p->forward, 1, (size_t)p->g->node.n);
  for (int i = 0; i < p->g->value.n; i++) p->heard[i] = -1;
  gs_status status = GS_OK;
  for (bool changed = true; changed && !status;) {
    changed = false;
    for (int i = 0; i < p->in->ngroup; i++)
      gs_prop_group(p, &p->in->group[i], &changed);
    status = sweep_forward(p, &changed);
    if (!status) status = sweep_back(p, &changed);
  }
  return status;
}

/* The next user priority after p->priority, -1 when there is none. */
static int next_priority(const prop *p) {
  int next = -1;
  for (int i = 0; i < p->g->value.n; i++) {
    const gs_value *v = p->g->value.at[i];
    for (int d = 0; d < v->sharding->rank; d++) {
      int q = v->sharding->dim[d].priority;
      if (q > p->priority && (next < 0 || q < next)) next = q;
    }
  }
  return next;
}

static gs_status start(prop *p) {
  for (int i = 0; i < p->g->value.n; i++) {
    gs_value *v = p->g->value.at[i];
    p->user[i] = v->sharding != NULL;
    bool dynamic = gs_value_dynamic(v);
    if (dynamic && v->sharding && gs_sharding_used(v->sharding))
      return gs_fail(p->e, GS_UNSUPPORTED, v->name,
                     "%s without a fixed size, or of strings, cannot be "
                     "sharded", gs_kind_text(v->kind));
    for (int d = 0; v->sharding && d < v->sharding->rank; d++)
      if (!v->sharding->dim[d].open) p->out->stated[i] = true;
    if (!v->sharding) v->sharding = gs_sharding_new(p->a, v->rank, !dynamic);
    else v->sharding = gs_sharding_copy(p->a, v->sharding);
    GS_TRY(gs_sharding_check(p->m, v->sharding, v->rank, v->name, p->e));
  }
  for (int i = 0; i < p->in->ngroup; i++) lead_together(p, &p->in->group[i]);
  return GS_OK;
}

static gs_status run_priorities(prop *p) {
  p->priority = -1;
  while ((p->priority = next_priority(p)) >= 0) {
    /* More can be seen now: the views of the last priority are too old. */
    gs_arena_reset(&p->views);
    memset(p->view, 0, (size_t)p->g->node.n * sizeof *p->view);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
      p->level = levels[i];
      GS_TRY(run_level(p));
    }
  }
  return GS_OK;
}

gs_status gs_pass_propagate(gs_arena *a, gs_graph *g,
                            const gs_propagate_input *in,
                            gs_propagation *out, gs_err *e) {
  prop p = {.a = a, .g = g, .m = g->mesh, .out = out, .in = in, .e = e};
  p.user = GS_NEWS(a, g->value.n + 1, bool);
  p.forward = GS_NEWS(a, g->node.n + 1, bool);
  p.changed = GS_NEWS(a, g->node.n + 1, int64_t);
  p.heard = GS_NEWS(a, g->value.n + 1, int64_t);
  p.view = GS_NEWS(a, g->node.n + 1, view *);
  p.slot = GS_NEW(a, gs_assignment);
  p.uses = gs_graph_uses(a, g);
  gs_assert(p.m && p.m->nsub <= GS_MAX_SUBS);
  *out = (gs_propagation){.graph = g,
                          .rule = in->rule,
                          .filled = in->filled,
                          .handed = in->handed};
  out->origin = GS_NEWS(a, g->value.n + 1, gs_origin *);
  out->stated = GS_NEWS(a, g->value.n + 1, bool);
  GS_TRY(start(&p));
  gs_status status = run_priorities(&p);
  gs_arena_free(&p.views);
  gs_arena_free(&p.tmp);
  gs_arena_free(&p.kept);
  GS_TRY(status);
  gs_prop_find_ends(out);
  for (int i = 0; i < g->value.n; i++)
    for (int d = 0; d < g->value.at[i]->sharding->rank; d++)
      g->value.at[i]->sharding->dim[d].open = false;
  return gs_graph_check_sharded(g, e);
}
