/* ReverseSequence: along the time dim, the first lens[b] elements of batch b
 * turned round, the rest as it is. */
#include "base/assert.h"
#include "kernel/core/support.h"

typedef struct plan {
  int time, batch;
  size_t size;
} plan;

static gs_status prep(gs_kctx *k) {
  const gs_view *x = &k->in[0];
  plan *p = GS_NEW(k->arena, plan);
  GS_TRY(gs_kernel_esize(k, x->dtype, &p->size));
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "time_axis", 0), x->rank,
                        &p->time));
  GS_TRY(gs_kernel_axis(k, gs_node_int(k->node, "batch_axis", 1), x->rank,
                        &p->batch));
  if (k->in[1].dtype != GS_INT64)
    return gs_kernel_no_type(k, k->in[1].dtype);
  k->state = p;
  return GS_OK;
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *x = &k->in[0];
  const int64_t *lens = k->in[1].data, *dims = x->dims;
  int64_t steps = dims[p->time], batches = dims[p->batch];
  for (int64_t b = 0; b < batches; b++)
    if (lens[b] < 0 || lens[b] > steps)
      return gs_kernel_fail(k, GS_DATA,
                            "sequence %lld is %lld long, but the dim has "
                            "%lld", (long long)b, (long long)lens[b],
                            (long long)steps);
  /* x[outer, first, between, second, inner]: first and second are the two
   * dims in the order in which they lie. */
  bool time_first = p->time < p->batch;
  int first = time_first ? p->time : p->batch;
  int second = time_first ? p->batch : p->time;
  gs_assert(first < second);
  int64_t inner = gs_dims_count(dims, second + 1, x->rank);
  int64_t between = gs_dims_count(dims, first + 1, second);
  int64_t rows = gs_dims_count(dims, 0, second + 1);
  int64_t bytes = inner * (int64_t)p->size;
  int64_t step = time_first ? between * dims[second] : 1;
  int nt = gs_kernel_threads(k, rows * bytes);
  (void)nt;
#pragma omp parallel for num_threads(nt) schedule(static) if (nt > 1)
  for (int64_t r = 0; r < rows; r++) {
    int64_t i = r / dims[second] / between % dims[first];
    int64_t j = r % dims[second];
    int64_t t = time_first ? i : j, n = lens[time_first ? j : i];
    int64_t from = t < n ? r + (n - 1 - 2 * t) * step : r;
    memcpy((char *)k->out[0].data + r * bytes,
           (const char *)x->data + from * bytes, (size_t)bytes);
  }
  return GS_OK;
}

extern const gs_kernel gs_kernel_reverse_sequence;
const gs_kernel gs_kernel_reverse_sequence = {prep, run};
