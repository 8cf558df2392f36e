/* Rule, shape and local form of com.microsoft's QMoE: MoE whose weights are
 * integers of 2, 4 or 8 bits, with a scale per row or per block of columns. */
#include <string.h>

#include "base/math.h"
#include "op/rows/nn/heads.h"
#include "op/rows/nn/moe_shapes.h"

gs_rule_fn gs_rule_qmoe;
gs_shape_fn gs_shape_qmoe;
gs_local_fn gs_local_qmoe;

enum {
  X = GS_QMOE_X,
  ROUTER = GS_QMOE_ROUTER,
  W1 = GS_QMOE_W1,
  W2 = GS_QMOE_W2,
  B2 = GS_QMOE_B2,
  W3 = GS_QMOE_W3,
  Z1 = GS_QMOE_Z1,
  Z2 = GS_QMOE_Z2,
  KNOWN = GS_QMOE_Z3 + 1
};

int64_t gs_qmoe_bits(const gs_node *n, int fc) {
  static const char *const own[] = {"fc1_expert_weight_bits",
                                    "fc2_expert_weight_bits",
                                    "fc3_expert_weight_bits"};
  return gs_node_int(n, own[fc - 1], gs_node_int(n, "expert_weight_bits", 4));
}

static gs_status check(gs_arena *a, const gs_node *n, gs_err *e) {
  const char *type = gs_node_string(n, "quant_type", "int");
  int64_t block = gs_node_int(n, "block_size", 0);
  GS_TRY(gs_moe_attributes(a, n, W3, e));
  if (strcmp(type, "int"))
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "quant_type '%s'; there are kernels for 'int'", type);
  if (gs_node_int(n, "weights_prepacked", -1) > 0)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "weights packed for one kind of processor "
                   "(weights_prepacked)");
  for (int fc = 1; fc <= 3; fc++) {
    int64_t bits = gs_qmoe_bits(n, fc);
    if (bits != 2 && bits != 4 && bits != 8)
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                     "weights of %lld bits; there are kernels for 2, 4 and 8",
                     (long long)bits);
  }
  if (block < 0 || (block && (block < 16 || (block & (block - 1)))))
    return gs_heads_bad(a, n, e, "block_size %lld is not a power of two of at "
                        "least 16", (long long)block);
  for (int i = KNOWN; i < n->nin; i++)
    if (n->in[i])
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                     "operand %d '%s' is not supported", i, n->in[i]->name);
  return GS_OK;
}

/* Operand i is given and of type t. */
static gs_status want(gs_arena *a, const gs_node *n, int i, gs_dtype t,
                      gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v) return gs_heads_bad(a, n, e, "operand %d is left out", i);
  if (v->dtype == t) return GS_OK;
  return gs_heads_bad(a, n, e, "operand %d '%s' is %s, not %s", i, v->name,
                      gs_dtype_get((int)v->dtype)->text,
                      gs_dtype_get((int)t)->text);
}

/* One of the three layers: weights [experts, rows, cols]. */
static gs_status layer(gs_arena *a, const gs_node *n, int fc, int64_t experts,
                       int64_t rows, int64_t cols, gs_err *e) {
  int w = W1 + 3 * (fc - 1), z = Z1 + fc - 1;
  int64_t bits = gs_qmoe_bits(n, fc), block = gs_node_int(n, "block_size", 0);
  int64_t blocks = block ? cols / block : 1;
  GS_TRY(want(a, n, w, GS_UINT8, e));
  GS_TRY(want(a, n, w + 1, n->in[X]->dtype, e));
  GS_TRY(gs_shape_same_type(a, n, X, w + 2, e));
  if (gs_node_in(n, z)) GS_TRY(want(a, n, z, GS_UINT8, e));
  if (cols * bits % 8 || (block && cols % block))
    return gs_heads_bad(a, n, e, "rows of %lld weights are not whole bytes or "
                        "blocks", (long long)cols);
  int64_t dims[] = {experts, rows, blocks};
  GS_TRY(gs_heads_expect(a, n, w, 3,
                         (int64_t[]){experts, rows, cols * bits / 8}, e));
  GS_TRY(gs_heads_expect(a, n, w + 1, block ? 3 : 2, dims, e));
  GS_TRY(gs_heads_expect(a, n, w + 2, 2, dims, e));
  if (block) dims[2] = gs_ceil_div(blocks * bits, 8);
  else dims[1] = gs_ceil_div(rows * bits, 8);
  return gs_heads_expect(a, n, z, block ? 3 : 2, dims, e);
}

/* Experts are those of the router, or of one of `shards` devices. */
gs_status gs_shape_qmoe(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  int64_t shards;
  const gs_value *x = n->in[X], *r = n->in[ROUTER];
  const gs_value *w2 = gs_node_in(n, W2);
  GS_TRY(gs_moe_shards(g, n, &shards, e));
  GS_TRY(check(a, n, e));
  if (x->dtype != GS_FLOAT && x->dtype != GS_FLOAT16 &&
      x->dtype != GS_BFLOAT16)
    return gs_heads_bad(a, n, e, "the input is %s",
                        gs_dtype_get((int)x->dtype)->text);
  GS_TRY(gs_shape_same_type(a, n, X, ROUTER, e));
  if (!w2 || (x->rank != 2 && x->rank != 3) || w2->rank != 3 || r->rank != 2)
    return gs_heads_bad(a, n, e, "the input is of rank %d, not 2 or 3, or "
                        "fc2 is left out or not of rank 3, or the router is "
                        "of rank %d, not 2", x->rank, r->rank);
  int64_t tokens = gs_product(x->dims, x->rank - 1), experts = r->dims[1];
  int64_t all = gs_ceil_div(experts, shards), in = x->dims[x->rank - 1];
  int64_t out = w2->dims[1], inner;
  if (!gs_mul(w2->dims[2], 8 / gs_qmoe_bits(n, 2), &inner))
    return gs_heads_bad(a, n, e, "the inner size overflows");
  int64_t up = inner * (gs_node_int(n, "swiglu_fusion", 0) ? 2 : 1);
  GS_TRY(gs_heads_expect(a, n, ROUTER, 2, (int64_t[]){tokens, experts}, e));
  GS_TRY(layer(a, n, 1, all, up, in, e));
  GS_TRY(layer(a, n, 2, all, out, inner, e));
  if (gs_node_in(n, W3)) GS_TRY(layer(a, n, 3, all, inner, in, e));
  return gs_moe_result(g, n, experts, out, e);
}

/* How the inner size (rows of fc1 and fc3, columns of fc2) can be cut. */
typedef struct cut {
  bool can;
  int64_t units, unit; /* their product */
} cut;

/* Between bytes of fc2, or its blocks, or bytes of their zero points; not
 * where zero points of several rows of fc1 or fc3 share a byte, or where its
 * rows are gates first. */
static cut cut_of(const gs_node *n) {
  int64_t block = gs_node_int(n, "block_size", 0), bits = gs_qmoe_bits(n, 2);
  int64_t inner = n->in[W2]->dims[2] * (8 / bits);
  cut c = {.can = gs_node_int(n, "swiglu_fusion", 0) != 2};
  for (int fc = 1; fc <= 3; fc++)
    if (fc != 2 && !block && gs_node_in(n, Z1 + fc - 1) &&
        gs_qmoe_bits(n, fc) != 8)
      c.can = false;
  c.unit = !block ? 8 / bits : gs_node_in(n, Z2) ? block * 8 / bits : block;
  c.units = inner / c.unit;
  c.can = c.can && inner % c.unit == 0;
  return c;
}

/* Dim d of map t: `units`, each of that many elements. */
static void put_units(gs_rule *r, gs_tensor_map *t, int d, int units,
                      int64_t size) {
  gs_rule_put(t, d, units);
  if (size > 1) gs_rule_put(t, d, gs_rule_fixed(r, size));
}

/* The dims after the experts of an operand of fc1 or fc3; `work` is a unit of
 * the inner size, or all of it where it cannot be cut. */
static void put_up(const gs_node *n, gs_rule *r, int i, bool first, int units,
                   int work, const cut *c) {
  const gs_value *v = n->in[i];
  gs_tensor_map *t = &r->in[i];
  bool pairs = first && gs_node_int(n, "swiglu_fusion", 0);
  int64_t size = (work < 0 ? 1 : r->factor[work].size) * (pairs ? 2 : 1);
  int d = 1;
  if (c->can) gs_rule_put(t, d, units);
  if (c->can || v->dims[d] == size) {
    gs_rule_put(t, d, work);
    if (pairs) gs_rule_put(t, d, gs_rule_fixed(r, 2));
    d++;
  }
  for (; d < v->rank; d++)
    gs_rule_put(t, d, gs_rule_fixed(r, v->dims[d]));
}

/* The same of fc2: rows are columns of the result, unless zero points of
 * several of them share a byte. */
static void put_down(const gs_node *n, gs_rule *r, int i, int out, int units,
                     const cut *c) {
  const gs_value *v = n->in[i];
  gs_tensor_map *t = &r->in[i];
  int64_t block = gs_node_int(n, "block_size", 0);
  int64_t one = i == W2 ? c->unit * gs_qmoe_bits(n, 2) / 8
                : i == Z2 || !block ? 1 : c->unit / block;
  if (out >= 0 && (i != Z2 || v->dims[1] == n->in[W2]->dims[1]))
    gs_rule_put(t, 1, out);
  else
    gs_rule_put(t, 1, gs_rule_fixed(r, v->dims[1]));
  if (v->rank < 3) return;
  if (c->can) put_units(r, t, 2, units, one);
  else gs_rule_put(t, 2, gs_rule_fixed(r, v->dims[2]));
}

/* Tokens and the columns of the result pass; experts are summed, and units of
 * the inner size.  The work is counted as that of MoE: over tokens, columns,
 * experts and the inner size. */
gs_status gs_rule_qmoe(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  (void)e;
  const gs_value *x = n->in[X];
  int last = x->rank - 1;
  cut c = cut_of(n);
  gs_rule_begin(a, n, r);
  for (int d = 0; d < last; d++) {
    int f = gs_heads_factor(r, x->dims[d], GS_PASS);
    gs_heads_put(&r->in[X], d, f);
    gs_heads_put(&r->in[ROUTER], 0, f);
    gs_heads_put(&r->out[0], d, f);
  }
  bool shared = gs_node_in(n, Z2) && !gs_node_int(n, "block_size", 0) &&
                gs_qmoe_bits(n, 2) != 8;
  int out = gs_rule_factor(r, n->in[W2]->dims[1],
                           shared ? GS_WHOLE : GS_PASS);
  int experts = gs_heads_factor(r, n->in[W2]->dims[0], GS_SUMMED);
  int units = c.can ? gs_rule_factor(r, c.units, GS_SUMMED) : -1;
  int work = gs_heads_work(r, c.can ? c.unit : c.units * c.unit);
  gs_rule_put(&r->out[0], last, out);
  gs_rule_put(&r->in[X], last, gs_rule_fixed(r, n->in[W1]->dims[2]));
  if (gs_qmoe_bits(n, 1) < 8) /* the bytes of rows of fc1, and what is in one */
    gs_rule_put(&r->in[X], last, gs_rule_fixed(r, 8 / gs_qmoe_bits(n, 1)));
  gs_rule_put(&r->in[ROUTER], 1, gs_rule_fixed(r, n->in[ROUTER]->dims[1]));
  for (int i = W1; i < n->nin; i++) {
    if (!n->in[i]) continue;
    gs_heads_put(&r->in[i], 0, experts);
    if ((i >= W2 && i <= B2) || i == Z2) put_down(n, r, i, out, units, &c);
    else put_up(n, r, i, i < W2 || i == Z1, units, work, &c);
  }
  return GS_OK;
}

/* The axes of the major factor of dim d of the weights of fc2. */
static const gs_axes *axes_of(const gs_local *l, int d) {
  static const gs_axes none;
  const gs_dim_map *m = &l->rule->in[W2].dim[d];
  return m->n ? &l->factor[m->f[0]] : &none;
}

/* With the experts split: the form that knows which of them are here. With
 * the inner size split only one device adds the bias of fc2. */
gs_status gs_local_qmoe(gs_local *l, gs_err *e) {
  (void)e;
  const gs_axes *experts = axes_of(l, 0), *inner = axes_of(l, 2);
  gs_local_once(l, B2, inner);
  if (experts->n)
    gs_node_set_axes(l->program, gs_local_meshed(l), "axes", experts);
  else gs_local_same(l);
  return GS_OK;
}
