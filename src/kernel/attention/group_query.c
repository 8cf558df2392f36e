/* GroupQueryAttention of com.microsoft: its operands and results as
 * kernel/attention/attend.h wants them; and what it does before attention, on
 * blocks of its caches, as an operator of its own. */
#include <string.h>

#include "kernel/attention/ms_attention.h"
#include "kernel/attention/quant_cache.h"
#include "kernel/attention/rotary.h"
#include "kernel/core/coord.h"
#include "kernel/core/par.h"

enum { Q, K, V, G_PAST_K, G_PAST_V, G_LENGTHS, G_TOTAL, G_COS, G_SIN, G_IDS,
       G_SCORES, G_SINK, G_SCALE, C_STARTS = G_SCORES, C_ROOM,
       G_QK = 3 /* a result */ };

typedef struct gqa {
  gs_attend at;
  bool packed, smooth, direct; /* direct: keys and values are not cached */
  int64_t past, add;           /* rows of the past, of what is new */
  int64_t first;               /* the query's that is the first here */
  gs_quant_cache quant[2];     /* of keys and values; bits 0: as they are */
  gs_attend_side new[2];       /* keys and values as they come */
  gs_rotary turn[2];           /* queries and keys; turn 0: none */
  size_t turned[2], cache[2], lists; /* places in scratch */
} gqa;

/* How the caches are held, whose keys begin with this element of a row. */
static void gqa_quant(gs_kctx *k, gqa *p, int64_t first) {
  static const char *const type[] = {"k_quant_type", "v_quant_type"};
  int64_t bits = gs_node_int(k->node, "kv_cache_bit_width", 8);
  for (int i = 0; i < 2; i++) {
    const char *how = gs_node_string(k->node, type[i], "NONE");
    if (!strcmp(how, "NONE")) continue;
    p->quant[i] = (gs_quant_cache){
        .bits = bits == 4 ? 4 : 8, .each = !strcmp(how, "PER_CHANNEL"),
        .head = p->at.head, .first = first / gs_max(p->at.head, 1)};
  }
}

static gs_status gqa_sizes(gs_kctx *k, gqa *p) {
  const gs_view *q = &k->in[Q];
  gs_attend *a = &p->at;
  gs_kextent whole, keys;
  GS_TRY(gs_kctx_operand(k, Q, &whole));
  p->packed = !gs_kernel_has(k, K);
  int64_t heads = gs_attend_heads(gs_node_int(k->node, "num_heads", 1),
                                  whole.dims[2], q->dims[2]);
  int64_t first_kv = 0; /* element of the keys that is the first here */
  a->kv = gs_node_int(k->node, "kv_num_heads", 1);
  if (!p->packed) {
    GS_TRY(gs_kctx_operand(k, K, &keys));
    a->kv = gs_attend_heads(a->kv, keys.dims[2], k->in[K].dims[2]);
    first_kv = keys.first[2];
  }
  a->group = heads / a->kv;
  int64_t all = p->packed ? heads + 2 * a->kv : heads;
  a->type = q->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  a->batch = q->dims[0];
  a->queries = q->dims[1];
  p->add = p->packed ? a->queries : k->in[K].dims[1];
  p->first = whole.first[1];
  a->head = a->vhead = q->dims[2] / all;
  gqa_quant(k, p, first_kv);
  p->past = gs_kernel_has(k, G_PAST_K) ? k->in[G_PAST_K].dims[2] : 0;
  gs_dtype t = q->dtype;
  int64_t d = a->head, row = all * d;
  a->q = gs_attend_dense(t, true, heads, a->queries, d);
  for (int i = 0; i < 2; i++)
    p->new[i] = gs_attend_dense(t, true, a->kv, p->add, d);
  if (p->packed) {
    a->q.batch = p->new[0].batch = p->new[1].batch = row * a->queries;
    a->q.row = p->new[0].row = p->new[1].row = row;
  }
  a->y = gs_attend_dense(t, true, heads, a->queries, d);
  return GS_OK;
}

/* The rotation of queries (0) or keys (1), into rows of their own. */
static void gqa_turn(gs_kctx *k, gqa *p, int i) {
  gs_attend *a = &p->at;
  gs_attend_side *s = i ? &p->new[0] : &a->q;
  int64_t heads = i ? a->kv : a->kv * a->group, d = a->head;
  int64_t rows = i ? p->add : a->queries;
  p->turn[i] = (gs_rotary){
      .type = s->type, .batch = a->batch, .heads = heads,
      .rows = rows, .head = d, .turn = 2 * k->in[G_COS].dims[1],
      .xb = s->batch, .xh = s->head, .xr = s->row,
      .yb = rows * heads * d, .yh = d, .yr = heads * d, .scale = 1,
      .interleaved = gs_node_int(k->node, "rotary_interleaved", 0) != 0};
  *s = gs_attend_dense(s->type, true, heads, rows, d);
}

/* What is known of every batch: keys before the new ones and before the first
 * query, keys in all (for attention), keys that are valid; and the place of
 * every query and every new key. */
typedef struct lists {
  int64_t *before, *offset, *keys, *valid, *places[2];
  double *sink;
} lists;

static int64_t gqa_room(const gqa *p) { /* bytes that they need */
  int64_t b = p->at.batch, heads = p->at.kv * p->at.group;
  return (int64_t)gs_ms_room(b * (4 + p->add + p->at.queries) + heads, 8);
}

static lists gqa_lists(const gqa *p, void *scratch) {
  int64_t b = p->at.batch;
  lists l = {.before = (int64_t *)(void *)((char *)scratch + p->lists)};
  l.offset = l.before + b;
  l.keys = l.offset + b;
  l.valid = l.keys + b;
  l.places[0] = l.valid + b;
  l.places[1] = l.places[0] + b * p->at.queries;
  l.sink = (double *)(void *)(l.places[1] + b * p->add);
  return l;
}

/* `keys`: how long the results are. */
static gs_status gqa_total(gs_kctx *k, int64_t past, int64_t keys) {
  int64_t total = gs_view_int(&k->in[G_TOTAL], 0);
  int64_t rows = gs_max(total, past);
  if (rows == keys) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "total_sequence_length is %lld, which "
                        "makes present_key and present_value %lld long, but "
                        "they have room for %lld", (long long)total,
                        (long long)rows, (long long)keys);
}

/* Of caches of `past` rows that become `keys` rows. */
static gs_status gqa_lengths(gs_kctx *k, const gqa *p, int64_t past,
                             int64_t keys, lists *l) {
  const gs_attend *a = &p->at;
  for (int64_t b = 0; b < a->batch; b++) {
    int64_t all = gs_view_int(&k->in[G_LENGTHS], b) + 1;
    int64_t fresh = gs_min(p->add, gs_max(all, 0));
    l->before[b] = gs_max(all, 0) - fresh;
    l->offset[b] = l->before[b] + p->first;
    l->valid[b] = all;
    l->keys[b] = a->causal ? l->before[b] + p->add : all;
    if (all < 0 || all > keys || l->before[b] > past)
      return gs_kernel_fail(k, GS_DATA, "seqlens_k[%lld] is %lld: a past of "
                            "%lld with %lld new rows does not have that many, "
                            "or they do not fit into %lld", (long long)b,
                            (long long)all - 1, (long long)past,
                            (long long)p->add, (long long)keys);
  }
  return GS_OK;
}

/* Of the queries here, those of the new keys; past the last of them, any. */
static void gqa_queries(const gqa *p, const lists *l) {
  int64_t rows = p->at.queries;
  for (int64_t i = 0; i < p->at.batch * rows; i++) {
    int64_t b = i / rows, s = gs_min(p->first + i % rows, p->add - 1);
    l->places[0][i] = l->places[1][b * p->add + s];
  }
}

/* Places of queries past the valid ones matter to nobody. */
static gs_status gqa_places(gs_kctx *k, const gqa *p, const lists *l) {
  int64_t rows = p->add, table = k->in[G_COS].dims[0];
  for (int64_t i = 0; i < p->at.batch * rows; i++) {
    int64_t b = i / rows, s = i % rows;
    int64_t at = gs_kernel_has(k, G_IDS) ? gs_view_int(&k->in[G_IDS], i)
                                         : l->before[b] + s;
    bool padded = l->before[b] + s >= l->valid[b];
    if (at < 0 || at >= table) {
      if (!padded)
        return gs_kernel_fail(k, GS_DATA,
                              "position %lld is outside of %lld angles",
                              (long long)at, (long long)table);
      at = 0;
    }
    l->places[1][i] = at;
  }
  gqa_queries(p, l);
  return GS_OK;
}

typedef struct cached {
  const gqa *p;
  const lists *l;
  const char *past, *from;
  gs_attend_side side;
  char *to;
  int64_t held, rows; /* of the past, of the result; of each block */
  int64_t blocks;
  const gs_view *starts; /* of the blocks; NULL: there is one */
  const gs_quant_cache *quant;
  char *wide; /* of a cache of few bits, what is read */
} cached;

/* Block c of a head: the past up to its length, what is new, zeros. */
static void fill_block(const cached *j, int64_t b, int64_t h, int64_t c) {
  const gs_attend *a = &j->p->at;
  int64_t size = gs_ms_width(j->side.type), row = a->head * size;
  int64_t at = (b * a->kv + h) * j->blocks + c;
  int64_t start = j->starts ? gs_view_int(j->starts, c) : 0;
  int64_t before = j->l->before[b] - start; /* rows of the past */
  int64_t old = gs_min(gs_max(before, 0), gs_min(j->held, j->rows));
  int64_t end = gs_max(gs_min(before + j->p->add, j->rows), old);
  char *to = j->to + at * j->rows * row;
  const char *from = j->from + (b * j->side.batch + h * j->side.head) * size;
  bool over = j->past == j->to; /* only what is new is written */
  if (old && !over)
    memcpy(to, j->past + at * j->held * row, (size_t)(old * row));
  for (int64_t r = old; r < end; r++)
    memcpy(to + r * row, from + (r - before) * j->side.row * size,
           (size_t)row);
  if (!over) memset(to + end * row, 0, (size_t)((j->rows - end) * row));
}

static void fill_cache(void *ctx, int64_t first, int64_t last) {
  const cached *j = ctx;
  for (int64_t i = first; i < last; i++) {
    int64_t bh = i / j->blocks, kv = j->p->at.kv;
    fill_block(j, bh / kv, bh % kv, i % j->blocks);
  }
}

/* One head of a cache of few bits: in `wide`, of f32, what is read, and in
 * `to`, unless it is NULL, what is kept. */
static void fill_quant(const cached *j, int64_t b, int64_t h, char *wide) {
  const gs_attend *a = &j->p->at;
  const gs_quant_cache *c = j->quant;
  int64_t row = gs_quant_cache_row(c), head = b * a->kv + h;
  int64_t before = j->l->before[b], old = gs_min(before, j->held);
  int64_t end = gs_min(old + j->p->add, j->rows);
  int64_t size = gs_ms_width(j->side.type);
  const char *past = j->past ? j->past + head * j->held * row : NULL;
  char *to = j->to ? j->to + head * j->rows * row : NULL;
  float *x = (float *)(void *)wide + head * j->rows * a->head;
  const char *from = j->from + (b * j->side.batch + h * j->side.head) * size;
  if (old) gs_quant_cache_read(c, h, past, old, x);
  if (to && old && past != to) memcpy(to, past, (size_t)(old * row));
  for (int64_t r = old; r < end; r++) {
    gs_convert(GS_FLOAT, x + r * a->head, j->side.type,
               from + (r - before) * j->side.row * size, a->head, NULL);
    gs_quant_cache_round(c, h, x + r * a->head, to ? to + r * row : NULL);
  }
  memset(x + end * a->head, 0,
         (size_t)((j->rows - end) * a->head) * sizeof *x);
  if (to && past != to)
    memset(to + end * row, 0, (size_t)((j->rows - end) * row));
}

static void fill_quants(void *ctx, int64_t first, int64_t last) {
  const cached *j = ctx;
  for (int64_t i = first; i < last; i++)
    fill_quant(j, i / j->p->at.kv, i % j->p->at.kv, j->wide);
}

static void run_cached(const gs_kctx *k, cached *j) {
  const gs_attend *a = &j->p->at;
  gs_parallel(k->threads, a->batch * a->kv * j->blocks, j->rows * a->head,
              fill_cache, j);
}

static const void *gqa_cache(gs_kctx *k, const gqa *p, const lists *l, int i,
                             const void *from) {
  if (p->direct) return from;
  char *room = (char *)k->scratch + p->cache[i];
  char *kept = gs_ms_result(k, i + 1) ? k->out[i + 1].data : NULL;
  cached j = {.p = p, .l = l, .from = from, .side = p->new[i],
              .past = p->past ? k->in[G_PAST_K + i].data : NULL,
              .held = p->past, .rows = p->at.keys, .blocks = 1};
  if (p->quant[i].bits) {
    gs_quant_cache c = p->quant[i];
    c.scale = k->in[G_SCALE + i].data;
    j.quant = &c;
    j.wide = room;
    j.to = kept;
    gs_parallel(k->threads, j.p->at.batch * j.p->at.kv, j.rows * c.head,
                fill_quants, &j);
    return room;
  }
  j.to = kept ? kept : room;
  run_cached(k, &j);
  return j.to;
}

/* Queries (0) or keys (1), rotated when they are to be. */
static const void *gqa_turned(gs_kctx *k, const gqa *p, const lists *l,
                              int i, const void *x) {
  if (!p->turn[i].rows || !p->turn[i].turn) return x;
  char *to = (char *)k->scratch + p->turned[i];
  gs_rotary_run(&p->turn[i], x, to, k->in[G_COS].data, k->in[G_SIN].data,
                l->places[i], k->threads);
  return to;
}

/* Keys (0) or values (1) as they are read of a cache. */
static gs_attend_side gqa_side(const gqa *p, int i, int64_t rows) {
  gs_dtype t = p->quant[i].bits ? GS_FLOAT : p->at.q.type;
  return gs_attend_dense(t, false, p->at.kv, rows, p->at.head);
}

static void gqa_scores(gs_kctx *k, gs_attend *a) {
  if (!gs_ms_result(k, G_QK)) return;
  a->scores = gs_node_int(k->node, "qk_output", 0) == 1 ? GS_SCORES_SEEN
                                                        : GS_SCORES_SOFTMAX;
  a->scores_type = k->out[G_QK].dtype;
}

static gs_status gqa_prep(gs_kctx *k) {
  GS_TRY(gs_ms_check_type(k));
  gqa *p = GS_NEW(k->arena, gqa);
  k->state = p;
  GS_TRY(gqa_sizes(k, p));
  gs_attend *a = &p->at;
  bool rotary = gs_node_int(k->node, "do_rotary", 0) != 0;
  int64_t window = gs_node_int(k->node, "local_window_size", -1);
  gs_ms_scale(k, a);
  a->cap = gs_node_float(k->node, "softcap", 0);
  a->causal = gs_node_int(k->node, "causal", 1) != 0;
  if (window > 0) a->left = window - 1; /* it counts the query's own key */
  p->smooth = gs_node_int(k->node, "smooth_softmax", 0) == 1;
  for (int i = 0; rotary && i < 2; i++) gqa_turn(k, p, i);
  p->direct = !p->past && !gs_ms_result(k, 1) && !gs_ms_result(k, 2) &&
              !p->quant[0].bits && !p->quant[1].bits;
  int64_t rows = gs_ms_result(k, 1)   ? k->out[1].dims[2]
                 : gs_ms_result(k, 2) ? k->out[2].dims[2]
                                : p->past + p->add;
  a->keys = p->direct ? p->add : rows;
  a->k = gqa_side(p, 0, rows);
  a->v = gqa_side(p, 1, rows);
  gqa_scores(k, a);
  if (p->direct) a->k = p->new[0];
  if (p->direct) a->v = p->new[1];
  gs_ms_bias_mask(
      k->nin > G_SCORES ? &k->in[G_SCORES] : &(gs_view){.rank = -1}, a);
  size_t top = (gs_attend_scratch(a) + 63) / 64 * 64;
  int64_t size = gs_ms_width(a->q.type), n = a->batch * a->kv * a->head;
  for (int i = 0; i < 2; i++) {
    p->turned[i] = top;
    if (rotary)
      top += gs_ms_room(n * (i ? p->add : a->queries * a->group), size);
    p->cache[i] = top;
    if (p->quant[i].bits || (!p->direct && !gs_ms_result(k, i + 1)))
      top += gs_ms_room(a->batch * a->kv * rows * a->head,
                        gs_ms_width(i ? a->v.type : a->k.type));
  }
  p->lists = top;
  k->scratch_size = top + (size_t)gqa_room(p);
  return GS_OK;
}

static void gqa_sink(gs_kctx *k, const gqa *p, const lists *l) {
  int64_t heads = p->at.kv * p->at.group;
  for (int64_t h = 0; h < heads; h++) {
    l->sink[h] = 0;
    if (gs_kernel_has(k, G_SINK))
      gs_convert(GS_DOUBLE, &l->sink[h], k->in[G_SINK].dtype,
                 gs_ms_element(&k->in[G_SINK], h), 1, NULL);
  }
}

/* Scores are those of the `keys` that total_sequence_length says. */
static gs_status gqa_qk(gs_kctx *k, const gs_attend *a, const lists *l,
                        int64_t keys) {
  if (gs_view_int(&k->in[G_TOTAL], 0) != keys)
    return gs_kernel_fail(k, GS_DATA, "total_sequence_length is %lld, but "
                          "output_qk has room for %lld keys",
                          (long long)gs_view_int(&k->in[G_TOTAL], 0),
                          (long long)keys);
  for (int64_t b = 0; b < a->batch; b++)
    if (l->valid[b] > keys)
      return gs_kernel_fail(k, GS_DATA, "seqlens_k[%lld] is %lld, past a "
                            "total_sequence_length of %lld", (long long)b,
                            (long long)l->valid[b] - 1, (long long)keys);
  return GS_OK;
}

static gs_status gqa_run(gs_kctx *k) {
  const gqa *p = k->state;
  const gs_attend *a = &p->at;
  lists l = gqa_lists(p, k->scratch);
  if (gs_ms_result(k, 1) || gs_ms_result(k, 2))
    GS_TRY(gqa_total(k, p->past, a->keys));
  GS_TRY(gqa_lengths(k, p, p->past, a->keys, &l));
  if (p->turn[0].rows) GS_TRY(gqa_places(k, p, &l));
  const gs_view *q = &k->in[Q];
  int64_t kat = a->kv * a->group * a->head, vat = kat + a->kv * a->head;
  const void *key = p->packed ? gs_ms_element(q, kat) : k->in[K].data;
  const void *value = p->packed ? gs_ms_element(q, vat) : k->in[V].data;
  gs_attend_data d = {.y = k->out[0].data, .lengths = l.keys,
                      .offsets = l.offset, .scratch = k->scratch,
                      .threads = k->threads};
  d.q = gqa_turned(k, p, &l, 0, q->data);
  d.k = gqa_cache(k, p, &l, 0, gqa_turned(k, p, &l, 1, key));
  d.v = gqa_cache(k, p, &l, 1, value);
  if (a->nmask) d.mask[0] = k->in[G_SCORES].data;
  gqa_sink(k, p, &l);
  if (p->smooth || gs_kernel_has(k, G_SINK)) d.sink = l.sink;
  gs_attend run = *a;
  if (gs_ms_result(k, G_QK)) {
    d.scores = k->out[G_QK].data;
    run.keys = k->out[G_QK].dims[3];
    GS_TRY(gqa_qk(k, a, &l, run.keys));
  }
  if (!gs_attend_run(&run, &d))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the product");
  return GS_OK;
}

extern const gs_kernel gs_kernel_ms_gqa;
const gs_kernel gs_kernel_ms_gqa = {gqa_prep, gqa_run};

/* ---- GroupQueryCache of ai.gshard: what is new goes into blocks of the
 * caches, [batch, heads, blocks, rows, size] ---- */

static gs_status cache_prep(gs_kctx *k) {
  GS_TRY(gs_ms_check_type(k));
  gqa *p = GS_NEW(k->arena, gqa);
  k->state = p;
  GS_TRY(gqa_sizes(k, p));
  gs_attend *a = &p->at;
  bool rotary = gs_node_int(k->node, "do_rotary", 0) != 0;
  for (int i = 0; rotary && i < 2; i++) gqa_turn(k, p, i);
  if (rotary) /* the keys, turned, come first in scratch */
    p->lists = gs_ms_room(a->batch * p->add * a->kv * a->head,
                          gs_ms_width(a->q.type));
  k->scratch_size = p->lists + (size_t)gqa_room(p);
  return GS_OK;
}

/* The queries as they are, out of what they are packed with. */
static void cache_queries(gs_kctx *k, const gqa *p) {
  const gs_attend *a = &p->at;
  int64_t size = gs_ms_width(a->q.type);
  int64_t n = a->kv * a->group * a->head * size, rows = a->batch * p->add;
  for (int64_t r = 0; r < rows; r++)
    memcpy((char *)k->out[0].data + r * n,
           gs_ms_element(&k->in[Q], r * a->q.row), (size_t)n);
}

static gs_status cache_run(gs_kctx *k) {
  const gqa *p = k->state;
  const gs_attend *a = &p->at;
  lists l = gqa_lists(p, k->scratch);
  const gs_view *q = &k->in[Q], *past = &k->in[G_PAST_K];
  int64_t keys = gs_view_int(&k->in[C_ROOM], 0);
  GS_TRY(gqa_total(k, gs_view_int(&k->in[C_ROOM], 1), keys));
  GS_TRY(gqa_lengths(k, p, gs_view_int(&k->in[C_ROOM], 1), keys, &l));
  int64_t kat = a->kv * a->group * a->head, vat = kat + a->kv * a->head;
  const void *from[2] = {p->packed ? gs_ms_element(q, kat) : k->in[K].data,
                         p->packed ? gs_ms_element(q, vat) : k->in[V].data};
  if (p->turn[0].rows) {
    GS_TRY(gqa_places(k, p, &l));
    gs_rotary_run(&p->turn[0], q->data, k->out[0].data, k->in[G_COS].data,
                  k->in[G_SIN].data, l.places[0], k->threads);
    gs_rotary_run(&p->turn[1], from[0], k->scratch, k->in[G_COS].data,
                  k->in[G_SIN].data, l.places[1], k->threads);
    from[0] = k->scratch;
  } else {
    cache_queries(k, p);
  }
  for (int i = 0; i < 2; i++) {
    cached j = {.p = p, .l = &l, .from = from[i], .side = p->new[i],
                .past = k->in[G_PAST_K + i].data, .to = k->out[i + 1].data,
                .held = past->dims[3], .rows = past->dims[3],
                .blocks = past->dims[2], .starts = &k->in[C_STARTS]};
    run_cached(k, &j);
  }
  return GS_OK;
}

extern const gs_kernel gs_kernel_group_query_cache;
const gs_kernel gs_kernel_group_query_cache = {cache_prep, cache_run};
