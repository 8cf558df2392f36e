#include "pass/cost.h"

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

double gs_cost_bytes(gs_move_kind k, double local, int64_t g) {
  double n = (double)g;
  switch (k) {
    case GS_MOVE_ALL_GATHER: return (n - 1) * local;
    case GS_MOVE_ALL_TO_ALL:
    case GS_MOVE_REDUCE_SCATTER: return (n - 1) / n * local;
    case GS_MOVE_ALL_REDUCE: return 2 * (n - 1) / n * local;
    case GS_MOVE_PERMUTE: return local;
    case GS_MOVE_SLICE:
    case GS_NMOVE: break;
  }
  return 0;
}

double gs_cost_move(const gs_mesh *m, gs_move_kind k, const gs_axes *axes,
                    double local) {
  /* A local slice costs next to nothing, but more than not slicing. */
  if (k == GS_MOVE_SLICE) return 1e-9;
  double alpha = GS_COST_ALPHA, bandwidth = GS_COST_BANDWIDTH;
  for (int i = 0; i < axes->n; i++) {
    const gs_axis *axis = &m->axis[m->sub[axes->at[i]].axis];
    if (axis->alpha_us > 0 && axis->alpha_us * 1e-6 > alpha)
      alpha = axis->alpha_us * 1e-6;
    if (axis->gbps > 0 && axis->gbps * 1e9 / 8 < bandwidth)
      bandwidth = axis->gbps * 1e9 / 8;
  }
  return alpha + gs_cost_bytes(k, local, gs_axes_size(m, axes)) / bandwidth;
}
