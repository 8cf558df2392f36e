/* Rows whose results' sizes depend on data. */
#include "op/core/rule.h"
#include "op/core/shape.h"

/* GS_DATA when operand i is known to be of another rank or type. */
static gs_status want(gs_graph *g, const gs_node *n, int i, int rank,
                      gs_dtype t, gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v) return GS_OK;
  bool shaped = gs_value_shaped(v);
  if ((rank < 0 || !shaped || v->rank == rank) &&
      (!t || !v->dtype || v->dtype == t))
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "operand '%s' is %s where %s of rank %d is needed", v->name,
                 gs_shape_text(g->arena, v->dtype, v->rank, v->dims),
                 gs_dtype_get((int)(t ? t : v->dtype))->text,
                 rank < 0 ? v->rank : rank);
}

gs_status gs_shape_non_zero(gs_graph *g, gs_node *n, gs_err *e) {
  return gs_shape_dynamic(g, n, 0, GS_TENSOR, GS_INT64, e);
}

gs_status gs_shape_compress(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want(g, n, 1, 1, GS_BOOL, e));
  return gs_shape_dynamic(g, n, 0, GS_TENSOR, n->in[0]->dtype, e);
}

gs_status gs_shape_unique(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(gs_shape_dynamic(g, n, 0, GS_TENSOR, n->in[0]->dtype, e));
  for (int i = 1; i < n->nout; i++)
    GS_TRY(gs_shape_dynamic(g, n, i, GS_TENSOR, GS_INT64, e));
  return GS_OK;
}

gs_status gs_shape_non_max(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want(g, n, 0, 3, GS_FLOAT, e));
  GS_TRY(want(g, n, 1, 3, GS_FLOAT, e));
  return gs_shape_dynamic(g, n, 0, GS_TENSOR, GS_INT64, e);
}
