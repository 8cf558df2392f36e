/* Buffers in the place of caches that grow. */
#include "pass/state/cache.h"

#include <string.h>

#include "base/assert.h"
#include "op/core/op.h"

#define FILLED "gshard.filled"

/* ---- messages ---- */

static gs_status refuse(gs_err *e, const gs_state *s, gs_status code,
                        const char *text) {
  if (s->at) return gs_fail_at(e, code, s->at, "%s", text);
  return gs_fail(e, code, NULL, "%s", text);
}

/* ---- sizes ---- */

/* What a symbolic dim goes by. */
static const char *name_of(gs_arena *a, const gs_value *v, int d) {
  const char *name = v->dim_names ? v->dim_names[d] : NULL;
  return name ? name : gs_sprintf(a, "%s:%d", v->name, d);
}

/* Whether n lays its operands end to end, the past first. */
static bool joins(const gs_node *n, const gs_value *past) {
  return n && n->op && (n->op->flags & GS_OP_JOINS) && n->nin >= 2 &&
         n->in[0] == past;
}

/* The dim that grows: of a Concat its axis, else the only symbolic one that
 * has another name in the present, or that is not bound.  -1: none. */
static int growing_dim(const gs_value *y, const gs_value *x,
                       const gs_bindings *bind, int64_t size) {
  int found = -1;
  int64_t n;
  if (joins(y->def, x)) {
    int64_t axis = gs_node_int(y->def, "axis", 0);
    if (axis < 0) axis += x->rank;
    return axis > 0 && axis < x->rank && x->dims[axis] < 0 ? (int)axis : -1;
  }
  for (int d = 0; d < x->rank; d++) {
    const char *p = x->dim_names ? x->dim_names[d] : NULL;
    const char *q = y->dim_names ? y->dim_names[d] : NULL;
    if (x->dims[d] >= 0) continue;
    bool other = p && q && strcmp(p, q);
    if (!other && p && gs_bindings_get(bind, p, &n) && n != size) continue;
    if (found >= 0 && !other) continue;
    found = d;
    if (other) break;
  }
  return found;
}

static gs_status bind_dim(gs_arena *a, const gs_value *v, int d,
                          const gs_state *s, gs_bindings *bind,
                          gs_bindings *larger, gs_err *e) {
  int64_t old;
  const char *name = name_of(a, v, d);
  if (v->dims[d] >= 0) return GS_OK;
  if (gs_bindings_get(bind, name, &old) && old != s->size)
    return refuse(e, s, GS_SPEC,
                  gs_sprintf(a, "'%s' is bound to %lld, but it is the size of "
                             "a state of %lld", name, (long long)old,
                             (long long)s->size));
  GS_TRY(gs_bindings_put(bind, name, s->size, e));
  return gs_bindings_put(larger, name, s->size + 1, e);
}

static gs_status set_size(gs_arena *a, gs_graph *g, const gs_state *s,
                          gs_bindings *bind, gs_cache *c, gs_err *e) {
  const gs_value *y = g->output.at[s->out], *x = g->input.at[s->in];
  int d = growing_dim(y, x, bind, s->size);
  if (d < 0)
    return refuse(e, s, GS_SPEC,
                  gs_sprintf(a, "'%s' has no dim that could grow to %lld",
                             x->name, (long long)s->size));
  GS_TRY(bind_dim(a, x, d, s, bind, &c->bind, e));
  return y->dim_names && y->dim_names[d]
             ? bind_dim(a, y, d, s, bind, &c->bind, e) : GS_OK;
}

/* ---- writing ---- */

static gs_node *new_node(gs_graph *g, const char *type, int nin) {
  gs_node *n = gs_node_new(g, "", type, "", nin, 1);
  n->op = gs_op_find("", type);
  gs_assert(n->op);
  n->opset = n->op->since;
  n->origin = FILLED;
  return n;
}

/* filled, for each of the sequences of a batch: as many as x has. */
static gs_value *places(gs_graph *g, gs_cache *c, gs_value *x) {
  int64_t one = 1;
  int from = g->node.n;
  gs_value *v = c->filled =
      gs_value_new(g, FILLED, GS_INT64, 1, &one);
  v->is_input = true;
  *gs_push(g->arena, &g->input) = v;
  gs_node *shape = new_node(g, "Shape", 1);
  shape->in[0] = x;
  gs_node_set_int(g, shape, "start", 0);
  gs_node_set_int(g, shape, "end", 1);
  gs_node_output(shape, 0, gs_value_new(g, FILLED ".batch", GS_INT64, -1,
                                        NULL));
  gs_node *expand = new_node(g, "Expand", 2);
  expand->in[0] = v;
  expand->in[1] = shape->out[0];
  gs_node_output(expand, 0, gs_value_new(g, FILLED ".places", GS_INT64, -1,
                                         NULL));
  gs_graph_move_nodes(g, from, 0);
  return expand->out[0];
}

/* present = Concat(past, new) becomes a write of new into past. */
static void write_in_place(gs_graph *g, gs_node *n, gs_value *at) {
  gs_value *past = n->in[0], *new = n->in[1];
  n->op_type = "TensorScatter";
  n->op = gs_op_find("", n->op_type);
  gs_assert(n->op);
  n->opset = n->op->since;
  n->nin = 3;
  n->in = GS_NEWS(g->arena, 3, gs_value *);
  n->in[0] = past;
  n->in[1] = new;
  n->in[2] = at;
}

static gs_status fix_one(gs_arena *a, gs_graph *g, const gs_state *s,
                         gs_value **at, gs_cache *c, gs_err *e) {
  gs_value *y = g->output.at[s->out], *x = g->input.at[s->in];
  gs_node *n = y->def;
  bool reads = false;
  for (int i = 0; n && i < n->nin; i++) reads = reads || n->in[i] == x;
  if (reads && !joins(n, x)) return GS_OK; /* it keeps the cache itself */
  if (!reads || n->nin != 2)
    return refuse(e, s, GS_UNSUPPORTED,
                  gs_sprintf(a, "%s makes '%s': it is not '%s' and what is new "
                             "after it, so it cannot be of a fixed size",
                             n ? gs_node_place(a, n) : "nothing", y->name,
                             x->name));
  if (!*at) *at = places(g, c, x);
  write_in_place(g, n, *at);
  c->n++;
  return GS_OK;
}

gs_status gs_pass_cache(gs_arena *a, gs_graph *g, gs_states *s,
                        gs_bindings *bind, gs_cache *out, gs_err *e) {
  gs_value *at = NULL;
  bool any = false;
  *out = (gs_cache){0};
  gs_bindings_init(&out->bind, a);
  for (int i = 0; i < s->n; i++) {
    if (!s->at[i].size) continue;
    if (!any && gs_graph_find(g, FILLED)) return GS_OK; /* it is so already */
    any = true;
    GS_TRY(set_size(a, g, &s->at[i], bind, out, e));
    GS_TRY(fix_one(a, g, &s->at[i], &at, out, e));
  }
  if (!out->n) return GS_OK;
  s->filled = g->input.n - 1;
  gs_assert(g->input.at[s->filled] == out->filled);
  out->larger = gs_graph_copy(a, g);
  return GS_OK;
}
