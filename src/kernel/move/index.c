/* Gather, GatherElements, GatherND, OneHot and the sharded Gather. */
#include "kernel/move/index.h"

#include <math.h>

#include "base/assert.h"
#include "kernel/core/coord.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

gs_status gs_kernel_index_check(gs_kctx *k, const gs_view *idx, int64_t n) {
  int64_t bad = INT64_MAX;
  int nt = gs_kernel_threads(k, idx->n * 8);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)          \
    reduction(min : bad)
  for (int64_t i = 0; i < idx->n; i++) {
    int64_t v = gs_view_int(idx, i);
    if (v < -n || v >= n) bad = gs_min(bad, i);
  }
  if (bad == INT64_MAX) return GS_OK;
  return gs_kernel_fail(k, GS_DATA,
                        "index %lld (element %lld of the indices) is outside "
                        "of a dim of %lld",
                        (long long)gs_view_int(idx, bad), (long long)bad,
                        (long long)n);
}

static gs_status check_index_type(gs_kctx *k, const gs_view *idx) {
  if (idx->dtype == GS_INT64 || idx->dtype == GS_INT32) return GS_OK;
  return gs_kernel_no_type(k, idx->dtype);
}

static void copy(void *to, const void *from, size_t n) {
  /* The usual sizes of one element without a call. */
  if (n == 4) memcpy(to, from, 4);
  else if (n == 8) memcpy(to, from, 8);
  else memcpy(to, from, n);
}

/* ---- Gather ---- */

typedef struct gather_plan {
  int axis;
  int64_t outer, n, inner_bytes;
  int64_t first, end; /* indices in [first, end) are here, else zeros */
  int64_t size;       /* of the whole dim */
} gather_plan;

static gs_status gather_new(gs_kctx *k, gather_plan **out) {
  const gs_view *x = &k->in[0];
  gather_plan *p = GS_NEW(k->arena, gather_plan);
  size_t size;
  GS_TRY(gs_kernel_esize(k, x->dtype, &size));
  GS_TRY(check_index_type(k, &k->in[1]));
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "axis", 0), x->rank,
                        &p->axis));
  p->outer = gs_dims_count(x->dims, 0, p->axis);
  p->inner_bytes =
      gs_dims_count(x->dims, p->axis + 1, x->rank) * (int64_t)size;
  p->n = p->size = p->end = x->dims[p->axis];
  k->state = *out = p;
  return GS_OK;
}

static gs_status gather_prep(gs_kctx *k) {
  gather_plan *p;
  return gather_new(k, &p);
}

static gs_status g_gather_prep(gs_kctx *k) {
  gather_plan *p;
  int64_t idx;
  GS_TRY(gather_new(k, &p));
  GS_TRY(gs_kctx_index(k, &idx));
  p->size = gs_node_int(k->node, "size", -1);
  if (p->size < 0 || !gs_mul(idx, p->n, &p->first))
    return gs_kernel_fail(k, GS_DATA, "attribute size or index");
  p->first = gs_min(p->first, p->size);
  p->end = gs_min(p->first + p->n, p->size);
  return GS_OK;
}

static gs_status gather_run(gs_kctx *k) {
  const gather_plan *p = k->state;
  const gs_view *idx = &k->in[1];
  const char *x = k->in[0].data;
  char *y = k->out[0].data;
  if (!k->out[0].n) return GS_OK;
  GS_TRY(gs_kernel_index_check(k, idx, p->size));
  int64_t all = p->outer * idx->n, bytes = p->inner_bytes;
  gs_assert(p->first >= 0 && p->first <= p->end && p->end <= p->size);
  int nt = gs_kernel_threads(k, all * bytes);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t i = 0; i < all; i++) {
    int64_t v = gs_view_int(idx, i % idx->n);
    if (v < 0) v += p->size;
    if (v >= p->first && v < p->end)
      copy(y + i * bytes,
           x + (i / idx->n * p->n + (v - p->first)) * bytes, (size_t)bytes);
    else
      memset(y + i * bytes, 0, (size_t)bytes);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_gather = {gather_prep, gather_run};
const gs_kernel gs_kernel_g_gather = {g_gather_prep, gather_run};

/* ---- GatherElements ---- */

/* The indices have the rank of the data and are no longer beside the axis. */
static gs_status elements_fit(gs_kctx *k, const gs_kextent *x,
                              const gs_kextent *i, int axis) {
  if (i->rank != x->rank)
    return gs_kernel_fail(k, GS_DATA, "indices of rank %d for data of rank %d",
                          i->rank, x->rank);
  for (int d = 0; d < i->rank; d++)
    if (d != axis && k->in[1].n && i->dims[d] > x->dims[d])
      return gs_kernel_fail(k, GS_DATA, "dim %d of the indices is %lld, of "
                            "the data %lld", d, (long long)i->dims[d],
                            (long long)x->dims[d]);
  return GS_OK;
}

/* How much of dim d of operand i, which begins at x, is of the whole. */
static int64_t held_of(const gs_kctx *k, int i, const gs_kextent *x, int d) {
  return gs_max(0, gs_min(k->in[i].dims[d], x->dims[d] - x->first[d]));
}

gs_status gs_elements_init(gs_kctx *k, gs_elements *e) {
  const gs_view *data = &k->in[0], *idx = &k->in[1];
  gs_kextent x, i;
  int64_t s = 1;
  GS_TRY(check_index_type(k, idx));
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "axis", 0), data->rank,
                        &e->axis));
  GS_TRY(gs_kctx_operand(k, 0, &x));
  GS_TRY(gs_kctx_operand(k, 1, &i));
  GS_TRY(elements_fit(k, &x, &i, e->axis));
  e->rank = data->rank;
  e->n = x.dims[e->axis];
  for (int d = data->rank - 1; d >= 0; d--) {
    e->dims[d] = idx->dims[d];
    e->stride[d] = s;
    s *= data->dims[d];
    e->shift[d] = (d == e->axis ? 0 : i.first[d]) - x.first[d];
    e->held[d] = held_of(k, 0, &x, d);
    e->part |= e->shift[d] || e->held[d] < x.dims[d];
  }
  return GS_OK;
}

/* The same where the data is a part of the whole. */
static int64_t part_at(const gs_elements *e, int64_t i, int64_t v) {
  int64_t at = 0;
  for (int d = e->rank - 1; d >= 0; d--) {
    int64_t c = (d == e->axis ? v : i % e->dims[d]) + e->shift[d];
    if (c < 0 || c >= e->held[d]) return -1;
    at += c * e->stride[d];
    i /= e->dims[d];
  }
  return at;
}

int64_t gs_elements_at(const gs_elements *e, int64_t i, int64_t v) {
  if (v < 0) v += e->n;
  if (e->part) return part_at(e, i, v);
  int64_t at = v * e->stride[e->axis];
  for (int d = e->rank - 1; d >= 0; d--) {
    if (d != e->axis) at += i % e->dims[d] * e->stride[d];
    i /= e->dims[d];
  }
  return at;
}

static gs_status gather_elements_prep(gs_kctx *k) {
  gs_elements *e = GS_NEW(k->arena, gs_elements);
  GS_TRY(gs_kernel_esize(k, k->in[0].dtype, &e->size));
  k->state = e;
  return gs_elements_init(k, e);
}

static gs_status gather_elements_run(gs_kctx *k) {
  const gs_elements *e = k->state;
  const gs_view *idx = &k->in[1];
  const char *x = k->in[0].data;
  char *y = k->out[0].data;
  if (!idx->n) return GS_OK;
  GS_TRY(gs_kernel_index_check(k, idx, e->n));
  int nt = gs_kernel_threads(k, idx->n * 16);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t i = 0; i < idx->n; i++) {
    int64_t at = gs_elements_at(e, i, gs_view_int(idx, i));
    if (at < 0) memset(y + (size_t)i * e->size, 0, e->size);
    else copy(y + (size_t)i * e->size, x + (size_t)at * e->size, e->size);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_gather_elements = {gather_elements_prep,
                                             gather_elements_run};

/* ---- GatherND ---- */

gs_status gs_nd_init(gs_kctx *k, gs_nd *p, int batch_dims) {
  const gs_view *x = &k->in[0], *idx = &k->in[1];
  if (idx->rank < 1)
    return gs_kernel_fail(k, GS_DATA, "the indices are a scalar");
  int64_t depth = idx->dims[idx->rank - 1];
  GS_TRY(gs_kernel_esize(k, x->dtype, &p->size));
  if (idx->dtype != GS_INT64) return gs_kernel_no_type(k, idx->dtype);
  if (batch_dims < 0 || batch_dims >= idx->rank || depth < 0 ||
      batch_dims + depth > x->rank)
    return gs_kernel_fail(k, GS_DATA,
                          "tuples of %lld indices after %d batch dims for "
                          "data of rank %d",
                          (long long)depth, batch_dims, x->rank);
  for (int d = 0; d < batch_dims; d++)
    if (x->dims[d] != idx->dims[d])
      return gs_kernel_fail(k, GS_DATA, "batch dim %d: %lld and %lld", d,
                            (long long)x->dims[d], (long long)idx->dims[d]);
  gs_assert(depth <= GS_MAX_RANK);
  p->depth = (int)depth;
  p->first = batch_dims;
  p->batch = gs_dims_count(x->dims, 0, batch_dims);
  p->tuples = gs_dims_count(idx->dims, 0, idx->rank - 1);
  p->inner = gs_dims_count(x->dims, batch_dims + p->depth, x->rank);
  int64_t s = p->inner;
  gs_kextent part;
  GS_TRY(gs_kctx_operand(k, 0, &part));
  for (int d = p->depth - 1; d >= 0; d--) {
    int at = batch_dims + d;
    p->dims[d] = part.dims[at];
    p->from[d] = part.first[at];
    p->held[d] = held_of(k, 0, &part, at);
    p->stride[d] = s;
    s *= x->dims[at];
  }
  p->whole = s;
  return GS_OK;
}

int64_t gs_nd_at(const gs_nd *p, const int64_t *idx, int64_t tuple, int *bad) {
  int64_t at = p->batch ? tuple / (p->tuples / p->batch) * p->whole : 0;
  bool here = true;
  gs_assert(tuple >= 0 && tuple < p->tuples);
  for (int d = 0; d < p->depth; d++) {
    int64_t v = idx[tuple * p->depth + d];
    if (v < -p->dims[d] || v >= p->dims[d]) {
      *bad = d;
      return GS_ND_BAD;
    }
    v = (v < 0 ? v + p->dims[d] : v) - p->from[d];
    here = here && v >= 0 && v < p->held[d];
    at += v * p->stride[d];
  }
  return here ? at : GS_ND_ELSEWHERE;
}

gs_status gs_nd_check(gs_kctx *k, const gs_nd *p) {
  const int64_t *idx = k->in[1].data;
  int d = 0;
  for (int64_t t = 0; t < p->tuples; t++)
    if (gs_nd_at(p, idx, t, &d) == GS_ND_BAD)
      return gs_kernel_fail(k, GS_DATA, "index %lld (tuple %lld) is outside "
                            "of dim %d of %lld",
                            (long long)idx[t * p->depth + d], (long long)t,
                            p->first + d, (long long)p->dims[d]);
  return GS_OK;
}

static gs_status gather_nd_prep(gs_kctx *k) {
  gs_nd *p = GS_NEW(k->arena, gs_nd);
  int64_t b = gs_node_int(k->node, "batch_dims", 0);
  k->state = p;
  return gs_nd_init(k, p, b < 0 || b > GS_MAX_RANK ? -1 : (int)b);
}

static gs_status gather_nd_run(gs_kctx *k) {
  const gs_nd *p = k->state;
  const int64_t *idx = k->in[1].data;
  const char *x = k->in[0].data;
  char *y = k->out[0].data;
  if (!k->out[0].n) return GS_OK;
  GS_TRY(gs_nd_check(k, p));
  int64_t bytes = p->inner * (int64_t)p->size;
  int nt = gs_kernel_threads(k, p->tuples * bytes);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t t = 0; t < p->tuples; t++) {
    int bad;
    int64_t at = gs_nd_at(p, idx, t, &bad);
    if (at < 0) memset(y + t * bytes, 0, (size_t)bytes);
    else copy(y + t * bytes, x + at * (int64_t)p->size, (size_t)bytes);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_gather_nd = {gather_nd_prep, gather_nd_run};
