/* Det and EyeLike. */
#include <math.h>

#include "kernel/core/coord.h"
#include "kernel/core/support.h"

/* ---- Det: elimination with partial pivoting, in double ---- */

static gs_status det_prep(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  if (x->dtype != GS_FLOAT && x->dtype != GS_DOUBLE &&
      x->dtype != GS_FLOAT16 && x->dtype != GS_BFLOAT16)
    return gs_kernel_no_type(k, x->dtype);
  if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2])
    return gs_kernel_fail(k, GS_DATA, "the matrices are not square");
  /* Every thread has a matrix; at most one thread for each of them. */
  int64_t n = x->dims[x->rank - 1];
  int64_t threads = gs_max(1, gs_min(k->threads, k->out[0].n));
  k->scratch_size = (size_t)(threads * n * n) * sizeof(double);
  return GS_OK;
}

/* Takes row i's multiples from the rows below it. */
static void eliminate(double *a, int64_t n, int64_t i) {
  const double *from = a + i * n;
  for (int64_t r = i + 1; r < n; r++) {
    double *row = a + r * n, f = row[i] / from[i];
    for (int64_t c = i + 1; c < n; c++) row[c] -= f * from[c];
  }
}

/* Overwrites a. */
static double determinant(double *a, int64_t n) {
  double det = 1;
  for (int64_t i = 0; i < n; i++) {
    int64_t pivot = i;
    for (int64_t r = i + 1; r < n; r++)
      if (fabs(a[r * n + i]) > fabs(a[pivot * n + i])) pivot = r;
    if (pivot != i) {
      for (int64_t c = i; c < n; c++) {
        double t = a[i * n + c];
        a[i * n + c] = a[pivot * n + c];
        a[pivot * n + c] = t;
      }
      det = -det;
    }
    det *= a[i * n + i];
    if (a[i * n + i] == 0) return det; /* singular: 0, or NaN */
    eliminate(a, n, i);
  }
  return det;
}

static gs_status det_run(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t n = x->dims[x->rank - 1], all = y->n;
  int64_t in = gs_dtype_get((int)x->dtype)->bits / 8;
  int parts = (int)gs_max(
      1, gs_min(gs_kernel_threads(k, all * n * n * n * 8),
                gs_min(k->threads, all)));
#pragma omp parallel for num_threads(parts) schedule(static) if (parts > 1)
  for (int t = 0; t < parts; t++) {
    double *a = (double *)k->scratch + t * n * n;
    for (int64_t i = all * t / parts; i < all * (t + 1) / parts; i++) {
      gs_convert(GS_DOUBLE, a, x->dtype,
                 (const char *)x->data + i * n * n * in, n * n, NULL);
      double det = determinant(a, n);
      gs_convert(y->dtype, (char *)y->data + i * in, GS_DOUBLE, &det, 1, NULL);
    }
  }
  return GS_OK;
}

extern const gs_kernel gs_kernel_det, gs_kernel_eye_like;
const gs_kernel gs_kernel_det = {det_prep, det_run};

/* ---- EyeLike ---- */

static gs_status eye_run(gs_kctx *k) {
  const gs_view *y = &k->out[0];
  static const float one = 1;
  uint64_t bits = 0;
  size_t size;
  int64_t at = gs_node_int(k->node, "k", 0);
  GS_TRY(gs_kernel_esize(k, y->dtype, &size));
  if (size > sizeof bits || !gs_convert_knows(y->dtype))
    return gs_kernel_no_type(k, y->dtype);
  if (!y->n) return GS_OK;
  gs_convert(y->dtype, &bits, GS_FLOAT, &one, 1, NULL);
  memset(y->data, 0, (size_t)y->n * size);
  gs_kextent whole;
  GS_TRY(gs_kctx_result(k, 0, &whole));
  if (at <= -whole.dims[0] || at >= whole.dims[1]) return GS_OK;
  at += whole.first[0] - whole.first[1];
  int64_t rows = y->dims[0], cols = y->dims[1];
  if (at <= -rows || at >= cols) return GS_OK;
  for (int64_t r = gs_max(0, -at); r < rows && r + at < cols; r++)
    memcpy((char *)y->data + (size_t)(r * cols + r + at) * size, &bits, size);
  return GS_OK;
}
const gs_kernel gs_kernel_eye_like = {NULL, eye_run};
