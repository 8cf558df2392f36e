/* Copies of graphs, and what graphs in attributes need. */
#include <string.h>

#include "ir/graph/graph.h"

bool gs_value_shaped(const gs_value *v) {
  if (v->kind != GS_TENSOR || v->rank < 0) return false;
  for (int d = 0; d < v->rank; d++)
    if (v->dims[d] < 0) return false;
  return true;
}

bool gs_value_dynamic(const gs_value *v) {
  return v->dtype == GS_UNDEFINED || v->dtype == GS_STRING ||
         !gs_value_shaped(v);
}

bool gs_node_has_graph(const gs_node *n) {
  for (int i = 0; i < n->nattr; i++)
    if (n->attr[i].kind == GS_ATTR_GRAPH) return true;
  return false;
}

bool gs_node_dynamic(const gs_node *n) {
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] && gs_value_dynamic(n->in[i])) return true;
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] && gs_value_dynamic(n->out[i])) return true;
  return n->open || gs_node_has_graph(n);
}

void gs_value_open(gs_value *v) {
  v->rank = -1;
  v->dims = NULL;
  v->dim_names = NULL;
}

void gs_node_capture(gs_graph *g, gs_node *n, gs_graph *reader,
                     gs_value *inner, gs_value *outer) {
  int at = gs_node_formal(n);
  while (at < n->nin && n->in[at] != outer) at++;
  if (at == n->nin) {
    gs_value **in = GS_NEWS(g->arena, n->nin + 1, gs_value *);
    if (n->nin) memcpy(in, n->in, (size_t)n->nin * sizeof *in);
    in[n->nin++] = outer;
    n->in = in;
    n->ncapture++;
  }
  at -= gs_node_formal(n);
  for (int i = 0; i < n->nattr; i++) {
    gs_graph *body = n->attr[i].kind == GS_ATTR_GRAPH ? n->attr[i].g : NULL;
    while (body && body->capture.n < n->ncapture)
      *gs_push(body->arena, &body->capture) = NULL;
  }
  inner->is_input = true;
  reader->capture.at[at] = inner;
}

void gs_node_trim_captures(gs_node *n) {
  int first = gs_node_formal(n), kept = 0;
  for (int k = 0; k < n->ncapture; k++) {
    bool read = false;
    for (int i = 0; i < n->nattr; i++) {
      const gs_graph *g = n->attr[i].kind == GS_ATTR_GRAPH ? n->attr[i].g
                                                           : NULL;
      if (g && k < g->capture.n && g->capture.at[k]) read = true;
    }
    if (!read) continue;
    for (int i = 0; i < n->nattr; i++) {
      gs_graph *g = n->attr[i].kind == GS_ATTR_GRAPH ? n->attr[i].g : NULL;
      if (g && k < g->capture.n) g->capture.at[kept] = g->capture.at[k];
    }
    n->in[first + kept++] = n->in[first + k];
  }
  for (int i = 0; i < n->nattr; i++)
    if (n->attr[i].kind == GS_ATTR_GRAPH && n->attr[i].g->capture.n > kept)
      n->attr[i].g->capture.n = kept;
  n->ncapture = kept;
  n->nin = first + kept;
}

static gs_value *copy_value(gs_graph *to, const gs_value *v) {
  gs_value *c = gs_value_new(to, v->name, v->dtype, -1, NULL);
  gs_value own = *c;
  *c = *v;
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
