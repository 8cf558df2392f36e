/* Split forms: nodes that need all of a dim along which they are split, as a
 * few nodes with reductions in between (design section 5.1). */
#include "base/assert.h"
#include "base/math.h"
#include "op/core/shape.h"
#include "pass/partition/partition_impl.h"
#include "pass/prepare/infer.h"

enum { MAX_DEPTH = 4 }; /* of split forms within split forms */

/* ---- whether there is one ---- */

static bool unfolds(const gs_rule *r) {
  for (int f = 0; f < r->nfactor; f++)
    if (gs_factor_unfolds(r->factor[f].kind)) return true;
  return false;
}

/* Gives the axes of a minor dim of what the flat factor counts to that factor:
 * one of which the node needs all. */
static void find_minor(const gs_rule *r, const gs_slot *slot,
                       gs_assignment *as) {
  int flat = -1;
  for (int f = 0; f < r->nfactor; f++)
    if (r->factor[f].kind == GS_FLAT && !as->axis[f].n) flat = f;
  for (int d = 0; flat >= 0 && d < slot->map->rank; d++) {
    const gs_dim_map *m = &slot->map->dim[d];
    const gs_axes *axes = &slot->value->sharding->dim[d].axes;
    if (!axes->n || !m->n || r->factor[m->f[m->n - 1]].kind != GS_WHOLE)
      continue;
    as->axis[flat] = *axes;
    return;
  }
}

/* The axes of each factor with split forms, as the operands and results have
 * them; the first of those in *first, NULL: there are none. */
static void find_axes(const gs_partitioner *p, const gs_node *n,
                      const gs_rule *r, gs_assignment *as,
                      const gs_axes **first) {
  *first = NULL;
  for (int i = 0; i < r->nin + r->nout; i++) {
    gs_slot slot = gs_slot_at(n, r, i);
    if (!slot.value || !slot.value->sharding) continue;
    gs_assignment *one = gs_assignment_new(p->a, r);
    gs_project(p->m, r, slot.map, slot.value->sharding, one);
    for (int f = 0; f < r->nfactor; f++) {
      if (!gs_factor_unfolds(r->factor[f].kind) || as->axis[f].n) continue;
      as->axis[f] = one->axis[f];
      if (as->axis[f].n && !*first) *first = &as->axis[f];
    }
  }
  for (int i = 0; i < r->nin + r->nout; i++) {
    gs_slot slot = gs_slot_at(n, r, i);
    if (slot.value && slot.value->sharding) find_minor(r, &slot, as);
  }
  for (int f = 0; f < r->nfactor; f++)
    if (r->factor[f].kind == GS_FLAT && as->axis[f].n && !*first)
      *first = &as->axis[f];
}

/* The dims of operand 0 with such factors, and over how many devices each is
 * split; their number. */
static int unfolded_dims(const gs_partitioner *p, const gs_rule *r,
                         const gs_assignment *as, int64_t *dims,
                         int64_t *parts) {
  int n = 0;
  for (int d = 0; r->nin && d < r->in[0].rank; d++)
    for (int k = 0; k < r->in[0].dim[d].n; k++) {
      int f = r->in[0].dim[d].f[k];
      if (!gs_factor_unfolds(r->factor[f].kind)) continue;
      parts[n] = gs_axes_size(p->m, &as->axis[f]);
      dims[n++] = d;
      break;
    }
  return n;
}

/* ---- its graph ---- */

/* What stands for operand v, or one that it has already. */
static gs_value *stand_in(gs_graph *g, const gs_node *n, int i,
                          gs_value *const *in) {
  const gs_value *v = n->in[i];
  for (int k = 0; k < i; k++)
    if (n->in[k] == v) return in[k];
  if (v->constant) return gs_value_constant(g, v->name, v->constant);
  gs_value *x = gs_value_new(g, v->name, v->dtype, v->rank, v->dims);
  x->is_input = true;
  *gs_push(g->arena, &g->input) = x;
  return x;
}

static void add_ends(gs_split_form *s, const gs_node *n, gs_node *c) {
  gs_graph *g = s->g;
  s->in = GS_NEWS(g->arena, n->nin + 1, gs_value *);
  s->out = GS_NEWS(g->arena, n->nout + 1, gs_value *);
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) c->in[i] = s->in[i] = stand_in(g, n, i, s->in);
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v) continue;
    s->out[i] = gs_value_new(g, v->name, v->dtype, v->rank, v->dims);
    s->out[i]->is_output = true;
    *gs_push(g->arena, &g->output) = s->out[i];
    gs_node_output(c, i, s->out[i]);
  }
}

/* The text must make what the node makes. */
static gs_status check_results(const gs_partitioner *p, const gs_split_form *s,
                               const gs_node *n) {
  for (int i = 0; i < n->nout; i++) {
    const gs_value *want = n->out[i], *got = s->out[i];
    if (!want || (got->dtype == want->dtype && got->rank == want->rank &&
                  gs_same_dims(got->dims, want->dims, got->rank)))
      continue;
    return gs_fail(p->e, GS_INTERNAL, gs_node_place(p->a, n),
                   "its split form gives %s for result '%s', not %s",
                   gs_shape_text(p->a, got->dtype, got->rank, got->dims),
                   want->name,
                   gs_shape_text(p->a, want->dtype, want->rank, want->dims));
  }
  return GS_OK;
}

static bool is_flat(const gs_rule *r) {
  for (int f = 0; f < r->nfactor; f++)
    if (r->factor[f].kind == GS_FLAT) return true;
  return false;
}

/* The kind of the factors that are split; of several the last in the order of
 * gs_factor_kind. */
static gs_factor_kind split_kind(const gs_rule *r, const gs_assignment *as) {
  gs_factor_kind kind = GS_PASS;
  for (int f = 0; f < r->nfactor; f++)
    if (as->axis[f].n && r->factor[f].kind > kind) kind = r->factor[f].kind;
  return kind;
}

/* What the lines ask for by $blocks, $dims, $parts, $kind and $flat. */
static void tell(const gs_partitioner *p, gs_graph *g, gs_node *c,
                 const gs_rule *r, const gs_assignment *as, int64_t blocks) {
  int64_t dims[GS_MAX_RANK], parts[GS_MAX_RANK], merged[2 * GS_MAX_RANK];
  int count = unfolded_dims(p, r, as, dims, parts);
  if (is_flat(r)) {
    const gs_value *x = c->in[0], *y = c->out[0];
    int rank = gs_shape_merged(x->dims, x->rank, y->dims, y->rank, merged);
    gs_node_set_ints(g, c, "flat", merged, rank);
  }
  gs_node_set_int(g, c, "blocks", blocks);
  gs_node_set_string(g, c, "kind", gs_factor_text(split_kind(r, as)));
  gs_node_set_ints(g, c, "dims", dims, count);
  gs_node_set_ints(g, c, "parts", parts, count);
}

/* The sharding of x, which is n's operand i, as y, a view of it: the axes of a
 * dim go to the dim that is as long as their factor, with as much inside. */
static gs_sharding *seen_as(const gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, int i, const gs_value *y) {
  const gs_value *x = n->in[i];
  gs_sharding *s = gs_sharding_new(p->a, y->rank, false);
  for (int d = 0; d < x->rank && x->sharding; d++) {
    const gs_dim_map *map = &r->in[i].dim[d];
    int64_t inner = gs_product(x->dims + d + 1, x->rank - d - 1), size;
    if (map->n != 1) continue;
    size = r->factor[map->f[0]].size;
    for (int e = 0; e < y->rank; e++)
      if (y->dims[e] == size && size > 1 &&
          gs_product(y->dims + e + 1, y->rank - e - 1) == inner)
        s->dim[e].axes = x->sharding->dim[d].axes;
  }
  return s;
}

/* Constants that are seen in another shape are constants of that shape: then
 * their blocks are read in the place of the whole. */
static void see_constants(const gs_partitioner *p, const gs_node *node,
                          const gs_rule *r, const gs_split_form *s) {
  gs_graph *g = s->g;
  for (int k = 0; k < g->node.n; k++) {
    const gs_node *n = g->node.at[k];
    gs_value *y = n->nout == 1 ? n->out[0] : NULL;
    if (!y || y->is_output || gs_node_dynamic(n) || !n->op ||
        !(n->op->flags & GS_OP_VIEW) || !n->in[0] || !n->in[0]->constant ||
        n->in[0]->constant->whole)
      continue;
    gs_tensor *t = gs_memdup(g->arena, n->in[0]->constant, sizeof *t);
    if (!t->part_of || !*t->part_of) t->part_of = n->in[0]->name;
    t->name = y->name;
    t->rank = y->rank;
    t->dims = gs_memdup(g->arena, y->dims, (size_t)y->rank * sizeof *y->dims);
    y->constant = t;
    y->def = NULL;
    for (int i = 0; i < r->nin && i < node->nin; i++)
      if (s->in[i] && s->in[i] == n->in[0] && !y->sharding)
        y->sharding = seen_as(p, node, r, i, y);
  }
  gs_graph_prune(g);
}

/* By f, or the node itself.  *made: false where the text makes no such results,
 * or takes no such operands. */
static gs_status expand(gs_partitioner *p, const gs_node *n,
                        const gs_function *f, const gs_rule *r,
                        const gs_assignment *as, int64_t blocks,
                        gs_split_form *s, bool *made) {
  gs_graph *g = s->g = gs_graph_new(p->a, n->name);
  gs_node *c = gs_node_like(g, n, n->name);
  gs_node_set_all(g, c, n);
  add_ends(s, n, c);
  if (f) tell(p, g, c, r, as, blocks);
  gs_status status = GS_OK;
  gs_err why;
  gs_err_init(&why);
  if (f) g->node.n = 0; /* its lines take its place */
  if (f) status = gs_expand_by(p->expander, g, c, f, &why);
  *made = status != GS_UNSUPPORTED;
  if (status && *made) gs_err_move(p->e, &why);
  gs_err_free(&why);
  if (status) return *made ? status : GS_OK;
  GS_TRY(gs_pass_infer(p->a, g, NULL, p->e));
  see_constants(p, n, r, s);
  return check_results(p, s, n);
}

/* ---- its shardings ---- */

/* Gives the results of n what its operands suggest; reduced[value] are the axes
 * of what is summed to make it. */
static gs_status project_forward(gs_partitioner *p, const gs_node *n,
                                 gs_subset *reduced, gs_arena *tmp) {
  gs_rule *r = GS_NEW(tmp, gs_rule);
  gs_assignment *as = GS_NEW(tmp, gs_assignment);
  gs_subset used = 0, over = 0;
  GS_TRY(gs_rule_of(tmp, n, r, p->e));
  for (int i = 0; i < r->nin; i++) {
    if (!gs_node_in(n, i)) continue;
    gs_assignment *of = gs_assignment_new(tmp, r);
    gs_project(p->m, r, &r->in[i], n->in[i]->sharding, of);
    for (int f = 0; f < r->nfactor; f++)
      gs_assignment_grant(p->m, r, as, f, &of->axis[f], &used);
    over |= reduced[n->in[i]->id];
  }
  gs_assignment_legalise(p->m, r, as);
  over |= gs_assignment_partial(r, as);
  for (int i = 0; i < r->nout; i++)
    if (gs_node_out(n, i)) reduced[n->out[i]->id] = over;
  for (int i = 0; i < r->nout; i++)
    if (gs_node_out(n, i) && !n->out[i]->sharding)
      n->out[i]->sharding = gs_unproject(p->a, &r->out[i], as);
  return GS_OK;
}

/* Adds to v, which the form makes, axes of `from` that are in `some`, on dims
 * that have none. */
static void add_axes(gs_partitioner *p, gs_value *v, const gs_sharding *from,
                     gs_subset some) {
  gs_sharding *s = gs_sharding_copy(p->a, v->sharding);
  for (int d = 0; d < v->rank; d++) {
    const gs_axes *axes = &from->dim[d].axes;
    gs_subset used = gs_mesh_barred(p->m, gs_sharding_used(s)) | ~some;
    if (s->dim[d].axes.n || gs_axes_set(axes) & used) continue;
    s->dim[d].axes = *axes;
  }
  v->sharding = s;
}

/* Gives operands of n that the form makes what the results are split over,
 * where they are reduced over these axes on the way: that can be scattered. */
static gs_status project_back(gs_partitioner *p, const gs_split_form *s,
                              const gs_node *n, const gs_subset *reduced,
                              gs_arena *tmp) {
  gs_rule *r = GS_NEW(tmp, gs_rule);
  gs_assignment *as = GS_NEW(tmp, gs_assignment);
  GS_TRY(gs_rule_of(tmp, n, r, p->e));
  for (int o = 0; o < r->nout; o++) {
    if (!gs_node_out(n, o)) continue;
    gs_project(p->m, r, &r->out[o], n->out[o]->sharding, as);
    gs_assignment_legalise(p->m, r, as);
    for (int i = 0; i < r->nin; i++) {
      gs_value *v = gs_node_in(n, i);
      if (v && reduced[v->id] && !s->same[v->id])
        add_axes(p, v, gs_unproject(tmp, &r->in[i], as), reduced[v->id]);
    }
  }
  return GS_OK;
}

/* Dims of v, of a shape that merges that of `from`, which nothing splits get
 * axes of `from`: of a dim that is a part of it. */
static void take_axes(const gs_partitioner *p, gs_value *v,
                      const gs_value *from) {
  gs_sharding *s = gs_sharding_copy(p->a, v->sharding);
  int64_t left = 1;
  for (int d = 0, k = -1; d < from->rank; d++) {
    if (from->dims[d] == 1) continue;
    if (left == 1) left = v->dims[++k];
    gs_assert(k < v->rank && left % from->dims[d] == 0);
    left /= from->dims[d];
    const gs_axes *axes = &from->sharding->dim[d].axes;
    if (s->dim[k].axes.n || gs_axes_size(p->m, axes) > v->dims[k] ||
        (gs_axes_set(axes) & gs_mesh_barred(p->m, gs_sharding_used(s))))
      continue;
    s->dim[k].axes = *axes;
  }
  v->sharding = s;
}

/* What lies between the two shapes of a flat form is split in any case. */
static void shard_flat(const gs_partitioner *p, const gs_split_form *s) {
  for (int i = 0; i < s->g->value.n; i++) {
    gs_value *v = s->g->value.at[i];
    if (!v->def || s->same[i]) continue;
    take_axes(p, v, s->in[0]);
    take_axes(p, v, s->out[0]);
  }
}

/* Values of the model keep their sharding there; constants are whole, but for
 * views of the model's. */
static gs_status shard(gs_partitioner *p, gs_split_form *s) {
  gs_graph *g = s->g;
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    if (s->same[i]) v->sharding = s->same[i]->sharding;
    if (!v->sharding && !v->def)
      v->sharding = gs_sharding_new(p->a, v->rank, false);
  }
  gs_status status = GS_OK;
  gs_subset *reduced = GS_NEWS(p->a, g->value.n + 1, gs_subset);
  gs_arena tmp;
  gs_arena_init(&tmp);
  for (int i = 0; i < g->node.n && !status; i++) {
    status = project_forward(p, g->node.at[i], reduced, &tmp);
    gs_arena_reset(&tmp);
  }
  for (int i = g->node.n - 1; i >= 0 && !status; i--) {
    status = project_back(p, s, g->node.at[i], reduced, &tmp);
    gs_arena_reset(&tmp);
  }
  gs_arena_free(&tmp);
  if (!status && s->flat) shard_flat(p, s);
  return status;
}

static bool is_kept(const gs_graph *g, const gs_value *v) {
  return v->id < g->value.n && g->value.at[v->id] == v;
}

/* Which of the form's values are operands and results of the node, and which
 * operands have a producer: those are not read from outside. */
static void relate(gs_partitioner *p, const gs_node *n, gs_split_form *s) {
  gs_node *elsewhere = GS_NEW(p->a, gs_node);
  s->same = GS_NEWS(p->a, s->g->value.n + 1, const gs_value *);
  for (int i = 0; i < n->nin; i++) {
    if (s->in[i] && !is_kept(s->g, s->in[i])) s->in[i] = NULL;
    if (!s->in[i]) continue;
    s->same[s->in[i]->id] = n->in[i];
    if (n->in[i]->def) s->in[i]->def = elsewhere;
  }
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) s->same[s->out[i]->id] = n->out[i];
}

/* Whether both have the same operands. */
static bool given_alike(const gs_node *a, const gs_node *b) {
  for (int i = 0; i < a->nin || i < b->nin; i++)
    if (!gs_node_in(a, i) != !gs_node_in(b, i)) return false;
  return true;
}

/* Whether n is a node of its operator's own form: of what blocks give.  One of
 * other operands (what was packed, apart) has a form of its own. */
static bool is_own(const gs_partitioner *p, const gs_node *n) {
  for (const gs_split_form *s = p->form; s; s = s->outer)
    if (s->node->op == n->op && given_alike(s->node, n)) return true;
  return false;
}

static gs_status make_form(gs_partitioner *p, const gs_node *n,
                           const gs_function *f, const gs_rule *r,
                           const gs_assignment *as, int64_t blocks,
                           gs_split_form **form) {
  bool made;
  gs_split_form *s = GS_NEW(p->a, gs_split_form);
  s->node = n;
  s->outer = p->form;
  s->depth = p->form ? p->form->depth + 1 : 0;
  s->flat = is_flat(r);
  GS_TRY(expand(p, n, f, r, as, blocks, s, &made));
  if (!made) return GS_OK;
  relate(p, n, s);
  *form = s;
  return shard(p, s);
}

gs_status gs_partitioner_split(gs_partitioner *p, const gs_node *n,
                               const gs_rule *r, gs_split_form **form) {
  const gs_functions *all;
  *form = NULL;
  if (is_own(p, n)) return GS_OK;
  if (!n->op || gs_node_dynamic(n) || gs_node_has_region(n)) return GS_OK;
  int depth = p->form ? p->form->depth + 1 : 0;
  if (!unfolds(r) || depth > MAX_DEPTH) return GS_OK;
  const gs_axes *axes;
  gs_assignment *as = GS_NEW(p->a, gs_assignment);
  find_axes(p, n, r, as, &axes);
  if (!axes) return GS_OK;
  GS_TRY(gs_expander_functions(p->expander, p->memo->arena, &all, p->e));
  const gs_function *f = gs_form_find(all, GS_FN_SPLIT, n->domain, n->op_type);
  if (!f) return GS_OK;
  return make_form(p, n, f, r, as, gs_axes_size(p->m, axes), form);
}

/* ---- its partitioner ---- */

/* Forms as they are now, so that a trial adds nothing to the real ones. */
static gs_held_form *copy_held(gs_arena *a, const gs_held_form *x) {
  gs_held_form *first = NULL, **to = &first;
  for (; x; x = x->next, to = &(*to)->next)
    *to = gs_memdup(a, x, sizeof *x);
  return first;
}

/* Uses of the form's values, with those outside of it. */
static void count_uses(const gs_partitioner *p, gs_partitioner *q) {
  const gs_split_form *s = q->form;
  for (int i = 0; i < s->g->node.n; i++) {
    const gs_node *n = s->g->node.at[i];
    for (int k = 0; k < n->nin; k++) {
      if (!n->in[k]) continue;
      q->nuse[n->in[k]->id]++;
      q->reader[n->in[k]->id] = n;
    }
  }
  for (int i = 0; i < s->node->nin; i++) /* each time that the node reads it */
    if (s->in[i]) q->nuse[s->in[i]->id]--;
  for (int i = 0; i < s->g->value.n; i++)
    if (s->same[i] && !s->g->value.at[i]->is_output)
      q->nuse[i] += p->nuse[s->same[i]->id];
  for (int i = 0; i < s->node->nout; i++) {
    if (!s->node->out[i]) continue;
    q->nuse[s->out[i]->id] += p->nuse[s->node->out[i]->id];
    q->reader[s->out[i]->id] = p->reader[s->node->out[i]->id];
  }
}

gs_partitioner gs_partitioner_within(gs_partitioner *p,
                                     const gs_split_form *form,
                                     gs_partition *trial, gs_arena *a) {
  gs_partitioner q = *p;
  int n = form->g->value.n;
  q.a = a;
  q.g = form->g;
  q.form = form;
  q.link = NULL;
  if (trial) {
    q.trial = true;
    q.out = trial;
    q.program = trial->program = gs_graph_new(a, form->g->name);
    q.program->mesh = p->m;
  }
  q.assigned = GS_NEWS(a, n + 1, gs_sharding *);
  q.held = GS_NEWS(a, n + 1, gs_held_form *);
  q.nuse = GS_NEWS(a, n + 1, int);
  q.reader = GS_NEWS(a, n + 1, const gs_node *);
  q.rule = GS_NEWS(a, form->g->node.n + 1, const gs_rule *);
  q.sums = GS_NEWS(a, form->g->node.n + 1, gs_subset *);
  q.plan = GS_NEWS(a, form->g->node.n + 1, const gs_planned *);
  count_uses(p, &q);
  for (int i = 0; i < form->node->nin; i++) {
    if (!form->in[i]) continue;
    gs_held_form *x = p->held[form->node->in[i]->id];
    q.held[form->in[i]->id] = trial ? copy_held(a, x) : x;
  }
  return q;
}

gs_status gs_partitioner_try(gs_partitioner *p, const gs_split_form *form,
                             gs_arena *tmp, gs_partitioner *q) {
  gs_partition *trial = GS_NEW(tmp, gs_partition);
  *q = gs_partitioner_within(p, form, trial, tmp);
  return p->nodes(q);
}

double gs_partitioner_tried(gs_partitioner *q, int but) {
  double t = q->out->seconds;
  for (int i = 0; i < q->form->node->nout; i++) {
    const gs_value *v = q->form->out[i];
    if (i == but || !v || gs_value_dynamic(v) || !q->nuse[v->id]) continue;
    gs_form assigned = gs_form_of(gs_partitioner_assigned(q, v));
    t += gs_partitioner_price(q, v, &assigned, NULL);
  }
  return t;
}

static double sent(const gs_partition *trial) {
  double bytes = 0;
  for (int i = 0; i < trial->collective.n; i++)
    bytes += trial->collective.at[i].bytes;
  return bytes;
}

gs_status gs_partitioner_better(gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, gs_partitioner *q,
                                double seconds, gs_arena *tmp, bool *better) {
  double t = gs_partitioner_tried(q, -1);
  gs_split_form *alone;
  gs_partitioner direct;
  *better = t < seconds;
  if (*better || t > seconds * (1 + GS_CLOSE)) return GS_OK;
  GS_TRY(make_form(p, n, NULL, r, NULL, 1, &alone));
  GS_TRY(gs_partitioner_try(p, alone, tmp, &direct));
  *better = sent(q->out) < sent(direct.out);
  return GS_OK;
}

void gs_partitioner_return(gs_partitioner *p, const gs_partitioner *q) {
  const gs_split_form *s = q->form;
  gs_assert(q->program == p->program && q->out == p->out);
  for (int i = 0; i < s->node->nin; i++)
    if (s->in[i]) p->held[s->node->in[i]->id] = q->held[s->in[i]->id];
  for (int i = 0; i < s->node->nout; i++)
    if (s->node->out[i])
      p->held[s->node->out[i]->id] = q->held[s->out[i]->id];
}
