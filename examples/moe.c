#include "moe.h"

#include <math.h>

/* One of the two choices of all tokens. */
typedef struct choice {
  gs_value *gate; /* f32[G,S,1]: share of the two gates */
  gs_value *mask; /* f32[G,S,E]: 1 at the chosen expert */
  gs_value *slot; /* f32[G,S]: the expert's counter before this token */
  gs_value *fits; /* bool[G,S]: the slot is below the capacity */
} choice;

/* Part i of two along the last dim. */
static void halves(net *n, const char *name, gs_value *x, gs_value *part[2]) {
  gs_node *node = net_node(n, "Split", name, NET_OPERANDS(x), 2);
  if (node) {
    gs_node_set_int(n->graph, node, "axis", -1);
    gs_node_set_int(n->graph, node, "num_outputs", 2);
  }
  part[0] = net_result(n, node);
  part[1] = part[0] ? node->out[1] : NULL;
}

/* 1 at index [...] of depth places and 0 elsewhere, also where the index is
 * past the last place: f32[...,depth]. */
static gs_value *one_hot(net *n, const char *name, gs_value *index,
                         int64_t depth) {
  static const float off_on[] = {0, 1};
  gs_value *values = gs_graph_find(n->graph, "off_on");
  if (!values) {
    gs_tensor *t = GS_NEW(n->arena, gs_tensor);
    t->dtype = GS_FLOAT;
    t->rank = 1;
    t->dims = gs_memdup(n->arena, (int64_t[]){2}, sizeof(int64_t));
    t->nbytes = sizeof off_on;
    t->data = off_on;
    values = gs_value_constant(n->graph, "off_on", t);
  }
  gs_node *node =
      net_node(n, "OneHot", name,
               NET_OPERANDS(index, net_int(n, depth), values), 1);
  if (node) gs_node_set_int(n->graph, node, "axis", -1);
  return net_result(n, node);
}

/* Lines 5, 6, 15 and 16: the two experts of each token, with shares of their
 * gates that sum to 1. */
static void choose(net *n, gs_value *gates, int64_t experts, choice c[2]) {
  static const char *const name[] = {"first", "second"};
  gs_node *top = net_node(n, "TopK", "top2",
                          NET_OPERANDS(gates, net_ints(n, 1, (int64_t[]){2})),
                          2);
  gs_value *value = net_result(n, top), *gate[2], *index[2];
  if (!value) return;
  halves(n, "top2/gate", value, gate);
  halves(n, "top2/expert", top->out[1], index);
  gs_value *both = NET_OP(n, "Add", "top2/sum", gate[0], gate[1]);
  const char *outer = n->scope;
  for (int i = 0; i < 2; i++) {
    n->scope = net_scope(n, name[i]);
    c[i].gate = NET_OP(n, "Div", "gate", gate[i], both);
    gs_value *expert = NET_OP(n, "Squeeze", "expert", index[i],
                              net_ints(n, 1, (int64_t[]){-1}));
    c[i].mask = one_hot(n, "mask", expert, experts);
    n->scope = outer;
  }
}

/* Lines 7 and 18: the counter of the chosen expert when the token comes, which
 * starts at `before` f32[G,1,E] (NULL: 0).  Every choice counts. */
static void place(net *n, const char *name, choice *c, gs_value *before,
                  int64_t capacity) {
  const char *outer = n->scope;
  n->scope = net_scope(n, name);
  gs_node *sum =
      net_node(n, "CumSum", "counter",
               NET_OPERANDS(c->mask, net_int(n, 1)), 1);
  if (sum) gs_node_set_int(n->graph, sum, "exclusive", 1);
  gs_value *counter = net_result(n, sum);
  if (before) counter = NET_OP(n, "Add", "counter/after", counter, before);
  gs_value *own = NET_OP(n, "Mul", "counter/own", counter, c->mask);
  c->slot = net_reduce(n, "ReduceSum", "slot", own, -1, false);
  c->fits = NET_OP(n, "Less", "fits", c->slot,
                   net_float(n, (float)capacity));
  n->scope = outer;
}

/* Lines 9 and 20: the gate at [expert, slot] of each token that is kept. */
static gs_value *weights(net *n, const char *name, const choice *c,
                         gs_value *kept, int64_t capacity) {
  const char *outer = n->scope;
  n->scope = net_scope(n, name);
  gs_value *keep = net_unsqueeze(n, "keep", kept, -1);
  gs_value *gate =
      NET_OP(n, "Where", "kept_gate", keep, c->gate, net_float(n, 0));
  gs_value *expert = NET_OP(n, "Mul", "expert_gate", c->mask, gate);
  gs_value *index = net_cast(n, "slot/index", c->slot, GS_INT64);
  gs_value *slot = one_hot(n, "slot/mask", index, capacity);
  gs_value *w = net_einsum(n, "weights", "GSE,GSC->GSEC", expert, slot);
  n->scope = outer;
  return w;
}

/* The number of trues in each group: bool[G,S] -> i64[G]. */
static gs_value *count(net *n, const char *name, gs_value *x) {
  gs_value *i =
      net_cast(n, gs_sprintf(n->arena, "%s/each", name), x, GS_INT64);
  return net_reduce(n, "ReduceSum", name, i, 1, false);
}

/* Line 13: the mean over the experts of (c_e / S) m_e, where c_e counts first
 * choices. */
static gs_value *loss(net *n, gs_value *gates, const choice *first) {
  gs_value *m = net_reduce(n, "ReduceMean", "loss/gates", gates, 1, false);
  gs_value *c =
      net_reduce(n, "ReduceMean", "loss/choices", first->mask, 1, false);
  gs_value *product = NET_OP(n, "Mul", "loss/product", c, m);
  return net_reduce(n, "ReduceMean", "loss", product, -1, false);
}

/* Lines 17 and 19: the second choice is kept if 2 g2 > rnd. */
static gs_value *draw(net *n, const moe_options *o, const choice *second,
                      gs_value **random) {
  gs_node *node = net_node(n, "RandomUniform", "random", 0, NULL, 1);
  if (!node) return NULL;
  const gs_value *slot = second->slot;
  gs_node_set_ints(n->graph, node, "shape", slot->dims, slot->rank);
  gs_node_set(n->graph, node,
              &(gs_attr){.name = "seed",
                         .kind = GS_ATTR_FLOAT,
                         .f = (double)o->seed});
  *random = net_result(n, node);
  gs_value *g = NET_OP(n, "Squeeze", "second/gate/flat", second->gate,
                       net_ints(n, 1, (int64_t[]){-1}));
  gs_value *twice = NET_OP(n, "Mul", "second/gate/twice", g, net_float(n, 2));
  return NET_OP(n, "Greater", "second/wanted", twice, *random);
}

moe_gates moe_gating(net *n, gs_value *gates, const moe_options *o) {
  choice c[2] = {0};
  moe_gates r = {0};
  choose(n, gates, o->experts, c);
  place(n, "first", &c[0], NULL, o->capacity);
  gs_value *before = net_reduce(n, "ReduceSum", "first/count", c[0].mask, 1,
                                true);
  place(n, "second", &c[1], before, o->capacity);
  if (n->status != GS_OK) return r;
  gs_value *second = c[1].fits;
  if (o->random)
    second = NET_OP(n, "And", "second/kept", second,
                    draw(n, o, &c[1], &r.random));
  gs_value *w1 = weights(n, "first", &c[0], c[0].fits, o->capacity);
  gs_value *w2 = weights(n, "second", &c[1], second, o->capacity);
  r.combine = NET_OP(n, "Add", "combine", w1, w2);
  r.dispatch = net_cast(n, "dispatch/mask", r.combine, GS_BOOL);
  r.dispatch = net_cast(n, "dispatch", r.dispatch, GS_FLOAT);
  r.loss = loss(n, gates, &c[0]);
  gs_value *taken = NET_OP(n, "Or", "taken", c[0].fits, second);
  r.dropped = count(n, "dropped", NET_OP(n, "Not", "dropped/is", taken));
  gs_value *full[2];
  for (int i = 0; i < 2; i++) {
    const char *name = i ? "second/full" : "first/full";
    full[i] = count(n, gs_sprintf(n->arena, "%s/count", name),
                    NET_OP(n, "Not", name, c[i].fits));
  }
  r.overflow = NET_OP(n, "Add", "overflow", full[0], full[1]);
  return r;
}

moe_layer moe_experts(net *n, const char *name, gs_value *x,
                      const moe_options *o) {
  moe_layer r = {0};
  if (!x) return r;
  const char *outer = n->scope;
  n->scope = net_scope(n, name);
  int64_t m = x->dims[2], e = o->experts, h = o->hidden;
  double dm = 1 / sqrt((double)m), dh = 1 / sqrt((double)h);
  gs_value *wg = net_weight(n, "wg", dm, 2, (int64_t[]){m, e});
  gs_value *wi = net_weight(n, "wi", dm, 3, (int64_t[]){e, m, h});
  gs_value *wo = net_weight(n, "wo", dh, 3, (int64_t[]){e, h, m});
  gs_value *logits = net_einsum(n, "logits", "GSM,ME->GSE", x, wg);
  gs_value *gates = net_softmax(n, "gates", logits);
  const char *layer = n->scope;
  n->scope = net_scope(n, "gating");
  r.gates = moe_gating(n, gates, o);
  n->scope = layer;
  gs_value *in =
      net_einsum(n, "dispatched", "GSEC,GSM->EGCM", r.gates.dispatch, x);
  gs_value *hidden = net_einsum(n, "hidden", "EGCM,EMH->EGCH", in, wi);
  hidden = NET_OP(n, "Relu", "relu", hidden);
  gs_value *answers = net_einsum(n, "answers", "EGCH,EHM->GECM", hidden, wo);
  r.outputs = net_einsum(n, "outputs", "GSEC,GECM->GSM", r.gates.combine,
                         answers);
  n->scope = outer;
  return r;
}
