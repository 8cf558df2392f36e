/* FusedNorm of ai.gshard: a normalisation by given statistics with what follows
 * it, on f32 tensors that are row-major or in blocks of channels. */
#include <math.h>

#include "base/assert.h"
#include "base/isa.h"
#include "kernel/conv/channel_scale.h"
#include "kernel/core/layout.h"
#include "kernel/core/par.h"
#include "kernel/pointwise/joined.h"

#define GS_STAMP "kernel/conv/fused_norm.inc"
#include "kernel/core/stamp.h"

enum { CHUNK = 2048 }; /* elements that stay in L1 for the activation */

typedef void affine(float *y, const float *x, int64_t n, const float *a,
                    const float *b);

typedef struct plan {
  int64_t lanes;    /* channels side by side */
  int64_t channels, places;
  double epsilon;
  affine *loop;
  gs_joined after;
  size_t blocks; /* bytes of the result in blocks, when it is wanted without */
} plan;

static gs_status prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  const gs_view *x = &k->in[0];
  k->state = p;
  if (x->dtype != GS_FLOAT) return gs_kernel_no_type(k, x->dtype);
  p->lanes = x->block ? x->block : 1;
  gs_assert(p->lanes == 1 || p->lanes == 8 || p->lanes == 16);
  p->channels = x->rank > 1 ? x->dims[1] : 1;
  p->places = gs_dims_count(x->dims, 2, x->rank);
  p->epsilon = gs_node_float(k->node, "epsilon", 1e-5);
  p->after = gs_joined_get(k->node);
  p->loop = p->lanes == 1   ? GS_PICK(affine_1)
            : p->lanes == 8 ? GS_PICK(affine_8)
                            : GS_PICK(affine_16);
  if (x->block && k->out[0].any == x->block) k->out[0].block = x->block;
  else if (x->block) p->blocks = ((size_t)x->n * sizeof(float) + 63) / 64 * 64;
  k->scratch_size = p->blocks + 2 * (size_t)p->channels * sizeof(float);
  return GS_OK;
}

typedef struct job {
  const plan *p;
  const float *x, *a, *b;
  float *y;
} job;

/* The channels of an image, `lanes` of them at once. */
static void range(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  int64_t each = p->places * p->lanes;
  for (int64_t i = lo; i < hi; i++) {
    int64_t c = i * p->lanes % p->channels;
    for (int64_t at = 0, n; at < each; at += n) {
      n = gs_min(each - at, CHUNK);
      float *y = j->y + i * each + at;
      p->loop(y, j->x + i * each + at, n / p->lanes, j->a + c, j->b + c);
      if (p->after.loop)
        p->after.loop(y, (const void *[]){y}, n, p->after.param);
    }
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  gs_view *y = &k->out[0];
  gs_channel_scale s = gs_channel_scale_get(k, 1, p->epsilon);
  float *a = (float *)(void *)((char *)k->scratch + p->blocks);
  float *b = a + p->channels;
  if (!y->n) return GS_OK;
  for (int64_t c = 0; c < p->channels; c++) {
    a[c] = (float)gs_channel_factor(&s, c);
    b[c] = (float)gs_channel_term(&s, c, 0);
  }
  job j = {p, k->in[0].data, a, b, p->blocks ? k->scratch : y->data};
  gs_parallel(k->threads, y->n / (p->places * p->lanes), p->places * p->lanes,
              range, &j);
  if (p->blocks) gs_unblock(y, (int)p->lanes, j.y, y->data, k->threads);
  return GS_OK;
}

extern const gs_kernel gs_kernel_fused_norm;
const gs_kernel gs_kernel_fused_norm = {prep, run};
