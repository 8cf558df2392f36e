/* RoiAlign, MaxRoiPool and DeformConv: images read where regions or offsets
 * say.  16-bit floats are computed in f32. */
#include <math.h>
#include <string.h>

#include "kernel/conv/conv.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/par.h"

enum { MAX_POINTS = 1 << 24 }; /* that RoiAlign may look at for an element */

typedef struct align_plan {
  gs_dtype type; /* of the computation */
  int64_t channels, h, w, oh, ow, ratio;
  double scale;
  bool half_pixel, max;
  size_t wide[3]; /* widened image, regions, result */
} align_plan;

typedef struct align_job {
  const align_plan *p;
  const void *x, *rois;
  const int64_t *batch;
  void *y;
  _Atomic int64_t bad; /* a region that is too large, or -1 */
} align_job;

typedef struct deform_job {
  const gs_conv_shape *s;
  int64_t offset_group, image;
  const void *x, *offset, *mask;
  void *col;
} deform_job;

#define T float
#define FN(name) name##_f32
#define ceil_f32 ceilf
#define floor_f32 floorf
#define round_f32 roundf
#include "kernel/image/sample.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#define ceil_f64 ceil
#define floor_f64 floor
#define round_f64 round
#include "kernel/image/sample.inc"
#undef T
#undef FN

static bool float_type(gs_dtype t) {
  return gs_dtype_half(t) || t == GS_FLOAT || t == GS_DOUBLE;
}

static size_t rounded(int64_t n, int64_t size) {
  return ((size_t)n * (size_t)size + 63) / 64 * 64;
}

/* Operand i in f32: itself, or widened into *scratch, which advances by the
 * bytes in `wide`. */
static const void *widened(const gs_kctx *k, int i, size_t wide,
                           char **scratch) {
  if (!gs_kernel_has(k, i)) return NULL;
  if (!wide) return k->in[i].data;
  void *to = *scratch;
  gs_half_widen(k->in[i].dtype, k->in[i].n, k->in[i].data, to, k->threads);
  *scratch += wide;
  return to;
}

/* ---- regions ---- */

static gs_status roi_prep(gs_kctx *k) {
  align_plan *p = GS_NEW(k->arena, align_plan);
  const gs_view *x = &k->in[0], *y = &k->out[0];
  k->state = p;
  if (!float_type(x->dtype)) return gs_kernel_no_type(k, x->dtype);
  p->type = x->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  p->channels = x->dims[1];
  p->h = x->dims[2];
  p->w = x->dims[3];
  p->oh = y->dims[2];
  p->ow = y->dims[3];
  p->ratio = gs_node_int(k->node, "sampling_ratio", 0);
  p->scale = gs_node_float(k->node, "spatial_scale", 1);
  p->half_pixel = !strcmp(gs_node_string(k->node,
                                         "coordinate_transformation_mode",
                                         "half_pixel"), "half_pixel");
  p->max = !strcmp(gs_node_string(k->node, "mode", "avg"), "max");
  if (p->ratio < 0 || p->ratio > MAX_POINTS)
    return gs_kernel_fail(k, GS_DATA, "attribute 'sampling_ratio' is %lld",
                          (long long)p->ratio);
  if ((!p->h || !p->w) && y->n)
    return gs_kernel_fail(k, GS_DATA, "regions of an image without elements");
  for (int i = 0; i < 3 && gs_dtype_half(x->dtype); i++) {
    p->wide[i] = rounded(i == 2 ? y->n : k->in[i].n, 4);
    k->scratch_size += p->wide[i];
  }
  k->scratch_size += rounded(y->dims[0], 8);
  return GS_OK;
}

static gs_status check_batch(gs_kctx *k, int64_t r, double b) {
  int64_t n = k->in[0].dims[0];
  if (b >= 0 && b < (double)n) return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "region %lld is of image %g of %lld",
                        (long long)r, b, (long long)n);
}

/* The images of MaxRoiPool's regions stand before them. */
static gs_status first_column(gs_kctx *k, const align_job *j, int64_t *to) {
  for (int64_t r = 0; r < k->out[0].dims[0]; r++) {
    double b = j->p->type == GS_FLOAT ? (double)((const float *)j->rois)[r * 5]
                                      : ((const double *)j->rois)[r * 5];
    GS_TRY(check_batch(k, r, b));
    to[r] = (int64_t)b;
  }
  return GS_OK;
}

static gs_status roi_run(gs_kctx *k, bool align) {
  const align_plan *p = k->state;
  const gs_view *y = &k->out[0];
  char *scratch = k->scratch;
  align_job j = {.p = p, .y = y->data, .bad = -1};
  if (!y->n) return GS_OK;
  j.x = widened(k, 0, p->wide[0], &scratch);
  j.rois = widened(k, 1, p->wide[1], &scratch);
  if (p->wide[2]) j.y = scratch;
  int64_t *batch = (int64_t *)(scratch + p->wide[2]);
  if (!align) GS_TRY(first_column(k, &j, batch));
  j.batch = align ? k->in[2].data : batch;
  for (int64_t r = 0; r < y->dims[0] && align; r++)
    GS_TRY(check_batch(k, r, (double)j.batch[r]));
  bool narrow = p->type == GS_FLOAT;
  int64_t each = p->channels * p->oh * p->ow;
  if (align)
    gs_parallel(k->threads, y->dims[0], each * 16,
                narrow ? align_rois_f32 : align_rois_f64, &j);
  else
    gs_parallel(k->threads, y->dims[0] * p->channels, p->h * p->w,
                narrow ? pool_rois_f32 : pool_rois_f64, &j);
  if (j.bad >= 0)
    return gs_kernel_fail(k, GS_DATA, "region %lld is too large",
                          (long long)j.bad);
  if (p->wide[2]) gs_half_narrow(y->dtype, y->n, j.y, y->data, k->threads);
  return GS_OK;
}

static gs_status align_run(gs_kctx *k) { return roi_run(k, true); }
static gs_status pool_run(gs_kctx *k) { return roi_run(k, false); }

const gs_kernel gs_kernel_roi_align = {roi_prep, align_run};
const gs_kernel gs_kernel_max_roi_pool = {roi_prep, pool_run};

/* ---- DeformConv ---- */

typedef struct deform_plan {
  gs_conv_shape s;
  gs_dtype type;
  int64_t offset_group;
  gs_gemm g;      /* of one image and group */
  size_t wide[6]; /* widened operands and result */
  size_t col;
} deform_plan;

static gs_status deform_prep(gs_kctx *k) {
  deform_plan *p = GS_NEW(k->arena, deform_plan);
  gs_dtype t = k->in[0].dtype;
  int64_t n;
  k->state = p;
  if (!float_type(t)) return gs_kernel_no_type(k, t);
  GS_TRY(gs_conv_shape_get(k, 0, 1, false, &p->s));
  p->type = t == GS_DOUBLE ? t : GS_FLOAT;
  p->offset_group = gs_node_int(k->node, "offset_group", 1);
  if (p->s.w.n != 2 || p->offset_group < 1 ||
      p->s.group * p->s.in % p->offset_group)
    return gs_kernel_fail(k, GS_DATA, "offsets do not fit the operand");
  int64_t inner = p->s.in * gs_conv_taps(&p->s);
  int64_t places = gs_conv_places_out(&p->s);
  /* y[out, places] = w[out, in * taps] col[in * taps, places] */
  p->g = (gs_gemm){.dtype = p->type, .m = p->s.out, .n = places, .k = inner,
                   .lda = gs_max(1, inner), .ldb = gs_max(1, places),
                   .batch = 1};
  if (!gs_mul(p->s.group * inner, places, &n) || n > INT64_MAX / 16)
    gs_out_of_memory(SIZE_MAX);
  p->col = rounded(n, p->type == GS_DOUBLE ? 8 : 4);
  k->scratch_size = p->col;
  for (int i = 0; i < 6 && gs_dtype_half(t); i++) {
    if (i < 5 && !gs_kernel_has(k, i)) continue;
    p->wide[i] = rounded(i == 5 ? k->out[0].n : k->in[i].n, 4);
    k->scratch_size += p->wide[i];
  }
  return GS_OK;
}

static void add_bias(const deform_plan *p, const void *bias, void *y) {
  int64_t places = gs_conv_places_out(&p->s);
  int64_t channels = p->s.group * p->s.out;
  float *f = y;
  double *d = y;
  for (int64_t c = 0; c < p->s.batch * channels; c++)
    for (int64_t i = c * places; i < (c + 1) * places; i++) {
      if (p->type == GS_FLOAT) f[i] += ((const float *)bias)[c % channels];
      else d[i] += ((const double *)bias)[c % channels];
    }
}

static gs_status deform_run(gs_kctx *k) {
  const deform_plan *p = k->state;
  const gs_conv_shape *s = &p->s;
  const gs_view *y = &k->out[0];
  char *scratch = k->scratch, *out = y->data;
  const void *in[5];
  if (!y->n) return GS_OK;
  for (int i = 0; i < 5; i++) in[i] = widened(k, i, p->wide[i], &scratch);
  if (p->wide[5]) {
    out = scratch;
    scratch += p->wide[5];
  }
  deform_job j = {.s = s, .offset_group = p->offset_group, .x = in[0],
                  .offset = in[2], .mask = in[4], .col = scratch};
  int64_t size = p->type == GS_DOUBLE ? 8 : 4, places = p->g.n;
  for (j.image = 0; j.image < s->batch; j.image++) {
    gs_parallel(k->threads, s->group * s->in, gs_conv_taps(s) * places * 8,
                p->type == GS_FLOAT ? deform_f32 : deform_f64, &j);
    for (int64_t g = 0; g < s->group; g++)
      if (!gs_gemm_run(&p->g, (const char *)in[1] + g * s->out * p->g.k * size,
                       scratch + g * p->g.k * places * size,
                       out + (j.image * s->group + g) * s->out * places * size,
                       k->threads))
        return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the "
                              "product");
  }
  if (in[3]) add_bias(p, in[3], out);
  if (p->wide[5])
    gs_half_narrow(y->dtype, y->n, (const float *)out, y->data, k->threads);
  return GS_OK;
}

const gs_kernel gs_kernel_deform_conv = {deform_prep, deform_run};
