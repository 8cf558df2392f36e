/* Products of quantised operands, with what stands around them, as one node:
 * DequantizeLinear of both operands -> MatMul, Gemm or Conv -> bias, Relu,
 * QuantizeLinear. */
#ifndef GS_KERNEL_FUSE_BYTES_H
#define GS_KERNEL_FUSE_BYTES_H

#include "kernel/core/fusion.h"

/* A node, in arena a, with the result of `product`, that reads what x and w,
 * which make its operands 0 and 1, read; in i8 or u8, with one scale for x and
 * one, or one for each column or channel, for w.  Its sums are exact, and
 * rounded once more than the product: the result is within one step of
 * QuantizeLinear, and the same where sums of f32 are exact.  NULL: no kernel
 * does that.  No values may be dynamic. */
const gs_node *gs_bytes_fuse(gs_arena *a, const gs_node *product,
                             const gs_node *x, const gs_node *w);
/* The same for f, of gs_bytes_fuse or of here, and `next`, the only reader of
 * its result. */
const gs_node *gs_bytes_fuse_next(gs_arena *a, const gs_node *f,
                                  const gs_node *next);

#endif
