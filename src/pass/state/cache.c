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

/* The operands of a node that lays them end to end; 0: it does not. */
static int joined(const gs_node *n) {
  return n && n->op && n->op->flags & GS_OP_JOINS ? n->nin : 0;
}

/* Whether n lays its operands end to end, the past first, or what is nothing
 * else. */
static bool joins(const gs_node *n, const gs_value *past) {
  if (joined(n) < 2) return false;
  const gs_value *x = n->in[0];
  while (x != past && joined(x->def) == 1) x = x->def->in[0];
  return x == past;
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

/* *dim: which one grows. */
static gs_status set_size(gs_arena *a, gs_graph *g, const gs_state *s,
                          gs_bindings *bind, gs_cache *c, int *dim,
                          gs_err *e) {
  const gs_value *y = g->output.at[s->out], *x = g->input.at[s->in];
  int d = *dim = growing_dim(y, x, bind, s->size);
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
  c->batch = shape;
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

/* A constant of one number, which is set later. */
static gs_value *number(gs_graph *g, int64_t x) {
  return gs_value_ints(g, FILLED, &x, 1);
}

/* Those that read x, but for n, read as many of its places as are filled in the
 * last run: see cache_live.h. */
static void cut_past(gs_graph *g, gs_cache *c, const gs_node *n, gs_value *x,
                     int dim, int64_t size) {
  gs_node *cut = NULL;
  for (int i = 0, count = g->node.n; i < count; i++) {
    gs_node *reader = g->node.at[i];
    for (int k = 0; k < reader->nin; k++) {
      if (reader == n || reader == c->batch || reader->in[k] != x) continue;
      if (!cut) {
        cut = new_node(g, "Slice", 4);
        cut->in[1] = number(g, 0);
        cut->in[2] = number(g, size - 1);
        cut->in[3] = number(g, dim);
        gs_node_output(cut, 0, gs_value_new(g, x->name, x->dtype, -1, NULL));
        *gs_push(g->arena, &c->past) =
            (gs_cache_past){cut->in[2], size, n, dim};
      }
      reader->in[k] = cut->out[0];
    }
  }
  if (!cut) return;
  cut->in[0] = x;
  gs_graph_move_nodes(g, g->node.n - 1, 0);
}

/* present = Concat(past, new) becomes a write of new into past. */
static void write_in_place(gs_graph *g, gs_node *n, gs_value *past,
                           gs_value *at) {
  gs_value *new = n->in[1];
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

/* n, which makes a present of x itself, over what is written in place.  *done:
 * false where it has no such form. */
static gs_status keep_in_place(gs_graph *g, gs_node *n, gs_value *x,
                               gs_value **at, gs_cache *c, bool *done,
                               gs_err *e) {
  const gs_functions *all;
  GS_TRY(gs_expander_functions(&c->expander, g->arena, &all, e));
  const gs_function *f =
      gs_form_find(all, GS_FN_CACHED, n->domain, n->op_type);
  *done = f;
  if (!f) return GS_OK;
  if (!*at) *at = places(g, c, x);
  int from = g->node.n, last = f->in.n - 1;
  if (gs_node_in(n, last) || gs_node_out(n, f->out.n))
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "it has operands or results that it cannot have over a "
                   "cache of a fixed size");
  gs_node *k = gs_node_new(g, n->domain, n->op_type, n->name, last + 1,
                           n->nout);
  k->op = n->op;
  k->opset = n->op->since;
  k->origin = n->origin;
  k->stage = n->stage;
  k->module = n->module;
  g->node.n--;
  gs_node_set_all(g, k, n);
  for (int i = 0; i < last; i++) k->in[i] = gs_node_in(n, i);
  k->in[last] = *at;
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) gs_node_output(k, i, n->out[i]);
  GS_TRY(gs_expand_by(&c->expander, g, k, f, e));
  gs_graph_move_nodes(g, from, n->id);
  gs_graph_prune(g); /* n makes nothing any more */
  return GS_OK;
}

/* Whether n writes into x at these places. */
static bool writes_at(const gs_node *n, const gs_value *x,
                      const gs_value *at) {
  return at && n && n->nin == 3 && n->in[0] == x && n->in[2] == at;
}

static gs_status fix_one(gs_arena *a, gs_graph *g, const gs_state *s, int dim,
                         gs_value **at, gs_cache *c, gs_err *e) {
  gs_value *y = g->output.at[s->out], *x = g->input.at[s->in];
  gs_node *n = y->def;
  bool reads = false, writes = joins(n, x), done = true;
  for (int i = 0; n && i < n->nin; i++) reads = reads || n->in[i] == x;
  if ((!reads && !writes) || (writes && n->nin != 2))
    return refuse(e, s, GS_UNSUPPORTED,
                  gs_sprintf(a, "%s makes '%s': it is not '%s' and what is new "
                             "after it, so it cannot be of a fixed size",
                             n ? gs_node_place(a, n) : "nothing", y->name,
                             x->name));
  if (writes) {
    if (!*at) *at = places(g, c, x);
    write_in_place(g, n, x, *at);
  } else if (!writes_at(n, x, *at)) {
    GS_TRY(keep_in_place(g, n, x, at, c, &done, e));
  }
  if (!done) return GS_OK; /* it keeps the cache itself */
  cut_past(g, c, y->def, x, dim, s->size);
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
    int dim;
    GS_TRY(set_size(a, g, &s->at[i], bind, out, &dim, e));
    GS_TRY(fix_one(a, g, &s->at[i], dim, &at, out, e));
  }
  if (!out->n) return GS_OK;
  s->filled = g->input.n - 1;
  gs_assert(g->input.at[s->filled] == out->filled);
  return GS_OK;
}

/* ---- lengths ---- */

static void set_lengths(gs_graph *g, const gs_cache *c, int64_t less) {
  for (int i = 0; i < c->past.n; i++) {
    gs_value *v = gs_graph_find(g, c->past.at[i].end->name);
    int64_t n = c->past.at[i].size - less;
    gs_tensor *t = gs_memdup(g->arena, v->constant, sizeof *t);
    t->data = gs_memdup(g->arena, &n, sizeof n);
    v->constant = t;
  }
}

/* How many places a run fills, which says what the past is in the last one:
 * what is new to the first of the caches does not depend on that. */
static gs_status find_step(gs_arena *a, gs_graph *g, const gs_cache *c,
                           const gs_bindings *bind, int64_t *step, gs_err *e) {
  const gs_cache_past *p = &c->past.at[0];
  for (int i = 1; i < c->past.n; i++)
    if (c->past.at[i].writer->id < p->writer->id) p = &c->past.at[i];
  const gs_value *new = p->writer->in[1];
  gs_graph *part = gs_graph_copy(a, g);
  gs_value *v = part->value.at[new->id];
  gs_assert(!strcmp(v->name, new->name));
  part->output.n = 0;
  *gs_push(a, &part->output) = v;
  v->is_output = true;
  gs_graph_prune(part);
  gs_err mine;
  gs_err_init(&mine);
  gs_status s = gs_pass_infer(a, part, bind, &mine);
  if (s) gs_err_move(e, &mine);
  gs_err_free(&mine);
  GS_TRY(s);
  if (!gs_value_shaped(v) || p->dim >= v->rank || v->dims[p->dim] > p->size)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, p->writer),
                   "it is not known how many of %lld places '%s' fills",
                   (long long)p->size, new->name);
  *step = v->dims[p->dim];
  return GS_OK;
}

static gs_value **values_of(gs_arena *a, const gs_graph *g) {
  return gs_memdup(a, g->value.at, (size_t)g->value.n * sizeof *g->value.at);
}

gs_status gs_pass_cache_lengths(gs_arena *a, gs_graph *g, gs_cache *c,
                                const gs_bindings *bind, gs_err *e) {
  if (!c->n) return GS_OK;
  if (c->past.n) {
    GS_TRY(find_step(a, g, c, bind, &c->step, e));
    set_lengths(g, c, c->step);
  }
  c->source = gs_graph_copy(a, g);
  c->larger = gs_graph_copy(a, g);
  set_lengths(c->larger, c, c->step - 1);
  c->value = values_of(a, g);
  c->more = values_of(a, c->larger);
  gs_assert(c->source->value.n == g->value.n);
  return GS_OK;
}
