/* Reductions, softmax and normalization against naive sums in double. */
#include "kernel_harness.h"
#include "suite.h"

#define KERNELS(X)                                                             \
  X(reduce_sum) X(reduce_mean) X(reduce_max) X(reduce_min) X(reduce_prod)      \
  X(reduce_sum_square) X(reduce_l2) X(softmax) X(log_softmax) X(layer_norm)    \
  X(rms_norm)
#define X(name) extern const gs_kernel gs_kernel_##name;
KERNELS(X)
#undef X

enum { SUM, MEAN, MAX, MIN, PROD, SQUARES, L2, NREDUCE };
static const gs_kernel *const reductions[NREDUCE] = {
    &gs_kernel_reduce_sum,  &gs_kernel_reduce_mean,       &gs_kernel_reduce_max,
    &gs_kernel_reduce_min,  &gs_kernel_reduce_prod,
    &gs_kernel_reduce_sum_square, &gs_kernel_reduce_l2};

static const gs_dtype types[] = {
    GS_FLOAT, GS_DOUBLE, GS_FLOAT16, GS_BFLOAT16, GS_INT32,
    GS_INT64, GS_UINT32, GS_UINT64,  GS_INT8,     GS_UINT8};
enum { NTYPE = sizeof types / sizeof *types };
enum { NFLOAT = 4 };

static double tolerance(gs_dtype t) {
  return t == GS_DOUBLE     ? 1e-13
         : t == GS_FLOAT    ? 2e-6
         : t == GS_FLOAT16  ? 1e-3
         : t == GS_BFLOAT16 ? 8e-3
                            : 0;
}

/* |got - want| <= tolerance * scale; scale: what the rounding errors are
 * relative to. */
static void near_enough(gs_dtype t, int64_t i, double got, double want,
                        double scale) {
  if (got == want || (isnan(got) && isnan(want))) return;
  if (t == GS_FLOAT16 && fabs(want) > 65520 && isinf(got)) return;
  ck_assert_msg(fabs(got - want) <= tolerance(t) * scale,
                "type %d, element %lld: %.17g, not %.17g", t, (long long)i,
                got, want);
}

static const struct {
  int rank;
  int64_t dims[5];
  unsigned axes; /* bit d: dim d is reduced */
} shapes[] = {{1, {1}, 1},          {1, {5000}, 1},
              {1, {200001}, 1},     {2, {30, 33}, 2},
              {2, {30, 33}, 1},     {2, {7, 1025}, 2},
              {2, {300, 1025}, 1},  {3, {4, 5, 6}, 2},
              {3, {4, 5, 6}, 5},    {3, {4, 5, 6}, 0},
              {3, {4, 5, 6}, 7},    {4, {3, 4, 5, 6}, 10},
              {4, {3, 4, 5, 6}, 5}, {5, {2, 3, 1, 4, 35}, 21},
              {2, {0, 5}, 1},       {2, {5, 0}, 1},
              {2, {3, 0}, 2},       {0, {0}, 0},
              {3, {1, 1, 1}, 3},    {4, {2, 70, 3, 40}, 2},
              {2, {1, 40}, 1}};
enum { NSHAPE = sizeof shapes / sizeof *shapes };

static void fill(const gs_view *v, int op, double scale) {
  uint64_t seed = 11;
  bool u = gs_dtype_get((int)v->dtype)->cls == 'u';
  for (int64_t i = 0; i < v->n; i++) {
    double x = floor(h_random(&seed) * 5) - (u ? 0 : 2);
    if (op == PROD) x = i == 5 ? 2 : i % 13 == 1 && !u ? -1 : 1;
    h_put(v, i, x * scale);
  }
}

/* The double reference of result o: acc folds a value in. */
typedef struct total {
  double sum, squares, prod, max, min, magnitude;
  int64_t n;
} total;

static double result(int op, const total *t) {
  switch (op) {
  case SUM: return t->sum;
  case MEAN: return t->sum / (double)t->n;
  case MAX: return t->max;
  case MIN: return t->min;
  case PROD: return t->prod;
  case SQUARES: return t->squares;
  default: return sqrt(t->squares);
  }
}

static void reduce(int op, gs_dtype t, int s, int threads, bool as_operand) {
  harness h;
  h_init(&h);
  int rank = shapes[s].rank, nout = 0, naxes = 0;
  int64_t out[6] = {0}, axes[6], map[6] = {0};
  for (int d = 0; d < rank; d++) {
    bool reduced = shapes[s].axes >> d & 1;
    if (reduced) axes[naxes++] = d & 1 ? d - rank : d;
    out[nout++] = reduced ? 1 : shapes[s].dims[d];
  }
  gs_view *x = h_in(&h, t, rank, shapes[s].dims);
  int64_t count[] = {naxes, 0};
  if (as_operand) {
    gs_view *a = h_in(&h, GS_INT64, 1, count);
    memcpy(a->data, axes, (size_t)naxes * sizeof *axes);
    gs_node_set_int(h.graph, h.node, "noop_with_empty_axes", 1);
  }
  gs_view *o = h_out(&h, t, rank, out);
  fill(x, op, 1);
  h.k.threads = threads;
  h_ok(&h, reductions[op]);
  int64_t stride = 1;
  for (int d = rank; d-- > 0;)
    if (!(shapes[s].axes >> d & 1)) map[d] = stride, stride *= out[d];
  total *v = calloc((size_t)o->n + 1, sizeof *v);
  for (int64_t i = 0; i < o->n; i++)
    v[i] = (total){.prod = 1, .max = -INFINITY, .min = INFINITY};
  for (int64_t i = 0; i < x->n; i++) {
    int64_t at = 0, rest = i;
    for (int d = rank; d-- > 0; rest /= shapes[s].dims[d])
      at += rest % shapes[s].dims[d] * map[d];
    double e = h_get(x, i);
    total *w = &v[at];
    w->sum += e, w->squares += e * e, w->prod *= e, w->n++;
    w->magnitude += fabs(e);
    w->max = fmax(w->max, e), w->min = fmin(w->min, e);
  }
  bool integer = gs_dtype_get((int)t)->cls != 'f';
  int bits = gs_dtype_get((int)t)->bits;
  for (int64_t i = 0; i < o->n; i++) {
    double want = result(op, &v[i]);
    if (integer && (v[i].n == 0 && (op == MAX || op == MIN || op == MEAN)))
      continue; /* covered by empty() */
    if (integer) want = trunc(want);
    if (integer && bits == 8 && (want > 127 || want < -128)) continue;
    near_enough(t, i, h_get(o, i), want,
                v[i].magnitude + fabs(want) + v[i].squares * (op == SQUARES));
  }
  free(v);
  h_drop(&h);
  h_free(&h);
}

START_TEST(reductions_all) {
  for (int t = 0; t < NTYPE; t++)
    for (int s = 0; s < NSHAPE; s++)
      reduce(_i, types[t], s, 1 + (s & 1), true);
}
END_TEST

START_TEST(default_axes) {
  for (int s = 0; s < NSHAPE; s++) {
    int all = (1 << shapes[s].rank) - 1;
    if ((int)shapes[s].axes == all) reduce(SUM, GS_FLOAT, s, 1, false);
  }
}
END_TEST

START_TEST(empty) {
  int64_t in[] = {2, 0}, out[] = {2, 1}, two[] = {1, 0};
  const double f32[] = {0, NAN, -INFINITY, INFINITY, 1, 0, 0};
  const double i8[] = {0, 0, -128, 127, 1, 0, 0};
  const double u32[] = {0, 0, 0, 4294967295.0, 1, 0, 0};
  const gs_dtype t[] = {GS_FLOAT, GS_INT8, GS_UINT32};
  const double *want[] = {f32, i8, u32};
  for (int c = 0; c < 3; c++)
    for (int op = 0; op < NREDUCE; op++) {
      harness h;
      h_init(&h);
      h_in(&h, t[c], 2, in);
      int64_t axis = 1;
      memcpy(h_in(&h, GS_INT64, 1, two)->data, &axis, sizeof axis);
      h_out(&h, t[c], 2, out);
      h_ok(&h, reductions[op]);
      for (int i = 0; i < 2; i++) {
        double got = h_get(&h.out[0], i);
        ck_assert(got == want[c][op] || (isnan(got) && isnan(want[c][op])));
      }
      h_drop(&h);
      h_free(&h);
    }
}
END_TEST

START_TEST(special_reductions) {
  harness h;
  h_init(&h);
  int64_t in[] = {40, 0}, out[] = {1, 0};
  h_in(&h, GS_FLOAT, 1, in);
  h_out(&h, GS_FLOAT, 1, out);
  for (int i = 0; i < 40; i++) h_put(&h.in[0], i, i == 37 ? (double)NAN : i);
  h_ok(&h, &gs_kernel_reduce_max);
  ck_assert(isnan(h_get(&h.out[0], 0)));
  h_ok(&h, &gs_kernel_reduce_min);
  ck_assert(isnan(h_get(&h.out[0], 0)));
  h_drop(&h);
  h_in(&h, GS_BOOL, 1, in);
  h_out(&h, GS_BOOL, 1, out);
  for (int i = 0; i < 40; i++) h_put(&h.in[0], i, i == 3);
  h_ok(&h, &gs_kernel_reduce_max);
  ck_assert_double_eq(h_get(&h.out[0], 0), 1);
  h_ok(&h, &gs_kernel_reduce_min);
  ck_assert_double_eq(h_get(&h.out[0], 0), 0);
  ck_assert_int_eq(h_prep(&h, &gs_kernel_reduce_sum), GS_UNSUPPORTED);
  h_drop(&h);
  h_free(&h);
}
END_TEST

static const struct {
  int rank;
  int64_t dims[4];
  int axis;
} axes[] = {{2, {37, 1000}, 1}, {2, {5, 3000}, -1}, {3, {4, 33, 300}, 1},
            {2, {1, 1}, 0},     {3, {7, 5, 3}, 0},  {1, {17}, 0},
            {2, {0, 4}, 1},     {4, {2, 3, 4, 5}, 2}};
enum { NAXIS = sizeof axes / sizeof *axes };

static void softmax(gs_dtype t, int s, bool log_, bool place, double scale) {
  harness h;
  h_init(&h);
  int rank = axes[s].rank;
  int axis = axes[s].axis < 0 ? axes[s].axis + rank : axes[s].axis;
  gs_node_set_int(h.graph, h.node, "axis", axes[s].axis);
  gs_view *x = h_in(&h, t, rank, axes[s].dims);
  gs_view *o = h_out(&h, t, rank, axes[s].dims);
  fill(x, SUM, scale);
  double *v = malloc((size_t)x->n * sizeof *v + 1);
  for (int64_t i = 0; i < x->n; i++) v[i] = h_get(x, i);
  if (place) free(o->data), o->data = x->data;
  h.k.threads = 2;
  h_ok(&h, log_ ? &gs_kernel_log_softmax : &gs_kernel_softmax);
  int64_t n = axes[s].dims[axis];
  double min = t == GS_FLOAT16 ? 1e-4 : t == GS_DOUBLE ? 0 : 1e-32;
  int64_t inner = gs_product(axes[s].dims + axis + 1, rank - axis - 1);
  for (int64_t r = 0; n && r < x->n / n; r++) {
    const double *row = v + r / inner * n * inner + r % inner;
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) max = fmax(max, row[i * inner]);
    for (int64_t i = 0; i < n; i++) sum += exp(row[i * inner] - max);
    for (int64_t i = 0; i < n; i++) {
      double e = row[i * inner] - max;
      double want = log_ ? e - log(sum) : exp(e) / sum;
      double got = h_get(o, row - v + i * inner);
      near_enough(t, i, got, want,
                  fabs(want) + min +
                      (log_ ? fabs(max) + 1 : 0));
    }
  }
  free(v);
  h_drop(&h);
  h_free(&h);
}

START_TEST(softmax_all) {
  for (int t = 0; t < NFLOAT; t++)
    for (int s = 0; s < NAXIS; s++) {
      softmax(types[t], s, _i, false, 1.5);
      softmax(types[t], s, _i, true, 30);
    }
}
END_TEST

/* Rows in which everything but one element is masked, or infinite. */
START_TEST(softmax_special) {
  harness h;
  h_init(&h);
  int64_t dims[] = {1, 4, 0};
  float x[] = {-INFINITY, 3, -INFINITY, -INFINITY}, r[4];
  memcpy(h_in(&h, GS_FLOAT, 2, dims)->data, x, sizeof x);
  h_out(&h, GS_FLOAT, 2, dims);
  h_ok(&h, &gs_kernel_softmax);
  memcpy(r, h.out[0].data, sizeof r);
  ck_assert(r[0] == 0 && r[1] == 1 && r[2] == 0);
  h_ok(&h, &gs_kernel_log_softmax);
  memcpy(r, h.out[0].data, sizeof r);
  ck_assert(isinf(r[0]) && r[1] == 0);
  h_drop(&h);
  h_free(&h);
}
END_TEST

typedef struct norm_case {
  gs_dtype t;
  int rank, axis;
  int64_t dims[4];
  int gain_rank; /* trailing dims that scale and bias have */
  bool bias, rms;
} norm_case;

static void norm(const norm_case *c) {
  harness h;
  h_init(&h);
  gs_node_set_int(h.graph, h.node, "axis", c->axis);
  gs_view *x = h_in(&h, c->t, c->rank, c->dims);
  const int64_t *tail = c->dims + c->rank - c->gain_rank;
  gs_view *g = h_in(&h, c->t, c->gain_rank, tail), *b = NULL;
  if (c->bias) b = h_in(&h, c->t, c->gain_rank, tail);
  int64_t rows = gs_product(c->dims, c->axis), stat[] = {rows, 0};
  int64_t n = rows ? x->n / rows : 0;
  gs_view *o = h_out(&h, c->t, c->rank, c->dims);
  gs_view *mean = NULL, *inv = NULL;
  gs_dtype st = c->t == GS_BFLOAT16 ? GS_BFLOAT16 : GS_FLOAT;
  if (!c->rms) mean = h_out(&h, st, 1, stat), inv = h_out(&h, st, 1, stat);
  fill(x, SUM, 0.75);
  for (int64_t i = 0; i < g->n; i++) h_put(g, i, 1 + (double)(i % 3) / 4);
  for (int64_t i = 0; b && i < b->n; i++) h_put(b, i, (double)(i % 5) / 4);
  h.k.threads = 2;
  h_ok(&h, c->rms ? &gs_kernel_rms_norm : &gs_kernel_layer_norm);
  for (int64_t r = 0; r < rows; r++) {
    double sum = 0, var = 0, m, s;
    for (int64_t i = 0; i < n; i++) sum += h_get(x, r * n + i);
    m = c->rms ? 0 : sum / (double)n;
    for (int64_t i = 0; i < n; i++)
      var += (h_get(x, r * n + i) - m) * (h_get(x, r * n + i) - m);
    s = 1 / sqrt(var / (double)n + 1e-5);
    for (int64_t i = 0; i < n; i++) {
      double gain = h_get(g, i % g->n), bias = b ? h_get(b, i % b->n) : 0;
      double y = (h_get(x, r * n + i) - m) * s * gain;
      near_enough(c->t, i, h_get(o, r * n + i), y + bias, fabs(y) + 1);
    }
    gs_dtype loose = c->t == GS_BFLOAT16 ? GS_BFLOAT16 : GS_FLOAT;
    if (mean) near_enough(loose, r, h_get(mean, r), m, fabs(m) + 1);
    if (inv) near_enough(loose, r, h_get(inv, r), s, s);
  }
  h_drop(&h);
  h_free(&h);
}

START_TEST(norms) {
  for (int t = 0; t < NFLOAT; t++)
    for (int rms = 0; rms < 2; rms++) {
      norm_case cases[] = {
          {types[t], 2, 1, {33, 768}, 1, true, rms},
          {types[t], 2, 1, {5, 2500}, 1, false, rms},
          {types[t], 3, 1, {4, 6, 50}, 2, true, rms},
          {types[t], 3, 1, {4, 6, 50}, 1, true, rms}, /* broadcast */
          {types[t], 2, 0, {3, 7}, 2, false, rms},
          {types[t], 2, 1, {0, 7}, 1, false, rms}};
      for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (rms) cases[i].bias = false;
        norm(&cases[i]);
      }
    }
}
END_TEST

/* The same bytes whatever the number of threads, and where a row stands. */
START_TEST(threads_and_rows) {
  const gs_kernel *ks[] = {&gs_kernel_softmax,    &gs_kernel_log_softmax,
                           &gs_kernel_reduce_sum, &gs_kernel_reduce_l2,
                           &gs_kernel_reduce_mean};
  int64_t dims[] = {67, 1501, 0}, one[] = {1, 1501, 0};
  int64_t whole[] = {300007, 0}, rows[] = {67, 1, 0}, single[] = {1, 0, 0};
  int64_t count[] = {1, 0}, axis = -1;
  for (int c = 0; c < 5; c++)
    for (int full = 0; full < (c < 2 ? 1 : 2); full++) {
      harness h;
      h_init(&h);
      gs_view *x = h_in(&h, GS_FLOAT, full ? 1 : 2, full ? whole : dims);
      if (c >= 2)
        memcpy(h_in(&h, GS_INT64, 1, count)->data, &axis, sizeof axis);
      gs_view *o = h_out(&h, GS_FLOAT, full ? 1 : 2,
                         full ? single : c < 2 ? dims : rows);
      fill(x, SUM, 0.3);
      h_ok(&h, ks[c]);
      size_t bytes = (size_t)o->n * 4;
      char *want = malloc(bytes);
      memcpy(want, o->data, bytes);
      for (int n = 2; n < 5; n++) {
        memset(o->data, 0, bytes);
        h.k.threads = n;
        h_ok(&h, ks[c]);
        ck_assert(!memcmp(o->data, want, bytes));
      }
      if (!full) { /* row 13 alone */
        char *all = x->data, *to = o->data;
        size_t step = bytes / 67;
        x->data = all + 13 * 1501 * 4;
        x->dims = one;
        x->n = 1501;
        o->dims = c < 2 ? one : single;
        o->n = c < 2 ? 1501 : 1;
        h_ok(&h, ks[c]);
        ck_assert(!memcmp(to, want + 13 * step, step));
        x->data = all;
      }
      free(want);
      h_drop(&h);
      h_free(&h);
    }
}
END_TEST

/* Whether a dim is the last one longer than 1 depends on the sharding: the
 * bytes may not. */
START_TEST(softmax_layouts) {
  static const int64_t lengths[] = {1, 3, 33, 1024, 1025, 2100};
  enum { COLS = 67 };
  const gs_kernel *kernel =
      _i % 2 ? &gs_kernel_log_softmax : &gs_kernel_softmax;
  gs_dtype t = types[_i / 2];
  int64_t size = gs_dtype_get((int)t)->bits / 8;
  for (int c = 0; c < 6; c++) {
    int64_t n = lengths[c], dims[] = {2, n, COLS}, rows[] = {2, COLS, n};
    harness h, r;
    h_init(&h);
    h_init(&r);
    gs_node_set_int(h.graph, h.node, "axis", 1);
    gs_view *x = h_in(&h, t, 3, dims), *y = h_out(&h, t, 3, dims);
    gs_view *u = h_in(&r, t, 3, rows), *v = h_out(&r, t, 3, rows);
    fill(x, SUM, 4);
    for (int64_t i = 0; i < x->n; i++) {
      int64_t to = (i / COLS / n * COLS + i % COLS) * n + i / COLS % n;
      memcpy((char *)u->data + to * size, (char *)x->data + i * size,
             (size_t)size);
    }
    h_ok(&h, kernel);
    h_ok(&r, kernel);
    for (int64_t i = 0; i < x->n; i++) {
      int64_t to = (i / COLS / n * COLS + i % COLS) * n + i / COLS % n;
      ck_assert_msg(!memcmp((char *)y->data + i * size,
                            (char *)v->data + to * size, (size_t)size),
                    "type %d, length %d, element %d", t, (int)n, (int)i);
    }
    h_drop(&h);
    h_drop(&r);
    h_free(&h);
    h_free(&r);
  }
}
END_TEST

int main(void) {
  TCase *t = tcase_create("all");
  tcase_add_loop_test(t, reductions_all, 0, NREDUCE);
  tcase_add_test(t, default_axes);
  tcase_add_test(t, empty);
  tcase_add_test(t, special_reductions);
  tcase_add_loop_test(t, softmax_all, 0, 2);
  tcase_add_test(t, softmax_special);
  tcase_add_loop_test(t, softmax_layouts, 0, 2 * NFLOAT);
  tcase_add_test(t, norms);
  tcase_add_test(t, threads_and_rows);
  return suite_run("kernel_rows", t);
}
