/* What a choice for a node costs: its own work, what brings its operands and
 * results in place, and, of a partial result, the reduction where that moves
 * least: here, or after nodes that pass it on. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "op/rule/rule.h"
#include "pass/partition/partition_impl.h"

enum { MAX_TRAVEL = 8 }; /* nodes that a partial sum is followed through */

static double form_bytes(const gs_partitioner *p, const gs_value *v,
                         const gs_form *f) {
  int64_t local[GS_MAX_RANK];
  gs_form_local(p->m, f, v->dims, local);
  return (double)gs_dtype_bytes((int)v->dtype, gs_product(local, v->rank));
}

int64_t gs_partitioner_share(const gs_partitioner *p, const gs_rule *r,
                             const gs_node_choice *c, int f) {
  if (c->block && c->block[f]) return c->block[f];
  return gs_ceil_div(r->factor[f].size, gs_axes_size(p->m, &c->as->axis[f]));
}

/* Whether all that the node copies is where it must be. */
static bool all_stay(const gs_rule *r, const gs_node_choice *c) {
  for (int k = 0; c->copies && k < r->nuse; k++)
    if (!(c->copies->stay >> r->use[k].dim & 1)) return false;
  return c->copies != NULL;
}

gs_gathered gs_partitioner_gathered(const gs_partitioner *p, const gs_node *n,
                                    const gs_node_choice *c) {
  gs_gathered g = {0};
  int64_t room[GS_MAX_OPERANDS][GS_MAX_RANK];
  const int64_t *dims[GS_MAX_OPERANDS] = {0};
  if (!n->op || !n->op->gathers) return g;
  gs_assert(n->nin <= GS_MAX_OPERANDS);
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i]) continue;
    gs_form_local(p->m, &c->in[i], n->in[i]->dims, room[i]);
    dims[i] = room[i];
  }
  n->op->gathers(n, dims, &g.what);
  g.axes = c->in[g.what.in].sharding->dim[g.what.dim].axes;
  if (!g.axes.n || !g.what.times) return (gs_gathered){0};
  g.bytes = gs_gathers_bytes(&g.what, gs_axes_size(p->m, &g.axes));
  double times = (double)g.what.times;
  g.seconds = times * gs_cost_move(p->m, GS_MOVE_ALL_GATHER, &g.axes,
                                   g.bytes / times);
  return g;
}

/* Compute and memory time of the node's local form, and what it gathers. */
double gs_partitioner_local(const gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, const gs_node_choice *c) {
  if (gs_node_dynamic(n) || gs_node_has_region(n))
    return 0; /* there is only one way to run it */
  if (gs_rule_keeps(n, r) || all_stay(r, c)) return 0;
  int64_t size[GS_MAX_FACTORS];
  for (int f = 0; f < r->nfactor; f++)
    size[f] = gs_partitioner_share(p, r, c, f);
  bool indexed = n->op && (n->op->flags & GS_OP_INDEX1);
  double made = 0, bytes = 0;
  for (int i = 0; i < n->nout && i < r->nout; i++)
    if (c->out[i].sharding) made += form_bytes(p, n->out[i], &c->out[i]);
  for (int i = 0; i < n->nin && i < r->nin; i++) {
    if (!c->in[i].sharding) continue;
    double all = form_bytes(p, n->in[i], &c->in[i]);
    bytes += indexed && i == 0 ? fmin(all, made) : all; /* read by rows */
  }
  bytes += made;
  double flops = n->op ? gs_op_flops(n->op, r, size) : 0;
  gs_gathered g = gs_partitioner_gathered(p, n, c);
  return gs_cost_local(p->m, flops, bytes) + g.seconds;
}

/* Adds what the operands and results of n are assigned, but for axes in
 * `used`. */
static void fill(const gs_partitioner *p, const gs_node *n, const gs_rule *r,
                 gs_arena *tmp, gs_assignment *as, gs_subset used) {
  for (int s = 0; s < r->nin + r->nout; s++) {
    gs_slot slot = gs_slot_at(n, r, s);
    if (!slot.value) continue;
    gs_assignment *one = gs_assignment_new(tmp, r);
    gs_project(p->m, r, slot.map, slot.value->sharding, one);
    for (int f = 0; f < r->nfactor; f++)
      gs_assignment_grant(p->m, r, as, f, &one->axis[f], &used);
  }
  gs_assignment_legalise(p->m, r, as);
}

/* The forms of operands and results under c->as; operand `at` and results are
 * partial over `axes`. */
static void shape(const gs_partitioner *p, const gs_node *n, const gs_rule *r,
                  gs_arena *tmp, int at, gs_subset axes, gs_node_choice *c) {
  c->in = GS_NEWS(tmp, r->nin + 1, gs_form);
  c->out = GS_NEWS(tmp, r->nout + 1, gs_form);
  for (int k = 0; k < r->nin + r->nout; k++) {
    gs_slot slot = gs_slot_at(n, r, k);
    if (!slot.value) continue;
    gs_form *f = slot.result ? &c->out[slot.index] : &c->in[slot.index];
    *f = gs_unproject_form(tmp, p->m, r, slot.map, c->as, slot.value->dims);
    gs_sharding *s = gs_sharding_copy(tmp, f->sharding);
    if (slot.result) s->partial = gs_assignment_partial(r, c->as) | axes;
    else if (slot.index == at) s->partial = axes;
    f->sharding = s;
  }
}

/* Seconds to bring v, which may not be made yet, to `want`. */
static double bring_seconds(gs_partitioner *p, const gs_value *v,
                            const gs_form *want) {
  if (gs_value_dynamic(v)) return 0;
  if (!v->def || p->held[v->id]) return gs_partitioner_price(p, v, want, NULL);
  gs_form assigned = gs_form_of(gs_partitioner_assigned(p, v));
  return gs_reshard_forms(p->resharder, v->dtype, v->rank, v->dims, &assigned,
                          want)
      ->seconds;
}

static double settle(gs_partitioner *p, const gs_value *v, const gs_form *form,
                     int depth, int terms);

/* Seconds to pass v, partial in `form`, on through its reader, of which it is
 * operand `at`, and to reduce it later; the work that is more than where the
 * reader runs as it is assigned is counted. */
static double passed_on(gs_partitioner *p, const gs_value *v,
                        const gs_form *form, int at, int depth, int terms) {
  const gs_node *n = p->reader[v->id];
  gs_subset axes = form->sharding->partial;
  gs_arena *tmp = p->travel;
  const gs_rule *r;
  if (gs_partitioner_rule(p, n, tmp, &r, NULL)) return INFINITY;
  gs_node_choice *c = GS_NEW(tmp, gs_node_choice);
  gs_node_choice *usual = GS_NEW(tmp, gs_node_choice);
  c->as = gs_assignment_new(tmp, r);
  usual->as = gs_assignment_new(tmp, r);
  fill(p, n, r, tmp, usual->as, 0);
  shape(p, n, r, tmp, -1, 0, usual);
  gs_project(p->m, r, &r->in[at], form->sharding, c->as);
  fill(p, n, r, tmp, c->as,
       gs_mesh_barred(p->m, axes | gs_sharding_used(form->sharding)));
  shape(p, n, r, tmp, at, axes, c);
  double t = gs_partitioner_local(p, n, r, c) -
             gs_partitioner_local(p, n, r, usual);
  t += gs_reshard_forms(p->resharder, v->dtype, v->rank, v->dims, form,
                        &c->in[at])
           ->seconds;
  for (int i = 0; i < r->nin; i++)
    if (c->in[i].sharding && i != at)
      t += bring_seconds(p, n->in[i], &c->in[i]);
  for (int i = 0; i < r->nout; i++)
    if (c->out[i].sharding)
      t += settle(p, n->out[i], &c->out[i], depth - 1, terms);
  return t;
}

/* Seconds from `form` of v, which its node has just made, to where it is
 * assigned, or, partial, to where a later value is.  A reduction is shared by
 * all the partial sums that have been added up by then. */
static double settle(gs_partitioner *p, const gs_value *v, const gs_form *form,
                     int depth, int terms) {
  if (gs_value_dynamic(v) || !p->nuse[v->id]) return 0;
  const gs_sharding *s = form->sharding;
  gs_form assigned = gs_form_of(gs_partitioner_assigned(p, v));
  double t = gs_reshard_forms(p->resharder, v->dtype, v->rank, v->dims, form,
                              &assigned)
                 ->seconds /
             terms;
  if (!s->partial || s->reduce != GS_REDUCE_SUM || !depth) return t;
  int at = gs_partitioner_onward(p, v, s->partial, &terms);
  return at < 0 ? t : fmin(t, passed_on(p, v, form, at, depth, terms));
}

void gs_partitioner_seconds(gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, gs_arena *tmp,
                            gs_node_choice *c) {
  double t = c->compute = gs_partitioner_local(p, n, r, c);
  if (c->copies) t += c->copies->seconds;
  for (int i = 0; i < r->nin; i++)
    if (c->in[i].sharding)
      t += gs_partitioner_price(p, n->in[i], &c->in[i], NULL);
  c->onward = GS_NEWS(tmp, r->nout + 1, double);
  for (int i = 0; i < r->nout; i++) {
    if (!c->out[i].sharding || n->out[i] == p->link) continue;
    c->onward[i] = settle(p, n->out[i], &c->out[i], MAX_TRAVEL, 1);
    gs_arena_reset(p->travel);
    t += c->onward[i];
  }
  c->seconds = t;
}
