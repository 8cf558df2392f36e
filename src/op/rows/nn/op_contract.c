/* Local form of Gemm; rule and shape of Einsum. */
#include "op/core/local.h"
#include "op/core/shape.h"
#include "op/rule/terms.h"

gs_rule_fn gs_rule_einsum;
gs_shape_fn gs_shape_einsum;
gs_local_fn gs_local_gemm;

/* ---- Gemm ---- */

/* With k split every device adds its part of the product, but only one may
 * add c. */
gs_status gs_local_gemm(gs_local *l, gs_err *e) {
  (void)e;
  gs_axes axes = gs_axes_of(l->partial);
  gs_local_once(l, 2, &axes);
  gs_local_same(l);
  return GS_OK;
}

/* ---- Einsum ---- */

gs_status gs_rule_einsum(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  gs_arena tmp;
  gs_terms t;
  gs_arena_init(&tmp);
  gs_status s = gs_terms_einsum(&t, &tmp, n, e);
  if (!s) s = gs_terms_rule(&t, a, r, e);
  gs_arena_free(&tmp);
  return s;
}

gs_status gs_shape_einsum(gs_graph *g, gs_node *n, gs_err *e) {
  gs_terms t;
  gs_rule r;
  for (int i = 1; i < n->nin; i++)
    GS_TRY(gs_shape_same_type(g->arena, n, 0, i, e));
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_status s = gs_terms_einsum(&t, &tmp, n, e);
  t.free_results = true;
  if (!s) s = gs_terms_rule(&t, &tmp, &r, e);
  if (!s) s = gs_shape_from_rule(g, n, &r, e);
  gs_arena_free(&tmp);
  return s;
}
