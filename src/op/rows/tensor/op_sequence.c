/* Sequences and optionals: kinds and element types. */
#include "op/rows/tensor/bodies.h"
#include "op/core/rule.h"

/* The element type of operand i; GS_UNDEFINED when it is not known. */
static gs_dtype type_of(const gs_node *n, int i) {
  const gs_value *v = gs_node_in(n, i);
  return v ? v->dtype : GS_UNDEFINED;
}

/* GS_DATA when operand i is known to be no sequence. */
static gs_status want_sequence(gs_graph *g, const gs_node *n, int i,
                               gs_err *e) {
  const gs_value *v = n->in[i];
  if (v->kind != GS_TENSOR || !gs_value_shaped(v)) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "operand '%s' is %s, not a sequence", v->name,
                 gs_shape_text(g->arena, v->dtype, v->rank, v->dims));
}

gs_status gs_shape_sequence_construct(gs_graph *g, gs_node *n, gs_err *e) {
  for (int i = 1; i < n->nin; i++)
    if (type_of(n, i) && type_of(n, 0))
      GS_TRY(gs_shape_same_type(g->arena, n, 0, i, e));
  return gs_shape_dynamic(g, n, 0, GS_SEQUENCE, type_of(n, 0), e);
}

gs_status gs_shape_sequence_empty(gs_graph *g, gs_node *n, gs_err *e) {
  int64_t t = gs_node_int(n, "dtype", GS_FLOAT);
  if (t <= 0 || t >= GS_NDTYPE)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute dtype is %lld, not an element type",
                   (long long)t);
  return gs_shape_dynamic(g, n, 0, GS_SEQUENCE, (gs_dtype)t, e);
}

gs_status gs_shape_sequence_at(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want_sequence(g, n, 0, e));
  return gs_shape_dynamic(g, n, 0, GS_TENSOR, type_of(n, 0), e);
}

gs_status gs_shape_sequence_insert(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want_sequence(g, n, 0, e));
  gs_dtype t = type_of(n, 0);
  return gs_shape_dynamic(g, n, 0, GS_SEQUENCE, t ? t : type_of(n, 1), e);
}

gs_status gs_shape_sequence_erase(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want_sequence(g, n, 0, e));
  return gs_shape_dynamic(g, n, 0, GS_SEQUENCE, type_of(n, 0), e);
}

gs_status gs_shape_sequence_length(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want_sequence(g, n, 0, e));
  return gs_shape_set(g, n, 0, GS_INT64, 0, NULL, e);
}

gs_status gs_shape_split_to_sequence(gs_graph *g, gs_node *n, gs_err *e) {
  return gs_shape_dynamic(g, n, 0, GS_SEQUENCE, type_of(n, 0), e);
}

gs_status gs_shape_concat_from_sequence(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want_sequence(g, n, 0, e));
  if (!gs_node_attr(n, "axis"))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'axis' is missing");
  return gs_shape_dynamic(g, n, 0, GS_TENSOR, type_of(n, 0), e);
}

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

gs_status gs_shape_optional_has_element(gs_graph *g, gs_node *n, gs_err *e) {
  return gs_shape_set(g, n, 0, GS_BOOL, 0, NULL, e);
}

gs_status gs_shape_optional_get_element(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  if (gs_value_shaped(x) && x->dtype != GS_UNDEFINED)
    return gs_shape_set_like(g, n, 0, e);
  bool list = x->kind == GS_SEQUENCE || x->kind == GS_OPTIONAL_SEQUENCE;
  if (x->kind == GS_TENSOR && n->out[0]->kind == GS_SEQUENCE) list = true;
  return gs_shape_dynamic(g, n, 0, list ? GS_SEQUENCE : GS_TENSOR, x->dtype, e);
}

gs_status gs_rule_dynamic(gs_arena *a, const gs_node *n, gs_rule *r,
                        gs_err *e) {
  return gs_rule_opaque(a, n, r, e);
}
