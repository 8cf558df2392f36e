/* States that are tried next. */
#include "base/assert.h"
#include "pass/reshard/reshard_search.h"

/* So many states are all looked at: three units on four dims. */
enum { MAX_EVERY = 200 };

/* ---- all of them ---- */

/* Ways to put any of the units on the dims, each dim in any order. */
static double count_states(int units, int rank) {
  double all = 1, lists = 1;
  for (int k = 1; k <= units; k++) {
    lists *= (double)(units - k + 1) * (rank + k - 1) / k;
    all += lists;
  }
  return all;
}

/* States in which dims below d are as in st. */
static void list_from(gs_search *s, const gs_state *st, int d, uint32_t used) {
  if (d == s->u.rank) {
    *gs_push(s->tmp, &s->every) = *st;
    return;
  }
  list_from(s, st, d + 1, used);
  for (int i = 0; i < s->u.n; i++) {
    if (used >> i & 1) continue;
    gs_state next = *st;
    gs_state_append(&next, d, i);
    list_from(s, &next, d, used | 1u << i);
  }
}

bool gs_search_list(gs_search *s) {
  gs_state none = {0};
  if (count_states(s->u.n, s->u.rank) > MAX_EVERY) return false;
  list_from(s, &none, 0, 0);
  gs_assert(s->every.n <= MAX_EVERY);
  s->rest = GS_NEWS(s->tmp, s->every.n, double);
  for (int i = 0; i < s->every.n; i++) s->rest[i] = -1;
  return true;
}

static void try_every(gs_search *s) {
  const gs_state *at = &s->now->at;
  for (int i = 0; i < s->every.n; i++) {
    gs_state *to = &s->every.at[i];
    uint32_t used = gs_state_used(&s->u, to);
    if (used & s->goal.partial) continue;
    to->partial = at->partial & ~used;
    if (!to->partial && s->rest[i] < 0) s->rest[i] = gs_search_rest(s, to);
    if (!to->partial && s->now->seconds + s->rest[i] >= s->bound) continue;
    gs_search_link(s, to);
  }
}

/* ---- a choice of them ---- */

static void reduce(gs_search *s, uint32_t units) {
  gs_state next = s->now->at;
  next.partial &= ~units;
  gs_search_link(s, &next);
}

/* Reductions of all units and of each, or of any. */
static void try_reductions(gs_search *s) {
  uint32_t rest = s->now->at.partial & ~s->goal.partial;
  if (!rest) return;
  reduce(s, rest);
  for (int i = 0; i < s->u.n && !s->every.n; i++)
    if ((rest >> i & 1) && rest != 1u << i) reduce(s, 1u << i);
  for (uint32_t set = rest; s->every.n && (set = (set - 1) & rest);)
    reduce(s, set);
}

/* Where a unit stands in the goal: a dim, or -1. */
static int home_of(const gs_search *s, int unit) {
  const uint8_t *u = s->goal.unit;
  for (int d = 0; d < s->u.rank; d++)
    for (int i = 0; i < s->goal.n[d]; i++)
      if (*u++ == unit) return d;
  return -1;
}

/* Local slices, and reduce-scatters of partial units, onto goal dims. Several
 * units may have to go at once: blocks over the first of them alone may not
 * nest with blocks over all. */
static void try_splits(gs_search *s) {
  const gs_state *st = &s->now->at;
  uint32_t used = gs_state_used(&s->u, st);
  for (int d = 0; d < s->u.rank; d++) {
    gs_state next = *st;
    for (int i = 0; i < s->goal.n[d]; i++) {
      int unit = gs_state_at(&s->goal, d)[i];
      if (used >> unit & 1) continue;
      gs_state one = *st; /* any one unit, whatever its turn */
      gs_state_append(&one, d, unit);
      one.partial &= ~(1u << unit);
      gs_state_append(&next, d, unit);
      next.partial &= ~(1u << unit);
      gs_search_link(s, &one);
      gs_search_link(s, &next);
    }
  }
}

/* Gathers and all-to-alls of the minor units of each dim. */
static void try_suffixes(gs_search *s) {
  const gs_state *st = &s->now->at;
  for (int d = 0; d < s->u.rank; d++) {
    const uint8_t *unit = gs_state_at(st, d);
    for (int k = st->n[d] - 1; k >= 0; k--) {
      gs_state next = *st;
      gs_state_cut(&next, d, k);
      gs_search_link(s, &next);
      for (int e = 0; e < s->u.rank; e++) {
        bool wanted = false;
        gs_state moved = next;
        for (int i = k; i < st->n[d]; i++) {
          wanted = wanted || home_of(s, unit[i]) == e;
          gs_state_append(&moved, e, unit[i]);
        }
        if (e != d && wanted) gs_search_link(s, &moved);
      }
    }
  }
}

/* Puts unit b where a stands, and a where b stands if b splits a dim. */
static void swap_units(const gs_search *s, gs_state *st, int a, int b) {
  uint8_t *u = st->unit;
  for (int d = 0; d < s->u.rank; d++)
    for (int i = 0; i < st->n[d]; i++, u++) {
      if (*u == a) *u = (uint8_t)b;
      else if (*u == b) *u = (uint8_t)a;
    }
}

/* Swaps after which one of the two units stands in its dim of the goal. */
static void try_swaps(gs_search *s) {
  const gs_state *st = &s->now->at;
  uint32_t used = gs_state_used(&s->u, st);
  int dim[GS_MAX_UNITS];
  for (int i = 0; i < s->u.n; i++) dim[i] = -2; /* unlike any home */
  for (int d = 0; d < s->u.rank; d++)
    for (int i = 0; i < st->n[d]; i++) dim[gs_state_at(st, d)[i]] = d;
  for (int a = 0; a < s->u.n; a++)
    for (int b = 0; b < s->u.n; b++) {
      if (a == b || s->u.size[a] != s->u.size[b] || !(used >> a & 1)) continue;
      if ((st->partial >> a & 1) || (st->partial >> b & 1)) continue;
      if ((used >> b & 1) && b < a) continue;
      if (home_of(s, b) != dim[a] && home_of(s, a) != dim[b]) continue;
      gs_state next = *st;
      swap_units(s, &next, a, b);
      gs_search_link(s, &next);
    }
}

/* How many units of dim d can stay on the way to the goal. */
static int kept(const gs_search *s, const gs_state *st, int d) {
  const uint8_t *have = gs_state_at(st, d), *want = gs_state_at(&s->goal, d);
  int k = 0;
  while (k < st->n[d] && k < s->goal.n[d] && have[k] == want[k]) k++;
  while (!gs_state_nests(&s->u, st, d, k) ||
         !gs_state_nests(&s->u, &s->goal, d, k))
    k--;
  return k;
}

/* All units that are to change dims at once, as far as they find their place
 * there; and straight to the goal. */
static void try_jumps(gs_search *s) {
  const gs_state *st = &s->now->at;
  gs_state next = *st;
  for (int d = 0; d < s->u.rank; d++) gs_state_cut(&next, d, kept(s, st, d));
  uint32_t used = gs_state_used(&s->u, st);
  uint32_t left = used & ~gs_state_used(&s->u, &next);
  for (int d = 0; d < s->u.rank; d++)
    for (int i = next.n[d]; i < s->goal.n[d]; i++) {
      int unit = gs_state_at(&s->goal, d)[i];
      if (!(left >> unit & 1)) break;
      gs_state_append(&next, d, unit);
      left &= ~(1u << unit);
    }
  gs_search_link(s, &next);
  next = s->goal;
  next.partial = st->partial;
  if (!(st->partial & gs_state_used(&s->u, &s->goal)))
    gs_search_link(s, &next);
}

void gs_search_expand(gs_search *s) {
  try_reductions(s);
  if (s->every.n) {
    try_every(s);
    return;
  }
  try_splits(s);
  try_suffixes(s);
  try_swaps(s);
  try_jumps(s);
}

/* ---- the way that always exists ---- */

/* Steps on to `at` and says whether there is a way worth looking at. */
static bool step_to(gs_search *s, const gs_state *at) {
  gs_search_link(s, at);
  s->now = gs_search_known(s, at);
  return s->now;
}

void gs_search_straight(gs_search *s, const gs_reshard_step *from) {
  const gs_units *u = &s->u;
  gs_state next = from->at;
  s->now = from;
  uint32_t rest = next.partial & ~s->goal.partial;
  next.partial &= ~rest;
  if (rest && !step_to(s, &next)) return;
  for (int d = 0; d < u->rank; d++) {
    int k = kept(s, &next, d);
    if (k == next.n[d]) continue;
    gs_state_cut(&next, d, k);
    if (!step_to(s, &next)) return;
  }
  for (int d = 0; d < u->rank; d++) {
    if (next.n[d] == s->goal.n[d]) continue;
    for (int i = next.n[d]; i < s->goal.n[d]; i++)
      gs_state_append(&next, d, gs_state_at(&s->goal, d)[i]);
    if (!step_to(s, &next)) return;
  }
}
