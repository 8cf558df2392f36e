/* Which moves lead from one state to another: the effect of a row of moves.def
 * says it. */
#include <string.h>

#include "pass/reshard/reshard_search.h"

/* What has to become of the dims. */
typedef struct change {
  uint32_t leave, enter; /* units at the end of a dim that differ */
  int nlose, ngain, lose, gain; /* dims that lose and gain, and the last one */
  bool both;   /* some dim loses and gains */
  bool lonely; /* dims that lose have one element, which one device holds */
} change;

/* How many units at the beginning of dim d stay. */
static int staying(const gs_state *from, const gs_state *to, int d,
                   const uint8_t *a, const uint8_t *b) {
  int k = 0, n = from->n[d] < to->n[d] ? from->n[d] : to->n[d];
  while (k < n && a[k] == b[k]) k++;
  return k;
}

static change compare(const gs_units *u, const gs_state *from,
                      const gs_state *to) {
  change c = {.lonely = true};
  const uint8_t *a = from->unit, *b = to->unit;
  for (int d = 0; d < u->rank; a += from->n[d], b += to->n[d], d++) {
    int na = from->n[d], nb = to->n[d], k = staying(from, to, d, a, b);
    if (k == na && k == nb) continue;
    for (int i = k; i < na; i++) c.leave |= 1u << a[i];
    for (int i = k; i < nb; i++) c.enter |= 1u << b[i];
    if (k < na) {
      c.nlose++;
      c.lose = d;
      c.lonely = c.lonely && u->dims[d] == 1;
    }
    if (k < nb) {
      c.ngain++;
      c.gain = d;
    }
    c.both = c.both || (k < na && k < nb);
  }
  return c;
}

/* Whether blocks nest wherever units leave or enter. */
static bool nests(const gs_search *s, const gs_state *to) {
  const gs_state *from = &s->now->at;
  for (int d = 0; d < s->u.rank; d++) {
    int k = staying(from, to, d, gs_state_at(from, d), gs_state_at(to, d));
    if (k < from->n[d] && !gs_state_nests(&s->u, from, d, k)) return false;
    if (k < to->n[d] && !gs_state_nests(&s->u, to, d, k)) return false;
  }
  return true;
}

/* Whether no dim changes its number of blocks. */
static bool level(const gs_search *s, const gs_state *to) {
  const gs_state *from = &s->now->at;
  for (int d = 0; d < s->u.rank; d++)
    if (gs_state_shards(&s->u, from, d, from->n[d]) !=
        gs_state_shards(&s->u, to, d, to->n[d]))
      return false;
  return true;
}

static void offer(gs_search *s, const gs_state *to, gs_effect effect,
                  uint32_t units, int dim, int split) {
  for (int k = 0; k < GS_NMOVE; k++)
    if (gs_moves[k].effect == effect)
      gs_search_offer(s, to, (gs_move_kind)k, units, dim, split);
}

/* Bytes of blocks that do not nest go to whom they belong along the only dim
 * that differs. */
static void offer_exchange(gs_search *s, const gs_state *to, const change *c) {
  int d = c->nlose ? c->lose : c->gain;
  bool one = c->nlose <= 1 && c->ngain <= 1 && (!c->ngain || c->gain == d);
  const gs_state *from = &s->now->at;
  if (!one || !from->n[d] || (!c->both && nests(s, to))) return;
  uint32_t units = 0;
  for (int i = 0; i < from->n[d]; i++) units |= 1u << gs_state_at(from, d)[i];
  for (int i = 0; i < to->n[d]; i++) units |= 1u << gs_state_at(to, d)[i];
  offer(s, to, GS_EFFECT_EXCHANGE, units, d, -1);
}

/* Whether the units that leave a dim enter the other in the same order. */
static bool same_order(const gs_state *from, const gs_state *to,
                       const change *c) {
  int n = __builtin_popcount(c->leave);
  const uint8_t *a = gs_state_at(from, c->lose) + from->n[c->lose] - n;
  const uint8_t *b = gs_state_at(to, c->gain) + to->n[c->gain] - n;
  return !memcmp(a, b, (size_t)n);
}

static void link_reduced(gs_search *s, const gs_state *to, const change *c,
                         uint32_t reduced) {
  if (!c->nlose && !c->ngain)
    offer(s, to, GS_EFFECT_REDUCE, reduced, -1, -1);
  if (!c->nlose && c->ngain == 1 && c->enter == reduced &&
      nests(s, to))
    offer(s, to, GS_EFFECT_SCATTER, reduced, c->gain, -1);
}

void gs_search_link(gs_search *s, const gs_state *to) {
  const gs_state *from = &s->now->at;
  change c = compare(&s->u, from, to);
  if (from->partial != to->partial) {
    link_reduced(s, to, &c, from->partial & ~to->partial);
    return;
  }
  if (!c.nlose && c.ngain == 1 && nests(s, to))
    offer(s, to, GS_EFFECT_SPLIT, c.enter, c.gain, -1);
  if (!c.ngain && c.nlose == 1 && nests(s, to))
    offer(s, to, GS_EFFECT_JOIN, c.leave, c.lose, -1);
  if (!c.ngain && c.nlose && c.lonely)
    offer(s, to, GS_EFFECT_BROADCAST, c.leave, -1, -1);
  if (c.nlose && c.leave == c.enter && !c.both && nests(s, to)) {
    if (c.nlose == 1 && c.ngain == 1 && same_order(from, to, &c))
      offer(s, to, GS_EFFECT_TRANSFER, c.leave, c.lose, c.gain);
    else offer(s, to, GS_EFFECT_REGROUP, c.leave, -1, -1);
  }
  if (c.nlose && c.ngain && level(s, to))
    offer(s, to, GS_EFFECT_PERMUTE, c.leave | c.enter, -1, -1);
  offer_exchange(s, to, &c);
}
