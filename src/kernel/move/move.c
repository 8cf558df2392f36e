/* Kernels that move elements: bytes of any type of whole bytes. */
#include "base/assert.h"
#include "kernel/core/coord.h"
#include "kernel/core/layout.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

/* ---- plain copies ---- */

static gs_status reshape_run(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  if (x->n != y->n)
    return gs_kernel_fail(k, GS_DATA, "%lld elements cannot become %lld",
                          (long long)x->n, (long long)y->n);
  int64_t bytes = x->dtype == GS_STRING
                      ? x->n * (int64_t)sizeof(gs_string)
                      : gs_dtype_bytes((int)x->dtype, x->n);
  if (bytes < 0) return gs_kernel_no_type(k, x->dtype);
  if (bytes && x->data != y->data) memcpy(y->data, x->data, (size_t)bytes);
  return GS_OK;
}

const gs_kernel gs_kernel_reshape = {NULL, reshape_run};

/* ---- one strided copy, planned in prep ---- */

static gs_status new_plan(gs_kctx *k, gs_strided **s) {
  size_t size;
  GS_TRY(gs_kernel_esize(k, k->in[0].dtype, &size));
  *s = GS_NEW(k->arena, gs_strided);
  gs_strided_init(*s, size);
  k->state = *s;
  return GS_OK;
}

static gs_status strided_run(gs_kctx *k) {
  const gs_strided *s = k->state;
  gs_strided_run(s, k->in[0].data, k->out[0].data,
                 gs_kernel_threads(k, s->n * (int64_t)s->size));
  return GS_OK;
}

/* Row-major strides of v, or those of a part. */
static void strides_of(const gs_view *v, int64_t *stride) {
  gs_assert(v->rank <= GS_MAX_RANK);
  int64_t s = 1;
  for (int d = v->rank - 1; d >= 0; d--) {
    stride[d] = gs_part_stride(v, s);
    s *= v->dims[d];
  }
}

static gs_status expand_prep(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t sx[GS_MAX_RANK], sy[GS_MAX_RANK];
  gs_strided *s;
  GS_TRY(new_plan(k, &s));
  strides_of(x, sx);
  strides_of(y, sy);
  for (int d = 0; d < y->rank; d++) {
    int e = d - y->rank + x->rank;
    if (e >= 0 && x->dims[e] != 1 && x->dims[e] != y->dims[d])
      return gs_kernel_fail(k, GS_DATA, "dim %d of %lld cannot expand to %lld",
                            e, (long long)x->dims[e], (long long)y->dims[d]);
    gs_strided_dim(s, y->dims[d], e < 0 || x->dims[e] == 1 ? 0 : sx[e], sy[d]);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_expand = {expand_prep, strided_run};

static gs_status transpose_prep(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t sx[GS_MAX_RANK], sy[GS_MAX_RANK];
  bool seen[GS_MAX_RANK] = {false};
  int n;
  const int64_t *perm = gs_node_ints(k->node, "perm", &n);
  gs_strided *s;
  GS_TRY(new_plan(k, &s));
  if (perm && n != x->rank)
    return gs_kernel_fail(k, GS_DATA, "perm has %d entries for rank %d", n,
                          x->rank);
  strides_of(x, sx);
  strides_of(y, sy);
  for (int d = 0; d < x->rank; d++) {
    int e = x->rank - 1 - d;
    if (perm) GS_TRY(gs_kernel_axis(k, perm[d], x->rank, &e));
    if (seen[e])
      return gs_kernel_fail(k, GS_DATA, "perm names dim %d twice", e);
    seen[e] = true;
    gs_strided_dim(s, x->dims[e], sx[e], sy[d]);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_transpose = {transpose_prep, strided_run};

/* Each dim of the result is (repeat, dim): the repeat reads the same place. */
static gs_status tile_prep(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t sx[GS_MAX_RANK], sy[GS_MAX_RANK];
  gs_strided *s;
  GS_TRY(new_plan(k, &s));
  strides_of(x, sx);
  strides_of(y, sy);
  for (int d = 0; d < x->rank; d++) {
    int64_t n = x->dims[d];
    gs_strided_dim(s, n ? y->dims[d] / n : 0, 0, sy[d] * n); /* of one dim */
    gs_strided_dim(s, n, sx[d], sy[d]);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_tile = {tile_prep, strided_run};

/* ---- Slice, also of a part of the whole: what is elsewhere is zero ---- */

typedef struct slice_plan {
  gs_strided s;
  int64_t from, to; /* elements of operand and result that it begins with */
} slice_plan;

/* First element of a dim of n, from `start` as given. */
static int64_t slice_start(int64_t start, int64_t step, int64_t n) {
  if (start < 0) start = start < -n ? -1 : start + n;
  if (step > 0) return gs_min(gs_max(start, 0), n);
  return gs_min(gs_max(start, 0), n - 1);
}

/* A dim of the whole: place j of the result is element first + step * j. */
typedef struct slice_span {
  int64_t first, step;
  int64_t n, of; /* places, elements */
} slice_span;

static gs_status check_span(gs_kctx *k, int d, slice_span *s) {
  int64_t span = 0, last = 0;
  /* A step past the end matters to no element but the first. */
  if (s->n < 2) s->step = 1;
  if (s->n == 0 ||
      (gs_mul(s->n - 1, s->step, &span) && gs_add(s->first, span, &last) &&
       gs_min(s->first, last) >= 0 && gs_max(s->first, last) < s->of))
    return GS_OK;
  return gs_kernel_fail(k, GS_DATA, "dim %d: %lld elements from %lld by %lld "
                        "leave the %lld that there are", d, (long long)s->n,
                        (long long)s->first, (long long)s->step,
                        (long long)s->of);
}

/* Adds dim d, of strides sx and sy: what is here of both sides. */
static void slice_dim(slice_plan *p, const gs_kctx *k, int d, slice_span s,
                      const gs_kextent *x, const gs_kextent *y, int64_t sx,
                      int64_t sy) {
  int64_t at = x->first[d], lo = y->first[d];
  int64_t held = gs_min(k->in[0].dims[d], s.of - at);
  int64_t hi = gs_min(lo + k->out[0].dims[d], s.n);
  if (s.step > 0) {
    lo = gs_max(lo, -gs_floor_div(s.first - at, s.step));
    hi = gs_min(hi, -gs_floor_div(s.first - at - held, s.step));
  } else {
    lo = gs_max(lo, gs_floor_div(s.first - at - held, -s.step) + 1);
    hi = gs_min(hi, gs_floor_div(s.first - at, -s.step) + 1);
  }
  p->from += (s.first + s.step * lo - at) * sx;
  p->to += (lo - y->first[d]) * sy;
  gs_strided_dim(&p->s, gs_max(hi - lo, 0), s.step * sx, sy);
}

static gs_status slice_spans(gs_kctx *k, const gs_kextent *x,
                             const gs_kextent *y, slice_span *s) {
  int64_t start[GS_MAX_RANK], axes[GS_MAX_RANK], steps[GS_MAX_RANK];
  int ns, na, nt;
  GS_TRY(gs_kernel_ints(k, 1, start, GS_MAX_RANK, &ns));
  GS_TRY(gs_kernel_ints(k, 3, axes, GS_MAX_RANK, &na));
  GS_TRY(gs_kernel_ints(k, 4, steps, GS_MAX_RANK, &nt));
  if ((na >= 0 && na != ns) || (nt >= 0 && nt != ns) || ns > x->rank)
    return gs_kernel_fail(k, GS_DATA, "starts, axes and steps do not agree");
  for (int d = 0; d < x->rank; d++)
    s[d] = (slice_span){0, 1, y->dims[d], x->dims[d]};
  for (int i = 0; i < ns; i++) {
    int d = i;
    if (na >= 0) GS_TRY(gs_kernel_axis(k, axes[i], x->rank, &d));
    if (nt >= 0) s[d].step = steps[i];
    if (s[d].step == 0) return gs_kernel_fail(k, GS_DATA, "a step is 0");
    s[d].first = slice_start(start[i], s[d].step, x->dims[d]);
  }
  for (int d = 0; d < x->rank; d++) GS_TRY(check_span(k, d, &s[d]));
  return GS_OK;
}

static gs_status slice_plan_make(gs_kctx *k, slice_plan *p) {
  const gs_view *in = &k->in[0], *out = &k->out[0];
  int64_t sx[GS_MAX_RANK], sy[GS_MAX_RANK];
  slice_span span[GS_MAX_RANK];
  gs_kextent x, y;
  size_t size;
  GS_TRY(gs_kernel_esize(k, in->dtype, &size));
  GS_TRY(gs_kctx_operand(k, 0, &x));
  GS_TRY(gs_kctx_result(k, 0, &y));
  GS_TRY(slice_spans(k, &x, &y, span));
  strides_of(in, sx);
  strides_of(out, sy);
  gs_strided_init(&p->s, size);
  p->from = p->to = 0;
  for (int d = 0; d < in->rank; d++)
    slice_dim(p, k, d, span[d], &x, &y, sx[d], sy[d]);
  return GS_OK;
}

static gs_status slice_prep(gs_kctx *k) {
  if (!gs_kernel_known(k, 1) || !gs_kernel_known(k, 3) ||
      !gs_kernel_known(k, 4))
    return GS_OK; /* planned in each run */
  slice_plan *p = GS_NEW(k->arena, slice_plan);
  k->state = p;
  return slice_plan_make(k, p);
}

static gs_status slice_run(gs_kctx *k) {
  slice_plan own;
  const slice_plan *p = k->state;
  if (!p) {
    GS_TRY(slice_plan_make(k, &own));
    p = &own;
  }
  int64_t size = (int64_t)p->s.size, all = k->out[0].n;
  if (p->s.n < all) memset(k->out[0].data, 0, (size_t)(all * size));
  if (!p->s.n) return GS_OK;
  gs_strided_run(&p->s, (const char *)k->in[0].data + p->from * size,
                 (char *)k->out[0].data + p->to * size,
                 gs_kernel_threads(k, p->s.n * size));
  return GS_OK;
}

const gs_kernel gs_kernel_slice = {slice_prep, slice_run};

/* ---- Concat and Split: rows of bytes ---- */

typedef struct rows {
  int axis;
  size_t size;
  int64_t outer, inner; /* elements before and after the axis */
} rows;

static gs_status rows_prep(gs_kctx *k, const gs_view *whole, int64_t axis) {
  rows *r = GS_NEW(k->arena, rows);
  GS_TRY(gs_kernel_esize(k, whole->dtype, &r->size));
  GS_TRY(gs_kernel_axis(k, axis, whole->rank, &r->axis));
  r->outer = gs_dims_count(whole->dims, 0, r->axis);
  r->inner = gs_dims_count(whole->dims, r->axis + 1, whole->rank);
  k->state = r;
  return GS_OK;
}

/* Copies the part of `whole` that starts at `first` along the axis. */
static void rows_copy(const rows *r, const gs_view *whole, const gs_view *part,
                      int64_t first, bool in, int threads) {
  int64_t size = (int64_t)r->size;
  int64_t all = whole->dims[r->axis] * r->inner, wide = all * size;
  int64_t some = part->dims[r->axis] * r->inner, thin = some * size;
  char *w = (char *)whole->data + first * r->inner * size, *p = part->data;
  (void)threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int64_t i = 0; i < r->outer; i++) {
    if (in && whole->pitch)
      gs_part_put(whole, r->size, i * all + first * r->inner, some,
                  p + i * thin);
    else if (in) memcpy(w + i * wide, p + i * thin, (size_t)thin);
    else memcpy(p + i * thin, w + i * wide, (size_t)thin);
  }
}

static gs_status concat_prep(gs_kctx *k) {
  return rows_prep(k, &k->out[0], gs_node_int(k->node, "axis", 0));
}

/* The n parts, one after another along the axis, into the whole or out of it.
 * Parts that are left out have nothing to join; none can be cut. */
static gs_status parts_run(gs_kctx *k, const gs_view *whole,
                           const gs_view *part, int n, bool in) {
  const rows *r = k->state;
  int64_t at = 0;
  for (int i = 0; i < n; i++) {
    const gs_view *x = &part[i];
    if (x->rank < 0 && in) continue;
    if (x->rank < 0)
      return gs_kernel_fail(k, GS_UNSUPPORTED, "output %d is left out", i);
    if (at + x->dims[r->axis] > whole->dims[r->axis])
      return gs_kernel_fail(k, GS_DATA, "the parts are larger than the whole");
    if (x->n)
      rows_copy(r, whole, x, at, in,
                gs_kernel_threads(k, x->n * (int64_t)r->size));
    at += x->dims[r->axis];
  }
  return GS_OK;
}

static gs_status concat_run(gs_kctx *k) {
  return parts_run(k, &k->out[0], k->in, k->nin, true);
}

const gs_kernel gs_kernel_concat = {concat_prep, concat_run};

static gs_status split_prep(gs_kctx *k) {
  return rows_prep(k, &k->in[0], gs_node_int(k->node, "axis", 0));
}

static gs_status split_run(gs_kctx *k) {
  return parts_run(k, &k->in[0], k->out, k->nout, false);
}

const gs_kernel gs_kernel_split = {split_prep, split_run};
