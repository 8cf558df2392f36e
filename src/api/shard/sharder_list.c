/* gs_sharder of gshard.h: nodes and modules, line by line. */
#include "api/shard/sharder.h"
#include "base/data/map.h"
#include "base/text.h"
#include "ir/graph/module.h"

static void join_names(gs_buf *b, gs_value *const *v, int n) {
  for (int i = 0; i < n; i++)
    gs_buf_printf(b, "%s%s", i ? ", " : "",
                  v[i] ? gs_text(b->arena, v[i]->name) : "_");
}

/* NAME : OPERATOR (operands) -> results, MODULE */
void gs_list_nodes(gs_buf *b, const gs_graph *g) {
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    const char *module = gs_node_module(b->arena, n);
    gs_buf_printf(b, "%s : %s%s%s (", gs_text(b->arena, n->name),
                  *n->domain ? n->domain : "", *n->domain ? "." : "",
                  n->op_type);
    join_names(b, n->in, n->nin);
    gs_buf_str(b, ") -> ");
    join_names(b, n->out, n->nout);
    if (*module) gs_buf_printf(b, ", module %s", gs_text(b->arena, module));
    gs_buf_char(b, '\n');
  }
}

static void json_names(gs_buf *b, const char *key, gs_value *const *v, int n) {
  gs_buf_printf(b, ", \"%s\": [", key);
  for (int i = 0; i < n; i++) {
    gs_buf_str(b, i ? ", " : "");
    if (v[i]) gs_buf_json(b, v[i]->name);
    else gs_buf_str(b, "null");
  }
  gs_buf_char(b, ']');
}

void gs_list_nodes_json(gs_buf *b, const gs_graph *g) {
  gs_buf_char(b, '[');
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    gs_buf_str(b, i ? ",\n  {\"name\": " : "\n  {\"name\": ");
    gs_buf_json(b, n->name);
    gs_buf_str(b, ", \"domain\": ");
    gs_buf_json(b, *n->domain ? n->domain : "ai.onnx");
    gs_buf_str(b, ", \"operator\": ");
    gs_buf_json(b, n->op_type);
    gs_buf_str(b, ", \"module\": ");
    gs_buf_json(b, gs_node_module(b->arena, n));
    json_names(b, "inputs", n->in, n->nin);
    json_names(b, "outputs", n->out, n->nout);
    gs_buf_char(b, '}');
  }
  gs_buf_str(b, "\n]\n");
}

typedef struct module {
  const char *path;
  int nodes;
  GS_VEC(gs_value *) weight; /* once each */
} module;

typedef struct modules {
  gs_map by_path;
  GS_VEC(module *) list;
} modules;

static void add_node(gs_arena *a, modules *all, const gs_node *n) {
  const char *path = gs_node_module(a, n);
  module *m = gs_map_get(&all->by_path, path);
  if (!m) {
    m = GS_NEW(a, module);
    m->path = path;
    gs_map_put(&all->by_path, path, m);
    *gs_push(a, &all->list) = m;
  }
  m->nodes++;
  for (int i = 0; i < n->nin; i++) {
    gs_value *v = n->in[i];
    bool known = !v || !v->constant;
    for (int k = 0; k < m->weight.n && !known; k++)
      known = m->weight.at[k] == v;
    if (!known) *gs_push(a, &m->weight) = v;
  }
}

static modules find_modules(gs_arena *a, const gs_graph *g) {
  modules all = {0};
  gs_map_init(&all.by_path, a);
  for (int i = 0; i < g->node.n; i++) add_node(a, &all, g->node.at[i]);
  return all;
}

/* MODULE : 3 nodes, w f32[6,8], b f32[8] */
void gs_list_modules(gs_buf *b, const gs_graph *g) {
  modules all = find_modules(b->arena, g);
  for (int i = 0; i < all.list.n; i++) {
    const module *m = all.list.at[i];
    gs_buf_printf(b, "%s : %d node%s", gs_text(b->arena, m->path), m->nodes,
                  m->nodes == 1 ? "" : "s");
    for (int k = 0; k < m->weight.n; k++) {
      const gs_value *v = m->weight.at[k];
      gs_buf_printf(b, ", %s %s", gs_text(b->arena, v->name),
                    gs_shape_text(b->arena, v->dtype, v->rank, v->dims));
    }
    gs_buf_char(b, '\n');
  }
}

void gs_list_modules_json(gs_buf *b, const gs_graph *g) {
  modules all = find_modules(b->arena, g);
  gs_buf_char(b, '[');
  for (int i = 0; i < all.list.n; i++) {
    const module *m = all.list.at[i];
    gs_buf_str(b, i ? ",\n  {\"module\": " : "\n  {\"module\": ");
    gs_buf_json(b, m->path);
    gs_buf_printf(b, ", \"nodes\": %d", m->nodes);
    json_names(b, "weights", m->weight.at, m->weight.n);
    gs_buf_char(b, '}');
  }
  gs_buf_str(b, "\n]\n");
}
