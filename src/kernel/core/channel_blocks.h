/* Tensors in blocks of channels, see gs_view. */
#ifndef GS_KERNEL_BLOCKS_H
#define GS_KERNEL_BLOCKS_H

#include "kernel/core/kernel.h"

/* The f32 tensor `from` of v's dims, which lies in blocks of `block`
 * channels, row-major. */
void gs_unblock(const gs_view *v, int block, const float *from, float *to,
                int threads);

#endif
