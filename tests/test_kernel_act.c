/* Loops of kernel/pointwise/activations.h against libm in double, and the
 * promise that an element's bits do not depend on where it stands. */
#include "kernel/pointwise/activations.h"
#include "kernel_harness.h"
#include "suite.h"

typedef double reference(double x);

static double elu(double x) { return x > 0 ? x : expm1(x); }
static double elu2(double x) { return x > 0 ? x : 1.5 * expm1(x); }
static double selu(double x) { return 0.5 * elu2(x); }
static double celu(double x) { return x > 0 ? x : 1.5 * expm1(x / 1.5); }
static double mish(double x) { return x * tanh(log1p(exp(x))); }
static double swish(double x) { return x / (1 + exp(-1.5 * x)); }
static double softsign(double x) { return x / (1 + fabs(x)); }
static double hard_swish(double x) {
  double u = x / 6 + 0.5;
  return x * (u < 0 ? 0 : u > 1 ? 1 : u);
}

static const struct function {
  const char *name;
  gs_act_id loop;
  double param[2];
  reference *f;
  double lo, hi; /* range swept */
  double ulp;    /* error allowed in units of the result's last place */
  double absolute; /* or, where larger, this */
} functions[] = {
    {"elu", GS_ACT_ELU, {1, 0}, elu, -90, 5, 2, 0},
    {"elu near 0", GS_ACT_ELU, {1, 0}, elu, -1, 1, 3, 0},
    {"elu, 1.5", GS_ACT_ELU, {1.5, 0}, elu2, -5, 1, 4, 0},
    {"selu", GS_ACT_SELU, {1.5, 0.5}, selu, -5, 1, 4, 0},
    {"celu", GS_ACT_CELU, {1.5, 0}, celu, -5, 1, 4, 0},
    {"mish", GS_ACT_MISH, {0, 0}, mish, -80, 30, 8, 0},
    {"mish near 0", GS_ACT_MISH, {0, 0}, mish, -2, 2, 5, 0},
    {"swish", GS_ACT_SWISH, {1.5, 0}, swish, -8, 20, 12, 0},
    {"softsign", GS_ACT_SOFTSIGN, {0, 0}, softsign, -9, 9, 2, 0},
    {"hard swish", GS_ACT_HARD_SWISH, {1.0 / 6, 0.5}, hard_swish, -5, 5, 2,
     5e-7},
    {"asin", GS_ACT_ASIN, {0, 0}, asin, -1, 1, 1.5, 0},
    {"atanh", GS_ACT_ATANH, {0, 0}, atanh, -0.999, 0.999, 2.5, 0},
    {"sinh", GS_ACT_SINH, {0, 0}, sinh, -20, 20, 3, 0}};
enum { NFUNCTION = sizeof functions / sizeof *functions, N = 1 << 17 };

/* The distance between floats at |x|. */
static double ulp_of(double x) {
  float f = fabsf((float)x);
  if (f < 0x1p-126f) f = 0x1p-126f;
  return (double)nextafterf(f, INFINITY) - (double)f;
}

START_TEST(accuracy) {
  const struct function *c = &functions[_i];
  float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  for (int i = 0; i < N; i++)
    x[i] = (float)(c->lo + (c->hi - c->lo) * i / (N - 1));
  const void *in[] = {x};
  gs_act_get(c->loop, GS_FLOAT)(y, in, N, c->param);
  double worst = 0, at = 0;
  for (int i = 0; i < N; i++) {
    double want = c->f((double)x[i]);
    double d = fabs((double)y[i] - want);
    if (d <= c->absolute) continue;
    if (d / ulp_of(want) > worst) worst = d / ulp_of(want), at = (double)x[i];
  }
  if (getenv("VERBOSE")) printf("%s %.2f ulp at %g\n", c->name, worst, at);
  ck_assert_msg(worst <= c->ulp, "%s: %.2f ulp at %g", c->name, worst, at);
  free(x);
  free(y);
}
END_TEST

static float one(gs_act_id id, float x, double a) {
  const void *in[] = {&x, &x};
  const double param[] = {a, 1};
  float y;
  gs_act_get(id, GS_FLOAT)(&y, in, 1, param);
  return y;
}

START_TEST(special_values) {
  const float inf = INFINITY;
  ck_assert(one(GS_ACT_ELU, inf, 1) == inf && one(GS_ACT_ELU, -inf, 1) == -1);
  ck_assert(one(GS_ACT_SELU, -inf, 2) == -2);
  ck_assert(one(GS_ACT_CELU, -inf, 2) == -2 && one(GS_ACT_CELU, 3, -1) == 3);
  ck_assert(one(GS_ACT_MISH, inf, 0) == inf && one(GS_ACT_MISH, 90, 0) == 90);
  ck_assert(one(GS_ACT_SWISH, inf, 1) == inf && one(GS_ACT_SWISH, 0, 1) == 0);
  ck_assert(one(GS_ACT_THRESHOLDED_RELU, NAN, 1) == 0);
  gs_act_id all[] = {GS_ACT_ELU,   GS_ACT_SELU,     GS_ACT_CELU,
                     GS_ACT_MISH,  GS_ACT_SWISH,    GS_ACT_SOFTSIGN,
                     GS_ACT_PRELU, GS_ACT_HARD_SIGMOID, GS_ACT_LEAKY_RELU};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    ck_assert(isnan(one(all[i], NAN, 1)));
}
END_TEST

/* n at once, at odd offsets and one by one must give the same bits. */
START_TEST(bits_do_not_depend_on_place) {
  enum { M = 333 };
  uint64_t seed = 7;
  float x[M], y[M], all[M], part[M + 8], inplace[M];
  const double param[] = {1.25, 0.5};
  for (int i = 0; i < M; i++) {
    x[i] = (float)((h_random(&seed) - 0.5) * (i % 3 ? 8 : 180));
    y[i] = (float)(h_random(&seed) * 4);
  }
  x[5] = INFINITY, x[6] = -INFINITY, x[7] = NAN, x[8] = 0, x[9] = -0.0f;
  for (int id = 0; id < GS_NACT; id++) {
    gs_loop *loop = gs_act_get((gs_act_id)id, GS_FLOAT);
    const void *in[] = {x, y};
    loop(all, in, M, param);
    for (int from = 0; from < 20; from++)
      for (int n = 1; from + n <= M; n += n < 40 ? 1 : 97) {
        const void *sub[] = {x + from, y + from};
        loop(part + from % 8, sub, n, param);
        ck_assert_msg(!memcmp(all + from, part + from % 8,
                              (size_t)n * sizeof *all),
                      "loop %d, elements %d + %d", id, from, n);
      }
    memcpy(inplace, x, sizeof x);
    const void *self[] = {inplace, y};
    loop(inplace, self, M, param);
    ck_assert_msg(!memcmp(inplace, all, sizeof all), "loop %d in place", id);
  }
}
END_TEST

/* Shifts by the width or more, by less than 0, of the least number. */
START_TEST(shifts) {
  const double x[] = {-128, -1, 127, -3, 5}, by[] = {1, 8, 7, -1, 100};
  const double left[] = {0, 0, -128, 0, 0}, right[] = {-64, -1, 0, -1, 0};
  for (int way = 0; way < 2; way++) {
    harness h;
    h_init(&h);
    gs_node_set_string(h.graph, h.node, "direction", way ? "RIGHT" : "LEFT");
    const int64_t dims[] = {5};
    gs_view *a = h_in(&h, GS_INT8, 1, dims), *b = h_in(&h, GS_INT8, 1, dims);
    gs_view *o = h_out(&h, GS_INT8, 1, dims);
    for (int i = 0; i < 5; i++) {
      h_put(a, i, x[i]);
      h_put(b, i, by[i]);
    }
    h_ok(&h, gs_kernel_of(gs_op_find("", "BitShift")));
    for (int i = 0; i < 5; i++)
      ck_assert_double_eq(h_get(o, i), way ? right[i] : left[i]);
    h_drop(&h);
    h_free(&h);
  }
}
END_TEST

int main(void) {
  TCase *t = tcase_create("kernel_act");
  tcase_add_loop_test(t, accuracy, 0, NFUNCTION);
  tcase_add_test(t, special_values);
  tcase_add_test(t, bits_do_not_depend_on_place);
  tcase_add_test(t, shifts);
  return suite_run("kernel_act", t);
}
