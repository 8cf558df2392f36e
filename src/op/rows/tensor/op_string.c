/* Rows of string tensors. */
#include "base/math.h"
#include "op/core/rule.h"
#include "op/core/shape.h"

static gs_status want_strings(gs_graph *g, const gs_node *n, gs_err *e) {
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    if (!v || v->dtype == GS_STRING || v->dtype == GS_UNDEFINED) continue;
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "operand '%s' is %s, not of strings", v->name,
                   gs_shape_text(g->arena, v->dtype, v->rank, v->dims));
  }
  return GS_OK;
}

/* Result i has type t and the shape of operand 0, as far as it is known. */
static gs_status like(gs_graph *g, gs_node *n, int i, gs_dtype t, gs_err *e) {
  const gs_value *x = n->in[0];
  return gs_value_shaped(x) ? gs_shape_set(g, n, i, t, x->rank, x->dims, e)
                            : gs_shape_dynamic(g, n, i, GS_TENSOR, t, e);
}

gs_status gs_shape_string_concat(gs_graph *g, gs_node *n, gs_err *e) {
  int rank;
  int64_t dims[GS_MAX_RANK];
  GS_TRY(want_strings(g, n, e));
  if (!gs_value_shaped(n->in[0]) || !gs_value_shaped(n->in[1]))
    return gs_shape_dynamic(g, n, 0, GS_TENSOR, GS_STRING, e);
  GS_TRY(gs_shape_broadcast(g->arena, n, 0, 2, &rank, dims, e));
  return gs_shape_set(g, n, 0, GS_STRING, rank, dims, e);
}

gs_status gs_shape_string_split(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want_strings(g, n, e));
  GS_TRY(gs_shape_dynamic(g, n, 0, GS_TENSOR, GS_STRING, e));
  return like(g, n, 1, GS_INT64, e);
}

gs_status gs_shape_string_normalizer(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want_strings(g, n, e));
  return gs_shape_dynamic(g, n, 0, GS_TENSOR, GS_STRING, e);
}

gs_status gs_shape_regex_full_match(gs_graph *g, gs_node *n, gs_err *e) {
  GS_TRY(want_strings(g, n, e));
  return like(g, n, 0, GS_BOOL, e);
}

/* Length of the vector that TfIdfVectorizer makes of a row. */
static gs_status vector_length(gs_graph *g, const gs_node *n, int64_t *length,
                               gs_err *e) {
  int count;
  const int64_t *at = gs_node_ints(n, "ngram_indexes", &count);
  *length = 0;
  for (int i = 0; i < count; i++) {
    if (at[i] < 0 || at[i] >= INT32_MAX)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "ngram_indexes[%d] is %lld", i, (long long)at[i]);
    *length = gs_max(*length, at[i] + 1);
  }
  if (*length) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "attribute 'ngram_indexes' is missing or empty");
}

gs_status gs_shape_tf_idf(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t length, dims[2];
  GS_TRY(vector_length(g, n, &length, e));
  if (!gs_value_shaped(x))
    return gs_shape_dynamic(g, n, 0, GS_TENSOR, GS_FLOAT, e);
  if (x->rank > 2)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "operand '%s' %s is neither a row nor a list of rows",
                   x->name,
                   gs_shape_text(g->arena, x->dtype, x->rank, x->dims));
  dims[0] = x->rank == 2 ? x->dims[0] : length;
  dims[1] = length;
  return gs_shape_set(g, n, 0, GS_FLOAT, x->rank == 2 ? 2 : 1, dims, e);
}
