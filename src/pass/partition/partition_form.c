/* Forms of values: what is at hand, what it costs to get another, and how it
 * is got. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "pass/partition/partition_impl.h"

/* Is each dim's list in `fine` the one in `coarse` or longer? */
static bool refines(const gs_partitioner *p, const gs_value *v,
                    const gs_sharding *fine, const gs_sharding *coarse) {
  for (int d = 0; d < fine->rank; d++) {
    const gs_axes *f = &fine->dim[d].axes, *c = &coarse->dim[d].axes;
    if (c->n > f->n || memcmp(c->at, f->at, c->n)) return false;
    gs_axes rest = gs_axes_tail(f, c->n);
    if (!gs_blocks_nest(v->dims[d], gs_axes_size(p->m, c),
                          gs_axes_size(p->m, &rest)))
      return false;
  }
  return true;
}

/* Whether v is read as its sharding says and not otherwise; the constants of a
 * split form's text are of any form, unless they are seen of one that is split.
 */
static bool as_split(const gs_partitioner *p, const gs_value *v) {
  return v->constant && p->as_split &&
         (!p->form || p->form->same[v->id] || gs_sharding_used(v->sharding));
}

/* Inputs and constants lie outside the devices; every device can read the
 * part that its sharding in the model gives it, and parts of that; of
 * constants also a window around it. */
static bool readable(const gs_partitioner *p, const gs_value *v,
                     const gs_form *want) {
  bool window = !gs_form_is_blocks(want);
  if (v->def || want->sharding->partial || (window && !v->constant))
    return false;
  bool small = v->constant && v->constant->nbytes <= GS_SMALL_CONSTANT;
  if (small && !as_split(p, v)) return true;
  return refines(p, v, want->sharding, v->sharding);
}

/* Whether x is an input or a constant itself, of which no more may be read
 * than `readable` says. */
static bool out_of_reach(const gs_partitioner *p, const gs_value *v,
                         const gs_held_form *x) {
  return !v->def && gs_sharding_is_replicated(x->form.sharding) &&
         !readable(p, v, &x->form);
}

/* ---- values that are made again ---- */

/* How the node that makes a value would make it in another form. */
typedef struct remake {
  const gs_rule *rule;
  gs_assignment *as;
  gs_form *in; /* of its operands; sharding NULL: absent */
} remake;

static double elements(const gs_value *v) {
  return (double)gs_product(v->dims, v->rank);
}

bool gs_partitioner_repeats(const gs_value *v) {
  const gs_node *n = v->def;
  return n && n->op && (n->op->flags & GS_OP_MOVES) && n->nout == 1 &&
         n->nin && n->in[0] && !gs_node_dynamic(n) &&
         elements(v) > elements(n->in[0]);
}

/* False where the node cannot make v as `want` without a move of its own. */
static bool plan_remake(gs_partitioner *p, const gs_value *v,
                        const gs_form *want, gs_arena *tmp, remake *m) {
  const gs_node *n = v->def;
  if (!gs_form_is_blocks(want) ||
      gs_partitioner_rule(p, n, tmp, &m->rule, NULL))
    return false;
  const gs_rule *r = m->rule;
  m->as = gs_assignment_new(tmp, r);
  gs_project(p->m, r, &r->out[0], want->sharding, m->as);
  gs_assignment_legalise(p->m, r, m->as);
  for (int f = 0; f < r->nfactor; f++)
    if (m->as->axis[f].n && r->factor[f].kind != GS_PASS) return false;
  if (!gs_sharding_equal(gs_unproject(tmp, &r->out[0], m->as),
                         want->sharding))
    return false;
  m->in = GS_NEWS(tmp, r->nin + 1, gs_form);
  for (int i = 0; i < r->nin; i++)
    if (gs_node_in(n, i))
      m->in[i] = gs_form_of(gs_unproject(tmp, &r->in[i], m->as));
  return true;
}

/* Seconds to make v again as `want`, of what its node makes it of; INFINITY
 * where that is not possible, or v is not the same along some dim. */
static double remake_price(gs_partitioner *p, const gs_value *v,
                           const gs_form *want) {
  if (!gs_partitioner_repeats(v)) return INFINITY;
  gs_arena tmp;
  gs_arena_init(&tmp);
  remake *m = GS_NEW(&tmp, remake);
  double seconds = INFINITY;
  if (plan_remake(p, v, want, &tmp, m)) {
    int64_t bytes = gs_sharding_bytes(p->m, want->sharding, v->dtype, v->dims);
    seconds = gs_cost_local(p->m, 0, (double)bytes);
    for (int i = 0; i < m->rule->nin; i++)
      if (m->in[i].sharding)
        seconds += gs_partitioner_price(p, v->def->in[i], &m->in[i], NULL);
  }
  gs_arena_free(&tmp);
  return seconds;
}

/* The local form of v's node that makes v as `want`; NULL: it has none. */
static gs_value *emit_again(gs_partitioner *p, const gs_value *v,
                            const gs_form *want, const remake *m,
                            gs_arena *tmp) {
  const gs_node *n = v->def;
  gs_sharding *made = gs_sharding_copy(p->a, want->sharding);
  int64_t dims[GS_MAX_RANK], *out_dims = dims;
  gs_value *out = NULL;
  gs_local l = {.node = n, .rule = m->rule, .factor = m->as->axis,
                .program = p->program, .mesh = p->m, .nstage = 1,
                .stage = {{.reduce = n->op->combine}},
                .held = m->in, .out = &out, .out_dims = &out_dims,
                .out_sharding = &made};
  l.in = GS_NEWS(tmp, n->nin + 1, gs_value *);
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) l.in[i] = gs_partitioner_need(p, n->in[i], &m->in[i])->local;
  gs_form_local(p->m, want, v->dims, dims);
  int first = p->program->node.n;
  if (!n->op->local) gs_local_same(&l);
  else if (n->op->local(&l, NULL)) return NULL;
  for (int i = first; i < p->program->node.n; i++) {
    p->program->node.at[i]->origin = n->origin;
    p->program->node.at[i]->stage = n->stage;
  }
  bool fits = out && out->rank == v->rank;
  return fits && gs_same_dims(out->dims, dims, v->rank) ? out : NULL;
}

static gs_held_form *make_again(gs_partitioner *p, const gs_value *v,
                                const gs_form *want) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  remake *m = GS_NEW(&tmp, remake);
  gs_value *made = NULL;
  if (plan_remake(p, v, want, &tmp, m))
    made = emit_again(p, v, want, m, &tmp);
  gs_arena_free(&tmp);
  gs_form form = gs_form_of(gs_sharding_copy(p->a, want->sharding));
  return made ? gs_partitioner_add(p, v, &form, made) : NULL;
}

/* ---- prices ---- */

/* Seconds from the form of v that is nearest to `want`; INFINITY: there is
 * none that can be read. */
static double nearest(gs_partitioner *p, const gs_value *v,
                      const gs_form *want, gs_held_form **from) {
  double best = INFINITY;
  *from = NULL;
  for (gs_held_form *x = p->held[v->id]; x; x = x->next) {
    if (out_of_reach(p, v, x)) continue;
    double s =
        gs_reshard_forms(p->resharder, v->dtype, v->rank, v->dims, &x->form,
                         want)
            ->seconds;
    if (s < best) {
      best = s;
      *from = x;
    }
  }
  return best;
}

double gs_partitioner_price(gs_partitioner *p, const gs_value *v,
                            const gs_form *want, gs_held_form **from) {
  gs_held_form *start = NULL;
  if (!from) from = &start;
  *from = NULL;
  if (readable(p, v, want) || gs_value_dynamic(v)) return 0;
  if (as_split(p, v)) return GS_NEVER;
  double best = nearest(p, v, want, from);
  double again = best > 0 ? remake_price(p, v, want) : INFINITY;
  if (again < best) *from = NULL;
  if (v->def || isfinite(best)) return fmin(best, again);
  /* An input or a weight not read yet: its block, then a path from there. */
  gs_form block = gs_form_of(gs_partitioner_assigned(p, v));
  return gs_reshard_forms(p->resharder, v->dtype, v->rank, v->dims, &block,
                          want)
      ->seconds;
}

/* The whole value in the program: an input, or a constant on first use. */
static gs_value *whole(gs_partitioner *p, const gs_value *v) {
  for (const gs_held_form *x = p->held[v->id]; x; x = x->next)
    if (!x->local->def) return x->local;
  gs_value *c = gs_value_constant(p->program, v->name, v->constant);
  gs_form all = gs_form_zeros(gs_sharding_new(p->a, v->rank, false));
  gs_partitioner_add(p, v, &all, c);
  return c;
}

/* What is held that can be read as `want`. */
static gs_held_form *find(gs_partitioner *p, const gs_value *v,
                          const gs_form *want) {
  for (gs_held_form *x = p->held[v->id]; x; x = x->next)
    if (gs_form_serves(p->m, &x->form, want, v->dims)) return x;
  return NULL;
}

/* Reads a block of an input or a constant. */
static gs_held_form *read_block(gs_partitioner *p, const gs_value *v,
                                const gs_form *want) {
  gs_value *all = whole(p, v);
  gs_held_form *x = find(p, v, want);
  if (x) return x;
  gs_form block = gs_form_zeros(gs_sharding_copy(p->a, want->sharding));
  gs_value *out = gs_partitioner_read(p, v, all, block.sharding);
  return gs_partitioner_add(p, v, &block, out);
}

/* Reads a window of a constant: exchanges of what every device has whole send
 * nothing, and take no more of a file than they move. */
static gs_held_form *read_window(gs_partitioner *p, const gs_value *v,
                                 const gs_form *want) {
  const gs_value *all = whole(p, v);
  gs_held_form *x = find(p, v, want);
  if (x) return x;
  for (x = p->held[v->id]; x->local != all;) x = x->next;
  x = gs_partitioner_move(p, v, x, want);
  gs_assert(x);
  return x;
}

/* The elements of `want`, whatever its padding. */
static gs_held_form *bring(gs_partitioner *p, const gs_value *v,
                           const gs_form *want) {
  if (readable(p, v, want))
    return gs_form_is_blocks(want) ? read_block(p, v, want)
                                   : read_window(p, v, want);
  gs_held_form *x = find(p, v, want), *from = NULL;
  bool reads_whole = x && !v->def && !x->local->def;
  if (x && !reads_whole) return x;
  gs_partitioner_price(p, v, want, &from);
  if (!from && v->def) {
    gs_held_form *made = make_again(p, v, want);
    if (made) return made;
    nearest(p, v, want, &from);
  }
  if (!from) {
    gs_form block = gs_form_of(gs_partitioner_assigned(p, v));
    from = read_block(p, v, &block);
  }
  gs_held_form *made = gs_partitioner_move(p, v, from, want);
  return made ? made : from;
}

gs_held_form *gs_partitioner_need(gs_partitioner *p, const gs_value *v,
                                  const gs_form *want) {
  /* What an exchange fills is filled with the elements. */
  gs_form elements = *want;
  elements.padding.dims &= gs_form_windows(want);
  if (!elements.padding.dims) elements.padding.value = 0;
  gs_held_form *x = bring(p, v, &elements);
  if (gs_form_serves(p->m, &x->form, want, v->dims)) return x;
  for (gs_held_form *y = x->next; y && y->filled; y = y->next)
    if (gs_form_serves(p->m, &y->form, want, v->dims)) return y;
  return gs_partitioner_fill(p, v, x, &want->padding);
}
