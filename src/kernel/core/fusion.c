#include "kernel/core/fusion.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"

/* Operands of FusedConv, see conv.c. */
enum { X, W, B, Z, SCALE, BIAS, MEAN, VAR, OPERANDS };

static void set(gs_arena *a, gs_node *n, gs_attr attr) {
  gs_attr *more = GS_NEWS(a, n->nattr + 1, gs_attr);
  if (n->nattr) memcpy(more, n->attr, (size_t)n->nattr * sizeof *more);
  more[n->nattr++] = attr;
  n->attr = more;
}

/* A FusedConv that does what the convolution n does. */
static gs_node *fused_conv(gs_arena *a, const gs_node *n) {
  gs_node *f = GS_NEW(a, gs_node);
  *f = *n;
  f->op = gs_fuse_row(GS_FUSE_FUSED_CONV);
  f->op_type = f->op->name;
  f->domain = f->op->domain;
  f->nin = OPERANDS;
  f->in = GS_NEWS(a, OPERANDS, gs_value *);
  gs_assert(n->nin <= OPERANDS);
  memcpy(f->in, n->in, (size_t)n->nin * sizeof *f->in);
  f->out = GS_NEWS(a, 1, gs_value *);
  return f;
}

/* The numbers of activations that have some: attributes or, without a name,
 * always these. */
static const struct numbers {
  const char *op;
  struct {
    const char *name;
    double value;
  } at[2];
} numbers[] = {
    {"Elu", {{"alpha", 1}, {0}}},
    {"HardSigmoid", {{"alpha", 0.20000000298023224}, {"beta", 0.5}}},
    {"HardSwish", {{0, 1.0 / 6}, {0, 0.5}}},
    {"LeakyRelu", {{"alpha", 0.009999999776482582}, {0}}},
    {"Swish", {{"alpha", 1}, {0}}},
};

/* The bound of a Clip that operand i is, or `none` where it is left out. */
static bool bound(const gs_node *n, int i, float none, float *b) {
  const gs_value *v = gs_node_in(n, i);
  *b = none;
  if (!v) return true;
  if (!v->constant || v->is_input || v->dtype != GS_FLOAT || v->rank)
    return false;
  const void *data = gs_tensor_bytes(v->constant);
  if (data) memcpy(b, data, sizeof *b);
  return data != NULL;
}

/* False: bounds that are not constants. */
static bool params_of(const gs_node *n, float param[2]) {
  param[0] = param[1] = 0;
  if (!strcmp(n->op_type, "Clip"))
    return bound(n, 1, -INFINITY, &param[0]) &&
           bound(n, 2, INFINITY, &param[1]);
  for (size_t r = 0; r < sizeof numbers / sizeof *numbers; r++)
    for (int i = 0; i < 2 && !strcmp(numbers[r].op, n->op_type); i++) {
      const char *name = numbers[r].at[i].name;
      double value = numbers[r].at[i].value;
      param[i] = (float)(name ? gs_node_float(n, name, value) : value);
    }
  return true;
}

static void set_activation(gs_arena *a, gs_node *n, const char *name,
                           const float param[2]) {
  set(a, n, (gs_attr){.name = "activation", .kind = GS_ATTR_STRING,
                      .s = {name, strlen(name)}});
  set(a, n, (gs_attr){.name = "activation_params", .kind = GS_ATTR_FLOATS,
                      .n = 2,
                      .floats = gs_memdup(a, param, 2 * sizeof *param)});
}

static bool same_shape(const gs_value *x, const gs_value *y) {
  return x && x->dtype == y->dtype && x->rank == y->rank &&
         gs_same_dims(x->dims, y->dims, x->rank);
}

/* f32 statistics that are known, of a convolution that is. */
static bool scales(const gs_node *first, const gs_node *next,
                   const gs_fuse_facts *facts) {
  if (gs_node_int(next, "training_mode", 0) || next->nout != 1) return false;
  if (!facts->fixed(facts->ctx, first->in[W])) return false;
  const gs_value *b = gs_node_in(first, B);
  if (b && !facts->fixed(facts->ctx, b)) return false;
  for (int i = 1; i < 5; i++) {
    const gs_value *v = next->in[i];
    if (v->dtype != GS_FLOAT || !facts->fixed(facts->ctx, v)) return false;
  }
  return true;
}

const gs_node *gs_kernel_fuse(gs_arena *a, const gs_node *first,
                              const gs_node *next, int i,
                              const gs_fuse_facts *facts) {
  gs_fuse one = gs_fuse_of(first->op), two = gs_fuse_of(next->op);
  if (one != GS_FUSE_CONV && one != GS_FUSE_FUSED_CONV) return NULL;
  if (first->in[X]->dtype != GS_FLOAT || gs_node_attr(first, "activation"))
    return NULL;
  bool added = gs_node_in(first, Z) != NULL;
  gs_node *f;
  float param[2];
  if (two == GS_FUSE_ACTIVATION && i == 0 && params_of(next, param)) {
    f = fused_conv(a, first);
    set_activation(a, f, next->op_type, param);
  } else if (two == GS_FUSE_ADD && !added &&
             same_shape(next->in[!i], next->out[0]) &&
             same_shape(next->in[i], next->out[0])) {
    f = fused_conv(a, first);
    f->in[Z] = next->in[!i];
  } else if (two == GS_FUSE_SCALE && i == 0 && !added &&
             !gs_node_in(first, SCALE) && scales(first, next, facts)) {
    f = fused_conv(a, first);
    memcpy(&f->in[SCALE], &next->in[1], 4 * sizeof *f->in);
    double epsilon = gs_node_float(next, "epsilon", 1e-5);
    set(a, f, (gs_attr){.name = "epsilon", .kind = GS_ATTR_FLOAT,
                        .f = epsilon});
  } else {
    return NULL;
  }
  f->out[0] = next->out[0];
  return f;
}
