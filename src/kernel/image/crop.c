/* AffineGrid and CenterCropPad. */
#include "kernel/core/coord.h"
#include "kernel/core/par.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

/* ---- AffineGrid: theta[N, r, r + 1] -> [N, out..., r] ---- */

typedef struct affine {
  const double *theta; /* [N][r][r + 1] */
  const gs_view *out;
  gs_kextent place; /* of the result */
  int r;
  bool align;
} affine;

/* Position of element i of n in [-1, 1]: the centres of n cells, or aligned
 * with the ends. */
static double position(bool align, int64_t i, int64_t n) {
  if (!align) return (2 * (double)i + 1) / (double)n - 1;
  return n > 1 ? 2 * (double)i / (double)(n - 1) - 1 : -1;
}

/* Places [lo, hi) of all batches. */
static void affine_places(void *ctx, int64_t lo, int64_t hi) {
  const affine *f = ctx;
  const gs_view *y = f->out;
  int r = f->r;
  int64_t places = gs_dims_count(y->dims, 1, r + 1);
  for (int64_t u = lo; u < hi; u++) {
    const double *m = f->theta + u / places * r * (r + 1);
    double at[3], to[3]; /* innermost dim first */
    int64_t rest = u % places;
    for (int d = 0; d < r; d++) {
      int64_t n = y->dims[r - d];
      at[d] = position(f->align, f->place.first[r - d] + rest % n,
                       f->place.dims[r - d]);
      rest /= n;
    }
    for (int i = 0; i < r; i++) {
      to[i] = m[i * (r + 1) + r];
      for (int d = 0; d < r; d++) to[i] += m[i * (r + 1) + d] * at[d];
    }
    gs_convert(y->dtype,
               (char *)y->data + gs_dtype_bytes((int)y->dtype, u * r),
               GS_DOUBLE, to, r, NULL);
  }
}

static gs_status affine_run(gs_kctx *k) {
  const gs_view *t = &k->in[0], *y = &k->out[0];
  int64_t size[5];
  int n;
  affine f = {.out = y, .r = (int)t->dims[1]};
  f.align = gs_node_int(k->node, "align_corners", 0) != 0;
  GS_TRY(gs_kernel_ints(k, 1, size, 5, &n));
  GS_TRY(gs_kctx_result(k, 0, &f.place));
  const int64_t *dims = f.place.dims;
  bool fits = n == f.r + 2 && size[0] == dims[0];
  for (int d = 0; fits && d < f.r; d++) fits = size[d + 2] == dims[d + 1];
  if (!fits)
    return gs_kernel_fail(k, GS_DATA, "the size is not the result's");
  gs_arena a;
  gs_arena_init(&a);
  double *theta = GS_NEWS(&a, t->n, double);
  gs_convert(GS_DOUBLE, theta, t->dtype, t->data, t->n, NULL);
  f.theta = theta;
  gs_parallel(k->threads, y->n / f.r, 16, affine_places, &f);
  gs_arena_free(&a);
  return GS_OK;
}

extern const gs_kernel gs_kernel_affine_grid;
const gs_kernel gs_kernel_affine_grid = {NULL, affine_run};

/* ---- CenterCropPad ---- */

typedef struct crop {
  const gs_view *in, *out;
  size_t size;
  int64_t from[GS_MAX_RANK], to[GS_MAX_RANK], count[GS_MAX_RANK];
} crop;

/* Rows [lo, hi) of the last dim of the result. */
static void crop_rows(void *ctx, int64_t lo, int64_t hi) {
  const crop *c = ctx;
  int last = c->out->rank - 1;
  int64_t n = c->out->dims[last];
  for (int64_t u = lo; u < hi; u++) {
    char *y = (char *)c->out->data + (size_t)(u * n) * c->size;
    int64_t rest = u, row = 0, stride = 1;
    bool there = true;
    for (int d = last - 1; d >= 0; d--) {
      int64_t i = rest % c->out->dims[d] - c->to[d];
      rest /= c->out->dims[d];
      there = there && i >= 0 && i < c->count[d];
      row += (i + c->from[d]) * stride;
      stride *= c->in->dims[d];
    }
    size_t whole = (size_t)n * c->size, at = (size_t)c->to[last] * c->size;
    size_t part = (size_t)c->count[last] * c->size;
    if (!there) {
      memset(y, 0, whole);
      continue;
    }
    const char *x = (const char *)c->in->data +
                    (size_t)(row * c->in->dims[last] + c->from[last]) * c->size;
    memset(y, 0, at);
    if (part) memcpy(y + at, x, part);
    memset(y + at + part, 0, whole - at - part);
  }
}

static gs_status crop_run(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  const gs_attr *axes = gs_node_attr(k->node, "axes");
  int64_t want[GS_MAX_RANK];
  int n;
  crop c = {.in = x, .out = y};
  GS_TRY(gs_kernel_esize(k, x->dtype, &c.size));
  GS_TRY(gs_kernel_ints(k, 1, want, GS_MAX_RANK, &n));
  if (n != (axes ? axes->n : x->rank))
    return gs_kernel_fail(k, GS_DATA, "%d sizes for %d dims", n,
                          axes ? axes->n : x->rank);
  for (int i = 0; i < n; i++) {
    int d = i;
    if (axes) GS_TRY(gs_kernel_axis(k, axes->ints[i], x->rank, &d));
    if (want[i] != y->dims[d])
      return gs_kernel_fail(k, GS_DATA, "the shape is not that of the result");
  }
  for (int d = 0; d < x->rank; d++) {
    int64_t more = y->dims[d] - x->dims[d];
    c.to[d] = more > 0 ? more / 2 : 0;
    c.from[d] = more < 0 ? -more / 2 : 0;
    c.count[d] = gs_min(x->dims[d], y->dims[d]);
  }
  if (!y->n) return GS_OK;
  if (x->rank == 0) {
    memcpy(y->data, x->data, c.size);
    return GS_OK;
  }
  int64_t row = y->dims[x->rank - 1];
  gs_parallel(k->threads, y->n / row, row, crop_rows, &c);
  return GS_OK;
}

extern const gs_kernel gs_kernel_center_crop_pad;
const gs_kernel gs_kernel_center_crop_pad = {NULL, crop_run};
