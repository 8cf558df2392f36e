/* Rules, shapes and local forms of the quantised products.
 *
 * Parameters (scales, zero points) of a matrix are one element, a vector
 * (per row of a, per column of b), or [..., m, 1] and [..., 1, n]. */
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"
#include "op/rows/nn/scales.h"

gs_rule_fn gs_rule_matmul_integer, gs_rule_qlinear_matmul;
gs_shape_fn gs_shape_matmul_integer, gs_shape_qlinear_matmul,
    gs_shape_g_dequant_matmul;
gs_local_fn gs_local_matmul_integer;

/* How many of the last dims of v are not batch. */
static int matrix_dims(const gs_value *v) { return v->rank < 2 ? v->rank : 2; }

static bool single(const gs_value *v) {
  return v->rank == 0 || (v->rank == 1 && v->dims[0] == 1);
}

/* ---- shapes ---- */

/* Operands a and b of n multiplied. */
static gs_status product(gs_graph *g, gs_node *n, int ia, int ib, int *rank,
                         int64_t *dims, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[ia], *y = n->in[ib];
  *rank = 0;
  if (x->rank && y->rank &&
      x->dims[x->rank - 1] == y->dims[y->rank - matrix_dims(y)] &&
      gs_shape_merge(rank, dims, x->rank - matrix_dims(x), x->dims) &&
      gs_shape_merge(rank, dims, y->rank - matrix_dims(y), y->dims)) {
    if (x->rank > 1) dims[(*rank)++] = x->dims[x->rank - 2];
    if (y->rank > 1) dims[(*rank)++] = y->dims[y->rank - 1];
    return GS_OK;
  }
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "'%s' %s and '%s' %s cannot be multiplied", x->name,
                 gs_shape_text(a, x->dtype, x->rank, x->dims), y->name,
                 gs_shape_text(a, y->dtype, y->rank, y->dims));
}

/* Operand p is a parameter of matrix v: per row, or per column. */
static gs_status parameter(gs_arena *a, const gs_node *n, const gs_value *v,
                           int i, bool per_row, gs_err *e) {
  const gs_value *p = gs_node_in(n, i);
  if (!p || single(p)) return GS_OK;
  int along = per_row ? v->rank - 2 : v->rank - 1;
  bool fits = v->rank > 1;
  if (fits && p->rank == 1) {
    fits = p->dims[0] == v->dims[along];
  } else if (fits) {
    fits = p->rank == v->rank;
    for (int d = 0; fits && d < v->rank; d++)
      fits = p->dims[d] == 1 ||
             (p->dims[d] == v->dims[d] && (d < v->rank - 2 || d == along));
  }
  if (fits) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' %s is neither one element nor one per %s of "
                 "'%s' %s", i, p->name,
                 gs_shape_text(a, p->dtype, p->rank, p->dims),
                 per_row ? "row" : "column", v->name,
                 gs_shape_text(a, v->dtype, v->rank, v->dims));
}

static bool is_byte(gs_dtype t) { return t == GS_INT8 || t == GS_UINT8; }

static gs_status want_type(gs_arena *a, const gs_node *n, int i, bool right,
                           const char *what, gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v || right) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' is %s, but must be %s", i, v->name,
                 gs_dtype_get((int)v->dtype)->text, what);
}

gs_status gs_shape_matmul_integer(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  int rank;
  int64_t dims[GS_MAX_RANK];
  for (int i = 0; i < 2; i++) {
    GS_TRY(want_type(a, n, i, is_byte(n->in[i]->dtype), "i8 or u8", e));
    GS_TRY(gs_shape_same_type(a, n, i, i + 2, e));
    GS_TRY(parameter(a, n, n->in[i], i + 2, i == 0, e));
  }
  GS_TRY(product(g, n, 0, 1, &rank, dims, e));
  return gs_shape_set(g, n, 0, GS_INT32, rank, dims, e);
}

static bool is_quantised(gs_dtype t) {
  return is_byte(t) || t == GS_FLOAT8E4M3FN || t == GS_FLOAT8E4M3FNUZ ||
         t == GS_FLOAT8E5M2 || t == GS_FLOAT8E5M2FNUZ;
}

/* Operands: a, scale, zero; b, scale, zero; scale and zero of the result. */
gs_status gs_shape_qlinear_matmul(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  int rank;
  int64_t dims[GS_MAX_RANK];
  for (int i = 0; i < 8; i++)
    if (!n->in[i])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "operand %d is left out", i);
  gs_dtype zero = n->in[7]->dtype;
  for (int i = 0; i < 6; i += 3) {
    GS_TRY(want_type(a, n, i, is_quantised(n->in[i]->dtype),
                     "i8, u8 or a float of 8 bits", e));
    GS_TRY(gs_shape_same_type(a, n, i, i + 2, e));
    gs_dtype t = n->in[i + 1]->dtype;
    GS_TRY(want_type(a, n, i + 1,
                     t == GS_FLOAT || t == GS_FLOAT16 || t == GS_BFLOAT16,
                     "f32, f16 or bf16", e));
    GS_TRY(gs_shape_same_type(a, n, i + 1, 6, e));
    GS_TRY(parameter(a, n, n->in[i], i + 1, i == 0, e));
    GS_TRY(parameter(a, n, n->in[i], i + 2, i == 0, e));
  }
  GS_TRY(want_type(a, n, 7, is_quantised(zero), "i8, u8 or a float of 8 bits",
                   e));
  for (int i = 6; i < 8; i++)
    if (!single(n->in[i]))
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                     "operand %d '%s' %s has more than one element", i,
                     n->in[i]->name,
                     gs_shape_text(a, n->in[i]->dtype, n->in[i]->rank,
                                   n->in[i]->dims));
  GS_TRY(product(g, n, 0, 3, &rank, dims, e));
  return gs_shape_set(g, n, 0, zero, rank, dims, e);
}

/* ---- rules ---- */

/* Gives parameter i of matrix v (operand iv) the factors of its dims. */
static void put_parameter(const gs_node *n, gs_rule *r, int iv, int i,
                          bool per_row) {
  const gs_value *v = n->in[iv], *p = gs_node_in(n, i);
  if (!p || single(p)) return;
  for (int d = 0; d < p->rank; d++) {
    int at = p->rank > 1 ? d : per_row ? v->rank - 2 : v->rank - 1;
    if (p->dims[d] == v->dims[at] && r->in[iv].dim[at].n)
      gs_rule_put(&r->in[i], d, r->in[iv].dim[at].f[0]);
  }
}

/* Like MatMul's; the summed factor is of that kind. */
static void product_rule(gs_arena *a, const gs_node *n, gs_rule *r, int ia,
                         int ib, gs_factor_kind kind) {
  const gs_value *x = n->in[ia], *y = n->in[ib], *z = n->out[0];
  gs_rule_begin(a, n, r);
  bool rows = x->rank > 1, cols = y->rank > 1;
  int nbatch = z->rank - rows - cols;
  for (int d = 0; d < z->rank; d++) {
    int f = gs_rule_factor(r, z->dims[d], GS_PASS);
    gs_rule_put(&r->out[0], d, f);
    for (int i = 0; i < 2 && d < nbatch; i++) {
      const gs_value *v = i ? y : x;
      int at = d - (nbatch - (v->rank - matrix_dims(v)));
      if (at >= 0 && v->dims[at] == z->dims[d])
        gs_rule_put(&r->in[i ? ib : ia], at, f);
    }
    if (rows && d == nbatch) gs_rule_put(&r->in[ia], x->rank - 2, f);
    if (cols && d == nbatch + rows) gs_rule_put(&r->in[ib], y->rank - 1, f);
  }
  int k = gs_rule_factor(r, x->dims[x->rank - 1], kind);
  gs_rule_put(&r->in[ia], x->rank - 1, k);
  gs_rule_put(&r->in[ib], y->rank - matrix_dims(y), k);
}

gs_status gs_rule_matmul_integer(gs_arena *a, const gs_node *n, gs_rule *r,
                                 gs_err *e) {
  (void)e;
  product_rule(a, n, r, 0, 1, GS_SUMMED);
  put_parameter(n, r, 0, 2, true);
  put_parameter(n, r, 1, 3, false);
  return GS_OK;
}

/* The result is rounded, so it is the sums before that are added: of integers,
 * for floats of 8 bits have no such form. */
gs_status gs_rule_qlinear_matmul(gs_arena *a, const gs_node *n, gs_rule *r,
                                 gs_err *e) {
  (void)e;
  bool integers = is_byte(n->in[0]->dtype) && is_byte(n->in[3]->dtype) &&
                  is_byte(n->in[7]->dtype);
  bool matrices = n->in[0]->rank > 1 && n->in[3]->rank > 1;
  product_rule(a, n, r, 0, 3, integers && matrices ? GS_STATS : GS_WHOLE);
  for (int i = 1; i < 3; i++) {
    put_parameter(n, r, 0, i, true);
    put_parameter(n, r, 3, i + 3, false);
  }
  return GS_OK;
}

/* ---- local form ---- */

/* Zero point i as i32 in a shape that broadcasts to the result. */
static gs_value *zero_point(gs_local *l, int i, bool per_row) {
  gs_value *p = gs_local_cast(l, l->in[i], GS_INT32);
  int other = l->in[per_row ? 1 : 0]->rank, rank = 0;
  int64_t dims[GS_MAX_RANK + 1];
  if (!single(p)) {
    int drop = per_row ? p->rank - 1 : p->rank - 2;
    for (int d = 0; d < p->rank; d++)
      if (p->rank == 1 || other > 1 || d != drop) dims[rank++] = p->dims[d];
    if (p->rank == 1 && per_row && other > 1) dims[rank++] = 1;
  }
  gs_value *in[2] = {p, gs_value_ints(l->program, NULL, dims, rank)};
  return gs_local_emit(l, "", "Reshape", in, 2, GS_INT32, rank, dims)->out[0];
}

/* How many of this device's `block` indices of the summed dim of n lie past
 * its end, as an i32 scalar. */
static gs_value *overhang(gs_local *l, const gs_axes *axes, int64_t block,
                          int64_t n) {
  gs_node *at = gs_local_emit(l, "ai.gshard", "Coordinate", NULL, 0, GS_INT64,
                              0, NULL);
  gs_node_set_axes(l->program, at, "axes", axes);
  gs_value *by[2] = {at->out[0], gs_local_scalar(l, GS_INT64, (double)block)};
  gs_value *start = gs_local_like(l, "Mul", by, 2)->out[0];
  gs_value *add[2] = {start,
                      gs_local_scalar(l, GS_INT64, (double)(block - n))};
  gs_value *over = gs_local_like(l, "Add", add, 2)->out[0];
  gs_value *clip[3] = {over, gs_local_scalar(l, GS_INT64, 0),
                       gs_local_scalar(l, GS_INT64, (double)block)};
  return gs_local_cast(l, gs_local_like(l, "Clip", clip, 3)->out[0],
                       GS_INT32);
}

/* Padding along a split k is 0 in both matrices, so that each place of it
 * adds za * zb when there are both zero points: this is taken off again. */
gs_status gs_local_matmul_integer(gs_local *l, gs_err *e) {
  (void)e;
  const gs_value *x = l->node->in[0];
  int64_t n = x->dims[x->rank - 1], block = l->in[0]->dims[x->rank - 1];
  gs_node *same = gs_local_same(l);
  int f = l->rule->in[0].dim[x->rank - 1].f[0];
  const gs_axes *axes = &l->factor[f];
  if (!axes->n || block * gs_axes_size(l->mesh, axes) == n ||
      !gs_node_in(l->node, 2) || !gs_node_in(l->node, 3))
    return GS_OK;
  gs_value *za = zero_point(l, 2, true), *zb = zero_point(l, 3, false);
  gs_value *in[2] = {za, zb};
  int rank = 0;
  int64_t dims[GS_MAX_RANK];
  gs_shape_merge(&rank, dims, za->rank, za->dims);
  gs_shape_merge(&rank, dims, zb->rank, zb->dims);
  in[0] = gs_local_emit(l, "", "Mul", in, 2, GS_INT32, rank, dims)->out[0];
  in[1] = overhang(l, axes, block, n);
  in[1] = gs_local_like(l, "Mul", in, 2)->out[0];
  in[0] = same->out[0];
  l->out[0] = gs_local_like(l, "Sub", in, 2)->out[0];
  return GS_OK;
}

/* ---- DequantMatMul ---- */

/* Operand 0 by what DequantizeLinear makes of operands 1 to 3, a matrix; and
 * a number for each column, operand 4, which is added. */
gs_status gs_shape_g_dequant_matmul(gs_graph *g, gs_node *n, gs_err *e) {
  enum { X, W, SCALE, ZERO, BIAS };
  gs_arena *a = g->arena;
  const gs_value *x = n->in[X], *w = n->in[W], *s = n->in[SCALE];
  const gs_value *bias = gs_node_in(n, BIAS);
  int column = !gs_node_int(n, "transB", 0);
  if (w->rank != 2 || !gs_dtype_code(w->dtype) || x->rank < 1 ||
      x->dims[x->rank - 1] != w->dims[!column])
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' %s and '%s' %s cannot be multiplied", x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims), w->name,
                   gs_shape_text(a, w->dtype, w->rank, w->dims));
  GS_TRY(gs_shape_same_type(a, n, W, ZERO, e));
  GS_TRY(gs_shape_same_type(a, n, X, BIAS, e));
  gs_node one = *n; /* DequantizeLinear */
  one.in = n->in + W;
  one.nin = gs_node_in(n, ZERO) ? 3 : 2;
  gs_quant_layout q;
  GS_TRY(gs_quant_layout_of(a, &one, &q, e));
  GS_TRY(gs_quant_check_zero(a, &one, e));
  if (s->dtype != GS_FLOAT && s->dtype != GS_FLOAT16 && s->dtype != GS_BFLOAT16)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n), "the scale is %s",
                   gs_dtype_get((int)s->dtype)->text);
  if (!gs_quant_by_column(&q, column))
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "the scales of '%s' %s are neither one for each of its "
                   "columns nor for blocks along them", w->name,
                   gs_shape_text(a, w->dtype, w->rank, w->dims));
  int64_t dims[GS_MAX_RANK];
  memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  dims[x->rank - 1] = w->dims[column];
  if (bias && (bias->rank != 1 || bias->dims[0] != w->dims[column]))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' is %s, not [%lld]", bias->name,
                   gs_shape_text(a, bias->dtype, bias->rank, bias->dims),
                   (long long)w->dims[column]);
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}
