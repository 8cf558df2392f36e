/* Rule, shape and local form of com.microsoft's MoE.
 *
 * Every device gates all of its tokens.  With the experts split each adds what
 * its own make of the tokens, in the form ai.gshard.MoE that knows which those
 * are; with the inner size of the experts split the sums are partial as those
 * of any product, and one device alone adds the bias of fc2. */
#include <string.h>

#include "base/math.h"
#include "op/rows/nn/heads.h"
#include "op/rows/nn/moe_shapes.h"

gs_rule_fn gs_rule_ms_moe;
gs_shape_fn gs_shape_ms_moe;
gs_local_fn gs_local_ms_moe;

enum { X, ROUTER, W1, B1, W2, B2, W3, B3 };

static bool fused(const gs_node *n) {
  return gs_node_int(n, "swiglu_fusion", 0) != 0;
}

gs_status gs_moe_attributes(gs_arena *a, const gs_node *n, int fc3,
                            gs_err *e) {
  static const char *const known[] = {"relu", "gelu", "silu", "identity",
                                      "swiglu"};
  const char *act = gs_node_string(n, "activation_type", "relu");
  int64_t fusion = gs_node_int(n, "swiglu_fusion", 0);
  bool found = false, swiglu = !strcmp(act, "swiglu");
  for (int i = 0; i < 5; i++) found = found || !strcmp(act, known[i]);
  static const char *const no[] = {"use_sparse_mixer",
                                   "swiglu_limit_after_activation"};
  for (int i = 0; i < 2; i++)
    if (gs_node_int(n, no[i], 0))
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                     "attribute '%s' is not supported", no[i]);
  if (!found)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "activation_type '%s' is not supported", act);
  if (fusion < 0 || fusion > 2 || (fusion && !swiglu))
    return gs_heads_bad(a, n, e, "swiglu_fusion %lld with activation '%s'",
                        (long long)fusion, act);
  if (fusion ? gs_node_in(n, fc3) != NULL : swiglu && !gs_node_in(n, fc3))
    return gs_heads_bad(a, n, e, "fc3_experts_weights are %s for "
                        "swiglu_fusion %lld",
                        fusion ? "given" : "left out", (long long)fusion);
  return GS_OK;
}

gs_status gs_moe_result(gs_graph *g, gs_node *n, int64_t experts, int64_t out,
                        gs_err *e) {
  const gs_value *x = n->in[X];
  int64_t k = gs_node_int(n, "k", 1), dims[3];
  if (k < 1 || k > experts)
    return gs_heads_bad(g->arena, n, e, "k is %lld of %lld experts",
                        (long long)k, (long long)experts);
  for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d];
  dims[x->rank - 1] = out;
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

gs_status gs_moe_shards(const gs_graph *g, const gs_node *n, int64_t *shards,
                        gs_err *e) {
  const gs_axes *axes = gs_node_axes(n, "axes");
  *shards = 1;
  if (!(n->op->flags & GS_OP_MESH)) return GS_OK;
  if (!axes || !g->mesh)
    return gs_heads_bad(g->arena, n, e, "needs a mesh and the attribute "
                        "'axes' that names axes of it");
  *shards = gs_axes_size(g->mesh, axes);
  return GS_OK;
}

/* Experts are those of the router, or of one of `shards` devices. */
gs_status gs_shape_ms_moe(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  int64_t shards;
  GS_TRY(gs_moe_shards(g, n, &shards, e));
  const gs_value *x = n->in[X], *r = n->in[ROUTER];
  const gs_value *w1 = n->in[W1], *w2 = gs_node_in(n, W2);
  if (!w2 || (x->rank != 2 && x->rank != 3) || w1->rank != 3 ||
      w2->rank != 3 || r->rank != 2)
    return gs_heads_bad(a, n, e, "the input is of rank %d, not 2 or 3, or the "
                        "weights are left out or not of rank 3, or the "
                        "router is of rank %d, not 2", x->rank, r->rank);
  for (int i = ROUTER; i <= B3; i++)
    GS_TRY(gs_shape_same_type(a, n, X, i, e));
  GS_TRY(gs_moe_attributes(a, n, W3, e));
  int64_t tokens = gs_product(x->dims, x->rank - 1), experts = r->dims[1];
  int64_t all = gs_ceil_div(experts, shards), inner = w2->dims[2];
  int64_t in = x->dims[x->rank - 1], out = w2->dims[1]; /* maybe a block */
  int64_t up = inner * (fused(n) ? 2 : 1);
  GS_TRY(gs_heads_expect(a, n, ROUTER, 2, (int64_t[]){tokens, experts}, e));
  GS_TRY(gs_heads_expect(a, n, W1, 3, (int64_t[]){all, up, in}, e));
  GS_TRY(gs_heads_expect(a, n, B1, 2, (int64_t[]){all, up}, e));
  GS_TRY(gs_heads_expect(a, n, W2, 3, (int64_t[]){all, out, inner}, e));
  GS_TRY(gs_heads_expect(a, n, B2, 2, (int64_t[]){all, out}, e));
  GS_TRY(gs_heads_expect(a, n, W3, 3, (int64_t[]){all, inner, in}, e));
  GS_TRY(gs_heads_expect(a, n, B3, 2, (int64_t[]){all, inner}, e));
  return gs_moe_result(g, n, experts, out, e);
}

typedef struct factors {
  int row[2], experts, inner, out;
} factors;

static void make_factors(gs_rule *r, const gs_node *n, factors *f) {
  const gs_value *x = n->in[X], *w2 = n->in[W2];
  bool mixed = gs_node_int(n, "swiglu_fusion", 0) == 2;
  f->row[1] = -1;
  for (int d = 0; d < x->rank - 1; d++)
    f->row[d] = gs_heads_factor(r, x->dims[d], GS_PASS);
  f->out = gs_heads_factor(r, w2->dims[1], GS_PASS);
  f->experts = gs_heads_factor(r, w2->dims[0], GS_SUMMED);
  f->inner = mixed ? gs_heads_work(r, w2->dims[2])
                   : gs_heads_factor(r, w2->dims[2], GS_SUMMED);
}

/* Gates one after the other have no blocks of pairs; side by side they do. */
gs_status gs_rule_ms_moe(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  factors f;
  (void)e;
  const gs_value *x = n->in[X];
  gs_rule_begin(a, n, r);
  make_factors(r, n, &f);
  int in = gs_heads_factor(r, x->dims[x->rank - 1], GS_WHOLE);
  int64_t fusion = gs_node_int(n, "swiglu_fusion", 0);
  int two = fusion ? gs_heads_factor(r, 2, GS_WHOLE) : -1;
  for (int d = 0; d < x->rank - 1; d++) {
    gs_heads_put(&r->in[X], d, f.row[d]);
    gs_heads_put(&r->in[ROUTER], 0, f.row[d]);
    gs_heads_put(&r->out[0], d, f.row[d]);
  }
  gs_heads_put(&r->in[X], x->rank - 1, in);
  gs_heads_put(&r->out[0], x->rank - 1, f.out);
  gs_heads_put(&r->in[ROUTER], 1,
               gs_heads_factor(r, n->in[ROUTER]->dims[1], GS_WHOLE));
  for (int i = W1; i < n->nin; i++) {
    if (!n->in[i]) continue;
    gs_tensor_map *t = &r->in[i];
    gs_heads_put(t, 0, f.experts);
    bool down = i == W2 || i == B2, up = i == W1 || i == B1;
    if (up && fusion == 2) gs_heads_put(t, 1, two);
    gs_heads_put(t, 1, down ? f.out : f.inner);
    if (up && fusion == 1) gs_heads_put(t, 1, two);
    if (i == W2) gs_heads_put(t, 2, f.inner);
    if (i == W1 || i == W3) gs_heads_put(t, 2, in);
  }
  return GS_OK;
}

/* The axes of dim d of operand i, which has one factor at most. */
static const gs_axes *axes_of(const gs_local *l, int i, int d) {
  static const gs_axes none;
  const gs_dim_map *m = &l->rule->in[i].dim[d];
  return m->n ? &l->factor[m->f[0]] : &none;
}

gs_status gs_local_ms_moe(gs_local *l, gs_err *e) {
  const gs_axes *experts = axes_of(l, W2, 0), *inner = axes_of(l, W2, 2);
  (void)e;
  gs_local_once(l, B2, inner);
  if (experts->n)
    gs_node_set_axes(l->program, gs_local_meshed(l), "axes", experts);
  else gs_local_same(l);
  return GS_OK;
}
