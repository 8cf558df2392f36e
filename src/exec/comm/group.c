#include "exec/comm/group.h"

#include <string.h>

#include "base/assert.h"

static gs_status bad(gs_arena *a, const gs_node *n, const char *what,
                     gs_err *e) {
  return gs_fail(e, GS_DATA, gs_node_place(a, n), "%s", what);
}

/* The group listed in the node's attribute. */
static gs_status listed(gs_arena *a, const gs_node *n, const int64_t *member,
                        int count, int64_t p, gs_group *g, gs_err *e) {
  g->n = count;
  g->member = member;
  g->me = -1;
  for (int i = 0; i < count; i++) {
    if (member[i] < 0 || member[i] >= GS_MAX_DEVICES)
      return bad(a, n, "attribute 'group' does not name a device position", e);
    for (int j = 0; j < i; j++)
      if (member[j] == member[i])
        return bad(a, n, "attribute 'group' lists a device twice", e);
    if (member[i] == p) g->me = i;
  }
  if (g->me < 0)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'group' leaves out device %lld itself",
                   (long long)p);
  return GS_OK;
}

/* The devices that differ from p in `axes` only. */
static void along(gs_arena *a, const gs_axes *axes, const gs_mesh *mesh,
                  int64_t p, gs_group *g) {
  g->n = (int)gs_axes_size(mesh, axes);
  int64_t *member = GS_NEWS(a, g->n, int64_t);
  gs_axes_peers(mesh, axes, p, member);
  g->member = member;
  g->me = (int)gs_axes_index(mesh, axes, p);
}

gs_status gs_group_of(gs_arena *a, const gs_node *n, const gs_mesh *mesh,
                      int64_t p, gs_group *g, gs_err *e) {
  int count;
  const int64_t *list = gs_node_ints(n, "group", &count);
  const gs_axes *axes = gs_node_axes(n, "axes");
  if (list) GS_TRY(listed(a, n, list, count, p, g, e));
  if (list && !(mesh && axes)) return GS_OK;
  if (!mesh || !axes)
    return bad(a, n, "a collective needs 'group', or 'axes' and a mesh", e);
  gs_group known = *g;
  along(a, axes, mesh, p, g);
  /* One device with another group than the rest would wait for ever. */
  if (list && (known.n != g->n || memcmp(known.member, g->member,
                                         (size_t)g->n * sizeof *g->member)))
    return bad(a, n, "attribute 'group' is not the group along 'axes'", e);
  return GS_OK;
}

typedef struct gs_known_group gs_known_group;
struct gs_known_group {
  const gs_axes *axes;
  gs_group group; /* `me` is not of the device that lists it */
  gs_known_group *next;
};

static void know(gs_groups *all, const gs_axes *axes, const gs_group *g) {
  if (!all->of) all->of = GS_NEWS(all->arena, all->n, gs_known_group *);
  for (int i = 0; i < g->n; i++) {
    int64_t at = g->member[i] - all->first;
    if (at < 0 || at >= all->n) continue;
    gs_known_group *k = GS_NEW(all->arena, gs_known_group);
    *k = (gs_known_group){axes, *g, all->of[at]};
    all->of[at] = k;
  }
}

gs_status gs_groups_of(gs_groups *all, const gs_node *n, const gs_mesh *mesh,
                       int64_t p, gs_group *g, gs_err *e) {
  const gs_axes *axes = gs_node_axes(n, "axes");
  bool along_axes = mesh && axes && !gs_node_ints(n, "group", &(int){0});
  gs_assert(p >= all->first && p < all->first + all->n);
  for (const gs_known_group *k = all->of && along_axes
                                     ? all->of[p - all->first] : NULL;
       k; k = k->next) {
    if (!gs_axes_equal(k->axes, axes)) continue;
    *g = k->group;
    g->me = (int)gs_axes_index(mesh, axes, p);
    gs_assert(g->member[g->me] == p);
    return GS_OK;
  }
  GS_TRY(gs_group_of(all->arena, n, mesh, p, g, e));
  if (along_axes) know(all, axes, g);
  return GS_OK;
}

gs_status gs_permute_source(const gs_mesh *mesh, const gs_sharding *from,
                            const gs_sharding *to, int64_t p, int64_t *source,
                            gs_err *e) {
  int64_t q = p;
  if (from->rank != to->rank)
    return gs_fail(e, GS_DATA, NULL, "'from' and 'to' differ in rank");
  for (int d = 0; d < from->rank; d++) {
    const gs_axes *x = &from->dim[d].axes, *y = &to->dim[d].axes;
    if (gs_axes_size(mesh, x) != gs_axes_size(mesh, y))
      return gs_fail(e, GS_DATA, NULL,
                     "dim %d has %lld blocks under 'from', %lld under 'to'", d,
                     (long long)gs_axes_size(mesh, x),
                     (long long)gs_axes_size(mesh, y));
    q = gs_axes_peer(mesh, x, q, gs_axes_index(mesh, y, p));
  }
  gs_subset used = gs_sharding_used(from), wanted = gs_sharding_used(to);
  gs_assert(q >= 0 && q < mesh->ndevice);
  /* Without a common order there is nothing in which both could agree. */
  bool one = gs_mesh_order_of(mesh, used) == gs_mesh_order_of(mesh, wanted);
  gs_axes freed =
      gs_axes_of(one ? wanted & ~used : gs_mesh_rest(mesh, used));
  gs_axes taken =
      gs_axes_of(one ? used & ~wanted : gs_mesh_rest(mesh, wanted));
  *source = gs_axes_peer(mesh, &freed, q, gs_axes_index(mesh, &taken, p));
  return GS_OK;
}

gs_status gs_permute_of(gs_arena *a, const gs_node *n, const gs_mesh *mesh,
                        int64_t p, int64_t *to, int64_t *from, gs_err *e) {
  *from = gs_node_int(n, "source", -1);
  *to = gs_node_int(n, "target", -1);
  int64_t source = *from, target = *to;
  bool given = source >= 0 && target >= 0;
  const gs_sharding *x = gs_node_sharding(n, "from");
  const gs_sharding *y = gs_node_sharding(n, "to");
  if (given && !(mesh && x && y)) return GS_OK;
  if (!mesh || !x || !y)
    return bad(a, n, "a permutation needs 'from', 'to' and a mesh", e);
  GS_TRY(gs_permute_source(mesh, x, y, p, from, e));
  GS_TRY(gs_permute_source(mesh, y, x, p, to, e));
  if (given && (source != *from || target != *to))
    return bad(a, n, "'source' and 'target' are not those of 'from' and 'to'",
               e);
  return GS_OK;
}
