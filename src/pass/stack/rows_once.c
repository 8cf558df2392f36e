#include "pass/stack/rows_once.h"

#include "base/assert.h"
#include "base/math.h"

enum { DEPTH = 32 }; /* nodes that are looked through */

/* A dim of a value, of which it is asked whether its elements are distinct
 * along it, or other than 0 at most once. */
typedef struct query {
  const gs_value *v;
  int d;
  bool distinct;
} query;

static bool has_factor(const gs_tensor_map *t, int f, int *dim) {
  for (int d = 0; d < t->rank; d++)
    for (int k = 0; k < t->dim[d].n; k++)
      if (t->dim[d].f[k] == f) {
        *dim = d;
        return t->dim[d].n == 1;
      }
  return false;
}

int gs_operand_with(const gs_rule *r, int f, int *d) {
  int found = -1;
  for (int i = 0; i < r->nin; i++) {
    int at = -1;
    bool alone = has_factor(&r->in[i], f, &at);
    if (at < 0) continue;
    if (!alone || found >= 0) return -1;
    found = i;
    *d = at;
  }
  return found;
}

bool gs_begins_with_zero(const gs_value *v) {
  if (!v) return true;
  const unsigned char *x = v->constant ? gs_tensor_bytes(v->constant) : NULL;
  int64_t n = x ? gs_tensor_count(v->constant) : 0;
  if (n < 1) return false;
  size_t size = (size_t)v->constant->nbytes / (size_t)n;
  for (size_t i = 0; i < size; i++)
    if (x[i]) return false;
  return size > 0;
}

bool gs_all_zero(const gs_value *v) {
  const unsigned char *x = v->constant ? gs_tensor_bytes(v->constant) : NULL;
  if (!x) return false;
  for (size_t i = 0; i < (size_t)v->constant->nbytes; i++)
    if (x[i]) return false;
  return true;
}

/* From a value to what it is made of; false: nothing is known of that. */
static bool step(const gs_rule *r, query *q, bool *yes) {
  const gs_node *n = q->v->def;
  const gs_dim_map *y = &r->out[q->v->def_index].dim[q->d];
  unsigned flags = n->op->flags;
  int d = -1, i = y->n == 1 ? gs_operand_with(r, y->f[0], &d) : -1;
  bool equals = flags & GS_OP_EQUALS;
  if (q->distinct && (flags & GS_OP_DISTINCT) && q->v->def_index == 1)
    return *yes = y->n == 1 && i < 0;
  if (!q->distinct && equals && n->nin > 2 && y->n == 1 && i < 0)
    return *yes = gs_begins_with_zero(n->in[2]); /* one of all classes */
  if (i < 0 || r->factor[y->f[0]].kind != GS_PASS) return false;
  bool moved = !q->v->def_index && !i &&
               (flags & (GS_OP_EARLY | GS_OP_VALUES | GS_OP_INDEX1)) &&
               (flags & (GS_OP_LINEAR | GS_OP_VALUES));
  if (q->distinct ? !moved : !moved && !equals) return false;
  if (equals && !gs_begins_with_zero(gs_node_in(n, 2))) return false;
  *q = (query){n->in[i], d, q->distinct || equals};
  return true;
}

static bool holds(gs_arena *a, query q, int depth);

/* Whether it holds of a factor of the product n: where one is 0, so is all. */
static bool holds_of_factor(gs_arena *a, const gs_rule *r, const query *q,
                            int depth) {
  const gs_node *n = q->v->def;
  const gs_dim_map *y = &r->out[0].dim[q->d];
  int d = -1;
  for (int i = 0; i < 2 && y->n == 1; i++)
    if (has_factor(&r->in[i], y->f[0], &d) &&
        holds(a, (query){n->in[i], d, false}, depth))
      return true;
  return false;
}

static bool holds(gs_arena *a, query q, int depth) {
  bool yes = false;
  gs_rule *r = GS_NEW(a, gs_rule);
  while (depth-- > 0 && !yes) {
    const gs_node *n = q.v->def;
    if (!n || !n->op || gs_node_dynamic(n) || gs_node_has_region(n) ||
        gs_rule_of(a, n, r, NULL))
      return false;
    if (!q.distinct && (n->op->flags & GS_OP_PRODUCT) &&
        (n->op->flags & GS_OP_POINTWISE))
      return holds_of_factor(a, r, &q, depth / 2);
    if (!step(r, &q, &yes)) return false;
  }
  return yes;
}

bool gs_rows_once_along(gs_arena *a, const gs_value *v, int d) {
  return holds(a, (query){v, d, false}, DEPTH);
}

int64_t gs_rows_once(gs_arena *a, const gs_value *v) {
  for (int d = 0; v->rank > 1 && d < v->rank; d++)
    if (v->dims[d] > 1 && gs_rows_once_along(a, v, d)) return d;
  return -1;
}

/* Whether n only repeats each element of operand 0, along new last dims. */
static bool repeats(gs_arena *a, const gs_node *n) {
  gs_rule *r = GS_NEW(a, gs_rule);
  if (!(n->op->flags & GS_OP_VALUES) || n->nout != 1 ||
      gs_rule_of(a, n, r, NULL))
    return false;
  int64_t first = 1;
  int before = -1;
  for (int d = 0; d < r->out[0].rank; d++) {
    const gs_dim_map *y = &r->out[0].dim[d];
    int at = -1;
    if (n->out[0]->dims[d] == 1) continue;
    if (y->n != 1 || r->factor[y->f[0]].kind != GS_PASS) return false;
    if (gs_operand_with(r, y->f[0], &at)) break;
    if (at <= before) return false;
    before = at;
    first *= n->out[0]->dims[d];
  }
  return first == gs_product(n->in[0]->dims, n->in[0]->rank);
}

const gs_value *gs_rows_root(gs_arena *a, const gs_value *v, int64_t *times) {
  int64_t count = gs_product(v->dims, v->rank);
  for (int k = 0; k < DEPTH && v->def && !v->def_index; k++) {
    const gs_node *n = v->def;
    if (!n->op || gs_node_dynamic(n) || gs_node_has_region(n) ||
        !((n->op->flags & GS_OP_VIEW) || repeats(a, n)))
      break;
    v = n->in[0];
  }
  int64_t own = gs_product(v->dims, v->rank);
  *times = own ? count / own : 1;
  return v;
}
