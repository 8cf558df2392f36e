/* Attention of ai.onnx: its operands and results as kernel/attention/attend.h
 * wants them.  With a past the keys and values are first joined with it, in the
 * results present_key and present_value or, when these are not asked for, in
 * scratch.
 *
 * nonpad_kv_seqlen is compared with positions only, so that no number in it is
 * out of range. */
#include <math.h>

#include "kernel/attention/attend.h"
#include "kernel/core/coord.h"
#include "kernel/core/support.h"

enum { Q, K, V, MASK, PAST_K, PAST_V, NONPAD };

typedef struct plan {
  gs_attend at;
  bool flat;
  int64_t past;            /* keys in the past */
  int64_t first, queries;  /* the place of query 0 among those of all devices */
  gs_attend_join join[2];  /* keys and values: past, new -> joined */
  size_t joined[2];        /* bytes when scratch must hold them, else 0 */
} plan;

static gs_status check_types(gs_kctx *k) {
  for (int i = Q; i <= V; i++)
    if (!gs_attend_real(k->in[i].dtype))
      return gs_kernel_no_type(k, k->in[i].dtype);
  if (gs_kernel_has(k, MASK)) {
    gs_dtype t = k->in[MASK].dtype;
    if (!gs_attend_real(t) && !gs_dtype_whole(t))
      return gs_kernel_no_type(k, t);
  }
  return GS_OK;
}

static gs_status sizes(gs_kctx *k, plan *p) {
  const gs_view *q = &k->in[Q], *key = &k->in[K], *v = &k->in[V];
  gs_attend *a = &p->at;
  gs_kextent all, keys;
  GS_TRY(gs_kctx_operand(k, Q, &all));
  GS_TRY(gs_kctx_operand(k, K, &keys));
  p->flat = q->rank == 3;
  p->past = gs_kernel_has(k, PAST_K) ? k->in[PAST_K].dims[2] : 0;
  int64_t heads = q->dims[1];
  a->kv = key->dims[1];
  if (p->flat) {
    heads = gs_attend_heads(gs_node_int(k->node, "q_num_heads", 1),
                            all.dims[2], q->dims[2]);
    a->kv = gs_attend_heads(gs_node_int(k->node, "kv_num_heads", 1),
                            keys.dims[2], key->dims[2]);
  }
  a->batch = q->dims[0];
  a->group = a->kv ? heads / a->kv : 1;
  a->queries = q->dims[p->flat ? 1 : 2];
  p->first = all.first[p->flat ? 1 : 2];
  p->queries = all.dims[p->flat ? 1 : 2];
  a->keys = key->dims[p->flat ? 1 : 2] + p->past;
  a->head = p->flat ? q->dims[2] / heads : q->dims[3];
  a->vhead = p->flat ? v->dims[2] / a->kv : v->dims[3];
  return GS_OK;
}

static void mask(gs_kctx *k, plan *p) {
  if (!gs_kernel_has(k, MASK)) return;
  const gs_view *v = &k->in[MASK];
  gs_attend_mask *m = &p->at.mask[p->at.nmask++];
  *m = (gs_attend_mask){.type = v->dtype, .keys = v->dims[v->rank - 1]};
  int64_t stride = m->keys;
  int64_t *to[3] = {&m->query, &m->head, &m->batch};
  for (int d = v->rank - 2, i = 0; d >= 0; d--, i++) {
    *to[i] = v->dims[d] == 1 ? 0 : stride;
    stride *= v->dims[d];
  }
}

/* How i (0 keys, 1 values) of n elements and its past become one cache. */
static void join(gs_kctx *k, plan *p, int i, int64_t n) {
  const gs_attend *a = &p->at;
  const gs_attend_side *from = i ? &a->v : &a->k;
  size_t size = (size_t)gs_dtype_get((int)from->type)->bits / 8;
  gs_attend_join_init(&p->join[i], from, a->batch, a->kv, p->past,
                      a->keys - p->past, n);
  bool asked = i + 1 < k->nout && k->out[i + 1].rank >= 0;
  if (p->past && !asked)
    p->joined[i] =
        (size_t)(a->batch * a->kv * a->keys * n) * size / 64 * 64 + 64;
}

static gs_status prep(gs_kctx *k) {
  GS_TRY(check_types(k));
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  GS_TRY(sizes(k, p));
  gs_attend *a = &p->at;
  const gs_node *n = k->node;
  int64_t add = a->keys - p->past, heads = a->kv * a->group;
  bool wide = k->in[Q].dtype == GS_DOUBLE || k->in[V].dtype == GS_DOUBLE;
  a->type = wide ? GS_DOUBLE : GS_FLOAT;
  a->q = gs_attend_dense(k->in[Q].dtype, p->flat, heads, a->queries, a->head);
  a->k = gs_attend_dense(k->in[K].dtype, p->flat, a->kv, add, a->head);
  a->v = gs_attend_dense(k->in[V].dtype, p->flat, a->kv, add, a->vhead);
  a->y = gs_attend_dense(k->out[0].dtype, p->flat, heads, a->queries, a->vhead);
  a->scale = gs_node_attr(n, "scale")
                 ? gs_node_float(n, "scale", 1)
                 : 1 / sqrt((double)gs_max(a->head, 1));
  a->cap = gs_node_float(n, "softcap", 0);
  a->causal = gs_node_int(n, "is_causal", 0) != 0;
  a->left = gs_node_int(n, "left_window_size", -1);
  a->right = gs_node_int(n, "right_window_size", -1);
  a->scores = (gs_attend_scores)gs_node_int(n, "qk_matmul_output_mode", 0);
  if (k->nout > 3 && k->out[3].rank >= 0) a->scores_type = k->out[3].dtype;
  mask(k, p);
  join(k, p, 0, a->head);
  join(k, p, 1, a->vhead);
  if (p->past) { /* read from the joined cache */
    a->k = gs_attend_dense(a->k.type, false, a->kv, a->keys, a->head);
    a->v = gs_attend_dense(a->v.type, false, a->kv, a->keys, a->vhead);
  }
  size_t each = (size_t)a->batch * 2 * sizeof(int64_t) / 64 * 64 + 64;
  k->scratch_size = gs_attend_scratch(a) + each + p->joined[0] + p->joined[1];
  return GS_OK;
}

/* Keys (0) or values (1) to read; the cache is made when there is one. */
static const void *cached(gs_kctx *k, const plan *p, int i, char *room) {
  const void *in = k->in[K + i].data;
  bool asked = i + 1 < k->nout && k->out[i + 1].rank >= 0;
  if (!asked && !p->past) return in;
  char *to = asked ? k->out[i + 1].data : room;
  gs_attend_join_run(&p->join[i], p->past ? k->in[PAST_K + i].data : NULL, in,
                     to, k->threads);
  return p->past ? to : in;
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_attend *a = &p->at;
  char *at = k->scratch;
  gs_attend_data d = {.q = k->in[Q].data, .y = k->out[0].data,
                      .offset = p->past + p->first,
                      .threads = k->threads};
  d.scratch = at;
  at += gs_attend_scratch(a);
  int64_t *each = (int64_t *)(void *)at;
  at += (size_t)a->batch * 2 * sizeof(int64_t) / 64 * 64 + 64;
  if (gs_kernel_has(k, NONPAD)) {
    d.lengths = each;
    d.offsets = each + a->batch;
    for (int64_t b = 0; b < a->batch; b++) {
      /* Lengths past any cache are all alike, and cannot overflow then. */
      int64_t n = gs_view_int(&k->in[NONPAD], b), max = INT64_MAX / 4;
      each[b] = gs_max(gs_min(n, max), -max);
      each[a->batch + b] = each[b] - p->queries + p->first;
    }
  }
  d.k = cached(k, p, 0, at);
  d.v = cached(k, p, 1, at + p->joined[0]);
  if (a->nmask) d.mask[0] = k->in[MASK].data;
  if (k->nout > 3) d.scores = k->out[3].data;
  if (!gs_attend_run(a, &d))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the product");
  return GS_OK;
}

extern const gs_kernel gs_kernel_attention;
const gs_kernel gs_kernel_attention = {prep, run};
