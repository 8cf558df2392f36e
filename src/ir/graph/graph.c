#include "ir/graph/graph.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "base/text.h"

gs_graph *gs_graph_new(gs_arena *a, const char *name) {
  gs_graph *g = GS_NEW(a, gs_graph);
  g->arena = a;
  g->name = gs_strdup(a, name ? name : "");
  gs_map_init(&g->by_name, a);
  return g;
}

gs_node *gs_node_new(gs_graph *g, const char *domain, const char *op_type,
                     const char *name, int nin, int nout) {
  gs_assert(domain && op_type && nin >= 0 && nout >= 0);
  gs_node *n = GS_NEW(g->arena, gs_node);
  n->domain = gs_strdup(g->arena, !strcmp(domain, "ai.onnx") ? "" : domain);
  n->op_type = gs_strdup(g->arena, op_type);
  n->name = gs_strdup(g->arena, name ? name : "");
  n->origin = n->name;
  n->stage = -1;
  n->nin = nin;
  n->nout = nout;
  n->in = GS_NEWS(g->arena, nin, gs_value *);
  n->out = GS_NEWS(g->arena, nout, gs_value *);
  n->id = g->node.n;
  *gs_push(g->arena, &g->node) = n;
  return n;
}

gs_node *gs_node_like(gs_graph *g, const gs_node *from, const char *name) {
  gs_assert(from->ncapture <= from->nin);
  gs_node *n = gs_node_new(g, from->domain, from->op_type, name, from->nin,
                           from->nout);
  n->op = from->op;
  n->opset = from->opset;
  n->origin = from->origin;
  n->module = from->module;
  n->stage = from->stage;
  n->ncapture = from->ncapture;
  n->dynamic = from->dynamic;
  return n;
}

void gs_node_output(gs_node *n, int i, gs_value *v) {
  gs_assert(i >= 0 && i < n->nout);
  n->out[i] = v;
  v->def = n;
  v->def_index = i;
}

gs_value *gs_node_in(const gs_node *n, int i) {
  return i >= 0 && i < n->nin ? n->in[i] : NULL;
}

gs_value *gs_node_out(const gs_node *n, int i) {
  return i >= 0 && i < n->nout ? n->out[i] : NULL;
}

gs_value *gs_node_first(const gs_node *n) {
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) return n->out[i];
  return NULL;
}

gs_value *gs_graph_find(const gs_graph *g, const char *name) {
  return gs_map_get(&g->by_name, name);
}

const gs_attr *gs_node_attr(const gs_node *n, const char *name) {
  for (int i = 0; i < n->nattr; i++)
    if (!strcmp(n->attr[i].name, name)) return &n->attr[i];
  return NULL;
}

int64_t gs_node_int(const gs_node *n, const char *name, int64_t otherwise) {
  const gs_attr *a = gs_node_attr(n, name);
  return a && a->kind == GS_ATTR_INT ? a->i : otherwise;
}

double gs_node_float(const gs_node *n, const char *name, double otherwise) {
  const gs_attr *a = gs_node_attr(n, name);
  return a && a->kind == GS_ATTR_FLOAT ? a->f : otherwise;
}

const char *gs_node_string(const gs_node *n, const char *name,
                           const char *otherwise) {
  const gs_attr *a = gs_node_attr(n, name);
  return a && a->kind == GS_ATTR_STRING ? a->s.at : otherwise;
}

const int64_t *gs_node_ints(const gs_node *n, const char *name, int *count) {
  const gs_attr *a = gs_node_attr(n, name);
  if (!a || a->kind != GS_ATTR_INTS) {
    *count = 0;
    return NULL;
  }
  *count = a->n;
  return a->ints;
}

void gs_node_set(gs_graph *g, gs_node *n, const gs_attr *attr) {
  gs_attr copy = *attr;
  gs_assert(attr->name && attr->kind);
  copy.name = gs_strdup(g->arena, attr->name);
  gs_attr_read(g, n, &copy);
  for (int i = 0; i < n->nattr; i++)
    if (!strcmp(n->attr[i].name, attr->name)) {
      n->attr[i] = copy;
      return;
    }
  gs_attr *bigger = GS_NEWS(g->arena, n->nattr + 1, gs_attr);
  if (n->nattr) memcpy(bigger, n->attr, (size_t)n->nattr * sizeof *bigger);
  bigger[n->nattr++] = copy;
  n->attr = bigger;
}

void gs_node_set_all(gs_graph *g, gs_node *n, const gs_node *from) {
  gs_assert(!n->nattr);
  n->nattr = from->nattr;
  n->attr =
      gs_memdup(g->arena, from->attr, (size_t)n->nattr * sizeof *n->attr);
  for (int i = 0; i < n->nattr; i++)
    n->attr[i].name = gs_strdup(g->arena, n->attr[i].name);
}

void gs_node_set_int(gs_graph *g, gs_node *n, const char *name, int64_t i) {
  gs_node_set(g, n, &(gs_attr){.name = name, .kind = GS_ATTR_INT, .i = i});
}

void gs_node_set_ints(gs_graph *g, gs_node *n, const char *name,
                      const int64_t *v, int count) {
  const int64_t *copy =
      gs_memdup(g->arena, v, (size_t)count * sizeof *v);
  gs_node_set(g, n,
              &(gs_attr){.name = name,
                         .kind = GS_ATTR_INTS,
                         .n = count,
                         .ints = copy});
}

void gs_node_set_string(gs_graph *g, gs_node *n, const char *name,
                        const char *s) {
  gs_string copy = {gs_strdup(g->arena, s), strlen(s)};
  gs_node_set(g, n,
              &(gs_attr){.name = name, .kind = GS_ATTR_STRING, .s = copy});
}

void gs_node_drop(gs_node *n, const char *name) {
  for (int i = 0; i < n->nattr; i++)
    if (!strcmp(n->attr[i].name, name)) {
      n->attr[i] = n->attr[--n->nattr];
      return;
    }
}

char *gs_node_place(gs_arena *a, const gs_node *n) {
  const char *dot = *n->domain ? "." : "";
  const char *label = *n->name ? n->name : n->origin;
  if (!*label && gs_node_out(n, 0)) label = n->out[0]->name;
  return gs_sprintf(a, "node '%s' (%s%s%s)", gs_text(a, label),
                    gs_text(a, n->domain), dot, gs_text(a, n->op_type));
}

bool gs_node_dynamic(const gs_node *n) {
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] && gs_value_dynamic(n->in[i])) return true;
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] && gs_value_dynamic(n->out[i])) return true;
  return n->dynamic;
}

gs_uses gs_graph_uses(gs_arena *a, const gs_graph *g) {
  gs_uses u;
  u.first = GS_NEWS(a, g->value.n + 2, int);
  int *count = u.first + 1; /* becomes first[] once filled */
  for (int i = 0; i < g->node.n; i++)
    for (int k = 0; k < g->node.at[i]->nin; k++)
      if (g->node.at[i]->in[k]) count[g->node.at[i]->in[k]->id + 1]++;
  gs_assert(u.first[0] == 0);
  for (int i = 1; i <= g->value.n; i++) count[i] += count[i - 1];
  u.use = GS_NEWS(a, count[g->value.n] + 1, gs_use);
  for (int i = 0; i < g->node.n; i++)
    for (int k = 0; k < g->node.at[i]->nin; k++)
      if (g->node.at[i]->in[k])
        u.use[count[g->node.at[i]->in[k]->id]++] =
            (gs_use){g->node.at[i], k};
  return u;
}

void gs_graph_move_nodes(gs_graph *g, int from, int to) {
  int n = g->node.n - from;
  gs_assert(to >= 0 && to <= from && n >= 0);
  gs_node **moved = GS_NEWS(g->arena, n + 1, gs_node *);
  for (int i = 0; i < n; i++) moved[i] = g->node.at[from + i];
  for (int i = from - 1; i >= to; i--) g->node.at[i + n] = g->node.at[i];
  for (int i = 0; i < n; i++) g->node.at[to + i] = moved[i];
  for (int i = to; i < g->node.n; i++) g->node.at[i]->id = i;
}

void gs_graph_prune(gs_graph *g) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  for (int i = 0; i < g->value.n; i++) g->value.at[i]->id = i;
  bool *keep = GS_NEWS(&tmp, g->value.n + 1, bool);
  for (int i = 0; i < g->input.n; i++) keep[g->input.at[i]->id] = true;
  for (int i = 0; i < g->output.n; i++) keep[g->output.at[i]->id] = true;
  for (int i = 0; i < g->capture.n; i++)
    if (g->capture.at[i]) keep[g->capture.at[i]->id] = true;
  bool *live = GS_NEWS(&tmp, g->node.n + 1, bool);
  for (int i = g->node.n - 1; i >= 0; i--) {
    gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nout; k++)
      if (n->out[k] && n->out[k]->def == n && keep[n->out[k]->id])
        live[i] = true;
    if (!live[i]) continue;
    for (int k = 0; k < n->nin; k++)
      if (n->in[k]) keep[n->in[k]->id] = true;
    for (int k = 0; k < n->nout; k++)
      if (n->out[k]) keep[n->out[k]->id] = true;
  }
  int nodes = 0, values = 0;
  for (int i = 0; i < g->node.n; i++)
    if (live[i]) {
      g->node.at[i]->id = nodes;
      g->node.at[nodes++] = g->node.at[i];
    }
  g->node.n = nodes;
  gs_map_init(&g->by_name, g->arena);
  for (int i = 0; i < g->value.n; i++)
    if (keep[i]) {
      gs_value *v = g->value.at[i];
      v->id = values;
      g->value.at[values++] = v;
      gs_map_put(&g->by_name, v->name, v);
    }
  gs_assert(values <= g->value.n && nodes <= g->node.n);
  g->value.n = values;
  gs_arena_free(&tmp);
}
