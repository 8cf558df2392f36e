#include "list_ops.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What a reader wants to know of a row; the cells of ops.def as text, so that
 * nothing of the table's functions is linked. */
typedef struct row {
  const char *name, *domain, *rule, *flags;
  int since, in0, in1, out0, out1;
} row;

#define EIN(text) "einsum " text
#define R(fn) #fn
static const row rows[] = {
#define OP(sym, name, domain, since, in0, in1, out0, out1, flags, flops,       \
           combine, rule, shape, local, kernel)                                \
  {name, domain, rule, #flags, since, in0, in1, out0, out1},
#include "op/ops.def"
#undef OP
};

enum { NROW = sizeof rows / sizeof *rows };

/* What sharding the dims of each rule means. */
static const struct {
  const char *rule, *text;
} shards[] = {
    {"broadcast", "any dim; broadcast dims of size 1 stay whole"},
    {"cast_like", "any dim; the second operand is not read"},
    {"dropout", "any dim; none when the mode is known at run time only"},
    {"expand", "any dim; those that grow from size 1 are made in place"},
    {"matmul", "batch, rows and columns; a sharded inner dim gives partial "
               "sums"},
    {"gemm", "rows and columns; a sharded inner dim gives partial sums"},
    {"einsum", "every label; a sharded summed label gives partial sums"},
    {"reduce", "any dim; a sharded reduced dim gives partial results"},
    {"arg", "any dim but the one that is searched"},
    {"cumsum", "any dim but the one that is summed along"},
    {"topk", "any dim but the one that is searched"},
    {"axis_whole", "any dim but the one that is normalised"},
    {"layer_norm", "any dim before those that are normalised"},
    {"reshape", "dims that keep their place in the element order, also "
                "the major one of a merged or divided dim"},
    {"transpose", "any dim"},
    {"concat", "any dim but the one that is concatenated"},
    {"split", "any dim but the one that is cut"},
    {"slice", "any dim that is taken whole"},
    {"pad", "any dim that is not padded"},
    {"tile", "any dim that is not repeated"},
    {"trilu", "any dim but the last two"},
    {"gather", "any dim of the indices, any dim of the data; the gathered "
               "dim by masked lookup with partial sums"},
    {"gather_elements", "dims of equal length in data and indices, but not "
                        "the indexed one"},
    {"gather_nd", "batch and slice dims"},
    {"scatter_elements", "dims of equal length in data and indices, but not "
                         "the indexed one"},
    {"scatter_nd", "dims that the updates cover whole"},
    {"one_hot", "any dim of the indices"},
    {"generate", "any dim"},
    {"generate_whole", "none: every device makes the whole"},
    {"random_like", "any dim; a shard holds the numbers that the whole "
                    "tensor has there"},
    {"shape_only", "no data is read"},
    /* -- activations and more mathematics */
    {"det", "any dim but the last two"},
    {"multinomial", "the batch; a shard holds the numbers that the whole "
                    "tensor has there"},
    {"reverse_sequence", "any dim but the one of time"},
    /* -- bits and integers */
    /* -- normalisation */
    {"instance_norm", "batch and channels"},
    {"group_norm", "batch, and the groups of the channels"},
    {"lrn", "any dim but the channels"},
    {"mvn", "any dim that is not averaged over"},
    /* -- convolution and pooling */
    /* -- images and signals */
    /* -- attention and state */
    {"attention", "batch, heads (whole groups that share keys, then within a "
                  "group), the values' head size, and queries unless their "
                  "place matters"},
    {"rotary", "batch, heads and positions"},
    {"tensor_scatter", "any dim but the one that is written along"},
    /* -- recurrent */
    /* -- quantisation */
    {"quantize", "any dim; a blocked one at the ends of blocks"},
    {"dynamic_quantize", "none: the scale comes from all elements"},
    {"matmul_integer", "batch, rows and columns with their zero points; a "
                       "sharded inner dim gives partial sums"},
    {"qlinear_matmul", "batch, rows and columns with their scales"},
    /* -- losses and training */
    /* -- data-dependent sizes */
    /* -- sequences, optionals, strings, control flow */
    /* -- com.microsoft, fused */
    /* -- com.microsoft, attention and experts */
    {"opaque", "made by the partitioner"},
};

static const char *how(const row *r) {
  for (size_t i = 0; i < sizeof shards / sizeof *shards; i++)
    if (!strcmp(shards[i].rule, r->rule)) return shards[i].text;
  return r->rule;
}

/* "2", "1-3", "1+" in a small buffer. */
static const char *range(char text[32], int from, int to) {
  if (to == INT_MAX) snprintf(text, 32, "%d+", from);
  else if (from == to) snprintf(text, 32, "%d", from);
  else snprintf(text, 32, "%d-%d", from, to);
  return text;
}

static int by_name(const void *a, const void *b) {
  const row *x = a, *y = b;
  int c = strcmp(x->domain, y->domain);
  return c ? c : strcmp(x->name, y->name);
}

static void sorted(row copy[NROW]) {
  memcpy(copy, rows, sizeof rows);
  qsort(copy, NROW, sizeof *copy, by_name);
}

void gs_ops_list(FILE *f) {
  row all[NROW];
  char in[32], out[32];
  sorted(all);
  fprintf(f, "%-10s %-19s %5s %3s %3s  %s\n", "domain", "operator", "opset",
          "in", "out", "how it shards");
  for (const row *r = all; r < all + NROW; r++)
    fprintf(f, "%-10s %-19s %5d %3s %3s  %s\n",
            *r->domain ? r->domain : "ai.onnx", r->name, r->since,
            range(in, r->in0, r->in1), range(out, r->out0, r->out1), how(r));
}

void gs_ops_man(FILE *f) {
  row all[NROW];
  char in[32], out[32];
  sorted(all);
  fputs(".Bl -column \"ScatterElements\" \"opset\" \"in\" \"out\"\n"
        ".It Sy operator Ta Sy opset Ta Sy in Ta Sy out\n",
        f);
  for (const row *r = all; r < all + NROW; r++) {
    if (*r->domain) continue;
    fprintf(f, ".It %s Ta %d Ta %s Ta %s\n", r->name, r->since,
            range(in, r->in0, r->in1), range(out, r->out0, r->out1));
  }
  fputs(".El\n.Ss Which dims may be sharded\n.Bl -tag -width Ds\n", f);
  for (size_t i = 0; i < sizeof shards / sizeof *shards; i++) {
    bool first = true;
    for (const row *r = all; r < all + NROW; r++) {
      if (*r->domain || strcmp(r->rule, shards[i].rule)) continue;
      fprintf(f, "%s%s", first ? ".It " : " , ", r->name);
      first = false;
    }
    if (!first) fprintf(f, "\n%s.\n", shards[i].text);
  }
  fputs(".El\n", f);
}
