/* Layers of Transformers that all examples share. */
#include <math.h>

#include "net.h"

static int64_t last_dim(const gs_value *x) { return x->dims[x->rank - 1]; }

gs_value *net_layer_norm(net *n, const char *name, gs_value *x) {
  if (!x) return NULL;
  int64_t m = last_dim(x);
  gs_value *scale =
      net_filled(n, gs_sprintf(n->arena, "%s/scale", name), 1, 1, &m);
  gs_value *bias =
      net_filled(n, gs_sprintf(n->arena, "%s/bias", name), 0, 1, &m);
  return NET_OP(n, "LayerNormalization", name, x, scale, bias);
}

gs_value *net_embed(net *n, const char *name, gs_value *tokens,
                    int64_t vocabulary, int64_t model) {
  if (!tokens) return NULL;
  const char *outer = n->scope;
  n->scope = net_scope(n, name);
  gs_value *table =
      net_weight(n, "table", 1, 2, (int64_t[]){vocabulary, model});
  gs_value *positions = net_weight(n, "positions", 0.5, 2,
                                   (int64_t[]){tokens->dims[1], model});
  gs_value *rows = NET_OP(n, "Gather", "rows", table, tokens);
  gs_value *y = NET_OP(n, "Add", "outputs", rows, positions);
  n->scope = outer;
  return y;
}

gs_value *net_linear(net *n, const char *name, gs_value *x, int64_t width) {
  if (!x) return NULL;
  int64_t k = last_dim(x);
  gs_value *w = net_weight(n, gs_sprintf(n->arena, "%s/w", name),
                           1 / sqrt((double)k), 2, (int64_t[]){k, width});
  return NET_OP(n, "MatMul", name, x, w);
}

gs_value *net_feed_forward(net *n, const char *name, gs_value *x,
                           int64_t hidden) {
  if (!x) return NULL;
  const char *outer = n->scope;
  n->scope = net_scope(n, name);
  gs_value *h = net_linear(n, "in", x, hidden);
  h = NET_OP(n, "Relu", "relu", h);
  gs_value *y = net_linear(n, "out", h, last_dim(x));
  n->scope = outer;
  return y;
}

gs_value *net_causal_mask(net *n, int64_t size) {
  float low = -1e9f;
  gs_tensor *t;
  if (n->status != GS_OK) return NULL;
  n->status =
      gs_tensor_new(n->arena, GS_FLOAT, 1, (int64_t[]){1}, &t, n->err);
  if (n->status != GS_OK) return NULL;
  *(float *)(uintptr_t)t->data = low;
  /* Made by operators: a constant of that size would not be small. */
  gs_node *all =
      net_node(n, "ConstantOfShape", "causal/all",
               NET_OPERANDS(net_ints(n, 2, (int64_t[]){size, size})), 1);
  gs_node_set(n->graph, all,
              &(gs_attr){.name = "value", .kind = GS_ATTR_TENSOR, .t = t});
  gs_value *square = net_result(n, all);
  gs_node *upper = net_node(n, "Trilu", "causal/mask",
                            NET_OPERANDS(square, net_int(n, 1)), 1);
  if (upper) gs_node_set_int(n->graph, upper, "upper", 1);
  return net_result(n, upper);
}
