/* Dropout.  Training: y = x / (1 - ratio) where u >= ratio, else 0, with u f32
 * in [0, 1) drawn by the element's index in the whole tensor; computed in f32
 * (f64 for f64) and rounded once. */
#include <string.h>

#include "base/data/hash.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"
#include "kernel/core/par.h"
#include "kernel/random/random.h"

enum { BLOCK = 1024 };

typedef struct job {
  const gs_kctx *k;
  gs_uniform u;
  float ratio;
} job;

static gs_status prep(gs_kctx *k) {
  gs_dtype t = k->in[0].dtype;
  if (gs_dtype_get((int)t)->cls != 'f' || !gs_convert_knows(t) ||
      gs_dtype_get((int)t)->bits < 8)
    return gs_kernel_no_type(k, t);
  return GS_OK;
}

static bool given(const gs_kctx *k, int i) {
  return i < k->nin && k->in[i].rank >= 0 && k->in[i].n == 1;
}

/* The key is that of a tensor drawn by RandomUniform under this name. */
static uint64_t key_of(const gs_node *n) {
  const gs_attr *seed = gs_node_attr(n, "seed");
  if (seed && seed->kind == GS_ATTR_INT) return (uint64_t)seed->i;
  const char *name = n->out[0] ? n->out[0]->name : "";
  return gs_stream_key(name, 0);
}

static void keep_all(gs_kctx *k, const gs_view *mask) {
  const gs_view *in = &k->in[0], *out = &k->out[0];
  if (out->n > 0 && out->data != in->data)
    memcpy(out->data, in->data,
           (size_t)gs_dtype_bytes((int)out->dtype, out->n));
  if (mask && mask->n > 0) memset(mask->data, 1, (size_t)mask->n);
}

/* Elements [lo, hi). */
static void drop(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const gs_kctx *k = j->k;
  gs_dtype t = k->in[0].dtype;
  bool wide = t == GS_DOUBLE;
  int size = gs_dtype_get((int)t)->bits / 8;
  float u[BLOCK], f[BLOCK], scale = 1 / (1 - j->ratio);
  double d[BLOCK], scale64 = 1 / (1 - (double)j->ratio);
  bool *mask = k->nout > 1 ? k->out[1].data : NULL;
  for (int64_t at = lo; at < hi; at += BLOCK) {
    int64_t n = gs_min(BLOCK, hi - at);
    gs_uniform_fill(&j->u, at, n, u);
    gs_convert(wide ? GS_DOUBLE : GS_FLOAT, wide ? (void *)d : f, t,
               (const char *)k->in[0].data + at * size, n, NULL);
    for (int64_t i = 0; i < n; i++) {
      bool keep = u[i] >= j->ratio;
      if (mask) mask[at + i] = keep;
      if (wide) d[i] = keep ? d[i] * scale64 : 0;
      else f[i] = keep ? f[i] * scale : 0;
    }
    gs_convert(t, (char *)k->out[0].data + at * size,
               wide ? GS_DOUBLE : GS_FLOAT, wide ? (void *)d : f, n, NULL);
  }
}

static gs_status run(gs_kctx *k) {
  const gs_view *mask = k->nout > 1 && k->out[1].rank >= 0 ? &k->out[1] : NULL;
  if (!given(k, 2) || !*(const uint8_t *)k->in[2].data) {
    keep_all(k, mask);
    return GS_OK;
  }
  job j = {.k = k,
           .u = {.dtype = GS_FLOAT, .low = 0, .high = 1,
                 .key = key_of(k->node)},
           .ratio = 0.5f};
  if (given(k, 1))
    gs_convert(GS_FLOAT, &j.ratio, k->in[1].dtype, k->in[1].data, 1, NULL);
  gs_parallel(k->threads, k->out[0].n, 16, drop, &j);
  return GS_OK;
}

extern const gs_kernel gs_kernel_dropout;
const gs_kernel gs_kernel_dropout = {prep, run};
