/* Resharding costs no more than it must: for small meshes, every path between
 * every two shardings is priced by an exhaustive search (Dijkstra's, over all
 * lists of sub-axes, with every collective of moves.def on every dim), and the
 * path that the partitioner takes costs as much as the cheapest.
 *
 * GSHARD_SWEEP=full tries all pairs on all shapes, meshes and links, a number
 * some of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/hash.h"
#include "pass/reshard/reshard.h"
#include "suite.h"

enum { RANK = 3, SUBS = 3, MAX_LISTS = 200 };

static const char *const meshes[] = {"{a=2}", "{a=4}", "{a=2, b=2}",
                                     "{a=2, b=3}", "{a=2, b=2, c=2}"};
static const int64_t shapes[][RANK] = {
    {8, 12, 24}, {5, 7, 3}, {1, 6, 10}, {9, 16, 1}, {0, 8, 4}};
/* Gigabits of axes a, b and c; 0: the machine's own. */
static const double links[][SUBS] = {
    {0, 0, 0}, {1e-3, 1e-3, 1e-3}, {1e-3, 1e-2, 1}};

enum {
  NMESH = sizeof meshes / sizeof *meshes,
  NSHAPE = sizeof shapes / sizeof *shapes,
  NLINK = sizeof links / sizeof *links,
  NWORLD = NMESH * RANK * NSHAPE * NLINK
};

/* The sub-axes that split each dim, major first. */
typedef struct lists {
  int n[RANK], at[RANK][SUBS];
  unsigned partial;
} lists;

typedef struct world {
  gs_mesh m;
  int rank;
  const int64_t *dims;
  int n;
  lists list[MAX_LISTS];
  double cost[MAX_LISTS][MAX_LISTS]; /* of the cheapest move; INFINITY: none */
} world;

/* ---- all states ---- */

static void list_all(world *w, lists l, int d, unsigned used) {
  if (d == w->rank) {
    unsigned rest = ((1u << w->m.nsub) - 1) & ~used;
    for (l.partial = rest;; l.partial = (l.partial - 1) & rest) {
      ck_assert_int_lt(w->n, MAX_LISTS);
      w->list[w->n++] = l;
      if (!l.partial) return;
    }
  }
  list_all(w, l, d + 1, used);
  for (int s = 0; s < w->m.nsub; s++) {
    if (used >> s & 1) continue;
    lists more = l;
    more.at[d][more.n[d]++] = s;
    list_all(w, more, d, used | 1u << s);
  }
}

static int64_t shards(const world *w, const lists *l, int d, int n) {
  int64_t p = 1;
  for (int i = 0; i < n; i++) p *= w->m.sub[l->at[d][i]].size;
  return p;
}

static int64_t block(const world *w, const lists *l, int d, int n) {
  int64_t m = shards(w, l, d, n);
  return (w->dims[d] + m - 1) / m;
}

/* Are the blocks over the first k sub-axes made of whole blocks over all? */
static bool nests(const world *w, const lists *l, int d, int k) {
  int64_t fine = block(w, l, d, l->n[d]), many = shards(w, l, d, l->n[d]);
  return !k || fine * (many / shards(w, l, d, k)) == block(w, l, d, k);
}

static gs_axes axes_of(unsigned set) { return gs_axes_of(set); }

/* ---- moves ---- */

/* The difference of two states in one dim: what follows the common part. */
typedef struct tail {
  int kept, lost, got;
} tail;

static tail tail_of(const lists *a, const lists *b, int d) {
  tail t = {0};
  while (t.kept < a->n[d] && t.kept < b->n[d] &&
         a->at[d][t.kept] == b->at[d][t.kept])
    t.kept++;
  t.lost = a->n[d] - t.kept;
  t.got = b->n[d] - t.kept;
  return t;
}

static unsigned set_of(const lists *l, int d, int from) {
  unsigned set = 0;
  for (int i = from; i < l->n[d]; i++) set |= 1u << l->at[d][i];
  return set;
}

/* The price of the cheapest row with this effect. */
static double price(const world *w, const lists *a, const lists *b,
                    gs_effect effect, unsigned set, int dim, int64_t sent) {
  int64_t x[RANK], y[RANK];
  double best = INFINITY;
  gs_axes axes = axes_of(set);
  for (int d = 0; d < w->rank; d++) {
    x[d] = block(w, a, d, a->n[d]);
    y[d] = block(w, b, d, b->n[d]);
  }
  for (int k = 0; k < GS_NMOVE; k++)
    if (gs_moves[k].effect == effect)
      best = fmin(best, gs_cost_move(&w->m, k, &axes,
                                     gs_move_bytes(k, GS_FLOAT, w->rank, x, y,
                                                   dim,
                                                   gs_axes_size(&w->m, &axes),
                                                   sent)));
  return best;
}

static double exchange_price(const world *w, const lists *a, const lists *b,
                             int d) {
  gs_axes from = {0}, to = {0};
  for (int i = 0; i < a->n[d]; i++) from.at[from.n++] = (uint8_t)a->at[d][i];
  for (int i = 0; i < b->n[d]; i++) to.at[to.n++] = (uint8_t)b->at[d][i];
  gs_exchange x = gs_exchange_blocks(&w->m, &to, w->dims[d]);
  gs_exchange_source whole = {.n = w->dims[d],
                              .block = block(w, a, d, a->n[d])};
  x.from = from;
  x.nsource = 1;
  x.source = &whole;
  return price(w, a, b, GS_EFFECT_EXCHANGE, set_of(a, d, 0) | set_of(b, d, 0),
               d, gs_exchange_sent(&w->m, &x));
}

/* Reductions, alone or with a split of one dim. */
static double reduced(const world *w, const lists *a, const lists *b,
                      int changed, int d, tail t) {
  unsigned set = a->partial & ~b->partial;
  if (b->partial & ~a->partial) return INFINITY;
  if (!changed) return price(w, a, b, GS_EFFECT_REDUCE, set, -1, 0);
  if (changed > 1 || t.lost || set_of(b, d, t.kept) != set ||
      !nests(w, b, d, t.kept))
    return INFINITY;
  return price(w, a, b, GS_EFFECT_SCATTER, set, d, 0);
}

/* The cheapest move from a to b. */
static double one_move(const world *w, const lists *a, const lists *b) {
  int changed = 0, losing = 0, getting = 0, last = 0, loser = 0, getter = 0;
  unsigned lost = 0, got = 0;
  bool mixed = false, nest = true, level = true, single = true;
  tail t = {0};
  for (int d = 0; d < w->rank; d++) {
    tail u = tail_of(a, b, d);
    if (!u.lost && !u.got) continue;
    changed++;
    last = d;
    t = u;
    lost |= set_of(a, d, u.kept);
    got |= set_of(b, d, u.kept);
    if (u.lost) losing++, loser = d;
    if (u.got) getting++, getter = d;
    mixed |= u.lost && u.got;
    nest &= nests(w, a, d, u.kept) && nests(w, b, d, u.kept);
    level &= shards(w, a, d, a->n[d]) == shards(w, b, d, b->n[d]);
    if (u.lost && w->dims[d] != 1) single = false;
  }
  if (a->partial != b->partial) return reduced(w, a, b, changed, last, t);
  double best = INFINITY;
#define TRY(effect, set, dim)                                                  \
  best = fmin(best, price(w, a, b, GS_EFFECT_##effect, set, dim, 0))
  if (changed == 1 && !t.lost && nest) TRY(SPLIT, got, last);
  if (changed == 1 && !t.got && nest) TRY(JOIN, lost, last);
  if (losing && !getting && single) TRY(BROADCAST, lost, -1);
  if (losing && lost == got && !mixed && nest) TRY(REGROUP, lost, -1);
  if (losing == 1 && getting == 1 && lost == got && !mixed && nest &&
      !memcmp(a->at[loser] + a->n[loser] - t.got - t.lost,
              b->at[getter] + b->n[getter] - t.got - t.lost,
              (size_t)(t.got + t.lost) * sizeof(int)))
    TRY(TRANSFER, lost, getter);
  if (changed && level) TRY(PERMUTE, lost | got, -1);
  if (changed == 1 && a->n[last])
    best = fmin(best, exchange_price(w, a, b, last));
  return best;
}

/* ---- worlds ---- */

static void make_world(world *w, gs_arena *a, int i) {
  gs_err e;
  gs_err_init(&e);
  const double *link = links[i % NLINK];
  w->dims = shapes[i / NLINK % NSHAPE];
  w->rank = 1 + i / NLINK / NSHAPE % RANK;
  const char *mesh = meshes[i / NLINK / NSHAPE / RANK];
  ck_assert_int_eq(gs_mesh_parse(mesh, a, &w->m, &e), GS_OK);
  for (int k = 0; k < w->m.naxis; k++) w->m.axis[k].gbps = link[k];
  list_all(w, (lists){0}, 0, 0);
  gs_err_free(&e);
}

static gs_sharding *sharding_of(gs_arena *a, const world *w, const lists *l) {
  gs_sharding *s = gs_sharding_new(a, w->rank, false);
  for (int d = 0; d < w->rank; d++)
    for (int i = 0; i < l->n[d]; i++)
      s->dim[d].axes.at[s->dim[d].axes.n++] = (uint8_t)l->at[d][i];
  s->partial = l->partial;
  return s;
}

/* Seconds to every state from `from`. */
static void dijkstra(const world *w, int from, double *seconds) {
  bool done[MAX_LISTS] = {false};
  for (int i = 0; i < w->n; i++) seconds[i] = i == from ? 0 : INFINITY;
  for (;;) {
    int x = -1;
    for (int i = 0; i < w->n; i++)
      if (!done[i] && (x < 0 || seconds[i] < seconds[x])) x = i;
    if (x < 0 || isinf(seconds[x])) return;
    done[x] = true;
    for (int i = 0; i < w->n; i++)
      seconds[i] = fmin(seconds[i], seconds[x] + w->cost[x][i]);
  }
}

static void compare(gs_resharder *r, gs_arena *a, const world *w, int from,
                    int to, double seconds) {
  gs_form x = gs_form_of(sharding_of(a, w, &w->list[from]));
  gs_form y = gs_form_of(sharding_of(a, w, &w->list[to]));
  double found = gs_reshard(r, GS_FLOAT, w->rank, w->dims, &x, &y)->seconds;
  /* Local moves cost a nanosecond each, however many there are. */
  ck_assert_msg(fabs(found - seconds) <= 1e-8 + 1e-9 * seconds,
                "%d devices, [%d,%d,%d] of rank %d: %s -> %s: %.9g s, not %.9g",
                (int)w->m.ndevice, (int)w->dims[0], (int)w->dims[1],
                (int)w->dims[2], w->rank, gs_form_text(a, &w->m, &x),
                gs_form_text(a, &w->m, &y), found, seconds);
}

/* One of `step` worlds, and of each one of `step` pairs. */
static unsigned long seed;
static unsigned step;

static bool chosen(int i, int from, int to) {
  int at[] = {i, from, to};
  return gs_hash(at, sizeof at, seed) % step == 0;
}

START_TEST(cheapest) {
  if (!chosen(_i, -1, -1)) return;
  gs_arena a;
  gs_arena_init(&a);
  world *w = GS_NEW(&a, world);
  make_world(w, &a, _i);
  gs_resharder r;
  gs_resharder_init(&r, &a, &w->m);
  for (int x = 0; x < w->n; x++)
    for (int y = 0; y < w->n; y++)
      w->cost[x][y] = one_move(w, &w->list[x], &w->list[y]);
  for (int x = 0; x < w->n; x++) {
    double seconds[MAX_LISTS];
    dijkstra(w, x, seconds);
    for (int y = 0; y < w->n; y++)
      if (x != y && !(w->list[y].partial & ~w->list[x].partial) &&
          chosen(_i, x, y))
        compare(&r, &a, w, x, y, seconds[y]);
  }
  gs_arena_free(&a);
}
END_TEST

/* Every collective has an effect that the moves above know. */
START_TEST(all_effects) {
  for (int k = 0; k < GS_NMOVE; k++) {
    if (!(gs_moves[k].flags & GS_OP_COLLECTIVE)) continue;
    gs_effect e = gs_moves[k].effect;
    ck_assert_msg(e == GS_EFFECT_JOIN || e == GS_EFFECT_TRANSFER ||
                      e == GS_EFFECT_REGROUP || e == GS_EFFECT_BROADCAST ||
                      e == GS_EFFECT_PERMUTE || e == GS_EFFECT_REDUCE ||
                      e == GS_EFFECT_SCATTER || e == GS_EFFECT_EXCHANGE,
                  "%s has an effect that is not searched for",
                  gs_moves[k].name);
  }
}
END_TEST

int main(void) {
  suite_sample sample = suite_sample_of(13);
  seed = sample.seed;
  step = (unsigned)sample.of;
  TCase *t = tcase_create("pairs");
  tcase_set_timeout(t, 600);
  tcase_add_loop_test(t, cheapest, 0, NWORLD);
  tcase_add_test(t, all_effects);
  return suite_run("cheapest", t);
}
