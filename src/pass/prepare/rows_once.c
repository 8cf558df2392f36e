#include "pass/prepare/rows_once.h"

#include "base/assert.h"

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

/* The one operand of n that has factor f, in dim *d, which is that factor
 * alone; -1: none, or several. */
static int operand_of(const gs_rule *r, int f, int *d) {
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

/* Whether the first element of a list is 0, where there is a list. */
static bool begins_with_zero(const gs_value *v) {
  if (!v) return true;
  const unsigned char *x = v->constant ? gs_tensor_bytes(v->constant) : NULL;
  int64_t n = x ? gs_tensor_count(v->constant) : 0;
  if (n < 1) return false;
  size_t size = (size_t)v->constant->nbytes / (size_t)n;
  for (size_t i = 0; i < size; i++)
    if (x[i]) return false;
  return size > 0;
}

/* From a value to what it is made of; false: nothing is known of that. */
static bool step(gs_arena *a, query *q, bool *yes) {
  const gs_node *n = q->v->def;
  gs_rule *r = GS_NEW(a, gs_rule);
  if (!n || !n->op || gs_node_dynamic(n) || gs_node_has_region(n) ||
      gs_rule_of(a, n, r, NULL))
    return false;
  const gs_dim_map *y = &r->out[q->v->def_index].dim[q->d];
  unsigned flags = n->op->flags;
  int d = -1, i = y->n == 1 ? operand_of(r, y->f[0], &d) : -1;
  if (q->distinct && (flags & GS_OP_DISTINCT) && q->v->def_index == 1)
    return *yes = y->n == 1 && i < 0;
  if (i < 0 || r->factor[y->f[0]].kind != GS_PASS) return false;
  bool equals = flags & GS_OP_EQUALS;
  bool moved = !q->v->def_index && !i &&
               (flags & (GS_OP_EARLY | GS_OP_VALUES | GS_OP_INDEX1)) &&
               (flags & (GS_OP_LINEAR | GS_OP_VALUES));
  if (q->distinct ? !moved : !moved && !equals) return false;
  if (equals && !begins_with_zero(gs_node_in(n, 2))) return false;
  *q = (query){n->in[i], d, q->distinct || equals};
  return true;
}

int64_t gs_rows_once(gs_arena *a, const gs_value *v) {
  for (int d = 0; v->rank > 1 && d < v->rank; d++) {
    query q = {v, d, false};
    bool yes = false;
    if (v->dims[d] < 2) continue;
    for (int k = 0; k < DEPTH && !yes; k++)
      if (!step(a, &q, &yes)) break;
    if (yes) return d;
  }
  return -1;
}
