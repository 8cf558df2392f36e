/* Elementary functions of float against libm in double, and the promise that
 * an element's bits do not depend on where it stands. */
#include "kernel/core/isa.h"
#include "kernel/pointwise/loops.h"
#include "kernel_harness.h"
#include "suite.h"

typedef double reference(double x);

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) {
  return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}
static double gelu(double x) { return 0.5 * x * erfc(-x * M_SQRT1_2); }
static double gelu_tanh(double x) {
  double u = 0.79788456080286535588 * (x + 0.044715 * x * x * x);
  return x / (1 + exp(-2 * u));
}

static const struct function {
  const char *name;
  gs_loop_id loop;
  reference *f;
  double lo, hi;  /* range swept */
  double ulp;     /* error allowed in units of the result's last place */
  double absolute; /* or, where larger, this times max(1, |x|) */
} functions[] = {
    {"exp", GS_LOOP_EXP, exp, -104, 89, 1.5, 0},
    {"log", GS_LOOP_LOG, log, 1e-45, 1e5, 1.5, 0},
    {"log near 1", GS_LOOP_LOG, log, 0.5, 2, 1.5, 0},
    {"log large", GS_LOOP_LOG, log, 1, 3e38, 1.5, 0},
    {"tanh", GS_LOOP_TANH, tanh, -12, 12, 2, 0},
    {"tanh near 0", GS_LOOP_TANH, tanh, -1, 1, 2, 0},
    {"erf", GS_LOOP_ERF, erf, -5, 5, 2, 0},
    {"erf near 0", GS_LOOP_ERF, erf, -1, 1, 2, 0},
    {"sigmoid", GS_LOOP_SIGMOID, sigmoid, -87, 40, 4, 0},
    {"softplus", GS_LOOP_SOFTPLUS, softplus, -80, 90, 4, 0},
    {"gelu", GS_LOOP_GELU, gelu, -8, 8, 4, 2e-7},
    {"gelu_tanh", GS_LOOP_GELU_TANH, gelu_tanh, -8, 8, 4, 3e-7},
    {"sin", GS_LOOP_SIN, sin, -1e5, 1e5, 1.5, 0},
    {"cos", GS_LOOP_COS, cos, -1e5, 1e5, 1.5, 0},
    {"sqrt", GS_LOOP_SQRT, sqrt, 0, 1e30, 0.51, 0}};
enum { NFUNCTION = sizeof functions / sizeof *functions, N = 1 << 18 };

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
  gs_loop_float(c->loop, GS_FLOAT)(y, in, N, NULL);
  double worst = 0, at = 0;
  for (int i = 0; i < N; i++) {
    double want = c->f(x[i]);
    double d = fabs((double)y[i] - want);
    if (c->absolute > 0 && d <= c->absolute * fmax(1, fabs((double)x[i])))
      continue;
    if (d / ulp_of(want) > worst) worst = d / ulp_of(want), at = x[i];
  }
  if (getenv("VERBOSE")) printf("%s %.2f ulp at %g\n", c->name, worst, at);
  ck_assert_msg(worst <= c->ulp, "%s: %.2f ulp at %g", c->name, worst, at);
  free(x);
  free(y);
}
END_TEST

static float one(gs_loop_id id, float x) {
  const void *in[] = {&x};
  float y;
  gs_loop_float(id, GS_FLOAT)(&y, in, 1, NULL);
  return y;
}

START_TEST(special_values) {
  const float inf = INFINITY;
  ck_assert(one(GS_LOOP_EXP, inf) == inf && one(GS_LOOP_EXP, -inf) == 0);
  ck_assert(one(GS_LOOP_EXP, 0) == 1 && one(GS_LOOP_EXP, 200) == inf);
  ck_assert(one(GS_LOOP_EXP, -100) > 0); /* denormal */
  ck_assert(one(GS_LOOP_LOG, 0) == -inf && one(GS_LOOP_LOG, inf) == inf);
  ck_assert(isnan(one(GS_LOOP_LOG, -1)) && one(GS_LOOP_LOG, 1) == 0);
  ck_assert(one(GS_LOOP_TANH, inf) == 1 && one(GS_LOOP_TANH, -inf) == -1);
  ck_assert(one(GS_LOOP_TANH, 1e-30f) == 1e-30f);
  ck_assert(one(GS_LOOP_ERF, inf) == 1 && one(GS_LOOP_ERF, -inf) == -1);
  ck_assert(signbit(one(GS_LOOP_ERF, -0.0f)));
  ck_assert(one(GS_LOOP_SIGMOID, inf) == 1 && one(GS_LOOP_SIGMOID, -inf) == 0);
  ck_assert(one(GS_LOOP_SOFTPLUS, inf) == inf);
  ck_assert(one(GS_LOOP_SOFTPLUS, -inf) == 0);
  ck_assert(one(GS_LOOP_GELU, inf) == inf && one(GS_LOOP_GELU, 0) == 0);
  ck_assert(one(GS_LOOP_ROUND, 2.5f) == 2 && one(GS_LOOP_ROUND, -1.5f) == -2);
  gs_loop_id all[] = {GS_LOOP_EXP,     GS_LOOP_LOG,      GS_LOOP_TANH,
                      GS_LOOP_ERF,     GS_LOOP_SIGMOID,  GS_LOOP_SOFTPLUS,
                      GS_LOOP_GELU,    GS_LOOP_RELU,     GS_LOOP_SIGN,
                      GS_LOOP_ABS,     GS_LOOP_GELU_TANH, GS_LOOP_SIN};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    ck_assert(isnan(one(all[i], NAN)));
}
END_TEST

/* Every loop with one float operand: n at once, at odd offsets and one by
 * one must give the same bits. */
START_TEST(bits_do_not_depend_on_place) {
  enum { M = 333 };
  uint64_t seed = 7;
  float x[M], y[M], all[M], part[M + 8];
  const double param[] = {3, 1};
  for (int i = 0; i < M; i++) {
    x[i] = (float)((h_random(&seed) - 0.5) * (i % 3 ? 8 : 180));
    y[i] = (float)(h_random(&seed) * 4);
  }
  x[5] = INFINITY, x[6] = -INFINITY, x[7] = NAN, x[8] = 0, x[9] = -0.0f;
  for (int id = 0; id < GS_NLOOP; id++) {
    gs_loop *loop = gs_loop_float((gs_loop_id)id, GS_FLOAT);
    if (!loop) continue;
    memset(all, 0, sizeof all);
    size_t size = (id >= GS_LOOP_EQUAL && id <= GS_LOOP_LESS_OR_EQUAL) ||
                          id == GS_LOOP_ISINF || id == GS_LOOP_ISNAN
                      ? 1
                      : sizeof(float);
    const void *in[] = {x, y, y};
    loop(all, in, M, param);
    for (int from = 0; from < 20; from++)
      for (int n = 1; from + n <= M; n += n < 40 ? 1 : 97) {
        const void *sub[] = {x + from, y + from, y + from};
        loop(part + from % 8, sub, n, param);
        ck_assert_msg(!memcmp((char *)all + (size_t)from * size,
                              part + from % 8, (size_t)n * size),
                      "loop %d, elements %d + %d", id, from, n);
      }
    float inplace[M]; /* results of the operand's size only */
    if (size == 1) continue;
    memcpy(inplace, x, sizeof x);
    const void *self[] = {inplace, y, y};
    loop(inplace, self, M, param);
    ck_assert_msg(!memcmp(inplace, all, sizeof all), "loop %d in place", id);
  }
}
END_TEST

int main(void) {
  TCase *t = tcase_create("all");
  tcase_add_loop_test(t, accuracy, 0, NFUNCTION);
  tcase_add_test(t, special_values);
  tcase_add_test(t, bits_do_not_depend_on_place);
  return suite_run("kernel_math", t);
}
