/* MatMulNBits: a[...,K] times weights of 2, 4 or 8 bits, b[N, K / block,
 * bytes of a block], with a scale and a zero point per block. */
#include "base/math.h"
#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

gs_rule_fn gs_rule_matmul_nbits;
gs_shape_fn gs_shape_matmul_nbits;
gs_local_fn gs_local_matmul_nbits;

enum { A, B, SCALES, ZEROS, G_IDX, BIAS };

typedef struct sizes {
  int64_t k, n, block, bits, blocks;
} sizes;

static gs_status sizes_of(gs_arena *a, const gs_node *n, sizes *s,
                          gs_err *e) {
  *s = (sizes){gs_node_int(n, "K", -1), gs_node_int(n, "N", -1),
               gs_node_int(n, "block_size", 0), gs_node_int(n, "bits", 4), 0};
  const char *place = gs_node_place(a, n);
  if (s->bits != 2 && s->bits != 4 && s->bits != 8)
    return gs_fail(e, GS_UNSUPPORTED, place,
                   "weights of %lld bits; there are kernels for 2, 4 and 8",
                   (long long)s->bits);
  if (s->block < 16 || (s->block & (s->block - 1)))
    return gs_fail(e, GS_DATA, place,
                   "attribute 'block_size' is %lld, not a power of two of at "
                   "least 16", (long long)s->block);
  if (s->k < 0 || s->n < 0)
    return gs_fail(e, GS_DATA, place, "attributes 'K' and 'N' are %lld and "
                   "%lld", (long long)s->k, (long long)s->n);
  if (gs_node_int(n, "weight_prepacked", 0))
    return gs_fail(e, GS_UNSUPPORTED, place,
                   "weights packed for one kind of processor "
                   "(weight_prepacked)");
  s->blocks = gs_ceil_div(s->k, s->block);
  return GS_OK;
}

/* Operand i, when given, has the dims (x, y), or them as one. */
static gs_status want(gs_arena *a, const gs_node *n, int i, int64_t x,
                      int64_t y, gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  int64_t all;
  if (!v || (v->rank == 2 && v->dims[0] == x && v->dims[1] == y) ||
      (v->rank == 1 && gs_mul(x, y, &all) && v->dims[0] == all))
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' is %s, not [%lld,%lld]", i, v->name,
                 gs_shape_text(a, v->dtype, v->rank, v->dims), (long long)x,
                 (long long)y);
}

static gs_status want_type(gs_arena *a, const gs_node *n, int i, bool right,
                           gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v || right) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' must not be %s", i, v->name,
                 gs_dtype_get((int)v->dtype)->text);
}

/* Zero points are packed like the weights, or floats. */
static bool zeros_packed(const gs_node *n) {
  const gs_value *v = gs_node_in(n, ZEROS);
  return v && v->dtype == GS_UINT8;
}

gs_status gs_shape_matmul_nbits(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[A], *b = n->in[B];
  const gs_value *idx = gs_node_in(n, G_IDX);
  sizes s;
  int64_t dims[GS_MAX_RANK];
  GS_TRY(sizes_of(a, n, &s, e));
  bool real = x->dtype == GS_FLOAT || x->dtype == GS_FLOAT16 ||
              x->dtype == GS_BFLOAT16;
  GS_TRY(want_type(a, n, A, real, e));
  GS_TRY(want_type(a, n, B, b->dtype == GS_UINT8, e));
  GS_TRY(gs_shape_same_type(a, n, A, SCALES, e));
  GS_TRY(gs_shape_same_type(a, n, A, BIAS, e));
  if (!zeros_packed(n)) GS_TRY(gs_shape_same_type(a, n, A, ZEROS, e));
  GS_TRY(want_type(a, n, G_IDX, idx && idx->dtype == GS_INT32, e));
  int64_t blob = s.block * s.bits / 8;
  if (x->rank < 1 || x->dims[x->rank - 1] != s.k)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' is %s, its last dim is not K = %lld", x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims),
                   (long long)s.k);
  if (b->rank != 3 || b->dims[0] != s.n || b->dims[1] != s.blocks ||
      b->dims[2] != blob)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' is %s, not [%lld,%lld,%lld]", b->name,
                   gs_shape_text(a, b->dtype, b->rank, b->dims),
                   (long long)s.n, (long long)s.blocks, (long long)blob);
  GS_TRY(want(a, n, SCALES, s.n, s.blocks, e));
  GS_TRY(want(a, n, ZEROS, s.n,
              zeros_packed(n) ? gs_ceil_div(s.blocks * s.bits, 8) : s.blocks,
              e));
  GS_TRY(want(a, n, BIAS, 1, s.n, e));
  if (idx && (idx->rank != 1 || idx->dims[0] < s.k))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' is %s, not one index for each of K = %lld",
                   idx->name,
                   gs_shape_text(a, idx->dtype, idx->rank, idx->dims),
                   (long long)s.k);
  for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d];
  dims[x->rank - 1] = s.n;
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

/* Puts n and the factors of the blocks into scales or zero points. */
static void put_blocks(const gs_node *n, gs_rule *r, int i, int f,
                       const gs_dim_map *blocks) {
  const gs_value *v = gs_node_in(n, i);
  if (!v) return;
  gs_rule_put(&r->in[i], 0, f);
  for (int j = 0; j < blocks->n; j++)
    gs_rule_put(&r->in[i], v->rank - 1, blocks->f[j]);
}

/* Rows and columns pass; K is summed where it can be cut between blocks, and
 * between bytes of the zero points. */
gs_status gs_rule_matmul_nbits(gs_arena *a, const gs_node *n, gs_rule *r,
                               gs_err *e) {
  sizes s;
  GS_TRY(sizes_of(a, n, &s, e));
  const gs_value *x = n->in[A], *zeros = gs_node_in(n, ZEROS);
  int last = x->rank - 1;
  gs_rule_begin(a, n, r);
  for (int d = 0; d < last; d++) {
    int f = gs_rule_factor(r, x->dims[d], GS_PASS);
    gs_rule_put(&r->in[A], d, f);
    gs_rule_put(&r->out[0], d, f);
  }
  int cols = gs_rule_factor(r, s.n, GS_PASS);
  gs_rule_put(&r->out[0], last, cols);
  gs_rule_put(&r->in[B], 0, cols);
  if (gs_node_in(n, BIAS))
    gs_rule_put(&r->in[BIAS], gs_node_in(n, BIAS)->rank - 1, cols);
  gs_rule_in_whole(r, n, G_IDX);
  int64_t per = zeros_packed(n) ? 8 / s.bits : 1;
  bool flat = n->in[SCALES]->rank == 1 || (zeros && zeros->rank == 1);
  bool cut = s.k == s.blocks * s.block && s.blocks % per == 0 && !flat &&
             !gs_node_in(n, G_IDX);
  gs_dim_map blocks = {0}, bytes = {0};
  int within = -1; /* before those that are no part of the work */
  if (cut) {
    int major = gs_rule_factor(r, s.blocks / per, GS_SUMMED);
    blocks.f[blocks.n++] = bytes.f[bytes.n++] = (uint8_t)major;
    if (per > 1) blocks.f[blocks.n++] = (uint8_t)gs_rule_whole(r, per);
    within = gs_rule_whole(r, s.block);
  } else {
    within = gs_rule_whole(r, s.k);
    blocks.f[blocks.n++] = (uint8_t)gs_rule_fixed(r, s.blocks);
    bytes.f[bytes.n++] = (uint8_t)gs_rule_fixed(
        r, zeros_packed(n) ? gs_ceil_div(s.blocks * s.bits, 8) : s.blocks);
  }
  for (int j = 0; j < blocks.n; j++) {
    if (cut) gs_rule_put(&r->in[A], last, blocks.f[j]);
    gs_rule_put(&r->in[B], 1, blocks.f[j]);
  }
  gs_rule_put(&r->in[A], last, within);
  gs_rule_put(&r->in[B], 2, gs_rule_fixed(r, s.block * s.bits / 8));
  put_blocks(n, r, SCALES, cols, &blocks);
  put_blocks(n, r, ZEROS, cols, &bytes);
  return GS_OK;
}

/* K and N of this device; where K is split only one device adds the bias. */
gs_status gs_local_matmul_nbits(gs_local *l, gs_err *e) {
  (void)e;
  gs_axes axes = gs_axes_of(l->partial);
  gs_local_once(l, BIAS, &axes);
  gs_node *n = gs_local_same(l);
  gs_node_set_int(l->program, n, "K", l->in[A]->dims[l->in[A]->rank - 1]);
  gs_node_set_int(l->program, n, "N", l->in[B]->dims[0]);
  return GS_OK;
}
