#include "kernel/random.h"

#include <math.h>

#include "kernel/coord.h"
#include "kernel/support.h"

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

/* ---- kernels ---- */

typedef struct plan {
  gs_uniform u;
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
  return gs_hash(name, strlen(name), 0);
}

static gs_status plan_new(gs_kctx *k, plan **out) {
  plan *p = GS_NEW(k->arena, plan);
  gs_dtype t = k->out[0].dtype;
  p->u.dtype = t;
  p->u.low = gs_node_float(k->node, "low", 0);
  p->u.high = gs_node_float(k->node, "high", 1);
  p->u.key = key_of(k->node);
  p->rank = k->out[0].rank;
  p->global = k->out[0].dims;
  if (t != GS_FLOAT && t != GS_DOUBLE && t != GS_FLOAT16 && t != GS_BFLOAT16)
    return gs_kernel_no_type(k, t);
  if (!isfinite(p->u.low) || !isfinite(p->u.high))
    return gs_kernel_fail(k, GS_DATA, "low or high is not finite");
  k->state = *out = p;
  return GS_OK;
}

static gs_status plain_prep(gs_kctx *k) {
  plan *p;
  return plan_new(k, &p);
}

static gs_status sharded_prep(gs_kctx *k) {
  const gs_view *y = &k->out[0];
  int64_t idx[GS_MAX_RANK];
  int n;
  plan *p;
  GS_TRY(plan_new(k, &p));
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
static gs_status uniform_run(gs_kctx *k) {
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
    gs_uniform_fill(&p->u, (int64_t)at, cols,
                    (char *)y->data + r * cols * size);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_random_uniform = {plain_prep, uniform_run};
const gs_kernel gs_kernel_g_random_uniform = {sharded_prep, uniform_run};
