/* SoftmaxBlocks and MomentBlocks of ai.gshard: two numbers for each row of each
 * block, of operand x in parts (block_rows.h).
 *
 * SoftmaxBlocks: the maximum, and the sum of e^(x - maximum); -inf and 0 where
 * there is nothing above -inf.
 * MomentBlocks: the mean of (x - mean)^2, and that mean, or, without `centred`,
 * the mean of x^2 or |x|, and 0; then which part of the whole row the block is.
 *
 * Elements are computed in f32, or in f64 of f64, and added in f64: element i
 * of a row to lane i mod GS_LANES, whether rows are read one by one or side by
 * side. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"
#include "kernel/gemm/gemm.h"
#include "kernel/reduce/block_rows.h"

typedef union number {
  float f32;
  double f64;
} number;

enum { PLAIN, SQUARES, ABSOLUTES, NTERM };

typedef struct job job;
/* Two numbers for each of c <= GS_COLUMNS rows from x on: c is 1 where the box
 * has no columns. */
typedef void row_fn(const job *j, int64_t x, int64_t c, double *a, double *b);

typedef struct plan {
  gs_row_plan rows;
  gs_dtype type; /* of the computation */
  int64_t wide;  /* bytes of it */
  bool centred;
  row_fn *row, *columns;
  const gs_row_loops *loop;
  const gs_fold *max;
  int term; /* of the second moment */
} plan;

struct job {
  const gs_kctx *k;
  const plan *p;
  const gs_row_box *box;
};

/* ---- elements ---- */

/* In the type that elements are computed in, or wider, results are given. */
static gs_status prep(gs_kctx *k, row_fn *row, row_fn *columns) {
  const gs_view *x = &k->in[0];
  plan *p = GS_NEW(k->arena, plan);
  if (x->dtype != GS_FLOAT && x->dtype != GS_DOUBLE && !gs_dtype_half(x->dtype))
    return gs_kernel_no_type(k, x->dtype);
  GS_TRY(gs_row_plan_read(k, &p->rows));
  p->type = x->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  for (int i = 0; i < k->nout; i++)
    gs_assert(k->out[i].rank < 0 || k->out[i].dtype == p->type ||
              k->out[i].dtype == GS_DOUBLE);
  p->wide = p->type == GS_DOUBLE ? 8 : 4;
  p->row = row;
  p->columns = columns;
  p->centred = gs_node_int(k->node, "centred", 1) != 0;
  p->loop = gs_row_loops_get(p->type);
  p->max = gs_fold_get(GS_FOLD_MAX, p->type);
  p->term = p->centred                           ? SQUARES
            : gs_node_int(k->node, "p", 2) == 2 ? SQUARES
                                                : ABSOLUTES;
  k->state = p;
  return GS_OK;
}

/* n elements of `size` bytes, `step` apart, side by side. */
static void gather(void *to, const char *from, int64_t step, int64_t n,
                   int64_t size) {
  for (int64_t i = 0; i < n; i++)
    memcpy((char *)to + i * size, from + i * step * size, (size_t)size);
}

/* n <= GS_CHUNK elements, `step` apart, in the computed type. */
static const void *load(const job *j, int64_t at, int64_t step, int64_t n,
                        void *buf) {
  const gs_view *x = &j->k->in[0];
  _Alignas(16) char near[GS_CHUNK * sizeof(number)];
  int64_t size = gs_dtype_get((int)x->dtype)->bits / 8;
  const char *from = (const char *)x->data + at * size;
  gs_assert(n <= GS_CHUNK);
  if (x->dtype == j->p->type) {
    if (step == 1) return from;
    gather(buf, from, step, n, size);
    return buf;
  }
  if (step != 1) gather(near, from, step, n, size);
  gs_convert(j->p->type, buf, x->dtype, step == 1 ? from : near, n, NULL);
  return buf;
}

static double wide(const plan *p, const void *x, int64_t i) {
  return p->type == GS_FLOAT ? (double)((const float *)x)[i]
                             : ((const double *)x)[i];
}

static void narrow(gs_dtype t, void *to, int64_t i, double v) {
  if (t == GS_FLOAT) ((float *)to)[i] = (float)v;
  else ((double *)to)[i] = v;
}

/* The row from x on as runs of elements. */
typedef struct runs {
  int64_t n, step, count; /* elements of one, their distance; runs */
} runs;

static runs runs_of(const gs_row_box *b) {
  runs r = {1, 1, b->n};
  if (!b->nalong) return r;
  const gs_row_loop *last = &b->along[b->nalong - 1];
  r = (runs){last->n, last->x, last->n ? b->n / last->n : 0};
  return r;
}

static int64_t run_at(const gs_row_box *b, int64_t x, int64_t i) {
  return x + gs_row_loops_x(b->along, b->nalong - 1, i);
}

#define EACH_CHUNK(j, x, r, i, at, m)                                          \
  for (int64_t i = 0; i < (r).count; i++)                                      \
    for (int64_t at = 0, m; m = gs_min(GS_CHUNK, (r).n - at), at < (r).n;      \
         at += m)

static const void *chunk(const job *j, int64_t x, const runs *r, int64_t i,
                         int64_t at, int64_t m, void *buf) {
  return load(j, run_at(j->box, x, i) + at * r->step, r->step, m, buf);
}

/* ---- sums ---- */

/* lane[(at + i) mod GS_LANES] += term of x[i] - less. */
typedef void tally_fn(double *lane, int64_t at, const void *x, int64_t n,
                      double less);

#define TALLY(name, tag, T, term)                                              \
  static void name##_##tag(double *lane, int64_t at, const void *src,          \
                           int64_t n, double less) {                           \
    const T *x = src;                                                          \
    int64_t i = 0;                                                             \
    for (; i < n && (at + i) % GS_LANES; i++) {                                \
      double d = (double)x[i] - less;                                          \
      lane[(at + i) % GS_LANES] += term;                                       \
    }                                                                          \
    for (; i + GS_LANES <= n; i += GS_LANES)                                   \
      for (int l = 0; l < GS_LANES; l++) {                                     \
        double d = (double)x[i + l] - less;                                    \
        lane[l] += term;                                                       \
      }                                                                        \
    for (int l = 0; i < n; i++, l++) {                                         \
      double d = (double)x[i] - less;                                          \
      lane[l] += term;                                                         \
    }                                                                          \
  }
TALLY(plain, f32, float, d)
TALLY(plain, f64, double, d)
TALLY(squares, f32, float, d * d)
TALLY(squares, f64, double, d * d)
TALLY(absolutes, f32, float, fabs(d))
TALLY(absolutes, f64, double, fabs(d))
#undef TALLY

static tally_fn *tally_of(const plan *p, int term) {
  static tally_fn *const fn[NTERM][2] = {{plain_f32, plain_f64},
                                         {squares_f32, squares_f64},
                                         {absolutes_f32, absolutes_f64}};
  return fn[term][p->type == GS_DOUBLE];
}

static double total(const double *lane) {
  double sum[GS_LANES];
  memcpy(sum, lane, sizeof sum);
  for (int w = GS_LANES / 2; w > 0; w /= 2)
    for (int i = 0; i < w; i++) sum[i] += sum[i + w];
  return sum[0];
}

/* The same for c rows side by side: lanes of element `at` of each. */
typedef double lanes[GS_LANES][GS_COLUMNS];

static void tally_across(const plan *p, lanes lane, int64_t at, const void *x,
                         int64_t c, int term, const double *less) {
  double *to = lane[at % GS_LANES];
  for (int64_t q = 0; q < c; q++) {
    double d = wide(p, x, q) - (less ? less[q] : 0);
    to[q] += term == PLAIN ? d : term == SQUARES ? d * d : fabs(d);
  }
}

static void totals(lanes lane, int64_t c, double *sum) {
  for (int w = GS_LANES / 2; w > 0; w /= 2)
    for (int i = 0; i < w; i++)
      for (int64_t q = 0; q < c; q++) lane[i][q] += lane[i + w][q];
  memcpy(sum, lane[0], (size_t)c * sizeof *sum);
}

/* ---- softmax ---- */

static void softmax_row(const job *j, int64_t x, int64_t c, double *a,
                        double *b) {
  const plan *p = j->p;
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  _Alignas(64) char res[GS_CHUNK * sizeof(number)];
  double lane[GS_LANES] = {0};
  runs r = runs_of(j->box);
  number max;
  gs_assert(c == 1);
  narrow(p->type, &max, 0, -(double)INFINITY);
  EACH_CHUNK(j, x, r, i, at, m)
    p->max->row(&max, chunk(j, x, &r, i, at, m, buf), m);
  a[0] = wide(p, &max, 0);
  b[0] = 0;
  if (a[0] == -(double)INFINITY) return; /* 0, not e^(-inf + inf) */
  EACH_CHUNK(j, x, r, i, at, m) {
    p->loop->exp_less(res, chunk(j, x, &r, i, at, m, buf), &max, m);
    tally_of(p, PLAIN)(lane, i * r.n + at, res, m, 0);
  }
  b[0] = total(lane);
}

/* Element i of the c rows from x on. */
static const void *across(const job *j, int64_t x, int64_t i, int64_t c,
                          void *buf) {
  const gs_row_box *b = j->box;
  int64_t at = x + gs_row_loops_x(b->along, b->nalong, i);
  return load(j, at, b->kept[b->nkept - 1].x, c, buf);
}

static void softmax_columns(const job *j, int64_t x, int64_t c, double *a,
                            double *b) {
  const plan *p = j->p;
  _Alignas(64) char buf[GS_COLUMNS * sizeof(number)];
  _Alignas(64) char res[GS_COLUMNS * sizeof(number)];
  _Alignas(64) char max[GS_COLUMNS * sizeof(number)];
  lanes lane = {{0}};
  gs_assert(c <= GS_COLUMNS);
  for (int64_t q = 0; q < c; q++)
    narrow(p->type, max, q, -(double)INFINITY);
  for (int64_t i = 0; i < j->box->n; i++)
    p->max->col(max, across(j, x, i, c, buf), c);
  for (int64_t q = 0; q < c; q++) a[q] = wide(p, max, q);
  for (int64_t i = 0; i < j->box->n; i++) {
    p->loop->exp_less_each(res, across(j, x, i, c, buf), max, c);
    tally_across(p, lane, i, res, c, PLAIN, NULL);
  }
  totals(lane, c, b);
  for (int64_t q = 0; q < c; q++)
    if (a[q] == -(double)INFINITY) b[q] = 0;
}

/* ---- moments ---- */

static void moment_row(const job *j, int64_t x, int64_t c, double *square,
                       double *mean) {
  const plan *p = j->p;
  _Alignas(64) char buf[GS_CHUNK * sizeof(number)];
  double first[GS_LANES] = {0}, second[GS_LANES] = {0};
  runs r = runs_of(j->box);
  double n = (double)gs_max(j->box->n, 1);
  gs_assert(c == 1);
  EACH_CHUNK(j, x, r, i, at, m)
    if (p->centred)
      tally_of(p, PLAIN)(first, i * r.n + at, chunk(j, x, &r, i, at, m, buf), m,
                         0);
  mean[0] = total(first) / n;
  EACH_CHUNK(j, x, r, i, at, m)
    tally_of(p, p->term)(second, i * r.n + at, chunk(j, x, &r, i, at, m, buf),
                         m, mean[0]);
  square[0] = total(second) / n;
}

static void moment_columns(const job *j, int64_t x, int64_t c, double *square,
                           double *mean) {
  const plan *p = j->p;
  _Alignas(64) char buf[GS_COLUMNS * sizeof(number)];
  lanes first = {{0}}, second = {{0}};
  double n = (double)gs_max(j->box->n, 1);
  gs_assert(c <= GS_COLUMNS);
  for (int64_t i = 0; i < j->box->n && p->centred; i++)
    tally_across(p, first, i, across(j, x, i, c, buf), c, PLAIN, NULL);
  totals(first, c, mean);
  for (int64_t q = 0; q < c; q++) mean[q] /= n;
  for (int64_t i = 0; i < j->box->n; i++)
    tally_across(p, second, i, across(j, x, i, c, buf), c, p->term, mean);
  totals(second, c, square);
  for (int64_t q = 0; q < c; q++) square[q] /= n;
}

/* ---- rows and boxes ---- */

static int64_t per_side(const gs_row_box *b) {
  return gs_ceil_div(b->side, GS_COLUMNS);
}

static void put(const job *j, int result, int64_t at, double v) {
  const gs_kctx *k = j->k;
  if (result >= k->nout || k->out[result].rank < 0) return;
  narrow(k->out[result].dtype, k->out[result].data, at, v);
}

/* Units [lo, hi) of a box: rows, or GS_COLUMNS of them side by side. */
static void units(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const gs_row_box *b = j->box;
  double one[GS_COLUMNS], two[GS_COLUMNS];
  gs_row_loop side = {1, 0, 0};
  int outer = b->nkept;
  if (b->columns) side = b->kept[--outer];
  for (int64_t u = lo; u < hi; u++) {
    int64_t row = u / per_side(b), from = u % per_side(b) * GS_COLUMNS;
    int64_t c = gs_min(GS_COLUMNS, b->side - from);
    int64_t x = b->x + gs_row_loops_x(b->kept, outer, row) + from * side.x;
    int64_t y = b->y + gs_row_loops_y(b->kept, outer, row) + from * side.y;
    (b->columns ? j->p->columns : j->p->row)(j, x, c, one, two);
    for (int64_t q = 0; q < c; q++) {
      put(j, 0, y + q * side.y, one[q]);
      put(j, 1, y + q * side.y, two[q]);
    }
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  for (int64_t i = 0; i < p->rows.boxes; i++) {
    gs_row_box box;
    job j = {k, p, &box};
    gs_row_box_of(&p->rows, i, &box);
    if (k->nout > 2)
      put(&j, 2, i, box.n ? (double)box.n / p->rows.elements : 0);
    if (!box.rows) continue;
    gs_parallel(k->threads, box.rows / gs_max(box.side, 1) * per_side(&box),
                4 * (box.n + 1) * gs_min(box.side, GS_COLUMNS), units, &j);
  }
  return GS_OK;
}

static gs_status prep_softmax(gs_kctx *k) {
  return prep(k, softmax_row, softmax_columns);
}
static gs_status prep_moments(gs_kctx *k) {
  return prep(k, moment_row, moment_columns);
}
extern const gs_kernel gs_kernel_softmax_blocks, gs_kernel_moment_blocks;
const gs_kernel gs_kernel_softmax_blocks = {prep_softmax, run};
const gs_kernel gs_kernel_moment_blocks = {prep_moments, run};
