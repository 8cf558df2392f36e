#include "kernel/core/channel_blocks.h"

#include "base/assert.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"

void gs_unblock(const gs_view *v, int block, const float *from, float *to,
                int threads) {
  int64_t places = gs_dims_count(v->dims, 2, v->rank);
  gs_assert(block >= 1 && v->rank >= 2 && v->dims[1] % block == 0);
  gs_strided s;
  gs_strided_init(&s, sizeof *from);
  gs_strided_dim(&s, v->dims[0] * (v->dims[1] / block), block * places,
                 block * places);
  gs_strided_dim(&s, block, 1, places);
  gs_strided_dim(&s, places, block, 1);
  gs_strided_run(&s, from, to, threads);
}
