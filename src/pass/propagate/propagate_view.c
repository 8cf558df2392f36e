/* What the tensors of a node say of its factors, and what they may gain. */
#include <string.h>

#include "base/assert.h"
#include "pass/propagate/propagate_impl.h"

static bool is_simple(const gs_op *op) {
  return op && (op->flags & (GS_OP_POINTWISE | GS_OP_EARLY));
}

bool gs_prop_is_due(const prop *p, const gs_node *n) {
  return !p->level.simple_only || is_simple(n->op);
}

static const gs_split hidden = {{0}, false, 0};

const gs_split *gs_prop_visible(const prop *p, const gs_value *v, int d) {
  gs_assert(d >= 0 && d < v->sharding->rank);
  const gs_split *s = &v->sharding->dim[d];
  return s->priority > p->priority ? &hidden : s;
}

gs_subset gs_prop_taken(const prop *p, const gs_sharding *s) {
  return gs_mesh_barred(p->m, gs_sharding_used(s) | s->replicated | s->partial);
}

static bool follows(const gs_axes *longer, const gs_axes *shorter) {
  return shorter->n <= longer->n &&
         !memcmp(longer->at, shorter->at, shorter->n);
}

static bool has(const gs_axes *axes, int axis) {
  return gs_axes_set(axes) >> axis & 1;
}

/* ---- making and keeping a view ---- */

/* Reads the axes of slot s into p->slot, factor by factor. */
static void project(prop *p, const gs_rule *r, const gs_slot *slot) {
  gs_assert(slot->map->rank == slot->value->sharding->rank);
  gs_split dim[GS_MAX_RANK];
  gs_sharding seen = {.rank = slot->map->rank, .dim = dim};
  for (int d = 0; d < seen.rank; d++)
    dim[d] = *gs_prop_visible(p, slot->value, d);
  gs_project(p->m, r, slot->map, &seen, p->slot);
}

/* A constant that nobody annotated follows its users; it leads nobody, so
 * that constants shared by layers do not couple them. */
static bool leads(const prop *p, const gs_slot *s) {
  if (!s->result && p->in->barrier && p->in->barrier[s->value->id].no_forward)
    return false;
  return !s->value->constant || p->user[s->value->id];
}

static double slot_bits(const gs_slot *s) {
  double n = gs_dtype_get(s->value->dtype)->bits;
  for (int d = 0; d < s->value->rank; d++) n *= (double)s->value->dims[d];
  return n;
}

/* Slot s, of this weight, gives `axes` to a factor. A list that it has grown
 * out of stays: it says nothing that the longer one does not say. */
static void add_factor_axes(prop *p, struct factor_axes_list *list,
                            const gs_axes *axes, int s, double weight) {
  for (int i = 0; i < list->n; i++) {
    factor_axes *c = &list->at[i];
    if (!gs_axes_equal(&c->axes, axes)) continue;
    if (s < c->first) c->first = s;
    if (weight < c->weight || (weight <= c->weight && s > c->heaviest)) return;
    c->weight = weight;
    c->heaviest = s;
    return;
  }
  gs_assert(axes->n && weight >= 0);
  *gs_push(&p->views, list) = (factor_axes){*axes, weight, s, s};
}

static void hear_slot(prop *p, view *v, const gs_node *n, int s) {
  gs_slot slot = gs_slot_at(n, &v->rule, s);
  if (!slot.value || !leads(p, &slot)) return;
  project(p, &v->rule, &slot);
  double weight = slot_bits(&slot);
  for (int d = 0; d < slot.map->rank; d++)
    for (int i = 0; i < slot.map->dim[d].n; i++) {
      int f = slot.map->dim[d].f[i];
      const gs_factor *factor = &v->rule.factor[f];
      if (factor->blocked || factor->kind == GS_WHOLE) continue;
      if (p->slot->axis[f].n)
        add_factor_axes(p, &v->factor[f], &p->slot->axis[f], s, weight);
    }
}

static gs_status make_view(prop *p, const gs_node *n, view **out) {
  gs_rule r;
  GS_TRY(gs_rule_of(&p->tmp, n, &r, p->e));
  view *v = GS_NEW(&p->views, view);
  gs_rule_copy(&p->views, &r, &v->rule);
  v->factor = GS_NEWS(&p->views, r.nfactor, struct factor_axes_list);
  for (int s = 0; s < r.nin + r.nout; s++) hear_slot(p, v, n, s);
  *out = v;
  return GS_OK;
}

/* ---- a visit ---- */

static bool takes_part(const prop *p, const gs_factor *f) {
  if (f->blocked || f->kind == GS_WHOLE) return false;
  if (f->kind == GS_WINDOW || gs_factor_unfolds(f->kind))
    return p->level.windows;
  return f->kind == GS_PASS || p->level.summed;
}

/* The next axis of a factor after merged, -1 when there is none or the slots
 * disagree and this level does not decide; equals by the first slot. */
static int next_axis(const prop *p, const struct factor_axes_list *list,
                     const gs_axes *merged) {
  int next = -1, by = -1;
  double weight = -1;
  for (int i = 0; i < list->n; i++) {
    const factor_axes *c = &list->at[i];
    if (c->axes.n <= merged->n || !follows(&c->axes, merged)) continue;
    int axis = c->axes.at[merged->n];
    if (next >= 0 && next != axis && !p->level.decide) return -1;
    if (next >= 0 && (c->weight < weight ||
                      (c->weight <= weight && c->heaviest > by)))
      continue;
    next = axis;
    weight = c->weight;
    by = c->heaviest;
  }
  return next;
}

gs_status gs_prop_project(prop *p, const gs_node *n, visit *v) {
  view **known = &p->view[n->id];
  if (!*known) GS_TRY(make_view(p, n, known));
  const gs_rule *r = &(*known)->rule;
  *v = (visit){n, *known, GS_NEWS(&p->tmp, r->nfactor, gs_axes)};
  for (int f = 0; f < r->nfactor; f++) {
    gs_axes *merged = &v->merged[f];
    if (!takes_part(p, &r->factor[f])) continue;
    for (int x; (x = next_axis(p, &(*known)->factor[f], merged)) >= 0;) {
      gs_assert(merged->n < GS_MAX_SUBS && !has(merged, x));
      merged->at[merged->n++] = (uint8_t)x;
    }
  }
  p->out->visits++;
  return GS_OK;
}

/* ---- what a slot may gain ---- */

/* The largest tensor that gives one of these axes to a factor. */
static double factor_weight(const view *v, int f, gs_subset any) {
  double best = 0;
  for (int i = 0; i < v->factor[f].n; i++) {
    const factor_axes *c = &v->factor[f].at[i];
    if (c->weight > best && (gs_axes_set(&c->axes) & any)) best = c->weight;
  }
  return best;
}

double gs_prop_weight(const visit *v, int s, int d, int axis) {
  gs_slot slot = gs_slot_at(v->node, &v->view->rule, s);
  double best = 0;
  for (int i = 0; i < slot.map->dim[d].n; i++) {
    double w = factor_weight(v->view, slot.map->dim[d].f[i],
                             (gs_subset)1 << axis);
    best = best > w ? best : w;
  }
  return best;
}

/* May factor f of this slot take an axis although others of its factors want
 * it too, or one that cannot stand beside it? */
static bool wins(const prop *p, const visit *v, const gs_slot *slot, int f,
                 int axis) {
  gs_subset one = (gs_subset)1 << axis, barred = gs_mesh_barred(p->m, one);
  for (int d = 0; d < slot->map->rank; d++)
    for (int i = 0; i < slot->map->dim[d].n; i++) {
      int g = slot->map->dim[d].f[i];
      if (g == f || !(gs_axes_set(&v->merged[g]) & barred)) continue;
      if (!p->level.decide) return false;
      double mine = factor_weight(v->view, f, one);
      double theirs = factor_weight(v->view, g, barred);
      if (mine < theirs || (mine <= theirs && g < f)) return false;
    }
  return true;
}

/* Extends `to` (axes of factor f in one dim) by merged axes that are free in
 * the tensor, fit the factor's size and, in dims of several factors, divide
 * it.  Nothing at all is split by any: else it would be gathered. */
static void extend(const prop *p, const visit *v, const gs_slot *slot, int f,
                   bool even, gs_subset *taken, gs_axes *to) {
  const gs_axes *merged = &v->merged[f];
  if (!follows(merged, to)) return;
  int64_t size = v->view->rule.factor[f].limit;
  bool none = v->view->rule.factor[f].size == 0;
  for (int i = to->n; i < merged->n; i++) {
    int axis = merged->at[i];
    int64_t shards = gs_axes_size(p->m, to) * p->m->sub[axis].size;
    if ((*taken >> axis & 1) || (shards > size && !none) ||
        (even && size % shards) || !wins(p, v, slot, f, axis))
      return;
    gs_assert(to->n < GS_MAX_SUBS);
    to->at[to->n++] = (uint8_t)axis;
    *taken |= gs_mesh_barred(p->m, (gs_subset)1 << axis);
  }
}

/* The axes of the minor factors of a dim that splits unevenly become those of
 * its major one, by all-to-alls. */
static void take_minor(const prop *p, const visit *v, const gs_slot *slot,
                       const gs_dim_map *map, gs_subset *taken, gs_axes *axes) {
  const gs_rule *r = &v->view->rule;
  for (int i = 1; i < map->n && p->level.windows && r->uneven; i++) {
    int f = map->f[i];
    if (r->factor[f].kind != GS_PASS) continue;
    for (int k = 0; k < v->merged[f].n; k++) {
      int axis = v->merged[f].at[k];
      gs_axes one = {1, {(uint8_t)axis}}, more = gs_axes_cat(axes, &one);
      if ((*taken >> axis & 1) || !wins(p, v, slot, f, axis) ||
          !gs_project_fits(p->m, r, map, &more))
        break;
      *axes = more;
      *taken |= gs_mesh_barred(p->m, (gs_subset)1 << axis);
    }
  }
}

/* The axes that the factors of a dim give it. */
static gs_axes gather_dim(const prop *p, const visit *v, const gs_slot *slot,
                          const gs_dim_map *map, gs_subset *taken) {
  const gs_rule *r = &v->view->rule;
  gs_axes axes = {0};
  for (int i = 0; i < map->n; i++) {
    int f = map->f[i];
    /* What is whole gains nothing, and may stand for several dims. */
    if (r->factor[f].kind == GS_WHOLE || r->factor[f].kind == GS_FLAT) break;
    gs_axes mine = p->slot->axis[f];
    bool even = map->n > 1 && (i || !r->uneven);
    extend(p, v, slot, f, even, taken, &mine);
    axes = gs_axes_cat(&axes, &mine);
    if (gs_axes_size(p->m, &mine) != r->factor[f].size) break;
  }
  take_minor(p, v, slot, map, taken, &axes);
  return axes;
}

/* One dim of gs_prop_extend; p->slot has the factors of the slot. */
static bool want_dim(const prop *p, const visit *v, const gs_slot *slot, int d,
                     gs_subset *taken, gs_axes *wanted) {
  const gs_dim_map *map = &slot->map->dim[d];
  const gs_split *dim = &slot->value->sharding->dim[d];
  *wanted = dim->axes;
  if (!dim->open || dim->priority > p->priority) return false;
  gs_subset t = *taken;
  gs_axes axes = gather_dim(p, v, slot, map, &t);
  int flat = map->n ? map->f[map->n - 1] : 0;
  if (map->n && v->view->rule.factor[flat].kind == GS_FLAT) {
    gs_subset all = *taken;
    gs_axes mine = p->slot->axis[flat];
    extend(p, v, slot, flat, false, &all, &mine);
    if (mine.n > axes.n) {
      axes = mine;
      t = all;
    }
  }
  if (axes.n <= dim->axes.n || !follows(&axes, &dim->axes)) return false;
  /* A factor of two dims of one tensor: what one dim has the other cannot. */
  gs_axes more = gs_axes_tail(&axes, dim->axes.n);
  if (gs_axes_set(&more) & gs_sharding_used(slot->value->sharding))
    return false;
  gs_assert(!(gs_axes_set(&more) & *taken));
  *wanted = axes;
  *taken = t;
  return true;
}

bool gs_prop_extend(prop *p, const visit *v, int s, gs_axes *wanted) {
  gs_slot slot = gs_slot_at(v->node, &v->view->rule, s);
  project(p, &v->view->rule, &slot);
  gs_subset taken = gs_prop_taken(p, slot.value->sharding);
  bool more = false;
  for (int d = 0; d < slot.map->rank; d++)
    more |= want_dim(p, v, &slot, d, &taken, &wanted[d]);
  return more;
}

/* ---- what a change does ---- */

gs_origin *gs_prop_origin(const prop *p, const gs_value *v) {
  gs_assert(v->id >= 0 && v->id < p->g->value.n);
  gs_origin **o = &p->out->origin[v->id];
  if (!*o) *o = GS_NEWS(p->a, p->m->nsub, gs_origin);
  return *o;
}

void gs_prop_remember(prop *p, const gs_node *n, int s, int d, int axis) {
  const view *v = p->view[n->id];
  gs_assert(v && axis >= 0 && axis < p->m->nsub);
  gs_slot slot = gs_slot_at(n, &v->rule, s);
  const gs_dim_map *map = &slot.map->dim[d];
  int first = -1;
  for (int i = 0; i < map->n; i++)
    for (int k = 0; k < v->factor[map->f[i]].n; k++) {
      const factor_axes *c = &v->factor[map->f[i]].at[k];
      if (has(&c->axes, axis) && (first < 0 || c->first < first))
        first = c->first;
    }
  const gs_value *from =
      first < 0 ? NULL : gs_slot_at(n, &v->rule, first).value;
  gs_prop_origin(p, slot.value)[axis] = (gs_origin){-1, n, from};
}

static void mark_node(prop *p, const gs_node *n, int s) {
  p->forward[n->id] = true;
  p->changed[n->id] = p->now;
  if (p->view[n->id]) hear_slot(p, p->view[n->id], n, s);
}

void gs_prop_mark(prop *p, const gs_value *v) {
  p->now++;
  if (v->def) mark_node(p, v->def, v->def->nin + v->def_index);
  for (int i = p->uses.first[v->id]; i < p->uses.first[v->id + 1]; i++)
    mark_node(p, p->uses.use[i].node, p->uses.use[i].index);
}
