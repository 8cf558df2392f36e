/* Steps of a program that one kernel does. */
#ifndef GS_KERNEL_FUSE_H
#define GS_KERNEL_FUSE_H

#include "kernel/core/kernel.h"

/* What a row is to gs_kernel_fuse: the cell FUSE of ops.def. */
typedef enum gs_fuse {
  GS_FUSE_NONE,
  GS_FUSE_CONV,
  GS_FUSE_FUSED_CONV, /* a convolution and what has been fused with it */
  GS_FUSE_ACTIVATION, /* of one operand: see kernel/pointwise/joined.h */
  GS_FUSE_ADD,
  GS_FUSE_MUL,
  GS_FUSE_FUSED_NORM, /* such a normalisation and what follows it */
  GS_FUSE_SCALE /* normalisation by given statistics: a factor and a sum */
} gs_fuse;

gs_fuse gs_fuse_of(const gs_op *op);
/* The first row of a class, not GS_FUSE_NONE. */
const gs_op *gs_fuse_row(gs_fuse class);

/* What the caller knows of a value. */
typedef struct gs_fuse_facts {
  const void *ctx;
  /* Its data is there when kernels are prepared, and never changes. */
  bool (*fixed)(const void *ctx, const gs_value *v);
} gs_fuse_facts;

/* A node, in arena a, that does what `first` does and then `next`, whose
 * operand i is the only use of first's only result.  It has the operands of
 * both and the results of `next`.  NULL: no kernel does that. */
const gs_node *gs_kernel_fuse(gs_arena *a, const gs_node *first,
                              const gs_node *next, int i,
                              const gs_fuse_facts *facts);

/* Whether the kernel of n reads operand i, which is there, also in blocks of
 * channels, of f32: the cell BLOCKS of ops.def says so, or it is one that
 * blocks do not concern (gs_kernel_blind). */
bool gs_kernel_takes_blocks(const gs_node *n, int i);
/* Whether n does the same to a tensor in blocks of channels as to one that is
 * row-major: its operands have its result's shape or one element each
 * (elementwise), or are joined along the channels (Concat).  Its kernel knows
 * nothing of it; gs_kernel_prep sees to what differs. */
bool gs_kernel_blind(const gs_node *n);

#endif
