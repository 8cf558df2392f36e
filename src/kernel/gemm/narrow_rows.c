#include "kernel/gemm/narrow_rows.h"

#include "kernel/core/par.h"
#include "kernel/core/support.h"
#include "kernel/gemm/gemm.h"

static size_t up(size_t n) { return (n + 63) / 64 * 64; }

void gs_narrow_rows_plan(gs_narrow_rows *r, gs_kctx *k, size_t own) {
  size_t size = up(own);
  r->a = size;
  if (gs_dtype_half(k->in[0].dtype)) {
    size += up((size_t)k->in[0].n * sizeof(float));
    r->y = size;
    size += (size_t)k->out[0].n * sizeof(float);
  }
  k->scratch_size = size;
}

void gs_narrow_rows_begin(const gs_narrow_rows *r, gs_kctx *k, const float **a,
                          float **y) {
  const gs_view *x = &k->in[0];
  char *s = k->scratch;
  *a = x->data;
  *y = k->out[0].data;
  if (!gs_dtype_half(x->dtype)) return;
  float *wide = (float *)(void *)(s + r->a);
  gs_half_widen(x->dtype, x->n, x->data, wide, k->threads);
  *a = wide;
  *y = (float *)(void *)(s + r->y);
}

typedef struct addition {
  const gs_view *bias;
  float *y;
  int64_t n;
} addition;

static void add_rows(void *ctx, int64_t lo, int64_t hi) {
  const addition *j = ctx;
  enum { SOME = 256 };
  float b[SOME];
  size_t size = (size_t)gs_dtype_get((int)j->bias->dtype)->bits / 8;
  for (int64_t at = 0; at < j->n; at += SOME) {
    int64_t n = gs_min(SOME, j->n - at);
    gs_convert(GS_FLOAT, b, j->bias->dtype,
               (const char *)j->bias->data + (size_t)at * size, n, NULL);
    for (int64_t i = lo; i < hi; i++)
      for (int64_t c = 0; c < n; c++) j->y[i * j->n + at + c] += b[c];
  }
}

void gs_narrow_rows_end(gs_kctx *k, int bias, float *y) {
  const gs_view *to = &k->out[0];
  int64_t n = to->dims[to->rank - 1];
  if (gs_kernel_has(k, bias) && n) {
    addition j = {&k->in[bias], y, n};
    gs_parallel(k->threads, to->n / n, n, add_rows, &j);
  }
  if (gs_dtype_half(to->dtype))
    gs_half_narrow(to->dtype, to->n, y, to->data, k->threads);
}
