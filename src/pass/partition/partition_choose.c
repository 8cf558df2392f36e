/* Which factors a node's axes go to: candidates taken from its operands and
 * results, priced by compute and resharding. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "pass/partition/partition_impl.h"

enum {
  MAX_FORMS = 4, /* of an operand that are looked at */
  MAX_UNITS = 3,
  MAX_WAYS = 32 /* to assign them that are all tried */
};

/* Assignments that differ; few, however many operands a node has.  By pointer:
 * one has kilobytes, of which room for more would be cleared in vain. */
typedef GS_VEC(gs_assignment *) offers;

static bool same_assignment(const gs_rule *r, const gs_assignment *a,
                            const gs_assignment *b) {
  for (int f = 0; f < r->nfactor; f++)
    if (!gs_axes_equal(&a->axis[f], &b->axis[f])) return false;
  return true;
}

static void add_new(const gs_rule *r, gs_arena *tmp, offers *o,
                    const gs_assignment *as) {
  for (int i = 0; i < o->n; i++)
    if (same_assignment(r, o->at[i], as)) return;
  *gs_push(tmp, o) = gs_assignment_copy(tmp, r, as);
}

static void add_offer(const gs_partitioner *p, const gs_rule *r, gs_arena *tmp,
                      offers *o, gs_assignment *as) {
  gs_assignment_legalise(p->m, r, as);
  add_new(r, tmp, o, as);
}

/* The factor that takes further axes best: passed through, evenly divided,
 * the longest; -1 when there is none. */
static int roomy_factor(const gs_partitioner *p, const gs_rule *r,
                        const gs_assignment *as, int64_t shards) {
  int best = -1;
  int64_t max = 0;
  for (int f = 0; f < r->nfactor; f++) {
    int64_t have = gs_axes_size(p->m, &as->axis[f]) * shards;
    if (r->factor[f].kind != GS_PASS || r->factor[f].blocked ||
        r->factor[f].size % have || r->factor[f].size / have <= max)
      continue;
    max = r->factor[f].size / have;
    best = f;
  }
  return best;
}

/* Axes that split what must be whole split something else meanwhile: two
 * all-to-alls cost less than to gather and to compute everywhere. */
static void offer_moved(const gs_partitioner *p, const gs_rule *r,
                        gs_arena *tmp, const gs_assignment *lead,
                        gs_assignment as, gs_subset used, offers *o) {
  bool moved = false;
  for (int f = 0; f < r->nfactor; f++) {
    const gs_axes *axes = &lead->axis[f];
    if (!gs_factor_whole(r->factor[f].kind) || !axes->n ||
        (gs_axes_set(axes) & used))
      continue;
    int g = roomy_factor(p, r, &as, gs_axes_size(p->m, axes));
    if (g < 0) continue;
    as.axis[g] = gs_axes_cat(&as.axis[g], axes);
    used |= gs_mesh_barred(p->m, gs_axes_set(axes));
    moved = true;
  }
  if (moved) add_offer(p, r, tmp, o, &as);
}

/* Axes of the minor factors of a dim split its major one: an all-to-all, and
 * what is joined or divided stays where it is. */
static void offer_major(const gs_partitioner *p, const gs_rule *r,
                        gs_arena *tmp, gs_assignment as, offers *o) {
  bool moved = false;
  for (int s = 0; s < r->nin + r->nout; s++) {
    const gs_tensor_map *t = s < r->nin ? &r->in[s] : &r->out[s - r->nin];
    for (int d = 0; d < t->rank; d++)
      for (int i = 1; i < t->dim[d].n; i++) {
        gs_axes *major = &as.axis[t->dim[d].f[0]];
        gs_axes *minor = &as.axis[t->dim[d].f[i]];
        if (!minor->n) continue;
        *major = gs_axes_cat(major, minor);
        minor->n = 0;
        moved = true;
      }
  }
  if (moved) add_offer(p, r, tmp, o, &as);
}

/* Assignments that follow number `lead` of those seen: alone, filled up by
 * the others, and with the axes of its whole factors moved to others. */
static void offer_lead(const gs_partitioner *p, const gs_rule *r, gs_arena *tmp,
                       const offers *seen, int lead, offers *o) {
  gs_assignment as = {0};
  gs_subset used = 0;
  for (int f = 0; f < r->nfactor; f++)
    gs_assignment_grant(p->m, r, &as, f, &seen->at[lead]->axis[f], &used);
  gs_assignment alone = as;
  add_offer(p, r, tmp, o, &alone);
  offer_major(p, r, tmp, as, o);
  offer_moved(p, r, tmp, seen->at[lead], as, used, o);
  for (int s = 0; s < seen->n; s++)
    for (int f = 0; s != lead && f < r->nfactor; f++)
      gs_assignment_grant(p->m, r, &as, f, &seen->at[s]->axis[f], &used);
  add_offer(p, r, tmp, o, &as);
}

/* An exchange goes to blocks in any order of the axes: that of number `lead` of
 * those seen, but with what another has of them as major, so that the others
 * can leave by all-to-all. */
static void offer_led(const gs_partitioner *p, const gs_rule *r, gs_arena *tmp,
                      const offers *seen, int lead, offers *o) {
  for (int s = 0; s < seen->n; s++)
    for (int f = 0; f < r->nfactor; f++) {
      const gs_axes *all = &seen->at[lead]->axis[f];
      const gs_axes *first = &seen->at[s]->axis[f];
      if (!first->n || gs_axes_set(first) & ~gs_axes_set(all)) continue;
      gs_assignment as = {0};
      memcpy(as.axis, seen->at[lead]->axis,
             (size_t)r->nfactor * sizeof *as.axis);
      as.axis[f] = gs_partitioner_led(first, all);
      add_offer(p, r, tmp, o, &as);
    }
}

/* Lists of axes that split dims of operands and results, and have none in
 * common. */
typedef struct units {
  int n;
  gs_axes at[MAX_UNITS];
  gs_subset used;
} units;

static units units_of(const gs_partitioner *p, const gs_node *n,
                      const gs_rule *r) {
  units u = {0};
  for (int i = 0; i < r->nin + r->nout; i++) {
    gs_slot slot = gs_slot_at(n, r, i);
    const gs_sharding *s = slot.value ? slot.value->sharding : NULL;
    for (int d = 0; s && d < s->rank && u.n < MAX_UNITS; d++) {
      gs_axes fresh = {0}; /* as in [a,b] after {a,~} */
      for (int k = 0; k < s->dim[d].axes.n; k++)
        if (!(u.used >> s->dim[d].axes.at[k] & 1))
          fresh.at[fresh.n++] = s->dim[d].axes.at[k];
      if (!fresh.n) continue;
      u.used |= gs_mesh_barred(p->m, gs_axes_set(&fresh));
      u.at[u.n++] = fresh;
    }
  }
  return u;
}

/* Each unit from number `first` on splits one of the factors, or none. */
static void offer_units(const gs_partitioner *p, const gs_rule *r,
                        gs_arena *tmp, const units *u, int first,
                        const gs_assignment *as, offers *o) {
  gs_assignment more = *as;
  if (first == u->n) {
    add_offer(p, r, tmp, o, &more);
    return;
  }
  offer_units(p, r, tmp, u, first + 1, as, o);
  for (int f = 0; f < r->nfactor; f++) {
    if (gs_factor_whole(r->factor[f].kind)) continue;
    more.axis[f] = gs_axes_cat(&as->axis[f], &u->at[first]);
    offer_units(p, r, tmp, u, first + 1, &more, o);
    more.axis[f] = as->axis[f];
  }
}

/* Where these are few: all ways to split factors by the axes that split
 * operands and results. */
static void offer_all(const gs_partitioner *p, const gs_node *n,
                      const gs_rule *r, gs_arena *tmp, offers *o) {
  units u = units_of(p, n, r);
  int ways = 1;
  for (int i = 0; i < u.n && ways <= MAX_WAYS; i++) ways *= r->nfactor + 1;
  gs_assignment none = {0};
  if (u.n && ways <= MAX_WAYS) offer_units(p, r, tmp, &u, 0, &none, o);
}

/* Adds what a sharding of this slot gives to the factors, if it is new. */
static void see(const gs_partitioner *p, const gs_rule *r, gs_arena *tmp,
                const gs_slot *slot, const gs_sharding *s, offers *seen) {
  gs_assignment as = {0};
  gs_project(p->m, r, slot->map, s, &as);
  add_new(r, tmp, seen, &as);
  if (!r->uneven) return;
  gs_project_major(slot->map, s, &as);
  add_new(r, tmp, seen, &as);
}

/* Different shardings of the slots' values, as factors see them. */
static offers collect(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                      gs_arena *tmp) {
  offers seen = {0};
  for (int i = 0; i < r->nin + r->nout; i++) {
    gs_slot slot = gs_slot_at(n, r, i);
    if (slot.value) see(p, r, tmp, &slot, slot.value->sharding, &seen);
  }
  for (int i = 0; i < r->nin; i++) {
    gs_slot slot = gs_slot_at(n, r, i);
    const gs_held_form *x = slot.value ? p->held[slot.value->id] : NULL;
    for (int j = 0; x && j < MAX_FORMS; x = x->next) {
      if (x->filled) continue; /* splits nothing otherwise */
      see(p, r, tmp, &slot, x->form.sharding, &seen);
      j++;
    }
  }
  return seen;
}

static double identity_of(gs_reduce r) {
  switch (r) {
    case GS_REDUCE_PROD: return 1;
    case GS_REDUCE_MAX: return -INFINITY;
    case GS_REDUCE_MIN: return INFINITY;
    case GS_REDUCE_SUM:
    case GS_NREDUCE: break;
  }
  return 0;
}

/* Dims of operand i whose padding would enter a reduction, and the value that
 * keeps it out. */
static uint64_t summed_dims(const gs_rule *r, int i, const gs_node_choice *c,
                            double *fill) {
  uint64_t dims = 0;
  for (int d = 0; d < r->in[i].rank; d++)
    for (int k = 0; k < r->in[i].dim[d].n; k++) {
      int f = r->in[i].dim[d].f[k];
      if (r->factor[f].kind != GS_SUMMED || !c->as->axis[f].n) continue;
      dims |= (uint64_t)1 << d;
      *fill = identity_of(r->factor[f].reduce);
    }
  return dims;
}

/* What the padding of operand i must hold. */
static gs_padding padding_wanted(const gs_node *n, const gs_rule *r, int i,
                                 const gs_node_choice *c) {
  gs_padding pad = {0};
  pad.dims = summed_dims(r, i, c, &pad.value);
  bool indexed = n->op && (n->op->flags & GS_OP_INDEX1);
  if (indexed && i == 0) pad.dims = 0; /* indices never reach the padding */
  if (indexed && i == 1) pad = gs_form_zeros(c->in[i].sharding).padding;
  if (!pad.dims) pad.value = 0;
  return pad;
}

/* The last element of an operand's dim that any output needs. */
static int64_t last_needed(const gs_reach *x) {
  int64_t o = x->num < 0 ? 0 : gs_max(x->count - 1, 0);
  return gs_floor_div(x->num * o + x->last, x->den);
}

/* Whether the outputs of each device need its own block and nothing else.  A
 * stride that is longer than the window skips elements at the end; held along
 * with the others they make blocks, which lie there already. */
static bool is_block(const gs_partitioner *p, gs_arena *tmp, const gs_value *v,
                     const gs_window_use *u, const gs_axes *axes,
                     const gs_form *form) {
  gs_reach all = u->reach;
  if (u->out < 0) return false; /* taps of a kernel: no output skips any */
  if (all.den != 1 || all.num <= all.last - all.first) return false;
  all.last = all.first + all.num - 1;
  gs_exchange x = gs_exchange_of(p->m, axes, &all, false);
  gs_form held = gs_form_hold(tmp, p->m, form, u->dim, v->dims[u->dim],
                              &x.range);
  return !(gs_form_windows(&held) >> u->dim & 1);
}

/* Operand u->in held as use u wants it; false when its padding would have to
 * hold two values. */
static bool add_window(gs_partitioner *p, gs_arena *tmp, const gs_value *v,
                       const gs_window_use *u, const gs_axes *axes,
                       gs_form *form) {
  gs_sharding *s = gs_sharding_copy(tmp, form->sharding);
  s->dim[u->dim].axes = *axes;
  uint64_t bit = (uint64_t)1 << u->dim;
  form->sharding = s;
  if (!is_block(p, tmp, v, u, axes, form)) {
    gs_exchange x = gs_exchange_of(p->m, axes, &u->reach, false);
    gs_need need = {x.reach, x.width};
    *form = gs_form_hold_for(tmp, p->m, form, u->dim, v->dims[u->dim],
                             &x.range, &need);
  }
  bool window = gs_form_windows(form) & bit;
  bool past = last_needed(&u->reach) >= v->dims[u->dim];
  if (u->fill != GS_FILL_VALUE || (!window && !past)) return true;
  if (form->padding.dims & ~bit && form->padding.value != u->value)
    return false;
  form->padding.dims |= bit;
  form->padding.value = u->value;
  return true;
}

/* The windows of operand i; false when the assignment splits two uses of one
 * dim, or as above.  Of a use of all results (taps of a kernel) beside one of
 * the outputs the local function makes the rest: it is within that window. */
static bool add_windows(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                        int i, gs_arena *tmp, gs_node_choice *c) {
  uint64_t seen = 0;
  for (int k = 0; k < r->nuse; k++) {
    const gs_window_use *u = &r->use[k];
    const gs_axes *axes = &c->as->axis[u->factor];
    if (u->in != i || u->copies || !axes->n) continue;
    if (seen >> u->dim & 1) {
      if (u->out >= 0) return false;
      continue;
    }
    seen |= (uint64_t)1 << u->dim;
    if (!add_window(p, tmp, n->in[i], u, axes, &c->in[i])) return false;
  }
  return true;
}

/* An operand of which only the type is read may be in any form. */
static gs_form any_form(gs_partitioner *p, const gs_value *v) {
  const gs_held_form *x = p->held[v->id];
  return v->def && x ? x->form : gs_form_of(gs_partitioner_assigned(p, v));
}

/* Fills in what the assignment asks of operands and gives to results; false
 * when the node cannot be computed so. */
static bool shape_choice(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                         gs_arena *tmp, gs_deferral deferred,
                         gs_node_choice *c) {
  c->in = GS_NEWS(tmp, r->nin + 1, gs_form);
  c->out = GS_NEWS(tmp, r->nout + 1, gs_form);
  gs_subset used = 0;
  for (int f = 0; f < r->nfactor; f++) used |= gs_axes_set(&c->as->axis[f]);
  c->deferred =
      deferred.axes & gs_mesh_barred(p->m, used) ? 0 : deferred.axes;
  for (int i = 0; i < r->nin; i++) {
    if (!gs_node_in(n, i)) continue;
    if (n->op && !gs_op_reads(n->op, i)) {
      c->in[i] = any_form(p, n->in[i]);
      continue;
    }
    c->in[i] = gs_unproject_form(tmp, p->m, r, &r->in[i], c->as,
                                 n->in[i]->dims);
    gs_partitioner_hold_blocks(p, tmp, &r->in[i], c->block, n->in[i]->dims,
                               &c->in[i]);
    gs_sharding *s = gs_sharding_copy(tmp, c->in[i].sharding);
    if (deferred.operand < 0 ? gs_node_linear(n, i) : i == deferred.operand)
      s->partial = gs_partitioner_partial(p, n->in[i]) & c->deferred;
    c->in[i].sharding = s;
    c->in[i].padding = padding_wanted(n, r, i, c);
    if (!add_windows(p, n, r, i, tmp, c)) return false;
  }
  for (int i = 0; i < r->nout; i++) {
    if (!gs_node_out(n, i)) continue;
    c->out[i] = gs_unproject_form(tmp, p->m, r, &r->out[i], c->as,
                                  n->out[i]->dims);
    gs_partitioner_hold_blocks(p, tmp, &r->out[i], c->block, n->out[i]->dims,
                               &c->out[i]);
    gs_sharding *s = gs_sharding_copy(tmp, c->out[i].sharding);
    s->partial = gs_assignment_partial(r, c->as) | c->deferred;
    s->reduce = gs_assignment_reduce(r, c->as);
    c->out[i].sharding = s;
  }
  if (gs_partitioner_copies(r)) gs_partitioner_plan_copies(p, n, r, tmp, c);
  return true;
}

/* The assignments that are priced. */
static offers offers_of(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                        gs_arena *tmp, bool wide) {
  offers o = {0};
  gs_assignment as = {0};
  if (p->o->force && p->o->force(p->o->user, n, r, &as)) {
    add_new(r, tmp, &o, &as);
    return o;
  }
  const gs_planned *plan = wide ? NULL : p->plan[n->id];
  if (plan) {
    gs_assert(plan->axis && plan->nfactor == r->nfactor);
    memcpy(as.axis, plan->axis, (size_t)r->nfactor * sizeof *as.axis);
    add_new(r, tmp, &o, &as);
    return o;
  }
  offers seen = collect(p, n, r, tmp);
  for (int s = 0; s < seen.n; s++) offer_lead(p, r, tmp, &seen, s, &o);
  for (int s = 0; s < seen.n && gs_partitioner_copies(r); s++)
    offer_led(p, r, tmp, &seen, s, &o);
  if (wide) offer_all(p, n, r, tmp, &o);
  /* All whole: what no window, and no padding, can be wrong for. */
  if (!o.n || r->nuse) add_new(r, tmp, &o, gs_assignment_new(tmp, r));
  return o;
}

/* Adds what becomes of one assignment and these blocks, with what is partial
 * passed on and without. */
static void add_choices(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                        gs_arena *tmp, bool wide, gs_assignment *as,
                        const int64_t *block, gs_choices *all) {
  const gs_planned *plan = wide ? NULL : p->plan[n->id];
  gs_deferral deferred = gs_partitioner_deferred(p, n), none = {.operand = -1};
  for (int k = deferred.axes ? 0 : 1; k < 2; k++) {
    if (plan && plan->defers != !k) continue;
    gs_node_choice *c = GS_NEW(tmp, gs_node_choice);
    c->as = as;
    c->block = block;
    if (!shape_choice(p, n, r, tmp, k ? none : deferred, c)) continue;
    if (!k && !c->deferred) continue;
    gs_partitioner_seconds(p, n, r, tmp, c);
    /* Of a chain that is looked at there are other ways; what is told to be
     * done so may be refused. */
    if (c->seconds < GS_NEVER || (!wide && !p->o->force))
      *gs_push(tmp, all) = c;
  }
}

gs_choices gs_partitioner_choices(gs_partitioner *p, const gs_node *n,
                                  const gs_rule *r, gs_arena *tmp, bool wide) {
  offers o = offers_of(p, n, r, tmp, wide);
  const gs_planned *plan = wide ? NULL : p->plan[n->id];
  gs_choices all = {0};
  for (int i = 0; i < o.n; i++) {
    if (plan) {
      add_choices(p, n, r, tmp, wide, o.at[i], plan->block, &all);
      continue;
    }
    add_choices(p, n, r, tmp, wide, o.at[i], NULL, &all);
    gs_block_lists more = gs_partitioner_blocks(p, n, r, tmp, o.at[i]);
    for (int b = 0; b < more.n; b++)
      add_choices(p, n, r, tmp, wide, o.at[i], more.at[b], &all);
  }
  return all;
}

double gs_partitioner_least(gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, gs_arena *tmp) {
  offers o = offers_of(p, n, r, tmp, true);
  gs_deferral none = {.operand = -1};
  double least = INFINITY;
  for (int i = 0; i < o.n; i++) {
    gs_node_choice *c = GS_NEW(tmp, gs_node_choice);
    c->as = o.at[i];
    if (shape_choice(p, n, r, tmp, none, c))
      least = fmin(least, gs_partitioner_local(p, n, r, c));
  }
  return least;
}

gs_status gs_partitioner_choose(gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, gs_arena *tmp,
                                gs_node_choice *best) {
  gs_choices all = gs_partitioner_choices(p, n, r, tmp, false);
  if (!all.n && p->plan[n->id]) { /* it was of a chain that is not quite so */
    p->plan[n->id] = NULL;
    all = gs_partitioner_choices(p, n, r, tmp, false);
  }
  gs_assert(all.n || p->o->force);
  if (!all.n)
    return gs_fail(p->e, GS_UNSUPPORTED, gs_node_place(p->a, n),
                   "the node cannot be computed as it is told to be");
  *best = *all.at[0];
  for (int i = 1; i < all.n; i++)
    if (all.at[i]->seconds < best->seconds) *best = *all.at[i];
  return GS_OK;
}
