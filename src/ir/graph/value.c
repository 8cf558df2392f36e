#include "ir/graph/value.h"

#include "base/assert.h"
#include "base/math.h"
#include "ir/graph/graph.h"

/* `wanted` if it is free, else wanted.1, wanted.2, ... */
static const char *fresh_name(gs_graph *g, const char *wanted) {
  if (wanted && *wanted && !gs_map_has(&g->by_name, wanted))
    return gs_strdup(g->arena, wanted);
  for (;;) {
    g->fresh++;
    const char *name =
        wanted && *wanted ? gs_sprintf(g->arena, "%s.%d", wanted, g->fresh)
                          : gs_sprintf(g->arena, "v.%d", g->fresh);
    if (!gs_map_has(&g->by_name, name)) return name;
  }
}

gs_value *gs_value_new(gs_graph *g, const char *name, gs_dtype dtype, int rank,
                       const int64_t *dims) {
  gs_assert(rank >= -1 && rank <= GS_MAX_RANK);
  gs_value *v = GS_NEW(g->arena, gs_value);
  v->name = fresh_name(g, name);
  v->dtype = dtype;
  v->id = g->value.n;
  v->rank = -1;
  if (rank >= 0) gs_value_shape(g, v, rank, dims);
  *gs_push(g->arena, &g->value) = v;
  gs_map_put(&g->by_name, v->name, v);
  return v;
}

void gs_value_shape(gs_graph *g, gs_value *v, int rank, const int64_t *dims) {
  gs_assert(rank >= -1 && (dims || rank <= 0));
  v->rank = rank;
  v->dims = NULL;
  if (rank >= 0)
    v->dims = gs_memdup(g->arena, dims, (size_t)rank * sizeof *dims);
}

gs_value *gs_value_constant(gs_graph *g, const char *name,
                            const gs_tensor *t) {
  gs_value *v = gs_value_new(g, name, t->dtype, t->rank, t->dims);
  v->constant = t;
  return v;
}

gs_value *gs_value_ints(gs_graph *g, const char *name, const int64_t *x,
                        int n) {
  gs_assert(n >= 0 && (x || !n));
  gs_tensor *t = GS_NEW(g->arena, gs_tensor);
  int64_t dims[1] = {n};
  t->dtype = GS_INT64;
  t->rank = 1;
  t->dims = gs_memdup(g->arena, dims, sizeof dims);
  t->nbytes = (uint64_t)n * sizeof *x;
  t->data = gs_memdup(g->arena, x, (size_t)t->nbytes);
  return gs_value_constant(g, name, t);
}

const int64_t *gs_value_int_list(gs_arena *a, const gs_value *v, int *count) {
  enum { MOST = 1 << 20 };
  *count = 0;
  if (!v || !v->constant) return NULL;
  int64_t n = gs_tensor_count(v->constant);
  if (n < 0 || n > MOST) return NULL;
  int64_t *list = GS_NEWS(a, n ? n : 1, int64_t);
  if (gs_tensor_ints(v->constant, list, n) < 0) return NULL;
  gs_assert(n <= MOST);
  *count = (int)n;
  return list;
}

bool gs_value_shaped(const gs_value *v) {
  if (v->kind != GS_TENSOR || v->rank < 0) return false;
  for (int d = 0; d < v->rank; d++)
    if (v->dims[d] < 0) return false;
  return true;
}

bool gs_value_dynamic(const gs_value *v) {
  return v->dtype == GS_UNDEFINED || v->dtype == GS_STRING ||
         !gs_value_shaped(v);
}

size_t gs_value_bytes(const gs_value *v) {
  gs_assert(gs_value_shaped(v));
  return (size_t)gs_dtype_bytes((int)v->dtype, gs_product(v->dims, v->rank));
}

void gs_value_forget_shape(gs_value *v) {
  v->rank = -1;
  v->dims = NULL;
  v->dim_names = NULL;
}
