/* Rules and shapes of operators with a state: LinearAttention and
 * CausalConvWithState. */
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/rows/nn/heads.h"

gs_shape_fn gs_shape_linear_attention, gs_shape_causal_conv;
gs_rule_fn gs_rule_causal_conv;
gs_local_fn gs_local_linear_attention, gs_local_causal_conv;

/* ---- LinearAttention ---- */

enum { QUERY, KEY, VALUE, PAST, DECAY, BETA };

typedef struct sizes {
  int64_t batch, steps, kv, group, key, value;
} sizes;

static void measure(const gs_node *n, sizes *s) {
  const gs_value *q = n->in[QUERY], *v = n->in[VALUE];
  int64_t heads = gs_node_int(n, "q_num_heads", 1);
  s->kv = gs_node_int(n, "kv_num_heads", 1);
  s->group = heads / s->kv;
  s->batch = q->dims[0];
  s->steps = q->dims[1];
  s->key = q->dims[2] / heads;
  s->value = v->dims[2] / s->kv;
}

static gs_status check_heads(gs_arena *a, const gs_node *n, gs_err *e) {
  const gs_value *q = n->in[QUERY], *v = n->in[VALUE];
  int64_t heads = gs_node_int(n, "q_num_heads", 0);
  int64_t kv = gs_node_int(n, "kv_num_heads", 0);
  GS_TRY(gs_heads_shared(a, n, heads, kv, e));
  for (int i = QUERY; i <= VALUE; i++)
    if (n->in[i]->rank != 3)
      return gs_heads_bad(a, n, e, "operand %d '%s' is of rank %d, not 3", i,
                          n->in[i]->name, n->in[i]->rank);
  if (q->dims[2] % heads || v->dims[2] % kv)
    return gs_heads_bad(a, n, e, "hidden sizes %lld and %lld do not divide by "
                        "%lld and %lld heads", (long long)q->dims[2],
                        (long long)v->dims[2], (long long)heads,
                        (long long)kv);
  return GS_OK;
}

/* decay and beta are there exactly when the rule uses them. */
static gs_status check_update(gs_arena *a, const gs_node *n, gs_err *e) {
  const char *rule = gs_node_string(n, "update_rule", "gated_delta");
  bool gated = !strncmp(rule, "gated", 5);
  bool delta = !strcmp(rule, "delta") || !strcmp(rule, "gated_delta");
  if (!delta && strcmp(rule, "gated") && strcmp(rule, "linear"))
    return gs_heads_bad(a, n, e, "update_rule '%s' is not linear, gated, delta "
                        "or gated_delta", rule);
  if (!gs_node_in(n, DECAY) == gated)
    return gs_heads_bad(a, n, e, "update_rule '%s' %s decay", rule,
                        gated ? "needs" : "has no");
  if (!gs_node_in(n, BETA) == delta)
    return gs_heads_bad(a, n, e, "update_rule '%s' %s beta", rule,
                        delta ? "needs" : "has no");
  return GS_OK;
}

gs_status gs_shape_linear_attention(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  sizes s;
  for (int i = KEY; i <= BETA; i++)
    if (i != PAST) GS_TRY(gs_shape_same_type(a, n, QUERY, i, e));
  GS_TRY(check_heads(a, n, e));
  GS_TRY(check_update(a, n, e));
  measure(n, &s);
  int64_t b = s.batch, t = s.steps;
  GS_TRY(gs_heads_expect(a, n, KEY, 3, (int64_t[]){b, t, s.kv * s.key}, e));
  GS_TRY(gs_heads_expect(a, n, VALUE, 3, (int64_t[]){b, t, s.kv * s.value},
                         e));
  int64_t state[4] = {b, s.kv, s.key, s.value};
  GS_TRY(gs_heads_expect(a, n, PAST, 4, state, e));
  const gs_value *d = gs_node_in(n, DECAY), *beta = gs_node_in(n, BETA);
  bool each = d && d->rank == 3 && d->dims[2] == s.kv;
  GS_TRY(gs_heads_expect(a, n, DECAY, 3,
                         (int64_t[]){b, t, each ? s.kv : s.kv * s.key}, e));
  bool one = beta && beta->rank == 3 && beta->dims[2] == 1;
  GS_TRY(gs_heads_expect(a, n, BETA, 3, (int64_t[]){b, t, one ? 1 : s.kv},
                         e));
  gs_dtype type = n->in[QUERY]->dtype;
  const gs_value *past = gs_node_in(n, PAST);
  GS_TRY(gs_shape_set(g, n, 0, type, 3,
                      (int64_t[]){b, t, s.kv * s.group * s.value}, e));
  return gs_shape_set(g, n, 1, past ? past->dtype : type, 4, state, e);
}

gs_status gs_local_linear_attention(gs_local *l, gs_err *e) {
  sizes s;
  (void)e;
  measure(l->node, &s);
  gs_heads_local(l, s.batch, s.kv, s.group);
  return GS_OK;
}

/* ---- CausalConvWithState: x[batch, channels, length], w[channels, 1, k],
 * states [batch, channels, k - 1] ---- */

gs_status gs_shape_causal_conv(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *w = n->in[1];
  for (int i = 1; i < 4; i++) GS_TRY(gs_shape_same_type(a, n, 0, i, e));
  if (x->rank != 3 || w->rank != 3)
    return gs_heads_bad(a, n, e, "'%s' and '%s' are of ranks %d and %d, not 3",
                        x->name, w->name, x->rank, w->rank);
  int64_t k = w->dims[2], c = x->dims[1];
  if (k < 1)
    return gs_heads_bad(a, n, e, "weight '%s' has no taps", w->name);
  GS_TRY(gs_heads_expect(a, n, 1, 3, (int64_t[]){c, 1, k}, e));
  GS_TRY(gs_heads_expect(a, n, 2, 1, &c, e));
  int64_t state[3] = {x->dims[0], c, k - 1};
  GS_TRY(gs_heads_expect(a, n, 3, 3, state, e));
  const char *act = gs_node_string(n, "activation", "none");
  if (strcmp(act, "none") && strcmp(act, "silu") && strcmp(act, "swish"))
    return gs_heads_bad(a, n, e, "activation '%s' is not none, silu or swish",
                        act);
  GS_TRY(gs_shape_set_like(g, n, 0, e));
  return gs_shape_set(g, n, 1, x->dtype, 3, state, e);
}

/* The last state is of the end, which one device has: with it, the length is
 * split in the split form alone. */
gs_status gs_rule_causal_conv(gs_arena *a, const gs_node *n, gs_rule *r,
                              gs_err *e) {
  gs_reach reach = {n->in[0]->dims[2], 1, 1, 1 - n->in[1]->dims[2], 0, 0};
  bool state = gs_node_out(n, 1) != NULL;
  const char *text = state ? "bcl, c1k, ?c, ?bcs -> bcl, ?bcs; scan l; "
                             "whole k; fixed s; compact; order b c l k s"
                           : "bcl, c1k, ?c, ?bcs -> bcl, ?bcs; window l; "
                             "whole k; fixed s; compact; order b c l k s";
  GS_TRY(gs_rule_parse(a, text, n, r, e));
  if (!state) gs_rule_reach(r, 0, 2, &reach);
  return GS_OK;
}

gs_status gs_local_causal_conv(gs_local *l, gs_err *e) {
  (void)e;
  if (gs_local_splits(l, 2, 3)) gs_local_placed(l);
  else gs_local_same(l);
  return GS_OK;
}
