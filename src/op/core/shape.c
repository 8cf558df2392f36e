#include "op/core/shape.h"

#include <string.h>

#include "base/math.h"

/* ---- setting results ---- */

static bool contradicts(const gs_value *v, gs_dtype dtype) {
  return v->kind != GS_TENSOR ||
         (v->dtype != GS_UNDEFINED && v->dtype != dtype);
}

gs_status gs_shape_set(gs_graph *g, gs_node *n, int i, gs_dtype dtype,
                       int rank, const int64_t *dims, gs_err *e) {
  gs_value *v = gs_node_out(n, i);
  if (!v) return GS_OK;
  gs_arena *a = g->arena;
  if (rank > GS_MAX_RANK)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "result '%s' has rank %d, more than %d", v->name, rank,
                   GS_MAX_RANK);
  if (gs_product(dims, rank) < 0)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "result '%s' is too large: %s", v->name,
                   gs_shape_text(a, dtype, rank, dims));
  if (contradicts(v, dtype))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "result '%s' is %s, but the model declares %s", v->name,
                   gs_shape_text(a, dtype, rank, dims),
                   gs_shape_text(a, v->dtype, v->rank, v->dims));
  v->dtype = dtype;
  gs_value_shape(g, v, rank, dims);
  return GS_OK;
}

gs_status gs_shape_dynamic(gs_graph *g, gs_node *n, int i, gs_kind kind,
                           gs_dtype dtype, gs_err *e) {
  gs_value *v = gs_node_out(n, i);
  if (!v) return GS_OK;
  bool plain = v->kind == GS_TENSOR && v->rank < 0; /* nothing declared */
  if ((v->kind != kind && !plain) ||
      (v->dtype != dtype && v->dtype != GS_UNDEFINED &&
       dtype != GS_UNDEFINED))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "result '%s' is %s of %s, but the model declares %s of %s",
                   v->name, gs_kind_text(kind), gs_dtype_get((int)dtype)->text,
                   gs_kind_text(v->kind), gs_dtype_get((int)v->dtype)->text);
  gs_value_forget_shape(v);
  v->kind = kind;
  if (dtype != GS_UNDEFINED) v->dtype = dtype;
  return GS_OK;
}

gs_status gs_shape_set_like(gs_graph *g, gs_node *n, int i, gs_err *e) {
  const gs_value *x = n->in[0];
  return gs_shape_set(g, n, i, x->dtype, x->rank, x->dims, e);
}

/* ---- operands ---- */

gs_status gs_shape_same_type(gs_arena *a, const gs_node *n, int i, int j,
                             gs_err *e) {
  const gs_value *x = gs_node_in(n, i), *y = gs_node_in(n, j);
  if (!x || !y || x->dtype == y->dtype) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operands '%s' (%s) and '%s' (%s) must be of one type",
                 x->name, gs_dtype_get((int)x->dtype)->text, y->name,
                 gs_dtype_get((int)y->dtype)->text);
}

bool gs_shape_merge(int *rank, int64_t *dims, int more, const int64_t *with) {
  if (more > *rank) { /* shift what is there to the right */
    int by = more - *rank;
    memmove(dims + by, dims, (size_t)*rank * sizeof *dims);
    for (int d = 0; d < by; d++) dims[d] = 1;
    *rank = more;
  }
  for (int d = 0; d < more; d++) {
    int64_t *at = &dims[*rank - more + d];
    if (with[d] == 1 || with[d] == *at) continue;
    if (*at != 1) return false;
    *at = with[d];
  }
  return true;
}

gs_status gs_shape_broadcast(gs_arena *a, const gs_node *n, int first,
                             int last, int *rank, int64_t *dims, gs_err *e) {
  *rank = 0;
  for (int i = first; i < last; i++) {
    const gs_value *v = gs_node_in(n, i);
    if (!v) continue;
    int before = *rank;
    int64_t copy[GS_MAX_RANK];
    memcpy(copy, dims, (size_t)before * sizeof *dims);
    if (!gs_shape_merge(rank, dims, v->rank, v->dims))
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "operand '%s' %s does not broadcast with %s of the "
                     "operands before it",
                     v->name, gs_shape_text(a, v->dtype, v->rank, v->dims),
                     gs_shape_text(a, v->dtype, before, copy));
  }
  return GS_OK;
}

gs_status gs_shape_axis(gs_arena *a, const gs_node *n, const gs_value *v,
                        int rank, int64_t *axis, gs_err *e) {
  if (*axis < -rank || *axis >= rank)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "axis %lld is out of range for '%s' %s", (long long)*axis,
                   v->name, gs_shape_text(a, v->dtype, v->rank, v->dims));
  if (*axis < 0) *axis += rank;
  return GS_OK;
}

gs_status gs_shape_axis_attr(gs_arena *a, const gs_node *n, const char *name,
                             int64_t otherwise, int *axis, gs_err *e) {
  int64_t at = gs_node_int(n, name, otherwise);
  GS_TRY(gs_shape_axis(a, n, n->in[0], n->in[0]->rank, &at, e));
  *axis = (int)at;
  return GS_OK;
}

gs_status gs_shape_axis_set(gs_arena *a, const gs_node *n, const gs_value *v,
                            int rank, const int64_t *axes, int count,
                            bool *set, gs_err *e) {
  for (int i = 0; i < count; i++) {
    int64_t at = axes[i];
    GS_TRY(gs_shape_axis(a, n, v, rank, &at, e));
    if (set[at])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "axis %lld of '%s' is listed twice", (long long)axes[i],
                     v->name);
    set[at] = true;
  }
  return GS_OK;
}

gs_status gs_shape_not_constant(gs_arena *a, const gs_node *n, int i,
                                gs_err *e) {
  gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
          "operand %d '%s' decides a shape but is not constant", i,
          n->in[i]->name);
  return GS_UNKNOWN;
}

gs_status gs_shape_const_ints(gs_arena *a, const gs_node *n, int i,
                              const int64_t **list, int *count, gs_err *e) {
  *list = NULL;
  *count = 0;
  const gs_value *v = gs_node_in(n, i);
  if (!v) return GS_OK;
  *list = gs_value_int_list(a, v, count);
  if (*list) return GS_OK;
  char cls = gs_dtype_get((int)v->dtype)->cls;
  if (v->constant && cls != 'i' && cls != 'u')
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "operand %d '%s' must hold integers, not %s", i, v->name,
                   gs_dtype_get((int)v->dtype)->text);
  if (!v->constant) return gs_shape_not_constant(a, n, i, e);
  return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                 "operand %d '%s' decides a shape, but has too many elements "
                 "or no data", i, v->name);
}
