/* SoftmaxApply and Normalize of ai.gshard: what is done to elements once the
 * statistics of their rows are known.  Operands broadcast to x, which is read
 * in runs of at most GS_CHUNK elements.
 *
 * SoftmaxApply (x, m, s): e^(x - m) / s; `log`: x - (m + ln s).
 * Normalize (x, r, m, g, b): (x - m) * r * g + b, where m, g and b may be left
 * out.  Computed in the type of the statistics, f32 or f64; of an m that is f64
 * where r is f32, what f32 does not hold is subtracted after what it does. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"
#include "kernel/gemm/gemm.h"
#include "kernel/reduce/rowloops.h"

enum { MEAN = 2, OPERANDS = 5 }; /* of Normalize */

typedef union number {
  float f32;
  double f64;
} number;

typedef struct plan plan;
/* One run: m elements in the computed type; v[i] is operand i, of which
 * step[i] is 1, or 0 where the whole run has one element of it. */
typedef void run_fn(const plan *p, void *o, const void *const *v, int64_t m);

struct plan {
  gs_dtype type; /* of the computation */
  int64_t wide;  /* bytes of it */
  bool log;
  bool wide_mean;        /* it is f64, and that is not what is computed in */
  int n, nloop;          /* operands; loops, the innermost is the run */
  int64_t dim[GS_MAX_RANK];
  int64_t step[OPERANDS][GS_MAX_RANK]; /* of each loop; operand 0: of x */
  int64_t inner[OPERANDS];             /* the step of the run */
  run_fn *fn;
  const gs_row_loops *loop;
};

/* ---- loops ---- */

/* The step of operand i along dim d of x: 0 where it broadcasts. */
static int64_t step_of(const gs_view *x, const gs_view *v, int d) {
  int e = d - (x->rank - v->rank);
  if (e < 0 || v->dims[e] == 1) return 0;
  return gs_dims_count(v->dims, e + 1, v->rank);
}

static void add_loop(plan *p, int64_t n, const int64_t *step) {
  int last = p->nloop - 1;
  bool one = last >= 0; /* with the loop before */
  for (int i = 0; i < p->n && one; i++)
    one = p->step[i][last] == n * step[i];
  if (one) p->dim[last] *= n;
  else p->dim[last = p->nloop++] = n;
  for (int i = 0; i < p->n; i++) p->step[i][last] = step[i];
}

static gs_status prep(gs_kctx *k, gs_dtype type, run_fn *fn) {
  const gs_view *x = &k->in[0];
  plan *p = GS_NEW(k->arena, plan);
  for (int i = 0; i < k->nin; i++)
    if (k->in[i].rank >= 0 && k->in[i].dtype != GS_FLOAT &&
        k->in[i].dtype != GS_DOUBLE && !gs_dtype_half(k->in[i].dtype))
      return gs_kernel_no_type(k, k->in[i].dtype);
  gs_assert(k->nin <= OPERANDS && (type == GS_FLOAT || type == GS_DOUBLE));
  p->type = type;
  p->wide = type == GS_DOUBLE ? 8 : 4;
  p->log = gs_node_int(k->node, "log", 0) != 0;
  p->n = k->nin;
  p->fn = fn;
  p->loop = gs_row_loops_get(type);
  for (int d = 0; d < x->rank; d++) {
    int64_t step[OPERANDS] = {0};
    for (int i = 0; i < p->n; i++)
      if (k->in[i].rank >= 0) step[i] = step_of(x, &k->in[i], d);
    if (x->dims[d] != 1) add_loop(p, x->dims[d], step);
  }
  if (!p->nloop) p->dim[p->nloop++] = 1;
  for (int i = 0; i < p->n; i++) p->inner[i] = p->step[i][p->nloop - 1];
  k->state = p;
  return GS_OK;
}

/* Operand i of a run of m from `at` on, in the computed type; NULL: left out.
 */
static const void *load(const gs_kctx *k, int i, int64_t at, int64_t m,
                        void *buf) {
  const plan *p = k->state;
  const gs_view *v = &k->in[i];
  if (v->rank < 0) return NULL;
  int64_t size = gs_dtype_get((int)v->dtype)->bits / 8;
  const char *from = (const char *)v->data + at * size;
  if (v->dtype == p->type || (i == MEAN && p->wide_mean)) return from;
  gs_convert(p->type, buf, v->dtype, from, p->inner[i] ? m : 1, NULL);
  return buf;
}

/* m elements of run r from `from` on. */
static void one_run(const gs_kctx *k, int64_t r, int64_t from, int64_t m) {
  const plan *p = k->state;
  const gs_view *y = &k->out[0];
  _Alignas(64) char buf[OPERANDS][GS_CHUNK * sizeof(number)];
  _Alignas(64) char res[GS_CHUNK * sizeof(number)];
  const void *v[OPERANDS] = {NULL};
  int64_t at[OPERANDS] = {0};
  for (int d = p->nloop - 1; d-- > 0; r /= p->dim[d])
    for (int i = 0; i < p->n; i++) at[i] += r % p->dim[d] * p->step[i][d];
  for (int i = 0; i < p->n; i++)
    v[i] = load(k, i, at[i] + from * p->inner[i], m, buf[i]);
  int64_t size = gs_dtype_get((int)y->dtype)->bits / 8;
  char *to = (char *)y->data + (at[0] + from) * size;
  bool same = y->dtype == p->type;
  p->fn(p, same ? to : res, v, m);
  if (!same) gs_convert(y->dtype, to, p->type, res, m, NULL);
}

static int64_t per_run(const plan *p) {
  return gs_ceil_div(p->dim[p->nloop - 1], GS_CHUNK);
}

static void chunks(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const plan *p = k->state;
  int64_t per = per_run(p), n = p->dim[p->nloop - 1];
  for (int64_t u = lo; u < hi; u++) {
    int64_t from = u % per * GS_CHUNK;
    one_run(k, u / per, from, gs_min(GS_CHUNK, n - from));
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  int64_t n = p->dim[p->nloop - 1];
  if (k->out[0].n)
    gs_parallel(k->threads, k->out[0].n / n * per_run(p),
                2 * gs_min(n, GS_CHUNK), chunks, k);
  return GS_OK;
}

/* Element i of an operand with that step. */
static double get(const plan *p, const void *v, int64_t i) {
  return p->type == GS_FLOAT ? (double)((const float *)v)[i]
                             : ((const double *)v)[i];
}
static void set(const plan *p, void *v, int64_t i, double x) {
  if (p->type == GS_FLOAT) ((float *)v)[i] = (float)x;
  else ((double *)v)[i] = x;
}

/* ---- softmax ---- */

static void softmax_run(const plan *p, void *o, const void *const *v,
                        int64_t m) {
  _Alignas(64) char by[GS_CHUNK * sizeof(number)];
  _Alignas(64) char max[GS_CHUNK * sizeof(number)];
  bool row = !p->inner[1] && !p->inner[2];
  int64_t n = row ? 1 : m;
  for (int64_t i = 0; i < n; i++) {
    double s = get(p, v[2], p->inner[2] * i), t = get(p, v[1], p->inner[1] * i);
    set(p, max, i, t);
    set(p, by, i, p->log ? t + log(s) : 1 / s);
  }
  if (p->log) {
    (row ? p->loop->less : p->loop->less_each)(o, v[0], by, m);
    return;
  }
  (row ? p->loop->exp_less : p->loop->exp_less_each)(o, v[0], max, m);
  (row ? p->loop->scale : p->loop->scale_each)(o, o, by, m);
}

static gs_status prep_softmax(gs_kctx *k) {
  return prep(k, k->in[1].dtype, softmax_run);
}

/* ---- normalize ---- */

/* Operand v, or `otherwise` where it is left out, as m elements. */
static const void *spread(const plan *p, const void *v, int64_t step,
                          double otherwise, int64_t m, void *buf) {
  if (v && step) return v;
  double x = v ? get(p, v, 0) : otherwise;
  for (int64_t i = 0; i < m; i++) set(p, buf, i, x);
  return buf;
}

#define EACH(tag, T)                                                           \
  static void each_##tag(void *out, const void *x, const void *mean,           \
                         const void *by, const void *gain, const void *bias,   \
                         int64_t n) {                                          \
    const T *v = x, *m = mean, *r = by, *g = gain, *b = bias;                  \
    T *o = out;                                                                \
    if (b)                                                                     \
      for (int64_t i = 0; i < n; i++)                                          \
        o[i] = (v[i] - m[i]) * r[i] * g[i] + b[i];                             \
    else                                                                       \
      for (int64_t i = 0; i < n; i++) o[i] = (v[i] - m[i]) * r[i] * g[i];      \
  }
EACH(f32, float)
EACH(f64, double)
#undef EACH

/* x less what f32 holds of the mean; *rest: what it does not hold.  Elements
 * that are near to a mean far from 0 lose nothing by that. */
static void less_most(const plan *p, const float *x, const double *mean,
                      int64_t m, float *out, float *rest) {
  float most[GS_CHUNK];
  int64_t n = p->inner[MEAN] ? m : 1;
  gs_assert(m <= GS_CHUNK && p->type == GS_FLOAT);
  for (int64_t i = 0; i < n; i++) {
    most[i] = (float)mean[i];
    rest[i] = isfinite(most[i]) ? (float)(mean[i] - (double)most[i]) : 0;
  }
  (p->inner[MEAN] ? p->loop->less_each : p->loop->less)(out, x, most, m);
}

static void normalize_run(const plan *p, void *o, const void *const *v,
                          int64_t m) {
  _Alignas(64) char buf[4][GS_CHUNK * sizeof(number)];
  _Alignas(64) float near[GS_CHUNK], rest[GS_CHUNK];
  const void *split[OPERANDS] = {near, v[1], rest, v[3], v[4]};
  if (p->wide_mean) {
    less_most(p, v[0], v[MEAN], m, near, rest);
    v = split;
  }
  const void *gain = spread(p, v[3], p->inner[3], 1, m, buf[0]);
  const void *bias =
      v[4] ? spread(p, v[4], p->inner[4], 0, m, buf[1]) : NULL;
  if (!p->inner[1] && !p->inner[2]) {
    number stat[2] = {{0}};
    set(p, stat, 0, v[2] ? get(p, v[2], 0) : 0);
    set(p, stat, 1, get(p, v[1], 0));
    p->loop->normalize(o, v[0], stat, gain, bias, m);
    return;
  }
  const void *mean = spread(p, v[2], p->inner[2], 0, m, buf[2]);
  const void *by = spread(p, v[1], p->inner[1], 1, m, buf[3]);
  (p->type == GS_FLOAT ? each_f32 : each_f64)(o, v[0], mean, by, gain, bias, m);
}

static gs_status prep_normalize(gs_kctx *k) {
  bool wide = k->nin > MEAN && k->in[MEAN].rank >= 0 &&
              k->in[MEAN].dtype == GS_DOUBLE && k->in[1].dtype == GS_FLOAT;
  GS_TRY(prep(k, k->in[1].dtype, normalize_run));
  plan *p = k->state;
  p->wide_mean = wide;
  return GS_OK;
}

extern const gs_kernel gs_kernel_softmax_apply, gs_kernel_normalize;
const gs_kernel gs_kernel_softmax_apply = {prep_softmax, run};
const gs_kernel gs_kernel_normalize = {prep_normalize, run};
