/* The shapes of a node's results: from its row, or from a rule's text. */
#include "base/math.h"
#include "op/core/shape.h"
#include "op/core/signature.h"
#include "op/rule/terms.h"

static gs_status check_arity(gs_arena *a, const gs_node *n, gs_err *e) {
  const gs_op *op = n->op;
  int nin = gs_node_formal(n);
  if (nin < op->min_in || nin > op->max_in)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%d operands given, %s %d expected", nin,
                   nin < op->min_in ? "at least" : "at most",
                   nin < op->min_in ? op->min_in : op->max_in);
  if (n->nout < op->min_out || n->nout > op->max_out)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "%d results given, %s %d expected", n->nout,
                   n->nout < op->min_out ? "at least" : "at most",
                   n->nout < op->min_out ? op->min_out : op->max_out);
  for (int i = 0; i < op->min_in; i++)
    if (!n->in[i])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "operand %d must not be left out", i);
  if (op->min_out == 1 && !n->out[0])
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "result 0 must not be left out");
  return GS_OK;
}

/* What a rule's text makes of the operands; the rule itself is dropped. */
static gs_status shape_by_text(gs_graph *g, gs_node *n, const char *text,
                               gs_status code, gs_err *e) {
  gs_arena tmp;
  gs_rule r;
  gs_terms t;
  gs_arena_init(&tmp);
  gs_status s = gs_terms_parse(&t, &tmp, n, text, code, e);
  for (int i = 1; !s && t.alike && i < n->nin; i++)
    s = gs_shape_same_type(g->arena, n, 0, i, e);
  t.free_results = true;
  if (!s) s = gs_terms_rule(&t, &tmp, &r, e);
  if (!s) s = gs_shape_from_rule(g, n, &r, e);
  gs_arena_free(&tmp);
  return s;
}

/* No row: the shapes that the model declares, or the user's rule gives. */
static gs_status unknown_operator(gs_graph *g, gs_node *n, gs_err *e) {
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v || (gs_value_shaped(v) && v->dtype != GS_UNDEFINED)) continue;
    if (n->rule) return shape_by_text(g, n, n->rule, GS_SPEC, e);
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "unknown operator of domain '%s' version %d, and the "
                   "model does not declare the shape of '%s'",
                   *n->domain ? n->domain : "ai.onnx", n->opset, v->name);
  }
  return GS_OK;
}

gs_status gs_shape_infer(gs_graph *g, gs_node *n, gs_err *e) {
  gs_status s = gs_shape_try(g, n, e);
  return s == GS_UNKNOWN ? GS_UNSUPPORTED : s;
}

gs_status gs_shape_try(gs_graph *g, gs_node *n, gs_err *e) {
  bool dynamic = n->op && (n->op->flags & GS_OP_DYNAMIC);
  for (int i = 0; i < n->nin && !dynamic; i++) {
    const gs_value *v = n->in[i];
    if (v && (v->dtype == GS_UNDEFINED || !gs_value_shaped(v)))
      return gs_fail(e, GS_INTERNAL, gs_node_place(g->arena, n),
                     "type or shape of operand '%s' is not known", v->name);
  }
  if (!n->op) return unknown_operator(g, n, e);
  GS_TRY(check_arity(g->arena, n, e));
  if (n->op->signature && n->op->shape != gs_shape_signed)
    GS_TRY(gs_signature_check(g, n, e));
  return n->op->shape(g, n, e);
}

gs_status gs_shape_from_rule(gs_graph *g, gs_node *n, const gs_rule *r,
                             gs_err *e) {
  for (int i = 0; i < n->nout; i++) {
    int64_t dims[GS_MAX_RANK];
    if (r->out[i].rank > GS_MAX_RANK)
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                     "result %d has rank %d, more than %d", i, r->out[i].rank,
                     GS_MAX_RANK);
    for (int d = 0; d < r->out[i].rank; d++) {
      const gs_dim_map *m = &r->out[i].dim[d];
      int64_t size[GS_MAX_DIM_FACTORS];
      for (int j = 0; j < m->n; j++) size[j] = r->factor[m->f[j]].size;
      dims[d] = gs_product(size, m->n);
    }
    /* An operator without a row may say the type of its result. */
    const gs_value *x = gs_node_in(n, 0), *y = n->out[i];
    bool said = !x || (!n->op && y && y->dtype != GS_UNDEFINED);
    GS_TRY(gs_shape_set(g, n, i, !said ? x->dtype : y ? y->dtype : 0,
                        r->out[i].rank, dims, e));
  }
  return GS_OK;
}

gs_status gs_shape_by_rule(gs_graph *g, gs_node *n, gs_err *e) {
  return shape_by_text(g, n, n->op->text, GS_DATA, e);
}
