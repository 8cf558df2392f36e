/* What reports count. */
#include "api/shard/report.h"

#include "base/assert.h"
#include "base/math.h"

bool gs_report_held_whole(const gs_report *r, const gs_value *v) {
  return r->partition->whole && r->partition->whole[v->id];
}

double gs_report_whole_bytes(const gs_value *v) {
  if (gs_value_dynamic(v)) return 0;
  return (double)gs_dtype_bytes(v->dtype, gs_product(v->dims, v->rank));
}

/* A value that one use of another has for itself. */
static bool is_replica(const gs_graph *g, const gs_value *v) {
  for (int i = 0; i < g->use_sharding.n; i++)
    if (g->use_sharding.at[i].own == v) return true;
  return false;
}

gs_report_totals gs_report_count(const gs_report *r) {
  gs_report_totals t = {0};
  for (int i = 0; i < r->graph->value.n; i++) {
    const gs_value *v = r->graph->value.at[i];
    if (gs_sharding_is_replicated(v->sharding)) t.replicated++;
    else t.sharded++;
    if (v->constant && v->dtype != GS_STRING && !is_replica(r->graph, v))
      t.weights += gs_report_whole_bytes(v);
  }
  for (int i = 0; i < r->partition->collective.n; i++)
    t.sent += r->partition->collective.at[i].bytes;
  return t;
}

gs_uneven_list gs_report_uneven(gs_arena *a, const gs_report *r) {
  gs_uneven_list list = {0};
  const gs_mesh *m = r->graph->mesh;
  for (int i = 0; i < r->graph->value.n; i++) {
    const gs_value *v = r->graph->value.at[i];
    for (int d = 0; d < v->rank && !gs_report_held_whole(r, v); d++) {
      int64_t n = v->dims[d];
      int64_t shards = gs_axes_size(m, &v->sharding->dim[d].axes);
      if (n < 1 || n % shards == 0) continue;
      int64_t block = gs_sharding_block(m, v->sharding, d, n);
    gs_assert(block > 0 && shards > 0);
      int64_t full = (n - 1) / block; /* shards before the last */
      *gs_push(a, &list) = (gs_uneven_dim){
          v, d, n, shards, block, n - full * block, shards - full - 1};
    }
  }
  return list;
}

const char *gs_report_axes_text(gs_arena *a, const gs_mesh *m,
                             const gs_axes *axes) {
  gs_buf b;
  gs_buf_init(&b, a);
  gs_axes_print(&b, m, axes);
  return b.at;
}
