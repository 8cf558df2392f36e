/* Shapes of QuantizedMatMul and QuantizedConv of ai.gshard. */
#include <string.h>

#include "base/math.h"
#include "op/core/shape.h"
#include "op/rule/window.h"

gs_shape_fn gs_shape_g_quant_matmul, gs_shape_g_quant_conv;

enum { X, X_SCALE, X_ZERO, W, W_SCALE, W_ZERO, BIAS, Y_SCALE, Y_ZERO };

static bool is_byte(gs_dtype t) { return t == GS_INT8 || t == GS_UINT8; }

static gs_status misfit(gs_arena *a, const gs_node *n, int i, gs_err *e) {
  const gs_value *v = n->in[i];
  return gs_fail(e, GS_DATA, gs_node_place(a, n), "operand %d '%s' %s does not "
                 "fit the others", i, v->name,
                 gs_shape_text(a, v->dtype, v->rank, v->dims));
}

/* Types, and one number or `lines` of scales, zero points and bias. */
static gs_status check(gs_arena *a, const gs_node *n, int64_t lines,
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
  GS_TRY(check(g->arena, n, w->dims[column], e));
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
  GS_TRY(check(g->arena, n, w->dims[0], e));
  GS_TRY(gs_window_read(g->arena, n, x, w->dims + 2, &window, e));
  int64_t dims[GS_MAX_RANK] = {x->dims[0], w->dims[0]};
  memcpy(dims + 2, window.out, (size_t)window.n * sizeof *dims);
  return gs_shape_set(g, n, 0, result_type(n), x->rank, dims, e);
}
