/* Rules, shapes and local forms of the rows of "contraction". */
#include <string.h>

#include "base/math.h"
#include "op/core/local.h"
#include "op/core/shape.h"
#include "op/core/terms.h"

gs_rule_fn gs_rule_matmul, gs_rule_gemm, gs_rule_einsum;
gs_shape_fn gs_shape_matmul, gs_shape_gemm, gs_shape_einsum;
gs_local_fn gs_local_gemm;

/* ---- MatMul: [...,m,k] x [...,k,n]; a vector has neither m nor n ---- */

/* How many of the last dims of v are not batch. */
static int matrix_dims(const gs_value *v) { return v->rank < 2 ? v->rank : 2; }

static gs_status does_not_fit(gs_arena *a, const gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0], *y = n->in[1];
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "'%s' %s and '%s' %s cannot be multiplied", x->name,
                 gs_shape_text(a, x->dtype, x->rank, x->dims), y->name,
                 gs_shape_text(a, y->dtype, y->rank, y->dims));
}

gs_status gs_shape_matmul(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0], *y = n->in[1];
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 1, e));
  if (x->rank == 0 || y->rank == 0 ||
      x->dims[x->rank - 1] != y->dims[y->rank - matrix_dims(y)])
    return does_not_fit(g->arena, n, e);
  int rank = 0;
  int64_t dims[GS_MAX_RANK];
  if (!gs_shape_merge(&rank, dims, x->rank - matrix_dims(x), x->dims) ||
      !gs_shape_merge(&rank, dims, y->rank - matrix_dims(y), y->dims))
    return does_not_fit(g->arena, n, e);
  if (x->rank > 1) dims[rank++] = x->dims[x->rank - 2];
  if (y->rank > 1) dims[rank++] = y->dims[y->rank - 1];
  return gs_shape_set(g, n, 0, x->dtype, rank, dims, e);
}

gs_status gs_rule_matmul(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  (void)e;
  gs_rule_begin(a, n, r);
  const gs_value *z = n->out[0];
  bool m = n->in[0]->rank > 1, c = n->in[1]->rank > 1;
  int nbatch = z->rank - m - c;
  for (int d = 0; d < z->rank; d++) {
    int f = gs_rule_factor(r, z->dims[d], GS_PASS);
    gs_rule_put(&r->out[0], d, f);
    for (int i = 0; i < 2 && d < nbatch; i++) {
      const gs_value *x = n->in[i];
      int at = d - (nbatch - (x->rank - matrix_dims(x)));
      if (at >= 0 && x->dims[at] == z->dims[d])
        gs_rule_put(&r->in[i], at, f);
    }
    if (m && d == nbatch) gs_rule_put(&r->in[0], n->in[0]->rank - 2, f);
    if (c && d == nbatch + m) gs_rule_put(&r->in[1], n->in[1]->rank - 1, f);
  }
  int last = n->in[0]->rank - 1;
  int k = gs_rule_factor(r, n->in[0]->dims[last], GS_SUMMED);
  gs_rule_put(&r->in[0], last, k);
  gs_rule_put(&r->in[1], n->in[1]->rank - matrix_dims(n->in[1]), k);
  return GS_OK;
}

/* ---- Gemm: alpha a b + beta c ---- */

gs_status gs_shape_gemm(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *y = n->in[1], *c = gs_node_in(n, 2);
  bool ta = gs_node_int(n, "transA", 0) != 0;
  bool tb = gs_node_int(n, "transB", 0) != 0;
  GS_TRY(gs_shape_same_type(a, n, 0, 1, e));
  GS_TRY(gs_shape_same_type(a, n, 0, 2, e));
  if (x->rank != 2 || y->rank != 2 || x->dims[!ta] != y->dims[tb])
    return does_not_fit(a, n, e);
  int64_t dims[GS_MAX_RANK] = {x->dims[ta], y->dims[!tb]};
  int rank = 2;
  if (c && (c->rank > 2 || !gs_shape_merge(&rank, dims, c->rank, c->dims) ||
            dims[0] != x->dims[ta] || dims[1] != y->dims[!tb]))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' %s does not broadcast to the product [%lld,%lld]",
                   c->name, gs_shape_text(a, c->dtype, c->rank, c->dims),
                   (long long)x->dims[ta], (long long)y->dims[!tb]);
  return gs_shape_set(g, n, 0, x->dtype, rank, dims, e);
}

gs_status gs_rule_gemm(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  (void)e;
  gs_rule_begin(a, n, r);
  bool ta = gs_node_int(n, "transA", 0) != 0;
  bool tb = gs_node_int(n, "transB", 0) != 0;
  gs_rule_tie(n, r, 2, 3); /* m, n */
  gs_rule_put(&r->in[0], ta, r->out[0].dim[0].f[0]);
  gs_rule_put(&r->in[1], !tb, r->out[0].dim[1].f[0]);
  int k = gs_rule_factor(r, n->in[0]->dims[!ta], GS_SUMMED);
  gs_rule_put(&r->in[0], !ta, k);
  gs_rule_put(&r->in[1], tb, k);
  return GS_OK;
}

/* With k split every device adds its part of the product, but only one may
 * add c. */
gs_status gs_local_gemm(gs_local *l, gs_err *e) {
  (void)e;
  gs_value *c = gs_node_in(l->node, 2) ? l->in[2] : NULL;
  if (l->partial && c) {
    gs_node *once = gs_local_emit(l, "ai.gshard", "Partial", &c, 1, c->dtype,
                                  c->rank, c->dims);
    gs_axes axes = gs_axes_of(l->partial);
    gs_local_axes(l, once, "axes", &axes);
    l->in[2] = once->out[0];
  }
  gs_local_same(l);
  if (c) l->in[2] = c;
  return GS_OK;
}

/* ---- Einsum ---- */

gs_status gs_rule_einsum(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  gs_terms t;
  GS_TRY(gs_terms_einsum(&t, a, n, e));
  return gs_terms_rule(&t, r, e);
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
  if (!s) s = gs_terms_rule(&t, &r, e);
  if (!s) s = gs_shape_from_rule(g, n, &r, e);
  gs_arena_free(&tmp);
  return s;
}
