/* ConvInteger and QLinearConv: 8-bit operands, sums in 32 bits. */
#include <math.h>
#include <string.h>

#include "kernel/conv/conv.h"
#include "kernel/core/layout.h"

typedef struct plan {
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

static gs_status prep(gs_kctx *k, int w, int w_zero, bool sums) {
  plan *p = GS_NEW(k->arena, plan);
  gs_conv_shape s;
  k->state = p;
  if (!is_byte(k->in[0].dtype)) return gs_kernel_no_type(k, k->in[0].dtype);
  if (!is_byte(k->in[w].dtype)) return gs_kernel_no_type(k, k->in[w].dtype);
  GS_TRY(gs_conv_shape_place(k, w, &s));
  GS_TRY(check_single(k, 2));
  GS_TRY(check_list(k, w_zero, s.group * s.out));
  p->own = gs_conv_own_new(k->arena, &s, GS_INT32);
  p->channels = s.group * s.out;
  p->places = gs_conv_places_out(&s);
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

static gs_status integer_prep(gs_kctx *k) { return prep(k, 1, 3, false); }

static gs_status integer_run(gs_kctx *k) {
  if (k->out[0].n) sums(k, 2, 1, 3, NULL, &k->out[0], k->out[0].data);
  return GS_OK;
}

const gs_kernel gs_kernel_conv_integer = {integer_prep, integer_run};

/* ---- QLinearConv ---- */

static gs_status qlinear_prep(gs_kctx *k) {
  if (!is_byte(k->out[0].dtype)) return gs_kernel_no_type(k, k->out[0].dtype);
  for (int i = 1; i < 7; i += i == 1 ? 3 : 2) /* scales: 1, 4, 6 */
    if (k->in[i].dtype != GS_FLOAT)
      return gs_kernel_no_type(k, k->in[i].dtype);
  GS_TRY(prep(k, 3, 5, true));
  const plan *p = k->state;
  GS_TRY(check_list(k, 4, p->channels));
  for (int i = 1; i < 8; i += i == 1 ? 5 : 1) /* 1, 6, 7 */
    GS_TRY(check_single(k, i));
  if (!gs_kernel_has(k, 8) || k->in[8].n == p->channels) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "the bias has %lld numbers for %lld "
                        "channels", (long long)k->in[8].n,
                        (long long)p->channels);
}

static gs_status qlinear_run(gs_kctx *k) {
  const plan *p = k->state;
  gs_view *y = &k->out[0];
  int32_t *sum = (int32_t *)((char *)k->scratch + p->weights);
  const float *xs = k->in[1].data, *ws = k->in[4].data, *ys = k->in[6].data;
  float zero = (float)zero_point(k, 7, 0);
  float low = y->dtype == GS_INT8 ? -128 : 0;
  float high = y->dtype == GS_INT8 ? 127 : 255;
  if (!y->n) return GS_OK;
  sums(k, 2, 3, 5, gs_kernel_has(k, 8) ? k->in[8].data : NULL, NULL, sum);
  uint8_t *out = y->data;
  for (int64_t c = 0; c < y->n / p->places; c++) {
    int64_t m = c % p->channels;
    float scale = xs[0] * ws[k->in[4].n == 1 ? 0 : m] / ys[0];
    int64_t end = (c + 1) * p->places, some;
    for (int64_t i = c * p->places; i < end; i += some) {
      uint8_t *to = out + gs_part_place(y, i);
      some = gs_part_run(y, i, end - i);
      for (int64_t q = 0; q < some; q++) {
        float v = rintf((float)sum[i + q] * scale) + zero;
        v = v < low ? low : v > high ? high : v;
        to[q] = (uint8_t)(int32_t)v;
      }
    }
  }
  return GS_OK;
}

const gs_kernel gs_kernel_qlinear_conv = {qlinear_prep, qlinear_run};
