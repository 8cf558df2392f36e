/* Conv, and FusedConv of ai.gshard: Conv with what follows it.  f32 is
 * oneDNN's, with weights that are constant packed once; f16 and bf16 are
 * widened, summed in f32 and rounded once. */
#include "kernel/core/layout.h"
#include "kernel/conv/channel_scale.h"
#include "kernel/conv/conv.h"
#include "kernel/gemm/gemm.h"
#include "kernel/conv/onednn_conv.h"
#include "kernel/core/par.h"
#include "kernel/core/share.h"
#include "kernel/pointwise/joined.h"

/* Operands.  From Z on those of FusedConv: what is added to the result, and
 * what is done to channels before that (channel_scale.h). */
enum { X, W, B, Z, CHANNELS };

typedef struct plan {
  gs_conv_own *own; /* or */
  gs_dnn_conv *dnn;
  gs_conv_shape s;
  bool half, scaled;
  gs_joined after; /* applied to the result */
  int64_t lead; /* of a result whose margins are computed too */
  double epsilon;
  const void *weights; /* packed, or scaled for own; NULL: made at each run */
  const float *bias;   /* scaled; NULL: operand B, or made at each run */
  /* Bytes of scratch: widened operands and result, scaled weights and bias,
   * packed weights, what the convolution wants. */
  size_t wide[3], result, scaling, packing;
  size_t plain[Z + 1]; /* for own: operands that lie in blocks */
} plan;

static size_t rounded(size_t n) { return (n + 63) / 64 * 64; }

static void *aligned(gs_arena *a, size_t n) {
  return (void *)(((uintptr_t)gs_alloc(a, n + 63) + 63) & ~(uintptr_t)63);
}

/* ---- weights ---- */

/* Weights and bias with what is done to channels in them. */
static void scale_weights(const gs_kctx *k, const plan *p, float *w,
                          float *b) {
  int64_t channels = p->s.group * p->s.out;
  int64_t each = p->s.in * gs_conv_taps(&p->s);
  const float *from = k->in[W].data;
  const float *old = gs_kernel_has(k, B) ? k->in[B].data : NULL;
  gs_channel_scale s = gs_channel_scale_get(k, CHANNELS, p->epsilon);
  for (int64_t c = 0; c < channels; c++) {
    double f = gs_channel_factor(&s, c);
    for (int64_t i = 0; i < each; i++)
      w[c * each + i] = (float)(from[c * each + i] * f);
    b[c] = (float)gs_channel_term(&s, c, old ? old[c] : 0);
  }
}

/* What the packed form depends on, besides the machine. */
static const char *pack_key(gs_kctx *k, const plan *p) {
  const gs_conv_shape *s = &p->s;
  gs_buf b;
  gs_buf_init(&b, k->arena);
  gs_buf_printf(&b, "conv %d %d %d %d %a %lld %lld %lld %lld",
                (int)k->in[W].dtype, k->in[X].block, k->out[0].any,
                gs_kernel_has(k, Z), p->epsilon, (long long)s->batch,
                (long long)s->group, (long long)s->in, (long long)s->out);
  for (int i = W; i < k->nin; i++)
    gs_buf_printf(&b, " %p", i == Z ? NULL : k->in[i].fixed);
  for (int d = 0; d < s->w.n; d++)
    gs_buf_printf(&b, ", %lld %lld %lld %lld %lld %lld",
                  (long long)s->w.in[d], (long long)s->w.out[d],
                  (long long)s->w.size[d], (long long)s->w.stride[d],
                  (long long)s->w.dilation[d], (long long)s->w.begin[d]);
  return b.at;
}

/* Bytes of the weights as they are computed with; the scaled bias follows. */
static size_t kept_bytes(const gs_kctx *k, const plan *p) {
  return rounded(p->dnn ? gs_dnn_conv_packed_size(p->dnn)
                        : (size_t)k->in[W].n * sizeof(float));
}

typedef struct packing {
  const gs_kctx *k;
  const plan *p;
} packing;

static bool pack(void *ctx, void *to) {
  const packing *j = ctx;
  const plan *p = j->p;
  const gs_view *w = &j->k->in[W];
  float *bias = (float *)(void *)((char *)to + kept_bytes(j->k, p));
  if (!p->dnn) {
    scale_weights(j->k, p, to, bias);
    return true;
  }
  if (!p->half && !p->scaled) return gs_dnn_conv_pack(p->dnn, w->data, to);
  gs_arena a;
  gs_arena_init(&a);
  float *wide = aligned(&a, (size_t)w->n * sizeof *wide);
  if (p->half) gs_half_widen(w->dtype, w->n, w->data, wide, 1);
  else scale_weights(j->k, p, wide, bias);
  bool ok = gs_dnn_conv_pack(p->dnn, wide, to);
  gs_arena_free(&a);
  return ok;
}

/* Weights that are constant are packed once, with the scaled bias after
 * them. */
static void prepare_weights(gs_kctx *k, plan *p) {
  if (!p->dnn && !p->scaled) return;
  for (int i = W; i < k->nin; i++) {
    bool matters = p->scaled ? i != Z : i == W;
    if (matters && gs_kernel_has(k, i) && !k->in[i].fixed) return;
  }
  size_t n = kept_bytes(k, p);
  size_t bias = p->scaled ? (size_t)(p->s.group * p->s.out) * sizeof(float)
                          : 0;
  packing job = {k, p};
  p->weights = gs_kernel_once(k, pack_key(k, p), n + bias, pack, &job);
  k->in[W].unread = p->weights != NULL;
  if (p->weights && bias)
    p->bias = (const float *)(const void *)((const char *)p->weights + n);
}

/* ---- preparing ---- */

static void plan_scratch(gs_kctx *k, plan *p) {
  for (int i = 0; i < 3 && p->half; i++) {
    if ((i == W && p->weights) || !gs_kernel_has(k, i)) continue;
    p->wide[i] = rounded((size_t)k->in[i].n * sizeof(float));
    k->scratch_size += p->wide[i];
  }
  /* Rounded from there, or put where it is to lie. */
  bool later = p->after.loop || gs_kernel_has(k, Z); /* rest */
  if (p->half || (p->own && k->out[0].pitch && later))
    p->result = rounded((size_t)k->out[0].n * sizeof(float));
  if (p->scaled && !p->weights)
    p->scaling = rounded((size_t)k->in[W].n * sizeof(float)) +
                 rounded((size_t)(p->s.group * p->s.out) * sizeof(float));
  if (p->dnn && !p->weights)
    p->packing = rounded(gs_dnn_conv_packed_size(p->dnn));
  for (int i = X; i < k->nin && i <= Z && p->own; i += Z)
    if (k->in[i].block) p->plain[i] = rounded((size_t)k->in[i].n * 4);
  k->scratch_size += p->plain[X] + p->plain[Z] + p->result + p->scaling +
                     p->packing +
                     (p->dnn ? gs_dnn_conv_scratch(p->dnn)
                             : gs_conv_own_scratch(p->own));
}

static gs_status prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  gs_dtype t = k->in[X].dtype;
  bool add = gs_kernel_has(k, Z);
  k->state = p;
  p->half = gs_dtype_half(t);
  p->scaled = gs_channel_scale_any(k, CHANNELS);
  p->after = gs_joined_get(k->node);
  p->epsilon = gs_node_float(k->node, "epsilon", 1e-5);
  bool fused = p->scaled || p->after.loop || add;
  if (t != GS_FLOAT && (fused || (!p->half && t != GS_DOUBLE)))
    return gs_kernel_no_type(k, t);
  GS_TRY(gs_conv_shape_get(k, X, W, false, &p->s));
  bool bias = gs_kernel_has(k, B) || p->scaled;
  gs_dnn_conv_form form = {.bias = bias, .add = add,
                           .after = p->after, .x = k->in[X].block,
                           .z = add ? k->in[Z].block : 0,
                           .any = k->out[0].any};
  gs_conv_shape s = p->s;
  bool wide = !p->half && !add && gs_dnn_conv_widen(&s, &k->out[0]);
  if (!wide && !p->half) form.part = gs_part_of(&k->out[0], 1);
  if (t != GS_DOUBLE)
    p->dnn = gs_dnn_conv_new(k->arena, &s, &form, k->threads,
                             &k->out[0].block);
  if (p->dnn) p->s = s;
  if (p->dnn && wide) p->lead = k->out[0].lead * gs_max(1, k->out[0].block);
  if (!p->dnn)
    p->own = gs_conv_own_new(k->arena, &p->s, t == GS_DOUBLE ? t : GS_FLOAT);
  prepare_weights(k, p);
  plan_scratch(k, p);
  return GS_OK;
}

/* ---- running ---- */

typedef struct rest_job {
  float *y;
  const float *z;
  const gs_joined *after;
} rest_job;

static void rest(void *ctx, int64_t lo, int64_t hi) {
  const rest_job *j = ctx;
  for (int64_t i = lo; j->z && i < hi; i++) j->y[i] += j->z[i];
  if (j->after->loop)
    j->after->loop(j->y + lo, (const void *[]){j->y + lo}, hi - lo,
                   j->after->param);
}

/* Operand i (data: in f32, or as it is) row-major. */
static const void *unblocked(const gs_kctx *k, const plan *p, int i,
                             const void *data, char **scratch) {
  if (!gs_kernel_has(k, i) || !p->plain[i]) return data;
  float *to = (float *)*scratch;
  gs_unblock(&k->in[i], k->in[i].block, data, to, k->threads);
  *scratch += p->plain[i];
  return to;
}

static void run_own(gs_kctx *k, const plan *p, const void *const *in,
                    void *out, char *scratch) {
  gs_view x = k->in[X];
  const void *z = gs_kernel_has(k, Z) ? k->in[Z].data : NULL;
  x.data = (void *)(uintptr_t)unblocked(k, p, X, in[X], &scratch);
  x.dtype = p->half ? GS_FLOAT : x.dtype;
  z = unblocked(k, p, Z, z, &scratch);
  gs_conv_own_run(p->own, &x, 0, p->weights ? p->weights : in[W], in[B],
                  p->result ? NULL : &k->out[0], out, scratch, k->threads);
  rest_job j = {out, z, &p->after};
  if (j.z || p->after.loop) gs_parallel(k->threads, k->out[0].n, 1, rest, &j);
}

static bool run_dnn(gs_kctx *k, const plan *p, const void *const *in,
                    void *out, char *scratch) {
  const void *packed = p->weights;
  if (!packed) {
    if (!gs_dnn_conv_pack(p->dnn, in[W], scratch)) return false;
    packed = scratch;
    scratch += p->packing;
  }
  return gs_dnn_conv_run(p->dnn, in[X], packed, in[B],
                         gs_kernel_has(k, Z) ? k->in[Z].data : NULL, out,
                         scratch, gs_kernel_threads(k, k->out[0].n * 64));
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *y = &k->out[0];
  const void *in[3] = {k->in[X].data, k->in[W].data,
                       gs_kernel_has(k, B) ? k->in[B].data : NULL};
  char *scratch = k->scratch;
  void *out = (float *)y->data - p->lead;
  if (!y->n) return GS_OK;
  for (int i = 0; i < 3; i++) {
    if (!p->wide[i]) continue;
    gs_half_widen(k->in[i].dtype, k->in[i].n, in[i], (float *)scratch,
                  k->threads);
    in[i] = scratch;
    scratch += p->wide[i];
  }
  if (p->result) {
    out = scratch;
    scratch += p->result;
  }
  if (p->bias) in[B] = p->bias;
  if (p->scaling) {
    in[B] = scratch;
    in[W] = scratch + rounded((size_t)(p->s.group * p->s.out) *
                              sizeof(float));
    scale_weights(k, p, (void *)(uintptr_t)in[W], (void *)scratch);
    scratch += p->scaling;
  }
  if (p->own) run_own(k, p, in, out, scratch);
  else if (!run_dnn(k, p, in, out, scratch))
    return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the "
                          "convolution");
  if (p->half) gs_half_narrow_to(y, out, k->threads);
  else if (p->result)
    gs_part_put(y, sizeof(float), 0, y->n, out);
  return GS_OK;
}

extern bool gs_fits_conv(const gs_node *n, const gs_view *y);
const gs_kernel gs_kernel_conv = {prep, run};
const gs_kernel gs_kernel_fused_conv = {prep, run};

/* Pieces of convolutions that are put where they are to lie should still be in
 * a cache then. */
enum { CACHE = 1 << 18 };

bool gs_fits_conv(const gs_node *n, const gs_view *y) {
  gs_arena a;
  gs_arena_init(&a);
  gs_kctx k = {.node = n, .nin = n->nin, .arena = &a};
  gs_conv_shape s, wide;
  gs_dtype t = n->in[X]->dtype;
  bool fits = !gs_conv_shape_get(&k, X, W, false, &s);
  wide = s;
  if (fits && t == GS_FLOAT)
    fits = (!gs_node_in(n, Z) && gs_dnn_conv_widen(&wide, y)) ||
           gs_dnn_conv_piece(&s) <= CACHE;
  gs_arena_free(&a);
  return fits; /* halves are rounded to there, doubles computed */
}
