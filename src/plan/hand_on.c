#include "plan/hand_on.h"

#include <math.h>

#include "base/assert.h"
#include "base/data/map.h"
#include "base/math.h"
#include "op/core/op.h"
#include "plan/trial.h"

enum {
  SHORT = 8,      /* blocks of fewer elements */
  MAX_TRIES = 64, /* partitions of the graph */
  MIN_TRIES = 8,
  MAX_WORK = 50000, /* nodes that are partitioned */
  MAX_ROUNDS = 4
};

/* Less than this part of time and bytes is no reason to change what nobody has
 * asked to be changed. */
static const double least_gain = 1e-2;

/* Results that are given other axes together. */
typedef struct offer {
  GS_VEC(gs_value *) value;
  gs_sharding *sharding; /* of each */
  gs_subset handed;      /* of its axes */
} offer;

typedef struct hander {
  gs_arena *a; /* for what stays */
  gs_graph *g;
  const gs_propagate_input *in;
  gs_sharding **said; /* [nvalue] by the user, and what was taken */
  GS_VEC(offer *) list; /* of this round */
  gs_partition_memo memo;
  double memory;
  int tries, most;
  gs_arena tmp; /* of one attempt */
} hander;

static void restore(hander *h) {
  for (int i = 0; i < h->g->value.n; i++)
    h->g->value.at[i]->sharding = h->said[i];
}

/* ---- what may be handed on ---- */

static bool may_change(const hander *h, const gs_value *y) {
  const gs_barrier *b = h->in->barrier;
  return y && !gs_value_dynamic(y) && !h->said[y->id] &&
         !(b && (b[y->id].no_forward || b[y->id].no_backward));
}

/* Blocks that are short, uneven, or fewer than devices. */
static bool is_short(int64_t n, int64_t shards) {
  return n % shards || n / shards < SHORT;
}

/* The same for all nodes that do this to such tensors. */
static char *key_of(hander *h, const gs_node *n, const gs_value *x,
                    const gs_value *y, const gs_sharding *s) {
  gs_buf b;
  gs_buf_init(&b, h->a);
  gs_buf_printf(&b, "%s %s %s ", n->op->name,
                gs_shape_text(h->a, x->dtype, x->rank, x->dims),
                gs_shape_text(h->a, y->dtype, y->rank, y->dims));
  gs_sharding_print(&b, h->g->mesh, s);
  return b.at;
}

/* Offers that y, result of n, is split as s says, by `handed` anew. */
static void add_offer(hander *h, gs_map *round, const gs_node *n,
                      const gs_value *x, gs_value *y, gs_sharding *s,
                      gs_subset handed) {
  gs_assert(s->rank == y->rank && handed);
  char *key = key_of(h, n, x, y, s);
  offer *o = gs_map_get(round, key);
  if (!o) {
    o = GS_NEW(h->a, offer);
    o->sharding = s;
    o->handed = handed;
    gs_map_put(round, key, o);
    *gs_push(h->a, &h->list) = o;
  }
  for (int i = 0; i < o->value.n; i++)
    if (o->value.at[i] == y) return;
  *gs_push(h->a, &o->value) = y;
}

/* Axes `more`, which dim d of y has or cannot have, on each other dim of it;
 * `kept` stay on d. */
static void offer_dims(hander *h, gs_map *round, const gs_node *n,
                       const gs_value *x, gs_value *y, int d,
                       const gs_axes *kept, const gs_axes *more) {
  int64_t shards = gs_axes_size(h->g->mesh, more);
  for (int k = 0; k < y->rank; k++) {
    if (k == d || y->sharding->dim[k].axes.n || y->dims[k] < shards ||
        y->dims[k] % shards)
      continue;
    gs_sharding *s = gs_sharding_new(h->a, y->rank, true);
    s->dim[d].axes = *kept;
    s->dim[k].axes = *more;
    add_offer(h, round, n, x, y, s, gs_axes_set(more));
  }
}

/* Dim d of x, which is dim k of y, shorter. */
static void offer_use(hander *h, gs_map *round, const gs_node *n,
                      const gs_value *x, int d, gs_value *y, int k) {
  const gs_axes *axes = &x->sharding->dim[d].axes;
  const gs_axes *have = &y->sharding->dim[k].axes;
  gs_subset others = gs_sharding_used(y->sharding) & ~gs_axes_set(have);
  if (!axes->n || y->dims[k] >= x->dims[d] ||
      !is_short(y->dims[k], gs_axes_size(h->g->mesh, axes)) ||
      (others | y->sharding->replicated) &
          gs_mesh_barred(h->g->mesh, gs_axes_set(axes)))
    return;
  const gs_axes none = {0};
  offer_dims(h, round, n, x, y, k, &none, axes);
  gs_axes head = gs_axes_head(axes, have->n);
  if (!have->n || have->n == axes->n || !gs_axes_equal(&head, have)) return;
  gs_axes tail = gs_axes_tail(axes, have->n);
  offer_dims(h, round, n, x, y, k, have, &tail);
}

static gs_status offer_node(hander *h, gs_map *round, const gs_node *n,
                            gs_err *e) {
  gs_rule r;
  if (!n->op) return GS_OK;
  gs_arena_reset(&h->tmp);
  GS_TRY(gs_rule_of(&h->tmp, n, &r, e));
  for (int k = 0; k < r.nuse; k++) {
    const gs_window_use *u = &r.use[k];
    if (u->out < 0) continue;
    const gs_value *x = gs_node_in(n, u->in);
    gs_value *y = gs_node_out(n, u->out);
    if (x && !x->constant && may_change(h, y))
      offer_use(h, round, n, x, u->dim, y, u->out_dim);
  }
  return GS_OK;
}

/* All of this round, from how the graph is sharded now. */
static gs_status find_offers(hander *h, gs_err *e) {
  gs_map round;
  h->list.n = 0;
  gs_map_init(&round, h->a);
  for (int i = 0; i < h->g->node.n; i++)
    GS_TRY(offer_node(h, &round, h->g->node.at[i], e));
  return GS_OK;
}

/* The same, once something was taken. */
static gs_status find_more(hander *h, gs_err *e) {
  gs_arena a;
  gs_propagation done;
  restore(h);
  gs_arena_init(&a);
  gs_status s = gs_pass_propagate(&a, h->g, h->in, &done, e);
  if (!s) s = find_offers(h, e);
  restore(h);
  gs_arena_free(&a);
  return s;
}

/* ---- trying ---- */

static void apply(const offer *o) {
  for (int i = 0; i < o->value.n; i++) o->value.at[i]->sharding = o->sharding;
}

/* What the graph costs with what was taken, and o (or NULL); false where the
 * passes refuse it, which is for them to say. */
static bool attempt(hander *h, const offer *o, gs_trial *out) {
  gs_err none;
  gs_err_init(&none);
  restore(h);
  if (o) apply(o);
  h->tries++;
  gs_status s = gs_trial_run(&h->tmp, h->g, h->in, &h->memo, out, &none);
  restore(h);
  gs_arena_reset(&h->tmp);
  gs_err_free(&none);
  return s == GS_OK;
}

/* The best offer of this round, NULL where none is better than *now, which
 * becomes what it costs. */
static const offer *best_of(hander *h, gs_trial *now) {
  const offer *best = NULL;
  gs_trial least = *now;
  least.seconds *= 1 - least_gain;
  for (int i = 0; i < h->list.n && h->tries < h->most; i++) {
    gs_trial t;
    if (!attempt(h, h->list.at[i], &t) || t.seconds > now->seconds ||
        (h->memory > 0 && t.bytes > fmax(h->memory, now->bytes)) ||
        gs_trial_judged(&t) >= gs_trial_judged(&least))
      continue;
    best = h->list.at[i];
    least = t;
  }
  if (best) *now = least;
  return best;
}

static void take(hander *h, const offer *o, gs_handed *out) {
  for (int i = 0; i < o->value.n; i++) {
    int id = o->value.at[i]->id;
    gs_assert(!h->said[id]);
    h->said[id] = o->sharding;
    out->axes[id] = o->handed;
    if (!out->n++) out->first = o->value.at[i];
  }
}

static gs_status hand_on(hander *h, gs_handed *out, gs_err *e) {
  gs_trial now;
  GS_TRY(find_offers(h, e));
  if (!h->list.n) return GS_OK;
  gs_partition_memo_init(&h->memo, h->a, h->g);
  h->most = (int)gs_max(gs_min(MAX_TRIES, MAX_WORK / h->g->node.n), MIN_TRIES);
  if (!attempt(h, NULL, &now)) return GS_OK;
  out->axes = GS_NEWS(h->a, h->g->value.n + 1, gs_subset);
  out->before = out->after = now.seconds;
  for (int round = 0; round < MAX_ROUNDS && h->list.n; round++) {
    const offer *o = best_of(h, &now);
    if (!o) break;
    take(h, o, out);
    out->after = now.seconds;
    GS_TRY(find_more(h, e));
  }
  return GS_OK;
}

gs_status gs_pass_hand_on(gs_arena *a, gs_graph *g,
                          const gs_propagate_input *in,
                          gs_sharding *const *said, double memory,
                          gs_handed *out, gs_err *e) {
  int n = g->value.n;
  hander h = {.a = a, .g = g, .in = in, .memory = memory};
  gs_sharding **done = GS_NEWS(a, n + 1, gs_sharding *);
  *out = (gs_handed){0};
  h.said = GS_NEWS(a, n + 1, gs_sharding *);
  for (int i = 0; i < n; i++) {
    done[i] = g->value.at[i]->sharding;
    h.said[i] = said[i];
  }
  gs_arena_init(&h.tmp);
  gs_status s = hand_on(&h, out, e);
  gs_arena_free(&h.tmp);
  for (int i = 0; i < n; i++)
    g->value.at[i]->sharding = out->n ? h.said[i] : done[i];
  return s;
}
