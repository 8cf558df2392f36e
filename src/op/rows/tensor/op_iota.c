/* Indices that only count: arange(n) as one index of a tuple. */
#include "base/assert.h"
#include "op/rows/tensor/movement.h"

enum { DEPTH = 8 }; /* nodes that are looked through */

/* What is asked of a value, see gs_move_iota; `of` -1: all of it counts. */
typedef struct query {
  const gs_value *v;
  int d, of;
  int64_t at;
} query;

static int64_t element(const gs_tensor *t, int64_t i) {
  const void *x = gs_tensor_bytes(t);
  return t->dtype == GS_INT32 ? ((const int32_t *)x)[i]
                              : ((const int64_t *)x)[i];
}

static bool constant_counts(const query *q) {
  const gs_tensor *t = q->v->constant;
  int64_t n = gs_tensor_count(t), stride = 1, of_stride = 1;
  if (!gs_tensor_bytes(t) ||
      (t->dtype != GS_INT32 && t->dtype != GS_INT64))
    return false;
  for (int d = q->v->rank - 1; d > q->d; d--) stride *= q->v->dims[d];
  for (int d = q->v->rank - 1; d > q->of; d--) of_stride *= q->v->dims[d];
  for (int64_t i = 0; i < n; i++) {
    if (q->of >= 0 && i / of_stride % q->v->dims[q->of] != q->at) continue;
    if (element(t, i) != i / stride % q->v->dims[q->d]) return false;
  }
  return true;
}

/* The dim of operand 0 that has the one factor of dim d of the result and
 * nothing else; -1: none. */
static int passed(const gs_rule *r, int d) {
  const gs_dim_map *y = &r->out[0].dim[d];
  if (y->n != 1 || r->factor[y->f[0]].kind != GS_PASS) return -1;
  for (int k = 0; k < r->in[0].rank; k++) {
    const gs_dim_map *x = &r->in[0].dim[k];
    if (x->n == 1 && x->f[0] == y->f[0]) return k;
  }
  return -1;
}

/* Results are elements of operand 0: those with the same coordinates along
 * dims that pass. */
static bool through_values(const gs_rule *r, const gs_node *n, query *q) {
  if (!(n->op->flags & GS_OP_VALUES)) return false;
  int d = passed(r, q->d), of = q->of < 0 ? -1 : passed(r, q->of);
  if (d < 0 || (q->of >= 0 && of < 0 && q->v->dims[q->of] != 1)) return false;
  *q = (query){n->in[0], d, of, q->at};
  return true;
}

/* Results are joined of operands along `of`, and all else passes. */
static bool through_joined(const gs_rule *r, const gs_node *n, query *q) {
  for (int d = 0; d < q->v->rank; d++)
    if (d != q->of && passed(r, d) != d && q->v->dims[d] != 1) return false;
  for (int k = 0; k < r->nuse; k++) {
    const gs_window_use *u = &r->use[k];
    if (!u->copies || u->out > 0 || u->dim != q->of || u->reach.den != 1)
      continue;
    const gs_value *x = gs_node_in(n, u->in);
    int64_t at = u->reach.num * q->at + u->reach.first;
    if (!x || at < 0 || at >= x->dims[u->dim]) continue;
    *q = (query){x, q->d, q->of, at};
    return true;
  }
  return false;
}

static bool step(gs_arena *tmp, query *q) {
  const gs_node *n = q->v->def;
  gs_rule r;
  if (!n || !n->op || n->nin < 1 || !n->in[0] || n->out[0] != q->v ||
      gs_node_dynamic(n) || gs_node_has_region(n) ||
      gs_rule_of(tmp, n, &r, NULL))
    return false;
  return through_values(&r, n, q) || (q->of >= 0 && through_joined(&r, n, q));
}

bool gs_move_iota(gs_arena *a, const gs_value *v, int d, int of, int64_t at) {
  query q = {v, d, of, at};
  gs_assert(d != of && d >= 0 && d < v->rank);
  gs_assert(of < 0 || (at >= 0 && at < v->dims[of]));
  for (int k = 0; k < DEPTH; k++) {
    if (q.v->constant) return constant_counts(&q);
    for (int i = 0; i < q.v->rank && q.of < 0; i++)
      if (i != q.d && q.v->dims[i] == 1) q.of = i; /* its one index is 0 */
    if (!step(a, &q)) return false;
  }
  return false;
}
