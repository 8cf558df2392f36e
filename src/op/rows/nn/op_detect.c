/* Shape of NonMaxSelect of ai.gshard: of each batch and class the boxes that
 * NonMaxSuppression chooses, best first. */
#include "base/math.h"
#include "op/rows/nn/heads.h"

gs_shape_fn gs_shape_non_max_select;

enum { BOXES, SCORES, MAX, OVERLAP, LEAST };

static gs_status check_one(gs_arena *a, const gs_node *n, int i, gs_dtype t,
                           gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v || (v->dtype == t && gs_product(v->dims, v->rank) == 1)) return GS_OK;
  return gs_heads_bad(a, n, e, "operand %d '%s' is %s, not one %s", i, v->name,
                      gs_shape_text(a, v->dtype, v->rank, v->dims),
                      gs_dtype_get((int)t)->text);
}

/* There is room for as many boxes as may be chosen, or all. */
gs_status gs_shape_non_max_select(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[BOXES], *s = n->in[SCORES];
  bool fits = x->dtype == GS_FLOAT && s->dtype == GS_FLOAT && x->rank == 3 &&
              s->rank == 3 && x->dims[2] == 4 && x->dims[0] == s->dims[0] &&
              x->dims[1] == s->dims[2];
  if (!fits)
    return gs_heads_bad(a, n, e, "boxes %s and scores %s do not fit",
                        gs_shape_text(a, x->dtype, x->rank, x->dims),
                        gs_shape_text(a, s->dtype, s->rank, s->dims));
  GS_TRY(check_one(a, n, MAX, GS_INT64, e));
  GS_TRY(check_one(a, n, OVERLAP, GS_FLOAT, e));
  GS_TRY(check_one(a, n, LEAST, GS_FLOAT, e));
  int count;
  const gs_value *max = gs_node_in(n, MAX);
  const int64_t *most = max ? gs_value_int_list(a, max, &count) : NULL;
  int64_t room = x->dims[1];
  if (!max) room = 0;
  else if (most && count == 1) room = gs_max(0, gs_min(room, *most));
  return gs_shape_set(g, n, 0, GS_INT32, 3,
                      (int64_t[]){x->dims[0], s->dims[1], room}, e);
}
