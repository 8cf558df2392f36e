/* Steps that are known, and those that are to be expanded. */
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "pass/reshard/cost.h"
#include "pass/reshard/reshard_search.h"

typedef gs_reshard_step step;

typedef struct state_key {
  char at[GS_MAX_RANK + 2 * GS_MAX_UNITS + 1];
} state_key;

static state_key key_of(const gs_search *s, const gs_state *st) {
  state_key key;
  const uint8_t *u = st->unit;
  int n = 0;
  for (int d = 0; d < s->u.rank; d++) {
    for (int i = 0; i < st->n[d]; i++) key.at[n++] = (char)(*u++ + 1);
    key.at[n++] = 127;
  }
  for (int v = 0; v < s->u.n; v++)
    if (st->partial >> v & 1) key.at[n++] = (char)(v + 1);
  gs_assert(n < (int)sizeof key.at);
  gs_assert(s->u.n < 127 && s->u.n <= GS_MAX_UNITS);
  key.at[n] = 0;
  return key;
}

/* Of two steps with the same total the older one is first. */
static bool before(const step *a, const step *b) {
  return a->total < b->total ||
         (!(b->total < a->total) && a->number < b->number);
}

static void heap_push(gs_search *s, step *x) {
  gs_push(s->tmp, &s->heap);
  int i = s->heap.n - 1;
  for (; i > 0 && before(x, s->heap.at[(i - 1) / 2]); i = (i - 1) / 2)
    s->heap.at[i] = s->heap.at[(i - 1) / 2];
  s->heap.at[i] = x;
}

static step *heap_pop(gs_search *s) {
  gs_assert(s->heap.n > 0);
  step *top = s->heap.at[0], *last = s->heap.at[--s->heap.n];
  int i = 0, n = s->heap.n;
  for (;;) {
    int c = 2 * i + 1;
    if (c >= n) break;
    if (c + 1 < n && before(s->heap.at[c + 1], s->heap.at[c])) c++;
    if (!before(s->heap.at[c], last)) break;
    s->heap.at[i] = s->heap.at[c];
    i = c;
  }
  if (n) s->heap.at[i] = last;
  return top;
}

/* What a move over g devices sends. */
static double move_bytes(gs_search *s, const step *x, int64_t g) {
  const gs_state *from = &x->from->at, *to = &x->at;
  bool exchange = gs_moves[x->kind].effect == GS_EFFECT_EXCHANGE;
  int64_t sent = exchange ? gs_search_sent(s, from, to, x->dim) : 0;
  int dim = exchange ? x->dim : x->to;
  int64_t before[GS_MAX_RANK], after[GS_MAX_RANK];
  for (int d = 0; d < s->u.rank; d++) {
    before[d] = gs_state_block(&s->u, from, d);
    after[d] = gs_state_block(&s->u, to, d);
  }
  return gs_move_bytes(x->kind, s->dtype, s->u.rank, before, after, dim, g,
                       sent);
}

static void add_step(gs_search *s, const step *x) {
  state_key key = key_of(s, &x->at);
  step *old = gs_map_get(&s->seen, key.at);
  if (old && old->seconds <= x->seconds) return;
  step *made = gs_memdup(s->tmp, x, sizeof *x);
  made->number = s->seen.n;
  if (old) old->done = true;
  gs_map_put(&s->seen, key.at, made);
  heap_push(s, made);
  if (gs_state_equal(&s->u, &x->at, &s->goal)) s->bound = x->seconds;
}

void gs_search_start(gs_search *s, const gs_state *start) {
  step x = {.at = *start};
  add_step(s, &x);
}

void gs_search_offer(gs_search *s, const gs_state *to, gs_move_kind kind,
                     uint32_t units, int dim, int split) {
  gs_axes axes = gs_units_axes(&s->u, units);
  step x = {.from = s->now,
            .at = *to,
            .kind = kind,
            .dim = dim,
            .to = split,
            .units = units};
  double rest = gs_search_rest(s, to);
  x.seconds = s->now->seconds + gs_cost_move(s->u.m, kind, &axes, 0);
  if (x.seconds + rest >= s->bound) return; /* whatever it sends */
  x.bytes = move_bytes(s, &x, gs_axes_size(s->u.m, &axes));
  x.seconds = s->now->seconds + gs_cost_move(s->u.m, kind, &axes, x.bytes);
  x.total = x.seconds + rest;
  if (x.total < s->bound) add_step(s, &x);
}

const step *gs_search_known(const gs_search *s, const gs_state *st) {
  return gs_map_get(&s->seen, key_of(s, st).at);
}

const step *gs_search_next(gs_search *s) {
  while (s->heap.n) {
    step *x = heap_pop(s);
    if (x->done) continue;
    x->done = true;
    return x;
  }
  return NULL;
}
