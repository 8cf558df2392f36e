/* DFT and STFT: many transforms of one length.
 *
 * Everything is computed in f64, so that results of f32 are rounded once. */
#include "kernel/signal/fft.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"

/* Transform u reads element k of its signal at x[of(u) + k * step], and
 * writes its result likewise; strides count floats. */
typedef struct side {
  int64_t group;        /* transforms that stand `inner` apart */
  int64_t outer, inner; /* strides of groups, of transforms in one */
  int64_t step;
  int parts; /* 1 real, 2 complex */
} side;

typedef struct plan {
  const gs_fft *fft;
  int64_t length; /* of the transform */
  int64_t count;  /* transforms */
  int64_t read;   /* elements that are there; 0 follows */
  int64_t write;  /* elements of each result */
  side in, out;
  bool inverse;
  bool mirrored; /* reads half of a spectrum; the rest is its mirror image */
  gs_dtype type;
  int lanes;
  const double *window; /* [length] or NULL */
} plan;

typedef struct job {
  const plan *p;
  const void *in;
  void *out;
} job;

static int64_t start_of(const side *s, int64_t u) {
  return u / s->group * s->outer + u % s->group * s->inner;
}

/* Signals u .. u + lanes - 1 as [length][lanes]. */
#define LOAD(T)                                                                \
  for (int l = 0; l < lanes; l++) {                                            \
    const T *x = (const T *)j->in + start_of(s, u + l);                        \
    for (int64_t k = 0; k < p->read; k++) {                                    \
      re[k * lanes + l] = (double)x[k * s->step];                              \
      im[k * lanes + l] = s->parts == 2 ? (double)x[k * s->step + 1] : 0;      \
    }                                                                          \
  }
#define STORE(T)                                                               \
  for (int l = 0; l < lanes; l++) {                                            \
    T *y = (T *)j->out + start_of(s, u + l);                                   \
    for (int64_t k = 0; k < p->write; k++) {                                   \
      y[k * s->step] = (T)(re[k * lanes + l] * scale);                         \
      if (s->parts == 2) y[k * s->step + 1] = (T)(im[k * lanes + l] * scale);  \
    }                                                                          \
  }

static void load(const job *j, int64_t u, int lanes, double *re, double *im) {
  const plan *p = j->p;
  const side *s = &p->in;
  if (p->type == GS_DOUBLE) LOAD(double)
  else LOAD(float)
  size_t rest = (size_t)((p->length - p->read) * lanes) * sizeof *re;
  memset(re + p->read * lanes, 0, rest);
  memset(im + p->read * lanes, 0, rest);
  for (int64_t k = 0; p->window && k < p->length; k++)
    for (int l = 0; l < lanes; l++) {
      re[k * lanes + l] *= p->window[k];
      im[k * lanes + l] *= p->window[k];
    }
  if (!p->mirrored) return;
  for (int64_t k = 0; k <= p->length / 2; k++)
    for (int l = 0; l < lanes; l++) {
      int64_t m = (p->length - k) % p->length;
      if (m == k) { /* its own image: real */
        im[k * lanes + l] = 0;
        continue;
      }
      re[m * lanes + l] = re[k * lanes + l];
      im[m * lanes + l] = -im[k * lanes + l];
    }
}

static void store(const job *j, int64_t u, int lanes, const double *re,
                  const double *im) {
  const plan *p = j->p;
  const side *s = &p->out;
  double scale = p->inverse ? 1 / (double)p->length : 1;
  if (p->type == GS_DOUBLE) STORE(double)
  else STORE(float)
}

/* Groups of lanes [lo, hi). */
static void transforms(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  gs_arena a;
  gs_arena_init(&a);
  double *re = GS_NEWS(&a, p->length * p->lanes, double);
  double *im = GS_NEWS(&a, p->length * p->lanes, double);
  double *work = GS_NEWS(&a, gs_fft_work(p->fft) * p->lanes, double);
  for (int64_t g = lo; g < hi; g++) {
    int64_t u = g * p->lanes;
    int lanes = (int)gs_min(p->lanes, p->count - u);
    load(j, u, lanes, re, im);
    if (p->inverse) gs_fft_run(p->fft, lanes, im, re, work);
    else gs_fft_run(p->fft, lanes, re, im, work);
    store(j, u, lanes, re, im);
  }
  gs_arena_free(&a);
}

static gs_status plan_fft(gs_kctx *k, gs_arena *a, plan *p) {
  p->type = k->in[0].dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  /* As many side by side as stay in the cache. */
  p->lanes = 8;
  while (p->lanes > 1 &&
         (p->lanes > p->count || p->length * p->lanes > 1 << 15))
    p->lanes /= 2;
  gs_err e;
  gs_err_init(&e);
  gs_status s = gs_fft_new(a, p->length, &p->fft, &e);
  if (s) gs_kernel_fail(k, s, "%s", e.diag[0].text);
  gs_err_free(&e);
  return s;
}

/* Runs p; f16 and bf16 by way of f32. */
static void run_plan(gs_kctx *k, const plan *p) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  job j = {.p = p, .in = x->data, .out = y->data};
  gs_arena a;
  gs_arena_init(&a);
  if (x->dtype != p->type) {
    float *in = GS_NEWS(&a, x->n, float);
    gs_convert(GS_FLOAT, in, x->dtype, x->data, x->n, NULL);
    j.in = in;
    j.out = GS_NEWS(&a, y->n, float);
  }
  gs_parallel(k->threads, gs_ceil_div(p->count, p->lanes),
              16 * p->length * p->lanes, transforms, &j);
  if (x->dtype != p->type)
    gs_convert(y->dtype, y->data, GS_FLOAT, j.out, y->n, NULL);
  gs_arena_free(&a);
}

/* Scalar operand i; `otherwise` when it is left out. */
static gs_status scalar(gs_kctx *k, int i, int64_t otherwise, int64_t *out) {
  int n;
  GS_TRY(gs_kernel_ints(k, i, out, 1, &n));
  if (n == 0) return gs_kernel_fail(k, GS_DATA, "operand %d is empty", i);
  if (n < 0) *out = otherwise;
  return GS_OK;
}

static gs_status wrong_shape(gs_kctx *k) {
  return gs_kernel_fail(k, GS_DATA, "the result does not have the shape that "
                        "the operands give");
}

/* ---- DFT ---- */

static gs_status plan_dft(gs_kctx *k, gs_arena *a, plan *p) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t at;
  int axis, last = x->rank - 1;
  bool onesided = gs_node_int(k->node, "onesided", 0) != 0;
  p->inverse = gs_node_int(k->node, "inverse", 0) != 0;
  p->mirrored = onesided && p->inverse;
  GS_TRY(scalar(k, 2, -2, &at));
  GS_TRY(gs_kernel_axis(k, at, x->rank, &axis));
  if (axis == last)
    return gs_kernel_fail(k, GS_DATA, "the last dim cannot be transformed");
  int64_t n = x->dims[axis];
  GS_TRY(scalar(k, 1, p->mirrored ? 2 * (n - 1) : n, &p->length));
  if (p->length < 1) return wrong_shape(k);
  p->write = onesided && !p->inverse ? p->length / 2 + 1 : p->length;
  p->read = gs_min(n, p->mirrored ? p->length / 2 + 1 : p->length);
  int64_t inner = gs_dims_count(x->dims, axis + 1, last);
  p->count = gs_dims_count(x->dims, 0, axis) * inner;
  p->in.parts = (int)x->dims[last];
  p->out.parts = p->mirrored ? 1 : 2;
  if (y->dims[axis] != p->write || y->dims[last] != p->out.parts)
    return wrong_shape(k);
  side *s[2] = {&p->in, &p->out};
  for (int i = 0; i < 2; i++) {
    s[i]->group = inner;
    s[i]->inner = s[i]->parts;
    s[i]->step = inner * s[i]->parts;
    s[i]->outer = s[i]->step * (i ? y : x)->dims[axis];
  }
  return p->count ? plan_fft(k, a, p) : GS_OK;
}

static gs_status dft_prep(gs_kctx *k) {
  if (!gs_kernel_known(k, 1) || !gs_kernel_known(k, 2)) return GS_OK;
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  return plan_dft(k, k->arena, p);
}

static gs_status dft_run(gs_kctx *k) {
  plan own = {0};
  const plan *p = k->state;
  gs_arena a;
  gs_status s = GS_OK;
  gs_arena_init(&a);
  if (!p) {
    s = plan_dft(k, &a, &own);
    p = &own;
  }
  if (!s && p->count) run_plan(k, p);
  gs_arena_free(&a);
  return s;
}

extern const gs_kernel gs_kernel_dft;
const gs_kernel gs_kernel_dft = {dft_prep, dft_run};

/* ---- STFT ---- */

static gs_status plan_stft(gs_kctx *k, gs_arena *a, plan *p) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t step, length = gs_kernel_has(k, 2) ? k->in[2].n : x->dims[1];
  bool onesided = gs_node_int(k->node, "onesided", 1) != 0;
  GS_TRY(scalar(k, 1, 0, &step));
  GS_TRY(scalar(k, 3, length, &p->length));
  if (step < 1 || p->length < 1 || p->length > x->dims[1] ||
      (gs_kernel_has(k, 2) && k->in[2].n != p->length) ||
      y->dims[1] != (x->dims[1] - p->length) / step + 1)
    return wrong_shape(k);
  p->read = p->length;
  p->write = onesided ? p->length / 2 + 1 : p->length;
  if (y->dims[2] != p->write) return wrong_shape(k);
  p->count = x->dims[0] * y->dims[1];
  int parts = x->rank < 3 ? 1 : (int)x->dims[2];
  p->in = (side){y->dims[1], x->dims[1] * parts, step * parts, parts, parts};
  p->out = (side){y->dims[1], y->dims[1] * p->write * 2, p->write * 2, 2, 2};
  return p->count ? plan_fft(k, a, p) : GS_OK;
}

static gs_status stft_prep(gs_kctx *k) {
  if (!gs_kernel_known(k, 1) || !gs_kernel_known(k, 3)) return GS_OK;
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  return plan_stft(k, k->arena, p);
}

static gs_status stft_run(gs_kctx *k) {
  plan p = {0};
  gs_arena a;
  gs_status s = GS_OK;
  gs_arena_init(&a);
  if (k->state) p = *(const plan *)k->state;
  else s = plan_stft(k, &a, &p);
  if (!s && p.count) {
    if (gs_kernel_has(k, 2)) {
      double *w = GS_NEWS(&a, p.length, double);
      gs_convert(GS_DOUBLE, w, k->in[2].dtype, k->in[2].data, p.length, NULL);
      p.window = w;
    }
    run_plan(k, &p);
  }
  gs_arena_free(&a);
  return s;
}

extern const gs_kernel gs_kernel_stft;
const gs_kernel gs_kernel_stft = {stft_prep, stft_run};
