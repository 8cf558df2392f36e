/* BlackmanWindow, HammingWindow, HannWindow, MelWeightMatrix: made in f64,
 * rounded once to the type that is asked for. */
#include <math.h>

#include "kernel/core/support.h"

/* a - b cos x + c cos 2 x, x one turn over the window (and, periodic, one
 * element more). */
static gs_status window(gs_kctx *k, double a, double b, double c) {
  const gs_view *y = &k->out[0];
  bool periodic = gs_node_int(k->node, "periodic", 1) != 0;
  const double turn = 2 * 3.14159265358979323846;
  int64_t size;
  int n;
  GS_TRY(gs_kernel_ints(k, 0, &size, 1, &n));
  if (n != 1 || size != y->n)
    return gs_kernel_fail(k, GS_DATA, "the size is not the result's");
  if (!gs_convert_knows(y->dtype)) return gs_kernel_no_type(k, y->dtype);
  gs_arena own;
  gs_arena_init(&own);
  double *w = GS_NEWS(&own, size, double);
  double span = (double)(periodic ? size : size - 1);
  for (int64_t i = 0; i < size; i++) {
    double x = turn * (double)i / span;
    w[i] = span > 0 ? a - b * cos(x) + c * cos(2 * x) : 1;
  }
  if (size) gs_convert(y->dtype, y->data, GS_DOUBLE, w, size, NULL);
  gs_arena_free(&own);
  return GS_OK;
}

static gs_status blackman(gs_kctx *k) { return window(k, 0.42, 0.5, 0.08); }
static gs_status hamming(gs_kctx *k) {
  return window(k, 25.0 / 46, 21.0 / 46, 0);
}
static gs_status hann(gs_kctx *k) { return window(k, 0.5, 0.5, 0); }

extern const gs_kernel gs_kernel_blackman_window, gs_kernel_hamming_window,
    gs_kernel_hann_window, gs_kernel_mel_weight_matrix;
const gs_kernel gs_kernel_blackman_window = {NULL, blackman};
const gs_kernel gs_kernel_hamming_window = {NULL, hamming};
const gs_kernel gs_kernel_hann_window = {NULL, hann};

/* ---- MelWeightMatrix ---- */

static double to_mel(double hertz) { return 2595 * log10(1 + hertz / 700); }
static double to_hertz(double mel) { return 700 * (pow(10, mel / 2595) - 1); }

typedef struct mel {
  int64_t bands, length, rate;
  double low, high;
} mel;

static gs_status read_mel(gs_kctx *k, mel *m) {
  int64_t *whole[3] = {&m->bands, &m->length, &m->rate};
  double *real[2] = {&m->low, &m->high};
  int n;
  for (int i = 0; i < 3; i++) {
    GS_TRY(gs_kernel_ints(k, i, whole[i], 1, &n));
    if (n != 1 || *whole[i] < 1)
      return gs_kernel_fail(k, GS_DATA, "operand %d is not a positive scalar",
                            i);
  }
  for (int i = 0; i < 2; i++) {
    const gs_view *v = &k->in[i + 3];
    if (v->n != 1 || gs_dtype_get((int)v->dtype)->cls != 'f')
      return gs_kernel_fail(k, GS_DATA, "operand %d is not a scalar float",
                            i + 3);
    gs_convert(GS_DOUBLE, real[i], v->dtype, v->data, 1, NULL);
  }
  const gs_view *y = &k->out[0];
  if (y->dims[0] != m->length / 2 + 1 || y->dims[1] != m->bands)
    return gs_kernel_fail(k, GS_DATA, "the sizes are not those of the result");
  return GS_OK;
}

/* The spectrum's bin of edge i, equally spaced in mel (the last may be the one
 * after its end); -1: not in it. */
static int64_t edge(const mel *m, int64_t i) {
  double low = to_mel(m->low), high = to_mel(m->high);
  double at = low + (high - low) * (double)i / (double)(m->bands + 2);
  double bin = floor((double)(m->length + 1) * to_hertz(at) / (double)m->rate);
  return bin >= 0 && bin <= (double)(m->length / 2 + 1) ? (int64_t)bin : -1;
}

/* Band i rises from its lower edge to 1 at its centre, and falls to the next
 * edge, where it is 0. */
static gs_status fill_band(gs_kctx *k, const mel *m, int64_t i, double *y) {
  int64_t a = edge(m, i), b = edge(m, i + 1), c = edge(m, i + 2);
  int64_t n = m->bands;
  if (a < 0 || b < a || c < b || b > m->length / 2)
    return gs_kernel_fail(k, GS_DATA, "band %lld is outside of the spectrum",
                          (long long)i);
  for (int64_t f = a; f < b; f++)
    y[f * n + i] = (double)(f - a) / (double)(b - a);
  y[b * n + i] = 1;
  for (int64_t f = b; f < c; f++)
    y[f * n + i] = (double)(c - f) / (double)(c - b);
  return GS_OK;
}

static gs_status mel_run(gs_kctx *k) {
  const gs_view *y = &k->out[0];
  mel m = {0};
  GS_TRY(read_mel(k, &m));
  if (!gs_convert_knows(y->dtype)) return gs_kernel_no_type(k, y->dtype);
  gs_arena a;
  gs_arena_init(&a);
  double *w = GS_NEWS(&a, y->n, double);
  gs_status s = GS_OK;
  for (int64_t i = 0; i < m.bands && !s; i++) s = fill_band(k, &m, i, w);
  if (!s) gs_convert(y->dtype, y->data, GS_DOUBLE, w, y->n, NULL);
  gs_arena_free(&a);
  return s;
}

const gs_kernel gs_kernel_mel_weight_matrix = {NULL, mel_run};
