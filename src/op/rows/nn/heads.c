#include "op/rows/nn/heads.h"

#include <stdarg.h>

#include "base/assert.h"
#include "base/math.h"

gs_status gs_heads_bad(gs_arena *a, const gs_node *n, gs_err *e,
                       const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  const char *text = gs_vsprintf(a, fmt, ap);
  va_end(ap);
  return gs_fail(e, GS_DATA, gs_node_place(a, n), "%s", text);
}

gs_status gs_heads_expect(gs_arena *a, const gs_node *n, int i, int rank,
                          const int64_t *dims, gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v) return GS_OK;
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK);
  bool fits = v->rank == rank;
  for (int d = 0; fits && d < rank; d++)
    fits = dims[d] < 0 || v->dims[d] == dims[d];
  if (fits) return GS_OK;
  return gs_heads_bad(a, n, e, "operand %d '%s' is %s, expected %s", i,
                      v->name, gs_shape_text(a, v->dtype, v->rank, v->dims),
                      gs_shape_text(a, v->dtype, rank, dims));
}

gs_status gs_heads_shared(gs_arena *a, const gs_node *n, int64_t heads,
                          int64_t kv, gs_err *e) {
  if (kv > 0 && heads >= kv && heads % kv == 0 && heads <= INT32_MAX)
    return GS_OK;
  return gs_heads_bad(a, n, e, "%lld heads of the query cannot share %lld "
                      "heads of the keys", (long long)heads, (long long)kv);
}

gs_status gs_heads_windows(gs_arena *a, const gs_node *n, gs_err *e) {
  int64_t left = gs_node_int(n, "left_window_size", -1);
  int64_t right = gs_node_int(n, "right_window_size", -1);
  if (left >= -1 && right >= -1) return GS_OK;
  return gs_heads_bad(a, n, e, "window sizes %lld and %lld: below -1",
                      (long long)left, (long long)right);
}

gs_status gs_heads_type(gs_arena *a, const gs_node *n, int i, gs_dtype t,
                        gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v || v->dtype == t) return GS_OK;
  return gs_heads_bad(a, n, e, "operand %d '%s' is of type %s, not %s", i,
                      v->name, gs_dtype_get((int)v->dtype)->text,
                      gs_dtype_get((int)t)->text);
}

int gs_heads_factor(gs_rule *r, int64_t size, gs_factor_kind kind) {
  gs_assert(size >= 0);
  if (size == 1) return -1;
  if (kind != GS_WHOLE) return gs_rule_factor(r, size, kind);
  for (int f = 0; f < r->nfactor && f < GS_MAX_FACTORS; f++)
    if (r->factor[f].kind == GS_WHOLE && r->factor[f].blocked &&
        r->factor[f].size == size)
      return f;
  int f = gs_rule_factor(r, size, GS_WHOLE);
  r->factor[f].blocked = true;
  return f;
}

int gs_heads_work(gs_rule *r, int64_t size) {
  gs_assert(size >= 0);
  return size == 1 ? -1 : gs_rule_factor(r, size, GS_WHOLE);
}

void gs_heads_put(gs_tensor_map *t, int d, int f) {
  if (t && f >= 0 && d < t->rank) gs_rule_put(t, d, f);
}

int64_t gs_heads_shards(const gs_local *l, int f) {
  return f < 0 ? 1 : gs_axes_size(l->mesh, &l->factor[f]);
}

void gs_heads_divide(gs_local *l, gs_node *n, const char *name, int f,
                     int g) {
  if (!gs_node_attr(l->node, name)) return;
  int64_t all = gs_node_int(l->node, name, 0);
  int64_t by = gs_heads_shards(l, f) * gs_heads_shards(l, g);
  gs_assert(by > 0);
  if (by > 1)
    gs_node_set_int(l->program, n, name, gs_ceil_div(all, by));
}

void gs_heads_local(gs_local *l, int64_t batch, int64_t kv, int64_t group) {
  int at = batch != 1;
  int heads = kv != 1 ? at++ : -1, groups = group != 1 ? at : -1;
  gs_assert(heads < l->rule->nfactor && groups < l->rule->nfactor);
  gs_node *n = gs_local_same(l);
  gs_heads_divide(l, n, "q_num_heads", heads, groups);
  gs_heads_divide(l, n, "kv_num_heads", heads, -1);
}
