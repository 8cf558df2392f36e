/* Constants that depend on how much of a cache is filled, computed in runs. */
#include "pass/state/cache_live.h"

#include <string.h>

#include "base/assert.h"
#include "pass/state/cache_size.h"

void gs_live_init(gs_live *l, gs_arena *a, gs_graph *g, const gs_states *s,
                  const gs_cache *c, gs_node *first) {
  *l = (gs_live){.a = a, .g = g, .larger = c->larger, .s = s, .c = c,
                 .last = first};
  gs_map_init(&l->made, a);
  gs_map_init(&l->twin, a);
}

const gs_value *gs_live_twin(const gs_live *l, const gs_value *x) {
  if (!x) return NULL;
  const gs_value *w = gs_map_get(&l->twin, x->name);
  return w ? w : gs_graph_find(l->larger, x->name);
}

/* Whether v is another constant than w, which is v with a larger cache. */
static bool differs(const gs_value *v, const gs_value *w) {
  if (!v || !v->constant || !v->computed || !w || w->rank != v->rank ||
      v->constant == w->constant)
    return false;
  return !w->constant || !gs_cache_begins_alike(v->constant, w->constant);
}

bool gs_live_differs(const gs_live *l, const gs_value *x) {
  return differs(x, gs_live_twin(l, x));
}

/* ---- lengths ---- */

/* Whether n is a dim of `before` places less than the size of a cache. */
static bool is_length(const gs_live *l, int64_t n, int64_t before) {
  for (int i = 0; i < l->s->n; i++)
    if (l->s->at[i].size && l->s->at[i].size - before == n) return true;
  return false;
}

static gs_value *ints(gs_live *l, const gs_tensor *like, const int64_t *x) {
  gs_tensor *t = gs_memdup(l->g->arena, like, sizeof *t);
  t->data = gs_memdup(l->g->arena, x, (size_t)gs_tensor_count(t) * sizeof *x);
  gs_value *v = gs_value_constant(l->g, l->c->filled->name, t);
  v->computed = true;
  return v;
}

static gs_value *binary(gs_live *l, const char *type, gs_value *x,
                        gs_value *y) {
  gs_node *n = gs_node_new(l->g, "", type, "", 2, 1);
  n->op = gs_op_find("", type);
  gs_assert(n->op);
  n->opset = n->op->since;
  n->origin = l->c->filled->name;
  n->in[0] = x;
  n->in[1] = y;
  gs_node_output(n, 0, gs_value_new(l->g, l->c->filled->name, GS_INT64,
                                    x->rank, x->dims));
  return n->out[0];
}

/* Dims, of which v has what they are in the last run and w what they are with
 * one place more: those of what has been filled before, or that will be. */
static gs_value *lengths(gs_live *l, const gs_value *v, const gs_value *w) {
  const gs_tensor *t = v->constant;
  if (v->dtype != GS_INT64 || v->rank != 1 || !w->constant ||
      gs_tensor_count(t) != gs_tensor_count(w->constant))
    return NULL;
  int64_t n = gs_tensor_count(t), step = l->s->step;
  const int64_t *x = gs_tensor_bytes(t), *y = gs_tensor_bytes(w->constant);
  int64_t *fixed = GS_NEWS(l->a, n + 1, int64_t);
  int64_t *grows = GS_NEWS(l->a, n + 1, int64_t);
  for (int64_t i = 0; i < n; i++) {
    bool past = is_length(l, x[i], step), total = is_length(l, x[i], 0);
    fixed[i] = x[i];
    if (y[i] == x[i]) continue;
    if (y[i] != x[i] + 1 || past == total) return NULL;
    fixed[i] = total ? step : 0;
    grows[i] = 1;
  }
  gs_value *part = binary(l, "Mul", ints(l, t, grows), l->c->filled);
  return binary(l, "Add", ints(l, t, fixed), part);
}

/* ---- nodes ---- */

/* from, over these operands, in g; appended, or folded. */
static gs_node *call(gs_live *l, gs_graph *g, const gs_node *from,
                     gs_value *const *in) {
  gs_err none;
  gs_node *n = gs_node_like(g, from, "");
  g->node.n--;
  gs_node_set_all(g, n, from);
  for (int k = 0; k < from->nin; k++) n->in[k] = in[k];
  for (int i = 0; i < from->nout; i++)
    if (from->out[i])
      gs_node_output(n, i, gs_value_new(g, from->out[i]->name,
                                        from->out[i]->dtype, -1, NULL));
  gs_err_init(&none);
  bool good = !gs_infer_next(l->a, g, n, &none) && !gs_node_dynamic(n);
  gs_err_free(&none);
  return good ? n : NULL;
}

static bool same_shape(const gs_value *x, const gs_value *y) {
  return x->dtype == y->dtype && x->rank == y->rank &&
         !memcmp(x->dims, y->dims, (size_t)x->rank * sizeof *x->dims);
}

/* A constant of v in g, which may have lost it. */
static gs_value *constant(gs_graph *g, const gs_value *v) {
  gs_value *here = gs_graph_find(g, v->name);
  if (here && here->constant == v->constant) return here;
  here = gs_value_constant(g, v->name, v->constant);
  here->computed = v->computed;
  return here;
}

static gs_value *value_of(gs_live *l, const gs_value *from);

/* Operands of d, a node of the source, in each run; as they are in the last one
 * where they say a shape alone. */
static bool operands(gs_live *l, const gs_node *d, gs_value **in) {
  gs_value **more = GS_NEWS(l->a, d->nin + 1, gs_value *);
  for (int k = 0; k < d->nin; k++) {
    if (!d->in[k]) continue;
    const gs_value *v = l->c->value[d->in[k]->id];
    const gs_value *w = l->c->more[d->in[k]->id];
    if (!v->constant || !w->constant) return false;
    in[k] = constant(l->g, v);
    more[k] = constant(l->larger, w);
  }
  gs_node *n = call(l, l->g, d, in), *other = call(l, l->larger, d, more);
  gs_err none;
  gs_rule r, s;
  if (!n || !other) return false;
  gs_err_init(&none);
  bool good = !gs_rule_of(l->a, n, &r, &none) &&
              !gs_rule_of(l->a, other, &s, &none);
  gs_err_free(&none);
  bool alike = good && gs_cache_same_rule(&r, &s);
  for (int k = 0; k < d->nin && good; k++) {
    if (!d->in[k] || !differs(in[k], more[k]) ||
        gs_cache_says_shape(l->larger, n, other, k, alike))
      continue;
    in[k] = value_of(l, d->in[k]);
    good = in[k];
  }
  return good;
}

/* What v, a value of the source, is in each run; NULL: that cannot be said. */
static gs_value *value_of(gs_live *l, const gs_value *from) {
  const gs_value *v = l->c->value[from->id], *w = l->c->more[from->id];
  gs_value *y = gs_map_get(&l->made, from->name);
  const gs_node *d = from->def;
  if (y) return y;
  if (v->constant && !differs(v, w)) return constant(l->g, v);
  if (!d || !d->op || !v->constant || gs_node_has_region(d)) return NULL;
  if (d->op->flags & GS_OP_SHAPE_ONLY) {
    y = lengths(l, v, w);
  } else {
    gs_value **in = GS_NEWS(l->a, d->nin + 1, gs_value *);
    gs_node *n = operands(l, d, in) ? call(l, l->g, d, in) : NULL;
    y = n ? n->out[from->def_index] : NULL;
  }
  if (!y || !same_shape(y, v)) return NULL;
  gs_map_put(&l->made, gs_strdup(l->a, from->name), y);
  gs_map_put(&l->twin, gs_strdup(l->a, y->name), (void *)w);
  return y;
}

gs_value *gs_live_value(gs_live *l, const gs_value *x) {
  gs_assert(gs_live_differs(l, x));
  const gs_value *from = gs_graph_find(l->c->source, x->name);
  int first = l->g->node.n;
  gs_value *y = from ? value_of(l, from) : NULL;
  int made = l->g->node.n - first;
  gs_graph_move_nodes(l->g, first, l->last->id + 1);
  if (made) l->last = l->g->node.at[l->last->id + made];
  return y;
}
