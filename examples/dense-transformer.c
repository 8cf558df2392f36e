/* Writes a decoder-only Transformer as ONNX, in the operators that exporters
 * use: matrix products, Reshape and Transpose. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "net.h"

typedef struct sizes {
  int64_t layers, model, hidden, heads, batch, seq, vocab;
} sizes;

static const gs_option options[] = {
    NET_OPTIONS(""),
    {.name = "layers", .arg = "N", .group = "Sizes", .help = "Layers (2)."},
    {.name = "model-dim",
     .arg = "M",
     .help = "Width of the model (128), a multiple of the heads."},
    {.name = "hidden-dim",
     .arg = "H",
     .help = "Width inside of feed-forward layers (512)."},
    {.name = "heads", .arg = "N", .help = "Attention heads (4)."},
    {.name = "batch", .arg = "B", .help = "Sequences (4)."},
    {.name = "seq", .arg = "S", .help = "Tokens of a sequence (32)."},
    {.name = "vocab", .arg = "V", .help = "Size of the vocabulary (1024)."},
    {0},
};

static const gs_tool tool = {
    .name = "dense-transformer",
    .summary = "write a decoder-only Transformer as ONNX",
    .operands = "",
    .options = options,
    .examples = {{"A small model", "dense-transformer -o dense.onnx"},
                 {"The structure of a model with 175 billion weights",
                  "dense-transformer --layers 96 --model-dim 12288 "
                  "--hidden-dim 49152 --heads 96 --seq 2048 --vocab 50257 "
                  "--weights none -o 175b.onnx"},
                 {0}},
};

static gs_status read_sizes(gs_cli *c, sizes *z, gs_err *e) {
  *z = (sizes){2, 128, 512, 4, 4, 32, 1024};
  const int64_t max = 1 << 24;
  const net_size size[] = {
      {"layers", 1, 1000, &z->layers},
      {"model-dim", 1, max, &z->model},
      {"hidden-dim", 1, max, &z->hidden},
      {"heads", 1, max, &z->heads},
      {"batch", 1, max, &z->batch},
      {"seq", 1, max, &z->seq},
      {"vocab", 1, max, &z->vocab},
      {0},
  };
  GS_TRY(net_sizes(c, size, e));
  if (z->model % z->heads)
    return gs_fail(e, GS_USAGE, NULL,
                   "--model-dim %lld is not a multiple of --heads %lld",
                   (long long)z->model, (long long)z->heads);
  return GS_OK;
}

/* x times a weight, cut into heads: [B,S,M] -> [B,heads,S,M/heads]; with keys
 * as [B,heads,M/heads,S]. */
static gs_value *heads(net *n, const sizes *z, const char *name, gs_value *x,
                       bool keys) {
  gs_value *y = net_linear(n, name, x, z->model);
  const char *outer = n->scope;
  n->scope = net_scope(n, name);
  y = net_reshape(n, "split", y, 4,
                  (int64_t[]){z->batch, z->seq, z->heads, z->model / z->heads});
  y = net_transpose(n, "heads", y, 4,
                    keys ? (int64_t[]){0, 2, 3, 1} : (int64_t[]){0, 2, 1, 3});
  n->scope = outer;
  return y;
}

static gs_value *attention(net *n, const sizes *z, gs_value *x,
                           gs_value *mask) {
  const char *outer = n->scope;
  n->scope = net_scope(n, "attention");
  gs_value *q = heads(n, z, "q", x, false), *k = heads(n, z, "k", x, true);
  gs_value *v = heads(n, z, "v", x, false);
  float root = sqrtf((float)z->model / (float)z->heads);
  q = NET_OP(n, "Mul", "q/scaled", q, net_float(n, 1 / root));
  gs_value *scores = NET_OP(n, "MatMul", "scores", q, k);
  scores = NET_OP(n, "Add", "masked", scores, mask);
  gs_value *p = net_softmax(n, "probabilities", scores);
  gs_value *y = NET_OP(n, "MatMul", "context", p, v);
  y = net_transpose(n, "tokens", y, 4, (int64_t[]){0, 2, 1, 3});
  y = net_reshape(n, "joined", y, 3, (int64_t[]){z->batch, z->seq, z->model});
  y = net_linear(n, "out", y, z->model);
  n->scope = outer;
  return y;
}

static gs_value *layer(net *n, const sizes *z, int64_t i, gs_value *x,
                       gs_value *mask) {
  n->scope = gs_sprintf(n->arena, "layer_%lld", (long long)i);
  gs_value *y = net_layer_norm(n, "attention_norm", x);
  y = attention(n, z, y, mask);
  x = NET_OP(n, "Add", "attention_sum", x, y);
  y = net_layer_norm(n, "ffn_norm", x);
  y = net_feed_forward(n, "ffn", y, z->hidden);
  x = NET_OP(n, "Add", "outputs", x, y);
  n->scope = "";
  return x;
}

static void build(net *n, const sizes *z) {
  gs_value *tokens = net_tokens(n, "tokens", z->batch, z->seq, z->vocab);
  gs_value *mask = net_causal_mask(n, z->seq);
  gs_value *x = net_embed(n, "embedding", tokens, z->vocab, z->model);
  for (int64_t i = 0; i < z->layers; i++) x = layer(n, z, i, x, mask);
  x = net_layer_norm(n, "norm", x);
  net_output(n, net_linear(n, "logits", x, z->vocab));
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
