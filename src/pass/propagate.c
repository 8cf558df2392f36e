#include "pass/propagate.h"

#include <string.h>

#include "base/math.h"
#include "pass/project.h"

/* What is allowed at each level; each runs to a fixpoint with those before it
 * still in force. */
typedef struct level {
  bool simple_only; /* nodes that compute element by element or only move */
  bool summed;      /* along summed factors too (operand to operand) */
  bool decide;      /* resolve conflicts, larger tensor first */
} level;
static const level levels[] = {
    {true, false, false},
    {false, false, false},
    {false, true, false},
    {false, true, true},
};

typedef struct prop {
  gs_arena *a;
  gs_graph *g;
  const gs_mesh *m;
  gs_uses uses;
  gs_propagation *out;
  const gs_propagate_input *in;
  bool *user;    /* by value: annotated, or in a group with one that is */
  bool *forward; /* by node: its results may grow */
  bool *back;    /* by value: its uses may give it more */
  int priority;  /* user dims of a higher number are not seen yet */
  level level;
  gs_err *e;
} prop;

/* What one visit of a node works on. */
typedef struct visit {
  const gs_node *node;
  const gs_rule *rule;
  int nslot;
  gs_slot *slot;
  gs_assignment *seen; /* [nslot] axes of each factor as the slot has them */
  gs_assignment merged;
} visit;

static const gs_split hidden = {{0}, false, 0};

/* Dim d of v as this user priority sees it. */
static const gs_split *visible(const prop *p, const gs_value *v, int d) {
  const gs_split *s = &v->sharding->dim[d];
  return s->priority > p->priority ? &hidden : s;
}

static gs_sharding *visible_sharding(const prop *p, gs_arena *tmp,
                                     const gs_value *v) {
  gs_sharding *s = gs_sharding_copy(tmp, v->sharding);
  for (int d = 0; d < s->rank; d++) s->dim[d] = *visible(p, v, d);
  return s;
}

static bool is_simple(const gs_op *op) {
  return op && ((op->flags & GS_OP_POINTWISE) ||
                (op->flops == 0 && (op->flags & GS_OP_LINEAR)));
}

static bool takes_part(const prop *p, const gs_factor *f) {
  if (f->blocked || f->kind == GS_WHOLE) return false;
  return f->kind == GS_PASS || p->level.summed;
}

/* A constant that nobody annotated follows its users; it leads nobody, so
 * that constants shared by layers do not couple them. */
static bool leads(const prop *p, const gs_slot *s) {
  if (!s->result && p->in->gate && p->in->gate[s->value->id].no_forward)
    return false;
  return !s->value->constant || p->user[s->value->id];
}

static bool follows(const gs_axes *longer, const gs_axes *shorter) {
  return shorter->n <= longer->n &&
         !memcmp(longer->at, shorter->at, shorter->n);
}

static double slot_bytes(const gs_slot *s) {
  double n = gs_dtype_get(s->value->dtype)->bits;
  for (int d = 0; d < s->value->rank; d++) n *= (double)s->value->dims[d];
  return n;
}

/* The next axis of factor f after merged, -1 when there is none or the slots
 * disagree and this level does not decide. */
static int next_axis(const prop *p, const visit *v, int f,
                     const gs_axes *merged) {
  int next = -1;
  double weight = -1;
  for (int s = 0; s < v->nslot; s++) {
    if (!v->slot[s].value || !leads(p, &v->slot[s])) continue;
    const gs_axes *have = &v->seen[s].axis[f];
    if (have->n <= merged->n || !follows(have, merged)) continue;
    int axis = have->at[merged->n];
    double w = p->level.decide ? slot_bytes(&v->slot[s]) : 0;
    if (next >= 0 && next != axis && !p->level.decide) return -1;
    if (next < 0 || w > weight) {
      next = axis;
      weight = w;
    }
  }
  return next;
}

/* The usual case: every slot has the longest list of axes, or its beginning.
 * false: some disagree. */
static bool merge_agreed(const prop *p, const visit *v, int f,
                         gs_axes *merged) {
  const gs_axes *longest = merged;
  for (int s = 0; s < v->nslot; s++) {
    const gs_axes *have = &v->seen[s].axis[f];
    if (!have->n || !v->slot[s].value || !leads(p, &v->slot[s])) continue;
    bool more = have->n > longest->n;
    if (!follows(more ? have : longest, more ? longest : have)) return false;
    if (more) longest = have;
  }
  if (longest != merged) *merged = *longest;
  return true;
}

static void merge_factors(const prop *p, visit *v) {
  for (int f = 0; f < v->rule->nfactor; f++) {
    gs_axes *merged = &v->merged.axis[f];
    *merged = (gs_axes){0};
    if (!takes_part(p, &v->rule->factor[f])) continue;
    if (merge_agreed(p, v, f, merged)) continue;
    for (int axis; (axis = next_axis(p, v, f, merged)) >= 0;)
      merged->at[merged->n++] = (uint8_t)axis;
  }
}

/* The largest slot that gives `axis` to factor f; 0 when none does. */
static double claim(const prop *p, const visit *v, int f, int axis) {
  double best = 0;
  for (int s = 0; s < v->nslot; s++)
    if (v->slot[s].value && leads(p, &v->slot[s]) &&
        (gs_axes_set(&v->seen[s].axis[f]) >> axis & 1))
      best = best > slot_bytes(&v->slot[s]) ? best : slot_bytes(&v->slot[s]);
  return best;
}

static bool slot_has(const gs_slot *s, int f) {
  for (int d = 0; d < s->map->rank; d++)
    for (int i = 0; i < s->map->dim[d].n; i++)
      if (s->map->dim[d].f[i] == f) return true;
  return false;
}

/* May factor f take this axis in slot s although others want it too? */
static bool wins(const prop *p, const visit *v, int s, int f, int axis) {
  for (int g = 0; g < v->rule->nfactor; g++) {
    if (g == f || !(gs_axes_set(&v->merged.axis[g]) >> axis & 1)) continue;
    if (!slot_has(&v->slot[s], g)) continue;
    if (!p->level.decide) return false;
    double mine = claim(p, v, f, axis), theirs = claim(p, v, g, axis);
    if (mine < theirs || (mine <= theirs && g < f)) return false;
  }
  return true;
}

/* Extends `to` (axes of factor f in one dim) by merged axes that are free in
 * the tensor, fit the factor's size and, in dims of several factors, divide
 * it. */
static void extend(const prop *p, const visit *v, int s, int f, bool even,
                   gs_subset *taken, gs_axes *to) {
  const gs_axes *merged = &v->merged.axis[f];
  if (!follows(merged, to)) return;
  int64_t size = v->rule->factor[f].size;
  for (int i = to->n; i < merged->n; i++) {
    int axis = merged->at[i];
    int64_t shards = gs_axes_size(p->m, to) * p->m->sub[axis].size;
    if ((*taken >> axis & 1) || shards > size || (even && size % shards) ||
        !wins(p, v, s, f, axis))
      return;
    to->at[to->n++] = (uint8_t)axis;
    *taken |= (gs_subset)1 << axis;
  }
}

/* The same for a dim of slot s: the largest over its factors. */
static double claim_dim(const prop *p, const visit *v, int s, int d,
                        int axis) {
  const gs_dim_map *map = &v->slot[s].map->dim[d];
  double best = 0;
  for (int i = 0; i < map->n; i++) {
    double c = claim(p, v, map->f[i], axis);
    best = best > c ? best : c;
  }
  return best;
}

static gs_origin *origin_of(const prop *p, const gs_value *v) {
  gs_origin **o = &p->out->origin[v->id];
  if (!*o) *o = GS_NEWS(p->a, p->m->nsub, gs_origin);
  return *o;
}

/* Notes that `axis` came to dim d of slot s from the first other slot that
 * has it on a factor of that dim. */
static void remember(const prop *p, const visit *v, int s, int d, int axis) {
  gs_value *value = v->slot[s].value;
  const gs_dim_map *map = &v->slot[s].map->dim[d];
  const gs_value *from = NULL;
  for (int k = 0; k < v->nslot && !from; k++) {
    if (!v->slot[k].value || v->slot[k].value == value) continue;
    if (!leads(p, &v->slot[k])) continue;
    for (int i = 0; i < map->n; i++)
      if (gs_axes_set(&v->seen[k].axis[map->f[i]]) >> axis & 1)
        from = v->slot[k].value;
  }
  origin_of(p, value)[axis] = (gs_origin){-1, v->node, from};
}

/* What a change of v may change next. */
static void mark_node(prop *p, const gs_node *n) {
  p->forward[n->id] = true;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) p->back[n->in[i]->id] = true;
}

static void mark(prop *p, const gs_value *v) {
  if (v->def) mark_node(p, v->def);
  for (int i = p->uses.first[v->id]; i < p->uses.first[v->id + 1]; i++)
    mark_node(p, p->uses.use[i].node);
}

static gs_subset taken_axes(const gs_sharding *s) {
  return gs_sharding_used(s) | s->replicated | s->partial;
}

/* The axes that dim d of slot s would have with what the factors now have;
 * false if that is no more than it has. */
static bool want(const prop *p, const visit *v, int s, int d,
                 gs_subset *taken, gs_axes *wanted) {
  const gs_dim_map *map = &v->slot[s].map->dim[d];
  const gs_split *dim = &v->slot[s].value->sharding->dim[d];
  *wanted = dim->axes;
  if (!dim->open || dim->priority > p->priority) return false;
  gs_axes axes = {0};
  gs_subset t = *taken;
  for (int i = 0; i < map->n; i++) {
    int f = map->f[i];
    /* What is whole gains nothing, and may stand for several dims. */
    if (v->rule->factor[f].kind == GS_WHOLE) break;
    gs_axes mine = v->seen[s].axis[f];
    extend(p, v, s, f, map->n > 1, &t, &mine);
    axes = gs_axes_cat(&axes, &mine);
    if (gs_axes_size(p->m, &mine) != v->rule->factor[f].size) break;
  }
  if (axes.n <= dim->axes.n || !follows(&axes, &dim->axes)) return false;
  /* A factor of two dims of one tensor: what one dim has the other cannot. */
  gs_axes more = gs_axes_tail(&axes, dim->axes.n);
  gs_subset used = gs_sharding_used(v->slot[s].value->sharding);
  if (gs_axes_set(&more) & used) return false;
  *wanted = axes;
  *taken = t;
  return true;
}

/* Gathers what the tensors of a node say of its factors. */
static gs_status look(prop *p, const gs_node *n, gs_arena *tmp, visit *v) {
  gs_rule *rule = GS_NEW(tmp, gs_rule);
  *v = (visit){.node = n, .rule = rule};
  GS_TRY(gs_rule_of(tmp, n, rule, p->e));
  v->slot = GS_NEWS(tmp, rule->nin + rule->nout, gs_slot);
  v->nslot = gs_slots(n, rule, v->slot, rule->nin + rule->nout);
  v->seen = GS_NEWS(tmp, v->nslot, gs_assignment);
  for (int s = 0; s < v->nslot; s++)
    if (v->slot[s].value)
      gs_project(p->m, rule, v->slot[s].map,
                 visible_sharding(p, tmp, v->slot[s].value), &v->seen[s]);
  merge_factors(p, v);
  p->out->sweeps++;
  return GS_OK;
}

static bool is_due(const prop *p, const gs_node *n) {
  return !p->level.simple_only || is_simple(n->op);
}

/* ---- forward: from operands and other results to the results ---- */

static gs_status visit_forward(prop *p, const gs_node *n, gs_arena *tmp,
                               bool *changed) {
  visit v;
  GS_TRY(look(p, n, tmp, &v));
  for (int s = 0; s < v.nslot; s++) {
    gs_value *y = v.slot[s].value;
    if (!y || !v.slot[s].result) continue;
    gs_subset taken = taken_axes(y->sharding);
    bool grew = false;
    for (int d = 0; d < y->rank; d++) {
      gs_axes wanted, *have = &y->sharding->dim[d].axes;
      if (!want(p, &v, s, d, &taken, &wanted)) continue;
      for (int i = have->n; i < wanted.n; i++)
        remember(p, &v, s, d, wanted.at[i]);
      *have = wanted;
      grew = true;
    }
    if (!grew) continue;
    mark(p, y);
    *changed = true;
  }
  return GS_OK;
}

static gs_status sweep_forward(prop *p, gs_arena *tmp, bool *changed) {
  for (int i = 0; i < p->g->node.n; i++) {
    const gs_node *n = p->g->node.at[i];
    if (!p->forward[i] || !is_due(p, n)) continue;
    p->forward[i] = false;
    GS_TRY(visit_forward(p, n, tmp, changed));
    gs_arena_reset(tmp);
  }
  return GS_OK;
}

/* ---- backward: from all uses of a value together ---- */

/* What one use of a value would make of it. */
typedef struct proposal {
  visit v;
  int slot;
  gs_axes *wanted; /* [rank] */
} proposal;

/* The proposal of the largest tensor that puts `axis` at place i of dim d. */
static const proposal *strongest(const prop *p, const proposal *at, int n,
                                 int d, int i, int axis, double *weight) {
  const proposal *best = NULL;
  *weight = -1;
  for (int k = 0; k < n; k++) {
    if (at[k].wanted[d].n <= i || at[k].wanted[d].at[i] != axis) continue;
    double w = claim_dim(p, &at[k].v, at[k].slot, d, axis);
    if (w > *weight) {
      *weight = w;
      best = &at[k];
    }
  }
  return best;
}

/* The next axis of dim d behind `have`: what all uses agree on, or, where
 * conflicts are decided, what the largest tensor says; equals by the order of
 * the mesh. */
static int agreed_axis(const prop *p, const proposal *at, int n, int d,
                       const gs_axes *have) {
  int next = -1;
  double weight = -1;
  for (int k = 0; k < n; k++) {
    const gs_axes *w = &at[k].wanted[d];
    if (w->n <= have->n || !follows(w, have)) continue;
    int axis = w->at[have->n];
    if (axis == next) continue;
    if (next >= 0 && !p->level.decide) return -1;
    double claimed;
    strongest(p, at, n, d, have->n, axis, &claimed);
    if (next < 0 || claimed > weight || (claimed >= weight && axis < next)) {
      next = axis;
      weight = claimed;
    }
  }
  return next;
}

/* Must dim d leave the axis at its place i to another dim? */
static bool yields(const prop *p, const proposal *at, int n,
                   const gs_value *v, const gs_axes *merged, int d, int i) {
  double mine, theirs;
  int axis = merged[d].at[i];
  strongest(p, at, n, d, i, axis, &mine);
  for (int e = 0; e < v->rank; e++)
    for (int k = v->sharding->dim[e].axes.n; k < merged[e].n; k++) {
      if (e == d || merged[e].at[k] != axis) continue;
      if (!p->level.decide) return true;
      strongest(p, at, n, e, k, axis, &theirs);
      if (mine < theirs || (mine <= theirs && e < d)) return true;
    }
  return false;
}

/* Gives v what its uses agree on; true if it grew. */
static bool settle(prop *p, gs_value *v, const proposal *at, int n,
                   gs_arena *tmp) {
  gs_axes *merged = GS_NEWS(tmp, v->rank, gs_axes);
  bool grew = false;
  for (int d = 0; d < v->rank; d++) {
    merged[d] = v->sharding->dim[d].axes;
    for (int axis; (axis = agreed_axis(p, at, n, d, &merged[d])) >= 0;)
      merged[d].at[merged[d].n++] = (uint8_t)axis;
  }
  int *keep = GS_NEWS(tmp, v->rank, int);
  for (int d = 0; d < v->rank; d++) {
    keep[d] = v->sharding->dim[d].axes.n;
    while (keep[d] < merged[d].n && !yields(p, at, n, v, merged, d, keep[d]))
      keep[d]++;
  }
  for (int d = 0; d < v->rank; d++) {
    gs_axes *have = &v->sharding->dim[d].axes;
    for (; have->n < keep[d]; grew = true) {
      double weight;
      int axis = merged[d].at[have->n];
      const proposal *by =
          strongest(p, at, n, d, have->n, axis, &weight);
      if (!by) break;
      remember(p, &by->v, by->slot, d, axis);
      have->at[have->n++] = (uint8_t)axis;
    }
  }
  return grew;
}

static gs_status visit_back(prop *p, gs_value *v, gs_arena *tmp,
                            bool *changed) {
  int first = p->uses.first[v->id], n = p->uses.first[v->id + 1] - first;
  if (v->rank <= 0) return GS_OK; /* nothing to split */
  proposal *at = GS_NEWS(tmp, n, proposal);
  int k = 0;
  for (int i = 0; i < n; i++) {
    const gs_use *use = &p->uses.use[first + i];
    if (!is_due(p, use->node)) continue;
    proposal *q = &at[k++];
    q->slot = use->index;
    GS_TRY(look(p, use->node, tmp, &q->v));
    q->wanted = GS_NEWS(tmp, v->rank, gs_axes);
    gs_subset taken = taken_axes(v->sharding);
    for (int d = 0; d < v->rank; d++)
      want(p, &q->v, q->slot, d, &taken, &q->wanted[d]);
  }
  if (!settle(p, v, at, k, tmp)) return GS_OK;
  mark(p, v);
  *changed = true;
  return GS_OK;
}

static bool may_grow(const gs_value *v) {
  for (int d = 0; d < v->rank; d++)
    if (v->sharding->dim[d].open) return true;
  return false;
}

static gs_status back_to(prop *p, gs_value *v, gs_arena *tmp, bool *changed) {
  if (!v || !p->back[v->id]) return GS_OK;
  p->back[v->id] = false;
  if (p->in->gate && p->in->gate[v->id].no_backward) return GS_OK;
  if (!may_grow(v)) return GS_OK;
  GS_TRY(visit_back(p, v, tmp, changed));
  gs_arena_reset(tmp);
  return GS_OK;
}

/* The uses of a value come after its producer, so all of them have what comes
 * from further back when the value's turn comes. */
static gs_status sweep_back(prop *p, gs_arena *tmp, bool *changed) {
  for (int i = p->g->node.n - 1; i >= 0; i--)
    for (int k = 0; k < p->g->node.at[i]->nout; k++)
      GS_TRY(back_to(p, p->g->node.at[i]->out[k], tmp, changed));
  for (int i = 0; i < p->g->value.n; i++)
    if (!p->g->value.at[i]->def)
      GS_TRY(back_to(p, p->g->value.at[i], tmp, changed));
  return GS_OK;
}

/* ---- groups ---- */

/* Takes over what `from` has on dim d; true if v grew. */
static bool tie_dim(prop *p, gs_value *v, const gs_value *from, int d) {
  gs_split *dim = &v->sharding->dim[d];
  const gs_axes *more = &visible(p, from, d)->axes;
  gs_axes rest = gs_axes_tail(more, dim->axes.n);
  if (!dim->open || dim->priority > p->priority || !rest.n ||
      !follows(more, &dim->axes) || gs_axes_size(p->m, more) > v->dims[d] ||
      (gs_axes_set(&rest) & taken_axes(v->sharding)))
    return false;
  gs_origin *o = origin_of(p, v);
  for (int x = 0; x < rest.n; x++)
    o[rest.at[x]] = (gs_origin){-1, NULL, from};
  dim->axes = *more;
  mark(p, v);
  return true;
}

/* Lets the members of a group take over each other's axes. */
static void sweep_tie(prop *p, const gs_tie *t, bool *changed) {
  for (int i = 0; i < t->n; i++)
    for (int k = 0; k < t->n; k++) {
      if (t->value[i]->rank != t->value[k]->rank) continue;
      for (int d = 0; d < t->value[i]->rank; d++)
        if (tie_dim(p, t->value[i], t->value[k], d)) *changed = true;
    }
}

/* A constant that is in a group with an annotated value leads as that does. */
static void lead_together(const prop *p, const gs_tie *t) {
  bool user = false;
  for (int i = 0; i < t->n; i++) user |= p->user[t->value[i]->id];
  for (int i = 0; i < t->n; i++) p->user[t->value[i]->id] = user;
}

/* ---- all ---- */

static gs_status run_level(prop *p) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  memset(p->forward, 1, (size_t)p->g->node.n);
  memset(p->back, 1, (size_t)p->g->value.n);
  gs_status status = GS_OK;
  for (bool changed = true; changed && !status;) {
    changed = false;
    for (int i = 0; i < p->in->ntie; i++)
      sweep_tie(p, &p->in->tie[i], &changed);
    status = sweep_forward(p, &tmp, &changed);
    if (!status) status = sweep_back(p, &tmp, &changed);
  }
  gs_arena_free(&tmp);
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
    bool boxed = gs_value_boxed(v);
    if (boxed && v->sharding && gs_sharding_used(v->sharding))
      return gs_fail(p->e, GS_UNSUPPORTED, v->name,
                     "%s without a fixed size, or of strings, cannot be "
                     "sharded", gs_kind_text(v->kind));
    for (int d = 0; v->sharding && d < v->sharding->rank; d++)
      if (!v->sharding->dim[d].open) p->out->stated[i] = true;
    if (!v->sharding) v->sharding = gs_sharding_new(p->a, v->rank, !boxed);
    else v->sharding = gs_sharding_copy(p->a, v->sharding);
    GS_TRY(gs_sharding_check(p->m, v->sharding, v->rank, v->name, p->e));
  }
  for (int i = 0; i < p->in->ntie; i++) lead_together(p, &p->in->tie[i]);
  return GS_OK;
}

gs_status gs_pass_propagate(gs_arena *a, gs_graph *g,
                            const gs_propagate_input *in,
                            gs_propagation *out, gs_err *e) {
  prop p = {.a = a, .g = g, .m = g->mesh, .out = out, .in = in, .e = e};
  p.user = GS_NEWS(a, g->value.n + 1, bool);
  p.forward = GS_NEWS(a, g->node.n + 1, bool);
  p.back = GS_NEWS(a, g->value.n + 1, bool);
  p.uses = gs_graph_uses(a, g);
  *out = (gs_propagation){.graph = g, .rule = in->rule, .filled = in->filled};
  out->origin = GS_NEWS(a, g->value.n + 1, gs_origin *);
  out->stated = GS_NEWS(a, g->value.n + 1, bool);
  GS_TRY(start(&p));
  p.priority = -1;
  while ((p.priority = next_priority(&p)) >= 0)
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
      p.level = levels[i];
      GS_TRY(run_level(&p));
    }
  for (int i = 0; i < g->value.n; i++)
    for (int d = 0; d < g->value.at[i]->sharding->rank; d++)
      g->value.at[i]->sharding->dim[d].open = false;
  return GS_OK;
}
