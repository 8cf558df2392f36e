#include "pass/stack/lookup.h"

#include "base/math.h"
#include "op/rows/tensor/movement.h"

/* Whether the rows of at, tuples of k indices, are all those of dims. */
static bool all_tuples(const gs_value *at, const int64_t *dims, int k) {
  const gs_tensor *t = at->constant;
  if (!t || t->dtype != GS_INT64 || !gs_tensor_bytes(t)) return false;
  const int64_t *x = (const int64_t *)gs_tensor_bytes(t);
  for (int64_t row = 0; row < at->dims[0]; row++) {
    int64_t rest = row;
    for (int d = k - 1; d >= 0; rest /= dims[d--])
      if (x[row * k + d] != rest % dims[d]) return false;
  }
  return true;
}

static bool all_of_axis(gs_arena *a, const gs_node *n, int64_t axis) {
  const gs_value *x = n->in[0], *at = n->in[1];
  if (n->nin == 2)
    return at->rank == 1 && at->dims[0] == x->dims[axis] &&
           gs_move_iota(a, at, 0, -1, 0);
  return at->rank == x->rank && gs_same_dims(at->dims, x->dims, x->rank) &&
         gs_move_iota(a, at, (int)axis, -1, 0);
}

static int counted_by_tuples(gs_arena *a, const gs_node *n) {
  const gs_value *x = n->in[0], *at = n->in[1];
  int64_t k = at->rank == 2 ? at->dims[1] : 0;
  if (k < 1 || k > x->rank || gs_node_int(n, "batch_dims", 0) ||
      at->dims[0] != gs_product(x->dims, (int)k))
    return 0;
  bool all = k == 1 ? gs_move_iota(a, at, 0, -1, 0)
                    : all_tuples(at, x->dims, (int)k);
  return all ? (int)k : 0;
}

int gs_lookup_counts(gs_arena *a, const gs_node *n) {
  const gs_value *x = gs_node_in(n, 0), *at = gs_node_in(n, 1);
  if (!n->op || !x || !at || gs_value_dynamic(x) || gs_value_dynamic(at) ||
      n->op->index.operand != 1 || !at->rank || !x->rank)
    return 0;
  int64_t axis = gs_node_int(n, "axis", 0);
  if (axis < 0) axis += x->rank;
  if (axis < 0 || axis >= x->rank) return 0;
  switch (n->op->index.kind) {
  case GS_INDEX_AXIS: return all_of_axis(a, n, axis);
  case GS_INDEX_TUPLE: return counted_by_tuples(a, n);
  default: return 0;
  }
}

gs_value *gs_lookup_turned(gs_arena *a, const gs_value *v) {
  const gs_node *n = v->def;
  gs_rule *r = GS_NEW(a, gs_rule);
  if (!n || !n->op || !(n->op->flags & GS_OP_VALUES) || n->nout != 1 ||
      v->rank != 2 || n->in[0]->rank != 2 || gs_rule_of(a, n, r, NULL) ||
      v->dims[0] != n->in[0]->dims[1] || v->dims[1] != n->in[0]->dims[0])
    return NULL;
  for (int d = 0; d < 2; d++) {
    const gs_dim_map *x = &r->in[0].dim[1 - d], *y = &r->out[0].dim[d];
    if (x->n != 1 || y->n != 1 || x->f[0] != y->f[0] ||
        r->factor[x->f[0]].kind != GS_PASS)
      return NULL;
  }
  return n->in[0];
}

bool gs_lookup_of_weight(const gs_node *n) {
  const gs_value *x = n ? gs_node_in(n, 0) : NULL;
  return x && n->op && n->op->index.kind && n->op->index.operand == 1 &&
         x->constant && !x->computed && x->rank > 2 &&
         gs_dtype_get((int)x->dtype)->cls == 'f';
}
