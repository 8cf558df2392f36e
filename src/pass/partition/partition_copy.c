/* Nodes whose results are elements of their operands in other places: along a
 * split dim such a node is an exchange itself, straight to the blocks of its
 * result. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "op/core/local.h"
#include "pass/partition/partition_impl.h"

enum { MAX_FROM = 6 }; /* lists of axes tried for one dim */

bool gs_partitioner_copies(const gs_rule *r) {
  for (int k = 0; k < r->nuse; k++)
    if (r->use[k].copies) return true;
  return false;
}

/* ---- which dims, and between which axes ---- */

/* What is planned for one node. */
typedef struct plan {
  gs_partitioner *p;
  const gs_node *n;
  const gs_rule *r;
  gs_arena *tmp;
  const gs_node_choice *c;
  uint64_t touched;  /* dims that the uses are of */
  uint64_t *dims_of; /* [nin] of them, those of each operand */
  gs_copies at;     /* being tried */
  gs_form *in;      /* [nin] as wanted for it */
  gs_copies best;
  gs_form *best_in;
  double least; /* seconds of `best`, with what brings the operands there */
} plan;

static void add_axes(gs_axes *list, int *n, const gs_axes *axes) {
  for (int i = 0; i < *n; i++)
    if (gs_axes_equal(&list[i], axes)) return;
  if (*n < MAX_FROM) list[(*n)++] = *axes;
}

gs_axes gs_partitioner_led(const gs_axes *first, const gs_axes *all) {
  gs_axes led = *first;
  gs_assert(!(gs_axes_set(first) & ~gs_axes_set(all)));
  for (int i = 0; i < all->n; i++)
    if (!(gs_axes_set(first) >> all->at[i] & 1)) led.at[led.n++] = all->at[i];
  return led;
}

/* Axes that the operands have along dim d, will have, or none; and those that
 * they will have in the order in which an all-to-all can add what they lack. */
static int candidates(const plan *q, int d, gs_axes *list) {
  int n = 0;
  const gs_axes *to = &q->at.to[d];
  add_axes(list, &n, to);
  add_axes(list, &n, &(gs_axes){0});
  for (int i = 0; i < q->r->nin; i++) {
    const gs_value *v = gs_node_in(q->n, i);
    if (!v || !(q->dims_of[i] >> d & 1)) continue;
    const gs_axes *have = &v->sharding->dim[d].axes;
    add_axes(list, &n, have);
    if (have->n && !(gs_axes_set(have) & ~gs_axes_set(to))) {
      gs_axes led = gs_partitioner_led(have, to);
      add_axes(list, &n, &led);
    }
    const gs_held_form *x = q->p->held[v->id];
    for (; x; x = x->next) add_axes(list, &n, &x->form.sharding->dim[d].axes);
  }
  return n;
}

/* What the node puts around operand 0, as a number that a Mask can write. */
static bool fill_value(const gs_node *n, const gs_window_use *u, double *v) {
  const gs_value *x = n->in[0];
  const gs_tensor *c;
  uint64_t bits[2] = {0};
  *v = u->value;
  if (u->fill != GS_FILL_OPERAND) return u->fill == GS_FILL_VALUE;
  c = gs_node_in(n, u->fill_in) ? n->in[u->fill_in]->constant : NULL;
  if (!c || gs_tensor_count(c) != 1 || c->dtype != x->dtype ||
      !gs_convert_knows(c->dtype))
    return false;
  gs_convert(GS_DOUBLE, v, c->dtype, gs_tensor_bytes(c), 1, NULL);
  *v = (double)(float)*v; /* as an attribute holds it */
  return !isnan(*v) && gs_element_of(c->dtype, *v, bits) &&
         !memcmp(bits, gs_tensor_bytes(c), c->nbytes);
}

/* Whether the blocks of the result along dim d are those of operand 0; *padding
 * is what they must then hold behind its end. */
static bool stays(const plan *q, int d, gs_padding *padding) {
  const gs_window_use *u = NULL;
  const gs_axes *axes = &q->at.from[d];
  int64_t m = gs_axes_size(q->p->m, axes);
  if (!axes->n || !gs_axes_equal(axes, &q->at.to[d]) || q->r->nout != 1)
    return false;
  for (int k = 0; k < q->r->nuse; k++) {
    if (q->r->use[k].dim != d) continue;
    if (u || q->r->use[k].in) return false;
    u = &q->r->use[k];
  }
  const gs_reach *e = &u->reach;
  int64_t n = q->n->in[0]->dims[d];
  double v;
  if (e->num != 1 || e->den != 1 || e->first || e->last ||
      gs_ceil_div(n, m) != gs_ceil_div(e->count, m))
    return false;
  if (e->count <= n) return true;
  if (!fill_value(q->n, u, &v) ||
      (padding->dims && (padding->value < v || padding->value > v)))
    return false;
  padding->dims |= (uint64_t)1 << d;
  padding->value = v;
  return true;
}

/* Operand i in blocks along `from` on the dims that are exchanged; false where
 * an axis would be used twice. */
static bool blocks(plan *q, int i) {
  gs_sharding *s = gs_sharding_copy(q->tmp, q->c->in[i].sharding);
  for (int d = 0; d < s->rank; d++) {
    if (!((q->at.dims & q->dims_of[i]) >> d & 1)) continue;
    s->dim[d].axes = (gs_axes){0};
    gs_subset used = gs_sharding_used(s) | s->partial;
    if (gs_axes_set(&q->at.from[d]) & gs_mesh_barred(q->p->m, used))
      return false;
    s->dim[d].axes = q->at.from[d];
  }
  q->in[i] = q->c->in[i];
  q->in[i].sharding = s;
  q->in[i].padding.dims &= ~q->at.dims;
  if (!q->in[i].padding.dims) q->in[i].padding.value = 0;
  q->at.stay = i ? q->at.stay : 0;
  for (int d = 0; d < s->rank && !i; d++)
    if (q->at.dims >> d & 1 && stays(q, d, &q->in[i].padding))
      q->at.stay |= (uint64_t)1 << d;
  return true;
}

/* ---- one exchange ---- */

static bool is_of(const gs_window_use *u, int out, int d) {
  return u->copies && u->out == out && u->dim == d;
}

/* The exchange along dim d that makes result `out`, NULL when no use is of
 * those.  Several sources lie one behind another: they are shifted, the result
 * takes all from the first element on. */
static gs_exchange *exchange_of(const gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, const gs_copies *c,
                                gs_arena *a, int out, int d,
                                const gs_window_use **first) {
  int count = 0, k = 0;
  for (int i = 0; i < r->nuse; i++) count += is_of(&r->use[i], out, d);
  if (!count) return NULL;
  while (!is_of(&r->use[k], out, d)) k++;
  const gs_window_use *u = *first = &r->use[k];
  gs_reach reach = u->reach;
  if (count > 1) reach.first = reach.last = 0;
  gs_exchange *x = GS_NEW(a, gs_exchange);
  gs_exchange_source *source = GS_NEWS(a, count, gs_exchange_source);
  *x = gs_exchange_of(p->m, &c->to[d], &reach, true);
  x->from = c->from[d];
  x->fill = u->fill;
  x->value = u->value;
  x->source = source;
  for (; k < r->nuse; k++) {
    u = &r->use[k];
    if (!is_of(u, out, d)) continue;
    int64_t size = n->in[u->in]->dims[d];
    int64_t block = gs_ceil_div(size, gs_axes_size(p->m, &c->from[d]));
    source[x->nsource++] = (gs_exchange_source){
        .n = size,
        .block = c->from[d].n ? block : 0,
        .shift = count > 1 ? -u->reach.first : 0};
  }
  return x;
}

/* ---- the price ---- */

/* Whether an exchange along dim d to to[d] leaves no axis on two dims. */
static bool fits(const plan *q, const gs_form *before, int d) {
  gs_subset others = gs_sharding_used(before->sharding) &
                     ~gs_axes_set(&before->sharding->dim[d].axes);
  return !(gs_mesh_barred(q->p->m, others | before->sharding->partial) &
           gs_axes_set(&q->at.to[d]));
}

/* What result `out` is held as once the dims of `done` are exchanged: the
 * others are those of operand `in`. */
static gs_form between(const plan *q, int in, uint64_t done) {
  gs_form f = gs_form_of(gs_sharding_copy(q->tmp, q->in[in].sharding));
  for (int d = 0; d < f.sharding->rank; d++)
    if (done >> d & 1) f.sharding->dim[d].axes = q->at.to[d];
  return f;
}

static double exchange_seconds(plan *q) {
  double t = 0;
  int sends = 0;
  for (int out = 0; out < q->r->nout; out++) {
    uint64_t done = 0;
    bool first = true;
    if (!gs_node_out(q->n, out)) continue;
    int64_t dims[GS_MAX_RANK];
    for (int d = 0; d < q->n->out[out]->rank; d++) {
      const gs_window_use *u;
      if (q->at.stay >> d & 1) done |= (uint64_t)1 << d;
      if (!((q->at.dims & ~q->at.stay) >> d & 1)) continue;
      gs_exchange *x =
          exchange_of(q->p, q->n, q->r, &q->at, q->tmp, out, d, &u);
      if (!x) continue;
      const gs_value *v = q->n->in[u->in];
      for (int k = 0; k < v->rank; k++)
        dims[k] = done >> k & 1 ? q->n->out[out]->dims[k] : v->dims[k];
      gs_form before = between(q, u->in, done);
      gs_form after = between(q, u->in, done | (uint64_t)1 << d);
      if (!fits(q, &before, d)) return INFINITY;
      gs_move mv = gs_reshard_exchange(q->p->resharder, v->dtype, dims,
                                       &before, d, x, &after);
      t += mv.seconds;
      if (first && mv.bytes > 0 && sends++)
        t -= gs_partitioner_latency(q->p, &mv);
      done |= (uint64_t)1 << d;
      first = false;
    }
  }
  return t;
}

static void try(plan *q) {
  double t = 0;
  for (int i = 0; i < q->r->nin; i++) {
    if (!gs_node_in(q->n, i)) continue;
    if (!blocks(q, i)) return;
    t += gs_partitioner_price(q->p, q->n->in[i], &q->in[i], NULL);
  }
  double moved = exchange_seconds(q);
  if (t + moved >= q->least) return;
  q->least = t + moved;
  q->best = q->at;
  q->best.seconds = moved;
  memcpy(q->best_in, q->in, (size_t)q->r->nin * sizeof *q->in);
}

static bool one_order(const gs_mesh *m, const gs_axes *a, const gs_axes *b) {
  return !a->n || !b->n || gs_mesh_order_of(m, gs_axes_set(a)) ==
                               gs_mesh_order_of(m, gs_axes_set(b));
}

/* Every choice of axes for the dims from d on. */
static void try_from(plan *q, int d) {
  while (d < GS_MAX_RANK && !(q->touched >> d & 1)) d++;
  if (d == GS_MAX_RANK) {
    try(q);
    return;
  }
  gs_axes list[MAX_FROM];
  int n = candidates(q, d, list);
  for (int i = 0; i < n; i++) {
    uint64_t bit = (uint64_t)1 << d;
    if (!one_order(q->p->m, &list[i], &q->at.to[d])) continue;
    q->at.from[d] = list[i];
    q->at.dims &= ~bit;
    if (list[i].n || q->at.to[d].n) q->at.dims |= bit;
    try_from(q, d + 1);
  }
}

void gs_partitioner_plan_copies(gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, gs_arena *tmp,
                                gs_node_choice *c) {
  plan q = {.p = p, .n = n, .r = r, .tmp = tmp, .c = c};
  q.in = GS_NEWS(tmp, r->nin + 1, gs_form);
  q.best_in = GS_NEWS(tmp, r->nin + 1, gs_form);
  q.dims_of = GS_NEWS(tmp, r->nin + 1, uint64_t);
  q.least = INFINITY;
  for (int k = 0; k < r->nuse; k++) {
    const gs_window_use *u = &r->use[k];
    gs_assert(u->copies && u->dim < GS_MAX_RANK);
    q.touched |= (uint64_t)1 << u->dim;
    q.dims_of[u->in] |= (uint64_t)1 << u->dim;
    q.at.to[u->dim] = c->as->axis[u->factor];
  }
  try_from(&q, 0);
  gs_assert(isfinite(q.least));
  if (!q.best.dims) return;
  c->copies = gs_memdup(tmp, &q.best, sizeof q.best);
  memcpy(c->in, q.best_in, (size_t)r->nin * sizeof *c->in);
}

/* ---- emission ---- */

typedef struct maker {
  gs_partitioner *p;
  gs_local *l;
  const gs_copies *c;
  gs_value **from; /* [nin] local operands */
  int64_t dims[GS_MAX_RANK]; /* whole, of what the exchanges begin with */
  int sends;                 /* exchanges so far that send something */
} maker;

/* The exchanges of result `out`, one dim after another. */
static gs_value *make_result(maker *k, int out) {
  const gs_node *n = k->l->node;
  const gs_rule *r = k->l->rule;
  gs_value **in = GS_NEWS(k->p->a, n->nin + 1, gs_value *), *at = NULL;
  gs_form before = {0};
  int64_t dims[GS_MAX_RANK];
  memcpy(dims, k->dims, sizeof dims);
  for (int d = 0; d < n->out[out]->rank; d++) {
    const gs_window_use *u;
    int nin = 0;
    if (k->c->stay >> d & 1) dims[d] = n->out[out]->dims[d];
    if (!((k->c->dims & ~k->c->stay) >> d & 1)) continue;
    gs_exchange *x = exchange_of(k->p, n, r, k->c, k->p->a, out, d, &u);
    if (!x) continue;
    if (at) in[nin++] = at;
    for (int i = 0; i < r->nuse && !at; i++)
      if (is_of(&r->use[i], out, d)) in[nin++] = k->from[r->use[i].in];
    if (u->fill == GS_FILL_OPERAND) in[nin++] = k->l->in[u->fill_in];
    if (!at) before = gs_form_of(k->l->held[u->in].sharding);
    dims[d] = n->out[out]->dims[d];
    gs_sharding *s = gs_sharding_copy(k->p->a, before.sharding);
    s->dim[d].axes = k->c->to[d];
    gs_form after = gs_form_of(s);
    int behind = 0; /* what waits for another exchange starts by itself */
    at = gs_partitioner_exchange(k->p, n->out[out], dims, in, nin, x, d,
                                 &before, &after, at ? &behind : &k->sends);
    before = after;
  }
  return at ? at : gs_local_like(k->l, "Identity", k->from, 1)->out[0];
}

/* Dims that are still to be computed; *shrinks: what is left then is less. */
static uint64_t rest_of(const gs_local *l, const gs_copies *c, bool *shrinks) {
  uint64_t rest = 0;
  double before = 1, after = 1;
  for (int k = 0; k < l->rule->nuse; k++) {
    const gs_window_use *u = &l->rule->use[k];
    if (c->dims >> u->dim & 1) continue;
    rest |= (uint64_t)1 << u->dim;
    before *= (double)l->node->in[u->in]->dims[u->dim];
    after *= (double)u->reach.count;
  }
  *shrinks = after <= before;
  return rest;
}

/* The node's local form along the dims of `rest`, of operand 0 as it is. */
static gs_status compute(maker *k, uint64_t rest, gs_value *x, gs_err *e) {
  gs_local *l = k->l;
  int64_t *dims = l->out_dims[0], *mine = GS_NEWS(k->p->a, x->rank, int64_t);
  gs_assert(l->node->op->local && l->node->out[0]->rank == x->rank);
  for (int d = 0; d < x->rank; d++)
    mine[d] = rest >> d & 1 ? dims[d] : x->dims[d];
  l->done = k->c->dims;
  l->in[0] = x;
  l->out_dims[0] = mine;
  gs_status s = l->node->op->local(l, e);
  l->out_dims[0] = dims;
  return s;
}

gs_status gs_partitioner_copy(gs_partitioner *p, gs_local *l,
                              const gs_node_choice *c) {
  const gs_node *n = l->node;
  maker k = {.p = p, .l = l, .c = c->copies};
  bool shrinks;
  uint64_t rest = rest_of(l, k.c, &shrinks);
  k.from = gs_memdup(p->a, l->in, (size_t)n->nin * sizeof *l->in);
  memcpy(k.dims, n->in[0]->dims, (size_t)n->in[0]->rank * sizeof *k.dims);
  if (rest && shrinks) {
    GS_TRY(compute(&k, rest, l->in[0], p->e));
    k.from[0] = l->out[0];
    for (int d = 0; d < n->in[0]->rank; d++)
      if (rest >> d & 1) k.dims[d] = n->out[0]->dims[d];
  }
  for (int o = 0; o < n->nout; o++)
    if (n->out[o]) l->out[o] = make_result(&k, o);
  if (rest && !shrinks) GS_TRY(compute(&k, rest, l->out[0], p->e));
  return GS_OK;
}
