/* Sequences and optionals: kinds and element types. */
#include "op/rows/tensor/bodies.h"
#include "op/rule/rule.h"

gs_status gs_shape_optional(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = gs_node_in(n, 0);
  gs_kind kind = x && x->kind == GS_SEQUENCE ? GS_OPTIONAL_SEQUENCE
                                             : GS_OPTIONAL;
  const gs_attr *at = gs_node_attr(n, "type");
  if (x) return gs_shape_dynamic(g, n, 0, kind, x->dtype, e);
  if (!at || at->kind != GS_ATTR_TYPE)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "neither an operand nor attribute 'type' is given");
  if (at->of_kind == GS_SEQUENCE) kind = GS_OPTIONAL_SEQUENCE;
  return gs_shape_dynamic(g, n, 0, kind, (gs_dtype)at->i, e);
}

gs_status gs_shape_optional_get_element(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  if (gs_value_shaped(x) && x->dtype != GS_UNDEFINED)
    return gs_shape_set_like(g, n, 0, e);
  bool list = x->kind == GS_SEQUENCE || x->kind == GS_OPTIONAL_SEQUENCE;
  if (x->kind == GS_TENSOR && n->out[0]->kind == GS_SEQUENCE) list = true;
  return gs_shape_dynamic(g, n, 0, list ? GS_SEQUENCE : GS_TENSOR, x->dtype, e);
}

