/* Copies of graphs. */
#include "base/assert.h"
#include "ir/graph/graph.h"

static gs_value *copy_value(gs_graph *to, const gs_value *v) {
  gs_value *c = gs_value_new(to, v->name, v->dtype, -1, NULL);
  gs_value own = *c;
  *c = *v;
  gs_assert(v->id == own.id);
  c->name = own.name;
  c->def = NULL;
  if (v->rank >= 0) gs_value_shape(to, c, v->rank, v->dims);
  return c;
}

static void copy_node(gs_graph *to, const gs_node *n) {
  gs_node *c =
      gs_node_new(to, n->domain, n->op_type, n->name, n->nin, n->nout);
  gs_value **in = c->in, **out = c->out;
  int id = c->id;
  *c = *n;
  c->id = id;
  c->in = in;
  c->out = out;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) in[i] = to->value.at[n->in[i]->id];
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) gs_node_output(c, i, to->value.at[n->out[i]->id]);
  c->attr = gs_memdup(to->arena, n->attr, (size_t)n->nattr * sizeof *n->attr);
  for (int i = 0; i < n->nattr; i++)
    if (n->attr[i].kind == GS_ATTR_GRAPH)
      c->attr[i].g = gs_graph_copy(to->arena, n->attr[i].g);
}

gs_graph *gs_graph_copy(gs_arena *a, const gs_graph *g) {
  gs_graph *to = gs_graph_new(a, g->name);
  to->mesh = g->mesh;
  for (int i = 0; i < g->value.n; i++) copy_value(to, g->value.at[i]);
  gs_assert(to->value.n == g->value.n);
  to->fresh = g->fresh;
  for (int i = 0; i < g->node.n; i++) copy_node(to, g->node.at[i]);
  for (int i = 0; i < g->input.n; i++)
    *gs_push(a, &to->input) = to->value.at[g->input.at[i]->id];
  for (int i = 0; i < g->output.n; i++)
    *gs_push(a, &to->output) = to->value.at[g->output.at[i]->id];
  for (int i = 0; i < g->capture.n; i++) {
    const gs_value *v = g->capture.at[i];
    *gs_push(a, &to->capture) = v ? to->value.at[v->id] : NULL;
  }
  return to;
}
