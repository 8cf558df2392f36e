/* All-to-all of several dims: every member gets one part of the block of every
 * other, all of one shape. */
#include <string.h>

#include "base/math.h"
#include "exec/data/subarray.h"
#include "exec/step/collective.h"
#include "ir/packed.h"

static void part_dims(const gs_coll *c, int64_t *dims) {
  for (int d = 0; d < c->x->rank; d++)
    dims[d] = gs_min(c->x->dims[d], c->y->dims[d]);
}

static size_t part_bytes(const gs_coll *c) {
  int64_t part[GS_MAX_RANK];
  part_dims(c, part);
  return gs_span(c->x->dtype, gs_product(part, c->x->rank));
}

/* Where the part of member i begins in the block of `whole`, and how much of it
 * lies within: its index over the axes that `fine` has more than `coarse` in a
 * dim says where. */
static void part_at(const gs_coll *c, const gs_value *whole,
                    const gs_sharding *fine, const gs_sharding *coarse, int i,
                    int64_t *first, int64_t *count) {
  part_dims(c, count);
  for (int d = 0; d < whole->rank; d++) {
    gs_axes minor = {0};
    int had = coarse->dim[d].axes.n;
    if (fine->dim[d].axes.n > had)
      minor = gs_axes_tail(&fine->dim[d].axes, had);
    first[d] = gs_axes_index(c->mesh, &minor, c->group.member[i]) * count[d];
    int64_t rest = whole->dims[d] - first[d];
    count[d] = gs_max(0, gs_min(count[d], rest));
  }
}

gs_status gs_coll_dims_prep(gs_arena *a, gs_coll *c, gs_err *e) {
  const gs_sharding *from = gs_node_sharding(c->node, "from");
  const gs_sharding *to = gs_node_sharding(c->node, "to");
  int64_t bytes;
  if (!c->mesh || !from || !to || from->rank != c->x->rank ||
      to->rank != c->y->rank || c->x->rank != c->y->rank)
    return gs_fail(e, GS_DATA, gs_node_place(a, c->node),
                   "needs a mesh, and 'from' and 'to' of the rank of its "
                   "values");
  if (!gs_mul((int64_t)part_bytes(c), 2 * (int64_t)c->group.n, &bytes))
    return gs_fail(e, GS_DATA, gs_node_place(a, c->node),
                   "the blocks are too large");
  if (c->direct) return GS_OK;
  c->half = (size_t)bytes / 2;
  c->scratch_size = (size_t)bytes;
  return GS_OK;
}

gs_status gs_coll_dims_start(const gs_coll *c, gs_err *e) {
  const gs_sharding *from = gs_node_sharding(c->node, "from");
  const gs_sharding *to = gs_node_sharding(c->node, "to");
  int64_t part[GS_MAX_RANK], first[GS_MAX_RANK], count[GS_MAX_RANK];
  size_t bytes = part_bytes(c);
  char *out = c->scratch;
  if (c->direct) {
    memset(c->out, 0, gs_value_bytes(c->y)); /* the tails */
    return gs_coll_direct_start(c, bytes, e);
  }
  part_dims(c, part);
  memset(out, 0, c->half); /* the tails */
  for (int i = 0; i < c->group.n; i++) {
    part_at(c, c->x, to, from, i, first, count);
    gs_subarray_move(c->x->dtype, c->x->rank, count, c->in, c->x->dims, first,
                     out + (size_t)i * bytes, part, NULL);
  }
  return gs_all_to_all_start(c->transfer, out, out + c->half, bytes, e);
}

/* What is for the caller, in the operands of the members. */
static gs_status read_parts(const gs_coll *c, gs_err *e) {
  const gs_sharding *from = gs_node_sharding(c->node, "from");
  const gs_sharding *to = gs_node_sharding(c->node, "to");
  int64_t at[GS_MAX_RANK], there[GS_MAX_RANK];
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  GS_TRY(gs_transfer_wait(c->transfer, e));
  part_at(c, c->x, to, from, c->group.me, at, there);
  for (int i = 0; i < c->group.n; i++) {
    part_at(c, c->y, from, to, i, first, count);
    for (int d = 0; d < c->x->rank; d++) count[d] = gs_min(count[d], there[d]);
    gs_subarray_move(c->y->dtype, c->y->rank, count, c->transfer->got[i],
                     c->x->dims, at, c->out, c->y->dims, first);
  }
  return gs_transfer_end(c->transfer, e);
}

gs_status gs_coll_dims_wait(const gs_coll *c, gs_err *e) {
  const gs_sharding *from = gs_node_sharding(c->node, "from");
  const gs_sharding *to = gs_node_sharding(c->node, "to");
  int64_t part[GS_MAX_RANK], first[GS_MAX_RANK], count[GS_MAX_RANK];
  size_t bytes = part_bytes(c);
  const char *in = (const char *)c->scratch + c->half;
  if (c->direct) return read_parts(c, e);
  GS_TRY(gs_transfer_finish(c->transfer, e));
  part_dims(c, part);
  if (gs_dtype_packed(c->y->dtype)) memset(c->out, 0, gs_value_bytes(c->y));
  for (int i = 0; i < c->group.n; i++) {
    part_at(c, c->y, from, to, i, first, count);
    gs_subarray_move(c->y->dtype, c->y->rank, count, in + (size_t)i * bytes,
                     part, NULL, c->out, c->y->dims, first);
  }
  return GS_OK;
}
