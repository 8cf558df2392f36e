/* Shapes and local forms of operators that split forms of attention are made
 * of (op/functions/split.txt): AttentionBlocks, all queries over each of n
 * blocks of the keys, and GroupQueryCache. */
#include "base/math.h"
#include "op/rows/nn/heads.h"

gs_shape_fn gs_shape_attention_blocks, gs_shape_group_query_cache;
extern gs_shape_fn gs_shape_placed_alike;
gs_local_fn gs_local_attention_blocks, gs_local_group_query_cache;

/* ---- AttentionBlocks ---- */

enum { Q, K, V, LENGTHS, OFFSETS, MASK };

typedef struct sizes {
  bool flat, flat_keys; /* heads lie in the last dim: [b, q, heads * d] */
  int64_t batch, kv, heads, queries, blocks, keys, head, vhead;
} sizes;

/* The operands have ranks that fit. */
static void measure(const gs_node *n, sizes *s) {
  const gs_value *q = n->in[Q], *k = n->in[K], *v = n->in[V];
  *s = (sizes){.flat = q->rank == 3, .flat_keys = k->rank == 4,
               .batch = q->dims[0]};
  s->kv = s->flat_keys ? gs_node_int(n, "kv_num_heads", 0) : k->dims[1];
  s->heads = s->flat ? gs_node_int(n, "q_num_heads", 0) : q->dims[1];
  s->queries = q->dims[s->flat ? 1 : 2];
  s->blocks = k->dims[s->flat_keys ? 1 : 2];
  s->keys = k->dims[s->flat_keys ? 2 : 3];
  s->head = q->dims[q->rank - 1];
  s->vhead = v->dims[v->rank - 1];
}

static gs_status check_heads(gs_arena *a, const gs_node *n, sizes *s,
                             gs_err *e) {
  const gs_value *q = n->in[Q], *k = n->in[K], *v = n->in[V];
  bool fits = q->rank == 3 ? k->rank == 4 || k->rank == 5
                           : q->rank == 4 && k->rank == 5;
  if (!fits || v->rank != k->rank)
    return gs_heads_bad(a, n, e, "Q, K and V are of ranks %d, %d, %d, not 3 "
                        "and twice 4 or 5, or 4 and twice 5", q->rank,
                        k->rank, v->rank);
  measure(n, s);
  GS_TRY(gs_heads_shared(a, n, s->heads, s->kv, e));
  if ((s->flat && s->head % s->heads) ||
      (s->flat_keys && s->vhead % s->kv))
    return gs_heads_bad(a, n, e,
                        "hidden sizes %lld and %lld do not divide by %lld and "
                        "%lld heads", (long long)s->head, (long long)s->vhead,
                        (long long)s->heads, (long long)s->kv);
  if (s->flat) s->head /= s->heads;
  if (s->flat_keys) s->vhead /= s->kv;
  return GS_OK;
}

/* [batch, heads, blocks, keys, n], or [batch, blocks, keys, heads * n]. */
static gs_status check_keys(gs_arena *a, const gs_node *n, const sizes *s,
                            int i, int64_t size, gs_err *e) {
  int64_t wide[5] = {s->batch, s->kv, s->blocks, s->keys, size};
  int64_t flat[4] = {s->batch, s->blocks, s->keys, s->kv * size};
  return s->flat_keys ? gs_heads_expect(a, n, i, 4, flat, e)
                      : gs_heads_expect(a, n, i, 5, wide, e);
}

static gs_status check_mask(gs_arena *a, const gs_node *n, const sizes *s,
                            gs_err *e) {
  const gs_value *m = gs_node_in(n, MASK);
  if (!m) return GS_OK;
  int64_t full[5] = {s->batch, s->heads, s->queries, s->blocks, s->keys};
  bool fits = m->rank >= 2 && m->rank <= 5;
  for (int d = 0; fits && d < m->rank; d++)
    fits = m->dims[d] == full[5 - m->rank + d] ||
           (m->dims[d] == 1 && d < m->rank - 2);
  if (fits) return GS_OK;
  return gs_heads_bad(a, n, e, "mask '%s' %s does not broadcast to %s",
                      m->name, gs_shape_text(a, m->dtype, m->rank, m->dims),
                      gs_shape_text(a, m->dtype, 5, full));
}

static gs_status check_lists(gs_arena *a, const gs_node *n, const sizes *s,
                             gs_err *e) {
  int64_t each[2] = {s->blocks, s->batch};
  for (int i = LENGTHS; i <= OFFSETS; i++) {
    GS_TRY(gs_heads_type(a, n, i, GS_INT64, e));
    GS_TRY(gs_heads_expect(a, n, i, 2, each, e));
  }
  return gs_heads_windows(a, n, e);
}

gs_status gs_shape_attention_blocks(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  if (gs_node_attr(n, "place")) return gs_shape_placed_alike(g, n, e);
  sizes s;
  GS_TRY(check_heads(a, n, &s, e));
  GS_TRY(check_keys(a, n, &s, K, s.head, e));
  GS_TRY(check_keys(a, n, &s, V, s.vhead, e));
  GS_TRY(check_mask(a, n, &s, e));
  GS_TRY(check_lists(a, n, &s, e));
  bool wide = n->in[Q]->dtype == GS_DOUBLE || n->in[V]->dtype == GS_DOUBLE;
  gs_dtype t = wide ? GS_DOUBLE : GS_FLOAT;
  for (int i = 0; i < 3; i++) {
    int64_t last = i ? 1 : s.vhead;
    int64_t rows[5] = {s.blocks, s.batch, s.heads, s.queries, last};
    int64_t flat[5] = {s.blocks, s.batch, s.queries, s.heads, last};
    GS_TRY(gs_shape_set(g, n, i, t, 5, s.flat ? flat : rows, e));
  }
  int64_t scores[5] = {s.blocks, s.batch, s.heads, s.queries, s.keys};
  return gs_shape_set(g, n, 3, t, 5, scores, e);
}

gs_status gs_local_attention_blocks(gs_local *l, gs_err *e) {
  sizes s;
  (void)e;
  measure(l->node, &s);
  gs_local_mask(l, LENGTHS);
  gs_local_mask(l, OFFSETS);
  int d = s.flat ? 2 : 3; /* queries: OFFSETS are those of the first of all */
  if (gs_local_splits(l, d, d + 1)) gs_local_placed(l);
  else gs_heads_local(l, s.batch, s.kv, s.kv ? s.heads / s.kv : 1);
  return GS_OK;
}

/* ---- GroupQueryCache: what GroupQueryAttention does before attention, on
 * blocks of its caches ---- */

enum { QUERY, KEY, VALUE, PAST_K, PAST_V, SEQLENS, TOTAL, COS, SIN, IDS, STARTS,
       ROOM };

typedef struct caches {
  bool packed;
  int64_t batch, kv, heads, queries, head, blocks, rows;
} caches;

static void cache_sizes(const gs_node *n, caches *s) {
  const gs_value *q = n->in[QUERY], *past = n->in[PAST_K];
  *s = (caches){.packed = !gs_node_in(n, KEY), .batch = q->dims[0],
                .kv = gs_node_int(n, "kv_num_heads", 1),
                .heads = gs_node_int(n, "num_heads", 1),
                .queries = q->dims[1], .blocks = past->dims[2],
                .rows = past->dims[3]};
  s->head = q->dims[2] / (s->packed ? s->heads + 2 * s->kv : s->heads);
}

static gs_status cache_check(gs_arena *a, const gs_node *n, gs_err *e) {
  static const int needed[] = {PAST_K, PAST_V, SEQLENS, TOTAL, STARTS, ROOM};
  for (int i = 0; i < 6; i++)
    if (!gs_node_in(n, needed[i]))
      return gs_heads_bad(a, n, e, "operand %d must not be left out",
                          needed[i]);
  const gs_value *q = n->in[QUERY], *past = n->in[PAST_K];
  int64_t heads = gs_node_int(n, "num_heads", 0);
  int64_t kv = gs_node_int(n, "kv_num_heads", 0);
  bool packed = !gs_node_in(n, KEY);
  GS_TRY(gs_heads_shared(a, n, heads, kv, e));
  if (q->rank != 3 || past->rank != 5 || packed != !gs_node_in(n, VALUE))
    return gs_heads_bad(a, n, e, "the query '%s' is of rank %d, not 3, the "
                        "past '%s' of rank %d, not 5, or key or value alone "
                        "is left out", q->name, q->rank, past->name,
                        past->rank);
  int64_t all = packed ? heads + 2 * kv : heads;
  if (q->dims[2] % all)
    return gs_heads_bad(a, n, e, "a hidden size of %lld does not divide by "
                        "%lld heads", (long long)q->dims[2], (long long)all);
  bool angles = gs_node_in(n, COS) && gs_node_in(n, SIN);
  if (gs_node_int(n, "do_rotary", 0) && !angles)
    return gs_heads_bad(a, n, e, "do_rotary needs cos_cache and sin_cache");
  return GS_OK;
}

/* Those that are not listed are of the query's type. */
static gs_status cache_types(gs_arena *a, const gs_node *n, gs_err *e) {
  static const int type[] = {[SEQLENS] = GS_INT32, [TOTAL] = GS_INT32,
                             [IDS] = GS_INT64, [STARTS] = GS_INT64,
                             [ROOM] = GS_INT64};
  for (int i = 0; i <= ROOM; i++)
    GS_TRY(gs_heads_type(a, n, i, type[i] ? (gs_dtype)type[i]
                                          : n->in[QUERY]->dtype, e));
  return GS_OK;
}

static gs_status cache_operands(gs_arena *a, const gs_node *n,
                                const caches *s, gs_err *e) {
  int64_t new[3] = {s->batch, s->queries, s->kv * s->head};
  int64_t past[5] = {s->batch, s->kv, s->blocks, s->rows, s->head};
  int64_t each[2] = {s->batch, s->queries}, column[2] = {s->batch, 1};
  const gs_value *c = gs_node_in(n, COS), *total = n->in[TOTAL];
  int64_t angles[2] = {-1, c && c->rank == 2 ? c->dims[1] : 0}, two = 2;
  for (int i = KEY; i <= VALUE; i++)
    GS_TRY(gs_heads_expect(a, n, i, 3, new, e));
  for (int i = PAST_K; i <= PAST_V; i++)
    GS_TRY(gs_heads_expect(a, n, i, 5, past, e));
  bool tall = n->in[SEQLENS]->rank == 2;
  GS_TRY(gs_heads_expect(a, n, SEQLENS, tall ? 2 : 1, column, e));
  GS_TRY(gs_heads_expect(a, n, IDS, 2, each, e));
  GS_TRY(gs_heads_expect(a, n, STARTS, 1, &s->blocks, e));
  GS_TRY(gs_heads_expect(a, n, ROOM, 1, &two, e));
  for (int i = COS; i <= SIN; i++)
    GS_TRY(gs_heads_expect(a, n, i, 2, angles, e));
  if (c && 2 * angles[1] > s->head)
    return gs_heads_bad(a, n, e, "'%s' has %lld angles for heads of %lld",
                        c->name, (long long)angles[1], (long long)s->head);
  if (gs_product(total->dims, total->rank) != 1)
    return gs_heads_bad(a, n, e, "operand %d '%s' is %s, not one number",
                        TOTAL, total->name,
                        gs_shape_text(a, total->dtype, total->rank,
                                      total->dims));
  return GS_OK;
}

gs_status gs_shape_group_query_cache(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  caches s;
  GS_TRY(cache_check(a, n, e));
  GS_TRY(cache_types(a, n, e));
  cache_sizes(n, &s);
  GS_TRY(cache_operands(a, n, &s, e));
  gs_dtype t = n->in[QUERY]->dtype;
  GS_TRY(gs_shape_set(g, n, 0, t, 3,
                      (int64_t[]){s.batch, s.queries, s.heads * s.head}, e));
  for (int i = 1; i < 3; i++)
    GS_TRY(gs_shape_set(g, n, i, t, 5, n->in[PAST_K]->dims, e));
  return GS_OK;
}

gs_status gs_local_group_query_cache(gs_local *l, gs_err *e) {
  caches s;
  (void)e;
  cache_sizes(l->node, &s);
  int at = s.batch != 1, kv = -1, group = -1; /* in the rule's order */
  if (s.kv != 1) kv = at++;
  if (s.heads != s.kv) group = at;
  if (s.packed) kv = group = -1;
  gs_local_mask(l, SEQLENS);
  gs_local_mask(l, IDS);
  gs_local_mask(l, STARTS);
  gs_node *n = gs_local_same(l);
  gs_heads_divide(l, n, "num_heads", kv, group);
  gs_heads_divide(l, n, "kv_num_heads", kv, -1);
  return GS_OK;
}
