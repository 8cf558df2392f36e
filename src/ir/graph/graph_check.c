#include <string.h>

#include "base/math.h"
#include "ir/graph/graph.h"

typedef struct check {
  const gs_graph *g;
  bool *defined; /* by value id */
  gs_arena tmp;
  gs_err *e;
} check;

/* What a device of a program holds of v is what its dims say. */
static gs_status check_form(check *c, const gs_value *v) {
  const gs_mesh *m = c->g->mesh;
  if (!v->form) return GS_OK;
  if (!m || !v->sharding || !v->global_dims ||
      !gs_sharding_equal(v->form->sharding, v->sharding))
    return gs_fail(c->e, GS_INTERNAL, v->name,
                   "the form is not one of the sharding of a program's value");
  GS_TRY(gs_form_check(m, v->form, v->rank, v->global_dims, v->name, c->e));
  for (int d = 0; d < v->rank; d++) {
    gs_held_range r = gs_form_range(m, v->form, d, v->global_dims[d]);
    if (r.length != v->dims[d])
      return gs_fail(c->e, GS_INTERNAL, v->name,
                     "%lld places are held of dim %d, whose local size is %lld",
                     (long long)r.length, d, (long long)v->dims[d]);
  }
  return GS_OK;
}

static gs_status check_value(check *c, const gs_value *v, int id) {
  if (!v || v->id != id)
    return gs_fail(c->e, GS_INTERNAL, c->g->name, "value %d has a wrong id",
                   id);
  if (gs_map_get(&c->g->by_name, v->name) != v)
    return gs_fail(c->e, GS_INTERNAL, v->name, "the name is not unique");
  for (int d = 0; d < v->rank; d++)
    if (v->dims[d] < -1)
      return gs_fail(c->e, GS_INTERNAL, v->name, "dim %d is negative", d);
  const gs_tensor *t = v->constant;
  if (t && (t->dtype != v->dtype || t->rank != v->rank ||
            (t->rank && memcmp(t->dims, v->dims,
                               (size_t)t->rank * sizeof *t->dims))))
    return gs_fail(c->e, GS_INTERNAL, v->name,
                   "the constant %s contradicts the value %s",
                   gs_shape_text(&c->tmp, t->dtype, t->rank, t->dims),
                   gs_shape_text(&c->tmp, v->dtype, v->rank, v->dims));
  if (v->sharding && c->g->mesh)
    GS_TRY(gs_sharding_check(c->g->mesh, v->sharding, v->rank, v->name, c->e));
  return check_form(c, v);
}

/* Asked for where something is wrong only: texts take longer than checks. */
static const char *place_of(check *c, const gs_node *n) {
  return gs_node_place(&c->tmp, n);
}

/* What a placement, which may come from a file, says of one operand or result.
 */
static gs_status check_extent(check *c, const gs_node *n, const gs_value *v,
                              const gs_extent *x) {
  if (!x->form) return GS_OK;
  if (!v || v->rank != x->rank)
    return gs_fail(c->e, GS_DATA, place_of(c, n),
                   "the placement has a tensor of rank %d in place of '%s'",
                   x->rank, v ? v->name : "nothing");
  GS_TRY(gs_form_check(c->g->mesh, x->form, x->rank, x->dims, place_of(c, n),
                       c->e));
  for (int d = 0; d < x->rank; d++) {
    gs_held_range r = gs_form_range(c->g->mesh, x->form, d, x->dims[d]);
    if (r.length != v->dims[d])
      return gs_fail(c->e, GS_DATA, place_of(c, n),
                     "the placement has %lld places of dim %d of '%s', whose "
                     "local size is %lld", (long long)r.length, d, v->name,
                     (long long)v->dims[d]);
  }
  return GS_OK;
}

/* Before shapes are known it says what they will be. */
static gs_status check_placement(check *c, const gs_node *n) {
  const gs_placement *pl = gs_node_placement(n);
  if (!pl) return GS_OK;
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] && n->out[i]->rank < 0) return GS_OK;
  if (!c->g->mesh || pl->nin != n->nin || pl->nout != n->nout)
    return gs_fail(c->e, GS_DATA, place_of(c, n),
                   "the placement has %d operands and %d results", pl->nin,
                   pl->nout);
  for (int i = 0; i < n->nin; i++)
    GS_TRY(check_extent(c, n, n->in[i], &pl->in[i]));
  for (int i = 0; i < n->nout; i++)
    GS_TRY(check_extent(c, n, n->out[i], &pl->out[i]));
  return GS_OK;
}

static gs_status check_node(check *c, const gs_node *n, int id) {
  if (n->id != id)
    return gs_fail(c->e, GS_INTERNAL, place_of(c, n),
                   "the node has a wrong id");
  if (n->ncapture < 0 || n->ncapture > n->nin)
    return gs_fail(c->e, GS_INTERNAL, place_of(c, n),
                   "%d operands are captured", n->ncapture);
  for (int i = 0; i < n->nattr; i++) {
    const gs_graph *g = n->attr[i].g;
    if (n->attr[i].kind != GS_ATTR_GRAPH) continue;
    if (g->capture.n > n->ncapture)
      return gs_fail(c->e, GS_INTERNAL, place_of(c, n),
                     "graph '%s' captures %d values, the node %d", g->name,
                     g->capture.n, n->ncapture);
    GS_TRY(gs_graph_check(g, c->e));
  }
  GS_TRY(check_placement(c, n));
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    if (!v) continue;
    if (v->id >= c->g->value.n || c->g->value.at[v->id] != v)
      return gs_fail(c->e, GS_INTERNAL, place_of(c, n),
                     "operand %d is not a value of the graph", i);
    if (!c->defined[v->id])
      return gs_fail(c->e, GS_INTERNAL, place_of(c, n),
                     "operand '%s' is used before it is defined", v->name);
  }
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v) continue;
    if (v->id >= c->g->value.n || c->g->value.at[v->id] != v)
      return gs_fail(c->e, GS_INTERNAL, place_of(c, n),
                     "result %d is not a value of the graph", i);
    if (v->def != n || v->def_index != i || c->defined[v->id])
      return gs_fail(c->e, GS_INTERNAL, place_of(c, n),
                     "result '%s' is defined elsewhere", v->name);
    c->defined[v->id] = true;
  }
  return GS_OK;
}

static gs_status check_all(check *c) {
  const gs_graph *g = c->g;
  for (int i = 0; i < g->value.n; i++)
    GS_TRY(check_value(c, g->value.at[i], i));
  for (int i = 0; i < g->value.n; i++)
    if (g->value.at[i]->is_input || g->value.at[i]->constant)
      c->defined[i] = !g->value.at[i]->def;
  for (int i = 0; i < g->node.n; i++)
    GS_TRY(check_node(c, g->node.at[i], i));
  for (int i = 0; i < g->input.n; i++)
    if (!g->input.at[i]->is_input || g->input.at[i]->def)
      return gs_fail(c->e, GS_INTERNAL, g->input.at[i]->name,
                     "an input of the graph is not marked as one");
  for (int i = 0; i < g->output.n; i++)
    if (!g->output.at[i]->is_output || !c->defined[g->output.at[i]->id])
      return gs_fail(c->e, GS_INTERNAL, g->output.at[i]->name,
                     "an output of the graph is never computed");
  return GS_OK;
}

gs_status gs_graph_check(const gs_graph *g, gs_err *e) {
  check c = {.g = g, .e = e};
  gs_arena_init(&c.tmp);
  c.defined = GS_NEWS(&c.tmp, g->value.n + 1, bool);
  gs_status s = check_all(&c);
  gs_arena_free(&c.tmp);
  return s;
}

gs_status gs_graph_check_sharded(const gs_graph *g, gs_err *e) {
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    const gs_sharding *s = v->sharding;
    if (!g->mesh || !s)
      return gs_fail(e, GS_INTERNAL, v->name, "the value has no sharding");
    GS_TRY(gs_sharding_check(g->mesh, s, v->rank, v->name, e));
    for (int d = 0; d < s->rank; d++)
      if (s->dim[d].open)
        return gs_fail(e, GS_INTERNAL, v->name,
                       "dim %d of the sharding is still open", d);
  }
  return GS_OK;
}
