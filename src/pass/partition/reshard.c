#include "pass/partition/reshard.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"

/* States that are expanded before the best path found so far must do: seldom
 * more than a hundred are needed, but shardings that scramble many sub-axes
 * have more states than can be looked at. */
enum { MAX_STATES = 2000, MAX_UNITS = GS_MAX_SUBS };

/* One point of the search: the units that split each dim, major first, dim
 * after dim. */
typedef struct state {
  uint8_t n[GS_MAX_RANK];
  uint8_t unit[MAX_UNITS];
  uint32_t partial; /* units not reduced yet */
} state;

typedef struct step {
  const struct step *from; /* NULL for the start */
  state at;
  double seconds; /* from the start */
  double bytes;   /* of the move */
  bool done;
  gs_move_kind kind;
  int dim, to;
  uint32_t units; /* the units moved, for the axes of the move */
} step;

typedef struct search {
  gs_arena *tmp;
  const gs_mesh *m;
  int rank;
  gs_dtype dtype;
  const int64_t *dims;
  int nunit;
  gs_axes unit[MAX_UNITS];
  int64_t size[MAX_UNITS];
  state goal;
  int home[MAX_UNITS]; /* the dim that a unit splits in the goal, or -1 */
  gs_map seen;         /* key -> step */
  GS_VEC(step *) heap; /* smallest seconds first */
  const step *now;     /* being expanded */
  double bound;        /* seconds of the best path known to the goal */
} search;

void gs_resharder_init(gs_resharder *r, gs_arena *a, const gs_mesh *m) {
  *r = (gs_resharder){.arena = a, .mesh = m};
  gs_map_init(&r->cache, a);
}

bool gs_reshard_nests(int64_t n, int64_t outer, int64_t inner) {
  gs_assert(n >= 0 && outer >= 1 && inner >= 1);
  if (outer == 1) return true;
  return gs_ceil_div(n, outer * inner) * inner == gs_ceil_div(n, outer);
}

/* ---- states ---- */

/* The units of dim d. */
static const uint8_t *units_of(const state *st, int d) {
  const uint8_t *u = st->unit;
  for (int i = 0; i < d; i++) u += st->n[i];
  return u;
}

static void append(state *st, int d, int unit) {
  uint8_t *u = st->unit + (units_of(st, d) - st->unit) + st->n[d];
  size_t at = (size_t)(u - st->unit);
  memmove(u + 1, u, sizeof st->unit - at - 1);
  gs_assert(at < MAX_UNITS && unit >= 0 && unit < MAX_UNITS);
  *u = (uint8_t)unit;
  st->n[d]++;
}

/* Keeps the first k units of dim d. */
static void cut(state *st, int d, int k) {
  uint8_t *u = st->unit + (units_of(st, d) - st->unit) + k;
  size_t at = (size_t)(u - st->unit), drop = (size_t)(st->n[d] - k);
  memmove(u, u + drop, sizeof st->unit - at - drop);
  gs_assert(k >= 0 && k <= st->n[d]);
  st->n[d] = (uint8_t)k;
}

/* ---- units ---- */

/* Where each sub-axis stands in a sharding. */
typedef struct place {
  int dim;  /* -1: not split; -2: partial */
  int next; /* the sub-axis that follows it in its dim, or -1 */
} place;

static void find_places(const gs_sharding *s, place *p) {
  for (int i = 0; i < GS_MAX_SUBS; i++) {
    p[i] = (place){-1, -1};
    if (s->partial >> i & 1) p[i].dim = -2;
  }
  for (int d = 0; d < s->rank; d++) {
    const gs_axes *a = &s->dim[d].axes;
    for (int i = 0; i < a->n; i++)
      p[a->at[i]] = (place){d, i + 1 < a->n ? a->at[i + 1] : -1};
  }
}

/* May y follow x in one unit, as far as this sharding is concerned? */
static bool together(const place *p, int x, int y) {
  return p[x].dim >= 0 ? p[x].next == y : p[x].dim == p[y].dim;
}

static void find_units(search *s, const gs_sharding *from,
                       const gs_sharding *to) {
  place a[GS_MAX_SUBS], b[GS_MAX_SUBS];
  find_places(from, a);
  find_places(to, b);
  int next[GS_MAX_SUBS];
  bool starts[GS_MAX_SUBS];
  for (int x = 0; x < s->m->nsub; x++) starts[x] = a[x].dim != -1 ||
                                                   b[x].dim != -1;
  for (int x = 0; x < s->m->nsub; x++) {
    next[x] = -1;
    if (!starts[x] && a[x].dim == -1 && b[x].dim == -1) continue;
    int y = a[x].dim >= 0   ? a[x].next
            : b[x].dim >= 0 ? b[x].next
            : x + 1 < s->m->nsub ? x + 1 : -1;
    if (y >= 0 && together(a, x, y) && together(b, x, y)) next[x] = y;
  }
  for (int x = 0; x < s->m->nsub; x++)
    if (next[x] >= 0) starts[next[x]] = false;
  for (int x = 0; x < s->m->nsub; x++) {
    if (!starts[x]) continue;
    gs_assert(s->nunit < MAX_UNITS);
    gs_axes *u = &s->unit[s->nunit];
    *u = (gs_axes){0};
    for (int y = x; y >= 0; y = next[y]) u->at[u->n++] = (uint8_t)y;
    s->size[s->nunit++] = gs_axes_size(s->m, u);
  }
}

static state to_state(const search *s, const gs_sharding *sh) {
  state st = {0};
  for (int u = 0; u < s->nunit; u++)
    if (sh->partial >> s->unit[u].at[0] & 1) st.partial |= 1u << u;
  for (int d = 0; d < sh->rank; d++) {
    const gs_axes *a = &sh->dim[d].axes;
    for (int i = 0; i < a->n; i++)
      for (int u = 0; u < s->nunit; u++)
        if (s->unit[u].at[0] == a->at[i]) append(&st, d, u);
  }
  return st;
}

static gs_sharding *to_sharding(gs_arena *a, const search *s, const state *st,
                                const gs_sharding *like) {
  gs_sharding *sh = gs_sharding_new(a, s->rank, false);
  sh->reduce = like->reduce;
  for (int u = 0; u < s->nunit; u++)
    if (st->partial >> u & 1) sh->partial |= gs_axes_set(&s->unit[u]);
  for (int d = 0; d < s->rank; d++)
    for (int i = 0; i < st->n[d]; i++)
      sh->dim[d].axes =
          gs_axes_cat(&sh->dim[d].axes, &s->unit[units_of(st, d)[i]]);
  return sh;
}

/* ---- geometry ---- */

static int64_t shards(const search *s, const state *st, int d, int n) {
  const uint8_t *u = units_of(st, d);
  int64_t p = 1;
  for (int i = 0; i < n; i++) p *= s->size[u[i]];
  return p;
}

/* What a move over g devices sends; `to` is what an all-to-all splits. */
static double move_bytes(const search *s, gs_move_kind kind,
                         const state *before, const state *after, int to,
                         int64_t g) {
  int64_t x[GS_MAX_RANK], y[GS_MAX_RANK];
  for (int d = 0; d < s->rank; d++) {
    x[d] = gs_ceil_div(s->dims[d], shards(s, before, d, before->n[d]));
    y[d] = gs_ceil_div(s->dims[d], shards(s, after, d, after->n[d]));
  }
  return gs_move_bytes(kind, s->dtype, s->rank, x, y, to, g, 0);
}

/* Can the units of dim d from position k on be dropped or added? */
static bool suffix_nests(const search *s, const state *st, int d, int k) {
  gs_assert(k >= 0 && k <= st->n[d]);
  int64_t outer = shards(s, st, d, k);
  return gs_reshard_nests(s->dims[d], outer,
                          shards(s, st, d, st->n[d]) / outer);
}

/* ---- the queue ---- */

typedef struct state_key {
  char at[GS_MAX_RANK + 2 * MAX_UNITS + 1];
} state_key;

static state_key key_of(const search *s, const state *st) {
  state_key key;
  const uint8_t *u = st->unit;
  int n = 0;
  for (int d = 0; d < s->rank; d++) {
    for (int i = 0; i < st->n[d]; i++) key.at[n++] = (char)(*u++ + 1);
    key.at[n++] = 127;
  }
  for (int v = 0; v < s->nunit; v++)
    if (st->partial >> v & 1) key.at[n++] = (char)(v + 1);
  gs_assert(n < (int)sizeof key.at);
  gs_assert(s->nunit < 127 && s->nunit <= MAX_UNITS);
  key.at[n] = 0;
  return key;
}

static void heap_push(search *s, step *x) {
  gs_push(s->tmp, &s->heap);
  int i = s->heap.n - 1;
  for (; i > 0 && s->heap.at[(i - 1) / 2]->seconds > x->seconds;
       i = (i - 1) / 2)
    s->heap.at[i] = s->heap.at[(i - 1) / 2];
  s->heap.at[i] = x;
}

static step *heap_pop(search *s) {
  gs_assert(s->heap.n > 0);
  step *top = s->heap.at[0], *last = s->heap.at[--s->heap.n];
  int i = 0, n = s->heap.n;
  for (;;) {
    int c = 2 * i + 1;
    if (c >= n) break;
    if (c + 1 < n && s->heap.at[c + 1]->seconds < s->heap.at[c]->seconds) c++;
    if (s->heap.at[c]->seconds >= last->seconds) break;
    s->heap.at[i] = s->heap.at[c];
    i = c;
  }
  if (n) s->heap.at[i] = last;
  return top;
}

/* Offers `at`, reached from s->now by this move of these units. */
static void offer_move(search *s, const state *at, gs_move_kind kind,
                       uint32_t units, int dim, int to) {
  gs_axes axes = {0};
  for (int u = 0; u < s->nunit; u++)
    if (units >> u & 1) axes = gs_axes_cat(&axes, &s->unit[u]);
  double bytes = move_bytes(s, kind, &s->now->at, at, to,
                            gs_axes_size(s->m, &axes));
  double seconds = s->now->seconds + gs_cost_move(s->m, kind, &axes, bytes);
  if (seconds >= s->bound) return;
  state_key key = key_of(s, at);
  step *old = gs_map_get(&s->seen, key.at);
  if (old && old->seconds <= seconds) return;
  step *x = GS_NEW(s->tmp, step);
  *x = (step){.from = s->now,
              .at = *at,
              .seconds = seconds,
              .bytes = bytes,
              .kind = kind,
              .dim = dim,
              .to = to,
              .units = units};
  if (old) old->done = true;
  gs_map_put(&s->seen, key.at, x);
  heap_push(s, x);
}

/* The same by every move that has this effect. */
static void offer(search *s, const state *at, gs_effect effect, uint32_t units,
                  int dim, int to) {
  for (int k = 0; k < GS_NMOVE; k++)
    if (gs_moves[k].effect == effect)
      offer_move(s, at, (gs_move_kind)k, units, dim, to);
}

/* ---- moves ---- */

static uint32_t split_units(const search *s, const state *st) {
  uint32_t set = 0;
  const uint8_t *u = st->unit;
  for (int d = 0; d < s->rank; d++)
    for (int i = 0; i < st->n[d]; i++) set |= 1u << *u++;
  return set;
}

/* Local slices, and reduce-scatters of partial units, onto goal dims. Several
 * units may have to go at once: blocks over the first of them alone may not
 * nest with blocks over all. */
static void try_splits(search *s, const state *st) {
  uint32_t used = split_units(s, st);
  for (int d = 0; d < s->rank; d++) {
    state next = *st;
    uint32_t units = 0;
    for (int i = 0; i < s->goal.n[d]; i++) {
      int u = units_of(&s->goal, d)[i];
      if (used >> u & 1) continue;
      append(&next, d, u);
      units |= 1u << u;
      if (!suffix_nests(s, &next, d, st->n[d])) continue;
      uint32_t reduced = st->partial & units;
      if (reduced && reduced != units) break;
      next.partial = st->partial & ~units;
      offer(s, &next, reduced ? GS_EFFECT_SCATTER : GS_EFFECT_SPLIT, units,
            d, -1);
    }
    for (int u = 0; u < s->nunit; u++) { /* any one unit, whatever its turn */
      if (s->home[u] != d || (used >> u & 1)) continue;
      state one = *st;
      append(&one, d, u);
      one.partial &= ~(1u << u);
      bool partial = st->partial >> u & 1;
      if (suffix_nests(s, &one, d, st->n[d]))
        offer(s, &one, partial ? GS_EFFECT_SCATTER : GS_EFFECT_SPLIT,
              1u << u, d, -1);
    }
  }
}

static void try_reductions(search *s, const state *st) {
  uint32_t rest = st->partial & ~s->goal.partial;
  if (!rest) return;
  state next = *st;
  next.partial &= ~rest;
  offer(s, &next, GS_EFFECT_REDUCE, rest, -1, -1);
  for (int u = 0; u < s->nunit; u++)
    if ((rest >> u & 1) && rest != 1u << u) {
      next.partial = st->partial & ~(1u << u);
      offer(s, &next, GS_EFFECT_REDUCE, 1u << u, -1, -1);
    }
}

/* Gathers and all-to-alls of the minor units of each dim. */
static void try_suffixes(search *s, const state *st) {
  for (int d = 0; d < s->rank; d++) {
    const uint8_t *unit = units_of(st, d);
    uint32_t units = 0;
    for (int k = st->n[d] - 1; k >= 0; k--) {
      units |= 1u << unit[k];
      if (!suffix_nests(s, st, d, k)) continue;
      state next = *st;
      cut(&next, d, k);
      offer(s, &next, GS_EFFECT_JOIN, units, d, -1);
      for (int e = 0; e < s->rank; e++) {
        bool wanted = false;
        for (int u = 0; u < s->nunit; u++)
          if ((units >> u & 1) && s->home[u] == e) wanted = true;
        if (e == d || !wanted) continue;
        state moved = next;
        for (int i = k; i < st->n[d]; i++) append(&moved, e, unit[i]);
        if (suffix_nests(s, &moved, e, st->n[e]))
          offer(s, &moved, GS_EFFECT_TRANSFER, units, d, e);
      }
    }
  }
}

/* Puts unit b where a stands, and a where b stands if b splits a dim. */
static void swap_units(const search *s, state *st, int a, int b) {
  uint8_t *u = st->unit;
  for (int d = 0; d < s->rank; d++)
    for (int i = 0; i < st->n[d]; i++, u++) {
      if (*u == a) *u = (uint8_t)b;
      else if (*u == b) *u = (uint8_t)a;
    }
}

/* Swaps after which one of the two units stands in its dim of the goal. */
static void try_permutes(search *s, const state *st) {
  uint32_t used = split_units(s, st);
  int dim[MAX_UNITS];
  for (int u = 0; u < s->nunit; u++) dim[u] = -2; /* unlike any home */
  for (int d = 0; d < s->rank; d++)
    for (int i = 0; i < st->n[d]; i++) dim[units_of(st, d)[i]] = d;
  for (int a = 0; a < s->nunit; a++)
    for (int b = 0; b < s->nunit; b++) {
      if (a == b || s->size[a] != s->size[b] || !(used >> a & 1)) continue;
      if ((st->partial >> a & 1) || (st->partial >> b & 1)) continue;
      if ((used >> b & 1) && b < a) continue;
      if (s->home[b] != dim[a] && s->home[a] != dim[b]) continue;
      state next = *st;
      swap_units(s, &next, a, b);
      offer(s, &next, GS_EFFECT_PERMUTE, 1u << a | 1u << b, -1, -1);
    }
  for (int d = 0; d < s->rank; d++)
    if (shards(s, st, d, st->n[d]) !=
        shards(s, &s->goal, d, s->goal.n[d]))
      return;
  state next = s->goal;
  next.partial = st->partial;
  if (!(st->partial & split_units(s, &s->goal)))
    offer(s, &next, GS_EFFECT_PERMUTE, used | split_units(s, &s->goal), -1, -1);
}

/* The step to `at` by such a move, or a cheaper one that leads there. */
static const step *reach(search *s, const step *from, const state *at,
                         gs_effect effect, uint32_t units, int dim) {
  s->now = from;
  offer(s, at, effect, units, dim, -1);
  return gs_map_get(&s->seen, key_of(s, at).at);
}

/* How many units of dim d can stay on the way to the goal. */
static int kept(const search *s, const state *st, int d) {
  const uint8_t *have = units_of(st, d), *want = units_of(&s->goal, d);
  int k = 0;
  while (k < st->n[d] && k < s->goal.n[d] && have[k] == want[k]) k++;
  while (!suffix_nests(s, st, d, k) || !suffix_nests(s, &s->goal, d, k)) k--;
  return k;
}

/* The way that always exists: reduce, gather what differs, slice.  It bounds
 * what the others may cost; no step when it costs more than the bound. */
static void go_straight(search *s, const step *x) {
  uint32_t rest = x->at.partial & ~s->goal.partial;
  state next = x->at;
  next.partial &= ~rest;
  if (rest) x = reach(s, x, &next, GS_EFFECT_REDUCE, rest, -1);
  for (int d = 0; d < s->rank && x; d++) {
    int k = kept(s, &next, d);
    uint32_t units = 0;
    for (int i = k; i < next.n[d]; i++) units |= 1u << units_of(&next, d)[i];
    cut(&next, d, k);
    if (units) x = reach(s, x, &next, GS_EFFECT_JOIN, units, d);
  }
  for (int d = 0; d < s->rank && x; d++) {
    uint32_t units = 0;
    for (int i = next.n[d]; i < s->goal.n[d]; i++) {
      append(&next, d, units_of(&s->goal, d)[i]);
      units |= 1u << units_of(&s->goal, d)[i];
    }
    if (units) x = reach(s, x, &next, GS_EFFECT_SPLIT, units, d);
  }
  if (x && x->seconds < s->bound) s->bound = x->seconds;
}

/* ---- the search ---- */

static const step *run_search(search *s, const state *start) {
  state_key goal = key_of(s, &s->goal);
  step *first = GS_NEW(s->tmp, step);
  first->at = *start;
  s->bound = INFINITY;
  gs_map_put(&s->seen, key_of(s, start).at, first);
  heap_push(s, first);
  for (int n = 0; s->heap.n && n < MAX_STATES; n++) {
    step *x = heap_pop(s);
    if (x->done) continue;
    x->done = true;
    if (x->seconds >= s->bound) break;
    go_straight(s, x);
    s->now = x;
    try_splits(s, &x->at);
    try_reductions(s, &x->at);
    try_suffixes(s, &x->at);
    try_permutes(s, &x->at);
  }
  return gs_map_get(&s->seen, goal.at);
}

static gs_axes units_axes(const search *s, const step *x) {
  gs_axes axes = {0};
  gs_effect effect = gs_moves[x->kind].effect;
  bool drops = effect == GS_EFFECT_JOIN || effect == GS_EFFECT_TRANSFER;
  bool adds = effect == GS_EFFECT_SPLIT || effect == GS_EFFECT_SCATTER;
  if (drops || adds) {
    /* In the order in which they split the dim: it orders the blocks. */
    const state *st = drops ? &x->from->at : &x->at;
    const uint8_t *unit = units_of(st, x->dim);
    for (int i = 0; i < st->n[x->dim]; i++)
      if (x->units >> unit[i] & 1)
        axes = gs_axes_cat(&axes, &s->unit[unit[i]]);
    return axes;
  }
  for (int u = 0; u < s->nunit; u++)
    if (x->units >> u & 1) axes = gs_axes_cat(&axes, &s->unit[u]);
  return gs_axes_of(gs_axes_set(&axes));
}

static gs_path *make_path(gs_arena *a, search *s, const step *end,
                          const gs_sharding *like) {
  gs_path *p = GS_NEW(a, gs_path);
  gs_assert(end);
  p->seconds = end->seconds;
  for (const step *x = end; x->from; x = x->from) p->n++;
  p->move = GS_NEWS(a, p->n, gs_move);
  int i = p->n;
  for (const step *x = end; x->from; x = x->from) {
    gs_move *mv = &p->move[--i];
    mv->kind = x->kind;
    mv->axes = units_axes(s, x);
    mv->dim = x->dim;
    mv->to = x->to;
    mv->after = to_sharding(a, s, &x->at, like);
    mv->bytes = x->bytes;
    mv->seconds = x->seconds - x->from->seconds;
  }
  return p;
}

static const char *cache_key(gs_arena *tmp, const gs_mesh *m, gs_dtype dtype,
                             int rank, const int64_t *dims,
                             const gs_sharding *from, const gs_sharding *to) {
  gs_buf b;
  gs_buf_init(&b, tmp);
  gs_buf_printf(&b, "%d", (int)gs_dtype_get(dtype)->bits);
  for (int d = 0; d < rank; d++) gs_buf_printf(&b, ",%lld", (long long)dims[d]);
  gs_sharding_print(&b, m, from);
  gs_buf_char(&b, '>');
  gs_sharding_print(&b, m, to);
  return b.at;
}

const gs_path *gs_reshard_in_order(gs_resharder *r, gs_dtype dtype, int rank,
                                   const int64_t *dims,
                                   const gs_sharding *from,
                                   const gs_sharding *to) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  const char *key = cache_key(&tmp, r->mesh, dtype, rank, dims, from, to);
  gs_path *path = gs_map_get(&r->cache, key);
  if (!path) {
    search *s = GS_NEW(&tmp, search);
    s->tmp = &tmp;
    s->m = r->mesh;
    s->rank = rank;
    s->dtype = dtype;
    s->dims = dims;
    find_units(s, from, to);
    s->goal = to_state(s, to);
    for (int u = 0; u < s->nunit; u++) s->home[u] = -1;
    for (int d = 0; d < rank; d++)
      for (int i = 0; i < s->goal.n[d]; i++)
        s->home[units_of(&s->goal, d)[i]] = d;
    gs_map_init(&s->seen, &tmp);
    state start = to_state(s, from);
    path = make_path(r->arena, s, run_search(s, &start), from);
    gs_map_put(&r->cache, key, path);
  }
  gs_arena_free(&tmp);
  return path;
}
