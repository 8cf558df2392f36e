#include "pass/propagate/project.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"

gs_assignment *gs_assignment_new(gs_arena *a, const gs_rule *r) {
  return (gs_assignment *)GS_NEWS(a, r->nfactor + 1, gs_axes);
}

gs_assignment *gs_assignment_copy(gs_arena *a, const gs_rule *r,
                                  const gs_assignment *as) {
  return gs_memdup(a, as->axis, (size_t)r->nfactor * sizeof *as->axis);
}

/* How many of the axes from `at` on divide `size` evenly, taken together. */
static int take_even(const gs_mesh *m, const gs_axes *axes, int at,
                     int64_t size) {
  gs_assert(at >= 0 && at <= axes->n);
  int n = 0;
  for (; at + n < axes->n && size > 0; n++) {
    int64_t k = m->sub[axes->at[at + n]].size;
    if (size % k) break;
    size /= k;
  }
  return n;
}

/* Gives the axes of a dim of several factors to them, major first, as far as
 * they divide evenly; how many that are. */
static int project_evenly(const gs_mesh *m, const gs_rule *r,
                          const gs_dim_map *map, int n, const gs_axes *axes,
                          gs_assignment *out) {
  int at = 0;
  bool complete = true;
  for (int i = 0; i < n; i++) {
    const gs_factor *f = &r->factor[map->f[i]];
    int k = complete ? take_even(m, axes, at, f->size) : 0;
    gs_axes rest = gs_axes_tail(axes, at);
    out->axis[map->f[i]] = gs_axes_head(&rest, k);
    at += k;
    complete = complete && gs_axes_size(m, &out->axis[map->f[i]]) == f->size;
  }
  return at;
}

static void give_all(const gs_dim_map *map, int to, const gs_axes *axes,
                     gs_assignment *out) {
  for (int i = 0; i < map->n; i++)
    out->axis[map->f[i]] = i == to ? *axes : (gs_axes){0};
}

static void project_dim(const gs_mesh *m, const gs_rule *r,
                        const gs_dim_map *map, const gs_axes *axes,
                        gs_assignment *out) {
  int n = map->n;
  if (!n) return;
  bool flat = r->factor[map->f[n - 1]].kind == GS_FLAT;
  if (n == 1) {
    out->axis[map->f[0]] = *axes;
    return;
  }
  if (flat) {
    out->axis[map->f[--n]] = (gs_axes){0};
    while (n && gs_factor_whole(r->factor[map->f[n - 1]].kind)) n--;
  }
  int placed = project_evenly(m, r, map, n, axes, out);
  if (placed == axes->n) return;
  if (flat) give_all(map, map->n - 1, axes, out);
  else if (r->uneven && gs_axes_size(m, axes) <= r->factor[map->f[0]].size)
    give_all(map, 0, axes, out);
}

bool gs_project_fits(const gs_mesh *m, const gs_rule *r, const gs_dim_map *map,
                     const gs_axes *axes) {
  gs_assignment as;
  int placed = 0;
  project_dim(m, r, map, axes, &as);
  for (int i = 0; i < map->n; i++) placed += as.axis[map->f[i]].n;
  return placed == axes->n;
}

void gs_project(const gs_mesh *m, const gs_rule *r, const gs_tensor_map *t,
                const gs_sharding *s, gs_assignment *out) {
  gs_assert(t->rank == s->rank && t->rank <= GS_MAX_RANK);
  for (int d = 0; d < t->rank; d++)
    project_dim(m, r, &t->dim[d], &s->dim[d].axes, out);
}

void gs_project_major(const gs_tensor_map *t, const gs_sharding *s,
                      gs_assignment *out) {
  for (int d = 0; d < t->rank; d++)
    for (int i = 0; i < t->dim[d].n; i++)
      out->axis[t->dim[d].f[i]] = i ? (gs_axes){0} : s->dim[d].axes;
}

gs_sharding *gs_unproject(gs_arena *a, const gs_tensor_map *t,
                          const gs_assignment *as) {
  gs_assert(t->rank >= 0);
  gs_sharding *s = gs_sharding_new(a, t->rank, false);
  for (int d = 0; d < t->rank; d++)
    for (int i = 0; i < t->dim[d].n; i++)
      s->dim[d].axes =
          gs_axes_cat(&s->dim[d].axes, &as->axis[t->dim[d].f[i]]);
  return s;
}

gs_form gs_unproject_form(gs_arena *a, const gs_mesh *m, const gs_rule *r,
                          const gs_tensor_map *t, const gs_assignment *as,
                          const int64_t *dims) {
  gs_form f = gs_form_of(gs_unproject(a, t, as));
  for (int d = 0; d < t->rank; d++) {
    if (t->dim[d].n < 2) continue;
    int major = t->dim[d].f[0];
    int64_t size = r->factor[major].size;
    int64_t shards = gs_axes_size(m, &as->axis[major]);
    if (!size || size % shards == 0) continue;
    gs_assert(r->uneven && dims[d] % size == 0);
    int64_t block = gs_ceil_div(size, shards) * (dims[d] / size);
    gs_held_range held = {.m = 1, .a = block, .c = 1, .length = block};
    f = gs_form_hold(a, m, &f, d, dims[d], &held);
  }
  return f;
}

/* Makes one dim of several factors carry its axes; true if it changed. */
static bool legalise_dim(const gs_mesh *m, const gs_rule *r,
                         const gs_dim_map *map, gs_assignment *as) {
  if (map->n < 2) return false;
  bool changed = false, complete = true;
  for (int i = 0; i < map->n; i++) {
    gs_axes *axes = &as->axis[map->f[i]];
    int64_t size = r->factor[map->f[i]].size;
    int keep = complete ? take_even(m, axes, 0, size) : 0;
    if (i == 0 && r->uneven) keep = axes->n;
    if (keep < axes->n) {
      *axes = gs_axes_head(axes, keep);
      changed = true;
    }
    complete = complete && gs_axes_size(m, axes) == size;
  }
  return changed;
}

static bool legalise_maps(const gs_mesh *m, const gs_rule *r,
                          const gs_tensor_map *t, int n, gs_assignment *as) {
  bool changed = false;
  for (int i = 0; i < n; i++)
    for (int d = 0; d < t[i].rank; d++)
      if (legalise_dim(m, r, &t[i].dim[d], as)) changed = true;
  return changed;
}

void gs_assignment_legalise(const gs_mesh *m, const gs_rule *r,
                            gs_assignment *as) {
  gs_subset used = 0;
  int summed = -1; /* the first of those: partial results share a reduction */
  for (int f = 0; f < r->nfactor; f++) {
    gs_axes *axes = &as->axis[f];
    if (gs_factor_whole(r->factor[f].kind)) axes->n = 0;
    if (axes->n && r->factor[f].kind == GS_SUMMED) {
      if (summed < 0) summed = f;
      if (r->factor[f].reduce != r->factor[summed].reduce) axes->n = 0;
    }
    for (int i = 0; i < axes->n; i++) {
      gs_subset bit = (gs_subset)1 << axes->at[i];
      gs_assert(axes->at[i] < m->nsub);
      if (used & bit) axes->n = (uint8_t)i;
      else used |= gs_mesh_barred(m, bit);
    }
  }
  while (legalise_maps(m, r, r->in, r->nin, as) ||
         legalise_maps(m, r, r->out, r->nout, as)) {
  }
}

void gs_assignment_grant(const gs_mesh *m, const gs_rule *r, gs_assignment *as,
                         int f, const gs_axes *from, gs_subset *used) {
  gs_axes *to = &as->axis[f];
  if (gs_factor_whole(r->factor[f].kind) || from->n <= to->n ||
      memcmp(to->at, from->at, to->n))
    return;
  for (int i = to->n; i < from->n; i++) {
    gs_subset bit = (gs_subset)1 << from->at[i];
    if (*used & bit) return;
    to->at[to->n++] = from->at[i];
    *used |= gs_mesh_barred(m, bit);
  }
}

gs_subset gs_assignment_partial(const gs_rule *r, const gs_assignment *as) {
  gs_subset set = 0;
  for (int f = 0; f < r->nfactor; f++)
    if (r->factor[f].kind == GS_SUMMED) set |= gs_axes_set(&as->axis[f]);
  return set;
}

gs_reduce gs_assignment_reduce(const gs_rule *r, const gs_assignment *as) {
  gs_reduce how = GS_REDUCE_SUM;
  bool any = false;
  for (int f = 0; f < r->nfactor; f++) {
    if (r->factor[f].kind != GS_SUMMED || !as->axis[f].n) continue;
    gs_assert(!any || how == r->factor[f].reduce);
    how = r->factor[f].reduce;
    any = true;
  }
  return how;
}

gs_slot gs_slot_at(const gs_node *n, const gs_rule *r, int s) {
  gs_assert(s >= 0 && s < r->nin + r->nout);
  if (s < r->nin) return (gs_slot){&r->in[s], gs_node_in(n, s), false, s};
  s -= r->nin;
  return (gs_slot){&r->out[s], gs_node_out(n, s), true, s};
}

int gs_slots(const gs_node *n, const gs_rule *r, gs_slot *slot, int max) {
  int k = 0;
  for (; k < r->nin + r->nout && k < max; k++) slot[k] = gs_slot_at(n, r, k);
  return k;
}
