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
  bool *user;    /* by value: annotated */
  bool *pending; /* by node: an operand or result changed */
  bool *touched; /* by node: the same since this user priority began */
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
  gs_arena *tmp;
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
    double w = slot_bytes(&v->slot[s]);
    if (next >= 0 && next != axis && !p->level.decide) return -1;
    if (next < 0 || w > weight) {
      next = axis;
      weight = w;
    }
  }
  return next;
}

static void merge_factors(const prop *p, visit *v) {
  for (int f = 0; f < v->rule->nfactor; f++) {
    gs_axes *merged = &v->merged.axis[f];
    *merged = (gs_axes){0};
    if (!takes_part(p, &v->rule->factor[f])) continue;
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

/* Notes that `axis` came to dim d of slot s from the first other slot that
 * has it on a factor of that dim. */
static void remember(const prop *p, const visit *v, int s, int d, int axis) {
  gs_value *value = v->slot[s].value;
  const gs_dim_map *map = &v->slot[s].map->dim[d];
  gs_origin **o = &p->out->origin[value->id];
  if (!*o) *o = GS_NEWS(p->a, p->m->nsub, gs_origin);
  const gs_value *from = NULL;
  for (int k = 0; k < v->nslot && !from; k++) {
    if (!v->slot[k].value || v->slot[k].value == value) continue;
    if (!leads(p, &v->slot[k])) continue;
    for (int i = 0; i < map->n; i++)
      if (gs_axes_set(&v->seen[k].axis[map->f[i]]) >> axis & 1)
        from = v->slot[k].value;
  }
  (*o)[axis] = (gs_origin){-1, v->node, from};
}

static void mark_node(prop *p, const gs_node *n) {
  p->pending[n->id] = p->touched[n->id] = true;
}

static void mark(prop *p, const gs_value *v) {
  if (v->def) mark_node(p, v->def);
  for (int i = p->uses.first[v->id]; i < p->uses.first[v->id + 1]; i++)
    mark_node(p, p->uses.use[i].node);
}

/* Gives one dim of slot s what the factors now have; true if it grew. */
static bool apply_dim(prop *p, visit *v, int s, int d) {
  gs_value *value = v->slot[s].value;
  const gs_dim_map *map = &v->slot[s].map->dim[d];
  gs_split *dim = &value->sharding->dim[d];
  if (!dim->open || dim->priority > p->priority) return false;
  gs_subset taken = gs_sharding_used(value->sharding) |
                    value->sharding->replicated | value->sharding->partial;
  gs_axes wanted = {0};
  for (int i = 0; i < map->n; i++) {
    int f = map->f[i];
    /* What is whole gains nothing, and may stand for several dims. */
    if (v->rule->factor[f].kind == GS_WHOLE) break;
    gs_axes mine = v->seen[s].axis[f];
    extend(p, v, s, f, map->n > 1, &taken, &mine);
    wanted = gs_axes_cat(&wanted, &mine);
    if (gs_axes_size(p->m, &mine) != v->rule->factor[f].size) break;
  }
  if (wanted.n <= dim->axes.n || !follows(&wanted, &dim->axes)) return false;
  for (int i = dim->axes.n; i < wanted.n; i++)
    remember(p, v, s, d, wanted.at[i]);
  dim->axes = wanted;
  return true;
}

static bool may_change(const prop *p, const gs_slot *s) {
  return s->result || !p->in->gate || !p->in->gate[s->value->id].no_backward;
}

static gs_status visit_node(prop *p, const gs_node *n, gs_arena *tmp,
                            bool *changed) {
  visit v = {.node = n, .tmp = tmp};
  gs_rule *rule = GS_NEW(tmp, gs_rule);
  GS_TRY(gs_rule_of(tmp, n, rule, p->e));
  v.rule = rule;
  v.slot = GS_NEWS(tmp, rule->nin + rule->nout, gs_slot);
  v.nslot = gs_slots(n, rule, v.slot, rule->nin + rule->nout);
  v.seen = GS_NEWS(tmp, v.nslot, gs_assignment);
  for (int s = 0; s < v.nslot; s++)
    if (v.slot[s].value)
      gs_project(p->m, rule, v.slot[s].map,
                 visible_sharding(p, tmp, v.slot[s].value), &v.seen[s]);
  merge_factors(p, &v);
  p->out->sweeps++;
  for (int s = 0; s < v.nslot; s++) {
    if (!v.slot[s].value || !may_change(p, &v.slot[s])) continue;
    bool grew = false;
    for (int d = 0; d < v.slot[s].map->rank; d++)
      if (apply_dim(p, &v, s, d)) grew = true;
    if (grew) {
      mark(p, v.slot[s].value);
      *changed = true;
    }
  }
  return GS_OK;
}

static gs_status sweep(prop *p, bool forward, bool *changed) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_status status = GS_OK;
  for (int k = 0; k < p->g->node.n && !status; k++) {
    int i = forward ? k : p->g->node.n - 1 - k;
    const gs_node *n = p->g->node.at[i];
    if (!p->pending[i]) continue;
    if (p->level.simple_only && !is_simple(n->op)) continue;
    p->pending[i] = false;
    status = visit_node(p, n, &tmp, changed);
    if (tmp.total > (size_t)16 << 20) {
      gs_arena_free(&tmp);
      gs_arena_init(&tmp);
    }
  }
  gs_arena_free(&tmp);
  return status;
}

/* Lets the members of a tie take over each other's axes. */
static void sweep_tie(prop *p, const gs_tie *t, bool *changed) {
  for (int i = 0; i < t->n; i++)
    for (int k = 0; k < t->n; k++) {
      gs_value *v = t->value[i], *from = t->value[k];
      if (v->rank != from->rank) continue;
      gs_subset taken =
          gs_sharding_used(v->sharding) | v->sharding->replicated;
      for (int d = 0; d < v->rank; d++) {
        gs_split *dim = &v->sharding->dim[d];
        const gs_axes *more = &visible(p, from, d)->axes;
        gs_axes rest = gs_axes_tail(more, dim->axes.n);
        if (!dim->open || !rest.n || !follows(more, &dim->axes) ||
            (gs_axes_set(&rest) & taken))
          continue;
        gs_origin **o = &p->out->origin[v->id];
        if (!*o) *o = GS_NEWS(p->a, p->m->nsub, gs_origin);
        for (int x = 0; x < rest.n; x++)
          (*o)[rest.at[x]] = (gs_origin){-1, NULL, from};
        dim->axes = *more;
        taken |= gs_axes_set(&rest);
        mark(p, v);
        *changed = true;
      }
    }
}

/* Nodes that nothing happened to since all levels of the priority before were
 * at rest have nothing to give at any level. */
static gs_status run_level(prop *p) {
  memcpy(p->pending, p->touched, (size_t)p->g->node.n * sizeof *p->pending);
  bool changed = true;
  while (changed) {
    changed = false;
    for (int i = 0; i < p->in->ntie; i++)
      sweep_tie(p, &p->in->tie[i], &changed);
    GS_TRY(sweep(p, true, &changed));
    GS_TRY(sweep(p, false, &changed));
  }
  return GS_OK;
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

/* Marks the values of which this user priority shows more. */
static void show_priority(prop *p, bool first) {
  memset(p->touched, first, (size_t)p->g->node.n * sizeof *p->touched);
  for (int i = 0; i < p->g->value.n; i++) {
    const gs_value *v = p->g->value.at[i];
    for (int d = 0; d < v->sharding->rank; d++)
      if (v->sharding->dim[d].priority == p->priority) {
        mark(p, v);
        break;
      }
  }
}

static gs_status start(prop *p) {
  for (int i = 0; i < p->g->value.n; i++) {
    gs_value *v = p->g->value.at[i];
    p->user[i] = v->sharding != NULL;
    if (v->rank < 0)
      return gs_fail(p->e, GS_INTERNAL, v->name, "its shape is not known");
    if (!v->sharding) v->sharding = gs_sharding_new(p->a, v->rank, true);
    else v->sharding = gs_sharding_copy(p->a, v->sharding);
    GS_TRY(gs_sharding_check(p->m, v->sharding, v->rank, v->name, p->e));
  }
  return GS_OK;
}

gs_status gs_pass_propagate(gs_arena *a, gs_graph *g,
                            const gs_propagate_input *in,
                            gs_propagation *out, gs_err *e) {
  prop p = {.a = a, .g = g, .m = g->mesh, .out = out, .in = in, .e = e};
  p.user = GS_NEWS(a, g->value.n + 1, bool);
  p.pending = GS_NEWS(a, g->node.n + 1, bool);
  p.touched = GS_NEWS(a, g->node.n + 1, bool);
  p.uses = gs_graph_uses(a, g);
  *out = (gs_propagation){.graph = g, .rule = in->rule};
  out->origin = GS_NEWS(a, g->value.n + 1, gs_origin *);
  GS_TRY(start(&p));
  p.priority = -1;
  for (bool first = true; (p.priority = next_priority(&p)) >= 0;
       first = false) {
    show_priority(&p, first);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
      p.level = levels[i];
      GS_TRY(run_level(&p));
    }
  }
  for (int i = 0; i < g->value.n; i++)
    for (int d = 0; d < g->value.at[i]->sharding->rank; d++)
      g->value.at[i]->sharding->dim[d].open = false;
  return GS_OK;
}
