/* Forms of values: what is at hand, what it costs to get another, and how it
 * is got. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
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

/* Inputs and constants lie outside the devices; every device can read the
 * part that its sharding in the model gives it, and parts of that. */
static bool readable(const gs_partitioner *p, const gs_value *v,
                     const gs_form *want) {
  if (v->def || want->sharding->partial || !gs_form_is_blocks(want))
    return false;
  if (v->constant && v->constant->nbytes <= GS_SMALL_CONSTANT) return true;
  return refines(p, v, want->sharding, v->sharding);
}

/* Whether x is an input or a constant itself, of which no more may be read
 * than `readable` says. */
static bool out_of_reach(const gs_partitioner *p, const gs_value *v,
                         const gs_held_form *x) {
  return !v->def && gs_sharding_is_replicated(x->form.sharding) &&
         !readable(p, v, &x->form);
}

double gs_partitioner_price(gs_partitioner *p, const gs_value *v,
                            const gs_form *want, gs_held_form **from) {
  double best = INFINITY;
  if (from) *from = NULL;
  if (readable(p, v, want) || gs_value_dynamic(v)) return 0;
  for (gs_held_form *x = p->held[v->id]; x; x = x->next) {
    if (out_of_reach(p, v, x)) continue;
    double s =
        gs_reshard_forms(&p->resharder, v->dtype, v->rank, v->dims, &x->form,
                         want)
            ->seconds;
    if (s < best) {
      best = s;
      if (from) *from = x;
    }
  }
  if (v->def || isfinite(best)) return best;
  /* An input or a weight not read yet: its block, then a path from there. */
  gs_form block = gs_form_of(gs_partitioner_assigned(p, v));
  return gs_reshard_forms(&p->resharder, v->dtype, v->rank, v->dims, &block,
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

/* The elements of `want`, whatever its padding. */
static gs_held_form *bring(gs_partitioner *p, const gs_value *v,
                           const gs_form *want) {
  if (readable(p, v, want)) return read_block(p, v, want);
  gs_held_form *x = find(p, v, want), *from = NULL;
  bool reads_whole = x && !v->def && !x->local->def;
  if (x && !reads_whole) return x;
  gs_partitioner_price(p, v, want, &from);
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
