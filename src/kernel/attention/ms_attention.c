/* MultiHeadAttention and GroupQueryAttention of com.microsoft: their operands
 * and results as kernel/attention/attend.h wants them. */
#include <math.h>
#include <string.h>

#include "kernel/attention/attend.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/par.h"
#include "kernel/attention/rotary.h"
#include "kernel/core/support.h"

static bool result(const gs_kctx *k, int i) {
  return i < k->nout && k->out[i].rank >= 0;
}

static gs_status check_type(gs_kctx *k) {
  gs_dtype t = k->in[0].dtype;
  return t == GS_FLOAT || t == GS_DOUBLE || gs_dtype_half(t)
             ? GS_OK
             : gs_kernel_no_type(k, t);
}

static int64_t width(gs_dtype t) { return gs_dtype_get((int)t)->bits / 8; }

/* Bytes of n elements, so that what follows is aligned. */
static size_t room(int64_t n, int64_t size) {
  return (size_t)(n * size + 63) / 64 * 64;
}

static const char *element(const gs_view *v, int64_t at) {
  return (const char *)v->data + at * width(v->dtype);
}

static void scale(gs_kctx *k, gs_attend *a) {
  double s = gs_node_float(k->node, "scale", 0);
  a->scale = s != 0 ? s : 1 / sqrt((double)gs_max(a->head, 1));
  a->left = a->right = -1;
  a->scores = GS_SCORES_NONE;
}

/* An addend [batch or 1, heads or 1, queries, keys]. */
static void bias_mask(const gs_view *v, gs_attend *a) {
  if (v->rank < 0) return;
  gs_attend_mask *m = &a->mask[a->nmask++];
  int64_t each = v->dims[2] * v->dims[3];
  *m = (gs_attend_mask){.type = v->dtype, .keys = v->dims[3],
                        .query = v->dims[3]};
  m->head = v->dims[1] == 1 ? 0 : each;
  m->batch = v->dims[0] == 1 ? 0 : each * v->dims[1];
}

/* ---- MultiHeadAttention ---- */

enum { Q, K, V, BIAS, PADDING, SCORES, PAST_K, PAST_V };

typedef struct mha {
  gs_attend at;
  int op[3];         /* operand that queries, keys and values lie in */
  int64_t from[3];   /* the element of it that they start at */
  gs_attend_side in[3];
  int64_t rows[3], size[3]; /* of a head */
  int64_t past;
  gs_attend_join join[2];
  size_t biased[3], joined[2], pad; /* places in scratch, or SIZE_MAX */
  double filter;
} mha;

static void mha_sides(gs_kctx *k, mha *p, bool all, bool pair, bool cache) {
  gs_attend *a = &p->at;
  gs_dtype t = k->in[Q].dtype;
  int64_t h = a->kv, d = a->head;
  int packed = all ? 3 : 2;
  for (int i = 0; i < 3; i++) {
    int64_t rows = i ? a->keys - p->past : a->queries;
    int64_t size = i == 2 ? a->vhead : d;
    bool mine = all || (pair && i > 0); /* lies with others in one operand */
    p->op[i] = all ? Q : pair && i ? K : i;
    p->from[i] = all ? i * d : pair && i ? (i - 1) * d : 0;
    p->rows[i] = rows;
    p->size[i] = size;
    p->in[i] = gs_attend_dense(t, !(cache && i), h, rows, size);
    if (mine)
      p->in[i] = (gs_attend_side){t, rows * h * packed * d, packed * d,
                                  h * packed * d};
  }
}

static void mha_sizes(gs_kctx *k, mha *p) {
  const gs_view *q = &k->in[Q];
  gs_attend *a = &p->at;
  bool all = q->rank == 5, pair = !all && k->in[K].rank == 5;
  bool cache = !all && k->in[K].rank == 4;
  int64_t h = gs_node_int(k->node, "num_heads", 1);
  p->past = gs_kernel_has(k, PAST_K) ? k->in[PAST_K].dims[2] : 0;
  a->type = q->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  a->batch = q->dims[0];
  a->kv = h;
  a->group = 1;
  a->queries = q->dims[1];
  a->head = all ? q->dims[4] : q->dims[2] / h;
  a->keys = p->past + (all ? q->dims[1] : k->in[K].dims[cache ? 2 : 1]);
  a->vhead = all || pair ? a->head
             : cache     ? k->in[V].dims[3]
                         : k->in[V].dims[2] / h;
  mha_sides(k, p, all, pair, cache);
}

static gs_status mha_prep(gs_kctx *k) {
  GS_TRY(check_type(k));
  mha *p = GS_NEW(k->arena, mha);
  k->state = p;
  mha_sizes(k, p);
  gs_attend *a = &p->at;
  gs_dtype t = k->in[Q].dtype;
  scale(k, a);
  a->causal = gs_node_int(k->node, "unidirectional", 0) != 0;
  p->filter = gs_node_float(k->node, "mask_filter_value", -10000);
  size_t top = (gs_attend_scratch(a) + 63) / 64 * 64;
  for (int i = 0; i < 3; i++) {
    p->biased[i] = top;
    if (!gs_kernel_has(k, BIAS)) continue;
    top += room(a->batch * a->kv * p->rows[i] * p->size[i], width(t));
    p->from[i] = 0;
    p->in[i] = gs_attend_dense(t, true, a->kv, p->rows[i], p->size[i]);
  }
  gs_attend_side *to[3] = {&a->q, &a->k, &a->v};
  for (int i = 0; i < 3; i++) *to[i] = p->in[i];
  for (int i = 0; i < 2; i++) {
    gs_attend_join_init(&p->join[i], to[i + 1], a->batch, a->kv, p->past,
                        a->keys - p->past, p->size[i + 1]);
    p->joined[i] = top;
    if (p->past && !result(k, i + 1))
      top += room(a->batch * a->kv * a->keys * p->size[i + 1], width(t));
    if (p->past)
      *to[i + 1] =
          gs_attend_dense(t, false, a->kv, a->keys, p->size[i + 1]);
  }
  a->y = gs_attend_dense(t, true, a->kv, a->queries, a->vhead);
  p->pad = top;
  if (gs_kernel_has(k, PADDING)) {
    int64_t rows = k->in[PADDING].rank == 3 ? a->queries : 1;
    top += room(a->batch * rows * a->keys, 4);
    a->mask[a->nmask++] = (gs_attend_mask){
        .type = GS_FLOAT, .batch = rows * a->keys, .keys = a->keys,
        .query = rows == 1 ? 0 : a->keys};
  }
  bias_mask(k->nin > SCORES ? &k->in[SCORES] : &(gs_view){.rank = -1}, a);
  k->scratch_size = top;
  return GS_OK;
}

/* Copies of queries, keys or values with their part of the bias. */
typedef struct biased {
  const gs_kctx *k;
  int i;
  gs_attend_side from;
  int64_t start, part; /* in the operand, in the bias */
  char *to;
} biased;

static void add_bias(void *ctx, int64_t first, int64_t last) {
  const biased *j = ctx;
  const mha *p = j->k->state;
  int64_t n = p->size[j->i], h = p->at.kv, rows = p->rows[j->i];
  const gs_view *x = &j->k->in[p->op[j->i]], *b = &j->k->in[BIAS];
  gs_dtype t = x->dtype;
  gs_arena a;
  gs_arena_init(&a);
  double *u = GS_NEWS(&a, n + 1, double), *v = GS_NEWS(&a, n + 1, double);
  for (int64_t r = first; r < last; r++)
    for (int64_t i = 0; i < h; i++) {
      int64_t at = j->start + r / rows * j->from.batch +
                   r % rows * j->from.row + i * j->from.head;
      gs_convert(GS_DOUBLE, u, t, element(x, at), n, NULL);
      gs_convert(GS_DOUBLE, v, t, element(b, j->part + i * n), n, NULL);
      for (int64_t c = 0; c < n; c++) u[c] += v[c];
      gs_convert(t, j->to + (r * h + i) * n * width(t), GS_DOUBLE, u, n, NULL);
    }
  gs_arena_free(&a);
}

static const void *biased_side(gs_kctx *k, const mha *original, int i) {
  const mha *p = k->state;
  char *to = (char *)k->scratch + p->biased[i];
  biased j = {.k = k, .i = i, .from = original->in[i],
              .start = original->from[i], .to = to};
  j.part = p->at.kv * p->at.head * i;
  gs_parallel(k->threads, p->at.batch * p->rows[i], p->at.kv * p->size[i],
              add_bias, &j);
  return to;
}

/* 0 where the padding mask lets a key pass, the filter value elsewhere. */
static void padding(gs_kctx *k, const mha *p, float *to) {
  const gs_view *v = &k->in[PADDING];
  const gs_attend *a = &p->at;
  int64_t rows = v->rank == 3 ? a->queries : 1;
  for (int64_t r = 0; r < a->batch * rows; r++)
    for (int64_t j = 0; j < a->keys; j++) {
      bool seen = v->rank == 1 ? j < gs_view_int(v, r)
                               : gs_view_int(v, r * a->keys + j) != 0;
      to[r * a->keys + j] = seen ? 0 : (float)p->filter;
    }
}

static gs_status mha_run(gs_kctx *k) {
  const mha *p = k->state;
  const gs_attend *a = &p->at;
  char *s = k->scratch;
  gs_attend_data d = {.y = k->out[0].data, .offset = p->past, .scratch = s,
                      .threads = k->threads};
  const void *side[3];
  mha original = *p; /* where the operands lie, before the bias */
  if (gs_kernel_has(k, BIAS)) mha_sizes(k, &original);
  for (int i = 0; i < 3; i++)
    side[i] = gs_kernel_has(k, BIAS) ? biased_side(k, &original, i)
                                     : element(&k->in[p->op[i]], p->from[i]);
  for (int i = 0; i < 2; i++) {
    if (!result(k, i + 1) && !p->past) continue;
    void *to = result(k, i + 1) ? k->out[i + 1].data : s + p->joined[i];
    gs_attend_join_run(&p->join[i], p->past ? k->in[PAST_K + i].data : NULL,
                       side[i + 1], to, k->threads);
    if (p->past) side[i + 1] = to;
  }
  d.q = side[0];
  d.k = side[1];
  d.v = side[2];
  int m = 0;
  if (gs_kernel_has(k, PADDING)) {
    float *pad = (float *)(void *)(s + p->pad);
    padding(k, p, pad);
    d.mask[m++] = pad;
  }
  if (gs_kernel_has(k, SCORES)) d.mask[m] = k->in[SCORES].data;
  if (!gs_attend_run(a, &d))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the product");
  return GS_OK;
}

extern const gs_kernel gs_kernel_ms_mha;
const gs_kernel gs_kernel_ms_mha = {mha_prep, mha_run};

/* ---- GroupQueryAttention ---- */

enum { G_PAST_K = 3, G_PAST_V, G_LENGTHS, G_TOTAL, G_COS, G_SIN, G_IDS,
       G_SCORES, G_SINK };

typedef struct gqa {
  gs_attend at;
  bool packed, smooth, direct; /* direct: keys and values are not cached */
  int64_t past, add;           /* rows of the past, of what is new */
  gs_attend_side new[2];       /* keys and values as they come */
  gs_rotary turn[2];           /* queries and keys; turn 0: none */
  size_t turned[2], cache[2], lists; /* places in scratch */
} gqa;

static void gqa_sizes(gs_kctx *k, gqa *p) {
  const gs_view *q = &k->in[Q];
  gs_attend *a = &p->at;
  int64_t heads = gs_node_int(k->node, "num_heads", 1);
  a->kv = gs_node_int(k->node, "kv_num_heads", 1);
  a->group = heads / a->kv;
  p->packed = !gs_kernel_has(k, K);
  int64_t all = p->packed ? heads + 2 * a->kv : heads;
  a->type = q->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  a->batch = q->dims[0];
  a->queries = p->add = q->dims[1];
  a->head = a->vhead = q->dims[2] / all;
  p->past = gs_kernel_has(k, G_PAST_K) ? k->in[G_PAST_K].dims[2] : 0;
  gs_dtype t = q->dtype;
  int64_t d = a->head, row = all * d;
  a->q = gs_attend_dense(t, true, heads, a->queries, d);
  for (int i = 0; i < 2; i++)
    p->new[i] = gs_attend_dense(t, true, a->kv, a->queries, d);
  if (p->packed) {
    a->q.batch = p->new[0].batch = p->new[1].batch = row * a->queries;
    a->q.row = p->new[0].row = p->new[1].row = row;
  }
  a->y = gs_attend_dense(t, true, heads, a->queries, d);
}

/* The rotation of queries (0) or keys (1), into rows of their own. */
static void gqa_turn(gs_kctx *k, gqa *p, int i) {
  gs_attend *a = &p->at;
  gs_attend_side *s = i ? &p->new[0] : &a->q;
  int64_t heads = i ? a->kv : a->kv * a->group, d = a->head;
  p->turn[i] = (gs_rotary){
      .type = s->type, .batch = a->batch, .heads = heads,
      .rows = a->queries, .head = d, .turn = 2 * k->in[G_COS].dims[1],
      .xb = s->batch, .xh = s->head, .xr = s->row,
      .yb = a->queries * heads * d, .yh = d, .yr = heads * d, .scale = 1,
      .interleaved = gs_node_int(k->node, "rotary_interleaved", 0) != 0};
  *s = gs_attend_dense(s->type, true, heads, a->queries, d);
}

static gs_status gqa_prep(gs_kctx *k) {
  GS_TRY(check_type(k));
  gqa *p = GS_NEW(k->arena, gqa);
  k->state = p;
  gqa_sizes(k, p);
  gs_attend *a = &p->at;
  bool rotary = gs_node_int(k->node, "do_rotary", 0) != 0;
  int64_t window = gs_node_int(k->node, "local_window_size", -1);
  scale(k, a);
  a->cap = gs_node_float(k->node, "softcap", 0);
  a->causal = gs_node_int(k->node, "causal", 1) != 0;
  if (window > 0) a->left = window - 1; /* it counts the query's own key */
  p->smooth = gs_node_int(k->node, "smooth_softmax", 0) == 1;
  for (int i = 0; rotary && i < 2; i++) gqa_turn(k, p, i);
  p->direct = !p->past && !result(k, 1) && !result(k, 2);
  int64_t rows = result(k, 1)   ? k->out[1].dims[2]
                 : result(k, 2) ? k->out[2].dims[2]
                                : p->past + p->add;
  a->keys = p->direct ? p->add : rows;
  a->k = a->v = gs_attend_dense(a->q.type, false, a->kv, rows, a->head);
  if (p->direct) a->k = p->new[0];
  if (p->direct) a->v = p->new[1];
  bias_mask(k->nin > G_SCORES ? &k->in[G_SCORES] : &(gs_view){.rank = -1}, a);
  size_t top = (gs_attend_scratch(a) + 63) / 64 * 64;
  int64_t size = width(a->q.type), n = a->batch * a->queries * a->head;
  for (int i = 0; i < 2; i++) {
    p->turned[i] = top;
    if (rotary) top += room(n * a->kv * (i ? 1 : a->group), size);
    p->cache[i] = top;
    if (!p->direct && !result(k, i + 1))
      top += room(a->batch * a->kv * rows * a->head, size);
  }
  p->lists = top;
  top += room(a->batch * 3 + a->batch * a->queries + a->kv * a->group, 8);
  k->scratch_size = top;
  return GS_OK;
}

/* What is known of every batch: keys before the new ones, keys in all (for
 * attention), keys that are valid; and the place of every query. */
typedef struct lists {
  int64_t *before, *keys, *valid, *places;
  double *sink;
} lists;

static gs_status gqa_lengths(gs_kctx *k, const gqa *p, lists *l) {
  const gs_attend *a = &p->at;
  int64_t total = gs_view_int(&k->in[G_TOTAL], 0);
  int64_t rows = gs_max(total, p->past);
  if (rows != a->keys && (result(k, 1) || result(k, 2)))
    return gs_kernel_fail(k, GS_DATA, "total_sequence_length is %lld, which "
                          "makes present_key and present_value %lld long, but "
                          "they have room for %lld",
                          (long long)total, (long long)rows,
                          (long long)a->keys);
  for (int64_t b = 0; b < a->batch; b++) {
    int64_t all = gs_view_int(&k->in[G_LENGTHS], b) + 1;
    int64_t fresh = gs_min(p->add, gs_max(all, 0));
    l->before[b] = gs_max(all, 0) - fresh;
    l->valid[b] = all;
    l->keys[b] = a->causal ? l->before[b] + p->add : all;
    if (all < 0 || all > a->keys || l->before[b] > p->past)
      return gs_kernel_fail(k, GS_DATA, "seqlens_k[%lld] is %lld: a past of "
                            "%lld with %lld new rows does not have that many, "
                            "or they do not fit into %lld", (long long)b,
                            (long long)all - 1, (long long)p->past,
                            (long long)p->add, (long long)a->keys);
  }
  return GS_OK;
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
    l->places[i] = at;
  }
  return GS_OK;
}

typedef struct cached {
  const gqa *p;
  const lists *l;
  const char *past, *from;
  gs_attend_side side;
  char *to;
} cached;

/* Caches of heads: the past up to its length, what is new, zeros; over the past
 * only what is new is written. */
static void fill_cache(void *ctx, int64_t first, int64_t last) {
  const cached *j = ctx;
  const gqa *p = j->p;
  const gs_attend *a = &p->at;
  int64_t size = width(j->side.type), row = a->head * size;
  for (int64_t i = first; i < last; i++) {
    int64_t b = i / a->kv, h = i % a->kv, n = j->l->before[b];
    char *to = j->to + i * a->keys * row;
    bool over = j->past == j->to;
    if (n && !over) memcpy(to, j->past + i * p->past * row, (size_t)(n * row));
    const char *from =
        j->from + (b * j->side.batch + h * j->side.head) * size;
    int64_t fresh = gs_min(p->add, a->keys - n);
    for (int64_t s = 0; s < fresh; s++)
      memcpy(to + (n + s) * row, from + s * j->side.row * size, (size_t)row);
    if (!over)
      memset(to + (n + fresh) * row, 0,
             (size_t)((a->keys - n - fresh) * row));
  }
}

static const void *gqa_cache(gs_kctx *k, const gqa *p, const lists *l, int i,
                             const void *from) {
  if (p->direct) return from;
  char *to = result(k, i + 1) ? k->out[i + 1].data
                              : (char *)k->scratch + p->cache[i];
  cached j = {p, l, p->past ? k->in[G_PAST_K + i].data : NULL, from,
              p->new[i], to};
  gs_parallel(k->threads, p->at.batch * p->at.kv, p->at.keys * p->at.head,
              fill_cache, &j);
  return to;
}

/* Queries (0) or keys (1), rotated when they are to be. */
static const void *gqa_turned(gs_kctx *k, const gqa *p, const lists *l,
                              int i, const void *x) {
  if (!p->turn[i].rows || !p->turn[i].turn) return x;
  char *to = (char *)k->scratch + p->turned[i];
  gs_rotary_run(&p->turn[i], x, to, k->in[G_COS].data, k->in[G_SIN].data,
                l->places, k->threads);
  return to;
}

static void gqa_sink(gs_kctx *k, const gqa *p, const lists *l) {
  int64_t heads = p->at.kv * p->at.group;
  for (int64_t h = 0; h < heads; h++) {
    l->sink[h] = 0;
    if (gs_kernel_has(k, G_SINK))
      gs_convert(GS_DOUBLE, &l->sink[h], k->in[G_SINK].dtype,
                 element(&k->in[G_SINK], h), 1, NULL);
  }
}

static gs_status gqa_run(gs_kctx *k) {
  const gqa *p = k->state;
  const gs_attend *a = &p->at;
  char *s = k->scratch;
  lists l;
  l.before = (int64_t *)(void *)(s + p->lists);
  l.keys = l.before + a->batch;
  l.valid = l.keys + a->batch;
  l.places = l.valid + a->batch;
  l.sink = (double *)(void *)(l.places + a->batch * a->queries);
  GS_TRY(gqa_lengths(k, p, &l));
  if (p->turn[0].rows) GS_TRY(gqa_places(k, p, &l));
  const gs_view *q = &k->in[Q];
  int64_t kat = a->kv * a->group * a->head, vat = kat + a->kv * a->head;
  const void *key = p->packed ? element(q, kat) : k->in[K].data;
  const void *value = p->packed ? element(q, vat) : k->in[V].data;
  gs_attend_data d = {.y = k->out[0].data, .lengths = l.keys,
                      .offsets = l.before, .scratch = s,
                      .threads = k->threads};
  d.q = gqa_turned(k, p, &l, 0, q->data);
  d.k = gqa_cache(k, p, &l, 0, gqa_turned(k, p, &l, 1, key));
  d.v = gqa_cache(k, p, &l, 1, value);
  if (a->nmask) d.mask[0] = k->in[G_SCORES].data;
  gqa_sink(k, p, &l);
  if (p->smooth || gs_kernel_has(k, G_SINK)) d.sink = l.sink;
  if (!gs_attend_run(a, &d))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the product");
  return GS_OK;
}

extern const gs_kernel gs_kernel_ms_gqa;
const gs_kernel gs_kernel_ms_gqa = {gqa_prep, gqa_run};
