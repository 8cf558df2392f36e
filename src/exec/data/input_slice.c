#include "exec/data/input_slice.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "exec/data/subarray.h"
#include "ir/packed.h"

/* First element and valid elements of the device's block in each dim. */
static bool block_range(const gs_program *p, const gs_slice *l, int64_t pos,
                        int64_t *first, int64_t *count) {
  bool full = true;
  gs_assert(l->to->rank == l->from->rank);
  for (int d = 0; d < l->from->rank; d++) {
    gs_sharding_range(p->g->mesh, l->split, d, l->from->dims[d], pos,
                      &first[d], &count[d]);
    gs_assert(count[d] <= l->to->dims[d]);
    if (count[d] != l->to->dims[d]) full = false;
  }
  return full;
}

const void *gs_slice_inside(const gs_program *p, const gs_slice *l,
                            int64_t position, const void *whole) {
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  const gs_value *v = l->from;
  if (!block_range(p, l, position, first, count)) return NULL;
  int d = 0; /* the first dim that is longer than 1 in the block */
  while (d < v->rank && count[d] == 1) d++;
  for (int i = d + 1; i < v->rank; i++)
    if (count[i] != v->dims[i]) return NULL;
  int64_t at = 0;
  for (int i = 0; i < v->rank; i++) at = at * v->dims[i] + first[i];
  if (gs_dtype_packed(v->dtype)) /* its last byte may hold other elements */
    return gs_product(count, v->rank) == gs_product(v->dims, v->rank) ? whole
                                                                      : NULL;
  size_t size = (size_t)gs_dtype_bytes((int)v->dtype, 1);
  gs_assert(at >= 0 && v->dtype != GS_STRING);
  const char *q = (const char *)whole + (size_t)at * size;
  size_t unit = gs_dtype_get((int)v->dtype)->cls == 'c' ? size / 2 : size;
  return (uintptr_t)q % unit ? NULL : q;
}

void gs_slice_copy(const gs_program *p, const gs_slice *l, int64_t position,
                   const void *whole, void *block) {
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  const gs_value *v = l->from;
  bool full = block_range(p, l, position, first, count);
  if (!full || gs_dtype_packed(v->dtype)) /* unused bits are 0 too */
    memset(block, 0, gs_value_bytes(l->to));
  gs_subarray_move(v->dtype, v->rank, count, whole, v->dims, first, block,
                   l->to->dims, NULL);
}
