/* Attributes that are axes, shardings or placements: text in files, parsed
 * once. */
#include "base/assert.h"
#include "ir/graph/graph.h"

void gs_graph_set_mesh(gs_graph *g, const gs_mesh *m) {
  g->mesh = m;
  for (int i = 0; i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nattr; k++) gs_attr_read(g, n, &n->attr[k]);
  }
}

const gs_axes *gs_node_axes(const gs_node *n, const char *name) {
  const gs_attr *a = gs_node_attr(n, name);
  return a && a->kind == GS_ATTR_AXES ? a->axes : NULL;
}

const gs_sharding *gs_node_sharding(const gs_node *n, const char *name) {
  const gs_attr *a = gs_node_attr(n, name);
  return a && a->kind == GS_ATTR_SHARDING ? a->sharding : NULL;
}

const gs_placement *gs_node_placement(const gs_node *n) {
  const gs_attr *a = gs_node_attr(n, "place");
  return a && a->kind == GS_ATTR_PLACE ? a->place : NULL;
}

void gs_node_set_axes(gs_graph *g, gs_node *n, const char *name,
                      const gs_axes *axes) {
  gs_attr a = {.name = name, .kind = GS_ATTR_AXES};
  a.axes = gs_memdup(g->arena, axes, sizeof *axes);
  gs_node_set(g, n, &a);
}

void gs_node_set_sharding(gs_graph *g, gs_node *n, const char *name,
                          const gs_sharding *s) {
  gs_attr a = {.name = name, .kind = GS_ATTR_SHARDING};
  a.sharding = gs_sharding_copy(g->arena, s);
  gs_node_set(g, n, &a);
}

void gs_node_set_placement(gs_graph *g, gs_node *n, const gs_placement *pl) {
  gs_attr a = {.name = "place", .kind = GS_ATTR_PLACE, .place = pl};
  gs_node_set(g, n, &a);
}

bool gs_attr_is_text(const gs_attr *a) {
  return a->kind == GS_ATTR_STRING || a->kind >= GS_ATTR_AXES;
}

void gs_attr_print_text(gs_buf *b, const gs_mesh *m, const gs_attr *a) {
  gs_assert(m || a->kind == GS_ATTR_STRING);
  if (a->kind == GS_ATTR_AXES) gs_axes_print(b, m, a->axes);
  else if (a->kind == GS_ATTR_SHARDING) gs_sharding_print(b, m, a->sharding);
  else if (a->kind == GS_ATTR_PLACE) gs_placement_print(b, m, a->place);
  else gs_buf_add(b, a->s.at, a->s.n);
}
