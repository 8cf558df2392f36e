/* The cost model: seconds of compute and of communication.
 *
 * Communication is alpha + bytes / bandwidth per collective, with the link of
 * the mesh axis (spec: mesh.link), else that of the machine (spec: machine,
 * ir/machine.h); over several axes, the slowest of them.  Only ratios matter
 * to the choices made here. */
#ifndef GS_PASS_COST_H
#define GS_PASS_COST_H

#include "ir/mesh.h"

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

/* Bytes that one device sends: `local` is its block before the move, over a
 * group of g devices (ring or direct exchange, equal volume).
 *   all-gather (g-1) local; all-to-all and reduce-scatter (g-1)/g local;
 *   all-reduce 2 (g-1)/g local; permute local; slice 0. */
double gs_cost_bytes(gs_move_kind k, double local, int64_t g);

/* Seconds of so many operations on so many bytes of a device's memory. */
double gs_cost_local(const gs_mesh *m, double flops, double bytes);
/* Seconds of one move over these axes. */
double gs_cost_move(const gs_mesh *m, gs_move_kind k, const gs_axes *axes,
                    double local);

#endif
