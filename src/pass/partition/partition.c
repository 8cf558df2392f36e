#include "pass/partition/partition.h"

#include <math.h>
#include <string.h>

#include "base/math.h"
#include "op/core/exchange_node.h"
#include "pass/partition/partition_impl.h"

static gs_value *operand(gs_partitioner *p, const gs_node *n, int i,
                         const gs_node_choice *c) {
  const gs_value *v = n->in[i];
  const gs_held_form *x = gs_partitioner_need(p, v, &c->in[i]);
  bool adds = gs_node_additive(n) && gs_node_linear(n, i);
  if (adds && c->deferred && !c->in[i].sharding->partial)
    return gs_partitioner_spread(p, v, x, c->deferred);
  return x->local;
}

static gs_local make_local(gs_partitioner *p, const gs_node *n,
                           const gs_rule *r, gs_arena *tmp,
                           const gs_node_choice *c) {
  gs_local l = {.node = n,
                .rule = r,
                .factor = c->as->axis,
                .partial = gs_assignment_partial(r, c->as) | c->deferred,
                .program = p->program,
                .mesh = p->m,
                .nstage = 1,
                .stage = {{.reduce = gs_assignment_reduce(r, c->as)}}};
  l.in = GS_NEWS(tmp, n->nin + 1, gs_value *);
  l.out = GS_NEWS(tmp, n->nout + 1, gs_value *);
  l.out_dims = GS_NEWS(tmp, n->nout + 1, int64_t *);
  l.out_sharding = GS_NEWS(tmp, n->nout + 1, gs_sharding *);
  l.held = c->in;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) l.in[i] = operand(p, n, i, c);
  for (int i = 0; i < n->nout; i++) {
    if (!n->out[i]) continue;
    l.out_dims[i] = GS_NEWS(tmp, gs_max(n->out[i]->rank, 0) + 1, int64_t);
    l.out_sharding[i] = gs_sharding_copy(p->a, c->out[i].sharding);
    gs_form_local(p->m, &c->out[i], n->out[i]->dims, l.out_dims[i]);
  }
  return l;
}

static gs_status check_local(gs_partitioner *p, const gs_node *n,
                             const gs_local *l) {
  for (int i = 0; i < n->nout; i++) {
    const gs_value *want = n->out[i], *got = l->out[i];
    if (!want) continue;
    bool fits = got && got->rank == want->rank &&
                (got->dtype == want->dtype || l->stage[0].finish);
    for (int d = 0; fits && d < got->rank; d++)
      fits = got->dims[d] == l->out_dims[i][d];
    if (!fits)
      return gs_fail(p->e, GS_INTERNAL, gs_node_place(p->a, n),
                     "its local form gives %s for result '%s', not %s",
                     got ? gs_shape_text(p->a, got->dtype, got->rank,
                                         got->dims)
                         : "nothing",
                     want->name,
                     gs_shape_text(p->a, want->dtype, want->rank,
                                   l->out_dims[i]));
  }
  return GS_OK;
}

/* Registers result i; a partial one that needs more work is reduced first,
 * stage by stage. */
static void add_result(gs_partitioner *p, const gs_value *v, int i, gs_local *l,
                       const gs_form *made) {
  gs_value *at = l->out[i];
  gs_sharding *s = gs_sharding_copy(p->a, made->sharding);
  bool read = p->nuse[v->id] > 0;
  for (int k = 0;; k++) {
    const gs_local_stage *stage = &l->stage[gs_min(k, l->nstage - 1)];
    s->reduce = stage->reduce;
    gs_form form = *made;
    form.sharding = s;
    gs_held_form *x = gs_partitioner_add(p, v, &form, at);
    if (k == l->nstage || !stage->finish || !s->partial || !read) return;
    gs_sharding *whole = gs_sharding_copy(p->a, s);
    whole->partial = 0;
    form.sharding = whole;
    gs_held_form *reduced = gs_partitioner_move(p, v, x, &form);
    p->held[v->id] = NULL; /* unfinished forms are of no use to others */
    at = stage->finish(l, i, reduced->local);
    s = k + 1 < l->nstage ? gs_sharding_copy(p->a, s) : whole;
  }
}

static void add_results(gs_partitioner *p, const gs_node *n, gs_local *l,
                        const gs_node_choice *c) {
  gs_value *kept = l->kept;
  for (int i = 0; i < n->nout; i++) {
    if (!n->out[i]) continue;
    l->kept = kept;
    add_result(p, n->out[i], i, l, &c->out[i]);
  }
}

/* The forms at hand of its operands. */
static gs_held_form **held_of(const gs_partitioner *p, const gs_node *n,
                              gs_arena *tmp) {
  gs_held_form **held = GS_NEWS(tmp, n->nin + 1, gs_held_form *);
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) held[i] = p->held[n->in[i]->id];
  return held;
}

/* Records what n gathers while it runs; its seconds are those of its work. */
static void record_gathered(gs_partitioner *p, const gs_node *n,
                            const gs_local *l, const gs_node_choice *c) {
  gs_gathered g = gs_partitioner_gathered(p, n, c);
  int i = 0;
  while (g.bytes > 0 && i < n->nout && !n->out[i]) i++;
  if (g.bytes <= 0 || i == n->nout) return;
  *gs_push(p->a, &p->out->collective) =
      (gs_collective){.op = n->op->name,
                      .axes = g.axes,
                      .value = gs_partitioner_told(p, n->out[i]),
                      .node = p->node,
                      .result = l->out[i]->name,
                      .from = gs_form_text(p->a, p->m, &c->out[i]),
                      .to = gs_sprintf(p->a, "whole, %lld times %s",
                                       (long long)g.what.times,
                                       gs_shape_text(p->a, g.what.type, 1,
                                                     &g.what.count)),
                      .bytes = g.bytes,
                      .seconds = g.seconds};
}

/* Whether n makes something of constants alone, once for all runs (see
 * runs_once of exec/compile/program.c). */
static bool runs_once(const gs_node *n, int depth) {
  size_t in = 0, out = 0;
  if (!n->op || n->op->flags & GS_OP_RANDOM || gs_node_dynamic(n)) return false;
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    if (!v) continue;
    bool made = v->def && depth && runs_once(v->def, depth - 1);
    if (!v->constant && !made) return false;
    in += gs_value_bytes(v);
  }
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) out += gs_value_bytes(n->out[i]);
  return in > 0 && out / 2 <= in;
}

/* n computed as c says. */
static gs_status compute(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                         gs_arena *tmp, const gs_node_choice *c) {
  int before = p->out->collective.n;
  gs_held_form **held = held_of(p, n, tmp);
  gs_local l = make_local(p, n, r, tmp, c);
  gs_partitioner_note(p, n, r, c, before, held, tmp);
  int first = p->program->node.n;
  bool dynamic = gs_node_dynamic(n) || gs_node_has_region(n);
  if (c->copies) GS_TRY(gs_partitioner_copy(p, &l, c));
  else if (n->op && n->op->local && !dynamic) GS_TRY(n->op->local(&l, p->e));
  else gs_local_same(&l);
  for (int i = first; i < p->program->node.n; i++) {
    gs_node *made = p->program->node.at[i];
    made->origin = n->origin;
    made->stage = n->stage;
  }
  GS_TRY(check_local(p, n, &l));
  add_results(p, n, &l, c);
  record_gathered(p, n, &l, c);
  if (dynamic) return GS_OK; /* the work is not known */
  int64_t size[GS_MAX_FACTORS];
  for (int f = 0; f < r->nfactor; f++)
    size[f] = gs_partitioner_share(p, r, c, f);
  if (n->op) p->out->flops += gs_op_flops(n->op, r, size);
  enum { STEPS = 2 }; /* a stack of what is seen in another shape */
  if (!runs_once(n, STEPS)) p->out->seconds += c->compute;
  return GS_OK;
}

/* n in its split form, if that is planned, or it has one that takes less than
 * `seconds`. */
static gs_status unfold(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                        double seconds, bool *done) {
  const gs_planned *plan = p->plan[n->id];
  gs_split_form *form;
  *done = false;
  if (p->o->force || (plan && !plan->unfolds)) return GS_OK;
  GS_TRY(gs_partitioner_split(p, n, r, &form));
  if (!form) return GS_OK;
  gs_partitioner q;
  if (!plan) {
    gs_arena tmp;
    gs_arena_init(&tmp);
    gs_status s = gs_partitioner_try(p, form, &tmp, &q);
    bool better = false;
    if (!s) s = gs_partitioner_better(p, n, r, &q, seconds, &tmp, &better);
    gs_arena_free(&tmp);
    if (s || !better) return s;
  }
  *done = true;
  q = gs_partitioner_within(p, form, NULL, p->a);
  GS_TRY(p->nodes(&q));
  gs_partitioner_return(p, &q);
  return GS_OK;
}

static gs_status partition_node(gs_partitioner *p, const gs_node *n,
                                gs_arena *tmp) {
  const gs_rule *r;
  gs_node_choice *c = GS_NEW(tmp, gs_node_choice);
  bool done;
  GS_TRY(gs_partitioner_rule(p, n, tmp, &r, p->e));
  p->node = gs_partitioner_told_node(p, n);
  GS_TRY(gs_partitioner_look_ahead(p, n, r, tmp));
  const gs_planned *plan = p->plan[n->id];
  if (!plan || !plan->unfolds)
    GS_TRY(gs_partitioner_choose(p, n, r, tmp, c));
  GS_TRY(unfold(p, n, r, c->seconds, &done));
  return done ? GS_OK : compute(p, n, r, tmp, c);
}

static gs_status partition_nodes(gs_partitioner *p) {
  gs_status status = GS_OK;
  gs_arena tmp;
  gs_arena_init(&tmp);
  for (int i = 0; i < p->g->node.n && !status; i++) {
    status = partition_node(p, p->g->node.at[i], &tmp);
    gs_arena_reset(&tmp);
  }
  gs_arena_free(&tmp);
  return status;
}

static void add_inputs(gs_partitioner *p) {
  for (int i = 0; i < p->g->input.n; i++) {
    const gs_value *v = p->g->input.at[i];
    gs_value *x = gs_value_new(p->program, v->name, v->dtype, v->rank, v->dims);
    x->kind = v->kind;
    x->is_input = true;
    *gs_push(p->a, &p->program->input) = x;
    gs_form whole = gs_form_zeros(gs_sharding_new(p->a, v->rank, false));
    gs_partitioner_add(p, v, &whole, x);
  }
}

/* Output v, whose name y has kept; an input that is an output as well is that
 * input, whole. */
static void add_output(gs_partitioner *p, const gs_value *v, gs_value *y) {
  int before = p->out->collective.n;
  p->node = NULL;
  if (v->is_input) {
    gs_value *x = gs_graph_find(p->program, v->name);
    x->is_output = true;
    *gs_push(p->a, &p->program->output) = x;
    return;
  }
  const gs_form want = gs_form_of(gs_partitioner_assigned(p, v));
  const gs_held_form *x = gs_partitioner_need(p, v, &want);
  gs_partitioner_note_output(p, v, before);
  bool dynamic = gs_value_dynamic(v); /* every device holds it whole */
  const char *domain = dynamic ? "" : "ai.gshard";
  const char *op = dynamic ? "Identity" : gs_moves[GS_MOVE_UNSHARD].name;
  gs_node *n = gs_node_new(p->program, domain, op, "", 1, 1);
  n->op = gs_op_find(domain, op);
  n->opset = gs_domain_find(domain)->newest;
  n->origin = gs_strdup(p->program->arena, v->name);
  n->in[0] = x->local;
  if (!dynamic) {
    gs_node_set_sharding(p->program, n, "split", want.sharding);
    gs_node_set_ints(p->program, n, "dims", v->dims, v->rank);
  }
  gs_node_output(n, 0, y);
  y->is_output = true;
  *gs_push(p->a, &p->program->output) = y;
}

static void count_uses(gs_partitioner *p) {
  for (int i = 0; i < p->g->node.n; i++) {
    const gs_node *n = p->g->node.at[i];
    for (int k = 0; k < n->nin; k++) {
      if (!n->in[k]) continue;
      p->nuse[n->in[k]->id]++;
      p->reader[n->in[k]->id] = n;
    }
  }
  for (int i = 0; i < p->g->output.n; i++) p->nuse[p->g->output.at[i]->id]++;
}

/* Moves whose results were pruned, for nothing reads them, cost nothing. */
static void drop_pruned(gs_partitioner *p) {
  int kept = 0;
  for (int i = 0; i < p->out->collective.n; i++) {
    const gs_collective *c = &p->out->collective.at[i];
    if (gs_graph_find(p->program, c->result))
      p->out->collective.at[kept++] = *c;
    else p->out->seconds -= c->seconds;
  }
  p->out->collective.n = kept;
}

/* Whether n makes of constants what a device holds of them: a block, or the
 * places of a window or a stack. */
static bool takes_part(const gs_node *n) {
  return n->op && (n->op->flags & GS_OP_ENTRY || gs_exchange_is_local(n));
}

/* Whether n shows a constant in another shape: what reads that reads it. */
static bool shows_constant(const gs_node *n) {
  return n && n->op && n->op->flags & GS_OP_VIEW && n->nin && n->in[0] &&
         n->in[0]->constant && !n->out[0]->is_output;
}

/* Bytes of constants and their blocks on one device: each once, however many
 * nodes read it. */
static double weight_bytes(const gs_partitioner *p) {
  double bytes = 0;
  gs_arena tmp;
  gs_arena_init(&tmp);
  bool *counted = GS_NEWS(&tmp, p->program->value.n + 1, bool);
  for (int i = 0; i < p->program->node.n; i++) {
    const gs_node *n = p->program->node.at[i];
    for (int k = 0; k < n->nin; k++) {
      const gs_value *v = n->in[k];
      if (v && shows_constant(v->def)) v = v->def->in[0];
      else if (k == 0 && shows_constant(n)) continue;
      if (!v || !v->constant) continue;
      const gs_value *held = takes_part(n) ? n->out[0] : v;
      if (gs_value_dynamic(held) || counted[held->id]) continue;
      counted[held->id] = true;
      int64_t count = gs_product(held->dims, held->rank);
      bytes += (double)gs_dtype_bytes(held->dtype, count);
    }
  }
  gs_arena_free(&tmp);
  return bytes;
}

/* Constants that are split, but read whole by a node of the program. */
static void find_whole(gs_partitioner *p) {
  const gs_graph *g = p->program;
  gs_arena tmp;
  gs_arena_init(&tmp);
  bool *read = GS_NEWS(&tmp, g->value.n + 1, bool);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nin && !takes_part(n); k++)
      if (n->in[k]) read[n->in[k]->id] = true;
  }
  p->out->whole = GS_NEWS(p->a, p->g->value.n + 1, bool);
  for (int i = 0; i < p->g->value.n; i++) {
    const gs_value *v = p->g->value.at[i];
    if (!v->constant || gs_sharding_is_replicated(v->sharding)) continue;
    for (const gs_held_form *x = p->held[v->id]; x; x = x->next) {
      int id = x->local->id; /* that of another value if it was pruned */
      if (!x->local->def && id < g->value.n && g->value.at[id] == x->local &&
          read[id])
        p->out->whole[v->id] = true;
    }
  }
  gs_arena_free(&tmp);
}

/* Whether v is, or is a block of, a constant or an input: counted elsewhere. */
static bool is_given(const gs_value *v) {
  const gs_node *n = v->def;
  if (n && n->op && (n->op->flags & GS_OP_ENTRY)) v = n->in[0];
  return v->constant || v->is_input;
}

static double value_bytes(const gs_value *v) {
  int64_t n = gs_product(v->dims, v->rank);
  return gs_value_dynamic(v) || is_given(v) || v->is_output
             ? 0
             : (double)gs_dtype_bytes(v->dtype, n);
}

/* The value whose memory v is seen in: itself, unless it is a view. */
static const gs_value *memory_of(const gs_value *v) {
  while (v->def && v->def->op && (v->def->op->flags & GS_OP_VIEW) &&
         v == v->def->out[0])
    v = v->def->in[0];
  return v;
}

/* Most bytes alive at once when nodes run in order. */
static double peak_bytes(const gs_partitioner *p) {
  const gs_graph *g = p->program;
  gs_arena tmp;
  gs_arena_init(&tmp);
  int *last = GS_NEWS(&tmp, g->value.n + 1, int);
  for (int i = 0; i < g->node.n; i++)
    for (int k = 0; k < g->node.at[i]->nin; k++)
      if (g->node.at[i]->in[k]) last[memory_of(g->node.at[i]->in[k])->id] = i;
  double now = 0, max = 0;
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nout; k++)
      if (n->out[k] && memory_of(n->out[k]) == n->out[k])
        now += value_bytes(n->out[k]);
    if (now > max) max = now;
    for (int k = 0; k < n->nin; k++) {
      const gs_value *v = n->in[k] ? memory_of(n->in[k]) : NULL;
      if (!v || !v->def || last[v->id] != i) continue;
      now -= value_bytes(v);
      last[v->id] = -1; /* an operand given twice dies once */
    }
  }
  gs_arena_free(&tmp);
  return max;
}

void gs_partition_memo_init(gs_partition_memo *m, gs_arena *a,
                            const gs_graph *g) {
  *m = (gs_partition_memo){.arena = a, .graph = g};
  m->rule = GS_NEWS(a, g->node.n + 1, const gs_rule *);
  gs_resharder_init(&m->resharder, a, g->mesh);
}

gs_status gs_pass_partition(gs_arena *a, const gs_graph *g, gs_partition *out,
                            gs_err *e) {
  const gs_partition_options none = {0};
  return gs_pass_partition_with(a, g, &none, out, e);
}

gs_status gs_pass_partition_with(gs_arena *a, const gs_graph *g,
                                 const gs_partition_options *o,
                                 gs_partition *out, gs_err *e) {
  *out = (gs_partition){0};
  gs_partition_memo own;
  gs_partitioner p = {.a = a, .g = g, .m = g->mesh, .out = out, .e = e};
  p.memo = o->memo ? o->memo : &own;
  if (!o->memo) gs_partition_memo_init(&own, a, g);
  gs_assert(p.memo->graph == g && p.memo->resharder.mesh == g->mesh);
  p.resharder = &p.memo->resharder;
  p.expander = &p.memo->expander;
  p.o = o;
  p.as_split = o->as_split;
  p.trial = o->trial;
  gs_map chains;
  gs_map_init(&chains, a);
  p.chains = &chains;
  p.nodes = partition_nodes;
  p.plan = GS_NEWS(a, g->node.n + 1, const gs_planned *);
  gs_arena travel;
  gs_arena_init(&travel);
  p.travel = &travel;
  p.program = out->program = gs_graph_new(a, g->name);
  p.program->mesh = g->mesh;
  p.assigned = GS_NEWS(a, g->value.n + 1, gs_sharding *);
  p.held = GS_NEWS(a, g->value.n + 1, gs_held_form *);
  p.nuse = GS_NEWS(a, g->value.n + 1, int);
  p.reader = GS_NEWS(a, g->value.n + 1, const gs_node *);
  p.rule = p.memo->rule;
  p.sums = GS_NEWS(a, g->node.n + 1, gs_subset *);
  count_uses(&p);
  add_inputs(&p);
  gs_value **y = GS_NEWS(a, g->output.n + 1, gs_value *);
  for (int i = 0; i < g->output.n; i++) {
    const gs_value *v = g->output.at[i];
    if (v->is_input) continue;
    y[i] = gs_value_new(p.program, v->name, v->dtype, v->rank, v->dims);
    y[i]->kind = v->kind;
  }
  gs_status status = partition_nodes(&p);
  gs_arena_free(&travel);
  GS_TRY(status);
  for (int i = 0; i < g->output.n; i++) add_output(&p, g->output.at[i], y[i]);
  gs_graph_prune(p.program);
  gs_partitioner_join(&p);
  gs_graph_prune(p.program);
  drop_pruned(&p);
  find_whole(&p);
  out->weight_bytes = weight_bytes(&p);
  out->peak_bytes = peak_bytes(&p);
  return gs_graph_check(p.program, e);
}
