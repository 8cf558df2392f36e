/* Cast and CastLike. */
#include <string.h>

#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"
#include "kernel/core/par.h"

static gs_status prep_cast(gs_kctx *k) {
  gs_cast_mode *m = GS_NEW(k->arena, gs_cast_mode);
  k->state = m;
  m->saturate = gs_node_int(k->node, "saturate", 1) != 0;
  const char *r = gs_node_string(k->node, "round_mode", "up");
  if (!strcmp(r, "up")) m->round = GS_ROUND_UP;
  else if (!strcmp(r, "down")) m->round = GS_ROUND_DOWN;
  else if (!strcmp(r, "nearest")) m->round = GS_ROUND_NEAREST;
  else
    return gs_fail(k->err, GS_DATA, gs_node_place(k->arena, k->node),
                   "attribute round_mode is '%s', not up, down or nearest",
                   r);
  if (k->in[0].dtype == k->out[0].dtype &&
      gs_dtype_bytes((int)k->in[0].dtype, 1) > 0)
    return GS_OK;
  if (!gs_convert_knows(k->in[0].dtype))
    return gs_kernel_no_type(k, k->in[0].dtype);
  if (!gs_convert_knows(k->out[0].dtype))
    return gs_kernel_no_type(k, k->out[0].dtype);
  return GS_OK;
}

/* Units of 8 elements, which begin at a byte in every type. */
static void units(void *ctx, int64_t lo, int64_t hi) {
  const gs_kctx *k = ctx;
  const gs_view *in = &k->in[0], *out = &k->out[0];
  int64_t n = gs_min(hi * 8, out->n) - lo * 8;
  gs_convert(out->dtype,
             (char *)out->data + gs_dtype_bytes((int)out->dtype, lo * 8),
             in->dtype,
             (const char *)in->data + gs_dtype_bytes((int)in->dtype, lo * 8),
             n, k->state);
}

static gs_status run_cast(gs_kctx *k) {
  gs_parallel(k->threads, gs_ceil_div(k->out[0].n, 8), 16, units, k);
  return GS_OK;
}

extern const gs_kernel gs_kernel_cast;
const gs_kernel gs_kernel_cast = {prep_cast, run_cast};
