/* The kernels of ai.gshard that depend on the device's place. */
#include "kernel/core/coord.h"

#include "base/assert.h"
#include "kernel/core/convert.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

gs_status gs_kctx_index(gs_kctx *k, int64_t *idx) {
  const gs_attr *a = gs_node_attr(k->node, "index");
  if (a && a->kind == GS_ATTR_INT) {
    *idx = a->i;
    return *idx >= 0 ? GS_OK
                     : gs_kernel_fail(k, GS_DATA, "attribute index is %lld",
                                      (long long)*idx);
  }
  const gs_axes *axes = gs_node_axes(k->node, "axes");
  if (!gs_node_attr(k->node, "axes"))
    return gs_kernel_fail(k, GS_DATA, "attribute axes is missing");
  if (!k->mesh) return gs_kernel_fail(k, GS_DATA, "there is no mesh");
  if (!axes) return gs_kernel_fail(k, GS_DATA, "axes are not of the mesh");
  *idx = gs_axes_index(k->mesh, axes, k->position);
  return GS_OK;
}

static gs_status from_sharding(gs_kctx *k, int rank, int64_t *idx) {
  const gs_sharding *s = gs_node_sharding(k->node, "split");
  if (!gs_node_attr(k->node, "split"))
    return gs_kernel_fail(k, GS_DATA, "attribute split is missing");
  if (!k->mesh) return gs_kernel_fail(k, GS_DATA, "there is no mesh");
  if (!s) return gs_kernel_fail(k, GS_DATA, "split is not over the mesh");
  if (s->rank != rank)
    return gs_kernel_fail(k, GS_DATA, "split of rank %d is not of rank %d",
                          s->rank, rank);
  for (int d = 0; d < rank; d++)
    idx[d] = gs_axes_index(k->mesh, &s->dim[d].axes, k->position);
  return GS_OK;
}

gs_status gs_kctx_split_index(gs_kctx *k, int rank, const int64_t *global,
                              const int64_t *local, int64_t *idx) {
  const gs_attr *at = gs_node_attr(k->node, "index");
  if (at && at->kind == GS_ATTR_INTS) {
    if (at->n != rank)
      return gs_kernel_fail(k, GS_DATA, "index has %d entries for rank %d",
                            at->n, rank);
    for (int d = 0; d < rank; d++) idx[d] = at->ints[d];
  } else if (at && at->kind == GS_ATTR_INT) {
    for (int d = 0; d < rank; d++) idx[d] = local[d] < global[d] ? at->i : 0;
  } else {
    GS_TRY(from_sharding(k, rank, idx));
  }
  for (int d = 0; d < rank; d++)
    if (idx[d] < 0 || (local[d] && idx[d] > INT64_MAX / local[d] - 1))
      return gs_kernel_fail(k, GS_DATA, "index %lld of dim %d",
                            (long long)idx[d], d);
  return GS_OK;
}

/* ---- places ---- */

static gs_status extent(gs_kctx *k, const gs_view *v, const gs_extent *from,
                        gs_kextent *x) {
  x->rank = v->rank;
  for (int d = 0; d < v->rank; d++) {
    x->dims[d] = v->dims[d];
    x->first[d] = 0;
  }
  if (!from || !from->form) return GS_OK;
  if (from->rank != v->rank)
    return gs_kernel_fail(k, GS_DATA, "the place of a tensor of rank %d, not "
                          "%d", from->rank, v->rank);
  for (int d = 0; d < v->rank; d++) {
    int64_t length;
    x->dims[d] = from->dims[d];
    gs_form_held(k->mesh, from->form, d, from->dims[d], k->position,
                 &x->first[d], &length);
    if (length != v->dims[d])
      return gs_kernel_fail(k, GS_DATA, "the place has %lld elements of dim "
                            "%d, not %lld", (long long)length, d,
                            (long long)v->dims[d]);
  }
  return GS_OK;
}

/* The placement, or NULL. */
static gs_status placement(gs_kctx *k, const gs_placement **pl) {
  *pl = NULL;
  const gs_op *op = k->node->op;
  if (!op || !(op->flags & GS_OP_PLACED)) return GS_OK;
  if (!(op->flags & GS_OP_MESH) && !gs_node_attr(k->node, "place"))
    return GS_OK; /* on whole tensors */
  *pl = gs_node_placement(k->node);
  if (!k->mesh) return gs_kernel_fail(k, GS_DATA, "there is no mesh");
  return *pl ? GS_OK
             : gs_kernel_fail(k, GS_DATA, "needs the attribute 'place'");
}

gs_status gs_kctx_operand(gs_kctx *k, int i, gs_kextent *x) {
  const gs_placement *pl;
  gs_assert(i >= 0 && i < k->nin);
  GS_TRY(placement(k, &pl));
  return extent(k, &k->in[i], pl && i < pl->nin ? &pl->in[i] : NULL, x);
}

gs_status gs_kctx_result(gs_kctx *k, int i, gs_kextent *x) {
  const gs_placement *pl;
  gs_assert(i >= 0 && i < k->nout);
  GS_TRY(placement(k, &pl));
  return extent(k, &k->out[i], pl && i < pl->nout ? &pl->out[i] : NULL, x);
}

bool gs_kctx_has(const gs_kextent *x, int d, int64_t n, int64_t lo,
                 int64_t hi) {
  lo = gs_max(lo, 0);
  hi = gs_min(hi, x->dims[d] - 1);
  return lo > hi || (lo >= x->first[d] && hi < x->first[d] + n);
}

bool gs_kctx_alike(const gs_kextent *x, int d, const int64_t *n,
                   const gs_kextent *y, int e, const int64_t *m) {
  return x->dims[d] == y->dims[e] && x->first[d] == y->first[e] &&
         n[d] == m[e];
}

/* ---- Shard: the device's block, zero past the end ---- */

typedef struct shard_plan {
  gs_strided s;
  int64_t offset;
  bool full; /* no padding */
} shard_plan;

static gs_status shard_prep(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t idx[GS_MAX_RANK], start[GS_MAX_RANK], sx = 1, sy = 1;
  int64_t from[GS_MAX_RANK], to[GS_MAX_RANK];
  size_t size;
  shard_plan *p = GS_NEW(k->arena, shard_plan);
  GS_TRY(gs_kernel_esize(k, x->dtype, &size));
  if (x->rank != y->rank)
    return gs_kernel_fail(k, GS_DATA, "rank %d becomes %d", x->rank, y->rank);
  GS_TRY(gs_kctx_split_index(k, x->rank, x->dims, y->dims, idx));
  for (int d = x->rank - 1; d >= 0; d--) {
    start[d] = gs_min(x->dims[d], idx[d] * y->dims[d]);
    gs_assert(start[d] >= 0);
    from[d] = sx;
    to[d] = sy;
    sx *= x->dims[d];
    sy *= y->dims[d];
  }
  gs_strided_init(&p->s, size);
  for (int d = 0; d < x->rank; d++) {
    p->offset += start[d] * from[d];
    gs_strided_dim(&p->s, gs_min(y->dims[d], x->dims[d] - start[d]), from[d],
                   to[d]);
  }
  p->full = p->s.n == y->n;
  k->state = p;
  return GS_OK;
}

static gs_status shard_run(gs_kctx *k) {
  const shard_plan *p = k->state;
  int64_t bytes = k->out[0].n * (int64_t)p->s.size;
  if (!bytes) return GS_OK;
  if (!p->full) memset(k->out[0].data, 0, (size_t)bytes);
  if (p->s.n)
    gs_strided_run(&p->s,
                   (const char *)k->in[0].data +
                       p->offset * (int64_t)p->s.size,
                   k->out[0].data, gs_kernel_threads(k, bytes));
  return GS_OK;
}

const gs_kernel gs_kernel_g_shard = {shard_prep, shard_run};

/* ---- Mask ---- */

typedef struct mask_plan {
  size_t size;
  uint64_t value[2];
  int64_t outer, n, valid, inner; /* valid of the n along the dim stay */
} mask_plan;

static gs_status mask_prep(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  mask_plan *p = GS_NEW(k->arena, mask_plan);
  int64_t idx, first;
  int d;
  GS_TRY(gs_kernel_esize(k, x->dtype, &p->size));
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "dim", 0), x->rank, &d));
  GS_TRY(gs_kctx_index(k, &idx));
  if (!gs_element_of(x->dtype, gs_node_float(k->node, "value", 0), p->value))
    return gs_kernel_no_type(k, x->dtype);
  p->outer = gs_dims_count(x->dims, 0, d);
  p->inner = gs_dims_count(x->dims, d + 1, x->rank);
  p->n = x->dims[d];
  if (!gs_mul(idx, p->n, &first))
    return gs_kernel_fail(k, GS_DATA, "index %lld", (long long)idx);
  int64_t left = gs_node_int(k->node, "size", 0) - first;
  p->valid = gs_min(p->n, gs_max(0, left));
  k->state = p;
  return GS_OK;
}

static gs_status mask_run(gs_kctx *k) {
  const mask_plan *p = k->state;
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t size = (int64_t)p->size;
  int64_t row = p->n * p->inner, keep = p->valid * p->inner;
  gs_assert(p->valid >= 0 && p->valid <= p->n);
  int nt = gs_kernel_threads(k, x->n * size);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t i = 0; i < p->outer; i++) {
    char *b = (char *)y->data + i * row * size;
    if (x->data != y->data && keep)
      memcpy(b, (const char *)x->data + i * row * size, (size_t)(keep * size));
    gs_fill_elements(b + keep * size, row - keep, p->size, p->value);
  }
  return GS_OK;
}

const gs_kernel gs_kernel_g_mask = {mask_prep, mask_run};

/* ---- Partial and Coordinate ---- */

static gs_status index_prep(gs_kctx *k) {
  int64_t *idx = GS_NEW(k->arena, int64_t);
  k->state = idx;
  return gs_kctx_index(k, idx);
}

static gs_status partial_run(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  int64_t bytes = gs_dtype_bytes((int)x->dtype, x->n);
  if (bytes < 0) return gs_kernel_no_type(k, x->dtype);
  if (!bytes) return GS_OK;
  if (*(const int64_t *)k->state) memset(y->data, 0, (size_t)bytes);
  else if (x->data != y->data) memcpy(y->data, x->data, (size_t)bytes);
  return GS_OK;
}

const gs_kernel gs_kernel_g_partial = {index_prep, partial_run};

static gs_status coordinate_run(gs_kctx *k) {
  *(int64_t *)k->out[0].data = *(const int64_t *)k->state;
  return GS_OK;
}

const gs_kernel gs_kernel_g_coordinate = {index_prep, coordinate_run};
