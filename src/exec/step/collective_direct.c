/* Collectives between devices of one process whose blocks are no runs of
 * memory: operands are offered whole, and parts read where they lie.  What the
 * last blocks lack is zero in the result. */
#include <string.h>

#include "base/math.h"
#include "exec/data/subarray.h"
#include "exec/step/collective.h"

gs_status gs_coll_direct_start(const gs_coll *c, size_t bytes, gs_err *e) {
  size_t all = gs_value_bytes(c->x); /* which the members have alike */
  gs_transfer_begin(c->transfer);
  for (int i = 0; i < c->group.n; i++) {
    gs_transfer_show(c->transfer, i, c->in, all, bytes);
    gs_transfer_get(c->transfer, i, NULL, all);
  }
  return gs_transfer_start(c->transfer, e);
}

/* How many of the elements [at, at + n) a dim of `all` has. */
static int64_t within(int64_t all, int64_t at, int64_t n) {
  return gs_max(0, gs_min(n, all - at));
}

static void dims_of(const gs_value *v, int64_t *dims) {
  memcpy(dims, v->dims, (size_t)v->rank * sizeof *dims);
}

/* All of member j's operand goes to dim `dim` of the result. */
gs_status gs_coll_direct_gather(const gs_coll *c, gs_err *e) {
  const gs_value *x = c->x, *y = c->y;
  int64_t count[GS_MAX_RANK], first[GS_MAX_RANK] = {0};
  dims_of(x, count);
  GS_TRY(gs_transfer_wait(c->transfer, e));
  for (int j = 0; j < c->group.n; j++) {
    first[c->dim] = j * x->dims[c->dim];
    count[c->dim] = within(y->dims[c->dim], first[c->dim], x->dims[c->dim]);
    gs_subarray_move(x->dtype, x->rank, count, c->transfer->got[j], x->dims,
                     NULL, c->out, y->dims, first);
  }
  return gs_transfer_end(c->transfer, e);
}

/* The caller's block along `dim` of member j's operand, to dim `dim2`. */
gs_status gs_coll_direct_to_all(const gs_coll *c, gs_err *e) {
  const gs_value *x = c->x, *y = c->y;
  int64_t count[GS_MAX_RANK];
  int64_t from[GS_MAX_RANK] = {0}, to[GS_MAX_RANK] = {0};
  int64_t n = gs_ceil_div(x->dims[c->dim], c->group.n);
  int64_t span = c->dim2 == c->dim ? n : x->dims[c->dim2];
  int64_t some = within(x->dims[c->dim], c->group.me * n, n);
  if (some < n) memset(c->out, 0, gs_value_bytes(y));
  from[c->dim] = c->group.me * n;
  GS_TRY(gs_transfer_wait(c->transfer, e));
  for (int j = 0; j < c->group.n; j++) {
    dims_of(x, count);
    count[c->dim] = some;
    to[c->dim2] = j * span;
    count[c->dim2] = gs_min(count[c->dim2],
                            within(y->dims[c->dim2], to[c->dim2], span));
    gs_subarray_move(x->dtype, x->rank, count, c->transfer->got[j], x->dims,
                     from, c->out, y->dims, to);
  }
  return gs_transfer_end(c->transfer, e);
}

/* No operator adds numbers of 8 bits or less but integers of whole bytes:
 * partial sums of the others come from lookups, where all devices but one hold
 * zero bits, so that their bytes are added. */
gs_dtype gs_coll_reduced_as(const gs_coll *c, int64_t *n) {
  const gs_dtype_info *d = gs_dtype_get((int)c->x->dtype);
  if (c->reduce != GS_REDUCE_SUM || d->bits > 8 ||
      (d->bits == 8 && d->cls != 'f'))
    return c->x->dtype;
  *n = (int64_t)gs_span(c->x->dtype, *n);
  return GS_UINT8;
}

/* The sum, or whatever else, of the caller's block along `dim` of all operands,
 * run by run. */
gs_status gs_coll_direct_reduce(const gs_coll *c, gs_err *e) {
  const gs_value *x = c->x, *y = c->y;
  int64_t n = y->dims[c->dim], first = c->group.me * n;
  int64_t some = within(x->dims[c->dim], first, n);
  int64_t outer = gs_product(x->dims, c->dim);
  int64_t inner = gs_product(x->dims + c->dim + 1, x->rank - c->dim - 1);
  int64_t count = some * inner;
  gs_dtype type = gs_coll_reduced_as(c, &count);
  if (some < n) memset(c->out, 0, gs_value_bytes(y));
  GS_TRY(gs_transfer_wait(c->transfer, e));
  for (int64_t i = 0; i < outer && count; i++) {
    size_t at = gs_span(x->dtype, (i * x->dims[c->dim] + first) * inner);
    for (int k = 0; k < c->group.n; k++)
      c->run[k] = (const char *)c->transfer->got[k] + at;
    GS_TRY(gs_reduce_many(type, c->reduce, c->group.n, c->run,
                          (char *)c->out + gs_span(x->dtype, i * n * inner),
                          count, e));
  }
  return gs_transfer_end(c->transfer, e);
}
