/* The table of moves: one row of moves.def each.  A move brings a value from
 * one form to another; its row says which axes it changes, what it sends and
 * which attributes its node has. */
#ifndef GS_OP_MOVES_H
#define GS_OP_MOVES_H

#include "op/core/op.h"

typedef enum gs_move_kind {
#define MOVE(sym, ...) GS_MOVE_##sym,
#include "op/moves.def"
#undef MOVE
  GS_NMOVE
} gs_move_kind;

/* What becomes of the axes that a move goes over. */
typedef enum gs_effect {
  GS_EFFECT_SPLIT,    /* held copies; then they split dim `dim`, as minor */
  GS_EFFECT_JOIN,     /* split `dim`, as minor; then they hold copies */
  GS_EFFECT_TRANSFER, /* split `concat_dim`; then they split `split_dim` */
  GS_EFFECT_REGROUP,  /* split dims, as minor; then they split other dims */
  GS_EFFECT_BROADCAST, /* split dims of one element; then they hold copies */
  GS_EFFECT_PERMUTE,  /* others split each dim into as many blocks */
  GS_EFFECT_REDUCE,   /* were partial; then they hold copies */
  GS_EFFECT_SCATTER,  /* were partial; then they split `dim` */
  GS_EFFECT_SPREAD,   /* held copies; then they are partial */
  GS_EFFECT_EXCHANGE, /* split `dim` into blocks; then `to_axes` split it into
                         ranges, other elements included */
  GS_EFFECT_FILL,     /* stay; the padding of `dim` gets a value */
  GS_EFFECT_NARROW,   /* stay; a part of what is held of `dim` is left */
  GS_EFFECT_LEAVE     /* the value leaves the program, whole */
} gs_effect;

/* Cuts the dims that get further axes: places past the end are zero. */
bool gs_effect_cuts(gs_effect e);
/* Combines the values of several devices, places past the end as well. */
bool gs_effect_combines(gs_effect e);

typedef struct gs_move_info {
  const char *name; /* of the operator of ai.gshard */
  int operands;     /* most of them */
  gs_effect effect;
  unsigned flags;   /* of its row in gs_ops */
  int steps;        /* messages that follow one another; 0: a local move */
  const char *attributes, *device; /* see gs_schema_next */
  const char *prose;
} gs_move_info;

extern const gs_move_info gs_moves[GS_NMOVE];

/* The move that an operator is, or NULL. */
const gs_move_info *gs_move_of(const gs_op *op);

/* Whether n communicates: a collective, or a node that gathers while it runs
 * (gs_op.gathers), where its attribute `axes` or `group` says with whom. */
bool gs_node_communicates(const gs_node *n);
/* The rows that communicate, in the order of the table: the one after `last`,
 * NULL: the first; NULL behind the last. */
const gs_op *gs_op_sender(const gs_op *last);
/* What such a node gathers, by the dims of its operands. */
gs_gathers gs_node_gathers(const gs_node *n);
/* Bytes that one of g devices sends in all of that, each time as much as in the
 * move that joins such blocks. */
double gs_gathers_bytes(const gs_gathers *x, int64_t g);

/* Bytes that one device sends, at most, in a move over groups of g devices,
 * padding of blocks included: the formula of its row, the one for reports, for
 * prices and for what a run counts.  x[rank] are the local dims before the
 * move, y those after it, `dim` what an all-to-all splits or an exchange goes
 * along, `sent` what gs_exchange_sent says of that (of other moves 0).  Types
 * of less than a byte are moved in whole bytes.  The sizes are known to fit; as
 * a double, for it is added up and divided. */
double gs_move_bytes(gs_move_kind k, gs_dtype t, int rank, const int64_t *x,
                     const int64_t *y, int dim, int64_t g, int64_t sent);

#endif
