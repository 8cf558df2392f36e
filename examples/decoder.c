/* Writes a decoder-only language model as ONNX, of the operators that
 * onnxruntime-genai's exporter uses: queries, keys and values of one packed
 * product, attention that keeps a cache of fixed size, one token for a step. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "net.h"
#include "op/core/op.h"

typedef struct sizes {
  int64_t layers, model, hidden, heads, kv, batch, cache, vocab;
} sizes;

static const gs_option options[] = {
    NET_OPTIONS(""),
    {.name = "layers", .arg = "N", .group = "Sizes", .help = "Layers (2)."},
    {.name = "model-dim",
     .arg = "M",
     .help = "Width of the model (128), a multiple of twice the heads."},
    {.name = "hidden-dim",
     .arg = "H",
     .help = "Width inside of feed-forward layers (256)."},
    {.name = "heads", .arg = "N", .help = "Heads of the queries (8)."},
    {.name = "kv-heads",
     .arg = "N",
     .help = "Heads of keys and values (4), which divide the heads."},
    {.name = "batch", .arg = "B", .help = "Sequences (1)."},
    {.name = "cache", .arg = "C", .help = "Tokens that a cache holds (128)."},
    {.name = "vocab", .arg = "V", .help = "Size of the vocabulary (512)."},
    {0},
};

static const gs_tool tool = {
    .name = "decoder",
    .summary = "write a language model that decodes token by token as ONNX",
    .operands = "",
    .options = options,
    .examples = {{"A small model", "decoder -o decoder.onnx"}, {0}},
};

static gs_status read_sizes(gs_cli *c, sizes *z, gs_err *e) {
  *z = (sizes){2, 128, 256, 8, 4, 1, 128, 512};
  const int64_t max = 1 << 24;
  const net_size size[] = {
      {"layers", 1, 1000, &z->layers},
      {"model-dim", 1, max, &z->model},
      {"hidden-dim", 1, max, &z->hidden},
      {"heads", 1, max, &z->heads},
      {"kv-heads", 1, max, &z->kv},
      {"batch", 1, max, &z->batch},
      {"cache", 1, max, &z->cache},
      {"vocab", 1, max, &z->vocab},
      {0},
  };
  GS_TRY(net_sizes(c, size, e));
  if (z->model % (2 * z->heads) || z->heads % z->kv)
    return gs_fail(e, GS_USAGE, NULL, "--model-dim %lld is not a multiple of "
                   "twice --heads %lld, or these of --kv-heads %lld",
                   (long long)z->model, (long long)z->heads,
                   (long long)z->kv);
  return GS_OK;
}

/* ---- constants that all layers share ---- */

typedef struct shared {
  gs_value *filled; /* tokens of each sequence in the cache: an input that
                       counts */
  gs_value *total, *cosine, *sine;
} shared;

static gs_value *constant(net *n, const char *name, gs_dtype type, int rank,
                          const int64_t *dims, gs_tensor **t) {
  if (n->status) return NULL;
  n->status = gs_tensor_new(n->arena, type, rank, dims, t, n->err);
  return n->status ? NULL : gs_value_constant(n->graph, name, *t);
}

/* Angles of rotary positions: cosines, or sines, [cache, head / 2]. */
static gs_value *angles(net *n, const sizes *z, const char *name,
                        double (*of)(double)) {
  int64_t half = z->model / z->heads / 2;
  gs_tensor *t;
  gs_value *v =
      constant(n, name, GS_FLOAT, 2, (int64_t[]){z->cache, half}, &t);
  float *at = v ? (float *)(uintptr_t)t->data : NULL;
  for (int64_t i = 0; i < z->cache * half && v; i++)
    at[i] = (float)of((double)(i / half) *
                      pow(1e4, -(double)(i % half) / (double)half));
  return v;
}

static shared share(net *n, const sizes *z) {
  shared s = {.filled = net_input(n, "filled", GS_INT32, 2,
                                  (int64_t[]){z->batch, 1})};
  gs_tensor *t;
  s.total = constant(n, "total", GS_INT32, 1, (int64_t[]){1}, &t);
  if (s.total) *(int32_t *)(uintptr_t)t->data = (int32_t)z->cache;
  s.cosine = angles(n, z, "cosine", cos);
  s.sine = angles(n, z, "sine", sin);
  return s;
}

/* ---- layers ---- */

static gs_value *cache(net *n, const sizes *z, int64_t layer,
                       const char *what) {
  return net_input(n, gs_sprintf(n->arena, "past_key_values.%lld.%s",
                                 (long long)layer, what), GS_FLOAT, 4,
                   (int64_t[]){z->batch, z->kv, z->cache, z->model / z->heads});
}

static void set_result(net *n, gs_node *node, int i, const char *name) {
  gs_node_output(node, i, gs_value_new(n->graph, name, GS_UNDEFINED, -1, NULL));
}

/* Attention over the cache; makes what is in it then. */
static gs_value *attend(net *n, const sizes *z, const shared *s, int64_t layer,
                        gs_value *qkv) {
  gs_value *key = cache(n, z, layer, "key");
  gs_value *value = cache(n, z, layer, "value");
  if (n->status) return NULL;
  gs_value *in[] = {qkv, NULL, NULL, key, value, s->filled, s->total, s->cosine,
                    s->sine};
  const char *name = net_scope(n, "context");
  gs_node *node = gs_node_new(n->graph, "com.microsoft", "GroupQueryAttention",
                              name, 9, 3);
  node->op = gs_op_find(node->domain, node->op_type);
  node->opset = 1;
  for (int i = 0; i < 9; i++) node->in[i] = in[i];
  set_result(n, node, 0, name);
  set_result(n, node, 1, gs_sprintf(n->arena, "present.%lld.key",
                                    (long long)layer));
  set_result(n, node, 2, gs_sprintf(n->arena, "present.%lld.value",
                                    (long long)layer));
  gs_node_set_int(n->graph, node, "num_heads", z->heads);
  gs_node_set_int(n->graph, node, "kv_num_heads", z->kv);
  gs_node_set_int(n->graph, node, "do_rotary", 1);
  return net_result(n, node);
}

static gs_value *layer(net *n, const sizes *z, const shared *s, int64_t i,
                       gs_value *x) {
  int64_t head = z->model / z->heads;
  n->scope = gs_sprintf(n->arena, "layer_%lld", (long long)i);
  gs_value *y = net_layer_norm(n, "attention_norm", x);
  y = net_linear(n, "qkv", y, (z->heads + 2 * z->kv) * head);
  y = net_linear(n, "out", attend(n, z, s, i, y), z->model);
  x = NET_OP(n, "Add", "attention_sum", x, y);
  y = net_layer_norm(n, "ffn_norm", x);
  y = net_feed_forward(n, "ffn", y, z->hidden);
  x = NET_OP(n, "Add", "outputs", x, y);
  n->scope = "";
  return x;
}

static void build(net *n, const sizes *z) {
  gs_value *tokens = net_tokens(n, "input_ids", z->batch, 1, z->vocab);
  shared s = share(n, z);
  gs_value *table = net_weight(n, "embedding", 1, 2,
                               (int64_t[]){z->vocab, z->model});
  gs_value *x = NET_OP(n, "Gather", "embedded", table, tokens);
  for (int64_t i = 0; i < z->layers; i++) x = layer(n, z, &s, i, x);
  x = net_layer_norm(n, "norm", x);
  net_output(n, net_linear(n, "logits", x, z->vocab));
  for (int64_t i = 0; i < z->layers && !n->status; i++)
    for (int k = 0; k < 2; k++)
      net_output(n, gs_graph_find(n->graph, gs_sprintf(n->arena,
                                  "present.%lld.%s", (long long)i,
                                  k ? "value" : "key")));
}

static gs_status write_model(gs_cli *c, gs_arena *a, gs_err *e) {
  sizes z;
  GS_TRY(read_sizes(c, &z, e));
  net n;
  GS_TRY(net_open(&n, c, a, tool.name, true, e));
  build(&n, &z);
  return net_write(&n, c, gs_cli_get(c, "output"), e);
}

static gs_status run(gs_cli *c, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_status s = write_model(c, &a, e);
  gs_arena_free(&a);
  return s;
}

int main(int argc, char **argv) {
  return gs_cli_main(&tool, run, argc, argv);
}
