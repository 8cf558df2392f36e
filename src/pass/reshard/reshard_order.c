/* Paths between device orders.  No axis is in both, so the search cannot go
 * from one to the other; one permute does, where each dim has as many blocks,
 * or none where every device has its own already.  What differs otherwise is
 * done within an order, before it or after it. */
#include <string.h>

#include "base/assert.h"
#include "pass/reshard/reshard.h"

typedef struct crossing {
  gs_resharder *r;
  gs_arena *tmp;
  gs_dtype dtype;
  int rank;
  const int64_t *dims;
} crossing;

static int order_of(const gs_mesh *m, const gs_sharding *s) {
  return gs_mesh_order_of(m, gs_sharding_used(s) | s->partial);
}

/* ---- the same blocks in another order ---- */

/* Moves a sub-axis of this size from `sizes` to the end of `out`. */
static bool give(int64_t size, int64_t *sizes, int n, int sub, gs_axes *out) {
  for (int i = 0; i < n; i++)
    if (sizes[i] == size) {
      sizes[i] = 0;
      out->at[out->n++] = (uint8_t)sub;
      return true;
    }
  return false;
}

/* As many blocks of each dim as `like` has, over axes of another order: those
 * that `near` has on the dim as far as they fit.  All orders have as many
 * sub-axes of each size, so there are always others left. */
static gs_sharding *recast(const crossing *x, int order,
                           const gs_sharding *like, const gs_sharding *near) {
  const gs_mesh *m = x->r->mesh;
  gs_sharding *s = gs_sharding_new(x->r->arena, x->rank, false);
  int64_t sizes[GS_MAX_SUBS];
  int n = 0, at[GS_MAX_RANK + 1];
  for (int d = 0; d < x->rank; d++) {
    const gs_axes *a = &like->dim[d].axes, *b = &near->dim[d].axes;
    at[d] = n;
    for (int i = 0; i < a->n; i++) sizes[n++] = m->sub[a->at[i]].size;
    for (int i = 0; i < b->n; i++)
      if (!give(m->sub[b->at[i]].size, sizes + at[d], n - at[d], b->at[i],
                &s->dim[d].axes))
        break;
  }
  at[x->rank] = n;
  gs_subset free = m->order[order].subs & ~gs_sharding_used(s);
  gs_subset first = free & ~gs_sharding_used(near);
  for (int pass = 0; pass < 2; pass++)
    for (int sub = 0; sub < m->nsub; sub++) {
      if (!((pass ? free : first) >> sub & 1)) continue;
      for (int d = 0; d < x->rank; d++)
        if (give(m->sub[sub].size, sizes + at[d], at[d + 1] - at[d], sub,
                 &s->dim[d].axes)) {
          free &= ~((gs_subset)1 << sub);
          break;
        }
    }
  for (int i = 0; i < n; i++) gs_assert(!sizes[i]);
  return s;
}

/* ---- paths ---- */

/* Nothing where the shardings are the same. */
static gs_path within(const crossing *x, const gs_sharding *from,
                      const gs_sharding *to) {
  if (gs_sharding_equal(from, to)) return (gs_path){0};
  return *gs_reshard_in_order(x->r, x->dtype, x->rank, x->dims, from, to);
}

/* Does every device hold the same blocks under both? O(devices). */
static bool same_blocks(const gs_mesh *m, const gs_sharding *a,
                        const gs_sharding *b) {
  for (int d = 0; d < a->rank; d++)
    for (int64_t p = 0; p < m->ndevice; p++)
      if (gs_axes_index(m, &a->dim[d].axes, p) !=
          gs_axes_index(m, &b->dim[d].axes, p))
        return false;
  return true;
}

/* Between shardings of as many blocks; no move where all devices hold theirs
 * already. */
static gs_path permute(const crossing *x, const gs_sharding *from,
                       const gs_sharding *to) {
  const gs_mesh *m = x->r->mesh;
  if (same_blocks(m, from, to)) return (gs_path){0};
  int64_t block[GS_MAX_RANK];
  gs_sharding_local(m, from, x->dims, block);
  gs_axes axes =
      gs_axes_of(gs_sharding_used(from) | gs_sharding_used(to));
  gs_move *mv = GS_NEW(x->tmp, gs_move);
  *mv = (gs_move){.kind = GS_MOVE_PERMUTE, .axes = axes, .dim = -1, .to = -1};
  mv->after = gs_sharding_copy(x->r->arena, to);
  mv->bytes = gs_move_bytes(mv->kind, x->dtype, x->rank, block, block, -1,
                            gs_axes_size(m, &axes), 0);
  mv->seconds = gs_cost_move(m, mv->kind, &axes, mv->bytes);
  return (gs_path){1, mv, mv->seconds};
}

static gs_path join(const crossing *x, const gs_path *part, int n) {
  gs_path all = {0};
  for (int i = 0; i < n; i++) all.n += part[i].n;
  all.move = GS_NEWS(x->tmp, all.n, gs_move);
  int at = 0;
  for (int i = 0; i < n; i++) {
    if (part[i].n)
      memcpy(all.move + at, part[i].move,
             (size_t)part[i].n * sizeof *all.move);
    at += part[i].n;
    all.seconds += part[i].seconds;
  }
  gs_assert(at == all.n);
  return all;
}

/* The cheapest of: the permute last, the permute first, none (what is whole
 * has no order). */
static gs_path cross(const crossing *x, const gs_sharding *from,
                     const gs_sharding *to) {
  const gs_mesh *m = x->r->mesh;
  gs_sharding *reduced = gs_sharding_copy(x->r->arena, from);
  reduced->partial = 0;
  gs_sharding *none = gs_sharding_new(x->r->arena, x->rank, false);
  gs_sharding *late = recast(x, order_of(m, from), to, from);
  gs_sharding *early = recast(x, order_of(m, to), from, to);
  gs_path last[] = {within(x, from, late), permute(x, late, to)};
  gs_path first[] = {within(x, from, reduced), permute(x, reduced, early),
                     within(x, early, to)};
  gs_path whole[] = {within(x, from, none), within(x, none, to)};
  gs_path best = join(x, last, 2), early_path = join(x, first, 3);
  gs_path whole_path = join(x, whole, 2);
  if (early_path.seconds < best.seconds) best = early_path;
  return whole_path.seconds <= best.seconds ? whole_path : best;
}

static const char *cache_key(const crossing *x, const gs_sharding *from,
                             const gs_sharding *to) {
  gs_buf b;
  gs_buf_init(&b, x->tmp);
  gs_buf_printf(&b, "order %d", (int)gs_dtype_get(x->dtype)->bits);
  for (int d = 0; d < x->rank; d++)
    gs_buf_printf(&b, ",%lld", (long long)x->dims[d]);
  gs_sharding_print(&b, x->r->mesh, from);
  gs_buf_char(&b, '>');
  gs_sharding_print(&b, x->r->mesh, to);
  return b.at;
}

static const gs_path *between(gs_resharder *r, gs_dtype dtype, int rank,
                              const int64_t *dims, const gs_sharding *from,
                              const gs_sharding *to) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  crossing x = {r, &tmp, dtype, rank, dims};
  gs_assert(!to->partial);
  const char *key = cache_key(&x, from, to);
  gs_path *path = gs_map_get(&r->cache, key);
  if (!path) {
    gs_path found = cross(&x, from, to);
    path = gs_memdup(r->arena, &found, sizeof found);
    path->move = gs_memdup(r->arena, found.move,
                           (size_t)found.n * sizeof *found.move);
    gs_map_put(&r->cache, key, path);
  }
  gs_arena_free(&tmp);
  return path;
}

const gs_path *gs_reshard(gs_resharder *r, gs_dtype dtype, int rank,
                          const int64_t *dims, const gs_form *start_form,
                          const gs_form *goal_form) {
  static const gs_path nothing;
  const gs_sharding *from = start_form->sharding, *to = goal_form->sharding;
  if (gs_form_same_elements(start_form, goal_form)) return &nothing;
  gs_assert(gs_form_is_blocks(start_form) && gs_form_is_blocks(goal_form));
  const gs_mesh *m = r->mesh;
  gs_subset of = gs_sharding_used(from) | from->partial;
  gs_subset wanted = gs_sharding_used(to) | to->partial;
  if (!of || !wanted || gs_mesh_order_of(m, of) == gs_mesh_order_of(m, wanted))
    return gs_reshard_in_order(r, dtype, rank, dims, from, to);
  return between(r, dtype, rank, dims, from, to);
}
