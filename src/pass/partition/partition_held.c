/* Which forms of a value are at hand. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "pass/partition/partition_impl.h"

const gs_sharding *gs_partitioner_assigned(gs_partitioner *p,
                                           const gs_value *v) {
  if (p->assigned[v->id]) return p->assigned[v->id];
  gs_sharding *s = p->assigned[v->id] = gs_sharding_copy(p->a, v->sharding);
  s->partial = 0;
  for (int d = 0; d < s->rank; d++) {
    s->dim[d].open = false;
    s->dim[d].priority = 0;
  }
  s->replicated = 0;
  return s;
}

static gs_held_form *new_held(gs_partitioner *p, const gs_value *v,
                              const gs_form *form, gs_value *local) {
  gs_held_form *x = GS_NEW(p->a, gs_held_form);
  gs_assert(!gs_form_check(p->m, form, v->rank, v->dims, v->name, NULL));
  *x = (gs_held_form){.form = *gs_form_copy(p->a, form), .local = local};
  local->sharding = gs_sharding_copy(p->a, form->sharding);
  local->form = gs_form_is_blocks(form) ? NULL : &x->form;
  x->form.sharding = local->sharding;
  if (!local->global_dims && v->rank >= 0)
    local->global_dims =
        gs_memdup(p->a, v->dims, (size_t)v->rank * sizeof *v->dims);
  return x;
}

gs_held_form *gs_partitioner_add(gs_partitioner *p, const gs_value *v,
                                 const gs_form *form, gs_value *local) {
  gs_held_form *x = new_held(p, v, form, local);
  x->next = p->held[v->id];
  p->held[v->id] = x;
  return x;
}

gs_held_form *gs_partitioner_add_filled(gs_partitioner *p, const gs_value *v,
                                        gs_held_form *from, const gs_form *form,
                                        gs_value *local) {
  gs_assert(gs_form_same_elements(&from->form, form));
  gs_held_form *x = new_held(p, v, form, local);
  x->filled = true;
  x->next = from->next;
  from->next = x;
  return x;
}
