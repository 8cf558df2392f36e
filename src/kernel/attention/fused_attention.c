/* FusedAttention: y = softmax(q k' * scale + mask) v, of f32, as kernels are
 * fused to it (kernel/attention/fuse_attention.c).  q [.., s, d], k' [.., d, t]
 * and v [.., t, v] have the same outer dims, two at most.  Where a mask hides
 * all keys the result is NaN, as that of a softmax; a mask of minus infinity
 * hides NaN too, and of 512 keys that are all hidden the values are not
 * looked at. */
#include "base/assert.h"
#include "kernel/attention/attend.h"
#include "kernel/core/support.h"

enum { Q, K, V, MASK, SCALE };

static gs_status check(gs_kctx *k) {
  const gs_view *q = &k->in[Q], *key = &k->in[K], *v = &k->in[V];
  int r = q->rank;
  for (int i = 0; i < k->nin; i++)
    if (k->in[i].rank >= 0 && k->in[i].dtype != GS_FLOAT)
      return gs_kernel_no_type(k, k->in[i].dtype);
  if (r < 2 || r > 4 || key->rank != r || v->rank != r)
    return gs_kernel_fail(k, GS_UNSUPPORTED,
                          "operands of ranks %d, %d and %d, not 2, 3 or 4", r,
                          key->rank, v->rank);
  for (int d = 0; d < r - 2; d++)
    if (key->dims[d] != q->dims[d] || v->dims[d] != q->dims[d])
      return gs_kernel_fail(k, GS_DATA, "operands differ in dim %d", d);
  if (key->dims[r - 2] != q->dims[r - 1] || v->dims[r - 2] != key->dims[r - 1])
    return gs_kernel_fail(k, GS_DATA, "operands do not fit together");
  return GS_OK;
}

/* Dims of size 1 are broadcast, but for that of the keys. */
static gs_status mask(gs_kctx *k, gs_attend *a) {
  if (!gs_kernel_has(k, MASK)) return GS_OK;
  const gs_view *v = &k->in[MASK];
  const int64_t is[3] = {a->queries, a->kv, a->batch};
  gs_attend_mask *m = &a->mask[a->nmask++];
  int64_t *to[3] = {&m->query, &m->head, &m->batch};
  int64_t stride = a->keys;
  bool fits = v->rank >= 1 && v->rank <= k->in[Q].rank &&
              v->dims[v->rank - 1] == a->keys;
  *m = (gs_attend_mask){.type = GS_FLOAT, .keys = a->keys};
  for (int d = v->rank - 2, i = 0; fits && d >= 0; d--, i++) {
    fits = v->dims[d] == 1 || v->dims[d] == is[i];
    *to[i] = v->dims[d] == 1 ? 0 : stride;
    stride *= v->dims[d];
  }
  if (fits) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "the mask does not fit the scores");
}

static gs_status prep(gs_kctx *k) {
  const gs_view *q = &k->in[Q];
  gs_attend *a = GS_NEW(k->arena, gs_attend);
  GS_TRY(check(k));
  int r = q->rank;
  k->state = a;
  a->type = GS_FLOAT;
  a->across = a->plain = true;
  a->batch = r > 3 ? q->dims[0] : 1;
  a->kv = r > 2 ? q->dims[r - 3] : 1;
  a->group = 1;
  a->queries = q->dims[r - 2];
  a->head = q->dims[r - 1];
  a->keys = k->in[K].dims[r - 1];
  a->vhead = k->in[V].dims[r - 1];
  a->q = gs_attend_dense(GS_FLOAT, false, a->kv, a->queries, a->head);
  a->k = gs_attend_dense(GS_FLOAT, false, a->kv, a->head, a->keys);
  a->v = gs_attend_dense(GS_FLOAT, false, a->kv, a->keys, a->vhead);
  a->y = gs_attend_dense(GS_FLOAT, false, a->kv, a->queries, a->vhead);
  a->scale = 1;
  a->left = a->right = -1;
  GS_TRY(mask(k, a));
  if (gs_kernel_has(k, SCALE) && k->in[SCALE].n != 1)
    return gs_kernel_fail(k, GS_DATA, "the scale is not one number");
  k->scratch_size = gs_attend_scratch(a);
  return GS_OK;
}

static gs_status run(gs_kctx *k) {
  gs_attend a = *(const gs_attend *)k->state;
  if (gs_kernel_has(k, SCALE)) {
    float by;
    memcpy(&by, k->in[SCALE].data, sizeof by);
    a.scale = (double)(gs_node_int(k->node, "divide", 0) ? 1 / by : by);
  }
  gs_attend_data d = {.q = k->in[Q].data, .k = k->in[K].data,
                      .v = k->in[V].data, .y = k->out[0].data,
                      .scratch = k->scratch, .threads = k->threads};
  if (a.nmask) d.mask[0] = k->in[MASK].data;
  bool ok = gs_attend_run(&a, &d);
  gs_assert(ok); /* it needs no library */
  (void)ok;
  return GS_OK;
}

extern const gs_kernel gs_kernel_fused_attention;
const gs_kernel gs_kernel_fused_attention = {prep, run};
