/* DepthToSpace and SpaceToDepth: a transposition with the blocks as dims. */
#include <string.h>

#include "base/assert.h"
#include "kernel/core/layout.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

static gs_status prep(gs_kctx *k, bool to_space) {
  gs_strided *s = GS_NEW(k->arena, gs_strided);
  const gs_view *deep = to_space ? &k->in[0] : &k->out[0];
  const gs_view *wide = to_space ? &k->out[0] : &k->in[0];
  int64_t b = gs_node_int(k->node, "blocksize", 1);
  bool crd = !strcmp(gs_node_string(k->node, "mode", "DCR"), "CRD");
  gs_assert(deep->rank == 4 && wide->rank == 4 && b >= 1);
  int64_t c = wide->dims[1], h = deep->dims[2], w = deep->dims[3];
  int64_t area = h * w, block = crd ? area : area * c;
  size_t size;
  k->state = s;
  GS_TRY(gs_kernel_esize(k, k->in[0].dtype, &size));
  gs_strided_init(s, size);
  /* batch, channel, row, row of the block, column, column of the block */
  const int64_t dims[6] = {deep->dims[0], c, h, b, w, b};
  const int64_t in_deep[6] = {c * b * b * area, crd ? b * b * area : area, w,
                              b * block, 1, block};
  const int64_t in_wide[6] = {c * b * b * area, b * b * area, b * b * w, b * w,
                              b, 1};
  for (int d = 0; d < 6; d++)
    gs_strided_dim(s, dims[d], to_space ? in_deep[d] : in_wide[d],
                   gs_part_stride(&k->out[0],
                                  to_space ? in_wide[d] : in_deep[d]));
  return GS_OK;
}

static gs_status run(gs_kctx *k) {
  const gs_strided *s = k->state;
  gs_strided_run(s, k->in[0].data, k->out[0].data,
                 gs_kernel_threads(k, s->n * (int64_t)s->size));
  return GS_OK;
}

static gs_status to_space_prep(gs_kctx *k) { return prep(k, true); }
static gs_status to_depth_prep(gs_kctx *k) { return prep(k, false); }

const gs_kernel gs_kernel_depth_to_space = {to_space_prep, run};
const gs_kernel gs_kernel_space_to_depth = {to_depth_prep, run};
