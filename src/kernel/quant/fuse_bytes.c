#include "kernel/quant/fuse_bytes.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/conv/conv_bytes.h"
#include "op/rows/nn/scales.h"

/* Operands of the rows, see quant_step.c. */
enum { X, X_SCALE, W, W_SCALE, X_ZERO, W_ZERO, BIAS, Y_SCALE, Y_ZERO,
       OPERANDS };

static bool is_byte(const gs_value *v) {
  return v->dtype == GS_INT8 || v->dtype == GS_UINT8;
}

static bool single(const gs_value *v) {
  return v->rank == 0 || (v->rank == 1 && v->dims[0] == 1);
}

/* Bytes to f32, by f32 scales. */
static bool dequantises(const gs_node *n) {
  return gs_fuse_of(n->op) == GS_FUSE_DEQUANTIZE && is_byte(n->in[0]) &&
         n->in[1]->dtype == GS_FLOAT && n->out[0]->dtype == GS_FLOAT;
}

/* One scale, or one for each index of dim `line`. */
static bool by_line(gs_arena *a, const gs_node *n, int line) {
  gs_quant_layout q;
  gs_err e = {0};
  if (gs_quant_layout_of(a, n, &q, &e)) return false;
  return q.kind == GS_QUANT_TENSOR ||
         (q.kind == GS_QUANT_AXIS && q.axis == line);
}

/* v has one number for each of n columns, and no other dims. */
static bool is_row(const gs_value *v, int64_t n) {
  return v->dtype == GS_FLOAT && v->rank >= 1 &&
         v->dims[v->rank - 1] == n && gs_product(v->dims, v->rank) == n;
}

static bool plain_gemm(const gs_node *n, const gs_value *w) {
  const gs_value *c = gs_node_in(n, 2);
  if (gs_node_int(n, "transA", 0) || gs_node_float(n, "alpha", 1) != 1)
    return false;
  if (!c) return true;
  return gs_node_float(n, "beta", 1) == 1 && c->rank <= 2 &&
         is_row(c, w->dims[gs_node_int(n, "transB", 0) ? 0 : 1]);
}

/* Whether there is a kernel for the product n of x and w, which has lines along
 * dim *line of w. */
static bool fits(const gs_node *n, const gs_value *x, const gs_value *w,
                 int *line) {
  switch (gs_fuse_of(n->op)) {
  case GS_FUSE_CONV:
    *line = 0;
    return gs_conv_bytes_fits(x, w);
  case GS_FUSE_MATMUL:
    *line = 1;
    return w->rank == 2 && x->rank >= 1;
  case GS_FUSE_GEMM:
    *line = !gs_node_int(n, "transB", 0);
    return plain_gemm(n, w);
  default:
    return false;
  }
}

/* Whether sums over all of w but its lines fit into 32 bits, whatever bytes and
 * zero points are: the nodes sum floats. */
static bool sums_fit(const gs_value *w, int line) {
  const int64_t most = INT32_MAX / (255 * 255);
  return w->dims[line] == 0 ||
         gs_product(w->dims, w->rank) / w->dims[line] <= most;
}

const gs_node *gs_bytes_fuse(gs_arena *a, const gs_node *product,
                             const gs_node *x, const gs_node *w) {
  int line;
  if (!dequantises(x) || !dequantises(w) || !single(x->in[1]) ||
      product->out[0]->dtype != GS_FLOAT ||
      !fits(product, x->in[0], w->in[0], &line) || !by_line(a, w, line) ||
      !sums_fit(w->in[0], line))
    return NULL;
  bool conv = gs_fuse_of(product->op) == GS_FUSE_CONV;
  gs_node *f = GS_NEW(a, gs_node);
  *f = *product;
  f->op = gs_fuse_row(conv ? GS_FUSE_BYTES_CONV : GS_FUSE_BYTES_MATMUL);
  f->op_type = f->op->name;
  f->domain = f->op->domain;
  f->nin = OPERANDS;
  f->in = GS_NEWS(a, OPERANDS, gs_value *);
  memcpy(f->in + X, x->in, 2 * sizeof *f->in);
  memcpy(f->in + W, w->in, 2 * sizeof *f->in);
  f->in[X_ZERO] = gs_node_in(x, 2);
  f->in[W_ZERO] = gs_node_in(w, 2);
  f->in[BIAS] = gs_node_in(product, 2);
  f->out = gs_memdup(a, product->out, sizeof *f->out);
  if (conv) return f;
  f->attr = NULL;
  f->nattr = 0;
  if (!line) gs_fuse_set_int(a, f, "transB", 1);
  return f;
}

/* Whether next adds one number to each column of f. */
static bool adds_bias(const gs_node *f, const gs_node *next) {
  if (next->nin != 2) return false; /* Sum has any number */
  const gs_value *y = f->out[0], *sum = next->out[0];
  const gs_value *v = next->in[next->in[0] == y];
  return gs_fuse_of(f->op) == GS_FUSE_BYTES_MATMUL && !f->in[BIAS] &&
         !gs_node_int(f, "relu", 0) && y->rank >= 1 && v != y &&
         is_row(v, y->dims[y->rank - 1]) && sum->rank == y->rank &&
         gs_same_dims(sum->dims, y->dims, y->rank);
}

/* Whether next rounds f's result to bytes by one scale. */
static bool rounds(const gs_node *f, const gs_node *next) {
  int64_t precision = gs_node_int(next, "precision", 0);
  return next->in[0] == f->out[0] && is_byte(next->out[0]) &&
         next->in[1]->dtype == GS_FLOAT && single(next->in[1]) &&
         (!precision || precision == GS_FLOAT);
}

const gs_node *gs_bytes_fuse_next(gs_arena *a, const gs_node *f,
                                  const gs_node *next) {
  gs_fuse what = gs_fuse_of(next->op);
  if (f->in[Y_SCALE]) return NULL;
  gs_assert(f->nin == OPERANDS);
  gs_node *both = gs_memdup(a, f, sizeof *f);
  both->in = gs_memdup(a, f->in, OPERANDS * sizeof *f->in);
  if (what == GS_FUSE_ADD && adds_bias(f, next)) {
    both->in[BIAS] = next->in[next->in[0] == f->out[0]];
  } else if (what == GS_FUSE_RELU && !gs_node_int(f, "relu", 0)) {
    gs_fuse_set_int(a, both, "relu", 1);
  } else if (what == GS_FUSE_QUANTIZE && rounds(f, next)) {
    both->in[Y_SCALE] = next->in[1];
    both->in[Y_ZERO] = gs_node_in(next, 2);
    if (!both->in[Y_ZERO])
      gs_fuse_set_int(a, both, "output_dtype", (int64_t)next->out[0]->dtype);
  } else {
    return NULL;
  }
  both->out = gs_memdup(a, next->out, sizeof *both->out);
  return both;
}
