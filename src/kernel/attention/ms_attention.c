/* MultiHeadAttention of com.microsoft: its operands and results as
 * kernel/attention/attend.h wants them. */
#include "kernel/attention/ms_attention.h"

#include "kernel/core/coord.h"
#include "kernel/core/par.h"

enum { Q, K, V, BIAS, PADDING, SCORES, PAST_K, PAST_V };

typedef struct mha {
  gs_attend at;
  int op[3];         /* operand that queries, keys and values lie in */
  int64_t from[3];   /* the element of it that they start at */
  gs_attend_side in[3];
  int64_t rows[3], size[3]; /* of a head */
  int64_t past;
  int64_t first; /* the place of query 0 among those of all devices */
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

static gs_status mha_sizes(gs_kctx *k, mha *p) {
  const gs_view *q = &k->in[Q];
  gs_attend *a = &p->at;
  gs_kextent whole;
  GS_TRY(gs_kctx_operand(k, Q, &whole));
  bool all = q->rank == 5, pair = !all && k->in[K].rank == 5;
  bool cache = !all && k->in[K].rank == 4;
  int64_t h = gs_node_int(k->node, "num_heads", 1);
  if (!all) h = gs_attend_heads(h, whole.dims[2], q->dims[2]);
  p->first = whole.first[1];
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
  return GS_OK;
}

static gs_status mha_prep(gs_kctx *k) {
  GS_TRY(gs_ms_check_type(k));
  mha *p = GS_NEW(k->arena, mha);
  k->state = p;
  GS_TRY(mha_sizes(k, p));
  gs_attend *a = &p->at;
  gs_dtype t = k->in[Q].dtype;
  gs_ms_scale(k, a);
  a->causal = gs_node_int(k->node, "unidirectional", 0) != 0;
  p->filter = gs_node_float(k->node, "mask_filter_value", -10000);
  size_t top = (gs_attend_scratch(a) + 63) / 64 * 64;
  for (int i = 0; i < 3; i++) {
    p->biased[i] = top;
    if (!gs_kernel_has(k, BIAS)) continue;
    top += gs_ms_room(a->batch * a->kv * p->rows[i] * p->size[i],
                      gs_ms_width(t));
    p->from[i] = 0;
    p->in[i] = gs_attend_dense(t, true, a->kv, p->rows[i], p->size[i]);
  }
  gs_attend_side *to[3] = {&a->q, &a->k, &a->v};
  for (int i = 0; i < 3; i++) *to[i] = p->in[i];
  for (int i = 0; i < 2; i++) {
    gs_attend_join_init(&p->join[i], to[i + 1], a->batch, a->kv, p->past,
                        a->keys - p->past, p->size[i + 1]);
    p->joined[i] = top;
    if (p->past && !gs_ms_result(k, i + 1))
      top += gs_ms_room(a->batch * a->kv * a->keys * p->size[i + 1],
                        gs_ms_width(t));
    if (p->past)
      *to[i + 1] =
          gs_attend_dense(t, false, a->kv, a->keys, p->size[i + 1]);
  }
  a->y = gs_attend_dense(t, true, a->kv, a->queries, a->vhead);
  p->pad = top;
  if (gs_kernel_has(k, PADDING)) {
    int64_t rows = k->in[PADDING].rank == 3 ? a->queries : 1;
    top += gs_ms_room(a->batch * rows * a->keys, 4);
    a->mask[a->nmask++] = (gs_attend_mask){
        .type = GS_FLOAT, .batch = rows * a->keys, .keys = a->keys,
        .query = rows == 1 ? 0 : a->keys};
  }
  gs_ms_bias_mask(k->nin > SCORES ? &k->in[SCORES] : &(gs_view){.rank = -1}, a);
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
      gs_convert(GS_DOUBLE, u, t, gs_ms_element(x, at), n, NULL);
      gs_convert(GS_DOUBLE, v, t, gs_ms_element(b, j->part + i * n), n, NULL);
      for (int64_t c = 0; c < n; c++) u[c] += v[c];
      gs_convert(t, j->to + (r * h + i) * n * gs_ms_width(t), GS_DOUBLE, u, n,
                 NULL);
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
  gs_attend_data d = {.y = k->out[0].data, .offset = p->past + p->first,
                      .scratch = s, .threads = k->threads};
  const void *side[3];
  mha original = *p; /* where the operands lie, before the bias */
  if (gs_kernel_has(k, BIAS)) GS_TRY(mha_sizes(k, &original));
  for (int i = 0; i < 3; i++)
    side[i] = gs_kernel_has(k, BIAS)
                  ? biased_side(k, &original, i)
                  : gs_ms_element(&k->in[p->op[i]], p->from[i]);
  for (int i = 0; i < 2; i++) {
    if (!gs_ms_result(k, i + 1) && !p->past) continue;
    void *to = gs_ms_result(k, i + 1) ? k->out[i + 1].data : s + p->joined[i];
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
