/* Steps of a program that one kernel does. */
#ifndef GS_KERNEL_FUSE_H
#define GS_KERNEL_FUSE_H

#include "kernel/core/kernel.h"

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

/* Whether the kernel of n reads operand i also in blocks of channels. */
bool gs_kernel_takes_blocks(const gs_node *n, int i);

#endif
