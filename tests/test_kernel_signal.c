/* Transforms of kernel/signal/fft.h against sums in long double; that lanes do
 * not see each other, and that an inverse leads back. */
#include "kernel/signal/fft.h"
#include "kernel_harness.h"
#include "suite.h"

static double sample(int64_t i) { return sin(1.7 * (double)i * (double)i); }

/* Largest error of the transform of length n, by the root mean square of the
 * result. */
static double error_of(int64_t n, const double *re, const double *im,
                       const double *yr, const double *yi) {
  const long double turn = 2 * 3.14159265358979323846264338328L;
  double worst = 0, square = 0;
  long double *c = calloc((size_t)n, sizeof *c);
  long double *d = calloc((size_t)n, sizeof *d);
  for (int64_t i = 0; i < n; i++) {
    c[i] = cosl(turn * (long double)i / (long double)n);
    d[i] = sinl(turn * (long double)i / (long double)n);
  }
  for (int64_t k = 0; k < n; k++) {
    long double sr = 0, si = 0;
    for (int64_t j = 0; j < n; j++) {
      int64_t i = j * k % n;
      sr += re[j] * c[i] + im[j] * d[i];
      si += im[j] * c[i] - re[j] * d[i];
    }
    worst = fmax(worst, hypot((double)(sr - yr[k]), (double)(si - yi[k])));
    square += (double)(sr * sr + si * si);
  }
  free(c);
  free(d);
  return worst / sqrt(square / (double)n);
}

static void transform(gs_arena *a, int64_t n, int lanes, double *re,
                      double *im) {
  const gs_fft *f;
  ck_assert_int_eq(gs_fft_new(a, n, &f, NULL), GS_OK);
  gs_fft_run(f, lanes, re, im, GS_NEWS(a, gs_fft_work(f) * lanes, double));
}

static void check_length(int64_t n) {
  enum { LANES = 3 };
  gs_arena a;
  gs_arena_init(&a);
  double *x[2], *y[2], *z[2];
  for (int p = 0; p < 2; p++) {
    x[p] = GS_NEWS(&a, n, double);
    y[p] = GS_NEWS(&a, n, double);
    z[p] = GS_NEWS(&a, n * LANES, double);
    for (int64_t i = 0; i < n; i++) {
      y[p][i] = x[p][i] = sample(2 * i + p);
      for (int l = 0; l < LANES; l++)
        z[p][i * LANES + l] = l == 1 ? x[p][i] : sample(i + l);
    }
  }
  transform(&a, n, 1, y[0], y[1]);
  transform(&a, n, LANES, z[0], z[1]);
  for (int64_t i = 0; i < n * 2; i++)
    ck_assert(!memcmp(&y[i / n][i % n], &z[i / n][i % n * LANES + 1],
                      sizeof(double)));
  double error = error_of(n, x[0], x[1], y[0], y[1]);
  ck_assert_msg(error < 3e-15, "length %lld: error %g", (long long)n, error);
  transform(&a, n, 1, y[1], y[0]); /* the inverse */
  for (int64_t i = 0; i < n; i++)
    for (int p = 0; p < 2; p++)
      ck_assert_double_eq_tol(y[p][i] / (double)n, x[p][i], 1e-14);
  gs_arena_free(&a);
}

START_TEST(every_length) {
  for (int64_t n = 1; n <= 130; n++) check_length(n);
}
END_TEST

/* Products of all radices, primes above the largest one, powers. */
START_TEST(long_lengths) {
  static const int64_t length[] = {210,  243,  256,  289,  341,  343,  509,
                                   961,  1000, 1009, 1024, 1021, 1155, 1369,
                                   1920, 2048};
  check_length(length[_i]);
}
END_TEST

START_TEST(refused) {
  gs_arena a;
  gs_err e;
  const gs_fft *f;
  gs_arena_init(&a);
  gs_err_init(&e);
  ck_assert_int_eq(gs_fft_new(&a, 0, &f, &e), GS_UNSUPPORTED);
  ck_assert_int_eq(gs_fft_new(&a, INT64_MAX, &f, &e), GS_UNSUPPORTED);
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("fft");
  tcase_add_test(t, every_length);
  tcase_add_loop_test(t, long_lengths, 0, 16);
  tcase_add_test(t, refused);
  return suite_run("kernel_signal", t);
}
