/* Rules, shapes and local forms of com.microsoft's RotaryEmbedding,
 * MultiHeadAttention and GroupQueryAttention.
 *
 * Heads are split as in Attention of ai.onnx.  They are whole where queries,
 * keys and values, or their biases, lie in one dim one after the other, a block
 * of which is not a block of each: the split form takes these apart. */
#include <string.h>

#include "base/math.h"
#include "op/rows/nn/heads.h"

gs_shape_fn gs_shape_ms_rotary, gs_shape_ms_mha, gs_shape_ms_gqa;
gs_local_fn gs_local_ms_rotary, gs_local_ms_mha, gs_local_ms_gqa;

static gs_status no_attribute(gs_arena *a, const gs_node *n, const char *name,
                              gs_err *e) {
  if (!gs_node_int(n, name, 0)) return GS_OK;
  return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                 "attribute '%s' is not supported", name);
}

static gs_status no_operand(gs_arena *a, const gs_node *n, int i,
                            const char *what, gs_err *e) {
  if (!gs_node_in(n, i)) return GS_OK;
  return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                 "operand %d '%s' (%s) is not supported", i,
                 gs_node_in(n, i)->name, what);
}

/* attention_bias [batch or 1, heads or 1, queries, keys]. */
static gs_status check_bias(gs_arena *a, const gs_node *n, int i,
                            const int64_t full[4], gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v) return GS_OK;
  GS_TRY(gs_shape_same_type(a, n, 0, i, e));
  int64_t want[4] = {full[0], full[1], full[2], full[3]};
  for (int d = 0; d < 2 && v->rank == 4; d++)
    if (v->dims[d] == 1) want[d] = 1;
  return gs_heads_expect(a, n, i, 4, want, e);
}

/* ---- RotaryEmbedding: x, position_ids, cos, sin ---- */

enum { ROT_X, ROT_IDS, ROT_COS, ROT_SIN };

/* Elements of a head of a 3-D x: as num_heads says, else twice the angles. */
static int64_t rotary_heads(const gs_node *n) {
  const gs_value *x = n->in[ROT_X];
  if (x->rank == 4) return x->dims[1];
  int64_t heads = gs_node_int(n, "num_heads", 0);
  int64_t head = 2 * n->in[ROT_COS]->dims[1];
  return heads > 0 ? heads : head > 0 ? x->dims[2] / head : 0;
}

gs_status gs_shape_ms_rotary(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[ROT_X], *c = n->in[ROT_COS];
  GS_TRY(gs_heads_type(a, n, ROT_IDS, GS_INT64, e));
  GS_TRY(no_attribute(a, n, "is_packed_batching", e));
  for (int i = ROT_COS; i <= ROT_SIN; i++)
    GS_TRY(gs_shape_same_type(a, n, ROT_X, i, e));
  if ((x->rank != 3 && x->rank != 4) || c->rank != 2)
    return gs_heads_bad(a, n, e, "'%s' and '%s' are of ranks %d and %d, not "
                        "3 or 4 and 2", x->name, c->name, x->rank, c->rank);
  int64_t heads = rotary_heads(n), last = x->dims[x->rank - 1];
  int64_t head = x->rank == 4 ? last : heads ? last / heads : 0;
  if (x->rank == 3 && heads * head != last)
    return gs_heads_bad(a, n, e, "a hidden size of %lld does not divide by "
                        "%lld heads", (long long)last, (long long)heads);
  int64_t turn = gs_node_int(n, "rotary_embedding_dim", 0);
  if (!turn) turn = head;
  if (turn < 0 || turn > head || turn % 2)
    return gs_heads_bad(a, n, e, "%lld of %lld elements cannot be rotated in "
                        "pairs", (long long)turn, (long long)head);
  int64_t table[2] = {c->dims[0], turn / 2};
  GS_TRY(gs_heads_expect(a, n, ROT_COS, 2, table, e));
  GS_TRY(gs_heads_expect(a, n, ROT_SIN, 2, table, e));
  int64_t one = 1, each[2] = {x->dims[0], x->dims[x->rank - 2]};
  bool base = n->in[ROT_IDS]->rank == 1;
  GS_TRY(gs_heads_expect(a, n, ROT_IDS, base ? 1 : 2, base ? &one : each, e));
  return gs_shape_set_like(g, n, 0, e);
}

gs_status gs_local_ms_rotary(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[ROT_X];
  int head = x->rank == 3 && rotary_heads(l->node) != 1 ? x->dims[0] != 1
                                                        : -1;
  (void)e;
  gs_local_mask(l, ROT_IDS);
  gs_node *n = gs_local_same(l);
  if (x->rank == 3 && gs_node_int(l->node, "num_heads", 0) > 0)
    gs_heads_divide(l, n, "num_heads", head, -1);
  return GS_OK;
}

/* ---- MultiHeadAttention ---- */

enum { Q, K, V, BIAS, PADDING, SCORES, PAST_K, PAST_V, PAST_N, BEAMS };

typedef struct mha {
  int packed;  /* tensors in the query: 3, or the key: 2, or 1 */
  bool joined; /* keys and values are [batch, heads, keys, head] */
  int64_t batch, heads, queries, keys, past, head, vhead;
} mha;

static gs_status mha_sizes(gs_arena *a, const gs_node *n, mha *s, gs_err *e) {
  const gs_value *q = n->in[Q], *k = gs_node_in(n, K), *v = gs_node_in(n, V);
  const gs_value *past = gs_node_in(n, PAST_K);
  int64_t h = gs_node_int(n, "num_heads", 0);
  if (h < 1)
    return gs_heads_bad(a, n, e, "num_heads is %lld", (long long)h);
  bool all = q->rank == 5 && !k && !v;
  bool pair = q->rank == 3 && k && k->rank == 5 && !v;
  bool apart = q->rank == 3 && k && v && (k->rank == 3 || k->rank == 4) &&
               k->rank == v->rank;
  if (!all && !pair && !apart)
    return gs_heads_bad(a, n, e, "query, key and value are neither [batch, "
                        "length, hidden], nor packed into one or two "
                        "operands of rank 5, nor a query and a cache");
  *s = (mha){.packed = all ? 3 : pair ? 2 : 1, .batch = q->dims[0],
             .heads = h, .queries = q->dims[1], .past = 0};
  s->joined = apart && k->rank == 4;
  s->head = all ? q->dims[4] : q->dims[2] / h;
  s->keys = all ? q->dims[1] : s->joined ? k->dims[2] : k->dims[1];
  s->vhead = !apart ? s->head : s->joined ? v->dims[3] : v->dims[2] / h;
  if (past && past->rank == 4) s->past = past->dims[2];
  return GS_OK;
}

static gs_status mha_operands(gs_arena *a, const gs_node *n, const mha *s,
                              gs_err *e) {
  int64_t b = s->batch, h = s->heads, l = s->keys;
  int64_t all[5] = {b, s->queries, h, 3, s->head};
  int64_t pair[5] = {b, l, h, 2, s->head};
  int64_t flat[3] = {b, s->queries, h * s->head};
  GS_TRY(gs_heads_expect(a, n, Q, s->packed == 3 ? 5 : 3,
                         s->packed == 3 ? all : flat, e));
  if (s->packed == 2) return gs_heads_expect(a, n, K, 5, pair, e);
  if (s->joined) {
    GS_TRY(gs_heads_expect(a, n, K, 4, (int64_t[]){b, h, l, s->head}, e));
    return gs_heads_expect(a, n, V, 4, (int64_t[]){b, h, l, s->vhead}, e);
  }
  GS_TRY(gs_heads_expect(a, n, K, 3, (int64_t[]){b, l, h * s->head}, e));
  return gs_heads_expect(a, n, V, 3, (int64_t[]){b, l, h * s->vhead}, e);
}

static gs_status mha_padding(gs_arena *a, const gs_node *n, const mha *s,
                             gs_err *e) {
  const gs_value *v = gs_node_in(n, PADDING);
  int64_t all = s->past + s->keys;
  if (!v) return GS_OK;
  GS_TRY(gs_heads_type(a, n, PADDING, GS_INT32, e));
  if (v->rank == 1 && v->dims[0] == 3 * s->batch + 2)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "key_padding_mask '%s' of cumulated lengths is not "
                   "supported", v->name);
  if (v->rank == 1) return gs_heads_expect(a, n, PADDING, 1, &s->batch, e);
  if (v->rank == 2)
    return gs_heads_expect(a, n, PADDING, 2, (int64_t[]){s->batch, all}, e);
  return gs_heads_expect(a, n, PADDING, 3,
                         (int64_t[]){s->batch, s->queries, all}, e);
}

gs_status gs_shape_ms_mha(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  mha s;
  GS_TRY(no_operand(a, n, PAST_N, "past_sequence_length", e));
  GS_TRY(no_operand(a, n, BEAMS, "cache_indirection", e));
  for (int i = K; i <= PAST_V; i++)
    if (i != PADDING) GS_TRY(gs_shape_same_type(a, n, Q, i, e));
  GS_TRY(mha_sizes(a, n, &s, e));
  GS_TRY(mha_operands(a, n, &s, e));
  if (s.joined && gs_node_in(n, BIAS))
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "a bias together with keys of rank 4 is not supported");
  const gs_value *pk = gs_node_in(n, PAST_K), *pv = gs_node_in(n, PAST_V);
  if (!pk != !pv || (pk && pk->rank != 4))
    return gs_heads_bad(a, n, e, "past_key and past_value go together, and "
                        "are of rank 4");
  int64_t b = s.batch, h = s.heads, all = s.past + s.keys, bias;
  GS_TRY(gs_heads_expect(a, n, PAST_K, 4,
                         (int64_t[]){b, h, s.past, s.head}, e));
  GS_TRY(gs_heads_expect(a, n, PAST_V, 4,
                         (int64_t[]){b, h, s.past, s.vhead}, e));
  bias = h * (2 * s.head + s.vhead);
  GS_TRY(gs_heads_expect(a, n, BIAS, 1, &bias, e));
  GS_TRY(mha_padding(a, n, &s, e));
  GS_TRY(check_bias(a, n, SCORES, (int64_t[]){b, h, s.queries, all}, e));
  gs_dtype t = n->in[Q]->dtype;
  GS_TRY(gs_shape_set(g, n, 0, t, 3,
                      (int64_t[]){b, s.queries, h * s.vhead}, e));
  GS_TRY(gs_shape_set(g, n, 1, t, 4, (int64_t[]){b, h, all, s.head}, e));
  return gs_shape_set(g, n, 2, t, 4, (int64_t[]){b, h, all, s.vhead}, e);
}

gs_status gs_local_ms_mha(gs_local *l, gs_err *e) {
  mha s;
  GS_TRY(mha_sizes(l->program->arena, l->node, &s, e));
  int head = s.heads != 1 ? s.batch != 1 : -1;
  if (gs_node_int(l->node, "unidirectional", 0) && gs_local_splits(l, 1, 2)) {
    gs_local_placed(l);
    return GS_OK;
  }
  gs_node *n = gs_local_same(l);
  gs_heads_divide(l, n, "num_heads", head, -1);
  return GS_OK;
}

/* ---- GroupQueryAttention ---- */

enum { G_PAST_K = 3, G_PAST_V, G_LENGTHS, G_TOTAL, G_COS, G_SIN, G_IDS,
       G_SCORES, G_SINK, G_SCALE, G_LAST = G_SCALE + 2 };

typedef struct gqa {
  bool packed;
  int64_t batch, kv, group, queries, head, past;
} gqa;

static void gqa_sizes(const gs_node *n, gqa *s) {
  const gs_value *q = n->in[Q], *past = gs_node_in(n, G_PAST_K);
  int64_t heads = gs_node_int(n, "num_heads", 1);
  s->kv = gs_node_int(n, "kv_num_heads", 1);
  s->group = heads / s->kv;
  s->packed = !gs_node_in(n, K);
  s->batch = q->dims[0];
  s->queries = q->dims[1];
  s->head = q->dims[2] / (s->packed ? heads + 2 * s->kv : heads);
  s->past = past && past->rank == 4 ? past->dims[2] : 0;
}

static gs_status gqa_check(gs_arena *a, const gs_node *n, gs_err *e) {
  const gs_value *q = n->in[Q];
  int64_t heads = gs_node_int(n, "num_heads", 0);
  int64_t kv = gs_node_int(n, "kv_num_heads", 0);
  GS_TRY(no_attribute(a, n, "sliding_window_cache", e));
  for (int i = G_LAST; i < n->nin; i++)
    GS_TRY(no_operand(a, n, i, "norms of queries and keys, lengths of queries",
                      e));
  if (!gs_node_in(n, G_LENGTHS) || !gs_node_in(n, G_TOTAL))
    return gs_heads_bad(a, n, e, "seqlens_k and total_sequence_length must "
                        "not be left out");
  GS_TRY(gs_heads_shared(a, n, heads, kv, e));
  if (q->rank != 3 || !gs_node_in(n, K) != !gs_node_in(n, V))
    return gs_heads_bad(a, n, e, "the query '%s' is of rank %d, not 3, or key "
                        "or value alone is left out", q->name, q->rank);
  int64_t all = gs_node_in(n, K) ? heads : heads + 2 * kv;
  if (q->dims[2] % all)
    return gs_heads_bad(a, n, e, "a hidden size of %lld does not divide by "
                        "%lld heads", (long long)q->dims[2], (long long)all);
  const gs_value *pk = gs_node_in(n, G_PAST_K);
  if (!pk != !gs_node_in(n, G_PAST_V) || (pk && pk->rank != 4))
    return gs_heads_bad(a, n, e, "past_key and past_value go together, and "
                        "are of rank 4");
  if (gs_node_int(n, "do_rotary", 0) &&
      (!gs_node_in(n, G_COS) || !gs_node_in(n, G_SIN)))
    return gs_heads_bad(a, n, e, "do_rotary needs cos_cache and sin_cache");
  return GS_OK;
}

/* Bits of a cache that is quantised, else 0. */
static int gqa_bits(const gs_node *n) {
  const char *how = gs_node_string(n, "k_quant_type", "NONE");
  if (!strcmp(how, "NONE")) return 0;
  return gs_node_int(n, "kv_cache_bit_width", 8) == 4 ? 4 : 8;
}

/* Scale i, one for all keys (0) or values (1) or [1, heads, 1, head]. */
static gs_status gqa_scale(gs_arena *a, const gs_node *n, const gqa *s, int i,
                           gs_err *e) {
  static const char *const type[] = {"k_quant_type", "v_quant_type"};
  const char *how = gs_node_string(n, type[i], "NONE");
  const gs_value *v = gs_node_in(n, G_SCALE + i);
  bool none = !strcmp(how, "NONE"), each = !strcmp(how, "PER_CHANNEL");
  if (!none && !each && strcmp(how, "PER_TENSOR"))
    return gs_heads_bad(a, n, e, "%s is '%s', not NONE, PER_TENSOR or "
                        "PER_CHANNEL", type[i], how);
  if (none != !v || none != !gqa_bits(n))
    return gs_heads_bad(a, n, e, "k_quant_type and v_quant_type go together, "
                        "and each with a scale");
  if (none) return GS_OK;
  GS_TRY(gs_heads_type(a, n, G_SCALE + i, GS_FLOAT, e));
  int64_t want = each ? s->kv * s->head : 1;
  int64_t have = gs_product(v->dims, v->rank);
  if (have == want) return GS_OK;
  return gs_heads_bad(a, n, e, "'%s' has %lld scales, not %lld", v->name,
                      (long long)have, (long long)want);
}

/* The caches, and the type and the elements of a row of those that result. */
static gs_status gqa_caches(gs_arena *a, const gs_node *n, const gqa *s,
                            gs_dtype *t, int64_t *width, gs_err *e) {
  int64_t bits = gs_node_int(n, "kv_cache_bit_width", 0);
  int held = gqa_bits(n);
  if (bits && bits != 4 && bits != 8)
    return gs_heads_bad(a, n, e, "kv_cache_bit_width is %lld, not 4 or 8",
                        (long long)bits);
  for (int i = 0; i < 2; i++) GS_TRY(gqa_scale(a, n, s, i, e));
  if (held == 4 && s->head % 2)
    return gs_heads_bad(a, n, e, "heads of %lld elements do not fill bytes "
                        "with pairs", (long long)s->head);
  *t = held == 4 ? GS_UINT8 : held ? GS_INT8 : n->in[Q]->dtype;
  *width = held == 4 ? s->head / 2 : s->head;
  int64_t past[4] = {s->batch, s->kv, s->past, *width};
  for (int i = G_PAST_K; i <= G_PAST_V; i++) {
    GS_TRY(gs_heads_expect(a, n, i, 4, past, e));
    GS_TRY(gs_heads_type(a, n, i, *t, e));
  }
  return GS_OK;
}

static gs_status gqa_operands(gs_arena *a, const gs_node *n, const gqa *s,
                              gs_err *e) {
  int64_t new[3] = {s->batch, s->queries, s->kv * s->head};
  int64_t each[2] = {s->batch, s->queries}, heads = s->kv * s->group;
  const gs_value *c = gs_node_in(n, G_COS);
  int64_t angles[2] = {-1, c && c->rank == 2 ? c->dims[1] : 0};
  for (int i = K; i <= V; i++) GS_TRY(gs_heads_expect(a, n, i, 3, new, e));
  for (int i = K; i <= G_SINK; i++)
    if (i < G_PAST_K || i == G_COS || i == G_SIN || i >= G_SCORES)
      GS_TRY(gs_shape_same_type(a, n, Q, i, e));
  GS_TRY(gs_heads_type(a, n, G_LENGTHS, GS_INT32, e));
  GS_TRY(gs_heads_type(a, n, G_TOTAL, GS_INT32, e));
  GS_TRY(gs_heads_type(a, n, G_IDS, GS_INT64, e));
  int64_t column[2] = {s->batch, 1}; /* as older exporters have it */
  bool tall = gs_node_in(n, G_LENGTHS)->rank == 2;
  GS_TRY(gs_heads_expect(a, n, G_LENGTHS, tall ? 2 : 1, column, e));
  GS_TRY(gs_heads_expect(a, n, G_IDS, 2, each, e));
  GS_TRY(gs_heads_expect(a, n, G_SINK, 1, &heads, e));
  if (c && 2 * angles[1] > s->head)
    return gs_heads_bad(a, n, e, "'%s' has %lld angles for heads of %lld",
                        c->name, (long long)angles[1], (long long)s->head);
  for (int i = G_COS; i <= G_SIN; i++)
    GS_TRY(gs_heads_expect(a, n, i, 2, angles, e));
  return check_bias(a, n, G_SCORES,
                    (int64_t[]){s->batch, heads, s->queries, -1}, e);
}

/* Rows of the caches that result: as many as the past has or, if that is more,
 * the constant total_sequence_length.  Where only a run knows the total, what
 * the model declares or, if it declares nothing, the past and what is new; a
 * declared length that the past exceeds is the total in a buffer of the past's
 * length. */
static gs_status gqa_capacity(gs_graph *g, const gs_node *n, const gqa *s,
                              int64_t *rows, gs_err *e) {
  const int64_t *total;
  int count;
  const gs_value *y = gs_node_out(n, 1) ? n->out[1] : gs_node_out(n, 2);
  *rows = gs_max(s->past, s->queries);
  total = gs_value_int_list(g->arena, n->in[G_TOTAL], &count);
  if (total && count == 1) {
    if (*total < 0)
      return gs_heads_bad(g->arena, n, e, "total_sequence_length is %lld",
                          (long long)*total);
    *rows = gs_max(*rows, *total);
    return GS_OK;
  }
  if (y && y->rank == 4 && y->dims[2] >= 0)
    *rows = gs_max(*rows, y->dims[2]);
  else if (!gs_add(s->past, s->queries, rows))
    return gs_heads_bad(g->arena, n, e, "a past of %lld is too long",
                        (long long)s->past);
  return GS_OK;
}

/* Scores of as many keys as total_sequence_length says, or the model where only
 * a run knows that. */
static gs_status gqa_qk(gs_graph *g, gs_node *n, const gqa *s, gs_err *e) {
  gs_arena *a = g->arena;
  gs_value *y = gs_node_out(n, 3);
  int64_t mode = gs_node_int(n, "qk_output", 0);
  if (mode < 0 || mode > 2 || (y && !mode))
    return gs_heads_bad(a, n, e, "qk_output is %lld, not %s", (long long)mode,
                        y ? "1 or 2" : "0, 1 or 2");
  if (!y) return GS_OK;
  int count;
  const int64_t *total = gs_value_int_list(a, n->in[G_TOTAL], &count);
  int64_t keys = total && count == 1 ? *total
                 : y->rank == 4      ? y->dims[3]
                                     : -1;
  if (keys < 0)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "output_qk is not supported where neither a constant "
                   "total_sequence_length nor its declared shape says how many "
                   "keys it has");
  return gs_shape_set(g, n, 3, n->in[Q]->dtype, 4,
                      (int64_t[]){s->batch, s->kv * s->group, s->queries,
                                  keys}, e);
}

gs_status gs_shape_ms_gqa(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  gqa s;
  int64_t rows;
  GS_TRY(gqa_check(a, n, e));
  gqa_sizes(n, &s);
  GS_TRY(gqa_operands(a, n, &s, e));
  GS_TRY(gqa_capacity(g, n, &s, &rows, e));
  gs_dtype t = n->in[Q]->dtype, held = GS_UNDEFINED;
  int64_t cache[4] = {s.batch, s.kv, rows, 0};
  GS_TRY(gqa_caches(a, n, &s, &held, &cache[3], e));
  GS_TRY(gs_shape_set(g, n, 0, t, 3, (int64_t[]){s.batch, s.queries,
                                                 s.kv * s.group * s.head},
                      e));
  GS_TRY(gs_shape_set(g, n, 1, held, 4, cache, e));
  GS_TRY(gs_shape_set(g, n, 2, held, 4, cache, e));
  return gqa_qk(g, n, &s, e);
}

gs_status gs_local_ms_gqa(gs_local *l, gs_err *e) {
  gqa s;
  (void)e;
  gqa_sizes(l->node, &s);
  int at = s.batch != 1, kv = -1, group = -1; /* in the rule's order */
  if (s.kv != 1) kv = at++;
  if (s.group != 1) group = at;
  if (s.packed) kv = group = -1;
  gs_local_mask(l, G_LENGTHS);
  gs_local_mask(l, G_IDS);
  /* New keys are those of all queries; scales are those of all heads. */
  if (gs_local_splits(l, 1, gqa_bits(l->node) ? 3 : 2)) {
    gs_local_placed(l);
    return GS_OK;
  }
  gs_node *n = gs_local_same(l);
  gs_heads_divide(l, n, "num_heads", kv, group);
  gs_heads_divide(l, n, "kv_num_heads", kv, -1);
  return GS_OK;
}
