/* Conv.  f32 is oneDNN's, with weights that are constant packed once; f16 and
 * bf16 are widened, summed in f32 and rounded once. */
#include "kernel/conv.h"
#include "kernel/gemm.h"
#include "kernel/onednn_conv.h"

typedef struct plan {
  gs_conv_own *own; /* or */
  gs_dnn_conv *dnn;
  const void *packed; /* NULL: weights are packed at each run */
  bool half, bias;
  /* Bytes of scratch, each 64-fold: widened operands and result, packed
   * weights, what the convolution wants. */
  size_t wide[4], packing, rest;
} plan;

static size_t rounded(size_t n) { return (n + 63) / 64 * 64; }

static void *aligned(gs_arena *a, size_t n) {
  return (void *)(((uintptr_t)gs_alloc(a, n + 63) + 63) & ~(uintptr_t)63);
}

static bool pack(const gs_kctx *k, const plan *p, void *to) {
  const gs_view *w = &k->in[1];
  if (!p->half) return gs_dnn_conv_pack(p->dnn, w->data, to);
  gs_arena a;
  gs_arena_init(&a);
  float *wide = aligned(&a, (size_t)w->n * sizeof *wide);
  gs_half_widen(w->dtype, w->n, w->data, wide, 1);
  bool ok = gs_dnn_conv_pack(p->dnn, wide, to);
  gs_arena_free(&a);
  return ok;
}

/* What the packed form depends on, besides the machine. */
static const char *pack_key(gs_kctx *k, const plan *p,
                            const gs_conv_shape *s) {
  gs_buf b;
  gs_buf_init(&b, k->arena);
  gs_buf_printf(&b, "conv %p %d %d %lld %lld %lld %lld", k->in[1].data,
                (int)k->in[1].dtype, p->bias, (long long)s->batch,
                (long long)s->group, (long long)s->in, (long long)s->out);
  for (int d = 0; d < s->w.n; d++)
    gs_buf_printf(&b, ", %lld %lld %lld %lld %lld %lld",
                  (long long)s->w.in[d], (long long)s->w.out[d],
                  (long long)s->w.size[d], (long long)s->w.stride[d],
                  (long long)s->w.dilation[d], (long long)s->w.begin[d]);
  return b.at;
}

/* Weights that are constant are packed once for all devices.  One that is
 * also a graph input may be replaced later. */
static void prepare_weights(gs_kctx *k, plan *p, const gs_conv_shape *s) {
  const gs_value *v = gs_node_in(k->node, 1);
  const gs_value *from = v && v->def ? gs_node_in(v->def, 0) : NULL;
  size_t n = gs_dnn_conv_packed_size(p->dnn);
  if (!k->in[1].data || v->is_input || (from && from->is_input)) return;
  if (!k->share) {
    void *to = aligned(k->arena, n);
    if (pack(k, p, to)) p->packed = to;
    return;
  }
  const char *key = pack_key(k, p, s);
  pthread_mutex_lock(&k->share->lock);
  void *to = gs_map_get(&k->share->made, key);
  if (!to) {
    void *fresh = aligned(&k->share->arena, n);
    if (pack(k, p, fresh)) {
      to = fresh;
      gs_map_put(&k->share->made, key, to);
    }
  }
  p->packed = to;
  pthread_mutex_unlock(&k->share->lock);
}

static gs_status prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  gs_dtype t = k->in[0].dtype;
  gs_conv_shape s;
  k->state = p;
  p->half = gs_dtype_half(t);
  p->bias = gs_kernel_has(k, 2);
  if (!p->half && t != GS_FLOAT && t != GS_DOUBLE)
    return gs_kernel_no_type(k, t);
  GS_TRY(gs_conv_shape_get(k, 0, 1, false, &s));
  if (t != GS_DOUBLE) p->dnn = gs_dnn_conv_new(k->arena, &s, p->bias);
  if (p->dnn) {
    prepare_weights(k, p, &s);
    p->rest = rounded(gs_dnn_conv_scratch(p->dnn, k->threads));
    if (!p->packed) p->packing = rounded(gs_dnn_conv_packed_size(p->dnn));
  } else {
    p->own = gs_conv_own_new(k->arena, &s, t == GS_DOUBLE ? t : GS_FLOAT);
    p->rest = rounded(gs_conv_own_scratch(p->own));
  }
  k->scratch_size = p->packing + p->rest;
  for (int i = 0; i < 4 && p->half; i++) {
    const gs_view *v = i == 3 ? &k->out[0] : &k->in[i];
    if (i == 2 && !p->bias) continue;
    if (i == 1 && p->packed) continue;
    p->wide[i] = rounded((size_t)v->n * sizeof(float));
    k->scratch_size += p->wide[i];
  }
  return GS_OK;
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  gs_view *y = &k->out[0], x = k->in[0];
  const void *in[3] = {k->in[0].data, k->in[1].data,
                       p->bias ? k->in[2].data : NULL};
  char *scratch = k->scratch;
  void *out = y->data;
  if (!y->n) return GS_OK;
  for (int i = 0; i < 4; i++) {
    if (!p->wide[i]) continue;
    if (i == 3) {
      out = scratch;
    } else {
      gs_half_widen(k->in[i].dtype, k->in[i].n, in[i], (float *)scratch,
                    k->threads);
      in[i] = scratch;
    }
    scratch += p->wide[i];
  }
  if (p->dnn) {
    const void *packed = p->packed;
    bool ok = true;
    if (!packed) {
      ok = gs_dnn_conv_pack(p->dnn, in[1], scratch);
      packed = scratch;
      scratch += p->packing;
    }
    if (!ok || !gs_dnn_conv_run(p->dnn, in[0], packed, in[2], out, scratch,
                                gs_kernel_threads(k, y->n * 64)))
      return gs_kernel_fail(k, GS_INTERNAL, "oneDNN refuses the convolution");
  } else {
    x.data = (void *)(uintptr_t)in[0];
    x.dtype = p->half ? GS_FLOAT : x.dtype;
    gs_conv_own_run(p->own, &x, 0, in[1], in[2], out, scratch, k->threads);
  }
  if (p->half) gs_half_narrow(y->dtype, y->n, out, y->data, k->threads);
  return GS_OK;
}

const gs_kernel gs_kernel_conv = {prep, run};
