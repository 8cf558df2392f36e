/* Cut: a range of places along a dim, out of a wider one. */
#include "kernel/core/coord.h"
#include "kernel/core/strided.h"
#include "kernel/core/support.h"
#include "op/core/exchange_node.h"

typedef struct plan {
  gs_strided s;
  int64_t offset; /* of the first element */
} plan;

static gs_status ranges(gs_kctx *k, int64_t n, int64_t idx, int64_t *first,
                        int64_t *count) {
  gs_held_range have, want;
  GS_TRY(gs_node_range(k->arena, k->node, "have", &have, k->err));
  GS_TRY(gs_node_range(k->arena, k->node, "want", &want, k->err));
  if (!gs_held_range_fits(&have, idx) || !gs_held_range_fits(&want, idx))
    return gs_kernel_fail(k, GS_DATA, "ranges of index %lld", (long long)idx);
  int64_t a = gs_held_range_first(&have, idx);
  int64_t b = gs_held_range_first(&want, idx);
  *count = want.length;
  if (b >= a && b + want.length <= a + have.length && have.length == n) {
    *first = b - a;
    return GS_OK;
  }
  return gs_kernel_fail(k, GS_DATA,
                        "%lld places from element %lld on are not within %lld "
                        "from %lld on, of which there are %lld",
                        (long long)want.length, (long long)b,
                        (long long)have.length, (long long)a, (long long)n);
}

static gs_status prep(gs_kctx *k) {
  const gs_view *x = &k->in[0], *y = &k->out[0];
  plan *p = GS_NEW(k->arena, plan);
  int64_t idx, first = 0, count = 0;
  size_t size;
  int d;
  GS_TRY(gs_kernel_esize(k, x->dtype, &size));
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "dim", 0), x->rank, &d));
  GS_TRY(gs_kctx_index(k, &idx));
  GS_TRY(ranges(k, x->dims[d], idx, &first, &count));
  gs_assert(x->rank == y->rank);
  if (y->dims[d] != count)
    return gs_kernel_fail(k, GS_DATA, "the result has %lld places, not %lld",
                          (long long)y->dims[d], (long long)count);
  int64_t inner = gs_dims_count(x->dims, d + 1, x->rank);
  gs_strided_init(&p->s, size);
  gs_strided_dim(&p->s, gs_dims_count(x->dims, 0, d), x->dims[d] * inner,
                 count * inner);
  gs_strided_dim(&p->s, count * inner, 1, 1);
  p->offset = first * inner;
  k->state = p;
  return GS_OK;
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  int64_t size = (int64_t)p->s.size, bytes = p->s.n * size;
  if (bytes)
    gs_strided_run(&p->s, (const char *)k->in[0].data + p->offset * size,
                   k->out[0].data, gs_kernel_threads(k, bytes));
  return GS_OK;
}

extern const gs_kernel gs_kernel_g_cut;
const gs_kernel gs_kernel_g_cut = {prep, run};
