/* Pointwise kernels against a naive evaluation in double (integers: exactly),
 * over types, broadcasting patterns, odd sizes and edge cases. */
#include "base/data/hash.h"
#include "kernel/random/random.h"
#include "kernel_harness.h"
#include "suite.h"

#define KERNELS(X)                                                             \
  X(abs) X(neg) X(ceil) X(floor) X(round) X(sign) X(reciprocal) X(sqrt)        \
  X(exp) X(log) X(sin) X(cos) X(tanh) X(erf) X(sigmoid) X(softplus) X(relu)    \
  X(gelu) X(not) X(isinf) X(isnan) X(identity) X(add) X(sub) X(mul) X(div)     \
  X(mod) X(pow) X(and) X(or) X(xor) X(equal) X(greater)                        \
  X(greater_or_equal) X(less) X(less_or_equal) X(max) X(min) X(mean) X(sum)    \
  X(clip) X(where) X(dropout)
#define X(name) extern const gs_kernel gs_kernel_##name;
KERNELS(X)
#undef X
typedef double binary(double x, double y);

static double f_add(double x, double y) { return x + y; }
static double f_sub(double x, double y) { return x - y; }
static double f_mul(double x, double y) { return x * y; }
static double f_div(double x, double y) { return x / y; }
static double f_max(double x, double y) { return x > y ? x : y; }
static double f_min(double x, double y) { return x < y ? x : y; }
static double f_eq(double x, double y) { return x == y; }
static double f_gt(double x, double y) { return x > y; }
static double f_ge(double x, double y) { return x >= y; }
static double f_lt(double x, double y) { return x < y; }
static double f_le(double x, double y) { return x <= y; }
static double f_mod(double x, double y) {
  double r = fmod(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static const struct {
  const char *name;
  const gs_kernel *kernel;
  binary *f;
  bool predicate, truncates;
} binaries[] = {
    {"add", &gs_kernel_add, f_add, 0, 0},
    {"sub", &gs_kernel_sub, f_sub, 0, 0},
    {"mul", &gs_kernel_mul, f_mul, 0, 0},
    {"div", &gs_kernel_div, f_div, 0, 1},
    {"mod", &gs_kernel_mod, f_mod, 0, 0},
    {"max", &gs_kernel_max, f_max, 0, 0},
    {"min", &gs_kernel_min, f_min, 0, 0},
    {"equal", &gs_kernel_equal, f_eq, 1, 0},
    {"greater", &gs_kernel_greater, f_gt, 1, 0},
    {"greater_or_equal", &gs_kernel_greater_or_equal, f_ge, 1, 0},
    {"less", &gs_kernel_less, f_lt, 1, 0},
    {"less_or_equal", &gs_kernel_less_or_equal, f_le, 1, 0},
};
enum { NBINARY = sizeof binaries / sizeof *binaries };

static const gs_dtype types[] = {
    GS_FLOAT, GS_DOUBLE, GS_FLOAT16, GS_BFLOAT16, GS_INT8,   GS_INT16,
    GS_INT32, GS_INT64,  GS_UINT8,   GS_UINT16,   GS_UINT32, GS_UINT64};
enum { NTYPE = sizeof types / sizeof *types };

static bool is_float(gs_dtype t) { return gs_dtype_get((int)t)->cls == 'f'; }

/* Relative error allowed in type t for one operation. */
static double tolerance(gs_dtype t) {
  return t == GS_DOUBLE     ? 1e-15
         : t == GS_FLOAT    ? 4e-7
         : t == GS_FLOAT16  ? 6e-4
         : t == GS_BFLOAT16 ? 5e-3
                            : 0;
}

static void near_enough(const char *what, gs_dtype t, int64_t i, double got,
                        double want) {
  double d = fabs(got - want);
  if (isnan(want) ? isnan(got) : got == want) return;
  double min = t == GS_FLOAT16 ? 1e-3 : 0; /* denormal below */
  ck_assert_msg(d <= tolerance(t) * fmax(fabs(want), min),
                "%s, type %d, element %lld: %.17g, not %.17g", what, t,
                (long long)i, got, want);
}

static const struct {
  int ra, rb;
  int64_t a[5], b[5];
} shapes[] = {{1, 1, {1500}, {1500}},
              {2, 2, {37, 41}, {37, 41}},
              {2, 0, {33, 40}, {0}},
              {0, 2, {0}, {33, 40}},
              {0, 0, {0}, {0}},
              {2, 1, {53, 67}, {67}},
              {2, 2, {53, 67}, {53, 1}},
              {2, 2, {53, 1}, {1, 67}},
              {3, 3, {7, 1, 9}, {1, 5, 9}},
              {4, 4, {3, 1, 5, 1}, {1, 4, 1, 6}},
              {4, 2, {2, 3, 4, 5}, {4, 1}},
              {5, 3, {2, 1, 3, 1, 700}, {3, 6, 1}},
              {2, 3, {5, 3}, {4, 1, 1}},
              {2, 2, {0, 4}, {1, 4}},
              {1, 2, {1}, {3, 0}},
              {2, 2, {1, 1}, {1, 1}},
              {1, 1, {1}, {9000}}};
enum { NSHAPE = sizeof shapes / sizeof *shapes };

/* Broadcast result of shape pair s; its rank. */
static int joined(int s, int64_t *dims) {
  int ra = shapes[s].ra, rb = shapes[s].rb, r = ra > rb ? ra : rb;
  for (int d = 0; d < r; d++) {
    int64_t a = d < r - ra ? 1 : shapes[s].a[d - (r - ra)];
    int64_t b = d < r - rb ? 1 : shapes[s].b[d - (r - rb)];
    dims[d] = a == 1 ? b : a;
  }
  return r;
}

/* The operand element that belongs to element i of the result. */
static int64_t source(int rank, const int64_t *dims, const gs_view *v,
                      int64_t i) {
  int64_t at = 0, stride = 1;
  for (int d = rank; d-- > 0;) {
    int64_t c = i % dims[d];
    i /= dims[d];
    int e = d - (rank - v->rank);
    if (e < 0) continue;
    if (v->dims[e] != 1) at += c * stride;
    stride *= v->dims[e];
  }
  return at;
}

/* Small values that every type holds exactly; b is never 0. */
static void fill(const gs_view *v, bool divisor, uint64_t seed) {
  bool u = gs_dtype_get((int)v->dtype)->cls == 'u';
  for (int64_t i = 0; i < v->n; i++) {
    double x = floor(h_random(&seed) * 11);
    if (!u) x -= 5;
    if (divisor && x == 0) x = 3;
    h_put(v, i, x);
  }
}

static void one_binary(int op, gs_dtype t, int s, int threads) {
  harness h;
  h_init(&h);
  int64_t dims[6] = {0};
  int rank = joined(s, dims);
  gs_view *a = h_in(&h, t, shapes[s].ra, shapes[s].a);
  gs_view *b = h_in(&h, t, shapes[s].rb, shapes[s].b);
  gs_view *o =
      h_out(&h, binaries[op].predicate ? GS_BOOL : t, rank, dims);
  fill(a, false, 1);
  fill(b, true, 2);
  h.k.threads = threads;
  h_ok(&h, binaries[op].kernel);
  for (int64_t i = 0; i < o->n; i++) {
    double x = h_get(a, source(rank, dims, a, i));
    double y = h_get(b, source(rank, dims, b, i));
    double want = binaries[op].f(x, y);
    if (!is_float(t) && binaries[op].truncates) want = trunc(want);
    if (gs_dtype_get((int)t)->cls == 'u' && want < 0)
      want += ldexp(1, gs_dtype_get((int)t)->bits);
    near_enough(binaries[op].name, t, i, h_get(o, i), want);
  }
  h_drop(&h);
  h_free(&h);
}

START_TEST(binary_ops) {
  for (int t = 0; t < NTYPE; t++)
    for (int s = 0; s < NSHAPE; s++)
      one_binary(_i, types[t], s, 1 + (s & 1));
}
END_TEST

static double f_sign(double x) { return (x > 0) - (x < 0); }
static double f_recip(double x) { return 1 / x; }
static double f_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double f_softplus(double x) { return log1p(exp(x)); }
static double f_relu(double x) { return x > 0 ? x : 0; }
static double f_gelu(double x) { return 0.5 * x * (1 + erf(x * M_SQRT1_2)); }
static double f_neg(double x) { return -x; }
static double f_same(double x) { return x; }

static const struct {
  const char *name;
  const gs_kernel *kernel;
  double (*f)(double);
  char kinds; /* f: floats, s: signed too, u: all */
} unaries[] = {{"abs", &gs_kernel_abs, fabs, 'u'},
               {"neg", &gs_kernel_neg, f_neg, 's'},
               {"sign", &gs_kernel_sign, f_sign, 'u'},
               {"relu", &gs_kernel_relu, f_relu, 's'},
               {"identity", &gs_kernel_identity, f_same, 'u'},
               {"ceil", &gs_kernel_ceil, ceil, 'f'},
               {"floor", &gs_kernel_floor, floor, 'f'},
               {"round", &gs_kernel_round, rint, 'f'},
               {"reciprocal", &gs_kernel_reciprocal, f_recip, 'f'},
               {"sqrt", &gs_kernel_sqrt, sqrt, 'f'},
               {"exp", &gs_kernel_exp, exp, 'f'},
               {"log", &gs_kernel_log, log, 'f'},
               {"sin", &gs_kernel_sin, sin, 'f'},
               {"cos", &gs_kernel_cos, cos, 'f'},
               {"tanh", &gs_kernel_tanh, tanh, 'f'},
               {"erf", &gs_kernel_erf, erf, 'f'},
               {"sigmoid", &gs_kernel_sigmoid, f_sigmoid, 'f'},
               {"softplus", &gs_kernel_softplus, f_softplus, 'f'},
               {"gelu", &gs_kernel_gelu, f_gelu, 'f'}};
enum { NUNARY = sizeof unaries / sizeof *unaries };

START_TEST(unary_ops) {
  int64_t sizes[] = {0, 1, 3, 17, 1025, 5000};
  for (int t = 0; t < NTYPE; t++) {
    char c = gs_dtype_get((int)types[t])->cls;
    for (int s = 0; s < 6; s++) {
      harness h;
      h_init(&h);
      int64_t dims[] = {sizes[s], 0};
      gs_view *a = h_in(&h, types[t], 1, dims);
      gs_view *o = h_out(&h, types[t], 1, dims);
      if ((c == 'i' && unaries[_i].kinds == 'f') ||
          (c == 'u' && unaries[_i].kinds != 'u')) {
        ck_assert_int_eq(h_prep(&h, unaries[_i].kernel), GS_UNSUPPORTED);
      } else {
        uint64_t seed = 3;
        for (int64_t i = 0; i < a->n; i++) {
          double x = h_random(&seed) * 10 - (c == 'u' ? 0 : 5);
          h_put(a, i, x);
        }
        h_ok(&h, unaries[_i].kernel);
        for (int64_t i = 0; i < a->n; i++) {
          double x = h_get(a, i), want = unaries[_i].f(x), got = h_get(o, i);
          /* Where 1 + erf cancels only the absolute error is bounded. */
          if (unaries[_i].kernel == &gs_kernel_gelu && fabs(got - want) < 2e-6)
            continue;
          near_enough(unaries[_i].name, types[t], i, got, want);
        }
        /* In place: the same bits. */
        size_t bytes = (size_t)gs_dtype_bytes((int)types[t], o->n);
        char *want = malloc(bytes + 1);
        memcpy(want, o->data, bytes);
        free(o->data);
        o->data = a->data;
        h_ok(&h, unaries[_i].kernel);
        ck_assert(!memcmp(o->data, want, bytes));
        free(want);
      }
      h_drop(&h);
      h_free(&h);
    }
  }
}
END_TEST

/* out == in[0], against a run with separate memory; also with the second
 * operand broadcast, and with a misaligned operand. */
START_TEST(in_place) {
  const gs_dtype t[] = {GS_FLOAT, GS_FLOAT16, GS_INT32, GS_DOUBLE};
  int64_t dims[] = {61, 47, 0}, row[] = {47, 0};
  harness h;
  h_init(&h);
  gs_view *a = h_in(&h, t[_i], 2, dims), *b = h_in(&h, t[_i], 1, row);
  gs_view *o = h_out(&h, t[_i], 2, dims);
  size_t bytes = (size_t)gs_dtype_bytes((int)t[_i], o->n);
  fill(a, false, 5);
  fill(b, true, 6);
  h_ok(&h, &gs_kernel_div);
  char *want = malloc(bytes), *odd = malloc(bytes + 1);
  memcpy(want, o->data, bytes);
  void *keep = a->data;
  memcpy(odd + 1, a->data, bytes);
  a->data = odd + 1; /* as in a file mapped at an odd offset */
  memset(o->data, 0, bytes);
  h_ok(&h, &gs_kernel_div);
  ck_assert_mem_eq(o->data, want, bytes);
  a->data = keep;
  free(o->data);
  o->data = a->data;
  h_ok(&h, &gs_kernel_div);
  ck_assert_mem_eq(o->data, want, bytes);
  free(want);
  free(odd);
  h_drop(&h);
  h_free(&h);
}
END_TEST

/* Sum, Mean, Max of several operands of different shapes; in place, with the
 * first operand standing twice in the list. */
START_TEST(variadic) {
  const gs_dtype t[] = {GS_FLOAT, GS_FLOAT16, GS_BFLOAT16, GS_DOUBLE};
  const gs_kernel *ks[] = {&gs_kernel_sum, &gs_kernel_mean, &gs_kernel_max,
                           &gs_kernel_min};
  for (int op = 0; op < 4; op++)
    for (int place = 0; place < 2; place++) {
      harness h;
      h_init(&h);
      int64_t whole[] = {5, 301, 0}, row[] = {301, 0}, col[] = {5, 1, 0};
      gs_view *a = h_in(&h, t[_i], 2, whole), *b = h_in(&h, t[_i], 1, row);
      gs_view *c = h_in(&h, t[_i], 2, col);
      h.in[h.k.nin++] = *a;
      fill(a, 0, 1), fill(b, 0, 2), fill(c, 0, 3);
      double want[5 * 301];
      for (int i = 0; i < 5 * 301; i++) {
        double v[] = {h_get(a, i), h_get(b, i % 301), h_get(c, i / 301),
                      h_get(a, i)};
        want[i] = v[0];
        for (int j = 1; j < 4; j++)
          want[i] = op < 2   ? want[i] + v[j]
                    : op < 3 ? f_max(want[i], v[j])
                             : f_min(want[i], v[j]);
        if (op == 1) want[i] /= 4;
      }
      gs_view *o = h_out(&h, t[_i], 2, whole);
      if (place) free(o->data), o->data = a->data;
      h_ok(&h, ks[op]);
      for (int i = 0; i < 5 * 301; i++)
        near_enough("variadic", t[_i], i, h_get(o, i), want[i]);
      h.k.nin--;
      h_drop(&h);
      h_free(&h);
    }
}
END_TEST

START_TEST(integer_edges) {
  harness h;
  h_init(&h);
  int64_t dims[] = {4, 0};
  gs_view *a = h_in(&h, GS_INT32, 1, dims), *b = h_in(&h, GS_INT32, 1, dims);
  gs_view *o = h_out(&h, GS_INT32, 1, dims);
  int32_t x[] = {INT32_MIN, 7, -7, INT32_MIN}, y[] = {-1, 0, 2, 0}, r[4];
  memcpy(a->data, x, sizeof x);
  memcpy(b->data, y, sizeof y);
  h_ok(&h, &gs_kernel_div);
  memcpy(r, o->data, sizeof r);
  ck_assert(r[0] == INT32_MIN && r[1] == 0 && r[2] == -3 && r[3] == 0);
  h_ok(&h, &gs_kernel_mod);
  memcpy(r, o->data, sizeof r);
  ck_assert(r[0] == 0 && r[1] == 0 && r[2] == 1 && r[3] == 0);
  gs_node_set_int(h.graph, h.node, "fmod", 1);
  h_ok(&h, &gs_kernel_mod);
  memcpy(r, o->data, sizeof r);
  ck_assert(r[2] == -1);
  h_ok(&h, &gs_kernel_mul);
  h_ok(&h, &gs_kernel_sub);
  h.k.nin = 1;
  h_ok(&h, &gs_kernel_abs);
  memcpy(r, o->data, sizeof r);
  ck_assert(r[0] == INT32_MIN && r[2] == 7);
  h.k.nin = 2;
  h_drop(&h);
  h_free(&h);
}
END_TEST

START_TEST(powers) {
  const struct {
    gs_dtype base, exponent;
  } p[] = {{GS_FLOAT, GS_FLOAT},   {GS_FLOAT, GS_INT64},
           {GS_DOUBLE, GS_FLOAT},  {GS_FLOAT16, GS_INT32},
           {GS_INT32, GS_INT32},   {GS_INT64, GS_FLOAT},
           {GS_BFLOAT16, GS_FLOAT}, {GS_INT32, GS_UINT8}};
  for (size_t c = 0; c < sizeof p / sizeof *p; c++) {
    harness h;
    h_init(&h);
    int64_t dims[] = {6, 0};
    gs_view *a = h_in(&h, p[c].base, 1, dims);
    gs_view *b = h_in(&h, p[c].exponent, 1, dims);
    gs_view *o = h_out(&h, p[c].base, 1, dims);
    double x[] = {2, 3, -2, 1, 0, 5}, y[] = {3, 2, 3, 7, 0, 1};
    for (int i = 0; i < 6; i++) h_put(a, i, x[i]), h_put(b, i, y[i]);
    h_ok(&h, &gs_kernel_pow);
    for (int i = 0; i < 6; i++)
      near_enough("pow", p[c].base, i, h_get(o, i), pow(x[i], y[i]));
    h_drop(&h);
    h_free(&h);
  }
}
END_TEST

START_TEST(nan_and_inf) {
  harness h;
  h_init(&h);
  int64_t dims[] = {5, 0};
  float x[] = {NAN, 1, INFINITY, -INFINITY, 2}, y[] = {1, NAN, 3, 3, 2}, r[5];
  uint8_t u[5];
  gs_view *a = h_in(&h, GS_FLOAT, 1, dims), *b = h_in(&h, GS_FLOAT, 1, dims);
  gs_view *o = h_out(&h, GS_FLOAT, 1, dims);
  memcpy(a->data, x, sizeof x);
  memcpy(b->data, y, sizeof y);
  h_ok(&h, &gs_kernel_max);
  memcpy(r, o->data, sizeof r);
  ck_assert(isnan(r[0]) && isnan(r[1]) && isinf(r[2]) && r[3] == 3);
  h_ok(&h, &gs_kernel_min);
  memcpy(r, o->data, sizeof r);
  ck_assert(isnan(r[0]) && isnan(r[1]) && r[2] == 3 && r[3] < -1e30f);
  h.k.nin = 1;
  free(o->data);
  *o = h_view(&h, GS_BOOL, 1, dims);
  h_ok(&h, &gs_kernel_isnan);
  memcpy(u, o->data, 5);
  ck_assert(u[0] && !u[1] && !u[2]);
  h_ok(&h, &gs_kernel_isinf);
  memcpy(u, o->data, 5);
  ck_assert(!u[0] && u[2] && u[3] && !u[4]);
  gs_node_set_int(h.graph, h.node, "detect_negative", 0);
  h_ok(&h, &gs_kernel_isinf);
  memcpy(u, o->data, 5);
  ck_assert(u[2] && !u[3]);
  h.k.nin = 2;
  h_drop(&h);
  h_free(&h);
}
END_TEST

START_TEST(clip_and_where) {
  for (int t = 0; t < NTYPE; t++)
    for (int which = 0; which < 4; which++) {
      harness h;
      h_init(&h);
      int64_t dims[] = {1301, 0};
      gs_view *a = h_in(&h, types[t], 1, dims);
      if (which & 1) h_put(h_in(&h, types[t], 0, dims + 1), 0, 2);
      else h_absent(&h);
      if (which & 2) h_put(h_in(&h, types[t], 0, dims + 1), 0, 4);
      gs_view *o = h_out(&h, types[t], 1, dims);
      fill(a, false, 9);
      h_ok(&h, &gs_kernel_clip);
      for (int64_t i = 0; i < a->n; i++) {
        double want = h_get(a, i);
        if (which & 1) want = fmax(want, 2);
        if (which & 2) want = fmin(want, 4);
        ck_assert_double_eq(h_get(o, i), want);
      }
      h_drop(&h);
      h_free(&h);
    }
  for (int t = 0; t < NTYPE; t++) {
    harness h;
    h_init(&h);
    int64_t c[] = {31, 1, 0}, a[] = {57, 0}, o[] = {31, 57, 0};
    h_in(&h, GS_BOOL, 2, c);
    h_in(&h, types[t], 1, a);
    h_in(&h, types[t], 0, a);
    h_out(&h, types[t], 2, o);
    for (int i = 0; i < 31; i++) h_put(&h.in[0], i, i % 3 == 0);
    fill(&h.in[1], false, 4);
    h_put(&h.in[2], 0, 6);
    h_ok(&h, &gs_kernel_where);
    for (int i = 0; i < 31 * 57; i++)
      ck_assert_double_eq(h_get(&h.out[0], i),
                          i / 57 % 3 == 0 ? h_get(&h.in[1], i % 57) : 6);
    h_drop(&h);
    h_free(&h);
  }
}
END_TEST

START_TEST(logic) {
  harness h;
  h_init(&h);
  int64_t dims[] = {4, 0};
  uint8_t x[] = {0, 0, 1, 1}, y[] = {0, 1, 0, 1}, r[4];
  memcpy(h_in(&h, GS_BOOL, 1, dims)->data, x, 4);
  memcpy(h_in(&h, GS_BOOL, 1, dims)->data, y, 4);
  h_out(&h, GS_BOOL, 1, dims);
  const gs_kernel *ks[] = {&gs_kernel_and, &gs_kernel_or, &gs_kernel_xor,
                           &gs_kernel_equal};
  for (int op = 0; op < 4; op++) {
    h_ok(&h, ks[op]);
    memcpy(r, h.out[0].data, 4);
    for (int i = 0; i < 4; i++)
      ck_assert_int_eq(r[i], op == 0   ? (x[i] & y[i])
                             : op == 1 ? (x[i] | y[i])
                             : op == 2 ? (x[i] ^ y[i])
                                       : (x[i] == y[i]));
  }
  h_drop(&h);
  h_free(&h);
}
END_TEST

/* A broken shape is an error that names the node; complex numbers have no
 * arithmetic. */
START_TEST(refusals) {
  harness h;
  h_init(&h);
  int64_t a[] = {3, 0}, b[] = {4, 0};
  h_in(&h, GS_FLOAT, 1, a);
  h_in(&h, GS_FLOAT, 1, b);
  h_out(&h, GS_FLOAT, 1, b);
  ck_assert_int_eq(h_prep(&h, &gs_kernel_add), GS_DATA);
  h_drop(&h);
  h_in(&h, GS_COMPLEX64, 1, a);
  h_in(&h, GS_COMPLEX64, 1, a);
  h_out(&h, GS_COMPLEX64, 1, a);
  ck_assert_int_eq(h_prep(&h, &gs_kernel_add), GS_UNSUPPORTED);
  ck_assert_ptr_nonnull(strstr(h.err.diag[1].text, "c64"));
  h_drop(&h);
  h_in(&h, GS_INT4, 1, a);
  h_out(&h, GS_INT4, 1, a);
  ck_assert_int_eq(h_prep(&h, &gs_kernel_abs), GS_UNSUPPORTED);
  h_drop(&h);
  h_free(&h);
}
END_TEST

/* Large enough for several threads: the same bytes as with one. */
START_TEST(threads) {
  int64_t dims[] = {301, 1001, 0}, col[] = {301, 1, 0};
  harness h;
  h_init(&h);
  h_in(&h, GS_FLOAT, 2, dims);
  h_in(&h, GS_FLOAT, 2, col);
  h_out(&h, GS_FLOAT, 2, dims);
  fill(&h.in[0], false, 1);
  fill(&h.in[1], true, 2);
  h_ok(&h, &gs_kernel_div);
  size_t bytes = (size_t)h.out[0].n * 4;
  char *want = malloc(bytes);
  memcpy(want, h.out[0].data, bytes);
  for (int n = 2; n < 6; n++) {
    memset(h.out[0].data, 0, bytes);
    h.k.threads = n;
    h_ok(&h, &gs_kernel_div);
    ck_assert_mem_eq(want, h.out[0].data, bytes);
  }
  free(want);
  h_drop(&h);
  h_free(&h);
}
END_TEST

/* Training draws the numbers of RandomUniform under the output's name, or
 * under the attribute seed; computed in f32, f64 for f64. */
START_TEST(dropout) {
  static const gs_dtype floats[] = {GS_FLOAT, GS_DOUBLE, GS_FLOAT16,
                                    GS_BFLOAT16};
  int64_t dims[] = {50, 61}, one[] = {1};
  gs_dtype t = floats[_i % 4];
  harness h;
  h_init(&h);
  gs_value *v = gs_value_new(h.graph, "y", t, 2, dims);
  h.node = gs_node_new(h.graph, "", "Dropout", "node", 0, 1);
  gs_node_output(h.node, 0, v);
  h.k.node = h.node;
  gs_uniform u = {.dtype = GS_FLOAT, .low = 0, .high = 1, .key = 77};
  if (_i < 4) u.key = gs_stream_key("y", 0);
  else gs_node_set_int(h.graph, h.node, "seed", 77);
  gs_view *x = h_in(&h, t, 2, dims), *y = h_out(&h, t, 2, dims);
  fill(x, false, 9);
  gs_view *ratio = h_in(&h, GS_FLOAT, 1, one);
  h_put(ratio, 0, 0.3);
  gs_view *training = h_in(&h, GS_BOOL, 0, NULL);
  h_put(training, 0, 1);
  gs_view *mask = h_out(&h, GS_BOOL, 2, dims);
  h.k.threads = 2;
  h_ok(&h, &gs_kernel_dropout);
  float *draw = malloc((size_t)x->n * sizeof *draw);
  gs_uniform_fill(&u, 0, x->n, draw);
  int64_t kept = 0;
  for (int64_t i = 0; i < x->n; i++) {
    bool keep = draw[i] >= 0.3f;
    kept += keep;
    ck_assert_int_eq(((const uint8_t *)mask->data)[i], keep);
    double scaled = h_get(x, i) * (1 / (1 - (double)0.3f));
    if (t != GS_DOUBLE) scaled = (float)h_get(x, i) * (1 / (1 - 0.3f));
    uint64_t want = 0, got = 0;
    scaled = keep ? scaled : 0;
    gs_convert(t, &want, GS_DOUBLE, &scaled, 1, NULL);
    size_t size = (size_t)gs_dtype_get((int)t)->bits / 8;
    memcpy(&got, (const char *)y->data + (size_t)i * size, size);
    ck_assert_msg(got == want, "element %d", (int)i);
  }
  ck_assert(kept > x->n * 6 / 10 && kept < x->n * 8 / 10);
  h_put(training, 0, 0);
  h_ok(&h, &gs_kernel_dropout);
  ck_assert_mem_eq(y->data, x->data, (size_t)gs_dtype_bytes((int)t, x->n));
  for (int64_t i = 0; i < x->n; i++)
    ck_assert_int_eq(((const uint8_t *)mask->data)[i], 1);
  free(draw);
  h_drop(&h);
  h_free(&h);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("all");
  tcase_add_loop_test(t, binary_ops, 0, NBINARY);
  tcase_add_loop_test(t, unary_ops, 0, NUNARY);
  tcase_add_loop_test(t, in_place, 0, 4);
  tcase_add_loop_test(t, variadic, 0, 4);
  tcase_add_loop_test(t, dropout, 0, 8);
  const TTest *const all[] = {integer_edges,  powers, nan_and_inf,
                              clip_and_where, logic,  refusals,
                              threads};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    tcase_add_test(t, all[i]);
  return suite_run("kernel_point", t);
}
