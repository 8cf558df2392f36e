/* What brings a value from one form to another: which operator of ai.gshard
 * carries it out, and what it sends.  The one formula for reports, for prices
 * and for what a run counts. */
#ifndef GS_OP_MOVES_H
#define GS_OP_MOVES_H

#include "op/core/op.h"

typedef enum gs_move_kind {
  GS_MOVE_SLICE,
  GS_MOVE_ALL_GATHER,
  GS_MOVE_ALL_TO_ALL,
  GS_MOVE_PERMUTE,
  GS_MOVE_ALL_REDUCE,
  GS_MOVE_REDUCE_SCATTER,
  GS_NMOVE
} gs_move_kind;

/* The ai.gshard operator that carries out a move. */
const char *gs_move_op(gs_move_kind k);

/* Bytes that one device sends, at most, in a move over groups of g devices,
 * padding of blocks included; x[rank] are its local dims before the move, y
 * those after it (ring or direct exchange, equal volume):
 *   all-gather (g-1) x; all-to-all (g-1) of the g blocks that x is cut into
 *   along `dim`; reduce-scatter (g-1) y; all-reduce 2 (g-1) of g parts of
 *   ceil(elements / g); permute x; slice 0.
 * Types of less than a byte are moved in whole bytes.  The sizes are known to
 * fit; as a double, for it is added up and divided. */
double gs_move_bytes(gs_move_kind k, gs_dtype t, int rank, const int64_t *x,
                     const int64_t *y, int dim, int64_t g);

#endif
