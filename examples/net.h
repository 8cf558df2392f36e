/* Building neural networks as ONNX graphs, layer by layer.
 *
 * A net holds the graph so far and the first error.  After an error every
 * function returns NULL and takes NULL, so that layers read like formulas and
 * net_write tells what went wrong. */
#ifndef EXAMPLES_NET_H
#define EXAMPLES_NET_H

#include "base/status.h"
#include "ir/graph/graph.h"
#include "../tools/cli.h"

typedef struct net_range { /* valid values of an integer input: "0:100" */
  const char *input, *text;
} net_range;

typedef struct net {
  gs_arena *arena;
  gs_graph *graph;
  const char *scope; /* names start with it: "encoder/layer_1/moe" */
  int opset;         /* set by net_begin to one that runtimes know for years */
  bool weights;      /* weights get random values; else they are external
                        data in a file that need not exist */
  uint64_t seed;
  int64_t parameters; /* elements of all weights */
  gs_err *err;
  gs_status status; /* of the first error */
  GS_VEC(net_range) range;
} net;

void net_begin(net *n, gs_arena *a, const char *name, bool weights,
               uint64_t seed, gs_err *e);
/* scope/part, in the arena; the text of the scope to restore is n->scope. */
const char *net_scope(net *n, const char *part);

/* ---- leaves ---- */

gs_value *net_input(net *n, const char *name, gs_dtype dtype, int rank,
                    const int64_t *dims);
/* A graph input of token ids, of which gshard-run --random draws valid ones:
 * its metadata gshard.range is 0:vocabulary. */
gs_value *net_tokens(net *n, const char *name, int64_t rows, int64_t columns,
                     int64_t vocabulary);
/* A weight of f32 with random values of that standard deviation. */
gs_value *net_weight(net *n, const char *name, double deviation, int rank,
                     const int64_t *dims);
/* A weight of f32 that holds one number everywhere. */
gs_value *net_filled(net *n, const char *name, float x, int rank,
                     const int64_t *dims);
/* Small constants, shared by all that ask for the same. */
gs_value *net_ints(net *n, int count, const int64_t *v); /* i64[count] */
gs_value *net_int(net *n, int64_t v);                    /* i64[] */
gs_value *net_float(net *n, float v);                    /* f32[] */

/* ---- operators; the result is named scope/name ---- */

/* A node; attributes may be added before net_result. */
gs_node *net_node(net *n, const char *op, const char *name, int nin,
                  gs_value *const *in, int nout);
/* Infers type and shape; result 0. */
gs_value *net_result(net *n, gs_node *node);
#define NET_OPERANDS(...)                                                      \
  (int)(sizeof((gs_value *[]){__VA_ARGS__}) / sizeof(gs_value *)),             \
      (gs_value *[]) { __VA_ARGS__ }
gs_value *net_op(net *n, const char *op, const char *name, int nin,
                 gs_value *const *in);
#define NET_OP(n, op, name, ...) net_op(n, op, name, NET_OPERANDS(__VA_ARGS__))
gs_value *net_einsum(net *n, const char *name, const char *equation,
                     gs_value *a, gs_value *b);
/* ReduceSum, ReduceMean: over one axis. */
gs_value *net_reduce(net *n, const char *op, const char *name, gs_value *x,
                     int64_t axis, bool keep);
gs_value *net_cast(net *n, const char *name, gs_value *x, gs_dtype to);
gs_value *net_reshape(net *n, const char *name, gs_value *x, int rank,
                      const int64_t *dims);
gs_value *net_transpose(net *n, const char *name, gs_value *x, int rank,
                        const int64_t *perm);
gs_value *net_unsqueeze(net *n, const char *name, gs_value *x, int64_t axis);
gs_value *net_softmax(net *n, const char *name, gs_value *x);
/* Concat of count values along axis. */
gs_value *net_concat(net *n, const char *name, gs_value *const *v, int count,
                     int64_t axis);

/* ---- layers; weights are named below n->scope/name ---- */

/* Normalises the last dim; with scale and bias. */
gs_value *net_layer_norm(net *n, const char *name, gs_value *x);
/* Rows of a table [vocabulary, model] with the learned position of each added
 * along dim 1: tokens [B,S] -> [B,S,model]. */
gs_value *net_embed(net *n, const char *name, gs_value *tokens,
                    int64_t vocabulary, int64_t model);
/* x [...,K] times a weight [K,width]. */
gs_value *net_linear(net *n, const char *name, gs_value *x, int64_t width);
/* relu(x wi) wo. */
gs_value *net_feed_forward(net *n, const char *name, gs_value *x,
                           int64_t hidden);
/* [S,S] that is added to attention scores: 0 where a token may look, and a
 * large negative number at what comes after it. */
gs_value *net_causal_mask(net *n, int64_t size);

/* ---- the whole ---- */

void net_output(net *n, gs_value *v);
/* Writes the model to a file or to standard output ("-"); not with
 * --dry-run.  Weights without values refer to a file beside it, named like
 * the model with ".data".  The first error, if any, is returned; GS_USAGE
 * when no path is given. */
gs_status net_write(net *n, const gs_cli *c, const char *path, gs_err *e);

/* ---- programs that write a network ---- */

/* The options that all of them have; `none` is said of --weights=none. */
#define NET_OPTIONS(none)                                                    \
  {.name = "output",                                                         \
   .letter = 'o',                                                            \
   .arg = "FILE",                                                            \
   .group = "Output",                                                        \
   .help = "Write the model to FILE; - is standard output."},                \
  {.name = "weights",                                                        \
   .arg = "KIND",                                                            \
   .choices = "random|none",                                                 \
   .help = "random (the default): weights are in the model.  none" none      \
           ": weights are external data in FILE.data, which need not exist, " \
           "so that the model is a small file."},                            \
  {.name = "seed", .arg = "N", .help = "Seed of random weights (1)."}

/* An option that is a size, and its limits. */
typedef struct net_size {
  const char *name;
  int64_t min, max, *at;
} net_size;

/* Reads those that are given, up to one without a name.  GS_USAGE. */
gs_status net_sizes(const gs_cli *c, const net_size *size, gs_err *e);
/* net_begin, as --weights and --seed say; `weights` holds where the first does
 * not.  GS_USAGE. */
gs_status net_open(net *n, const gs_cli *c, gs_arena *a, const char *name,
                   bool weights, gs_err *e);

#endif
