/* Looking ahead along chains: what a node's choice costs depends on what its
 * reader asks for, and that on what comes after. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "op/rule/rule.h"
#include "pass/partition/partition_impl.h"

enum {
  MAX_CHAIN = 64,   /* nodes of a chain; a longer one is several */
  MAX_STATES = 8,   /* forms of a value that are followed */
  MAX_TERMS = 2,    /* of a sum, of which it matters what they will be */
  MAX_READERS = 3   /* nodes behind a chain that are looked at */
};

/* What a plan must save: this part of the time that it takes, or, since what is
 * computed in any case says nothing of plans, that part of what is more than
 * the least that the nodes take themselves. */
#define GAIN (1.0 / 64)
#define GAIN_OF_MORE (1.0 / 8)
/* Where all that could be saved is less than this part of the time, no plan is
 * looked for. */
#define LITTLE (1.0 / 1024)
/* What a plan must save where nothing would be sent, in parts of the time that
 * it takes: who splits tensors so wants them so, and what is sent is surer than
 * what computing will take. */
#define SILENT 0.4

/* Nodes each of which is the only reader of a result of the one before. */
typedef struct chain {
  int n;
  const gs_node *node[MAX_CHAIN];
  const gs_rule *rule[MAX_CHAIN];
  int result[MAX_CHAIN]; /* that the next one reads; -1 of the last */
  gs_split_form *form[MAX_CHAIN]; /* NULL: it has none */
  gs_graph *scratch; /* of the local values that stand for those to be made */
} chain;

/* A form in which a value of the chain may be, at its least price so far. */
typedef struct state {
  gs_held_form held; /* no form: of the last node */
  const gs_assignment *as; /* of the node that makes it so; NULL: it unfolds */
  const int64_t *block;    /* likewise: gs_node_choice.block */
  bool defers, unfolds;
  const struct state *before; /* of the value before; NULL: of the first */
  double seconds;
  double moved; /* of those: what brings operands and results in place */
} state;

typedef GS_VEC(state *) states;

/* ---- chains ---- */

/* An exchange of what an exchange makes becomes one later: copies are not
 * weighed against what follows. */
static bool takes_part(const gs_node *n, const gs_rule *r) {
  return n->op && !gs_node_dynamic(n) && !gs_node_has_region(n) &&
         !gs_partitioner_copies(r);
}

/* The only reader of v, if it can be chosen together with the node that makes
 * v: all else that it reads is there. */
static const gs_node *next_of(const gs_partitioner *p, const gs_value *v) {
  if (!v || v->is_output || gs_value_dynamic(v)) return NULL;
  const gs_node *n = gs_partitioner_reader(p, v);
  for (int i = 0; n && i < n->nin; i++) {
    const gs_value *x = n->in[i];
    if (x && x != v && x->def && !p->held[x->id]) return NULL;
  }
  return n;
}

static gs_status find_chain(const gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, gs_arena *tmp, chain *c) {
  while (n && c->n < MAX_CHAIN) {
    if (!takes_part(n, r)) break;
    int k = c->n++;
    c->node[k] = n;
    c->rule[k] = r;
    const gs_node *next = NULL;
    for (int i = 0; i < n->nout && i < r->nout && !next; i++) {
      next = next_of(p, n->out[i]);
      if (next) c->result[k] = i;
    }
    n = next;
    if (n) GS_TRY(gs_partitioner_rule(p, n, tmp, &r, p->e));
  }
  if (c->n) c->result[c->n - 1] = -1;
  return GS_OK;
}

/* The value that node k makes for the next. */
static const gs_value *link_of(const chain *c, int k) {
  return c->node[k]->out[c->result[k]];
}

/* ---- chains that are alike ---- */

static void add_sharding(gs_buf *b, const gs_sharding *s) {
  gs_buf_add(b, &s->partial, sizeof s->partial);
  if (s->partial) gs_buf_add(b, &s->reduce, sizeof s->reduce);
  for (int d = 0; d < s->rank; d++) {
    const gs_axes *axes = &s->dim[d].axes;
    gs_buf_add(b, &axes->n, sizeof axes->n);
    gs_buf_add(b, axes->at, axes->n);
  }
}

static void add_value(gs_partitioner *p, gs_buf *b, const gs_value *v) {
  int known[] = {v->def != NULL, v->constant != NULL, (int)v->dtype, v->rank,
                 p->nuse[v->id] > 1 ? 2 : p->nuse[v->id]};
  gs_buf_add(b, known, sizeof known);
  if (gs_value_dynamic(v)) return;
  gs_buf_add(b, v->dims, (size_t)v->rank * sizeof *v->dims);
  add_sharding(b, v->sharding);
}

static void add_held(const gs_partitioner *p, gs_buf *b, const gs_value *v) {
  size_t rank = (size_t)(v->rank > 0 ? v->rank : 0);
  for (const gs_held_form *x = p->held[v->id]; x; x = x->next) {
    const gs_form *f = &x->form;
    gs_buf_str(b, x->filled ? "f" : "h");
    add_sharding(b, f->sharding);
    gs_buf_add(b, &f->padding, sizeof f->padding);
    if (f->window) gs_buf_add(b, f->window, rank * sizeof *f->window);
    if (f->need) gs_buf_add(b, f->need, rank * sizeof *f->need);
  }
}

static void add_rule(gs_buf *b, const gs_rule *r) {
  int known[] = {r->nfactor, r->nin, r->nout, r->nuse, r->uneven};
  gs_buf_add(b, known, sizeof known);
  for (int f = 0; f < r->nfactor; f++) {
    const gs_factor *x = &r->factor[f];
    int64_t of[] = {x->size, x->kind, x->reduce, x->blocked};
    gs_buf_add(b, of, sizeof of);
  }
  for (int i = 0; i < r->nin + r->nout; i++) {
    const gs_tensor_map *t = i < r->nin ? &r->in[i] : &r->out[i - r->nin];
    gs_buf_add(b, &t->rank, sizeof t->rank);
    for (int d = 0; d < t->rank; d++) {
      gs_buf_add(b, &t->dim[d].n, sizeof t->dim[d].n);
      gs_buf_add(b, t->dim[d].f, t->dim[d].n);
    }
  }
  for (int k = 0; k < r->nuse; k++) {
    const gs_window_use *u = &r->use[k];
    int of[] = {u->factor, u->in, u->dim, u->out, u->out_dim, (int)u->fill,
                u->fill_in};
    gs_buf_add(b, of, sizeof of);
    gs_buf_add(b, &u->reach, sizeof u->reach);
    gs_buf_add(b, &u->value, sizeof u->value);
  }
}

/* A node, and what it reads but for the value `link`. */
static void add_node(gs_partitioner *p, gs_buf *b, const gs_node *n,
                     const gs_rule *r, const gs_value *link) {
  bool sum = gs_node_additive(n);
  int known[] = {n->op->id, n->nin, n->nout, sum, gs_rule_keeps(n, r)};
  gs_buf_add(b, known, sizeof known);
  add_rule(b, r);
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    gs_buf_str(b, !v ? "-" : v == link ? "l" : "v");
    if (!v) continue;
    gs_buf_char(b, gs_node_linear(n, i) ? '+' : '*');
    add_value(p, b, v);
    if (v == link) continue;
    add_held(p, b, v);
    if (!sum || n->nin > MAX_TERMS) continue;
    gs_subset partial = gs_partitioner_expected(p, v);
    gs_buf_add(b, &partial, sizeof partial);
  }
  for (int i = 0; i < n->nout; i++) {
    gs_buf_str(b, n->out[i] ? "v" : "-");
    if (n->out[i]) add_value(p, b, n->out[i]);
  }
}

/* Whether something that n makes or reads may be partial. */
static bool sums(const gs_partitioner *p, const gs_node *n, const gs_rule *r) {
  for (int f = 0; f < r->nfactor; f++)
    if (r->factor[f].kind == GS_SUMMED) return true;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] && gs_partitioner_partial(p, n->in[i])) return true;
  return false;
}

/* The nodes through which partial results of n may be passed on. */
static void add_readers(gs_partitioner *p, gs_buf *b, const gs_node *n,
                        gs_arena *tmp) {
  for (int k = 0; k < MAX_READERS; k++) {
    const gs_value *v = n->nout ? n->out[0] : NULL;
    if (!v) return;
    n = gs_partitioner_reader(p, v);
    int at = 0;
    while (n && at < n->nin && n->in[at] != v) at++;
    if (!n || !n->op || at == n->nin || !gs_node_linear(n, at) ||
        gs_node_dynamic(n) || gs_node_has_region(n))
      return;
    const gs_rule *r;
    if (gs_partitioner_rule(p, n, tmp, &r, NULL)) return;
    gs_buf_str(b, "r");
    add_node(p, b, n, r, v);
  }
}

/* All that the choices depend on, but for what is far behind the chain; NULL
 * where that is more than the chain and what it reads. */
static const char *key_of(gs_partitioner *p, const chain *c, gs_arena *tmp) {
  gs_buf b;
  gs_buf_init(&b, tmp);
  bool partial = false;
  for (const gs_split_form *s = p->form; s; s = s->outer)
    gs_buf_add(&b, &s->node->op->id, sizeof s->node->op->id); /* not again */
  for (int k = 0; k < c->n; k++) {
    const gs_value *link = k ? link_of(c, k - 1) : NULL;
    partial = partial || sums(p, c->node[k], c->rule[k]);
    for (int i = 0; i < c->node[k]->nin; i++) {
      const gs_value *v = c->node[k]->in[i];
      if (v && v != link && gs_partitioner_repeats(v)) return NULL;
    }
    gs_buf_add(&b, &c->result[k], sizeof c->result[k]);
    add_node(p, &b, c->node[k], c->rule[k], link);
  }
  if (partial) add_readers(p, &b, c->node[c->n - 1], tmp);
  uint64_t high = gs_hash(b.at, b.n, 1), low = gs_hash(b.at, b.n, 2);
  return gs_sprintf(tmp, "%016llx%016llx", (unsigned long long)high,
                    (unsigned long long)low);
}

/* ---- the search ---- */

/* The values of the chain before node k are at hand as s says. */
static void hold(gs_partitioner *p, const chain *c, int k, const state *s) {
  for (; s; s = s->before)
    p->held[link_of(c, --k)->id] = (gs_held_form *)&s->held;
  gs_assert(k == 0);
}

static void release(gs_partitioner *p, const chain *c) {
  for (int k = 0; k < c->n - 1; k++) p->held[link_of(c, k)->id] = NULL;
}

/* The form of the link behind node k, and something of its size. */
static void set_form(const gs_partitioner *p, const chain *c, int k,
                     const gs_form *form, state *s) {
  const gs_value *v = link_of(c, k);
  int64_t local[GS_MAX_RANK];
  gs_form_local(p->m, form, v->dims, local);
  s->held.form = *form;
  s->held.local = gs_value_new(c->scratch, v->name, v->dtype, v->rank, local);
}

/* A node takes this long, `own` of it for its own work. */
static void add_seconds(state *s, double seconds, double own) {
  s->seconds = seconds + (s->before ? s->before->seconds : 0);
  s->moved = seconds - own + (s->before ? s->before->moved : 0);
}

/* What the nodes of a split form that was tried take themselves. */
static double own_seconds(const gs_partitioner *q) {
  double t = q->out->seconds;
  for (int i = 0; i < q->out->collective.n; i++)
    t -= q->out->collective.at[i].seconds;
  return t;
}

/* What choice x for node k makes of what is at hand. */
static state *next_state(const gs_partitioner *p, const chain *c, int k,
                         const state *before, const gs_node_choice *x,
                         gs_arena *tmp) {
  state *s = GS_NEW(tmp, state);
  s->as = x->as;
  s->block = x->block;
  s->defers = x->deferred;
  s->before = before;
  double onward = c->result[k] < 0 ? 0 : x->onward[c->result[k]];
  add_seconds(s, x->seconds - onward, x->compute);
  if (c->result[k] >= 0) set_form(p, c, k, &x->out[c->result[k]], s);
  return s;
}

/* What the split form of node k makes of it. */
static state *unfolded_state(const chain *c, int k, const state *before,
                             gs_partitioner *q, gs_arena *tmp) {
  state *s = GS_NEW(tmp, state);
  s->unfolds = true;
  s->before = before;
  add_seconds(s, gs_partitioner_tried(q, c->result[k]), own_seconds(q));
  if (c->result[k] < 0) return s;
  const gs_value *v = q->form->out[c->result[k]];
  set_form(q, c, k, &q->held[v->id]->form, s);
  return s;
}

/* Whether what follows does not tell them apart. */
static bool alike(const state *a, const state *b) {
  const gs_form *x = &a->held.form, *y = &b->held.form;
  return x->sharding && y->sharding ? gs_form_equal(x, y)
                                    : x->sharding == y->sharding;
}

static void add_state(gs_arena *tmp, states *all, state *s) {
  state *worst = NULL;
  for (int i = 0; i < all->n; i++) {
    state *x = all->at[i];
    if (alike(x, s)) {
      if (s->seconds < x->seconds) *x = *s;
      return;
    }
    if (!worst || x->seconds > worst->seconds) worst = x;
  }
  if (all->n < MAX_STATES) *gs_push(tmp, all) = s;
  else if (s->seconds < worst->seconds) *worst = *s;
}

/* All that node k can make. */
static gs_status follow(gs_partitioner *p, const chain *c, int k,
                        const state *before, gs_arena *tmp, states *out) {
  p->link = c->result[k] < 0 ? NULL : link_of(c, k);
  gs_choices all =
      gs_partitioner_choices(p, c->node[k], c->rule[k], tmp, true);
  for (int i = 0; i < all.n; i++)
    add_state(tmp, out, next_state(p, c, k, before, all.at[i], tmp));
  if (!c->form[k]) return GS_OK;
  gs_partitioner q;
  GS_TRY(gs_partitioner_try(p, c->form[k], tmp, &q));
  add_state(tmp, out, unfolded_state(c, k, before, &q, tmp));
  return GS_OK;
}

/* What comes of the cheapest choice for each node by itself, and what a plan
 * has to beat. */
typedef struct alone {
  const state *end;
  double least; /* what all nodes take at the very least, however split */
  double most;  /* what a plan may take */
} alone;

static gs_status walk(gs_partitioner *p, const chain *c, gs_arena *tmp,
                      alone *of) {
  state *at = NULL;
  bool close = false; /* bytes decided between prices that are close */
  *of = (alone){0};
  for (int k = 0; k < c->n; k++) {
    gs_node_choice *x = GS_NEW(tmp, gs_node_choice);
    gs_partitioner q;
    bool better = false;
    hold(p, c, k, at);
    GS_TRY(gs_partitioner_choose(p, c->node[k], c->rule[k], tmp, x));
    double compute = x->compute;
    double least = gs_partitioner_least(p, c->node[k], c->rule[k], tmp);
    if (c->form[k]) {
      GS_TRY(gs_partitioner_try(p, c->form[k], tmp, &q));
      GS_TRY(gs_partitioner_better(p, c->node[k], c->rule[k], &q, x->seconds,
                                   tmp, &better));
      double unfolded = own_seconds(&q);
      least = fmin(least, unfolded);
      if (better) compute = unfolded;
    }
    close = close || (better && gs_partitioner_tried(&q, -1) > x->seconds);
    at = better ? unfolded_state(c, k, at, &q, tmp)
                : next_state(p, c, k, at, x, tmp);
    of->least += fmin(least, compute);
  }
  of->end = at;
  bool sends = at->moved > 1e-9 * at->seconds;
  double t = at->seconds, more = t - of->least;
  of->most = t / (1 + (!sends ? SILENT : close ? GS_CLOSE : GAIN));
  if (sends && !close && more > LITTLE * t)
    of->most = fmax(of->most, t - GAIN_OF_MORE * more);
  return GS_OK;
}

/* Whether some plan may be worth it. */
static bool beatable(const alone *of) {
  return of->least < of->most;
}

/* The cheapest way to the end; NULL: there is none.  What is split stays so:
 * constants are read as they are split. */
static gs_status search(gs_partitioner *p, const chain *c, gs_arena *tmp,
                        const state **end) {
  states now = {0};
  for (int k = 0; k < c->n; k++) {
    states next = {0};
    if (!k) GS_TRY(follow(p, c, k, NULL, tmp, &next));
    for (int i = 0; i < now.n; i++) {
      hold(p, c, k, now.at[i]);
      GS_TRY(follow(p, c, k, now.at[i], tmp, &next));
    }
    now = next;
  }
  *end = NULL;
  for (int i = 0; i < now.n; i++)
    if (!*end || now.at[i]->seconds < (*end)->seconds) *end = now.at[i];
  return GS_OK;
}

/* ---- plans ---- */

static const gs_planned *plan_of(gs_arena *a, const chain *c, const state *s) {
  gs_planned *plan = GS_NEWS(a, c->n, gs_planned);
  for (int k = c->n - 1; k >= 0; k--, s = s->before) {
    int nfactor = c->rule[k]->nfactor;
    plan[k].nfactor = nfactor;
    if (!s->unfolds)
      plan[k].axis =
          gs_memdup(a, s->as->axis, (size_t)nfactor * sizeof(gs_axes));
    if (s->block)
      plan[k].block =
          gs_memdup(a, s->block, (size_t)nfactor * sizeof *s->block);
    plan[k].defers = s->defers;
    plan[k].unfolds = s->unfolds;
    plan[k].operand = -1;
    for (int i = 0; k && i < c->node[k]->nin; i++)
      if (c->node[k]->in[i] == link_of(c, k - 1)) plan[k].operand = i;
    if (k) plan[k].held = gs_form_copy(a, &s->before->held.form);
  }
  return plan;
}

/* A plan for all nodes; where little would be gained, what each would be given
 * by itself. */
static gs_status find_plan(gs_partitioner *p, chain *c, gs_arena *tmp,
                           const gs_planned **plan) {
  alone of;
  const state *best = NULL;
  c->scratch = gs_graph_new(tmp, "ahead");
  for (int k = 0; k < c->n; k++)
    GS_TRY(gs_partitioner_split(p, c->node[k], c->rule[k], &c->form[k]));
  GS_TRY(walk(p, c, tmp, &of));
  release(p, c);
  if (beatable(&of)) {
    bool as_split = p->as_split;
    p->as_split = true;
    GS_TRY(search(p, c, tmp, &best));
    p->as_split = as_split;
    p->link = NULL;
    release(p, c);
  }
  bool worth = best && best->seconds < of.most;
  *plan = plan_of(p->chains->arena, c, worth ? best : of.end);
  return GS_OK;
}

/* Whether what is planned for n is of what is at hand. */
static bool fits(const gs_partitioner *p, const gs_node *n) {
  const gs_planned *plan = p->plan[n->id];
  if (!plan || plan->operand < 0) return plan;
  const gs_held_form *x = p->held[n->in[plan->operand]->id];
  return x && gs_form_equal(&x->form, plan->held);
}

gs_status gs_partitioner_look_ahead(gs_partitioner *p, const gs_node *n,
                                    const gs_rule *r, gs_arena *tmp) {
  if (p->o->force || fits(p, n)) return GS_OK;
  p->plan[n->id] = NULL;
  chain *c = GS_NEW(tmp, chain);
  GS_TRY(find_chain(p, n, r, tmp, c));
  if (!c->n) return GS_OK;
  /* What is left of a plan that does not fit is none for the rest. */
  for (int k = 0; k < c->n; k++) p->plan[c->node[k]->id] = NULL;
  const char *key = key_of(p, c, tmp);
  const gs_planned *plan = key ? gs_map_get(p->chains, key) : NULL;
  if (!plan) GS_TRY(find_plan(p, c, tmp, &plan));
  if (key) gs_map_put(p->chains, key, (void *)plan);
  for (int k = 0; k < c->n; k++)
    p->plan[c->node[k]->id] = &plan[k];
  return GS_OK;
}
