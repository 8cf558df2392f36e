/* Rules, shapes and local forms of Attention, RotaryEmbedding and
 * TensorScatter.
 *
 * With grouped queries the heads of the query are two factors, kv heads (the
 * major one) and the queries' heads of one kv head; keys and values have only
 * the first.  Once that one is split to the end, more axes split the second:
 * the kv heads are then replicated over them. */
#include <string.h>

#include "base/math.h"
#include "op/rows/nn/heads.h"

gs_shape_fn gs_shape_attention, gs_shape_rotary, gs_shape_tensor_scatter;
gs_local_fn gs_local_attention, gs_local_rotary, gs_local_tensor_scatter;

/* ---- Attention ---- */

enum { Q, K, V, MASK, PAST_K, PAST_V, NONPAD };

typedef struct sizes {
  bool flat; /* 3-D operands: heads lie in the last dim */
  int64_t batch, kv, group, queries, keys, past, head, vhead;
} sizes;

/* The operands are of rank 3 or 4 and the attributes positive. */
static void measure(const gs_node *n, sizes *s) {
  const gs_value *q = n->in[Q], *k = n->in[K], *v = n->in[V];
  const gs_value *past = gs_node_in(n, PAST_K);
  *s = (sizes){.flat = q->rank == 3, .batch = q->dims[0]};
  int64_t heads;
  if (s->flat) {
    heads = gs_node_int(n, "q_num_heads", 1);
    s->kv = gs_node_int(n, "kv_num_heads", 1);
    s->queries = q->dims[1];
    s->keys = k->dims[1];
    s->head = q->dims[2] / heads;
    s->vhead = v->dims[2] / s->kv;
  } else {
    heads = q->dims[1];
    s->kv = k->dims[1];
    s->queries = q->dims[2];
    s->keys = k->dims[2];
    s->head = q->dims[3];
    s->vhead = v->dims[3];
  }
  s->group = s->kv ? heads / s->kv : 1;
  s->past = past && past->rank == 4 ? past->dims[2] : 0;
}

static gs_status check_heads(gs_arena *a, const gs_node *n, gs_err *e) {
  const gs_value *q = n->in[Q], *k = n->in[K], *v = n->in[V];
  if ((q->rank != 3 && q->rank != 4) || k->rank != q->rank ||
      v->rank != q->rank)
    return gs_heads_bad(a, n, e,
                        "Q, K and V are of ranks %d, %d, %d, not all 3 or "
                        "all 4", q->rank, k->rank, v->rank);
  int64_t heads = q->rank == 4 ? q->dims[1] : gs_node_int(n, "q_num_heads", 0);
  int64_t kv = k->rank == 4 ? k->dims[1] : gs_node_int(n, "kv_num_heads", 0);
  GS_TRY(gs_heads_shared(a, n, heads, kv, e));
  if (q->rank == 3 && (q->dims[2] % heads || k->dims[2] % kv ||
                       v->dims[2] % kv))
    return gs_heads_bad(a, n, e,
                        "hidden sizes %lld, %lld, %lld do not divide by %lld "
                        "and %lld heads", (long long)q->dims[2],
                        (long long)k->dims[2], (long long)v->dims[2],
                        (long long)heads, (long long)kv);
  return GS_OK;
}

static gs_status check_mask(gs_arena *a, const gs_node *n, const sizes *s,
                            gs_err *e) {
  const gs_value *m = gs_node_in(n, MASK);
  if (!m) return GS_OK;
  int64_t full[4] = {s->batch, s->kv * s->group, s->queries,
                     s->past + s->keys};
  bool fits = m->rank >= 1 && m->rank <= 4;
  for (int d = 0; fits && d < m->rank; d++) {
    int64_t want = full[4 - m->rank + d];
    bool last = d == m->rank - 1;
    fits = m->dims[d] == 1 || m->dims[d] == want ||
           (last && m->dims[d] < want);
  }
  if (fits) return GS_OK;
  return gs_heads_bad(a, n, e, "attn_mask '%s' %s does not broadcast to %s",
                      m->name, gs_shape_text(a, m->dtype, m->rank, m->dims),
                      gs_shape_text(a, m->dtype, 4, full));
}

static gs_status check_cache(gs_arena *a, const gs_node *n, const sizes *s,
                             gs_err *e) {
  const gs_value *pk = gs_node_in(n, PAST_K), *pv = gs_node_in(n, PAST_V);
  if (!pk != !pv)
    return gs_heads_bad(a, n, e, "past_key and past_value go together");
  if (pk && gs_node_in(n, NONPAD))
    return gs_heads_bad(a, n, e,
                        "nonpad_kv_seqlen is not for a cache given as "
                        "past_key and past_value");
  if (pk && pk->rank != 4)
    return gs_heads_bad(a, n, e, "past_key '%s' is of rank %d, not 4",
                        pk->name, pk->rank);
  GS_TRY(gs_heads_expect(a, n, PAST_K, 4,
                         (int64_t[]){s->batch, s->kv, s->past, s->head}, e));
  GS_TRY(gs_heads_expect(a, n, PAST_V, 4,
                         (int64_t[]){s->batch, s->kv, s->past, s->vhead}, e));
  GS_TRY(gs_heads_type(a, n, NONPAD, GS_INT64, e));
  return gs_heads_expect(a, n, NONPAD, 1, &s->batch, e);
}

static gs_status check_modes(gs_arena *a, const gs_node *n, gs_err *e) {
  int64_t mode = gs_node_int(n, "qk_matmul_output_mode", 0);
  int64_t to = gs_node_int(n, "softmax_precision", GS_FLOAT);
  if (mode < 0 || mode > 3)
    return gs_heads_bad(a, n, e, "qk_matmul_output_mode %lld is not 0, 1, 2 or "
                        "3", (long long)mode);
  if (to != GS_FLOAT && to != GS_FLOAT16 && to != GS_DOUBLE &&
      to != GS_BFLOAT16)
    return gs_heads_bad(a, n, e, "softmax_precision %lld is not a "
                        "floating-point type", (long long)to);
  return gs_heads_windows(a, n, e);
}

gs_status gs_shape_attention(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  sizes s;
  GS_TRY(gs_shape_same_type(a, n, Q, K, e));
  GS_TRY(gs_shape_same_type(a, n, Q, PAST_K, e));
  GS_TRY(gs_shape_same_type(a, n, V, PAST_V, e));
  GS_TRY(check_heads(a, n, e));
  GS_TRY(check_modes(a, n, e));
  measure(n, &s);
  int64_t rows = s.flat ? s.keys : s.kv;
  int64_t cols = s.flat ? s.kv * s.head : s.keys;
  GS_TRY(gs_heads_expect(a, n, K, n->in[Q]->rank,
                         (int64_t[]){s.batch, rows, cols, s.head}, e));
  if (s.flat) cols = s.kv * s.vhead;
  GS_TRY(gs_heads_expect(a, n, V, n->in[Q]->rank,
                         (int64_t[]){s.batch, rows, cols, s.vhead}, e));
  GS_TRY(check_cache(a, n, &s, e));
  GS_TRY(check_mask(a, n, &s, e));
  gs_dtype t = n->in[Q]->dtype, tv = n->in[V]->dtype;
  int64_t all = s.past + s.keys, heads = s.kv * s.group;
  if (s.flat)
    GS_TRY(gs_shape_set(g, n, 0, t, 3,
                        (int64_t[]){s.batch, s.queries, heads * s.vhead}, e));
  else
    GS_TRY(gs_shape_set(g, n, 0, t, 4,
                        (int64_t[]){s.batch, heads, s.queries, s.vhead}, e));
  GS_TRY(gs_shape_set(g, n, 1, t, 4,
                      (int64_t[]){s.batch, s.kv, all, s.head}, e));
  GS_TRY(gs_shape_set(g, n, 2, tv, 4,
                      (int64_t[]){s.batch, s.kv, all, s.vhead}, e));
  return gs_shape_set(g, n, 3, t, 4,
                      (int64_t[]){s.batch, heads, s.queries, all}, e);
}

/* Which keys a query sees depends on its place, but for masks. */
gs_status gs_local_attention(gs_local *l, gs_err *e) {
  const gs_node *n = l->node;
  bool near = gs_node_int(n, "is_causal", 0) ||
              gs_node_int(n, "left_window_size", -1) >= 0 ||
              gs_node_int(n, "right_window_size", -1) >= 0;
  sizes s;
  (void)e;
  measure(n, &s);
  int d = s.flat ? 1 : 2;
  if (near && gs_local_splits(l, d, d + 1)) gs_local_placed(l);
  else gs_heads_local(l, s.batch, s.kv, s.group);
  return GS_OK;
}

/* ---- RotaryEmbedding: x[batch, heads, length, head] or [batch, length,
 * heads * head] ---- */

enum { X, COS, SIN, IDS };

static gs_status check_angles(gs_arena *a, const gs_node *n, int64_t batch,
                              int64_t length, int64_t half, gs_err *e) {
  bool ids = gs_node_in(n, IDS) != NULL;
  int64_t table[2] = {n->in[COS]->dims[0], half};
  int64_t each[3] = {batch, length, half};
  for (int i = COS; i <= SIN; i++)
    GS_TRY(gs_heads_expect(a, n, i, ids ? 2 : 3, ids ? table : each, e));
  GS_TRY(gs_heads_type(a, n, IDS, GS_INT64, e));
  return gs_heads_expect(a, n, IDS, 2, each, e);
}

gs_status gs_shape_rotary(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[X];
  for (int i = COS; i <= SIN; i++) {
    GS_TRY(gs_shape_same_type(a, n, X, i, e));
    if (n->in[i]->rank < 1)
      return gs_heads_bad(a, n, e, "operand '%s' is a scalar",
                          n->in[i]->name);
  }
  if (x->rank != 3 && x->rank != 4)
    return gs_heads_bad(a, n, e, "'%s' has rank %d, neither 3 nor 4",
                        x->name, x->rank);
  int64_t heads = x->rank == 4 ? 1 : gs_node_int(n, "num_heads", 0);
  int64_t last = x->dims[x->rank - 1];
  if (heads < 1 || last % heads)
    return gs_heads_bad(a, n, e, "a hidden size of %lld does not divide by "
                        "num_heads %lld", (long long)last, (long long)heads);
  int64_t head = last / heads;
  int64_t turn = gs_node_int(n, "rotary_embedding_dim", 0);
  if (!turn) turn = head;
  if (turn < 0 || turn > head || turn % 2)
    return gs_heads_bad(a, n, e, "%lld of %lld elements cannot be rotated in "
                        "pairs", (long long)turn, (long long)head);
  GS_TRY(check_angles(a, n, x->dims[0], x->dims[x->rank - 2], turn / 2, e));
  return gs_shape_set_like(g, n, 0, e);
}

gs_status gs_local_rotary(gs_local *l, gs_err *e) {
  const gs_node *from = l->node;
  const gs_value *x = from->in[X];
  int64_t heads = gs_node_int(from, "num_heads", 0);
  int head = x->rank == 3 && heads != 1 ? x->dims[0] != 1 : -1;
  (void)e;
  gs_local_mask(l, IDS);
  gs_node *n = gs_local_same(l);
  if (x->rank == 3) gs_heads_divide(l, n, "num_heads", head, -1);
  return GS_OK;
}

/* ---- TensorScatter: writes update into cache at a place along axis ---- */

static gs_status scatter_axis(gs_arena *a, const gs_node *n, int *axis,
                              gs_err *e) {
  GS_TRY(gs_shape_axis_attr(a, n, "axis", -2, axis, e));
  if (*axis == 0)
    return gs_heads_bad(a, n, e, "axis 0 is the batch: nothing can be "
                        "written along it");
  return GS_OK;
}

gs_status gs_shape_tensor_scatter(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *u = n->in[1];
  int axis;
  GS_TRY(gs_shape_same_type(a, n, 0, 1, e));
  GS_TRY(scatter_axis(a, n, &axis, e));
  bool fits = u->rank == x->rank;
  for (int d = 0; fits && d < x->rank; d++)
    fits = d == axis ? u->dims[d] <= x->dims[d] : u->dims[d] == x->dims[d];
  if (!fits)
    return gs_heads_bad(a, n, e, "update '%s' %s does not fit '%s' %s along "
                        "axis %d", u->name,
                        gs_shape_text(a, u->dtype, u->rank, u->dims), x->name,
                        gs_shape_text(a, x->dtype, x->rank, x->dims), axis);
  const char *mode = gs_node_string(n, "mode", "linear");
  if (strcmp(mode, "linear") && strcmp(mode, "circular"))
    return gs_heads_bad(a, n, e, "mode '%s' is neither linear nor circular",
                        mode);
  GS_TRY(gs_heads_type(a, n, 2, GS_INT64, e));
  GS_TRY(gs_heads_expect(a, n, 2, 1, x->dims, e));
  return gs_shape_set_like(g, n, 0, e);
}

/* Of a cache that is split along the axis each device writes its own rows. */
gs_status gs_local_tensor_scatter(gs_local *l, gs_err *e) {
  int rank = l->node->in[0]->rank;
  int64_t axis = gs_node_int(l->node, "axis", -2);
  int d = (int)(axis < 0 ? axis + rank : axis);
  (void)e;
  gs_local_mask(l, 2);
  if (gs_local_splits(l, d, d + 1)) gs_local_placed(l);
  else gs_local_same(l);
  return GS_OK;
}
