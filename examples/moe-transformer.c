/* Writes GShard's model as ONNX: an encoder-decoder Transformer in which every
 * other feed-forward layer is a Mixture-of-Experts layer (arXiv 2006.16668,
 * section 2).  A group of tokens is one sequence, so that all but the
 * experts works on each group alone. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/math.h"
#include "moe.h"

typedef struct sizes {
  int64_t layers, model, hidden, heads, head_dim, groups, group_size;
  int64_t vocab, target_vocab;
  moe_options moe;
} sizes;

typedef struct preset {
  const char *name;
  int64_t experts, layers, groups, group_size;
} preset;

/* Table 1 of the paper, and its model with a trillion weights.  Layers count
 * those of the encoder, and as many of the decoder: 36L has 18 of each.
 * Groups and their size give the table's batches of 4M and 1M tokens. */
static const preset presets[] = {
    {"2048E-36L", 2048, 18, 2048, 2048}, {"2048E-12L", 2048, 6, 2048, 2048},
    {"512E-36L", 512, 18, 512, 2048},    {"512E-12L", 512, 6, 512, 2048},
    {"128E-36L", 128, 18, 512, 2048},    {"128E-12L", 128, 6, 512, 2048},
    {"2048E-60L", 2048, 30, 2048, 2048}, {"1T", 2048, 30, 2048, 2048},
};

static const gs_option options[] = {
    NET_OPTIONS(" (the default of presets)"),
    {.name = "preset",
     .arg = "NAME",
     .choices = "2048E-36L|2048E-12L|512E-36L|512E-12L|128E-36L|128E-12L|"
                "2048E-60L|1T",
     .group = "Sizes",
     .help = "A model of the paper's Table 1, from 600B weights (2048E-36L) "
             "to 12.5B (128E-12L), or its model of 1T (2048E-60L).  Options "
             "below change it."},
    {.name = "layers",
     .arg = "N",
     .help = "Layers of the encoder, and as many of the decoder (2).  The "
             "feed-forward part of every second one is a Mixture of "
             "Experts."},
    {.name = "experts", .arg = "E", .help = "Experts of a layer (4)."},
    {.name = "model-dim", .arg = "M", .help = "Width of the model (128)."},
    {.name = "hidden-dim",
     .arg = "H",
     .help = "Width inside of feed-forward layers and experts (512)."},
    {.name = "heads", .arg = "N", .help = "Attention heads (4)."},
    {.name = "head-dim",
     .arg = "D",
     .help = "Width of a head; the default is M / heads."},
    {.name = "groups",
     .arg = "G",
     .help = "Groups of tokens, each of which is a sequence (8)."},
    {.name = "group-size", .arg = "S", .help = "Tokens of a group (32)."},
    {.name = "vocab",
     .arg = "V",
     .help = "Size of the vocabularies (1024)."},
    {.name = "target-vocab",
     .arg = "V",
     .help = "Size of the target's vocabulary; the default is that of the "
             "source."},
    {.name = "capacity",
     .arg = "C",
     .group = "Gating",
     .help = "Tokens that an expert takes from each group; the default is "
             "2 S / E, at least 1."},
    {.name = "random-routing",
     .arg = "SEED",
     .help = "Use second choices with a probability that grows with their "
             "gate, by random numbers of that seed (1); off: always."},
    {0},
};

static const gs_tool tool = {
    .name = "moe-transformer",
    .summary = "write a Transformer with Mixture-of-Experts layers as ONNX",
    .operands = "",
    .options = options,
    .examples = {{"A small model", "moe-transformer -o moe.onnx"},
                 {"Eight experts, and one sequence for each of eight devices",
                  "moe-transformer --experts 8 --groups 8 -o moe.onnx"},
                 {"The structure of the model with 600 billion weights",
                  "moe-transformer --preset 2048E-36L -o 600b.onnx"},
                 {0}},
};

static void apply_preset(const char *name, sizes *z) {
  for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
    const preset *p = &presets[i];
    if (strcmp(p->name, name)) continue;
    z->layers = p->layers;
    z->moe.experts = p->experts;
    z->groups = p->groups;
    z->group_size = p->group_size;
    /* Appendix A.2 */
    z->model = 1024;
    z->hidden = 8192;
    z->heads = 16;
    z->head_dim = 128;
    z->vocab = 64000;
    z->target_vocab = 32000;
  }
}

static gs_status read_routing(gs_cli *c, sizes *z, gs_err *e) {
  const char *text = gs_cli_get(c, "random-routing");
  z->moe.random = !text || strcmp(text, "off") != 0;
  z->moe.seed = 1;
  /* Each layer adds its number, and all seeds are exact as floats. */
  if (text && z->moe.random &&
      !gs_cli_parse_int(text, 0, 16000000, &z->moe.seed))
    return gs_fail(e, GS_USAGE, NULL,
                   "--random-routing=%s: not off or a number from 0 to "
                   "16000000",
                   text);
  return GS_OK;
}

static gs_status read_sizes(gs_cli *c, sizes *z, gs_err *e) {
  *z = (sizes){.layers = 2,
               .model = 128,
               .hidden = 512,
               .heads = 4,
               .groups = 8,
               .group_size = 32,
               .vocab = 1024,
               .moe.experts = 4};
  if (gs_cli_has(c, "preset")) apply_preset(gs_cli_get(c, "preset"), z);
  const int64_t max = 1 << 24;
  const net_size size[] = {
      {"layers", 1, 1000, &z->layers},
      {"experts", 2, max, &z->moe.experts},
      {"model-dim", 1, max, &z->model},
      {"hidden-dim", 1, max, &z->hidden},
      {"heads", 1, max, &z->heads},
      {"head-dim", 1, max, &z->head_dim},
      {"groups", 1, max, &z->groups},
      {"group-size", 1, max, &z->group_size},
      {"vocab", 1, max, &z->vocab},
      {"target-vocab", 1, max, &z->target_vocab},
      {0},
  };
  GS_TRY(net_sizes(c, size, e));
  if (gs_cli_has(c, "vocab") && !gs_cli_has(c, "target-vocab"))
    z->target_vocab = 0;
  if (!z->target_vocab) z->target_vocab = z->vocab;
  if (!z->head_dim) z->head_dim = gs_max(1, z->model / z->heads);
  z->moe.hidden = z->hidden;
  z->moe.capacity = gs_max(1, 2 * z->group_size / z->moe.experts);
  GS_TRY(gs_cli_int(c, "capacity", 1, max, &z->moe.capacity, e));
  return read_routing(c, z, e);
}

/* ---- the model ---- */

typedef struct transformer {
  net net;
  sizes z;
  int moes;             /* Mixture-of-Experts layers so far */
  moe_gates gates[1000]; /* of each: at most half of two thousand layers */
} transformer;

/* A weight by which each head makes its part of a query, key or value. */
static gs_value *project(transformer *t, const char *name, gs_value *x) {
  const sizes *z = &t->z;
  net *n = &t->net;
  gs_value *w = net_weight(n, gs_sprintf(n->arena, "w%s", name),
                           1 / sqrt((double)z->model), 3,
                           (int64_t[]){z->model, z->heads, z->head_dim});
  return net_einsum(n, name, "GSM,MND->GSND", x, w);
}

/* x and memory [G,S,M]; mask [S,S] or NULL. */
static gs_value *attention(transformer *t, const char *name, gs_value *x,
                           gs_value *memory, gs_value *mask) {
  const sizes *z = &t->z;
  net *n = &t->net;
  const char *outer = n->scope;
  n->scope = net_scope(n, name);
  gs_value *q = project(t, "q", x), *k = project(t, "k", memory);
  gs_value *v = project(t, "v", memory);
  q = NET_OP(n, "Mul", "q/scaled", q,
             net_float(n, 1 / sqrtf((float)z->head_dim)));
  gs_value *scores = net_einsum(n, "scores", "GSND,GTND->GNST", q, k);
  if (mask) scores = NET_OP(n, "Add", "masked", scores, mask);
  gs_value *p = net_softmax(n, "probabilities", scores);
  gs_value *y = net_einsum(n, "context", "GNST,GTND->GSND", p, v);
  gs_value *w = net_weight(n, "wo", 1 / sqrt((double)(z->heads * z->head_dim)),
                           3, (int64_t[]){z->heads, z->head_dim, z->model});
  y = net_einsum(n, "outputs", "GSND,NDM->GSM", y, w);
  n->scope = outer;
  return y;
}

/* The feed-forward part of layer i. */
static gs_value *feed_forward(transformer *t, int64_t i, gs_value *x) {
  net *n = &t->net;
  if (i % 2 == 0) return net_feed_forward(n, "ffn", x, t->z.hidden);
  moe_options o = t->z.moe;
  o.seed += t->moes;
  moe_layer y = moe_experts(n, "moe", x, &o);
  t->gates[t->moes++] = y.gates;
  return y.outputs;
}

/* Layer i of the encoder (memory NULL) or the decoder.  Each part is
 * normalised at its entry and added to what it was made from. */
static gs_value *layer(transformer *t, int64_t i, gs_value *x,
                       gs_value *memory, gs_value *mask) {
  net *n = &t->net;
  const char *outer = n->scope;
  n->scope =
      net_scope(n, gs_sprintf(n->arena, "layer_%lld", (long long)i));
  gs_value *y = net_layer_norm(n, "attention_norm", x);
  y = attention(t, "attention", y, y, mask);
  x = NET_OP(n, "Add", "attention_sum", x, y);
  if (memory) {
    y = net_layer_norm(n, "cross_norm", x);
    y = attention(t, "cross", y, memory, NULL);
    x = NET_OP(n, "Add", "cross_sum", x, y);
  }
  y = net_layer_norm(n, "ffn_norm", x);
  y = feed_forward(t, i, y);
  x = NET_OP(n, "Add", "outputs", x, y);
  n->scope = outer;
  return x;
}

static gs_value *stack(transformer *t, const char *name, gs_value *tokens,
                       int64_t vocab, gs_value *memory, gs_value *mask) {
  net *n = &t->net;
  n->scope = name;
  gs_value *x = net_embed(n, "embedding", tokens, vocab, t->z.model);
  for (int64_t i = 0; i < t->z.layers; i++)
    x = layer(t, i, x, memory, mask);
  x = net_layer_norm(n, "norm", x);
  n->scope = "";
  return x;
}

/* One [G] value of each Mixture-of-Experts layer side by side, and their sum
 * or mean over the groups: [layers]. */
static gs_value *gather(transformer *t, const char *name, const char *reduce,
                        size_t field) {
  net *n = &t->net;
  gs_value *column[1000];
  if (n->status != GS_OK) return NULL;
  for (int i = 0; i < t->moes; i++) {
    gs_value *v;
    memcpy(&v, (const char *)&t->gates[i] + field, sizeof(gs_value *));
    column[i] = net_unsqueeze(
        n, gs_sprintf(n->arena, "%s/layer_%d", name, i), v, 1);
  }
  gs_value *all = net_concat(n, gs_sprintf(n->arena, "%s/groups", name),
                             column, t->moes, 1);
  return net_reduce(n, reduce, name, all, 0, false);
}

static void build(transformer *t) {
  const sizes *z = &t->z;
  net *n = &t->net;
  gs_value *source =
      net_tokens(n, "source", z->groups, z->group_size, z->vocab);
  gs_value *target =
      net_tokens(n, "target", z->groups, z->group_size, z->target_vocab);
  gs_value *mask = net_causal_mask(n, z->group_size);
  gs_value *memory = stack(t, "encoder", source, z->vocab, NULL, NULL);
  gs_value *y = stack(t, "decoder", target, z->target_vocab, memory, mask);
  net_output(n, net_linear(n, "logits", y, z->target_vocab));
  if (!t->moes) return;
  gs_value *losses =
      gather(t, "aux_losses", "ReduceMean", offsetof(moe_gates, loss));
  net_output(n, net_reduce(n, "ReduceSum", "aux_loss", losses, 0, false));
  net_output(n, gather(t, "dropped_tokens", "ReduceSum",
                       offsetof(moe_gates, dropped)));
  net_output(n, gather(t, "overflowed_choices", "ReduceSum",
                       offsetof(moe_gates, overflow)));
}

static gs_status write_model(gs_cli *c, gs_arena *a, gs_err *e) {
  transformer *t = GS_NEW(a, transformer);
  GS_TRY(read_sizes(c, &t->z, e));
  GS_TRY(net_open(&t->net, c, a, tool.name, !gs_cli_has(c, "preset"), e));
  build(t);
  return net_write(&t->net, c, gs_cli_get(c, "output"), e);
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
