#include "kernel/signal/fft.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/isa.h"

enum { MAX_PASSES = 32, LARGEST_RADIX = 31 };

typedef struct pass {
  int radix;
  int64_t m;              /* length of what is left, by the radix */
  const double *re, *im;  /* [radix - 1][m] */
  const double *ur, *ui;  /* [radix] roots of unity */
} pass;

typedef void pass_fn(const pass *t, int64_t s, const double *xr,
                     const double *xi, double *yr, double *yi);

typedef struct loops {
  pass_fn *pass2, *pass3, *pass4, *passn;
  void (*turn)(double *xr, double *xi, const double *w, const double *v,
               int64_t n, int64_t lanes);
} loops;

#define GS_STAMP "kernel/signal/fft.inc"
#include "kernel/core/stamp.h"

struct gs_fft {
  int64_t n;
  int npass;
  pass pass[MAX_PASSES];
  /* Lengths with a large prime factor: */
  const gs_fft *longer;      /* of length m >= 2 n - 1, else NULL */
  const double *cr, *ci;     /* [n] e^(-pi i k^2 / n) */
  const double *hr, *hi;     /* [m] transform of its conjugate, by m */
};

/* e^(-2 pi i k / n), from angles of at most an eighth of a turn. */
static void root(int64_t k, int64_t n, double *re, double *im) {
  const double pi = 3.14159265358979323846;
  gs_assert(k >= 0 && n >= 1 && n <= (int64_t)1 << 33);
  k %= n;
  int64_t eighth = 8 * k / n; /* n is at most 2^32 */
  int64_t quarter = (eighth + 1) / 2;
  double x = pi / 2 * (double)(4 * k - quarter * n) / (double)n;
  double c = cos(x), s = sin(x);
  switch (quarter & 3) {
  case 0: *re = c, *im = -s; break;
  case 1: *re = -s, *im = -c; break;
  case 2: *re = -c, *im = s; break;
  default: *re = s, *im = c;
  }
}

static void add_pass(gs_arena *a, gs_fft *f, int radix, int64_t left) {
  gs_assert(f->npass < MAX_PASSES && left % radix == 0);
  pass *t = &f->pass[f->npass++];
  int64_t m = left / radix;
  double *re = GS_NEWS(a, (radix - 1) * m, double);
  double *im = GS_NEWS(a, (radix - 1) * m, double);
  double *ur = GS_NEWS(a, radix, double), *ui = GS_NEWS(a, radix, double);
  for (int k = 1; k < radix; k++)
    for (int64_t p = 0; p < m; p++)
      root(k * p, left, &re[(k - 1) * m + p], &im[(k - 1) * m + p]);
  for (int k = 0; k < radix; k++) root(k, radix, &ur[k], &ui[k]);
  *t = (pass){radix, m, re, im, ur, ui};
}

/* True when n is taken apart whole. */
static bool small_factors(gs_arena *a, gs_fft *f) {
  int64_t left = f->n;
  for (int r = 2; r <= LARGEST_RADIX; r++)
    while (left % r == 0) left /= r;
  if (left > 1) return false;
  left = f->n;
  for (; left % 4 == 0; left /= 4) add_pass(a, f, 4, left);
  for (int r = 2; left > 1; r++)
    for (; left % r == 0; left /= r) add_pass(a, f, r, left);
  return true;
}

static gs_status chirp(gs_arena *a, gs_fft *f, gs_err *e) {
  int64_t n = f->n, m = 1;
  while (m < 2 * n - 1) m *= 2;
  gs_assert(m >= 2 * n - 1);
  GS_TRY(gs_fft_new(a, m, &f->longer, e));
  double *cr = GS_NEWS(a, n, double), *ci = GS_NEWS(a, n, double);
  double *hr = GS_NEWS(a, m, double), *hi = GS_NEWS(a, m, double);
  int64_t square = 0; /* k^2 mod 2 n */
  for (int64_t k = 0; k < n; k++) {
    root(square, 2 * n, &cr[k], &ci[k]);
    square = (square + 2 * k + 1) % (2 * n);
    hr[k] = cr[k] / (double)m;
    hi[k] = -ci[k] / (double)m;
    if (k) {
      hr[m - k] = hr[k];
      hi[m - k] = hi[k];
    }
  }
  gs_arena own;
  gs_arena_init(&own);
  gs_fft_run(f->longer, 1, hr, hi, GS_NEWS(&own, gs_fft_work(f->longer),
                                           double));
  gs_arena_free(&own);
  f->cr = cr;
  f->ci = ci;
  f->hr = hr;
  f->hi = hi;
  return GS_OK;
}

gs_status gs_fft_new(gs_arena *a, int64_t n, const gs_fft **out, gs_err *e) {
  gs_fft *f = GS_NEW(a, gs_fft);
  *out = f;
  f->n = n;
  if (n < 1 || n > (int64_t)1 << 32)
    return gs_fail(e, GS_UNSUPPORTED, NULL, "a transform of length %lld",
                   (long long)n);
  if (small_factors(a, f)) return GS_OK;
  if (n > (int64_t)1 << 30)
    return gs_fail(e, GS_UNSUPPORTED, NULL,
                   "a transform of length %lld, which has a prime factor "
                   "above %d", (long long)n, LARGEST_RADIX);
  return chirp(a, f, e);
}

int64_t gs_fft_work(const gs_fft *f) {
  return f->longer ? 2 * f->longer->n + gs_fft_work(f->longer) : 2 * f->n;
}

static void run_passes(const gs_fft *f, const loops *l, int lanes, double *re,
                       double *im, double *work) {
  double *xr = re, *xi = im, *yr = work, *yi = work + f->n * lanes, *swap;
  int64_t s = lanes;
  for (int i = 0; i < f->npass; i++) {
    const pass *t = &f->pass[i];
    pass_fn *fn = t->radix == 2   ? l->pass2
                  : t->radix == 3 ? l->pass3
                  : t->radix == 4 ? l->pass4
                                  : l->passn;
    fn(t, s, xr, xi, yr, yi);
    s *= t->radix;
    swap = xr, xr = yr, yr = swap;
    swap = xi, xi = yi, yi = swap;
  }
  if (xr == re) return;
  memcpy(re, xr, (size_t)(f->n * lanes) * sizeof *re);
  memcpy(im, xi, (size_t)(f->n * lanes) * sizeof *im);
}

/* x[k] c[k], convolved with the conjugate of c, times c[k]. */
static void run_chirp(const gs_fft *f, const loops *l, int lanes, double *re,
                      double *im, double *work) {
  int64_t n = f->n * lanes, m = f->longer->n * lanes;
  double *zr = work, *zi = work + m, *rest = work + 2 * m;
  l->turn(re, im, f->cr, f->ci, f->n, lanes);
  memcpy(zr, re, (size_t)n * sizeof *zr);
  memcpy(zi, im, (size_t)n * sizeof *zi);
  memset(zr + n, 0, (size_t)(m - n) * sizeof *zr);
  memset(zi + n, 0, (size_t)(m - n) * sizeof *zi);
  gs_fft_run(f->longer, lanes, zr, zi, rest);
  l->turn(zr, zi, f->hr, f->hi, f->longer->n, lanes);
  gs_fft_run(f->longer, lanes, zi, zr, rest);
  memcpy(re, zr, (size_t)n * sizeof *re);
  memcpy(im, zi, (size_t)n * sizeof *im);
  l->turn(re, im, f->cr, f->ci, f->n, lanes);
}

void gs_fft_run(const gs_fft *f, int lanes, double *re, double *im,
                double *work) {
  const loops *l = GS_PICK(&table);
  if (f->longer) run_chirp(f, l, lanes, re, im, work);
  else run_passes(f, l, lanes, re, im, work);
}
