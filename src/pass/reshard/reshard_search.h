/* The reshard search; see reshard.h.  Steps are expanded in the order of what
 * they have cost and must still cost (A*). */
#ifndef GS_PASS_RESHARD_SEARCH_H
#define GS_PASS_RESHARD_SEARCH_H

#include "base/data/map.h"
#include "ir/mesh/exchange.h"
#include "op/core/moves.h"
#include "pass/reshard/reshard_state.h"

/* A state, and the move that led there. */
typedef struct gs_reshard_step {
  const struct gs_reshard_step *from; /* NULL for the start */
  gs_state at;
  double seconds; /* from the start */
  double total;   /* with what it takes to the goal, at least */
  double bytes;   /* of the move */
  int number;     /* steps that were known before it */
  bool done;
  gs_move_kind kind;
  int dim, to;
  uint32_t units; /* the units moved, for the axes of the move */
} gs_reshard_step;

typedef struct gs_search {
  gs_arena *tmp;
  gs_units u;
  gs_dtype dtype;
  gs_state goal;
  double latency, per_byte; /* of a collective, at least */
  gs_map seen;                     /* key -> gs_reshard_step */
  GS_VEC(gs_reshard_step *) heap;  /* smallest total first */
  const gs_reshard_step *now;      /* being expanded */
  double bound;                    /* seconds of the best path to the goal */
  gs_map *sent;                    /* of gs_resharder */
  GS_VEC(gs_state) every; /* all states, where these are few; else none */
  double *rest;           /* gs_search_rest of them, nothing partial; -1: not
                             asked for yet */
} gs_search;

/* ---- the queue (reshard_queue.c) ---- */

void gs_search_start(gs_search *s, const gs_state *start);
/* A step by this move of these units from s->now to `to`, if no path as cheap
 * is known.  `dim`, `split`: as in gs_move. */
void gs_search_offer(gs_search *s, const gs_state *to, gs_move_kind kind,
                     uint32_t units, int dim, int split);
/* What is known to lead to a state, or NULL. */
const gs_reshard_step *gs_search_known(const gs_search *s, const gs_state *st);
/* The step with the least total of those not expanded, or NULL. */
const gs_reshard_step *gs_search_next(gs_search *s);

/* ---- exchanges (reshard_exchange.c) ---- */

/* The exchange that brings dim d from its blocks in `from` to those in `to`,
 * zeros past the end. */
gs_exchange gs_search_exchange(gs_arena *a, const gs_units *u,
                               const gs_state *from, const gs_state *to, int d);
/* Elements along d that the busiest device sends in it. */
int64_t gs_search_sent(gs_search *s, const gs_state *from, const gs_state *to,
                       int d);

/* ---- what is left (reshard_bound.c) ---- */

/* Seconds that every path from st to the goal takes, or less. */
double gs_search_rest(const gs_search *s, const gs_state *st);

/* ---- moves (reshard_link.c) ---- */

/* Offers every move that leads from s->now to `to`. */
void gs_search_link(gs_search *s, const gs_state *to);

/* ---- where to (reshard_ways.c) ---- */

/* Lists the states of s->u in s->every; false if they are too many. */
bool gs_search_list(gs_search *s);
/* Offers the moves from s->now: to all states where these are listed, else to
 * those on some way to the goal. */
void gs_search_expand(gs_search *s);
/* The way that always exists: reduce, gather what differs, slice.  It bounds
 * what the others may cost. */
void gs_search_straight(gs_search *s, const gs_reshard_step *from);

#endif
