/* Kernels: what operators compute on one device's tensors. */
#ifndef GS_KERNEL_KERNEL_H
#define GS_KERNEL_KERNEL_H

#include <pthread.h>

#include "base/map.h"
#include "op/op.h"

/* One operand or result: row-major, contiguous.  An operand that was left out
 * has data NULL, rank -1 and n 0.
 *
 * f32 tensors between kernels that agree on it may lie in blocks of channels
 * instead: [d0, d1 / block, d2, ..., block], where block divides d1.  Kernels
 * of which gs_kernel_takes_blocks says so see it in `block` of an operand (set
 * before prep); and may, in prep, set it for a result that says `any`. */
typedef struct gs_view {
  gs_dtype dtype;
  int rank;
  const int64_t *dims;
  int64_t n; /* elements */
  void *data; /* operands are not written, except where in[0].data equals
                 out[0].data (GS_OP_INPLACE rows) */
  int block; /* 0: row-major */
  bool any;  /* results: `block` may be set */
} gs_view;

/* What the devices of a process make of constants once for all of them. */
typedef struct gs_kshare {
  pthread_mutex_t lock; /* guards the rest */
  gs_arena arena;
  gs_map made; /* what was made, from what (its address and layout) -> it */
} gs_kshare;

typedef struct gs_kctx {
  const gs_node *node;
  int nin, nout;
  gs_view *in, *out; /* out past the node's own: data NULL, rank -1 */
  const gs_mesh *mesh; /* NULL for plain models */
  int64_t position;    /* device position on the mesh */
  gs_arena *arena;     /* prep only; lives as long as the compiled program */
  void *state;         /* what prep left for run, or NULL */
  size_t scratch_size; /* prep sets how many bytes run wants */
  void *scratch;       /* 64-aligned, shared between steps */
  int threads;         /* OpenMP threads that run may use */
  gs_kshare *share;    /* prep only; NULL: there is only one device */
  gs_err *err;
} gs_kctx;

/* prep (may be NULL) runs once when the program is compiled: shapes and
 * types are final, in[i].data is set for constants only. It decodes
 * attributes, packs weights, and rejects what run cannot do
 * (GS_UNSUPPORTED, naming the type).
 * run executes; it may fail on bad data (index out of range: GS_DATA). */
typedef struct gs_kernel {
  gs_status (*prep)(gs_kctx *k);
  gs_status (*run)(gs_kctx *k);
} gs_kernel;

/* The kernel of a row; its run is NULL for collectives. */
const gs_kernel *gs_kernel_of(const gs_op *op);

/* Runs n once on constants (all operands given have `constant`) and stores
 * the results as constants of its outputs. */
gs_status gs_kernel_eval(gs_graph *g, gs_node *n, gs_err *e);

/* Fails with GS_UNSUPPORTED: "node 'x' (Op): no kernel for f8e5m2". */
gs_status gs_kernel_no_type(gs_kctx *k, gs_dtype t);

#endif
