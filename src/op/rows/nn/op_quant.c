/* Rules and shapes of the rows of section "quantisation". */
#include "op/rows/nn/scales.h"

#include <string.h>

#include "base/math.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"
#include "op/rule/window.h"

gs_rule_fn gs_rule_quantize;
gs_shape_fn gs_shape_quantize, gs_shape_dequantize, gs_shape_g_quant_matmul,
    gs_shape_g_quant_conv;

/* ---- QuantizeLinear, DequantizeLinear ---- */

static gs_status wrong_shape(gs_arena *a, const gs_node *n, int i,
                             gs_err *e) {
  const gs_value *x = n->in[0], *v = n->in[i];
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' %s does not fit '%s' %s: neither one "
                 "element, nor one per index of the axis, nor one per block",
                 i, v->name, gs_shape_text(a, v->dtype, v->rank, v->dims),
                 x->name, gs_shape_text(a, x->dtype, x->rank, x->dims));
}

static bool single(const gs_value *v) {
  return v->rank == 0 || (v->rank == 1 && v->dims[0] == 1);
}

gs_status gs_quant_layout_of(gs_arena *a, const gs_node *n,
                             gs_quant_layout *q, gs_err *e) {
  const gs_value *x = n->in[0], *s = n->in[1];
  *q = (gs_quant_layout){.kind = GS_QUANT_TENSOR};
  int64_t block = gs_node_int(n, "block_size", 0);
  if (block < 0)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'block_size' is %lld", (long long)block);
  if (single(s)) return GS_OK;
  /* The default axis 1 is out of range for a vector, which has only one. */
  int64_t otherwise = x->rank == 1 ? 0 : 1;
  GS_TRY(gs_shape_axis_attr(a, n, "axis", otherwise, &q->axis, e));
  q->kind = block ? GS_QUANT_BLOCK : GS_QUANT_AXIS;
  q->block = block;
  if (!block) {
    if (s->rank != 1 || s->dims[0] != x->dims[q->axis])
      return wrong_shape(a, n, 1, e);
    return GS_OK;
  }
  bool fits = s->rank == x->rank;
  for (int d = 0; fits && d < x->rank; d++)
    fits = s->dims[d] ==
           (d == q->axis ? gs_ceil_div(x->dims[d], block) : x->dims[d]);
  return fits ? GS_OK : wrong_shape(a, n, 1, e);
}

gs_status gs_quant_check_zero(gs_arena *a, const gs_node *n, gs_err *e) {
  const gs_value *s = n->in[1], *z = gs_node_in(n, 2);
  if (!z || (single(s) && single(z))) return GS_OK;
  if (s->rank == z->rank && gs_same_dims(s->dims, z->dims, s->rank))
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "the zero point '%s' %s does not have the shape of the scale "
                 "'%s' %s", z->name,
                 gs_shape_text(a, z->dtype, z->rank, z->dims), s->name,
                 gs_shape_text(a, s->dtype, s->rank, s->dims));
}

static gs_status bad_type(gs_arena *a, const gs_node *n, const char *what,
                          gs_dtype t, gs_err *e) {
  return gs_fail(e, GS_DATA, gs_node_place(a, n), "%s is %s", what,
                 gs_dtype_get((int)t)->text);
}

bool gs_dtype_quantised(gs_dtype t) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  if (d->cls == 'i' || d->cls == 'u') return d->bits <= 16;
  return d->cls == 'f' && d->bits <= 8 && t != GS_FLOAT8E8M0;
}

bool gs_dtype_code(gs_dtype t) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  return (d->cls == 'i' || d->cls == 'u') && d->bits <= 8;
}

bool gs_quant_by_column(const gs_quant_layout *q, int column) {
  switch (q->kind) {
  case GS_QUANT_TENSOR: return true;
  case GS_QUANT_AXIS: return q->axis == column;
  case GS_QUANT_BLOCK: break;
  }
  return q->axis == 1 - column && q->block % GS_QUANT_RUN == 0;
}

static bool is_real(gs_dtype t) {
  return t == GS_FLOAT || t == GS_FLOAT16 || t == GS_BFLOAT16;
}

gs_status gs_shape_quantize(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *s = n->in[1], *z = gs_node_in(n, 2);
  gs_quant_layout q;
  GS_TRY(gs_quant_layout_of(a, n, &q, e));
  GS_TRY(gs_quant_check_zero(a, n, e));
  if (!is_real(x->dtype) && x->dtype != GS_INT32)
    return bad_type(a, n, "what is quantised", x->dtype, e);
  if (!is_real(s->dtype) && s->dtype != GS_INT32 && s->dtype != GS_FLOAT8E8M0)
    return bad_type(a, n, "the scale", s->dtype, e);
  int64_t to = gs_node_int(n, "output_dtype", 0);
  if (!to) to = z ? z->dtype : GS_UINT8;
  if (to < 0 || to >= GS_NDTYPE || !gs_dtype_quantised((gs_dtype)to))
    return bad_type(a, n, "the type to quantise to", (gs_dtype)to, e);
  if (z && z->dtype != (gs_dtype)to)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "the zero point '%s' is %s, but attribute 'output_dtype' is "
                   "%s", z->name, gs_dtype_get((int)z->dtype)->text,
                   gs_dtype_get((int)to)->text);
  int64_t precision = gs_node_int(n, "precision", 0);
  if (precision && !is_real((gs_dtype)precision))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'precision' is %lld, neither f32, f16 nor bf16",
                   (long long)precision);
  return gs_shape_set(g, n, 0, (gs_dtype)to, x->rank, x->dims, e);
}

gs_status gs_shape_dequantize(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *s = n->in[1];
  gs_quant_layout q;
  GS_TRY(gs_quant_layout_of(a, n, &q, e));
  GS_TRY(gs_quant_check_zero(a, n, e));
  GS_TRY(gs_shape_same_type(a, n, 0, 2, e));
  if (!gs_dtype_quantised(x->dtype) && x->dtype != GS_INT32)
    return bad_type(a, n, "what is dequantised", x->dtype, e);
  if (!is_real(s->dtype) && s->dtype != GS_FLOAT8E8M0)
    return bad_type(a, n, "the scale", s->dtype, e);
  int64_t to = gs_node_int(n, "output_dtype", 0);
  if (!to) to = s->dtype;
  if (!is_real((gs_dtype)to))
    return bad_type(a, n, "the type to dequantise to",
                    to < 0 || to >= GS_NDTYPE ? GS_UNDEFINED : (gs_dtype)to,
                    e);
  return gs_shape_set(g, n, 0, (gs_dtype)to, x->rank, x->dims, e);
}

/* Dim d of scale and zero point, where they are there. */
static void put_scale(const gs_node *n, gs_rule *r, int d, int f) {
  for (int i = 1; i < 3; i++)
    if (gs_node_in(n, i)) gs_rule_put(&r->in[i], d, f);
}

/* All dims pass; the quantised axis is split at blocks only, together with
 * the scales. */
gs_status gs_rule_quantize(gs_arena *a, const gs_node *n, gs_rule *r,
                           gs_err *e) {
  gs_quant_layout q;
  const gs_value *x = n->in[0];
  GS_TRY(gs_quant_layout_of(a, n, &q, e));
  gs_rule_begin(a, n, r);
  for (int d = 0; d < x->rank; d++) {
    bool axis = d == q.axis;
    int64_t blocks = q.kind == GS_QUANT_BLOCK && axis ? n->in[1]->dims[d] : 1;
    bool even = blocks == 1 || x->dims[d] == blocks * q.block;
    int major = gs_rule_factor(r, even && blocks > 1 ? blocks : x->dims[d],
                               even ? GS_PASS : GS_WHOLE);
    gs_rule_put(&r->in[0], d, major);
    gs_rule_put(&r->out[0], d, major);
    if (q.kind == GS_QUANT_AXIS && axis) put_scale(n, r, 0, major);
    if (q.kind == GS_QUANT_BLOCK && (!axis || (blocks > 1 && even)))
      put_scale(n, r, d, major);
    if (blocks == 1) continue;
    if (!even) {
      put_scale(n, r, d, gs_rule_whole(r, blocks));
    } else if (q.block > 1) {
      int minor = gs_rule_whole(r, q.block);
      gs_rule_put(&r->in[0], d, minor);
      gs_rule_put(&r->out[0], d, minor);
    }
  }
  return GS_OK;
}

/* ---- QuantizedMatMul, QuantizedConv ---- */

enum { X, X_SCALE, W, W_SCALE, X_ZERO, W_ZERO, BIAS, Y_SCALE, Y_ZERO };

static bool is_byte(gs_dtype t) { return t == GS_INT8 || t == GS_UINT8; }

static gs_status misfit(gs_arena *a, const gs_node *n, int i, gs_err *e) {
  const gs_value *v = n->in[i];
  return gs_fail(e, GS_DATA, gs_node_place(a, n), "operand %d '%s' %s does not "
                 "fit the others", i, v->name,
                 gs_shape_text(a, v->dtype, v->rank, v->dims));
}

/* Types, and one number or `lines` of scales, zero points and bias. */
static gs_status check_bytes(gs_arena *a, const gs_node *n, int64_t lines,
                             gs_err *e) {
  for (int i = 0; i <= Y_ZERO; i++) {
    const gs_value *v = gs_node_in(n, i);
    bool floats = i == X_SCALE || i == W_SCALE || i == BIAS || i == Y_SCALE;
    if (!v) continue;
    int64_t count = gs_product(v->dims, v->rank);
    bool by_line = i == W_SCALE || i == W_ZERO || i == BIAS;
    if (floats ? v->dtype != GS_FLOAT : !is_byte(v->dtype))
      return misfit(a, n, i, e);
    if (i != X && i != W && count != 1 && !(by_line && count == lines))
      return misfit(a, n, i, e);
  }
  GS_TRY(gs_shape_same_type(a, n, X, X_ZERO, e));
  return gs_shape_same_type(a, n, W, W_ZERO, e);
}

static gs_dtype result_type(const gs_node *n) {
  if (!gs_node_in(n, Y_SCALE)) return GS_FLOAT;
  const gs_value *z = gs_node_in(n, Y_ZERO);
  return z ? z->dtype : (gs_dtype)gs_node_int(n, "output_dtype", GS_UINT8);
}

gs_status gs_shape_g_quant_matmul(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[X], *w = n->in[W];
  int column = !gs_node_int(n, "transB", 0);
  if (x->rank < 1 || w->rank != 2 || w->dims[!column] != x->dims[x->rank - 1])
    return misfit(g->arena, n, W, e);
  GS_TRY(check_bytes(g->arena, n, w->dims[column], e));
  int64_t dims[GS_MAX_RANK];
  memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  dims[x->rank - 1] = w->dims[column];
  return gs_shape_set(g, n, 0, result_type(n), x->rank, dims, e);
}

gs_status gs_shape_g_quant_conv(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[X], *w = n->in[W];
  int64_t group = gs_node_int(n, "group", 1);
  gs_window window;
  if (x->rank < 3 || w->rank != x->rank || group < 1 || x->dims[1] % group ||
      w->dims[0] % group || w->dims[1] != x->dims[1] / group)
    return misfit(g->arena, n, W, e);
  GS_TRY(check_bytes(g->arena, n, w->dims[0], e));
  GS_TRY(gs_window_read(g->arena, n, x, w->dims + 2, &window, e));
  int64_t dims[GS_MAX_RANK] = {x->dims[0], w->dims[0]};
  memcpy(dims + 2, window.out, (size_t)window.n * sizeof *dims);
  return gs_shape_set(g, n, 0, result_type(n), x->rank, dims, e);
}
