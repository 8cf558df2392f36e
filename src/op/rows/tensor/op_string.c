/* TfIdfVectorizer. */
#include "base/math.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

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
