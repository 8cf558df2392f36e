#include "kernel/core/fusion.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "op/rows/nn/scales.h"

/* Operands of FusedConv: the convolution's, what is added in the end, and what
 * is done to channels before that. */
enum { X, W, B, Z, CHANNELS };

/* Operands of what is done to channels, from the first of them on: a
 * normalisation's scale, bias, mean and variance, then a factor and a term; see
 * kernel/conv/channel_scale.h. */
enum { SCALE, FACTOR = 4, TERM, SCALES };

void gs_fuse_set(gs_arena *a, gs_node *n, gs_attr attr) {
  gs_attr *more = GS_NEWS(a, n->nattr + 1, gs_attr);
  if (n->nattr) memcpy(more, n->attr, (size_t)n->nattr * sizeof *more);
  more[n->nattr++] = attr;
  n->attr = more;
}

void gs_fuse_set_int(gs_arena *a, gs_node *n, const char *name, int64_t i) {
  gs_fuse_set(a, n, (gs_attr){.name = name, .kind = GS_ATTR_INT, .i = i});
}

/* The fused node that does what n does; `channels` is where in its operands
 * those of channels begin. */
static gs_node *fused(gs_arena *a, const gs_node *n, int *channels) {
  gs_fuse class = gs_fuse_of(n->op);
  bool conv = class == GS_FUSE_CONV || class == GS_FUSE_FUSED_CONV;
  gs_node *f = GS_NEW(a, gs_node);
  *channels = conv ? CHANNELS : X + 1;
  *f = *n;
  f->op = gs_fuse_row(conv ? GS_FUSE_FUSED_CONV : GS_FUSE_FUSED_NORM);
  f->op_type = f->op->name;
  f->domain = f->op->domain;
  f->nin = *channels + SCALES;
  f->in = GS_NEWS(a, f->nin, gs_value *);
  gs_assert(n->nin <= f->nin);
  memcpy(f->in, n->in, (size_t)n->nin * sizeof *f->in);
  f->out = GS_NEWS(a, 1, gs_value *);
  return f;
}

/* The bound of a Clip that operand i is, or `none` where it is left out. */
static bool bound(const gs_node *n, int i, float none, float *b) {
  const gs_value *v = gs_node_in(n, i);
  *b = none;
  if (!v) return true;
  if (!v->constant || v->is_input || v->dtype != GS_FLOAT || v->rank)
    return false;
  const void *data = gs_tensor_bytes(v->constant);
  if (data) memcpy(b, data, sizeof *b);
  return data && *b == *b; /* of one that is no number nothing is left */
}

/* False: bounds that are not constants. */
static bool params_of(const gs_node *n, float param[2]) {
  const gs_fuse_number *number = gs_fuse_numbers(n->op);
  if (gs_fuse_of(n->op) == GS_FUSE_CLIP)
    return bound(n, 1, -INFINITY, &param[0]) &&
           bound(n, 2, INFINITY, &param[1]);
  for (int i = 0; i < 2; i++)
    param[i] = (float)(number[i].name ? gs_node_float(n, number[i].name,
                                                      number[i].value)
                                      : number[i].value);
  return true;
}

static void set_activation(gs_arena *a, gs_node *n, const char *name,
                           const float param[2]) {
  const float *both = gs_memdup(a, param, 2 * sizeof *param);
  gs_fuse_set(a, n, (gs_attr){.name = "activation",
                              .kind = GS_ATTR_STRING,
                              .s = {name, strlen(name)}});
  gs_fuse_set(a, n, (gs_attr){.name = "activation_params",
                              .kind = GS_ATTR_FLOATS,
                              .n = 2,
                              .floats = both});
}

static bool same_shape(const gs_value *x, const gs_value *y) {
  return x && x->dtype == y->dtype && x->rank == y->rank &&
         gs_same_dims(x->dims, y->dims, x->rank);
}

static bool known(const gs_value *v, const gs_fuse_facts *facts) {
  return v->dtype == GS_FLOAT && facts->fixed(facts->ctx, v);
}

/* Whether what is done to channels can be done to the weights of n. */
static bool weights_known(const gs_node *n, const gs_fuse_facts *facts) {
  const gs_value *b = gs_node_in(n, B);
  return known(n->in[W], facts) && (!b || known(b, facts));
}

static bool is_norm(const gs_node *n, const gs_fuse_facts *facts) {
  bool ok = !gs_node_int(n, "training_mode", 0) && n->nout == 1;
  for (int i = 1; i < 5 && ok; i++) ok = known(n->in[i], facts);
  return ok;
}

/* Whether operand k of n, which has two, is a number for each channel of its
 * result. */
static bool per_channel(const gs_node *n, int k, const gs_fuse_facts *facts) {
  const gs_value *v = n->in[k], *y = n->out[0];
  int d = v->rank - y->rank; /* of y's dim 0 in v */
  gs_assert(n->nin == 2);
  if (y->rank < 2 || d > 0 || d + 1 < 0 ||
      !same_shape(n->in[!k], y) || v->dims[d + 1] != y->dims[1])
    return false;
  return gs_product(v->dims, v->rank) == y->dims[1] && known(v, facts);
}

/* A normalisation, a factor and a term follow one another in this order, and
 * before a sum of tensors. */
static gs_node *fuse_channels(gs_arena *a, const gs_node *first,
                              const gs_node *next, int i,
                              const gs_fuse_facts *facts) {
  int at;
  gs_fuse two = gs_fuse_of(next->op);
  gs_node *f = fused(a, first, &at);
  bool conv = at == CHANNELS, term = f->in[at + TERM] != NULL;
  if (term || (conv && (f->in[Z] || !weights_known(f, facts)))) return NULL;
  if (two == GS_FUSE_SCALE) {
    if (i || f->in[at + SCALE] || f->in[at + FACTOR] || !is_norm(next, facts))
      return NULL;
    memcpy(&f->in[at + SCALE], &next->in[1], 4 * sizeof *f->in);
    double epsilon = gs_node_float(next, "epsilon", 1e-5);
    gs_fuse_set(a, f, (gs_attr){.name = "epsilon",
                                .kind = GS_ATTR_FLOAT,
                                .f = epsilon});
    return f;
  }
  if (next->nin != 2 || !per_channel(next, !i, facts)) return NULL;
  if (two == GS_FUSE_MUL && f->in[at + FACTOR]) return NULL;
  f->in[at + (two == GS_FUSE_MUL ? FACTOR : TERM)] = next->in[!i];
  return f;
}

/* What is added to a convolution; in[!i] of next. */
static gs_node *fuse_sum(gs_arena *a, const gs_node *first,
                         const gs_node *next, int i) {
  int at;
  gs_node *f = fused(a, first, &at);
  if (at != CHANNELS || f->in[Z] || next->nin != 2 ||
      !same_shape(next->in[!i], next->out[0]) ||
      !same_shape(next->in[i], next->out[0]))
    return NULL;
  f->in[Z] = next->in[!i];
  return f;
}

static gs_node *fuse_activation(gs_arena *a, const gs_node *first,
                                const gs_node *next, int i) {
  int at;
  float param[2];
  if (i || !params_of(next, param)) return NULL;
  gs_node *f = fused(a, first, &at);
  set_activation(a, f, next->op_type, param);
  return f;
}

/* Whether a fused node can begin with n. */
static bool begins(const gs_node *n, const gs_fuse_facts *facts) {
  gs_fuse class = gs_fuse_of(n->op);
  return (class == GS_FUSE_CONV || class == GS_FUSE_FUSED_CONV ||
          class == GS_FUSE_FUSED_NORM ||
          (class == GS_FUSE_SCALE && is_norm(n, facts))) &&
         n->in[X]->dtype == GS_FLOAT && !gs_node_attr(n, "activation");
}

static const gs_node *after_conv(gs_arena *a, const gs_node *first,
                                 const gs_node *next, int i,
                                 const gs_fuse_facts *facts) {
  gs_fuse two = gs_fuse_of(next->op);
  gs_node *f = NULL;
  if (!begins(first, facts)) return NULL;
  if (two >= GS_FUSE_ACTIVATION) f = fuse_activation(a, first, next, i);
  if (two == GS_FUSE_SCALE || two == GS_FUSE_MUL || two == GS_FUSE_ADD)
    f = fuse_channels(a, first, next, i, facts);
  if (two == GS_FUSE_ADD && !f) f = fuse_sum(a, first, next, i);
  if (f) f->out[0] = next->out[0];
  return f;
}

const gs_node *gs_kernel_fuse_gate(gs_arena *a, const gs_node *first,
                                   const gs_node *next, int i) {
  gs_fuse one = gs_fuse_of(first->op);
  if ((one != GS_FUSE_GATE && one != GS_FUSE_HARD_GATE) || next->nin != 2 ||
      gs_fuse_of(next->op) != GS_FUSE_MUL || next->in[!i] != first->in[0] ||
      first->in[0]->dtype != GS_FLOAT)
    return NULL;
  gs_node *f = gs_memdup(a, next, sizeof *next);
  f->op = gs_fuse_row(one == GS_FUSE_GATE ? GS_FUSE_GATED
                                          : GS_FUSE_HARD_GATED);
  f->op_type = f->op->name;
  f->domain = f->op->domain;
  f->nin = 1;
  f->in = gs_memdup(a, first->in, sizeof *first->in);
  f->nattr = 0;
  float had[2], has[2];
  params_of(first, had);
  params_of(f, has);
  return one == GS_FUSE_GATE || (had[0] == has[0] && had[1] == has[1]) ? f
                                                                       : NULL;
}

/* ---- weights that are dequantised ---- */

enum { COLUMNS = 32 }; /* fewer leave the tiles of narrow.h mostly empty */

/* Whether Gemm does no more than a product and a number for each column. */
static bool plain_gemm(const gs_node *n) {
  const gs_value *c = gs_node_in(n, 2), *y = n->out[0];
  return !gs_node_int(n, "transA", 0) && gs_node_float(n, "alpha", 1) == 1 &&
         (!c || (gs_node_float(n, "beta", 1) == 1 && c->rank == 1 &&
                 c->dims[0] == y->dims[1]));
}

/* Whether there is a kernel that multiplies by what n dequantises, columns
 * along dim `column`. */
static bool narrow_weights(gs_arena *a, const gs_node *n, int column,
                           const gs_fuse_facts *facts, gs_quant_layout *q) {
  const gs_value *w = n->in[0];
  gs_err e;
  gs_err_init(&e);
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] && !facts->fixed(facts->ctx, n->in[i])) return false;
  gs_dtype t = n->in[1]->dtype;
  return w->rank == 2 && w->dims[column] >= COLUMNS && w->dims[!column] > 0 &&
         gs_dtype_code(w->dtype) &&
         (t == GS_FLOAT || t == GS_FLOAT16 || t == GS_BFLOAT16) &&
         !gs_quant_layout_of(a, n, q, &e) && gs_quant_by_column(q, column);
}

static const gs_node *dequantised(gs_arena *a, const gs_node *first,
                                  const gs_node *next,
                                  const gs_fuse_facts *facts) {
  bool gemm = gs_fuse_of(next->op) == GS_FUSE_GEMM;
  bool trans = gemm && gs_node_int(next, "transB", 0);
  gs_quant_layout q;
  if ((gemm && !plain_gemm(next)) || next->in[0]->rank < 1 ||
      !narrow_weights(a, first, !trans, facts, &q))
    return NULL;
  gs_node *f = GS_NEW(a, gs_node);
  *f = *next;
  f->op = gs_fuse_row(GS_FUSE_DEQUANT_MATMUL);
  f->op_type = f->op->name;
  f->domain = f->op->domain;
  f->attr = NULL;
  f->nattr = 0;
  f->nin = 5;
  f->in = GS_NEWS(a, 5, gs_value *);
  f->in[0] = next->in[0];
  for (int i = 0; i < 3; i++) f->in[1 + i] = gs_node_in(first, i);
  if (gemm) f->in[4] = gs_node_in(next, 2);
  int64_t block = q.kind == GS_QUANT_BLOCK ? q.block : 0;
  gs_fuse_set_int(a, f, "axis", q.axis);
  gs_fuse_set_int(a, f, "block_size", block);
  gs_fuse_set_int(a, f, "transB", trans);
  return f;
}

bool gs_kernel_repeats(const gs_node *n) {
  return gs_fuse_of(n->op) == GS_FUSE_DEQUANTIZE;
}

const gs_node *gs_kernel_fuse(gs_arena *a, const gs_node *first,
                              const gs_node *next, int i,
                              const gs_fuse_facts *facts) {
  gs_fuse two = gs_fuse_of(next->op);
  if (gs_fuse_of(first->op) != GS_FUSE_DEQUANTIZE)
    return after_conv(a, first, next, i, facts);
  if (i != 1 || (two != GS_FUSE_MATMUL && two != GS_FUSE_GEMM)) return NULL;
  return dequantised(a, first, next, facts);
}
