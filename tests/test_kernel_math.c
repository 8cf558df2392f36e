/* Elementary functions of float against libm in double, and the promise that
 * an element's bits do not depend on where it stands. */
#include "base/isa.h"
#include "kernel/pointwise/activations.h"
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
    {"tanh", GS_LOOP_TANH, tanh, -12, 12, 6, 0},
    {"tanh near 0", GS_LOOP_TANH, tanh, -1, 1, 6, 0},
    {"erf", GS_LOOP_ERF, erf, -5, 5, 2, 0},
    {"erf near 0", GS_LOOP_ERF, erf, -1, 1, 2, 0},
    {"sigmoid", GS_LOOP_SIGMOID, sigmoid, -87, 40, 4, 0},
    {"softplus", GS_LOOP_SOFTPLUS, softplus, -80, 90, 4, 0},
    {"gelu", GS_LOOP_GELU, gelu, -8, 8, 4, 2e-7},
    {"gelu_tanh", GS_LOOP_GELU_TANH, gelu_tanh, -8, 8, 4, 3e-7},
    {"sin", GS_LOOP_SIN, sin, -1e5, 1e5, 0.6, 0},
    {"sin far", GS_LOOP_SIN, sin, 9e5, 1.1e6, 0.8, 0},
    {"sin near 0", GS_LOOP_SIN, sin, -1, 1, 0.6, 0},
    {"cos", GS_LOOP_COS, cos, -1e5, 1e5, 0.6, 0},
    {"cos very far", GS_LOOP_COS, cos, 1e5, 1e30, 0.8, 0},
    {"sqrt", GS_LOOP_SQRT, sqrt, 0, 1e30, 0.51, 0}};
enum { NFUNCTION = sizeof functions / sizeof *functions, N = 1 << 18 };

/* Those of float by a double, which is rounded once, and atan. */
static const struct act {
  const char *name;
  gs_act_id id;
  reference *f;
  double lo, hi, ulp;
} acts[] = {{"tan", GS_ACT_TAN, tan, -20, 20, 1},
            {"tan far", GS_ACT_TAN, tan, 9e5, 1.1e6, 1},
            {"asin", GS_ACT_ASIN, asin, -1, 1, 1},
            {"acos", GS_ACT_ACOS, acos, -1, 1, 1},
            {"acos near 1", GS_ACT_ACOS, acos, 0.9999, 1, 1},
            {"atan", GS_ACT_ATAN, atan, -10, 10, 2},
            {"atan far", GS_ACT_ATAN, atan, -1e9, 1e9, 2},
            {"sinh", GS_ACT_SINH, sinh, -88, 88, 1},
            {"sinh near 0", GS_ACT_SINH, sinh, -0.01, 0.01, 1},
            {"cosh", GS_ACT_COSH, cosh, -88, 88, 1},
            {"asinh", GS_ACT_ASINH, asinh, -4, 4, 1},
            {"asinh far", GS_ACT_ASINH, asinh, -1e30, 1e30, 1},
            {"acosh", GS_ACT_ACOSH, acosh, 1, 3, 1},
            {"acosh far", GS_ACT_ACOSH, acosh, 1, 1e30, 1},
            {"atanh", GS_ACT_ATANH, atanh, -1, 1, 1},
            {"atanh near 0", GS_ACT_ATANH, atanh, -1e-3, 1e-3, 1}};
enum { NACT = sizeof acts / sizeof *acts };

/* Of double, against long double. */
typedef long double long_reference(long double x);
static const struct wide {
  const char *name;
  gs_loop_id id;
  long_reference *f;
  double lo, hi, ulp;
} wides[] = {{"exp", GS_LOOP_EXP, expl, -708, 709, 2},
             {"exp near 0", GS_LOOP_EXP, expl, -1, 1, 1.5},
             {"log", GS_LOOP_LOG, logl, 1e-300, 1e5, 1},
             {"log near 1", GS_LOOP_LOG, logl, 0.5, 2, 1},
             {"tanh", GS_LOOP_TANH, tanhl, -20, 20, 4},
             {"tanh near 0", GS_LOOP_TANH, tanhl, -0.1, 0.1, 4}};
enum { NWIDE = sizeof wides / sizeof *wides };

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

START_TEST(accuracy_by_double) {
  const struct act *c = &acts[_i];
  float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  const double none[2] = {0};
  for (int i = 0; i < N; i++)
    x[i] = (float)(c->lo + (c->hi - c->lo) * i / (N - 1));
  const void *in[] = {x};
  gs_act_get(c->id, GS_FLOAT)(y, in, N, none);
  for (int i = 0; i < N; i++) {
    double want = c->f(x[i]), d = fabs((double)y[i] - want);
    if (isinf(want) || isinf((float)want)) ck_assert(isinf(y[i]));
    else
      ck_assert_msg(d <= c->ulp * ulp_of(want), "%s(%a): %.2f ulp", c->name,
                    x[i], d / ulp_of(want));
  }
  free(x);
  free(y);
}
END_TEST

START_TEST(accuracy_of_double) {
  const struct wide *c = &wides[_i];
  double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  for (int i = 0; i < N; i++) x[i] = c->lo + (c->hi - c->lo) * i / (N - 1);
  const void *in[] = {x};
  gs_loop_float(c->id, GS_DOUBLE)(y, in, N, NULL);
  for (int i = 0; i < N; i++) {
    long double want = c->f(x[i]);
    double near = fabs((double)want), step = nextafter(near, INFINITY) - near;
    double d = (double)fabsl(y[i] - want);
    ck_assert_msg(d <= c->ulp * step, "%s(%a): %.2f ulp", c->name, x[i],
                  d / step);
  }
  free(x);
  free(y);
}
END_TEST

static double one_d(gs_loop_id id, double x) {
  const void *in[] = {&x};
  double y;
  gs_loop_float(id, GS_DOUBLE)(&y, in, 1, NULL);
  return y;
}

static float act(gs_act_id id, float x) {
  const void *in[] = {&x};
  const double none[2] = {0};
  float y;
  gs_act_get(id, GS_FLOAT)(&y, in, 1, none);
  return y;
}

START_TEST(special_values_by_double) {
  const float inf = INFINITY;
  static const gs_act_id all[] = {GS_ACT_TAN,  GS_ACT_ASIN,  GS_ACT_ACOS,
                                  GS_ACT_ATAN, GS_ACT_SINH,  GS_ACT_COSH,
                                  GS_ACT_ASINH, GS_ACT_ACOSH, GS_ACT_ATANH};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    ck_assert(isnan(act(all[i], NAN)));
  ck_assert(isnan(act(GS_ACT_TAN, inf)) && isnan(act(GS_ACT_ASIN, 1.5f)));
  ck_assert(isnan(act(GS_ACT_ACOS, -1.5f)) && isnan(act(GS_ACT_ACOSH, 0.5f)));
  ck_assert(isnan(act(GS_ACT_ATANH, 2)) && act(GS_ACT_ATANH, 1) == inf);
  ck_assert(act(GS_ACT_ATANH, -1) == -inf && act(GS_ACT_ACOSH, inf) == inf);
  ck_assert(act(GS_ACT_ASINH, -inf) == -inf && act(GS_ACT_SINH, -inf) == -inf);
  ck_assert(act(GS_ACT_COSH, -inf) == inf && act(GS_ACT_SINH, 100) == inf);
  ck_assert(signbit(act(GS_ACT_ATAN, -0.0f)));
  ck_assert(signbit(act(GS_ACT_ASIN, -0.0f)));
  ck_assert(act(GS_ACT_ATAN, inf) == (float)M_PI_2);
  ck_assert(act(GS_ACT_ACOS, -1) == (float)M_PI && act(GS_ACT_ACOS, 1) == 0);
  ck_assert(one_d(GS_LOOP_EXP, 1000) == (double)inf);
  ck_assert(one_d(GS_LOOP_EXP, -1000) == 0 && one_d(GS_LOOP_EXP, -740) > 0);
  ck_assert(one_d(GS_LOOP_LOG, 0) == (double)-inf);
  ck_assert(isnan(one_d(GS_LOOP_LOG, -1)) && one_d(GS_LOOP_LOG, 1) == 0);
  ck_assert(fabs(one_d(GS_LOOP_LOG, 5e-324) + 744.4400719213812) < 1e-12);
  ck_assert(one_d(GS_LOOP_LOG, (double)inf) == (double)inf);
  ck_assert(one_d(GS_LOOP_TANH, (double)-inf) == -1);
  ck_assert(isnan(one_d(GS_LOOP_TANH, NAN)) && isnan(one_d(GS_LOOP_EXP, NAN)));
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

static float two(gs_loop_id id, float x, float y) {
  const void *in[] = {&x, &y};
  float z;
  gs_loop_float(id, GS_FLOAT)(&z, in, 1, NULL);
  return z;
}

/* Numbers of all kinds: the bits of floats that are spread evenly. */
static float any_float(uint64_t *seed) {
  uint32_t u = (uint32_t)(h_random(seed) * 0x1p32);
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

static bool same_number(float a, float b) {
  return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void check_pow(float x, float y) {
  double want = pow(x, y), got = two(GS_LOOP_POW, x, y);
  double d = fabs(got - want);
  bool cube = y == 3 && isfinite(want); /* three factors, rounded twice */
  ck_assert_msg(same_number((float)got, (float)want) ||
                    d <= (cube ? 1.01 : 1) * ulp_of(want),
                "%a ^ %a is %a, not %a", x, y, got, want);
}

START_TEST(powers) {
  static const float some[] = {0,     -0.0f,  1,        -1,       2,
                               -2,    3,      -3,       0.5f,     -0.5f,
                               1.5f,  -2.5f,  4,        1e-45f,   1e30f,
                               -1e30f, 16777215, INFINITY, -INFINITY, NAN};
  enum { M = sizeof some / sizeof *some };
  uint64_t seed = 3;
  for (int i = 0; i < M; i++)
    for (int j = 0; j < M; j++) check_pow(some[i], some[j]);
  for (int i = 0; i < 1 << 15; i++) {
    check_pow(any_float(&seed), any_float(&seed));
    float x = (float)(h_random(&seed) * 10);
    check_pow(x, (float)(h_random(&seed) * 60 - 30));
    check_pow(-x, (float)(i % 41 - 20));
    check_pow(any_float(&seed), some[i % M]);
  }
}
END_TEST

START_TEST(remainders) {
  uint64_t seed = 5;
  for (int i = 0; i < 1 << 16; i++) {
    float x = any_float(&seed), y = any_float(&seed);
    if (i % 2) { /* quotients of few bits */
      x = (float)(h_random(&seed) * 2000 - 1000);
      y = (float)(h_random(&seed) * 2 - 1);
      if (i % 8 == 1) x = rintf(x) * y;
    }
    float r = two(GS_LOOP_FMOD, x, y), want = fmodf(x, y);
    ck_assert_msg(same_number(r, want), "fmod(%a, %a) is %a, not %a", x, y, r,
                  want);
    want = want == 0 ? copysignf(0, y)
                     : (want < 0) != (y < 0) ? want + y : want;
    r = two(GS_LOOP_MOD, x, y);
    ck_assert_msg(same_number(r, want), "%a mod %a is %a, not %a", x, y, r,
                  want);
  }
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
        /* One bound for all elements. */
        const float *b = id == GS_LOOP_CLIP_SAME ? y : y + from;
        const void *sub[] = {x + from, b, b};
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
  tcase_add_loop_test(t, accuracy_by_double, 0, NACT);
  tcase_add_loop_test(t, accuracy_of_double, 0, NWIDE);
  tcase_add_test(t, special_values);
  tcase_add_test(t, special_values_by_double);
  tcase_add_test(t, powers);
  tcase_add_test(t, remainders);
  tcase_add_test(t, bits_do_not_depend_on_place);
  return suite_run("kernel_math", t);
}
