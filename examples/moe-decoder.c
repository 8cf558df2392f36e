/* Writes a decoder-only language model with Mixture-of-Experts layers as ONNX,
 * for flat beam search (appendix A.1 of GShard, arXiv 2006.16668): a step has a
 * token of each of K hypotheses of G sequences, caches have the places of all
 * hypotheses of a sequence side by side, and a mask, which is an input, says
 * which of them a hypothesis sees. */
#include <math.h>

#include "base/math.h"
#include "moe.h"
#include "op/core/op.h"

typedef struct sizes {
  int64_t layers, model, heads, groups, beams, steps, vocab;
  moe_options moe;
} sizes;

static const gs_option options[] = {
    NET_OPTIONS(""),
    {.name = "layers",
     .arg = "N",
     .group = "Sizes",
     .help = "Layers (2); every other one, from the second, has Experts."},
    {.name = "experts", .arg = "E", .help = "Experts of a layer (8)."},
    {.name = "model-dim", .arg = "M", .help = "Width of the model (64)."},
    {.name = "hidden-dim",
     .arg = "H",
     .help = "Width inside of feed-forward layers and experts (128)."},
    {.name = "heads",
     .arg = "N",
     .help = "Attention heads (4), of which the width is a multiple."},
    {.name = "groups", .arg = "G", .help = "Sequences (4)."},
    {.name = "beams", .arg = "K", .help = "Hypotheses of a sequence (4)."},
    {.name = "steps", .arg = "N", .help = "Steps that caches hold (32)."},
    {.name = "vocab", .arg = "V", .help = "Size of the vocabulary (256)."},
    {.name = "capacity",
     .arg = "C",
     .help = "Hypotheses of a sequence that an expert takes; the default is "
             "K: all."},
    {0},
};

static const gs_tool tool = {
    .name = "moe-decoder",
    .summary = "write a language model with Experts for beam search as ONNX",
    .operands = "",
    .options = options,
    .examples = {{"A small model", "moe-decoder -o model.onnx"}, {0}},
};

static gs_status read_sizes(gs_cli *c, sizes *z, gs_err *e) {
  *z = (sizes){2, 64, 4, 4, 4, 32, 256, {.experts = 8, .hidden = 128}};
  const int64_t max = 1 << 20;
  const net_size size[] = {
      {"layers", 1, 1000, &z->layers},
      {"experts", 2, max, &z->moe.experts},
      {"model-dim", 1, max, &z->model},
      {"hidden-dim", 1, max, &z->moe.hidden},
      {"heads", 1, max, &z->heads},
      {"groups", 1, max, &z->groups},
      {"beams", 1, 1000, &z->beams},
      {"steps", 1, max, &z->steps},
      {"vocab", 1, max, &z->vocab},
      {0},
  };
  GS_TRY(net_sizes(c, size, e));
  z->moe.capacity = z->beams;
  GS_TRY(gs_cli_int(c, "capacity", 1, max, &z->moe.capacity, e));
  if (z->model % z->heads)
    return gs_fail(e, GS_USAGE, NULL, "--model-dim %lld is not a multiple of "
                   "--heads %lld", (long long)z->model, (long long)z->heads);
  return GS_OK;
}

typedef struct decoder {
  net net;
  sizes z;
  gs_value *place; /* i64[G]: where the tokens of the step begin in caches */
  gs_value *sees;  /* bool[G,1,K,places] */
  gs_value **present; /* [2 layers] */
} decoder;

/* x [G,K,M] times a weight, by heads: [G,N,K,D]. */
static gs_value *project(decoder *d, const char *name, gs_value *x) {
  const sizes *z = &d->z;
  net *n = &d->net;
  gs_value *w = net_weight(n, gs_sprintf(n->arena, "w%s", name),
                           1 / sqrt((double)z->model), 3,
                           (int64_t[]){z->model, z->heads,
                                       z->model / z->heads});
  return net_einsum(n, name, "GKM,MND->GNKD", x, w);
}

/* The cache of what a layer has made so far, with what is new in its place:
 * [G,N,places,D]. */
static gs_value *remember(decoder *d, int64_t layer, const char *what,
                          gs_value *fresh, int at) {
  const sizes *z = &d->z;
  net *n = &d->net;
  const char *outer = n->scope;
  n->scope = "";
  gs_value *past = net_input(
      n, gs_sprintf(n->arena, "past_key_values.%lld.%s", (long long)layer,
                    what),
      GS_FLOAT, 4, (int64_t[]){z->groups, z->heads, z->steps * z->beams,
                               z->model / z->heads});
  const char *name = gs_sprintf(n->arena, "present.%lld.%s", (long long)layer,
                                what);
  gs_value *y = NET_OP(n, "TensorScatter", name, past, fresh, d->place);
  n->scope = outer;
  return d->present[at] = y;
}

/* x [G,K,M]; each hypothesis looks at what it sees. */
static gs_value *attention(decoder *d, int64_t layer, gs_value *x) {
  const sizes *z = &d->z;
  net *n = &d->net;
  const char *outer = n->scope;
  n->scope = net_scope(n, "attention");
  double head = (double)z->model / (double)z->heads;
  gs_value *q = project(d, "q", x), *k = project(d, "k", x);
  gs_value *v = project(d, "v", x);
  k = remember(d, layer, "key", k, (int)(2 * layer));
  v = remember(d, layer, "value", v, (int)(2 * layer + 1));
  q = NET_OP(n, "Mul", "q/scaled", q, net_float(n, (float)(1 / sqrt(head))));
  gs_value *scores = net_einsum(n, "scores", "GNKD,GNCD->GNKC", q, k);
  scores = NET_OP(n, "Where", "seen", d->sees, scores, net_float(n, -1e9f));
  gs_value *p = net_softmax(n, "probabilities", scores);
  gs_value *y = net_einsum(n, "context", "GNKC,GNCD->GKND", p, v);
  gs_value *w = net_weight(n, "wo", 1 / sqrt((double)z->model), 3,
                           (int64_t[]){z->heads, z->model / z->heads,
                                       z->model});
  y = net_einsum(n, "outputs", "GKND,NDM->GKM", y, w);
  n->scope = outer;
  return y;
}

static gs_value *layer(decoder *d, int64_t i, gs_value *x) {
  net *n = &d->net;
  n->scope = gs_sprintf(n->arena, "layer_%lld", (long long)i);
  gs_value *y = net_layer_norm(n, "attention_norm", x);
  y = attention(d, i, y);
  x = NET_OP(n, "Add", "attention_sum", x, y);
  y = net_layer_norm(n, "ffn_norm", x);
  y = i % 2 ? moe_experts(n, "moe", y, &d->z.moe).outputs
            : net_feed_forward(n, "ffn", y, d->z.moe.hidden);
  x = NET_OP(n, "Add", "outputs", x, y);
  n->scope = "";
  return x;
}

/* Tokens with the position of each, [G,K,M]. */
static gs_value *embed(decoder *d) {
  const sizes *z = &d->z;
  net *n = &d->net;
  gs_value *tokens = net_tokens(n, "input_ids", z->groups, z->beams, z->vocab);
  gs_value *at = net_tokens(n, "position_ids", z->groups, z->beams, z->steps);
  gs_value *table = net_weight(n, "embedding/table", 1, 2,
                               (int64_t[]){z->vocab, z->model});
  gs_value *positions = net_weight(n, "embedding/positions", 0.5, 2,
                                   (int64_t[]){z->steps, z->model});
  gs_value *x = NET_OP(n, "Gather", "embedding/rows", table, tokens);
  gs_value *y = NET_OP(n, "Gather", "embedding/places", positions, at);
  return NET_OP(n, "Add", "embedding/outputs", x, y);
}

static void build(decoder *d) {
  const sizes *z = &d->z;
  net *n = &d->net;
  gs_value *x = embed(d);
  gs_value *first = net_input(n, "first_place", GS_INT64, 1, (int64_t[]){1});
  d->place = NET_OP(n, "Expand", "place", first,
                    net_ints(n, 1, (int64_t[]){z->groups}));
  gs_value *mask = net_input(n, "mask", GS_BOOL, 3,
                             (int64_t[]){z->groups, z->beams,
                                         z->steps * z->beams});
  d->sees = net_unsqueeze(n, "sees", mask, 1);
  for (int64_t i = 0; i < z->layers; i++) x = layer(d, i, x);
  x = net_layer_norm(n, "norm", x);
  net_output(n, net_linear(n, "logits", x, z->vocab));
  for (int64_t i = 0; i < 2 * z->layers; i++) net_output(n, d->present[i]);
}

static gs_status write_model(gs_cli *c, gs_arena *a, gs_err *e) {
  decoder *d = GS_NEW(a, decoder);
  GS_TRY(read_sizes(c, &d->z, e));
  d->present = GS_NEWS(a, 2 * d->z.layers, gs_value *);
  GS_TRY(net_open(&d->net, c, a, tool.name, true, e));
  d->net.opset = 24; /* TensorScatter */
  build(d);
  return net_write(&d->net, c, gs_cli_get(c, "output"), e);
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
