/* Which attributes are axes, shardings or placements, and their text as such.
 */
#include <string.h>

#include "ir/graph/graph.h"

gs_attr_kind gs_attr_meant(const char *domain, const char *name) {
  if (strcmp(domain, "ai.gshard")) return GS_ATTR_STRING;
  if (!strcmp(name, "axes") || !strcmp(name, "to_axes")) return GS_ATTR_AXES;
  if (!strcmp(name, "split") || !strcmp(name, "from") || !strcmp(name, "to"))
    return GS_ATTR_SHARDING;
  if (!strcmp(name, "place")) return GS_ATTR_PLACE;
  return GS_ATTR_STRING;
}

void gs_attr_read(const gs_graph *g, const gs_node *n, gs_attr *a) {
  if (a->kind != GS_ATTR_STRING || !g->mesh || strlen(a->s.at) != a->s.n)
    return;
  gs_attr_kind kind = gs_attr_meant(n->domain, a->name);
  if (kind == GS_ATTR_AXES) {
    const char *rest = a->s.at;
    gs_axes axes = {0};
    if (gs_axes_parse(g->mesh, &rest, &axes, NULL) || *rest) return;
    a->axes = gs_memdup(g->arena, &axes, sizeof axes);
  } else if (kind == GS_ATTR_SHARDING) {
    gs_sharding *s;
    if (gs_sharding_parse(g->arena, g->mesh, a->s.at, &s, NULL)) return;
    a->sharding = s;
  } else if (kind == GS_ATTR_PLACE) {
    gs_placement *pl;
    if (gs_placement_parse(g->arena, g->mesh, a->s.at, &pl, NULL)) return;
    a->place = pl;
  }
  a->kind = kind;
}
