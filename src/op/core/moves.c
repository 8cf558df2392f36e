#include "op/core/moves.h"

#include <string.h>

#include "base/math.h"
#include "ir/packed.h"

const char *gs_move_op(gs_move_kind k) {
  static const char *const op[GS_NMOVE] = {
      [GS_MOVE_SLICE] = "Shard",
      [GS_MOVE_ALL_GATHER] = "AllGather",
      [GS_MOVE_ALL_TO_ALL] = "AllToAll",
      [GS_MOVE_PERMUTE] = "CollectivePermute",
      [GS_MOVE_ALL_REDUCE] = "AllReduce",
      [GS_MOVE_REDUCE_SCATTER] = "ReduceScatter",
  };
  return op[k];
}

/* Of a tensor whose dim `dim` (-1: none) is cut into g blocks, of one. */
static double block_bytes(gs_dtype t, int rank, const int64_t *dims, int dim,
                          int64_t g) {
  int64_t block[GS_MAX_RANK];
  memcpy(block, dims, (size_t)rank * sizeof *dims);
  if (dim >= 0) block[dim] = gs_ceil_div(block[dim], g);
  return (double)gs_dtype_bytes((int)t, gs_product(block, rank));
}

/* Packed types are reduced as bytes. */
static double part_bytes(gs_dtype t, int rank, const int64_t *dims,
                         int64_t g) {
  int64_t n = gs_product(dims, rank);
  if (gs_dtype_packed(t))
    return (double)gs_ceil_div(gs_dtype_bytes((int)t, n), g);
  return (double)gs_dtype_bytes((int)t, gs_ceil_div(n, g));
}

double gs_move_bytes(gs_move_kind k, gs_dtype t, int rank, const int64_t *x,
                     const int64_t *y, int dim, int64_t g) {
  double others = (double)(g - 1);
  switch (k) {
    case GS_MOVE_ALL_GATHER: return others * block_bytes(t, rank, x, -1, g);
    case GS_MOVE_ALL_TO_ALL: return others * block_bytes(t, rank, x, dim, g);
    case GS_MOVE_REDUCE_SCATTER:
      return others * block_bytes(t, rank, y, -1, g);
    case GS_MOVE_ALL_REDUCE: return 2 * others * part_bytes(t, rank, x, g);
    case GS_MOVE_PERMUTE: return block_bytes(t, rank, x, -1, g);
    case GS_MOVE_SLICE:
    case GS_NMOVE: break;
  }
  return 0;
}
