/* AttentionBlocks of ai.gshard: queries against each of n blocks of the keys,
 * as kernel/attention/attend.h wants them.  Results are of the computed type,
 * f32 or f64. */
#include <math.h>

#include "kernel/attention/attend.h"
#include "kernel/core/coord.h"
#include "kernel/core/support.h"

enum { Q, K, V, LENGTHS, OFFSETS, MASK };

typedef struct plan {
  gs_attend at;
  int64_t blocks;
  int64_t first;   /* the place of query 0 among those of all devices */
  int64_t step[3]; /* elements from one block of K, V, MASK to the next */
  size_t lists;    /* in scratch: lengths and offsets of a block */
} plan;

static gs_status check_types(gs_kctx *k) {
  for (int i = Q; i <= V; i++)
    if (!gs_attend_real(k->in[i].dtype))
      return gs_kernel_no_type(k, k->in[i].dtype);
  if (!gs_kernel_has(k, MASK)) return GS_OK;
  gs_dtype t = k->in[MASK].dtype;
  return gs_attend_real(t) || t == GS_BOOL ? GS_OK : gs_kernel_no_type(k, t);
}

/* Keys or values: [batch, heads, blocks, rows, n], or
 * [batch, blocks, rows, heads * n]. */
static gs_attend_side cache(const gs_view *v, int64_t blocks, int64_t heads,
                            int64_t rows, int64_t n, int64_t *step) {
  bool flat = v->rank == 4;
  *step = rows * n * (flat ? heads : 1);
  gs_attend_side s = gs_attend_dense(v->dtype, flat, heads, rows, n);
  s.batch *= blocks;
  if (!flat) s.head *= blocks;
  return s;
}

static void mask(gs_kctx *k, plan *p) {
  if (!gs_kernel_has(k, MASK)) return;
  const gs_view *v = &k->in[MASK];
  gs_attend_mask *m = &p->at.mask[p->at.nmask++];
  *m = (gs_attend_mask){.type = v->dtype, .keys = p->at.keys};
  p->step[2] = p->at.keys;
  int64_t stride = p->at.keys * p->blocks;
  int64_t *to[3] = {&m->query, &m->head, &m->batch};
  for (int d = v->rank - 3, i = 0; d >= 0; d--, i++) {
    *to[i] = v->dims[d] == 1 ? 0 : stride;
    stride *= v->dims[d];
  }
}

static gs_status sizes(gs_kctx *k, plan *p) {
  const gs_view *q = &k->in[Q], *key = &k->in[K], *y = &k->out[0];
  gs_attend *a = &p->at;
  gs_kextent all, keys;
  GS_TRY(gs_kctx_operand(k, Q, &all));
  GS_TRY(gs_kctx_operand(k, K, &keys));
  bool flat = q->rank == 3;
  p->first = all.first[flat ? 1 : 2];
  int64_t heads = y->dims[flat ? 3 : 2];
  p->blocks = y->dims[0];
  a->kv = key->rank == 4
              ? gs_attend_heads(gs_node_int(k->node, "kv_num_heads", 1),
                                keys.dims[3], key->dims[3])
              : key->dims[1];
  a->batch = q->dims[0];
  a->group = a->kv ? heads / a->kv : 1;
  a->queries = q->dims[flat ? 1 : 2];
  a->keys = key->dims[key->rank == 4 ? 2 : 3];
  a->head = flat ? (heads ? q->dims[2] / heads : 0) : q->dims[3];
  a->vhead = y->dims[4];
  a->q = gs_attend_dense(q->dtype, flat, heads, a->queries, a->head);
  a->y = gs_attend_dense(y->dtype, flat, heads, a->queries, a->vhead);
  a->each = gs_attend_dense(y->dtype, flat, heads, a->queries, 1);
  a->k = cache(key, p->blocks, a->kv, a->keys, a->head, &p->step[0]);
  a->v = cache(&k->in[V], p->blocks, a->kv, a->keys, a->vhead, &p->step[1]);
  return GS_OK;
}

static bool has_scores(const gs_kctx *k) {
  return k->nout > 3 && k->out[3].rank >= 0;
}

static gs_status prep(gs_kctx *k) {
  GS_TRY(check_types(k));
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  GS_TRY(sizes(k, p));
  gs_attend *a = &p->at;
  const gs_node *n = k->node;
  a->type = k->out[0].dtype;
  a->scale = gs_node_attr(n, "scale")
                 ? gs_node_float(n, "scale", 1)
                 : 1 / sqrt((double)gs_max(a->head, 1));
  a->cap = gs_node_float(n, "softcap", 0);
  a->causal = gs_node_int(n, "is_causal", 0) != 0;
  a->left = gs_node_int(n, "left_window_size", -1);
  a->right = gs_node_int(n, "right_window_size", -1);
  int64_t local = gs_node_int(n, "local_window_size", -1);
  if (local > 0) a->left = local - 1; /* it counts the query's own key */
  a->scores = (gs_attend_scores)gs_node_int(n, "qk_matmul_output_mode", 0);
  if (!has_scores(k)) a->scores = GS_SCORES_NONE;
  a->scores_type = a->type;
  mask(k, p);
  p->lists = (gs_attend_scratch(a) + 63) / 64 * 64;
  k->scratch_size = p->lists + (size_t)a->batch * 2 * sizeof(int64_t);
  return GS_OK;
}

/* Operand i of a block, `step` elements behind the one before. */
static const void *part(const gs_kctx *k, int i, int64_t block, int64_t step) {
  const gs_view *v = &k->in[i];
  if (!v->data) return NULL;
  return (const char *)v->data + gs_dtype_bytes((int)v->dtype, block * step);
}

static void *result(const gs_kctx *k, int i, int64_t block, int64_t blocks) {
  const gs_view *v = &k->out[i];
  return (char *)v->data +
         gs_dtype_bytes((int)v->dtype, block * (v->n / blocks));
}

/* Numbers past any cache are all alike, and cannot overflow then. */
static int64_t near(const gs_view *v, int64_t i) {
  int64_t max = INT64_MAX / 4;
  return gs_max(gs_min(gs_view_int(v, i), max), -max);
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_attend *a = &p->at;
  int64_t *lengths = (int64_t *)(void *)((char *)k->scratch + p->lists);
  int64_t *offsets = lengths + a->batch;
  for (int64_t c = 0; c < p->blocks; c++) {
    for (int64_t b = 0; b < a->batch; b++) {
      int64_t at = c * a->batch + b;
      lengths[b] = near(&k->in[LENGTHS], at);
      offsets[b] = near(&k->in[OFFSETS], at) + p->first;
    }
    gs_attend_data d = {.q = k->in[Q].data,
                        .k = part(k, K, c, p->step[0]),
                        .v = part(k, V, c, p->step[1]),
                        .y = result(k, 0, c, p->blocks),
                        .max = result(k, 1, c, p->blocks),
                        .sum = result(k, 2, c, p->blocks),
                        .lengths = lengths, .offsets = offsets,
                        .scratch = k->scratch, .threads = k->threads};
    if (has_scores(k)) d.scores = result(k, 3, c, p->blocks);
    if (a->nmask) d.mask[0] = part(k, MASK, c, p->step[2]);
    if (!gs_attend_run(a, &d))
      return gs_kernel_fail(k, GS_INTERNAL,
                            "oneDNN cannot compute the product");
  }
  return GS_OK;
}

extern const gs_kernel gs_kernel_attention_blocks;
const gs_kernel gs_kernel_attention_blocks = {prep, run};
