/* InstanceNormalization and GroupNormalization: x[batch, groups, n], where n
 * counts the channels of a group times the elements of a channel; scale and
 * bias have one element for each channel.
 *
 * y = (x - mean) / sqrt(var + epsilon) * scale + bias, var the mean of
 * (x - mean)^2.  f16 and bf16 are computed in f32 and rounded once; f64, and
 * what stash_type wants so, in f64. */
#include <math.h>

#include "base/assert.h"
#include "kernel/core/par.h"
#include "kernel/reduce/rowloops.h"
#include "kernel/core/support.h"

typedef union number {
  float f32;
  double f64;
} number;

typedef struct plan {
  gs_dtype type; /* of the computation */
  int wide;      /* bytes of it */
  int64_t rows, groups, channels, inner; /* channels of a group */
  double epsilon;
  const gs_row_loops *loop;
  const gs_fold *sum;
} plan;

static gs_status prep(gs_kctx *k, int64_t groups) {
  const gs_view *x = &k->in[0];
  plan *p = GS_NEW(k->arena, plan);
  if (x->dtype != GS_FLOAT && x->dtype != GS_DOUBLE &&
      x->dtype != GS_FLOAT16 && x->dtype != GS_BFLOAT16)
    return gs_kernel_no_type(k, x->dtype);
  if (x->rank < 2 || groups < 1 || x->dims[1] % groups)
    return gs_kernel_fail(k, GS_DATA, "%lld groups", (long long)groups);
  for (int i = 1; i < 3; i++)
    if (k->in[i].dtype != x->dtype || k->in[i].n != x->dims[1])
      return gs_kernel_fail(k, GS_DATA, "operand %d is not one element for "
                            "each channel", i);
  bool wide = x->dtype == GS_DOUBLE ||
              gs_node_int(k->node, "stash_type", GS_FLOAT) == GS_DOUBLE;
  p->type = wide ? GS_DOUBLE : GS_FLOAT;
  p->wide = wide ? 8 : 4;
  gs_assert(p->wide == 4 || p->wide == 8);
  p->rows = x->dims[0] * groups;
  p->groups = groups;
  p->channels = x->dims[1] / groups;
  p->inner = gs_dims_count(x->dims, 2, x->rank);
  p->epsilon = gs_node_float(k->node, "epsilon", 1e-5);
  p->loop = gs_row_loops_get(p->type);
  p->sum = gs_fold_get(GS_FOLD_SUM, p->type);
  k->state = p;
  return GS_OK;
}

/* n elements of v from `at` in the computed type. */
static const void *load(const plan *p, const gs_view *v, int64_t at, int64_t n,
                        void *buf) {
  int64_t size = gs_dtype_get((int)v->dtype)->bits / 8;
  const char *from = (const char *)v->data + at * size;
  if (v->dtype == p->type && (uintptr_t)from % (uintptr_t)size == 0)
    return from;
  gs_convert(p->type, buf, v->dtype, from, n, NULL);
  return buf;
}

/* stat[0], stat[1]: mean and reciprocal deviation of n elements from `at`. */
static void statistics(const gs_kctx *k, int64_t at, int64_t n, void *stat) {
  const plan *p = k->state;
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  number sum = {.f64 = 0}, var = {.f64 = 0};
  bool f32 = p->type == GS_FLOAT;
  for (int64_t i = 0; i < n; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, n - i);
    p->sum->row(&sum, load(p, &k->in[0], at + i, m, buf), m);
  }
  if (f32) sum.f32 /= (float)n;
  else sum.f64 /= (double)n;
  for (int64_t i = 0; i < n; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, n - i);
    p->loop->deviation(&var, load(p, &k->in[0], at + i, m, buf), &sum, m);
  }
  if (f32) {
    float *s = stat;
    s[0] = sum.f32;
    s[1] = 1.0f / sqrtf(var.f32 / (float)n + (float)p->epsilon);
  } else {
    double *s = stat;
    s[0] = sum.f64;
    s[1] = 1.0 / sqrt(var.f64 / (double)n + p->epsilon);
  }
}

/* n copies of element c of v in the computed type. */
static void repeat(const plan *p, const gs_view *v, int64_t c, int64_t n,
                   void *to) {
  number one;
  const void *x = load(p, v, c, 1, &one);
  float *f = to;
  double *d = to;
  if (p->type == GS_FLOAT)
    for (int64_t i = 0; i < n; i++) f[i] = *(const float *)x;
  else
    for (int64_t i = 0; i < n; i++) d[i] = *(const double *)x;
}

/* Channel c, whose elements begin at `at`. */
static void channel(const gs_kctx *k, int64_t at, int64_t c,
                    const void *stat) {
  const plan *p = k->state;
  const gs_view *y = &k->out[0];
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  _Alignas(64) char gain[GS_CHUNK * sizeof(number)];
  _Alignas(64) char bias[GS_CHUNK * sizeof(number)];
  int64_t size = gs_dtype_get((int)y->dtype)->bits / 8;
  repeat(p, &k->in[1], c, gs_min(GS_CHUNK, p->inner), gain);
  repeat(p, &k->in[2], c, gs_min(GS_CHUNK, p->inner), bias);
  for (int64_t i = 0; i < p->inner; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, p->inner - i);
    char *to = (char *)y->data + (at + i) * size;
    bool same = y->dtype == p->type;
    const void *x = load(p, &k->in[0], at + i, m, buf);
    p->loop->normalize(same ? to : buf, x, stat, gain, bias, m);
    if (!same) gs_convert(y->dtype, to, p->type, buf, m, NULL);
  }
}

/* Groups [lo, hi) of all batches. */
static void rows(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  int64_t n = p->channels * p->inner;
  _Alignas(16) char stat[2 * sizeof(number)];
  for (int64_t r = lo; r < hi; r++) {
    statistics(k, r * n, n, stat);
    for (int64_t c = 0; c < p->channels; c++)
      channel(k, r * n + c * p->inner, r % p->groups * p->channels + c, stat);
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  if (k->out[0].n)
    gs_parallel(k->threads, p->rows, 2 * p->channels * p->inner, rows, k);
  return GS_OK;
}

static gs_status prep_instance(gs_kctx *k) {
  int64_t channels = k->in[0].rank < 2 ? 0 : k->in[0].dims[1];
  return prep(k, gs_max(1, channels));
}
static gs_status prep_group(gs_kctx *k) {
  return prep(k, gs_node_int(k->node, "num_groups", 0));
}
extern const gs_kernel gs_kernel_instance_norm, gs_kernel_group_norm;
const gs_kernel gs_kernel_instance_norm = {prep_instance, run};
const gs_kernel gs_kernel_group_norm = {prep_group, run};
