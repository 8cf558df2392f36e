/* gs_exchange; see exchange.h. */
#include "ir/mesh/exchange.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"

const char *gs_fill_text(gs_fill f) {
  static const char *const text[GS_NFILL] = {
#define X(name, text_) [GS_FILL_##name] = text_,
      GS_FILLS(X)
#undef X
  };
  return text[f];
}

bool gs_fill_parse(const char *s, gs_fill *f) {
  for (int i = 0; i < GS_NFILL; i++) {
    if (strcmp(s, gs_fill_text((gs_fill)i))) continue;
    *f = (gs_fill)i;
    return true;
  }
  return false;
}

/* ---- numbers ---- */

/* The range that holds what any `width` outputs in a row need: from what the
 * first of them needs on, or the last, where they run the other way.  Its
 * length is the largest over the devices: what is lowest leaves remainders by
 * den that differ by multiples of a common divisor, and the highest of them
 * reaches farthest.  False where a number overflows. */
static bool range_of(const gs_reach *r, int64_t width, int64_t devices,
                     gs_held_range *out) {
  int64_t stride, way, span, from = r->first, to = r->last, g = r->den;
  if (!gs_mul(r->num, width, &stride) || stride == INT64_MIN ||
      !gs_mul(r->num, width - 1, &way) ||
      !gs_add(way, r->num > 0 ? to : from, r->num > 0 ? &to : &from) ||
      __builtin_sub_overflow(to, from, &span))
    return false;
  if (devices > 1) g = gs_gcd(stride, r->den);
  int64_t low = from - g * gs_floor_div(from, g);
  if (!gs_add(span, r->den - g + low, &span)) return false;
  *out = (gs_held_range){1, stride, from, r->den, 0,
                         gs_floor_div(span, r->den) + 1};
  return gs_held_range_normal(out);
}

/* Whether outputs side by side, of which a device has `width` or what is left,
 * need all elements between theirs. */
static bool is_dense(const gs_reach *r, int64_t width) {
  int64_t least = r->count % width ? r->count % width : width;
  return r->num == 1 && r->den == 1 && least >= r->apart;
}

gs_exchange gs_exchange_of(const gs_mesh *m, const gs_axes *to,
                           const gs_reach *r, bool copies) {
  int64_t devices = gs_axes_size(m, to), stride;
  gs_assert(r->den > 0 && r->num != 0 && r->first <= r->last && r->count >= 0);
  gs_assert(!copies || (r->den == 1 && r->first == r->last));
  gs_exchange x = {.to = *to, .step = 1, .reach = *r};
  x.width = gs_ceil_div(r->count, devices);
  bool fits = true;
  if (x.width == 0) {
    x.range.c = 1;
    x.range.m = 1;
  } else if (copies) {
    x.step = r->num;
    fits = gs_mul(r->num, x.width, &stride);
    x.range = (gs_held_range){1, stride, r->first, 1, 0, x.width};
  } else {
    fits = range_of(r, x.width, devices, &x.range);
    if (is_dense(&x.reach, x.width)) x.reach.apart = 0;
  }
  if (!fits) x.range = (gs_held_range){0};
  return x;
}

gs_exchange gs_exchange_blocks(const gs_mesh *m, const gs_axes *to,
                               int64_t n) {
  gs_reach all = {.count = n, .num = 1, .den = 1};
  return gs_exchange_of(m, to, &all, true);
}

int64_t gs_exchange_wanted(const gs_exchange *x, int64_t i) {
  const gs_reach *r = &x->reach;
  if (r->count == 0) return x->range.length;
  int64_t real = gs_min(r->count - x->width * i, x->width);
  if (real <= 0) return 0;
  bool back = r->num < 0 && x->step > 0; /* the first output needs the last */
  int64_t output = x->width * i + (back ? 0 : real - 1);
  int64_t last = gs_floor_div(r->num * output + r->last, r->den);
  int64_t place = gs_floor_div(last - gs_held_range_first(&x->range, i),
                               x->step);
  return gs_max(0, gs_min(place + 1, x->range.length));
}

/* ---- runs ---- */

/* The wanted places of one device, walked in order. */
typedef struct walk {
  const gs_exchange *x;
  int64_t first, wanted; /* element of place 0; places */
  int64_t place;         /* the next */
  int source;            /* the next that may have its element */
} walk;

static walk walk_of(const gs_exchange *x, int64_t i) {
  return (walk){.x = x,
                .first = gs_held_range_first(&x->range, i),
                .wanted = gs_exchange_wanted(x, i),
                .source = x->step > 0 ? 0 : x->nsource - 1};
}

/* How many of the places left, from element e on, stay below `end` (with a
 * step below 0: above it). */
static int64_t places_before(const walk *w, int64_t e, int64_t end) {
  int64_t step = w->x->step, left = w->wanted - w->place;
  int64_t gap = step > 0 ? end - e : e - end;
  gs_assert(gap > 0 && left > 0);
  return gs_min(left, gs_ceil_div(gap, step > 0 ? step : -step));
}

/* Places from the next on that hold elements lo .. hi - 1, or the same ones
 * downwards, of which `e` is the first. */
static gs_exchange_run run_within(const walk *w, int source, int64_t e,
                                  int64_t lo, int64_t hi) {
  int64_t step = w->x->step;
  return (gs_exchange_run){
      .place = w->place,
      .count = places_before(w, e, step > 0 ? hi : lo - 1),
      .source = source,
      .delta = step};
}

/* Whether what lies outside of [0, n) is an element of it. */
static bool maps(gs_fill f) {
  return f == GS_FILL_EDGE || f == GS_FILL_REFLECT || f == GS_FILL_WRAP;
}

/* Past the ends stands the element at the end; of one element, whatever the
 * fill. */
static gs_exchange_run edge_run(const walk *w, int64_t e, int64_t n) {
  if (e >= 0 && e < n) {
    gs_exchange_run r = run_within(w, 0, e, 0, n);
    r.elem = e;
    return r;
  }
  int64_t left = w->wanted - w->place;
  bool inwards = (e < 0) == (w->x->step > 0);
  gs_exchange_run r = {.place = w->place, .count = left};
  if (inwards) r.count = places_before(w, e, e < 0 ? 0 : n - 1);
  r.elem = e < 0 ? 0 : n - 1;
  return r;
}

/* Past the ends the dim is repeated, every other time backwards (reflect),
 * then without the elements at its ends. */
static gs_exchange_run period_run(const walk *w, int64_t e, int64_t n) {
  bool wrap = w->x->fill == GS_FILL_WRAP;
  int64_t period = wrap ? n : 2 * (n - 1);
  int64_t base = period * gs_floor_div(e, period), at = e - base;
  bool back = at >= n;
  gs_exchange_run r = back ? run_within(w, 0, e, base + n, base + period)
                           : run_within(w, 0, e, base, base + n);
  r.elem = back ? period - at : at;
  if (back) r.delta = -r.delta;
  return r;
}

/* Of sources laid side by side, in their order; gaps get the fill. */
static gs_exchange_run source_run(walk *w, int64_t e) {
  const gs_exchange *x = w->x;
  int turn = x->step > 0 ? 1 : -1;
  for (; w->source >= 0 && w->source < x->nsource; w->source += turn) {
    const gs_exchange_source *s = &x->source[w->source];
    int64_t lo = s->shift, hi = s->shift + s->n;
    if (s->n == 0 || (turn > 0 ? e >= hi : e < lo)) continue;
    gs_exchange_run r = {.place = w->place, .source = -1};
    if (e < lo || e >= hi) {
      r.count = places_before(w, e, turn > 0 ? lo : hi - 1);
      return r;
    }
    r = run_within(w, w->source, e, lo, hi);
    r.elem = e - lo;
    return r;
  }
  return (gs_exchange_run){
      .place = w->place, .count = w->wanted - w->place, .source = -1};
}

static bool next_run(walk *w, gs_exchange_run *r) {
  if (w->place >= w->wanted) return false;
  int64_t e = w->first + w->x->step * w->place, n = w->x->source[0].n;
  if (!maps(w->x->fill) || n == 0) *r = source_run(w, e);
  else if (w->x->fill == GS_FILL_EDGE || n == 1) *r = edge_run(w, e, n);
  else *r = period_run(w, e, n);
  gs_assert(r->count > 0 && r->place == w->place);
  if (r->count == 1) r->delta = 0;
  w->place += r->count;
  return true;
}

gs_exchange_run *gs_exchange_runs(gs_arena *a, const gs_exchange *x, int64_t i,
                                  int *n) {
  GS_VEC(gs_exchange_run) v = {0};
  walk w = walk_of(x, i);
  gs_exchange_run r;
  while (next_run(&w, &r)) *gs_push(a, &v) = r;
  *n = v.n;
  return v.at;
}

/* ---- places that outputs pass over ---- */

/* Whether the device with index i may have some: between the elements of one
 * output, between those and the next one's, or before all, as where outputs run
 * the other way and there are not `width` of them. */
static bool passes_over(const gs_exchange *x, int64_t i) {
  const gs_reach *r = &x->reach;
  if (r->count == 0 || x->step != 1) return false;
  if (r->apart > 1 || r->num < 0 || r->num > r->last - r->first + r->den)
    return true;
  return gs_floor_div(r->num * x->width * i + r->first, r->den) >
         gs_held_range_first(&x->range, i);
}

static int64_t ceil_div(int64_t a, int64_t b) { return -gs_floor_div(-a, b); }

/* Whether one of the outputs low .. high needs element e. */
static bool is_read(const gs_reach *r, int64_t low, int64_t high, int64_t e) {
  /* at <= num*o < end */
  int64_t at = r->den * e - r->last;
  int64_t end = at + r->last - r->first + r->den;
  bool back = r->num < 0;
  low = gs_max(low, back ? gs_floor_div(-end, -r->num) + 1
                         : ceil_div(at, r->num));
  high = gs_min(high, back ? gs_floor_div(-at, -r->num)
                           : ceil_div(end, r->num) - 1);
  if (r->apart <= 1) return low <= high;
  high = gs_min(high, low + r->apart - 1); /* then they leave the same again */
  for (int64_t o = low; o <= high; o++)
    if ((r->num * o - at) % r->apart == 0) return true;
  return false;
}

/* Whether place j of a device is needed; `first` is element 0 of its places. */
static bool is_needed(const gs_exchange *x, int64_t i, int64_t first,
                      int64_t j) {
  int64_t low = x->width * i;
  int64_t high = gs_min(x->reach.count, low + x->width) - 1;
  return is_read(&x->reach, low, high, first + j);
}

bool gs_exchange_needs(const gs_exchange *x, int64_t i, int64_t j) {
  if (j >= gs_exchange_wanted(x, i)) return false;
  return !passes_over(x, i) ||
         is_needed(x, i, gs_held_range_first(&x->range, i), j);
}

int64_t gs_exchange_apart(const gs_exchange *x, const gs_exchange_piece *p) {
  return x->step == 1 && p->delta ? (p->delta < 0 ? -p->delta : p->delta) : 1;
}

/* ---- pieces ---- */

/* Takes from the front of a run of a source what one device holds: returns its
 * index along `from`, 0 where all have the source. */
static int64_t next_piece(const gs_exchange *x, gs_exchange_run *r,
                          gs_exchange_piece *p) {
  const gs_exchange_source *s = &x->source[r->source];
  int64_t block = s->block ? s->block : s->first + s->n;
  int64_t elem = s->first + r->elem;
  int64_t owner = elem / block, at = elem % block, count = r->count;
  if (r->delta > 0)
    count = gs_min(count, gs_ceil_div(block - at, r->delta));
  if (r->delta < 0) count = gs_min(count, at / -r->delta + 1);
  *p = (gs_exchange_piece){.source = r->source, .at = at, .count = count,
                           .delta = count > 1 ? r->delta : 0,
                           .place = r->place};
  r->elem += r->delta * count;
  r->place += count;
  r->count -= count;
  return owner;
}

typedef GS_VEC(gs_exchange_piece) pieces;

/* Of piece p of the device with index i the places from number k on that are
 * `by` apart, in pieces as long as can be. */
static void add_needed(gs_arena *a, const gs_exchange *x, int64_t i,
                       const gs_exchange_piece *p, int64_t k, int64_t by,
                       pieces *of) {
  int64_t first = gs_held_range_first(&x->range, i);
  gs_exchange_piece *last = NULL;
  for (; k < p->count; k += by) {
    if (!is_needed(x, i, first, p->place + k)) {
      last = NULL;
      continue;
    }
    if (!last) {
      last = gs_push(a, of);
      *last = *p;
      last->at += p->delta * k;
      last->place += k;
      last->count = last->delta = 0;
    }
    if (last->count++) last->delta = by * p->delta;
  }
}

/* What is needed of a piece that comes from another device.  Where there are
 * many windows with few elements: for each remainder by their stride one piece;
 * else one for each window. */
static void push_needed(gs_arena *a, const gs_exchange *x, int64_t i,
                        const gs_exchange_piece *p, pieces *of) {
  const gs_reach *r = &x->reach;
  if (!passes_over(x, i)) {
    *gs_push(a, of) = *p;
    return;
  }
  int64_t stride = r->num < 0 || r->num % r->den ? 1 : r->num / r->den;
  bool few = (r->last - r->first + r->den) / r->den < p->count / stride;
  if (p->delta && stride > 1 && few) {
    for (int64_t k = 0; k < stride; k++)
      add_needed(a, x, i, p, k, stride, of);
  } else {
    add_needed(a, x, i, p, 0, 1, of);
  }
}

/* How many elements those are. */
static int64_t needed(const gs_exchange *x, int64_t i,
                      const gs_exchange_piece *p) {
  if (!passes_over(x, i)) return p->count;
  int64_t first = gs_held_range_first(&x->range, i), n = 0;
  for (int64_t k = 0; k < p->count; k++)
    n += is_needed(x, i, first, p->place + k);
  return n;
}

/* The pieces of a device of index i along `to` that come from member `only`
 * of the group along `from` (-1: of all).  Sources that are whole count as
 * those of member `me`. */
static void pieces_of(gs_arena *a, const gs_exchange *x, int64_t i, int64_t me,
                      int64_t only, pieces *of) {
  walk w = walk_of(x, i);
  gs_exchange_run r;
  while (next_run(&w, &r)) {
    if (r.source < 0) continue;
    const gs_exchange_source *s = &x->source[r.source];
    if (!s->block && only >= 0) continue;
    while (r.count > 0) {
      gs_exchange_piece p;
      int64_t owner = next_piece(x, &r, &p);
      if (!s->block) owner = me;
      if (only >= 0 && owner != only) continue;
      pieces *to = only < 0 ? &of[owner] : of;
      if (owner == me) *gs_push(a, to) = p;
      else push_needed(a, x, i, &p, to);
    }
  }
}

static gs_exchange_peer peer_of(const pieces *v) {
  gs_exchange_peer p = {.n = v->n, .piece = v->at};
  for (int k = 0; k < v->n; k++) p.elements += v->at[k].count;
  return p;
}

static bool is_split(const gs_exchange *x) {
  for (int k = 0; k < x->nsource; k++)
    if (x->source[k].block) return true;
  return false;
}

static void fills_of(gs_arena *a, const gs_exchange *x, int64_t i,
                     gs_exchange_plan *p) {
  GS_VEC(gs_exchange_run) v = {0};
  walk w = walk_of(x, i);
  gs_exchange_run r;
  while (next_run(&w, &r))
    if (r.source < 0) *gs_push(a, &v) = r;
  bool looked_at = x->fill == GS_FILL_VALUE || x->fill == GS_FILL_OPERAND;
  if (looked_at && w.wanted < x->range.length)
    *gs_push(a, &v) = (gs_exchange_run){.place = w.wanted,
                                        .count = x->range.length - w.wanted,
                                        .source = -1};
  p->nfill = v.n;
  p->fill = v.at;
}

gs_exchange_plan *gs_exchange_plan_of(gs_arena *a, const gs_mesh *m,
                                      const gs_exchange *x,
                                      int64_t position) {
  gs_exchange_plan *p = GS_NEW(a, gs_exchange_plan);
  gs_axes from = is_split(x) ? x->from : (gs_axes){0};
  p->npeer = (int)gs_axes_size(m, &from);
  p->me = (int)gs_axes_index(m, &from, position);
  p->give = GS_NEWS(a, p->npeer, gs_exchange_peer);
  p->take = GS_NEWS(a, p->npeer, gs_exchange_peer);
  int64_t index = gs_axes_index(m, &x->to, position);
  pieces *taken = GS_NEWS(a, p->npeer, pieces);
  pieces_of(a, x, index, p->me, -1, taken);
  for (int k = 0; k < p->npeer; k++) {
    p->take[k] = peer_of(&taken[k]);
    if (k == p->me) continue;
    pieces given = {0};
    int64_t peer = gs_axes_peer(m, &from, position, k);
    pieces_of(a, x, gs_axes_index(m, &x->to, peer), k, p->me, &given);
    p->give[k] = peer_of(&given);
  }
  fills_of(a, x, index, p);
  return p;
}

/* ---- bytes ---- */

/* The axes of a that are in `both`, or those that are not. */
static gs_axes part(const gs_axes *a, gs_subset both, bool in) {
  gs_axes out = {0};
  for (int k = 0; k < a->n; k++)
    if (((both >> a->at[k]) & 1) == in) out.at[out.n++] = a->at[k];
  return out;
}

/* Where the axes are of two device orders: one device after another. */
static int64_t sent_in_orders(const gs_mesh *m, const gs_exchange *x) {
  int64_t most = 0;
  gs_arena scratch;
  gs_arena_init(&scratch);
  int64_t *sent = GS_NEWS(&scratch, m->ndevice, int64_t);
  for (int64_t p = 0; p < m->ndevice; p++) {
    walk w = walk_of(x, gs_axes_index(m, &x->to, p));
    gs_exchange_run r;
    while (next_run(&w, &r)) {
      int64_t block = r.source < 0 ? 0 : x->source[r.source].block;
      while (block && r.count > 0) {
        gs_exchange_piece c;
        int64_t giver = gs_axes_peer(m, &x->from, p, next_piece(x, &r, &c));
        if (giver == p) continue;
        sent[giver] += needed(x, gs_axes_index(m, &x->to, p), &c);
        most = gs_max(most, sent[giver]);
      }
    }
  }
  gs_arena_free(&scratch);
  return most;
}

static int order_of(const gs_mesh *m, const gs_axes *a) {
  return gs_mesh_order_of(m, gs_axes_set(a));
}

/* Devices with the same index along `to` want the same.  Of those in one group
 * along `from` there is one for each index over the axes of `from` that are not
 * in `to`; a sender is not one of them, unless it has that index of `to`. */
int64_t gs_exchange_sent(const gs_mesh *m, const gs_exchange *x) {
  if (x->from.n && x->to.n && order_of(m, &x->from) != order_of(m, &x->to))
    return sent_in_orders(m, x);
  gs_subset both = gs_axes_set(&x->from) & gs_axes_set(&x->to);
  gs_axes shared = part(&x->from, both, true);
  gs_axes apart = part(&x->to, both, false);
  int64_t apart_size = gs_axes_size(m, &apart), most = 0;
  int64_t takers = gs_axes_size(m, &x->from) / gs_axes_size(m, &shared);
  gs_arena scratch;
  gs_arena_init(&scratch);
  int64_t *sent = GS_NEWS(&scratch, gs_axes_size(m, &x->from) * apart_size,
                          int64_t);
  for (int64_t i = gs_axes_size(m, &x->to) - 1; i >= 0; i--) {
    int64_t taker = gs_axes_peer(m, &x->to, 0, i);
    int64_t at = gs_axes_index(m, &apart, taker);
    int64_t own = gs_axes_index(m, &shared, taker);
    walk w = walk_of(x, i);
    gs_exchange_run r;
    while (next_run(&w, &r)) {
      int64_t block = r.source < 0 ? 0 : x->source[r.source].block;
      while (block && r.count > 0) {
        gs_exchange_piece p;
        int64_t owner = next_piece(x, &r, &p);
        int64_t giver = gs_axes_peer(m, &x->from, 0, owner);
        bool itself = gs_axes_index(m, &shared, giver) == own;
        int64_t *sum = &sent[owner * apart_size + at];
        if (takers > itself) *sum += needed(x, i, &p) * (takers - itself);
        most = gs_max(most, *sum);
      }
    }
  }
  gs_arena_free(&scratch);
  return most;
}
