/* AveragePool, MaxPool, LpPool: one row of the result at a time, all elements
 * of the window in turn.  f16 and bf16 are computed in f32.  Where channels lie
 * in blocks, an element is all of a block. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "kernel/core/layout.h"
#include "kernel/gemm/gemm.h"
#include "base/isa.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"
#include "kernel/conv/window_part.h"

#define GS_STAMP "kernel/conv/pool.inc"
#include "kernel/core/stamp.h"

typedef enum kind { AVERAGE, MAXIMUM, NORM } pool_kind;

typedef void join_row(void *y, const void *x, int64_t n, int64_t step);
typedef void share_row(float *restrict y, const float *restrict count,
                       float outer, int64_t n);

typedef struct plan {
  gs_window w;     /* this and what follows: gs_window_part */
  gs_kextent x, y;
  int64_t low[GS_MAX_RANK], high[GS_MAX_RANK];
  pool_kind kind;
  gs_dtype type; /* of the computation */
  int64_t lanes; /* channels of an element */
  int64_t size;  /* bytes of it */
  int64_t p;     /* of NORM */
  bool columns;  /* indices count column-major */
  join_row *join; /* NULL: powers */
  share_row *share;
  join_row *three; /* three elements of a row at once; NULL: one by one */
  int64_t from, to; /* windows that have all three inside */
  float *count[GS_MAX_RANK]; /* AVERAGE: elements of each window, by dim */
  /* Windows [lo, hi) of a row whose element e of the last dim is inside. */
  int64_t *lo, *hi;
  int64_t channels;
  int64_t plane;         /* elements of a channel of the whole operand */
  int64_t in, rows;      /* elements of a channel; rows of its result */
  size_t wide[2];        /* widened operand and result */
  size_t blocks;         /* the result in blocks, when it is wanted without */
} plan;

typedef struct job {
  const plan *p;
  const char *x;
  char *y;
  const gs_view *part; /* where y is to lie, or NULL: as it comes */
  int64_t *index; /* or NULL */
} job;

/* ---- the plan ---- */

static join_row *joiner(pool_kind kind, gs_dtype t, int64_t p,
                        int64_t lanes) {
  if (lanes == 8) return kind == MAXIMUM ? GS_PICK(max_8) : GS_PICK(add_8);
  if (lanes == 16) return kind == MAXIMUM ? GS_PICK(max_16) : GS_PICK(add_16);
  if (kind == MAXIMUM)
    return t == GS_FLOAT    ? GS_PICK(max_f32)
           : t == GS_DOUBLE ? GS_PICK(max_f64)
           : t == GS_INT8   ? GS_PICK(max_i8)
                            : GS_PICK(max_u8);
  if (kind == AVERAGE)
    return t == GS_FLOAT ? GS_PICK(add_f32) : GS_PICK(add_f64);
  if (p != 2) return NULL;
  return t == GS_FLOAT ? GS_PICK(square_f32) : GS_PICK(square_f64);
}

/* Elements of each window along d that count: those of the operand, and of
 * its padding when `padding`. */
static float *counts(gs_arena *a, const gs_window *whole, const plan *p, int d,
                     bool padding) {
  const gs_window *w = &p->w;
  float *n = GS_NEWS(a, w->out[d], float);
  int64_t low = padding ? -whole->begin[d] : 0;
  int64_t high = whole->in[d] + (padding ? whole->end[d] : 0);
  for (int64_t o = 0; o < w->out[d]; o++)
    for (int64_t i = 0; i < w->size[d]; i++) {
      int64_t at = (p->y.first[d + 2] + o) * w->stride[d] - whole->begin[d] +
                   i * w->dilation[d];
      if (at >= low && at < high) n[o]++;
    }
  return n;
}

/* Windows o along d whose element at `at` from their start lies in the
 * operand. */
static void inside(const plan *p, int d, int64_t at, int64_t *lo,
                   int64_t *hi) {
  const gs_window *w = &p->w;
  gs_assert(d >= 0 && d < w->n && w->stride[d] >= 1);
  int64_t s = w->stride[d], from = w->begin[d] - at;
  int64_t low = from + p->low[d], high = from + p->high[d];
  *lo = low <= 0 ? 0 : (low + s - 1) / s;
  *hi = high <= 0 ? 0 : gs_min(w->out[d], (high + s - 1) / s);
}

/* Sums of rows of three elements, the common case, read the result once.  The
 * order of the sum is that of one by one. */
static void plan_three(plan *p) {
  int last = p->w.n - 1;
  if (p->kind != AVERAGE || p->lanes > 1 || p->w.size[last] != 3 ||
      p->w.stride[last] != 1)
    return;
  p->three = p->type == GS_FLOAT ? GS_PICK(add3_f32) : GS_PICK(add3_f64);
  p->to = p->w.out[last];
  for (int e = 0; e < 3; e++) {
    p->from = gs_max(p->from, p->lo[e]);
    p->to = gs_min(p->to, p->hi[e]);
  }
  if (p->from >= p->to) p->three = NULL;
}

static bool has_indices(const gs_kctx *k) {
  return k->nout > 1 && k->out[1].rank >= 0;
}

/* They are those of the elements of the result. */
static gs_status check_indices(gs_kctx *k, const gs_kextent *y) {
  gs_kextent index;
  if (!has_indices(k)) return GS_OK;
  GS_TRY(gs_kctx_result(k, 1, &index));
  for (int d = 0; d < y->rank; d++)
    if (!gs_kctx_alike(y, d, k->out[0].dims, &index, d, k->out[1].dims))
      return gs_kernel_fail(k, GS_DATA, "the indices are not those of the "
                            "elements of the result along dim %d", d);
  return GS_OK;
}

/* The windows of the whole as those of this device. */
static gs_status place(gs_kctx *k, plan *p, gs_window *whole) {
  gs_window_part part;
  GS_TRY(gs_window_part_get(k, NULL, &part));
  const gs_view *x = &k->in[0], *y = &k->out[0];
  if (!gs_kctx_alike(&part.x, 1, x->dims, &part.y, 1, y->dims))
    return gs_kernel_fail(k, GS_DATA, "the result is not of the channels that "
                          "the operand is of");
  GS_TRY(check_indices(k, &part.y));
  *whole = part.whole;
  p->w = part.w;
  p->x = part.x;
  p->y = part.y;
  memcpy(p->low, part.low, sizeof p->low);
  memcpy(p->high, part.high, sizeof p->high);
  return GS_OK;
}

static gs_status prep(gs_kctx *k, pool_kind kind) {
  plan *p = GS_NEW(k->arena, plan);
  gs_dtype t = k->in[0].dtype;
  bool half = gs_dtype_half(t);
  bool byte = kind == MAXIMUM && (t == GS_INT8 || t == GS_UINT8);
  k->state = p;
  if (!half && !byte && t != GS_FLOAT && t != GS_DOUBLE)
    return gs_kernel_no_type(k, t);
  gs_window whole;
  GS_TRY(place(k, p, &whole));
  p->kind = kind;
  p->type = half ? GS_FLOAT : t;
  p->lanes = k->in[0].block ? k->in[0].block : 1;
  p->size = gs_dtype_get((int)p->type)->bits / 8 * p->lanes;
  p->p = gs_node_int(k->node, "p", 2);
  if (kind == NORM && p->p < 1)
    return gs_kernel_fail(k, GS_DATA, "attribute 'p' is %lld",
                          (long long)p->p);
  p->columns = gs_node_int(k->node, "storage_order", 0) != 0;
  p->join = joiner(kind, p->type, p->p, p->lanes);
  p->share = p->lanes == 1   ? GS_PICK(share_f32)
             : p->lanes == 8 ? GS_PICK(share_8)
                             : GS_PICK(share_16);
  bool padding = gs_node_int(k->node, "count_include_pad", 0) != 0;
  gs_assert(p->w.n > 0 && p->w.n <= GS_MAX_RANK);
  p->in = gs_dims_count(p->w.in, 0, p->w.n);
  p->channels = gs_max(1, k->in[0].dims[1]);
  p->plane = gs_dims_count(whole.in, 0, p->w.n);
  p->rows = gs_dims_count(p->w.out, 0, p->w.n - 1);
  int last = p->w.n - 1;
  p->lo = GS_NEWS(k->arena, p->w.size[last], int64_t);
  p->hi = GS_NEWS(k->arena, p->w.size[last], int64_t);
  for (int64_t e = 0; e < p->w.size[last]; e++)
    inside(p, last, e * p->w.dilation[last], &p->lo[e], &p->hi[e]);
  plan_three(p);
  for (int d = 0; d < p->w.n && kind == AVERAGE; d++)
    p->count[d] = counts(k->arena, &whole, p, d, padding);
  for (int i = 0; i < 2 && half; i++) {
    int64_t n = i ? k->out[0].n : k->in[0].n;
    p->wide[i] = ((size_t)n * 4 + 63) / 64 * 64;
    k->scratch_size += p->wide[i];
  }
  if (p->lanes > 1 && k->out[0].any == p->lanes)
    k->out[0].block = (int)p->lanes;
  else if (p->lanes > 1) k->scratch_size = p->blocks = (size_t)k->out[0].n * 4;
  return GS_OK;
}

/* ---- a row ---- */

static void first(const plan *p, char *y, int64_t n) {
  double *d = (double *)y;
  bool max = p->kind == MAXIMUM;
  if (!max)
    memset(y, 0, (size_t)(n * p->size));
  else if (p->type == GS_FLOAT)
    GS_PICK(lowest_f32)((float *)y, n * p->lanes);
  else if (p->type == GS_DOUBLE)
    for (int64_t i = 0; i < n; i++) d[i] = (double)-INFINITY;
  else
    memset(y, p->type == GS_INT8 ? 0x80 : 0, (size_t)n);
}

static void powers(const plan *p, char *y, const char *x, int64_t n,
                   int64_t step) {
  for (int64_t i = 0; i < n; i++) {
    if (p->type == GS_FLOAT) {
      float v = fabsf(((const float *)x)[i * step]);
      ((float *)y)[i] += p->p == 1 ? v : powf(v, (float)p->p);
    } else {
      double v = fabs(((const double *)x)[i * step]);
      ((double *)y)[i] += p->p == 1 ? v : pow(v, (double)p->p);
    }
  }
}

/* y[i] /= outer * count[i], for `lanes` channels at a time. */
static void divide(const plan *p, void *y, float outer, int64_t n) {
  const float *count = p->count[p->w.n - 1];
  gs_assert(count);
  float *f = y;
  double *d = y;
  if (p->type == GS_DOUBLE)
    for (int64_t i = 0; i < n; i++) d[i] /= (double)(outer * count[i]);
  else
    p->share(f, count, outer, n);
}

static void root(const plan *p, void *y, int64_t n) {
  float *f = y;
  double *d = y;
  for (int64_t i = 0; i < n; i++) {
    if (p->type == GS_FLOAT)
      f[i] = p->p == 2 ? sqrtf(f[i]) : powf(f[i], 1 / (float)p->p);
    else
      d[i] = p->p == 2 ? sqrt(d[i]) : pow(d[i], 1 / (double)p->p);
  }
}

/* Element e of the windows [lo, hi) of a row; x: the row of the operand. */
static void join(const plan *p, char *y, const char *x, int64_t e, int64_t lo,
                 int64_t hi) {
  const gs_window *w = &p->w;
  int last = w->n - 1;
  if (lo >= hi) return;
  const char *from = x + (lo * w->stride[last] + e * w->dilation[last] -
                          w->begin[last]) * p->size;
  if (p->join) p->join(y + lo * p->size, from, hi - lo, w->stride[last]);
  else powers(p, y + lo * p->size, from, hi - lo, w->stride[last]);
}

/* The windows [lo, hi) of a row of sums, some of whose three elements may be
 * outside. */
static void ends(const plan *p, void *y, const void *x, int64_t lo,
                 int64_t hi) {
  int last = p->w.n - 1;
  for (int64_t o = lo; o < hi; o++)
    for (int e = 0; e < 3; e++) {
      int64_t at = o + e * p->w.dilation[last] - p->w.begin[last];
      if (o < p->lo[e] || o >= p->hi[e]) continue;
      if (p->type == GS_FLOAT) ((float *)y)[o] += ((const float *)x)[at];
      else ((double *)y)[o] += ((const double *)x)[at];
    }
}

/* All elements of the windows of a row. */
static void join_all(const plan *p, char *y, const char *x) {
  int last = p->w.n - 1;
  int64_t size = p->w.size[last];
  if (!p->three) {
    for (int64_t e = 0; e < size; e++) join(p, y, x, e, p->lo[e], p->hi[e]);
    return;
  }
  p->three(y + p->from * p->size, x + (p->from - p->w.begin[last]) * p->size,
           p->to - p->from, p->w.dilation[last]);
  ends(p, y, x, 0, p->from);
  ends(p, y, x, p->to, p->w.out[last]);
}

/* Row r of a channel's result. */
static void row(const plan *p, const char *x, int64_t r, char *y) {
  const gs_window *w = &p->w;
  int last = w->n - 1;
  int64_t start[GS_MAX_RANK], n = w->out[last];
  float outer = 1;
  int64_t taps = gs_dims_count(w->size, 0, last), rest = r;
  int64_t tap[GS_MAX_RANK];
  for (int d = last - 1; d >= 0; d--) {
    int64_t o = rest % w->out[d];
    start[d] = o * w->stride[d] - w->begin[d];
    rest /= w->out[d];
    tap[d] = 0;
    if (p->kind == AVERAGE) outer *= p->count[d][o];
  }
  first(p, y, n);
  for (int64_t t = 0; t < taps; t++) {
    int64_t at = 0, stride = 1;
    bool in = true;
    for (int d = last - 1; d >= 0; d--) {
      int64_t i = start[d] + tap[d] * w->dilation[d];
      in = in && i >= p->low[d] && i < p->high[d];
      at += i * stride;
      stride *= w->in[d];
    }
    for (int d = last - 1; d >= 0 && ++tap[d] == w->size[d]; d--) tap[d] = 0;
    if (in) join_all(p, y, x + at * w->in[last] * p->size);
  }
  if (p->kind == AVERAGE) divide(p, y, outer, n);
  else if (p->kind == NORM && p->p != 1) root(p, y, n);
}

/* ---- indices ---- */

static double element(const plan *p, const char *x, int64_t i) {
  switch (p->type) {
  case GS_FLOAT: return ((const float *)x)[i];
  case GS_DOUBLE: return ((const double *)x)[i];
  case GS_INT8: return ((const int8_t *)x)[i];
  default: return ((const uint8_t *)x)[i];
  }
}

/* The index of an element of the whole channel as ONNX wants it. */
static int64_t index_of(const plan *p, const int64_t *place) {
  int64_t index = 0;
  for (int i = 0; i < p->w.n; i++) {
    int d = p->columns ? p->w.n - 1 - i : i;
    index = index * p->x.dims[d + 2] + place[d] + p->x.first[d + 2];
  }
  return index;
}

/* The place of the first largest element of window o in channel x, as the
 * index that ONNX wants, less that of the channel. */
static int64_t largest(const plan *p, const char *x, int64_t o) {
  const gs_window *w = &p->w;
  int64_t start[GS_MAX_RANK], taps = gs_dims_count(w->size, 0, w->n);
  int64_t best = -1;
  double max = 0;
  for (int d = w->n - 1; d >= 0; d--) {
    start[d] = o % w->out[d] * w->stride[d] - w->begin[d];
    o /= w->out[d];
  }
  for (int64_t t = 0; t < taps; t++) {
    int64_t rest = t, at = 0, stride = 1, place[GS_MAX_RANK];
    bool in = true;
    for (int d = w->n - 1; d >= 0 && in; d--) {
      place[d] = start[d] + rest % w->size[d] * w->dilation[d];
      rest /= w->size[d];
      in = place[d] >= p->low[d] && place[d] < p->high[d];
      at += place[d] * stride;
      stride *= w->in[d];
    }
    if (!in) continue;
    double v = element(p, x, at);
    if (best >= 0 && !(v > max)) continue;
    max = v;
    best = index_of(p, place);
  }
  return best < 0 ? 0 : best;
}

static void rows(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  int64_t n = p->w.out[p->w.n - 1];
  for (int64_t i = lo; i < hi; i++) {
    int64_t c = i / p->rows, r = i % p->rows;
    const char *x = j->x + c * p->in * p->size;
    int64_t at = j->part ? gs_part_place(j->part, i * n) : i * n;
    row(p, x, r, j->y + at * p->size);
    if (!j->index) continue;
    int64_t channels = p->channels; /* of this device */
    int64_t whole = (p->x.first[0] + c / channels) * p->x.dims[1] +
                    p->x.first[1] + c % channels;
    for (int64_t o = 0; o < n; o++)
      j->index[i * n + o] = whole * p->plane + largest(p, x, r * n + o);
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  job j = {.p = p, .x = x->data, .y = y->data,
           .index = has_indices(k) ? k->out[1].data : NULL};
  if (!y->n) return GS_OK;
  bool half = gs_dtype_half(x->dtype);
  if (half) {
    gs_half_widen(x->dtype, x->n, x->data, k->scratch, k->threads);
    j.x = k->scratch;
    j.y = (char *)k->scratch + p->wide[0];
  }
  int64_t taps = gs_dims_count(p->w.size, 0, p->w.n);
  int64_t each = p->w.out[p->w.n - 1] * p->lanes;
  if (p->blocks) j.y = k->scratch;
  if (j.y == y->data) j.part = y;
  gs_parallel(k->threads, y->n / each, taps * each, rows, &j);
  if (p->blocks)
    gs_unblock(y, (int)p->lanes, (const float *)j.y, y->data, k->threads);
  if (half) gs_half_narrow_to(y, (const float *)j.y, k->threads);
  return GS_OK;
}

#define POOL(name, KIND)                                                       \
  static gs_status prep_##name(gs_kctx *k) { return prep(k, KIND); }           \
  extern const gs_kernel gs_kernel_##name;                                     \
  const gs_kernel gs_kernel_##name = {prep_##name, run};
POOL(average_pool, AVERAGE)
POOL(max_pool, MAXIMUM)
POOL(lp_pool, NORM)
