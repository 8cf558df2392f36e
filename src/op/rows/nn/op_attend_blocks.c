/* Shape and local form of AttentionBlocks: attention of all queries over each
 * of n blocks of the keys, for split forms (op/functions/split.txt). */
#include "base/math.h"
#include "op/rows/nn/heads.h"

gs_shape_fn gs_shape_attention_blocks;
gs_local_fn gs_local_attention_blocks;

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
  if (s->kv < 1 || s->heads < s->kv || s->heads % s->kv)
    return gs_heads_bad(a, n, e,
                        "%lld heads of the query cannot share %lld heads of "
                        "the keys", (long long)s->heads, (long long)s->kv);
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
    if (n->in[i]->dtype != GS_INT64)
      return gs_heads_bad(a, n, e, "operand %d '%s' is of type %s, not i64", i,
                          n->in[i]->name,
                          gs_dtype_get((int)n->in[i]->dtype)->text);
    GS_TRY(gs_heads_expect(a, n, i, 2, each, e));
  }
  int64_t left = gs_node_int(n, "left_window_size", -1);
  int64_t right = gs_node_int(n, "right_window_size", -1);
  if (left < -1 || right < -1)
    return gs_heads_bad(a, n, e, "window sizes %lld and %lld: below -1",
                        (long long)left, (long long)right);
  return GS_OK;
}

gs_status gs_shape_attention_blocks(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
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
  return GS_OK;
}

gs_status gs_local_attention_blocks(gs_local *l, gs_err *e) {
  sizes s;
  (void)e;
  measure(l->node, &s);
  gs_local_mask(l, LENGTHS);
  gs_local_mask(l, OFFSETS);
  gs_heads_local(l, s.batch, s.kv, s.kv ? s.heads / s.kv : 1);
  return GS_OK;
}
