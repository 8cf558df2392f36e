/* ConvInteger and QLinearConv: 8-bit operands, sums in 32 bits. */
#include <string.h>

#include "kernel/conv/conv_bytes.h"
#include "kernel/core/layout.h"
#include "kernel/quant/quant.h"

typedef struct plan {
  gs_conv_bytes *bytes; /* or, where groups have too few channels: */
  gs_conv_own *own;
  int64_t channels, places; /* of the result */
  size_t weights, sums;     /* bytes of scratch before own's */
} plan;

static bool is_byte(gs_dtype t) { return t == GS_INT8 || t == GS_UINT8; }

/* Lists have a number for each channel. */
static gs_status check_list(gs_kctx *k, int i, int64_t channels) {
  if (!gs_kernel_has(k, i) || k->in[i].n == 1 || k->in[i].n == channels)
    return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "operand %d has %lld numbers for %lld "
                        "channels", i, (long long)k->in[i].n,
                        (long long)channels);
}

static gs_status check_single(gs_kctx *k, int i) {
  if (!gs_kernel_has(k, i) || k->in[i].n == 1) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "operand %d has %lld numbers instead of 1",
                        i, (long long)k->in[i].n);
}

static gs_status prep(gs_kctx *k, int x_zero, int w, int w_zero, bool sums) {
  plan *p = GS_NEW(k->arena, plan);
  gs_conv_shape s;
  k->state = p;
  if (!is_byte(k->in[0].dtype)) return gs_kernel_no_type(k, k->in[0].dtype);
  if (!is_byte(k->in[w].dtype)) return gs_kernel_no_type(k, k->in[w].dtype);
  GS_TRY(gs_conv_shape_place(k, w, &s));
  GS_TRY(check_single(k, x_zero));
  GS_TRY(check_list(k, w_zero, s.group * s.out));
  p->channels = s.group * s.out;
  p->places = gs_conv_places_out(&s);
  if (!k->out[0].n) return GS_OK;
  if (gs_conv_bytes_fits(k->node->in[0], k->node->in[w])) {
    gs_conv_operands at = {0, x_zero, w, w_zero};
    p->bytes = gs_conv_bytes_new(k, &s, &at);
    k->scratch_size = gs_conv_bytes_scratch(p->bytes, k->threads);
    return GS_OK;
  }
  p->own = gs_conv_own_new(k->arena, &s, GS_INT32);
  p->weights = ((size_t)k->in[w].n * 4 + 63) / 64 * 64;
  p->sums = sums ? ((size_t)k->out[0].n * 4 + 63) / 64 * 64 : 0;
  k->scratch_size = p->weights + p->sums + gs_conv_own_scratch(p->own);
  return GS_OK;
}

/* Number m of a list, or the only one; 0 when it is left out. */
static int64_t zero_point(const gs_kctx *k, int i, int64_t m) {
  if (!gs_kernel_has(k, i) || !k->in[i].n) return 0;
  return gs_view_int(&k->in[i], k->in[i].n == 1 ? 0 : m);
}

/* y, which lies as `part` says, = the sums of x[0] and w, both less their zero
 * points, plus bias. */
static void sums(gs_kctx *k, int x_zero, int w, int w_zero, const void *bias,
                 const gs_view *part, void *y) {
  const plan *p = k->state;
  const gs_view *v = &k->in[w];
  int32_t *wide = k->scratch;
  int64_t each = p->channels ? v->n / p->channels : 0;
  gs_convert(GS_INT32, wide, v->dtype, v->data, v->n, NULL);
  for (int64_t m = 0; m < p->channels; m++) {
    int32_t zero = (int32_t)zero_point(k, w_zero, m);
    for (int64_t i = 0; zero && i < each; i++) wide[m * each + i] -= zero;
  }
  gs_conv_own_run(p->own, &k->in[0], zero_point(k, x_zero, 0), wide, bias,
                  part, y, (char *)k->scratch + p->weights + p->sums,
                  k->threads);
}

static gs_status integer_prep(gs_kctx *k) {
  return prep(k, 2, 1, 3, false);
}

/* Row `channel` of image's sums, from `place` on, are elements from here on. */
static int64_t element_at(const plan *p, int64_t image, int64_t channel,
                          int64_t place) {
  return (image * p->channels + channel) * p->places + place;
}

static void put_sums(void *ctx, int64_t image, int64_t channel, int64_t m,
                     int64_t place, int64_t n, const int32_t *c) {
  const gs_kctx *k = ctx;
  for (int64_t r = 0; r < m; r++)
    gs_part_put(&k->out[0], sizeof *c,
                element_at(k->state, image, channel + r, place), n,
                c + r * GS_IGEMM_COLS);
}

static gs_status integer_run(gs_kctx *k) {
  const plan *p = k->state;
  if (!k->out[0].n) return GS_OK;
  if (p->bytes) gs_conv_bytes_run(p->bytes, k, put_sums, k, k->scratch);
  else sums(k, 2, 1, 3, NULL, &k->out[0], k->out[0].data);
  return GS_OK;
}

const gs_kernel gs_kernel_conv_integer = {integer_prep, integer_run};

/* ---- QLinearConv ---- */

static gs_status qlinear_prep(gs_kctx *k) {
  if (!is_byte(k->out[0].dtype)) return gs_kernel_no_type(k, k->out[0].dtype);
  for (int i = 1; i < 7; i += i == 1 ? 3 : 2) /* scales: 1, 4, 6 */
    if (k->in[i].dtype != GS_FLOAT)
      return gs_kernel_no_type(k, k->in[i].dtype);
  GS_TRY(prep(k, 2, 3, 5, true));
  const plan *p = k->state;
  GS_TRY(check_list(k, 4, p->channels));
  for (int i = 1; i < 8; i += i == 1 ? 5 : 1) /* 1, 6, 7 */
    GS_TRY(check_single(k, i));
  if (!gs_kernel_has(k, 8) || k->in[8].n == p->channels) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "the bias has %lld numbers for %lld "
                        "channels", (long long)k->in[8].n,
                        (long long)p->channels);
}

/* n sums, the bias of their channel included, become elements from i on. */
static void round_sums(const gs_kctx *k, int64_t channel, int64_t i, int64_t n,
                       const int32_t *sum) {
  const gs_view *y = &k->out[0];
  const float *xs = k->in[1].data, *ws = k->in[4].data, *ys = k->in[6].data;
  float scale = xs[0] * ws[k->in[4].n == 1 ? 0 : channel] / ys[0];
  for (int64_t at = 0, some; at < n; at += some) {
    some = gs_part_run(y, i + at, n - at);
    gs_requantise(y->dtype, (uint8_t *)y->data + gs_part_place(y, i + at),
                  sum + at, some, &scale, 0, (int32_t)zero_point(k, 7, 0));
  }
}

static void put_rounded(void *ctx, int64_t image, int64_t channel, int64_t m,
                        int64_t place, int64_t n, const int32_t *c) {
  const gs_kctx *k = ctx;
  const int32_t *bias = gs_kernel_has(k, 8) ? k->in[8].data : NULL;
  for (int64_t r = 0; r < m; r++) {
    int32_t sum[GS_IGEMM_COLS];
    uint32_t more = bias ? (uint32_t)bias[channel + r] : 0;
    for (int64_t j = 0; j < n; j++)
      sum[j] = (int32_t)((uint32_t)c[r * GS_IGEMM_COLS + j] + more);
    round_sums(k, channel + r,
               element_at(k->state, image, channel + r, place), n, sum);
  }
}

static gs_status qlinear_run(gs_kctx *k) {
  const plan *p = k->state;
  if (!k->out[0].n) return GS_OK;
  if (p->bytes) {
    gs_conv_bytes_run(p->bytes, k, put_rounded, k, k->scratch);
    return GS_OK;
  }
  int32_t *sum = (int32_t *)((char *)k->scratch + p->weights);
  sums(k, 2, 3, 5, gs_kernel_has(k, 8) ? k->in[8].data : NULL, NULL, sum);
  for (int64_t c = 0; c < k->out[0].n / p->places; c++)
    round_sums(k, c % p->channels, c * p->places, p->places,
               sum + c * p->places);
  return GS_OK;
}

const gs_kernel gs_kernel_qlinear_conv = {qlinear_prep, qlinear_run};
