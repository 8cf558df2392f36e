#include "pass/reshard/reshard.h"

#include <math.h>

#include "base/assert.h"
#include "pass/reshard/reshard_search.h"

/* States that are expanded before the best path found so far must do: seldom
 * more than a hundred are needed, but shardings that scramble many sub-axes
 * have more states than can be looked at. */
enum { MAX_STATES = 2000 };

void gs_resharder_init(gs_resharder *r, gs_arena *a, const gs_mesh *m) {
  *r = (gs_resharder){.arena = a, .mesh = m};
  gs_map_init(&r->cache, a);
  gs_map_init(&r->sent, a);
}

/* All sub-axes of the device order, if their states can all be looked at: also
 * those that neither end uses, for they can share the work.  Else runs. */
static void find_units(gs_search *s, const gs_sharding *from,
                       const gs_sharding *to) {
  gs_subset used = gs_sharding_used(from) | from->partial;
  used |= gs_sharding_used(to) | to->partial;
  gs_subset all = s->u.m->order[gs_mesh_order_of(s->u.m, used)].subs;
  gs_units_each(&s->u, all);
  bool listed = gs_search_list(s);
  if (!listed) {
    gs_units_find(&s->u, from, to, all);
    listed = gs_search_list(s);
  }
  if (!listed) {
    gs_units_find(&s->u, from, to, 0);
    gs_search_list(s);
  }
  gs_axes axes = gs_units_axes(&s->u, ~0u);
  gs_cost_least(s->u.m, &axes, &s->latency, &s->per_byte);
}

static const gs_reshard_step *run_search(gs_search *s, const gs_state *start) {
  s->bound = INFINITY;
  gs_search_start(s, start);
  for (int n = 0; n < MAX_STATES; n++) {
    const gs_reshard_step *x = gs_search_next(s);
    if (!x || x->total >= s->bound) break;
    if (!n || !s->every.n) gs_search_straight(s, x);
    s->now = x;
    gs_search_expand(s);
  }
  return gs_search_known(s, &s->goal);
}

/* The axes that a move goes over; where they split one dim, in the order in
 * which they do: it orders the blocks. */
static gs_axes step_axes(const gs_search *s, const gs_reshard_step *x) {
  gs_axes axes = {0}, all = gs_units_axes(&s->u, x->units);
  gs_effect effect = gs_moves[x->kind].effect;
  bool drops = effect == GS_EFFECT_JOIN || effect == GS_EFFECT_TRANSFER;
  bool adds = effect == GS_EFFECT_SPLIT || effect == GS_EFFECT_SCATTER;
  if (!drops && !adds) return gs_axes_of(gs_axes_set(&all));
  const gs_state *st = drops ? &x->from->at : &x->at;
  const uint8_t *unit = gs_state_at(st, x->dim);
  for (int i = 0; i < st->n[x->dim]; i++)
    if (x->units >> unit[i] & 1)
      axes = gs_axes_cat(&axes, &s->u.axes[unit[i]]);
  return axes;
}

static gs_path *make_path(gs_arena *a, const gs_search *s,
                          const gs_reshard_step *end,
                          const gs_sharding *like) {
  gs_path *p = GS_NEW(a, gs_path);
  gs_assert(end);
  p->seconds = end->seconds;
  for (const gs_reshard_step *x = end; x->from; x = x->from) p->n++;
  p->move = GS_NEWS(a, p->n, gs_move);
  int i = p->n;
  for (const gs_reshard_step *x = end; x->from; x = x->from) {
    gs_move *mv = &p->move[--i];
    mv->kind = x->kind;
    mv->axes = step_axes(s, x);
    mv->dim = x->dim;
    mv->to = x->to;
    mv->after = gs_state_sharding(a, &s->u, &x->at, like);
    if (gs_moves[x->kind].effect == GS_EFFECT_EXCHANGE) {
      gs_exchange exchange =
          gs_search_exchange(a, &s->u, &x->from->at, &x->at, x->dim);
      mv->exchange = gs_memdup(a, &exchange, sizeof exchange);
    }
    mv->bytes = x->bytes;
    mv->seconds = x->seconds - x->from->seconds;
  }
  return p;
}

/* What is written of a number and of a sharding at most. */
enum {
  NUMBER = 64 / 6 + 2,
  SHARDING = GS_MAX_RANK + GS_MAX_SUBS + 2 * NUMBER,
  KEY = (GS_MAX_RANK + 1) * NUMBER + 2 * SHARDING + 1
};

/* Digits of base 64, which no later character continues. */
static char *put_number(char *to, uint64_t n) {
  for (; n; n >>= 6) *to++ = (char)('0' + (n & 63));
  *to++ = ',';
  return to;
}

static char *put_sharding(char *to, const gs_sharding *s) {
  for (int d = 0; d < s->rank; d++) {
    const gs_axes *axes = &s->dim[d].axes;
    for (int i = 0; i < axes->n; i++) *to++ = (char)('0' + axes->at[i]);
    *to++ = ',';
  }
  to = put_number(to, s->partial);
  return s->partial ? put_number(to, s->reduce) : to;
}

/* All that a path depends on. */
static void put_key(char key[KEY], gs_dtype dtype, int rank,
                    const int64_t *dims, const gs_sharding *from,
                    const gs_sharding *to) {
  char *at = put_number(key, (uint64_t)gs_dtype_get(dtype)->bits);
  for (int d = 0; d < rank; d++) at = put_number(at, (uint64_t)dims[d]);
  at = put_sharding(at, from);
  at = put_sharding(at, to);
  *at = 0;
  gs_assert(at < key + KEY);
}

const gs_path *gs_reshard_in_order(gs_resharder *r, gs_dtype dtype, int rank,
                                   const int64_t *dims,
                                   const gs_sharding *from,
                                   const gs_sharding *to) {
  char key[KEY];
  put_key(key, dtype, rank, dims, from, to);
  gs_path *path = gs_map_get(&r->cache, key);
  if (path) return path;
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_search *s = GS_NEW(&tmp, gs_search);
  s->tmp = &tmp;
  s->u = (gs_units){.m = r->mesh, .rank = rank, .dims = dims};
  s->dtype = dtype;
  s->sent = &r->sent;
  gs_map_init(&s->seen, &tmp);
  find_units(s, from, to);
  s->goal = gs_state_of(&s->u, to);
  gs_state start = gs_state_of(&s->u, from);
  path = make_path(r->arena, s, run_search(s, &start), from);
  gs_map_put(&r->cache, key, path);
  gs_arena_free(&tmp);
  return path;
}
