/* Convolutions of the types and ranks that oneDNN has not: the operand is
 * copied into its padding, one image at a time, and each row of the result is
 * a sum over all taps of the window. */
#include <string.h>

#include "base/assert.h"
#include "base/isa.h"
#include "kernel/conv/conv.h"
#include "kernel/conv/window_part.h"
#include "kernel/core/layout.h"
#include "kernel/core/par.h"

enum { BLOCK = 32 }; /* elements of a row held in registers */

#define GS_STAMP "kernel/conv/conv_own.inc"
#include "kernel/core/stamp.h"

struct gs_conv_own {
  gs_conv_shape s;
  gs_dtype type;
  int64_t size;              /* bytes of an element */
  int64_t dims[GS_MAX_RANK]; /* of a padded channel */
  int64_t channel;           /* elements of it */
  int64_t *off;              /* [in * taps] places in a padded group */
  int64_t taps, rows;        /* of a group; of a channel of the result */
};

typedef struct job {
  const gs_conv_own *c;
  const gs_view *x;
  int64_t image, zero;
  const char *w, *bias;
  const gs_view *part; /* where y lies; NULL: as it comes */
  char *y, *padded;
} job;

/* ---- shapes ---- */

gs_status gs_conv_shape_get(gs_kctx *k, int x, int w, bool transposed,
                            gs_conv_shape *s) {
  const gs_value *vx = k->node->in[x], *vw = k->node->in[w];
  int64_t group = gs_node_int(k->node, "group", 1);
  if (vx->rank < 3 || vw->rank != vx->rank || group < 1 ||
      vx->dims[1] % group || vw->dims[0] % group ||
      (transposed ? vw->dims[0] != vx->dims[1]
                  : vw->dims[1] != vx->dims[1] / group))
    return gs_kernel_fail(k, GS_DATA, "the weights do not fit the operand");
  gs_assert(group >= 1);
  s->batch = vx->dims[0];
  s->group = group;
  s->in = vx->dims[1] / group;
  s->out = transposed ? vw->dims[1] : vw->dims[0] / group;
  GS_TRY((transposed ? gs_window_read_transposed : gs_window_read)(
      k->arena, k->node, vx, vw->dims + 2, &s->w, k->err));
  memset(s->low, 0, sizeof s->low);
  memcpy(s->high, s->w.in, sizeof s->high);
  return GS_OK;
}

gs_status gs_conv_shape_place(gs_kctx *k, int w, gs_conv_shape *s) {
  if (!gs_node_attr(k->node, "place"))
    return gs_conv_shape_get(k, 0, w, false, s);
  const gs_value *x = k->node->in[0], *f = k->node->in[w];
  const gs_value *y = k->node->out[0];
  gs_window_part part;
  gs_kextent taps;
  GS_TRY(gs_window_part_get(k, f->dims + 2, &part));
  GS_TRY(gs_kctx_operand(k, w, &taps));
  s->batch = x->dims[0];
  s->in = f->dims[1];
  s->group = s->in ? x->dims[1] / s->in : 1;
  s->out = s->group ? f->dims[0] / s->group : 0;
  if (y->dims[0] != s->batch || x->dims[1] != s->group * s->in ||
      f->dims[0] != s->group * s->out ||
      !gs_kctx_alike(&part.y, 1, y->dims, &taps, 0, f->dims))
    return gs_kernel_fail(k, GS_DATA, "the weights do not fit the operand");
  s->w = part.w;
  memcpy(s->low, part.low, sizeof s->low);
  memcpy(s->high, part.high, sizeof s->high);
  return GS_OK;
}

int64_t gs_conv_places_in(const gs_conv_shape *s) {
  return gs_dims_count(s->w.in, 0, s->w.n);
}

int64_t gs_conv_places_out(const gs_conv_shape *s) {
  return gs_dims_count(s->w.out, 0, s->w.n);
}

int64_t gs_conv_taps(const gs_conv_shape *s) {
  return gs_dims_count(s->w.size, 0, s->w.n);
}

/* ---- the plan ---- */

/* Place of window element t in a padded channel. */
static int64_t tap_place(const gs_conv_own *c, int64_t t) {
  gs_assert(t >= 0 && t < gs_conv_taps(&c->s));
  int64_t at = 0, stride = 1;
  for (int d = c->s.w.n - 1; d >= 0; d--) {
    at += t % c->s.w.size[d] * c->s.w.dilation[d] * stride;
    t /= c->s.w.size[d];
    stride *= c->dims[d];
  }
  return at;
}

gs_conv_own *gs_conv_own_new(gs_arena *a, const gs_conv_shape *s,
                             gs_dtype t) {
  gs_conv_own *c = GS_NEW(a, gs_conv_own);
  const gs_window *w = &s->w;
  c->s = *s;
  c->type = t;
  c->size = gs_dtype_get((int)t)->bits / 8;
  gs_assert(w->n > 0 && w->n <= GS_MAX_RANK && c->size > 0);
  c->channel = c->rows = 1;
  for (int d = 0; d < w->n; d++) {
    c->dims[d] = (w->out[d] - 1) * w->stride[d] + gs_window_span(w, d);
    if (!gs_mul(c->channel, gs_max(c->dims[d], 1), &c->channel))
      gs_out_of_memory(SIZE_MAX);
    if (d < w->n - 1) c->rows *= w->out[d];
  }
  int64_t each = gs_conv_taps(s);
  c->taps = s->in * each;
  c->off = GS_NEWS(a, c->taps, int64_t);
  for (int64_t i = 0; i < c->taps; i++)
    c->off[i] = i / each * c->channel + tap_place(c, i % each);
  return c;
}

size_t gs_conv_own_scratch(const gs_conv_own *c) {
  int64_t n = 0;
  if (!gs_mul(c->s.group * c->s.in, c->channel, &n) ||
      !gs_mul(n, c->size, &n))
    gs_out_of_memory(SIZE_MAX);
  return (size_t)n;
}

/* ---- padding ---- */

static void less_zero(const gs_conv_own *c, void *row, int64_t n,
                      int64_t zero) {
  int32_t *p = row;
  for (int64_t i = 0; c->type == GS_INT32 && i < n; i++)
    p[i] -= (int32_t)zero;
}

/* Channels [lo, hi) of the image. */
static void pad(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const gs_conv_own *c = j->c;
  const gs_window *w = &c->s.w;
  int last = w->n - 1;
  int64_t from = gs_dtype_get((int)j->x->dtype)->bits / 8;
  int64_t rows = gs_dims_count(w->in, 0, last);
  int64_t begin = gs_max(c->s.low[last], -w->begin[last]);
  int64_t n = gs_min(c->s.high[last], c->dims[last] - w->begin[last]) - begin;
  for (int64_t ch = lo; ch < hi; ch++) {
    char *to = j->padded + ch * c->channel * c->size;
    memset(to, 0, (size_t)(c->channel * c->size));
    const char *x = (const char *)j->x->data +
                    (j->image * c->s.group * c->s.in + ch) * rows *
                        w->in[last] * from;
    for (int64_t r = 0; r < rows && n > 0; r++) {
      int64_t at = w->begin[last] + begin, stride = c->dims[last], rest = r;
      bool inside = true;
      for (int d = last - 1; d >= 0; d--) {
        int64_t e = rest % w->in[d], i = e + w->begin[d];
        rest /= w->in[d];
        inside = inside && e >= c->s.low[d] && e < c->s.high[d] && i >= 0 &&
                 i < c->dims[d];
        at += i * stride;
        stride *= c->dims[d];
      }
      if (!inside) continue;
      gs_convert(c->type, to + at * c->size, j->x->dtype,
                 x + (r * w->in[last] + begin) * from, n, NULL);
      if (j->zero) less_zero(c, to + at * c->size, n, j->zero);
    }
  }
}

/* ---- the sums ---- */

/* Rows [lo, hi) of the image's result, over all channels. */
static void rows(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const gs_conv_own *c = j->c;
  const gs_window *w = &c->s.w;
  int last = w->n - 1;
  int64_t n = w->out[last], channels = c->s.group * c->s.out;
  for (int64_t i = lo; i < hi; i++) {
    int64_t m = i / c->rows, r = i % c->rows;
    int64_t at = 0, stride = c->dims[last];
    for (int d = last - 1; d >= 0; d--) {
      at += r % w->out[d] * w->stride[d] * stride;
      r /= w->out[d];
      stride *= c->dims[d];
    }
    at += m / c->s.out * c->s.in * c->channel;
    const char *x = j->padded + at * c->size;
    const char *f = j->w + m * c->taps * c->size;
    const char *b = j->bias ? j->bias + m * c->size : NULL;
    int64_t to = (j->image * channels * c->rows + i) * n;
    char *y = j->y + (j->part ? gs_part_place(j->part, to) : to) * c->size;
    int64_t step = w->stride[last];
    if (c->type == GS_FLOAT)
      GS_PICK(row_f32)(y, n, x, c->off, f, c->taps, step, b);
    else if (c->type == GS_DOUBLE)
      GS_PICK(row_f64)(y, n, x, c->off, f, c->taps, step, b);
    else
      GS_PICK(row_u32)(y, n, x, c->off, f, c->taps, step, b);
  }
}

void gs_conv_own_run(const gs_conv_own *c, const gs_view *x, int64_t zero,
                     const void *w, const void *bias, const gs_view *part,
                     void *y, void *scratch, int threads) {
  job j = {.c = c, .x = x, .zero = zero, .w = w, .bias = bias, .part = part,
           .y = y, .padded = scratch};
  int64_t channels = c->s.group * c->s.out, n = c->s.w.out[c->s.w.n - 1];
  gs_assert(!part || !part->pitch || !n || part->run % n == 0);
  for (j.image = 0; j.image < c->s.batch; j.image++) {
    gs_parallel(threads, c->s.group * c->s.in, c->channel, pad, &j);
    gs_parallel(threads, channels * c->rows, n * gs_max(c->taps, 1), rows, &j);
  }
}
