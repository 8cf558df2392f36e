/* Col2Im, and ConvTranspose as a matrix product before it. */
#include "kernel/conv/col2im.h"

#include "base/assert.h"
#include "kernel/core/coord.h"
#include "kernel/conv/conv.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/layout.h"
#include "kernel/core/par.h"

/* ---- adding up ---- */

/* Places i of n whose element i * step + at lies in [0, size): [lo, hi). */
static void inside(int64_t n, int64_t step, int64_t at, int64_t size,
                   int64_t *lo, int64_t *hi) {
  *lo = at < 0 ? gs_min(n, (-at + step - 1) / step) : 0;
  gs_assert(step >= 1);
  *hi = at >= size ? 0 : gs_min(n, (size - at + step - 1) / step);
  if (*hi < *lo) *hi = *lo;
}

#define ADD_ROW(name, T)                                                       \
  static void name(void *to, const void *from, int64_t n, int64_t step) {      \
    T *y = to;                                                                 \
    const T *x = from;                                                         \
    if (step == 1)                                                             \
      for (int64_t i = 0; i < n; i++) y[i] = (T)(y[i] + x[i]);                 \
    else                                                                       \
      for (int64_t i = 0; i < n; i++) y[i * step] = (T)(y[i * step] + x[i]);   \
  }
ADD_ROW(add_f32, float)
ADD_ROW(add_f64, double)
ADD_ROW(add_u8, uint8_t)
ADD_ROW(add_u16, uint16_t)
ADD_ROW(add_u32, uint32_t)
ADD_ROW(add_u64, uint64_t)
#undef ADD_ROW

typedef void add_row(void *to, const void *from, int64_t n, int64_t step);

static add_row *adder(gs_dtype t) {
  if (t == GS_FLOAT) return add_f32;
  if (t == GS_DOUBLE) return add_f64;
  switch (gs_dtype_get((int)t)->bits) {
  case 8: return add_u8;
  case 16: return add_u16;
  case 32: return add_u32;
  default: return add_u64;
  }
}

/* A channel of an image, from element `first` of it on. */
typedef struct channel {
  const gs_view *image;
  int64_t first, size; /* bytes of an element */
} channel;

static char *place_of(const channel *c, int64_t i) {
  return (char *)c->image->data +
         gs_part_place(c->image, c->first + i) * c->size;
}

/* Window element t of one channel: col[part->n] into c. */
static void add_tap(const gs_window *w, const gs_col_part *part, int64_t t,
                    add_row *add, const char *col, const channel *c) {
  gs_assert(w->n > 0 && w->n <= GS_MAX_RANK);
  int last = w->n - 1;
  int64_t at[GS_MAX_RANK], rows = gs_dims_count(w->in, 0, last);
  for (int d = last; d >= 0; d--) {
    at[d] = t % w->size[d] * w->dilation[d] - w->begin[d];
    t /= w->size[d];
  }
  int64_t lo, hi;
  inside(w->in[last], w->stride[last], at[last], w->out[last], &lo, &hi);
  for (int64_t r = 0; r < rows && lo < hi; r++) {
    int64_t rest = r, row = 0, stride = 1, first = r * w->in[last];
    int64_t from = gs_max(lo, part->first - first);
    int64_t to = gs_min(hi, part->first + part->n - first);
    if (from >= to) continue;
    bool in = true;
    for (int d = last - 1; d >= 0 && in; d--) {
      int64_t i = rest % w->in[d] * w->stride[d] + at[d];
      rest /= w->in[d];
      in = i >= 0 && i < w->out[d];
      row += i * stride;
      stride *= w->out[d];
    }
    if (!in) continue;
    /* Runs of a part are whole rows. */
    char *y = place_of(c, row * w->out[last]);
    add(y + (from * w->stride[last] + at[last]) * c->size,
        col + (first + from - part->first) * c->size, to - from,
        w->stride[last]);
  }
}

static void clear(const channel *c, int64_t n) {
  for (int64_t i = 0, some; i < n; i += some) {
    some = gs_part_run(c->image, c->first + i, n - i);
    memset(place_of(c, i), 0, (size_t)(some * c->size));
  }
}

void gs_col2im(const gs_window *w, const gs_col_part *part, gs_dtype type,
               const void *col, const gs_view *image, int64_t first,
               int64_t lo, int64_t hi) {
  int64_t size = gs_dtype_get((int)type)->bits / 8;
  int64_t taps = gs_dims_count(w->size, 0, w->n);
  gs_col_part all = {0, gs_dims_count(w->in, 0, w->n)};
  if (!part) part = &all;
  int64_t out = gs_dims_count(w->out, 0, w->n);
  int64_t row = w->out[w->n - 1];
  gs_assert(!image->pitch || !row || image->run % row == 0);
  add_row *add = adder(type);
  for (int64_t i = lo; i < hi; i++) {
    channel c = {image, (first + i) * out, size};
    clear(&c, out);
    for (int64_t t = 0; t < taps; t++)
      add_tap(w, part, t, add,
              (const char *)col + (i * taps + t) * part->n * size, &c);
  }
}

/* ---- Col2Im ---- */

typedef struct plan {
  gs_dtype type;  /* of the computation */
  size_t wide[2]; /* bytes of widened operand and result */
} plan;

typedef struct job {
  const gs_window *w;
  const gs_col_part *part; /* NULL: all places */
  gs_dtype type;
  const void *col;
  const gs_view *image;
  int64_t first; /* channel of the image */
} job;

static gs_status col2im_prep(gs_kctx *k) {
  plan *p = GS_NEW(k->arena, plan);
  gs_dtype t = k->in[0].dtype;
  k->state = p;
  bool known = gs_dtype_half(t) || t == GS_FLOAT || t == GS_DOUBLE ||
               (gs_dtype_whole(t) && t != GS_BOOL);
  if (!known) return gs_kernel_no_type(k, t);
  p->type = gs_dtype_half(t) ? GS_FLOAT : t;
  for (int i = 0; i < 2 && gs_dtype_half(t); i++) {
    int64_t n = i ? k->out[0].n : k->in[0].n;
    p->wide[i] = ((size_t)n * 4 + 63) / 64 * 64;
    k->scratch_size += p->wide[i];
  }
  return GS_OK;
}

/* The windows of the image y, whose sizes (operand 2) may be known at run time
 * only. */
static gs_status col2im_window(gs_kctx *k, gs_arena *a, const gs_kextent *y,
                               gs_window *w, int64_t *all) {
  int64_t pads[2 * GS_MAX_RANK], block[GS_MAX_RANK], places = 1;
  int n;
  GS_TRY(gs_kernel_ints(k, 2, block, GS_MAX_RANK, &n));
  w->n = y->rank - 2;
  if (n != w->n || n < 1)
    return gs_kernel_fail(k, GS_DATA, "block_shape has %d numbers", n);
  GS_TRY(gs_window_list(a, k->node, "strides", n, 1, 1, w->stride, k->err));
  GS_TRY(gs_window_list(a, k->node, "dilations", n, 1, 1, w->dilation,
                        k->err));
  GS_TRY(gs_window_list(a, k->node, "pads", 2 * n, 0, 0, pads, k->err));
  int64_t rows = y->dims[1];
  for (int d = 0; d < n; d++) {
    w->out[d] = y->dims[d + 2];
    w->size[d] = block[d];
    w->begin[d] = pads[d];
    int64_t room = w->out[d] + pads[d] + pads[n + d];
    bool ok = block[d] >= 1 && block[d] <= INT32_MAX;
    if (!ok || (room -= gs_window_span(w, d)) < 0)
      return gs_kernel_fail(k, GS_DATA, "block_shape[%d] is %lld", d,
                            (long long)block[d]);
    w->in[d] = room / w->stride[d] + 1;
    if (!gs_mul(places, w->in[d], &places) || !gs_mul(rows, block[d], &rows))
      places = -1;
  }
  *all = rows == k->in[0].dims[1] ? places : -1;
  return GS_OK;
}

/* The image and the places that this device has. */
static gs_status col2im_place(gs_kctx *k, gs_arena *a, gs_window *w,
                              gs_col_part *part) {
  gs_kextent x, y;
  int64_t places = -1;
  GS_TRY(gs_kctx_operand(k, 0, &x));
  GS_TRY(gs_kctx_result(k, 0, &y));
  y.dims[1] = k->out[0].dims[1]; /* channels may be split */
  GS_TRY(col2im_window(k, a, &y, w, &places));
  if (places != x.dims[2])
    return gs_kernel_fail(k, GS_DATA, "the blocks do not fit the operand");
  *part = (gs_col_part){x.first[2], k->in[0].dims[2]};
  for (int d = 0; d < w->n; d++) {
    w->begin[d] += y.first[d + 2];
    w->out[d] = k->out[0].dims[d + 2];
  }
  return GS_OK;
}

static void add_channels(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  gs_col2im(j->w, j->part, j->type, j->col, j->image, j->first, lo, hi);
}

static gs_status col2im_run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  gs_window w;
  gs_col_part part;
  gs_arena a; /* of messages */
  if (!y->n) return GS_OK;
  gs_arena_init(&a);
  gs_status s = col2im_place(k, &a, &w, &part);
  gs_arena_free(&a);
  GS_TRY(s);
  job j = {.w = &w, .part = &part, .type = p->type, .col = x->data,
           .image = y};
  int64_t each = gs_dims_count(w.out, 0, w.n);
  bool half = gs_dtype_half(x->dtype);
  gs_view wide = {0};
  if (half) {
    gs_half_widen(x->dtype, x->n, x->data, k->scratch, k->threads);
    wide.data = (char *)k->scratch + p->wide[0];
    j.col = k->scratch;
    j.image = &wide;
  }
  gs_parallel(k->threads, y->n / each, x->n / (y->n / each), add_channels, &j);
  if (half) gs_half_narrow_to(y, wide.data, k->threads);
  return GS_OK;
}

const gs_kernel gs_kernel_col2im = {col2im_prep, col2im_run};

/* ---- ConvTranspose ---- */

typedef struct transposed {
  gs_conv_shape s;
  gs_dtype type;
  gs_gemm g;      /* of one image and group */
  size_t wide[4]; /* widened operands and result */
  size_t col;
} transposed;

static gs_status transposed_prep(gs_kctx *k) {
  transposed *p = GS_NEW(k->arena, transposed);
  gs_dtype t = k->in[0].dtype;
  bool half = gs_dtype_half(t);
  k->state = p;
  if (!half && t != GS_FLOAT && t != GS_DOUBLE) return gs_kernel_no_type(k, t);
  GS_TRY(gs_conv_shape_get(k, 0, 1, true, &p->s));
  p->type = half ? GS_FLOAT : t;
  /* col[out * taps, places] = w[in, out * taps] transposed, times
   * x[in, places] */
  int64_t taps = gs_conv_taps(&p->s), places = gs_conv_places_in(&p->s);
  p->g = (gs_gemm){.dtype = p->type, .m = p->s.out * taps, .n = places,
                   .k = p->s.in, .ta = true, .lda = gs_max(1, p->s.out * taps),
                   .ldb = gs_max(1, places), .batch = 1};
  int64_t size = t == GS_DOUBLE ? 8 : 4, n;
  if (!gs_mul(p->s.out * taps, places, &n) || !gs_mul(n, size, &n))
    gs_out_of_memory(SIZE_MAX);
  p->col = ((size_t)n + 63) / 64 * 64;
  k->scratch_size = p->col;
  for (int i = 0; i < 4 && half; i++) {
    if (i == 2 && !gs_kernel_has(k, 2)) continue;
    n = i == 3 ? k->out[0].n : k->in[i].n;
    p->wide[i] = ((size_t)n * 4 + 63) / 64 * 64;
    k->scratch_size += p->wide[i];
  }
  return GS_OK;
}

typedef struct bias_job {
  const transposed *p;
  const void *bias;
  const gs_view *y;
} bias_job;

/* Element c of the bias to n elements that lie in a row. */
static void add_to_run(const bias_job *j, int64_t c, void *y, int64_t n) {
  if (j->p->type == GS_FLOAT) {
    float *f = y, b = ((const float *)j->bias)[c];
    for (int64_t i = 0; i < n; i++) f[i] += b;
  } else {
    double *d = y, b = ((const double *)j->bias)[c];
    for (int64_t i = 0; i < n; i++) d[i] += b;
  }
}

/* Channels [lo, hi) of all images. */
static void add_bias(void *ctx, int64_t lo, int64_t hi) {
  const bias_job *j = ctx;
  int64_t n = gs_conv_places_out(&j->p->s);
  int64_t channels = j->p->s.group * j->p->s.out;
  int64_t size = j->p->type == GS_DOUBLE ? 8 : 4;
  for (int64_t c = lo; c < hi; c++) {
    channel to = {j->y, c * n, size};
    for (int64_t i = 0, some; i < n; i += some) {
      some = gs_part_run(j->y, c * n + i, n - i);
      add_to_run(j, c % channels, place_of(&to, i), some);
    }
  }
}

/* Image and group b of the result. */
static bool one_group(gs_kctx *k, const transposed *p, int64_t b,
                      const char *x, const char *w, void *col,
                      const gs_view *y) {
  const gs_conv_shape *s = &p->s;
  int64_t size = p->type == GS_DOUBLE ? 8 : 4, group = b % s->group;
  int64_t places = gs_conv_places_in(s);
  if (!gs_gemm_run(&p->g, w + group * s->in * p->g.m * size,
                   x + b * s->in * places * size, col, k->threads))
    return false;
  job j = {.w = &s->w, .type = p->type, .col = col, .image = y,
           .first = b * s->out};
  gs_parallel(k->threads, s->out, gs_conv_taps(s) * places, add_channels, &j);
  return true;
}

static gs_status transposed_run(gs_kctx *k) {
  const transposed *p = k->state;
  const gs_view *y = &k->out[0];
  const void *in[3] = {k->in[0].data, k->in[1].data,
                       gs_kernel_has(k, 2) ? k->in[2].data : NULL};
  gs_view wide = {0};
  const gs_view *out = p->wide[3] ? &wide : y;
  char *scratch = k->scratch;
  if (!y->n) return GS_OK;
  for (int i = 0; i < 4; i++) {
    if (!p->wide[i]) continue;
    if (i == 3)
      wide.data = scratch;
    else {
      gs_half_widen(k->in[i].dtype, k->in[i].n, in[i], (float *)scratch,
                    k->threads);
      in[i] = scratch;
    }
    scratch += p->wide[i];
  }
  for (int64_t b = 0; b < p->s.batch * p->s.group; b++)
    if (!one_group(k, p, b, in[0], in[1], scratch, out))
      return gs_kernel_fail(k, GS_INTERNAL, "oneDNN cannot compute the "
                            "product");
  bias_job j = {p, in[2], out};
  int64_t each = gs_conv_places_out(&p->s);
  if (j.bias) gs_parallel(k->threads, y->n / each, each, add_bias, &j);
  if (p->wide[3]) gs_half_narrow_to(y, wide.data, k->threads);
  return GS_OK;
}

const gs_kernel gs_kernel_conv_transpose = {transposed_prep, transposed_run};
