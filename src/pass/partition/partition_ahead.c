/* Looking ahead: what a result costs depends on what its reader will ask for,
 * and that on what comes after. */
#include <math.h>

#include "pass/partition/partition_impl.h"

enum { MAX_MADE = 4, MAX_WISHES = 8 };

static bool only_one_reads(const gs_partitioner *p, const gs_value *v) {
  return v && v->def && !v->is_output && p->nuse[v->id] == 1 &&
         !gs_value_dynamic(v);
}

/* The operand of n through which a chain comes: the last one made; -1: none
 * that n alone reads. */
static int chained(const gs_partitioner *p, const gs_node *n) {
  int best = -1;
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    if (only_one_reads(p, v) &&
        (best < 0 || v->def->id > n->in[best]->def->id))
      best = i;
  }
  return best;
}

static bool looks(const gs_node *n) {
  return n->op && !gs_node_dynamic(n) && !gs_node_has_region(n);
}

static void add_made(gs_partitioner *p, const gs_node *n,
                     const gs_choices *all) {
  for (int k = 0; k < all->n; k++)
    for (int i = 0; i < n->nout; i++) {
      if (!only_one_reads(p, n->out[i])) continue;
      gs_outlook *o = &p->ahead[n->out[i]->id];
      const gs_sharding *s = all->at[k].out[i].sharding;
      bool known = o->made.n >= MAX_MADE;
      for (int j = 0; j < o->made.n; j++)
        known = known || gs_sharding_equal(o->made.at[j], s);
      if (!known) *gs_push(p->a, &o->made) = gs_sharding_copy(p->a, s);
    }
}

/* The axes over which operand `at` of n may be partial and be passed on so:
 * those of number k of the ways to make it; 0: none. */
static gs_subset passed_on(const gs_partitioner *p, const gs_node *n, int at,
                           int k) {
  const gs_outlook *o = &p->ahead[n->in[at]->id];
  gs_subset axes = o->made.at[k]->partial;
  for (int j = 0; j < k; j++)
    if (o->made.at[j]->partial == axes) return 0;
  return gs_partitioner_defers(n, at) &&
                 o->made.at[k]->reduce == GS_REDUCE_SUM
             ? axes
             : 0;
}

/* How n may make its results. */
static gs_status note_made(gs_partitioner *p, const gs_node *n,
                           gs_arena *tmp) {
  gs_rule *r = GS_NEW(tmp, gs_rule);
  GS_TRY(gs_rule_of(tmp, n, r, p->e));
  int at = chained(p, n);
  gs_assumed x = {.operand = -1};
  gs_choices all = gs_partitioner_choices(p, n, r, tmp, &x);
  add_made(p, n, &all);
  if (at < 0 || at >= r->nin) return GS_OK;
  x.operand = at;
  for (int k = 0; k < p->ahead[n->in[at]->id].made.n; k++) {
    x.partial = passed_on(p, n, at, k);
    if (!x.partial) continue;
    all = gs_partitioner_choices(p, n, r, tmp, &x);
    add_made(p, n, &all);
  }
  return GS_OK;
}

/* The form, kept. */
static gs_form keep(gs_partitioner *p, const gs_form *f, int rank) {
  gs_form x = *f;
  x.sharding = gs_sharding_copy(p->a, f->sharding);
  if (f->window)
    x.window = gs_memdup(p->a, f->window, (size_t)rank * sizeof *f->window);
  if (f->need)
    x.need = gs_memdup(p->a, f->need, (size_t)rank * sizeof *f->need);
  return x;
}

static void add_wish(gs_partitioner *p, const gs_value *v, const gs_form *form,
                     double seconds) {
  gs_outlook *o = &p->ahead[v->id];
  if (!isfinite(seconds)) return;
  for (int i = 0; i < o->wish.n; i++) {
    gs_wish *w = &o->wish.at[i];
    if (!gs_form_serves(p->m, &w->form, form, v->dims) ||
        !gs_form_serves(p->m, form, &w->form, v->dims))
      continue;
    w->seconds = fmin(w->seconds, seconds);
    return;
  }
  gs_wish *w = NULL;
  if (o->wish.n < MAX_WISHES) w = gs_push(p->a, &o->wish);
  for (int i = 0; i < MAX_WISHES && !w; i++) /* in place of a dearer one */
    if (o->wish.at[i].seconds > seconds) w = &o->wish.at[i];
  if (w) *w = (gs_wish){keep(p, form, v->rank), seconds};
}

static void add_wishes(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                       gs_arena *tmp, const gs_assumed *x) {
  const gs_value *v = n->in[x->operand];
  gs_choices all = gs_partitioner_choices(p, n, r, tmp, x);
  for (int k = 0; k < all.n; k++)
    add_wish(p, v, &all.at[k].in[x->operand], all.at[k].seconds);
}

static gs_status note_wishes(gs_partitioner *p, const gs_node *n,
                             gs_arena *tmp) {
  gs_assumed x = {.operand = chained(p, n)};
  if (x.operand < 0) return GS_OK;
  gs_rule *r = GS_NEW(tmp, gs_rule);
  GS_TRY(gs_rule_of(tmp, n, r, p->e));
  if (x.operand >= r->nin) return GS_OK;
  add_wishes(p, n, r, tmp, &x);
  for (int k = 0; k < p->ahead[n->in[x.operand]->id].made.n; k++) {
    x.partial = passed_on(p, n, x.operand, k);
    if (x.partial) add_wishes(p, n, r, tmp, &x);
  }
  return GS_OK;
}

gs_status gs_partitioner_look_ahead(gs_partitioner *p) {
  const gs_graph *g = p->g;
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_status s = GS_OK;
  for (int i = 0; i < g->node.n && !s; i++) {
    if (looks(g->node.at[i])) s = note_made(p, g->node.at[i], &tmp);
    gs_arena_reset(&tmp);
  }
  for (int i = g->node.n - 1; i >= 0 && !s; i--) {
    if (looks(g->node.at[i])) s = note_wishes(p, g->node.at[i], &tmp);
    gs_arena_reset(&tmp);
  }
  gs_arena_free(&tmp);
  return s;
}
