#include "pass/stack/stack_select.h"

#include "base/math.h"
#include "pass/stack/rows_once.h"
#include "pass/stack/stack_emit.h"

enum { MAX_CHAIN = 4096 };

typedef struct chain {
  gs_graph *g;
  const gs_node *last;
  int n;
  gs_value **test, **part; /* [n], what is put last stands last */
  gs_value *base;
  gs_err *e;
} chain;

/* ---- finding ---- */

static bool same_shape(const gs_value *a, const gs_value *b) {
  return a->dtype == b->dtype && a->rank == b->rank &&
         gs_same_dims(a->dims, b->dims, a->rank);
}

static bool selects(const gs_node *n) {
  return n && n->op && (n->op->flags & GS_OP_SELECTS) && !gs_node_dynamic(n) &&
         n->out[0] && gs_dtype_get((int)n->out[0]->dtype)->cls == 'f' &&
         same_shape(n->in[1], n->out[0]) && same_shape(n->in[2], n->out[0]);
}

/* What v is of, if only the chain reads it. */
static const gs_node *maker(const gs_reads *r, const gs_value *v) {
  if (v->id >= r->nvalue || r->nuse[v->id] != 1) return NULL;
  return v->def;
}

static bool find(const gs_reads *r, const gs_node *n, gs_arena *tmp,
                 chain *c) {
  GS_VEC(const gs_node *) link = {0};
  for (const gs_node *k = n; selects(k) && link.n < MAX_CHAIN;
       k = maker(r, k->in[2])) {
    if (!same_shape(k->in[0], n->in[0]) || k->in[0]->rank >= GS_MAX_RANK ||
        !same_shape(k->out[0], n->out[0]))
      break;
    *gs_push(tmp, &link) = k;
  }
  c->n = link.n;
  c->last = n;
  if (c->n < 2) return false;
  c->test = GS_NEWS(tmp, c->n, gs_value *);
  c->part = GS_NEWS(tmp, c->n, gs_value *);
  c->base = link.at[c->n - 1]->in[2];
  for (int i = 0; i < c->n; i++) {
    c->test[i] = link.at[c->n - 1 - i]->in[0];
    c->part[i] = link.at[c->n - 1 - i]->in[1];
  }
  return gs_branches_alike(c->part, c->n, tmp);
}

/* Whether tests, equal lookups but for constant indices of rank 0, take each
 * another place along a dim along which at most one is true. */
static bool places_apart(gs_arena *a, gs_value *const *test, int n) {
  const gs_node *first = test[0]->def;
  int64_t at[2], axis = gs_node_int(first, "axis", 0);
  if (first->op->index.kind != GS_INDEX_AXIS || first->nin != 2) return false;
  if (axis < 0) axis += first->in[0]->rank;
  for (int i = 0; i < n; i++) {
    const gs_node *k = test[i]->def;
    if (k->in[0] != first->in[0] || k->in[1]->rank || !k->in[1]->constant ||
        gs_node_int(k, "axis", 0) != gs_node_int(first, "axis", 0) ||
        gs_tensor_ints(k->in[1]->constant, &at[i > 0], 1) != 1 ||
        at[i > 0] < 0 || (i && at[1] <= at[0]))
      return false;
    if (i) at[0] = at[1];
  }
  return gs_rows_once_along(a, first->in[0], (int)axis);
}

/* Whether it is known that at most one of the tests is true in each place. */
static bool apart(gs_arena *a, const chain *c) {
  enum { DEPTH = 16 };
  gs_value **test = gs_memdup(a, c->test, (size_t)c->n * sizeof *test);
  for (int depth = 0; depth < DEPTH; depth++) {
    const gs_node *first = test[0]->def;
    for (int i = 0; i < c->n; i++) {
      const gs_node *k = test[i]->def;
      if (!k || !k->op || !first || k->op != first->op || test[i]->def_index ||
          gs_node_dynamic(k) || gs_node_has_region(k) ||
          !same_shape(test[i], test[0]))
        return false;
    }
    bool as_it_is = (first->op->flags & GS_OP_VIEW) ||
                    ((first->op->flags & GS_OP_POINTWISE) &&
                     (first->op->flags & GS_OP_VALUES));
    if (!as_it_is) return places_apart(a, test, c->n);
    for (int i = 0; i < c->n; i++) test[i] = test[i]->def->in[0];
  }
  return false;
}

/* Whether n is put over by a later node of its chain. */
static bool goes_on(const gs_reads *r, const gs_node *n) {
  const gs_value *y = n->out[0];
  if (y->id >= r->nvalue || r->nuse[y->id] != 1) return false;
  const gs_node *next = r->reader[y->id];
  return selects(next) && next->in[2] == y && next->in[1] != y;
}

/* ---- making ---- */

static gs_status make(chain *c, const char *op, gs_value *const *in, int nin,
                      const char *attr, int64_t value, gs_value **out) {
  gs_node *n = gs_stack_emit(c->g, c->last, op, c->last->out[0]->name, nin);
  for (int i = 0; i < nin; i++) n->in[i] = in[i];
  if (attr) gs_node_set_int(c->g, n, attr, value);
  *out = n->out[0];
  return gs_shape_infer(c->g, n, c->e);
}

static gs_status number(chain *c, gs_dtype type, int64_t i, gs_value **out) {
  gs_tensor *t;
  GS_TRY(gs_tensor_new(c->g->arena, type, 0, NULL, &t, c->e));
  if (type == GS_INT64) *(int64_t *)t->data = i;
  *out = gs_value_constant(c->g, NULL, t);
  return GS_OK;
}

/* Which are true, [n, ..], and that as numbers. */
static gs_status count(chain *c, gs_arena *tmp, gs_value **there,
                       gs_value **counted) {
  gs_value **row = GS_NEWS(tmp, c->n, gs_value *);
  const int64_t first = 0;
  for (int i = 0; i < c->n; i++) {
    gs_value *in[] = {c->test[i], gs_value_ints(c->g, NULL, &first, 1)};
    GS_TRY(make(c, "Unsqueeze", in, 2, NULL, 0, &row[i]));
  }
  GS_TRY(make(c, "Concat", row, c->n, "axis", 0, there));
  return make(c, "Cast", there, 1, "to", GS_INT32, counted);
}

/* Of what is true, the last: [n, ..]. */
static gs_status last_of(chain *c, gs_value *there, gs_value *counted,
                         gs_value **won) {
  gs_value *in[2] = {counted};
  GS_TRY(number(c, GS_INT64, 0, &in[1]));
  gs_node *sum = gs_stack_emit(c->g, c->last, "CumSum",
                               c->last->out[0]->name, 2);
  for (int i = 0; i < 2; i++) sum->in[i] = in[i];
  gs_node_set_int(c->g, sum, "exclusive", 1);
  gs_node_set_int(c->g, sum, "reverse", 1);
  GS_TRY(gs_shape_infer(c->g, sum, c->e));
  in[0] = sum->out[0];
  GS_TRY(number(c, GS_INT32, 0, &in[1]));
  GS_TRY(make(c, "Equal", in, 2, NULL, 0, &in[1]));
  in[0] = there;
  return make(c, "And", in, 2, NULL, 0, won);
}

/* What stays of the base: where nothing is true. */
static gs_status rest(chain *c, gs_value *counted, gs_value *zero,
                      gs_value **out) {
  const int64_t first = 0;
  gs_value *in[] = {counted, gs_value_ints(c->g, NULL, &first, 1), c->base};
  GS_TRY(make(c, "ReduceMax", in, 2, "keepdims", 0, &in[0]));
  GS_TRY(make(c, "Cast", in, 1, "to", GS_BOOL, &in[0]));
  in[1] = zero;
  return make(c, "Where", in, 3, NULL, 0, out);
}

static gs_status add_up(chain *c, gs_arena *tmp) {
  gs_value **term = GS_NEWS(tmp, c->n + 1, gs_value *), *y = c->last->out[0];
  gs_value *there, *counted, *won = NULL, *zero;
  GS_TRY(number(c, y->dtype, 0, &zero));
  GS_TRY(count(c, tmp, &there, &counted));
  bool each = !apart(tmp, c);
  if (each) GS_TRY(last_of(c, there, counted, &won));
  for (int i = 0; i < c->n; i++) {
    gs_value *in[] = {won, NULL, zero};
    if (each) GS_TRY(number(c, GS_INT64, i, &in[1]));
    if (each) GS_TRY(make(c, "Gather", in, 2, "axis", 0, &in[0]));
    else in[0] = c->test[i];
    in[1] = c->part[i];
    GS_TRY(make(c, "Where", in, 3, NULL, 0, &term[i]));
  }
  GS_TRY(rest(c, counted, zero, &term[c->n]));
  gs_node *sum = gs_stack_emit(c->g, c->last, "Sum", y->name, c->n + 1);
  for (int i = 0; i <= c->n; i++) sum->in[i] = term[i];
  gs_node_output(sum, 0, y);
  return gs_shape_infer(c->g, sum, c->e);
}

gs_status gs_select_sum(gs_graph *g, const gs_reads *reads, int *at,
                        gs_arena *tmp, gs_err *e) {
  const gs_node *n = g->node.at[*at];
  chain c = {.g = g, .e = e};
  if (!selects(n) || goes_on(reads, n) || !find(reads, n, tmp, &c))
    return GS_OK;
  int first = g->node.n;
  GS_TRY(add_up(&c, tmp));
  int more = g->node.n - first;
  gs_stack_place(g, *at, first, tmp);
  *at += more - 1;
  return GS_OK;
}
