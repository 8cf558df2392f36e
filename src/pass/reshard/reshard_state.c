#include "pass/reshard/reshard_state.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"

/* ---- units ---- */

/* Where each sub-axis stands in a sharding. */
typedef struct spot {
  int dim;  /* -1: not split; -2: partial */
  int next; /* the sub-axis that follows it in its dim, or -1 */
} spot;

static void find_spots(const gs_sharding *s, spot *p) {
  for (int i = 0; i < GS_MAX_SUBS; i++) {
    p[i] = (spot){-1, -1};
    if (s->partial >> i & 1) p[i].dim = -2;
  }
  for (int d = 0; d < s->rank; d++) {
    const gs_axes *a = &s->dim[d].axes;
    for (int i = 0; i < a->n; i++)
      p[a->at[i]] = (spot){d, i + 1 < a->n ? a->at[i + 1] : -1};
  }
}

/* May y follow x in one unit, as far as this sharding is concerned? */
static bool together(const spot *p, int x, int y) {
  return p[x].dim >= 0 ? p[x].next == y : p[x].dim == p[y].dim;
}

void gs_units_find(gs_units *u, const gs_sharding *from,
                   const gs_sharding *to, gs_subset more) {
  spot a[GS_MAX_SUBS], b[GS_MAX_SUBS];
  find_spots(from, a);
  find_spots(to, b);
  int next[GS_MAX_SUBS], nsub = u->m->nsub;
  bool starts[GS_MAX_SUBS];
  for (int x = 0; x < nsub; x++)
    starts[x] = (more >> x & 1) || a[x].dim != -1 || b[x].dim != -1;
  for (int x = 0; x < nsub; x++) {
    next[x] = -1;
    if (!starts[x]) continue;
    int y = a[x].dim >= 0   ? a[x].next
            : b[x].dim >= 0 ? b[x].next
            : x + 1 < nsub  ? x + 1
                            : -1;
    if (y >= 0 && starts[y] && together(a, x, y) && together(b, x, y))
      next[x] = y;
  }
  for (int x = 0; x < nsub; x++)
    if (next[x] >= 0) starts[next[x]] = false;
  u->n = 0;
  for (int x = 0; x < nsub; x++) {
    if (!starts[x]) continue;
    gs_assert(u->n < GS_MAX_UNITS);
    gs_axes *unit = &u->axes[u->n];
    *unit = (gs_axes){0};
    for (int y = x; y >= 0; y = next[y]) unit->at[unit->n++] = (uint8_t)y;
    u->size[u->n++] = gs_axes_size(u->m, unit);
  }
}

void gs_units_each(gs_units *u, gs_subset axes) {
  u->n = 0;
  for (int x = 0; x < u->m->nsub; x++) {
    if (!(axes >> x & 1)) continue;
    u->axes[u->n] = (gs_axes){1, {(uint8_t)x}};
    u->size[u->n++] = u->m->sub[x].size;
  }
}

gs_axes gs_units_axes(const gs_units *u, uint32_t set) {
  gs_axes axes = {0};
  for (int i = 0; i < u->n; i++)
    if (set >> i & 1) axes = gs_axes_cat(&axes, &u->axes[i]);
  return axes;
}

/* ---- states ---- */

gs_state gs_state_of(const gs_units *u, const gs_sharding *s) {
  gs_state st = {0};
  for (int i = 0; i < u->n; i++)
    if (s->partial >> u->axes[i].at[0] & 1) st.partial |= 1u << i;
  for (int d = 0; d < s->rank; d++) {
    const gs_axes *a = &s->dim[d].axes;
    for (int k = 0; k < a->n; k++)
      for (int i = 0; i < u->n; i++)
        if (u->axes[i].at[0] == a->at[k]) gs_state_append(&st, d, i);
  }
  return st;
}

gs_sharding *gs_state_sharding(gs_arena *a, const gs_units *u,
                               const gs_state *st, const gs_sharding *like) {
  gs_sharding *s = gs_sharding_new(a, u->rank, false);
  const uint8_t *unit = st->unit;
  s->reduce = like->reduce;
  for (int i = 0; i < u->n; i++)
    if (st->partial >> i & 1) s->partial |= gs_axes_set(&u->axes[i]);
  for (int d = 0; d < u->rank; d++)
    for (int i = 0; i < st->n[d]; i++)
      s->dim[d].axes = gs_axes_cat(&s->dim[d].axes, &u->axes[*unit++]);
  return s;
}

bool gs_state_equal(const gs_units *u, const gs_state *a, const gs_state *b) {
  int n = 0;
  for (int d = 0; d < u->rank; d++) {
    if (a->n[d] != b->n[d]) return false;
    n += a->n[d];
  }
  return a->partial == b->partial && !memcmp(a->unit, b->unit, (size_t)n);
}

const uint8_t *gs_state_at(const gs_state *st, int d) {
  const uint8_t *u = st->unit;
  for (int i = 0; i < d; i++) u += st->n[i];
  return u;
}

void gs_state_append(gs_state *st, int d, int unit) {
  size_t at = (size_t)(gs_state_at(st, d) - st->unit) + st->n[d];
  gs_assert(at < GS_MAX_UNITS && unit >= 0 && unit < GS_MAX_UNITS);
  uint8_t *u = st->unit + at;
  memmove(u + 1, u, sizeof st->unit - at - 1);
  *u = (uint8_t)unit;
  st->n[d]++;
}

void gs_state_cut(gs_state *st, int d, int k) {
  gs_assert(k >= 0 && k <= st->n[d]);
  size_t at = (size_t)(gs_state_at(st, d) - st->unit) + (size_t)k;
  size_t drop = (size_t)(st->n[d] - k);
  uint8_t *u = st->unit + at;
  memmove(u, u + drop, sizeof st->unit - at - drop);
  st->n[d] = (uint8_t)k;
}

uint32_t gs_state_used(const gs_units *u, const gs_state *st) {
  uint32_t set = 0;
  int n = 0;
  for (int d = 0; d < u->rank; d++) n += st->n[d];
  for (int i = 0; i < n; i++) set |= 1u << st->unit[i];
  return set;
}

int64_t gs_state_shards(const gs_units *u, const gs_state *st, int d, int k) {
  const uint8_t *unit = gs_state_at(st, d);
  int64_t p = 1;
  for (int i = 0; i < k; i++) p *= u->size[unit[i]];
  return p;
}

int64_t gs_state_block(const gs_units *u, const gs_state *st, int d) {
  return gs_ceil_div(u->dims[d], gs_state_shards(u, st, d, st->n[d]));
}

bool gs_state_nests(const gs_units *u, const gs_state *st, int d, int k) {
  gs_assert(k >= 0 && k <= st->n[d]);
  int64_t outer = gs_state_shards(u, st, d, k);
  int64_t all = gs_state_shards(u, st, d, st->n[d]);
  return gs_blocks_nest(u->dims[d], outer, all / outer);
}
