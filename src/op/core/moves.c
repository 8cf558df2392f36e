#include "op/core/moves.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "ir/packed.h"

#define COLLECTIVE GS_OP_COLLECTIVE
#define ENTRY GS_OP_ENTRY
#define EXIT GS_OP_EXIT
#define INPLACE GS_OP_INPLACE
#define MESH GS_OP_MESH
#define MOVES GS_OP_MOVES

const gs_move_info gs_moves[GS_NMOVE] = {
#define MOVE(sym, name_, operands_, effect_, flags_, attributes_, device_,     \
             bytes, steps_, kernel, run, prose_) \
  [GS_MOVE_##sym] = {.name = name_, \
                     .operands = operands_, \
                     .effect = GS_EFFECT_##effect_, \
                     .flags = flags_, \
                     .steps = steps_, \
                     .attributes = attributes_, \
                     .device = device_, \
                     .prose = prose_},
#define MANY INT_MAX
#include "op/moves.def"
#undef MANY
#undef MOVE
};

bool gs_effect_cuts(gs_effect e) {
  return e == GS_EFFECT_SPLIT || e == GS_EFFECT_TRANSFER ||
         e == GS_EFFECT_REGROUP || e == GS_EFFECT_SCATTER;
}

bool gs_effect_combines(gs_effect e) {
  return e == GS_EFFECT_REDUCE || e == GS_EFFECT_SCATTER;
}

const gs_move_info *gs_move_of(const gs_op *op) {
  if (!op || strcmp(op->domain, "ai.gshard")) return NULL;
  for (int k = 0; k < GS_NMOVE; k++)
    if (!strcmp(gs_moves[k].name, op->name)) return &gs_moves[k];
  return NULL;
}

bool gs_node_communicates(const gs_node *n) {
  if (!n->op || !(n->op->flags & GS_OP_COLLECTIVE)) return false;
  return !n->op->gathers || gs_node_attr(n, "axes") ||
         gs_node_attr(n, "group");
}

const gs_op *gs_op_sender(const gs_op *last) {
  for (int i = last ? last->id + 1 : 0; i < gs_nop; i++)
    if (gs_ops[i].flags & GS_OP_COLLECTIVE) return &gs_ops[i];
  return NULL;
}

gs_gathers gs_node_gathers(const gs_node *n) {
  gs_gathers x = {0};
  const int64_t *dims[GS_MAX_OPERANDS] = {0};
  gs_assert(n->op && n->op->gathers && n->nin <= GS_MAX_OPERANDS);
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) dims[i] = n->in[i]->dims;
  n->op->gathers(n, dims, &x);
  return x;
}

double gs_gathers_bytes(const gs_gathers *x, int64_t g) {
  return (double)x->times * gs_move_bytes(GS_MOVE_ALL_GATHER, x->type, 1,
                                          &x->count, &x->count, 0, g, 0);
}

/* Of a tensor whose dim `dim` (-1: none) is cut into g blocks, of one. */
static double block_bytes(gs_dtype t, int rank, const int64_t *dims, int dim,
                          int64_t g) {
  int64_t block[GS_MAX_RANK];
  memcpy(block, dims, (size_t)rank * sizeof *dims);
  if (dim >= 0) block[dim] = gs_ceil_div(block[dim], g);
  return (double)gs_dtype_bytes((int)t, gs_product(block, rank));
}

/* Of a tensor that is no longer than x and y along any dim. */
static double piece_bytes(gs_dtype t, int rank, const int64_t *x,
                          const int64_t *y) {
  int64_t piece[GS_MAX_RANK];
  for (int d = 0; d < rank; d++) piece[d] = gs_min(x[d], y[d]);
  return block_bytes(t, rank, piece, -1, 1);
}

/* Of a tensor with n elements along dim `dim`, all of it. */
static double along_bytes(gs_dtype t, int rank, const int64_t *dims, int dim,
                          int64_t n) {
  int64_t part[GS_MAX_RANK];
  gs_assert(dim >= 0 && dim < rank);
  memcpy(part, dims, (size_t)rank * sizeof *dims);
  part[dim] = n;
  return (double)gs_dtype_bytes((int)t, gs_product(part, rank));
}

double gs_move_bytes(gs_move_kind k, gs_dtype t, int rank, const int64_t *x,
                     const int64_t *y, int dim, int64_t ndevice,
                     int64_t sent) {
  double g = (double)ndevice;
#define X block_bytes(t, rank, x, -1, ndevice)
#define Y block_bytes(t, rank, y, -1, ndevice)
#define BLOCK block_bytes(t, rank, x, dim, ndevice)
#define PIECE piece_bytes(t, rank, x, y)
#define SHARE ceil(X / g)
#define SENT along_bytes(t, rank, x, dim, sent)
  switch (k) {
#define MOVE(sym, name, operands, effect, flags, attributes, device, bytes,    \
             steps, kernel, run, prose) \
  case GS_MOVE_##sym: return bytes;
#include "op/moves.def"
#undef MOVE
    case GS_NMOVE: break;
  }
  (void)g;
  return 0;
#undef X
#undef Y
#undef BLOCK
#undef PIECE
#undef SHARE
#undef SENT
}
