/* Resharding: the cheapest sequence of local slices and collectives that
 * takes a value from one sharding to another.
 *
 * A search over shardings, not a ladder of cases (design section 4):
 * reshard_search.h.  Where the states are few the path is the cheapest that
 * moves.def allows; else the cheapest of those that lead toward the goal. */
#ifndef GS_PASS_RESHARD_H
#define GS_PASS_RESHARD_H

#include "base/data/map.h"
#include "ir/mesh/exchange.h"
#include "pass/reshard/cost.h"

typedef struct gs_move {
  gs_move_kind kind;
  gs_axes axes;       /* that the move communicates over or slices by */
  int dim;            /* gathered, sliced, scattered or split-from dim */
  int to;             /* all-to-all: the dim that becomes split */
  gs_sharding *after; /* the sharding that results */
  const gs_exchange *exchange; /* of moves with that effect, along `dim` */
  const gs_form *form; /* what is held then; NULL: the blocks of `after`, with
                          the padding that the effect leaves */
  double bytes;       /* sent per device */
  double seconds;     /* pass/reshard/cost.h */
} gs_move;

typedef struct gs_path {
  int n;
  gs_move *move;
  double seconds;
} gs_path;

typedef struct gs_resharder {
  gs_arena *arena;
  const gs_mesh *mesh;
  gs_map cache; /* "dims:from>to" -> gs_path */
  gs_map sent;  /* "n:from>to" -> gs_exchange_sent */
} gs_resharder;

void gs_resharder_init(gs_resharder *r, gs_arena *a, const gs_mesh *m);

/* The cheapest path to the elements of `to`, whatever its padding; n is 0 when
 * `from` has them.  Between device orders it holds one permute, or none where
 * the blocks that it ends with are those of `to` already, by the axes of the
 * other order.  from may be partial; `to` may keep a subset of its partial
 * axes.  Both hold blocks.  Never fails:
 * gathering everything and slicing again is always possible. */
const gs_path *gs_reshard(gs_resharder *r, gs_dtype dtype, int rank,
                          const int64_t *dims, const gs_form *from,
                          const gs_form *to);

/* The same between shardings that differ, are blocks and whose axes are of one
 * device order: the search itself. */
const gs_path *gs_reshard_in_order(gs_resharder *r, gs_dtype dtype, int rank,
                                   const int64_t *dims,
                                   const gs_sharding *from,
                                   const gs_sharding *to);
/* The same between any forms, except that windows which overlap, or in which
 * not every place is held, are not started from: INFINITY seconds, no moves.
 * Windows are reached by one exchange for each dim, in ascending order, from
 * blocks along the axes that cost least. */
const gs_path *gs_reshard_forms(gs_resharder *r, gs_dtype dtype, int rank,
                                const int64_t *dims, const gs_form *from,
                                const gs_form *to);

/* The move by exchange x along dim d of a value of these dims, held as
 * `before` (d in blocks of what x says); `after` is held then. */
gs_move gs_reshard_exchange(gs_resharder *r, gs_dtype dtype,
                            const int64_t *dims, const gs_form *before, int d,
                            const gs_exchange *x, const gs_form *after);

#endif
