/* Which forms of a value are at hand, what is known of its nodes, and what it
 * is called. */
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

static bool is_own(const gs_partitioner *p, const gs_node *n) {
  return n->id >= 0 && n->id < p->g->node.n && p->g->node.at[n->id] == n;
}

gs_status gs_partitioner_rule(const gs_partitioner *p, const gs_node *n,
                              gs_arena *tmp, const gs_rule **r, gs_err *e) {
  gs_assert(is_own(p, n));
  *r = p->rule[n->id];
  if (*r) return GS_OK;
  gs_arena *a = p->form ? p->a : p->memo->arena;
  gs_rule *made = GS_NEW(tmp, gs_rule), *kept = GS_NEW(a, gs_rule);
  GS_TRY(gs_rule_of(tmp, n, made, e));
  gs_rule_copy(a, made, kept);
  *r = p->rule[n->id] = kept;
  return GS_OK;
}

const gs_node *gs_partitioner_reader(const gs_partitioner *p,
                                     const gs_value *v) {
  const gs_node *n = p->nuse[v->id] == 1 ? p->reader[v->id] : NULL;
  return n && is_own(p, n) ? n : NULL; /* not one around a split form */
}

const gs_node *gs_partitioner_told_node(const gs_partitioner *p,
                                        const gs_node *n) {
  for (const gs_split_form *s = p->form; s; s = s->outer) n = s->node;
  return n;
}

/* What a value of a split form is seen of: itself, unless it is a view. */
static const gs_value *seen(const gs_split_form *s, const gs_value *v) {
  while (!s->same[v->id] && v->def && v->def->op &&
         v->def->op->flags & GS_OP_VIEW && v->def->in[0])
    v = v->def->in[0];
  return v;
}

const gs_value *gs_partitioner_told(const gs_partitioner *p,
                                    const gs_value *v) {
  for (const gs_split_form *s = p->form; s; s = s->outer) {
    v = seen(s, v);
    const gs_value *of = s->same[v->id];
    for (int i = 0; !of && i < s->node->nin; i++) of = s->node->in[i];
    v = of ? of : s->node->out[0];
  }
  return v;
}
