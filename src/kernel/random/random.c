#include "kernel/random/random.h"

#include <math.h>

#include "base/assert.h"
#include "base/data/hash.h"
#include "kernel/core/coord.h"
#include "kernel/core/support.h"

void gs_philox(const uint32_t counter[4], const uint32_t key[2],
               uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

static float draw_f32(const gs_uniform *u, uint32_t r) {
  float v = (float)(u->low + (double)(r >> 8) * 0x1p-24 * (u->high - u->low));
  float high = (float)u->high;
  return v < high || u->low >= u->high ? v : nextafterf(high, (float)u->low);
}

static double draw_f64(const gs_uniform *u, uint32_t a, uint32_t b) {
  double x = ((double)(a >> 5) * 0x1p26 + (double)(b >> 6)) * 0x1p-53;
  double v = u->low + x * (u->high - u->low);
  return v < u->high || u->low >= u->high ? v : nextafter(u->high, u->low);
}

/* The 16-bit float below h in value. */
static uint16_t half_below(uint16_t h) {
  if ((h & 0x7fff) == 0) return 0x8001;
  return (uint16_t)(h & 0x8000 ? h + 1 : h - 1);
}

static uint16_t draw_half(const gs_uniform *u, float v) {
  bool bf = u->dtype == GS_BFLOAT16;
  uint16_t h = bf ? gs_bf16_put(v) : gs_f16_put(v);
  while (u->low < u->high &&
         (double)(bf ? gs_bf16_get(h) : gs_f16_get(h)) >= u->high)
    h = half_below(h);
  return h;
}

void gs_uniform_fill(const gs_uniform *u, int64_t first, int64_t n, void *out) {
  gs_assert(first >= 0 && n >= 0 && u->low <= u->high);
  uint32_t key[2] = {(uint32_t)u->key, (uint32_t)(u->key >> 32)};
  for (int64_t i = 0; i < n; i++) {
    uint64_t at = (uint64_t)(first + i);
    uint32_t c[4] = {(uint32_t)at, (uint32_t)(at >> 32), 0, 0}, r[4];
    gs_philox(c, key, r);
    if (u->dtype == GS_DOUBLE) ((double *)out)[i] = draw_f64(u, r[0], r[1]);
    else if (u->dtype == GS_FLOAT) ((float *)out)[i] = draw_f32(u, r[0]);
    else ((uint16_t *)out)[i] = draw_half(u, draw_f32(u, r[0]));
  }
}

void gs_normal_fill(const gs_normal *u, int64_t first, int64_t n, void *out) {
  uint32_t key[2] = {(uint32_t)u->key, (uint32_t)(u->key >> 32)};
  int64_t size = gs_dtype_get((int)u->dtype)->bits / 8;
  gs_assert(first >= 0 && n >= 0 && size > 0);
  for (int64_t i = first; i < first + n;) {
    uint64_t at = (uint64_t)i / 2;
    uint32_t c[4] = {(uint32_t)at, (uint32_t)(at >> 32), 1, 0}, r[4];
    gs_philox(c, key, r);
    /* 1 - u is in (0, 1]. */
    double a = ((double)(r[0] >> 5) * 0x1p26 + (double)(r[1] >> 6)) * 0x1p-53;
    double b = ((double)(r[2] >> 5) * 0x1p26 + (double)(r[3] >> 6)) * 0x1p-53;
    double radius = u->scale * sqrt(-2 * log(1 - a));
    double angle = 6.283185307179586 * b;
    for (int half = (int)(i & 1); half < 2 && i < first + n; half++, i++) {
      double v = u->mean + radius * (half ? sin(angle) : cos(angle));
      gs_convert(u->dtype, (char *)out + (i - first) * size, GS_DOUBLE, &v, 1,
                 NULL);
    }
  }
}

/* ---- kernels ---- */

typedef struct plan {
  bool is_normal;
  gs_uniform u;
  gs_normal normal;
  int rank;
  const int64_t *global; /* dims of the whole tensor */
  int64_t start[GS_MAX_RANK]; /* first element of the block */
} plan;

/* The key: the bits of `seed`, else `stream`, else the output's name. */
static uint64_t key_of(const gs_node *n) {
  const gs_attr *seed = gs_node_attr(n, "seed");
  const gs_attr *stream = gs_node_attr(n, "stream");
  if (seed) {
    float f = (float)seed->f;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
  }
  if (stream) return (uint64_t)stream->i;
  const char *name = n->out[0]->name;
  return gs_stream_key(name, 0);
}

static gs_status plan_new(gs_kctx *k, bool is_normal, plan **out) {
  plan *p = GS_NEW(k->arena, plan);
  gs_dtype t = k->out[0].dtype;
  p->u.dtype = t;
  p->u.low = gs_node_float(k->node, "low", 0);
  p->u.high = gs_node_float(k->node, "high", 1);
  p->u.key = key_of(k->node);
  p->is_normal = is_normal;
  p->normal = (gs_normal){.dtype = t,
                          .mean = gs_node_float(k->node, "mean", 0),
                          .scale = gs_node_float(k->node, "scale", 1),
                          .key = p->u.key};
  p->rank = k->out[0].rank;
  p->global = k->out[0].dims;
  if (t != GS_FLOAT && t != GS_DOUBLE && t != GS_FLOAT16 && t != GS_BFLOAT16)
    return gs_kernel_no_type(k, t);
  if (!isfinite(p->u.low) || !isfinite(p->u.high))
    return gs_kernel_fail(k, GS_DATA, "low or high is not finite");
  if (!isfinite(p->normal.mean) || !isfinite(p->normal.scale))
    return gs_kernel_fail(k, GS_DATA, "mean or scale is not finite");
  k->state = *out = p;
  return GS_OK;
}

static gs_status plain(gs_kctx *k, bool is_normal) {
  plan *p;
  return plan_new(k, is_normal, &p);
}

static gs_status sharded(gs_kctx *k, bool is_normal) {
  const gs_view *y = &k->out[0];
  int64_t idx[GS_MAX_RANK];
  int n;
  plan *p;
  GS_TRY(plan_new(k, is_normal, &p));
  const int64_t *shape = gs_node_ints(k->node, "shape", &n);
  if (n != y->rank)
    return gs_kernel_fail(k, GS_DATA, "shape has %d entries for rank %d", n,
                          y->rank);
  if (n) p->global = shape;
  GS_TRY(gs_kctx_split_index(k, n, p->global, y->dims, idx));
  for (int d = 0; d < n; d++) p->start[d] = idx[d] * y->dims[d];
  return GS_OK;
}

/* Row by row of the block: a row's elements are consecutive in the whole.
 * What lies past the end of the whole is padding and takes the numbers of
 * wherever its index falls. */
static gs_status fill_run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *y = &k->out[0];
  int last = p->rank - 1;
  int64_t cols = last < 0 ? 1 : y->dims[last];
  int64_t rows = cols ? y->n / cols : 0;
  int64_t size = gs_dtype_get((int)y->dtype)->bits / 8;
  int nt = gs_kernel_threads(k, y->n * 16);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t r = 0; r < rows; r++) {
    uint64_t at = 0, stride = 1;
    int64_t rest = r;
    if (last >= 0) {
      at = (uint64_t)p->start[last];
      stride = (uint64_t)p->global[last];
    }
    for (int d = last - 1; d >= 0; d--) {
      at += (uint64_t)(p->start[d] + rest % y->dims[d]) * stride;
      stride *= (uint64_t)p->global[d];
      rest /= y->dims[d];
    }
    char *to = (char *)y->data + r * cols * size;
    if (p->is_normal) gs_normal_fill(&p->normal, (int64_t)at, cols, to);
    else gs_uniform_fill(&p->u, (int64_t)at, cols, to);
  }
  return GS_OK;
}

static gs_status plain_uniform(gs_kctx *k) { return plain(k, false); }
static gs_status plain_normal(gs_kctx *k) { return plain(k, true); }
static gs_status sharded_uniform(gs_kctx *k) { return sharded(k, false); }
static gs_status sharded_normal(gs_kctx *k) { return sharded(k, true); }

extern const gs_kernel gs_kernel_random_normal, gs_kernel_g_random_normal;
const gs_kernel gs_kernel_random_uniform = {plain_uniform, fill_run};
const gs_kernel gs_kernel_random_normal = {plain_normal, fill_run};
const gs_kernel gs_kernel_g_random_uniform = {sharded_uniform, fill_run};
const gs_kernel gs_kernel_g_random_normal = {sharded_normal, fill_run};
