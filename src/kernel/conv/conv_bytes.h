/* Convolutions of bytes with exact sums: products of kernel/gemm/igemm.h.
 *
 * The rows are channels of the result, the columns its places.  An image is
 * laid out anew with as many channels of a place behind one another as a word
 * has, so that a panel of columns is made by copying runs of words. */
#ifndef GS_KERNEL_CONV_BYTES_H
#define GS_KERNEL_CONV_BYTES_H

#include "kernel/conv/conv.h"
#include "kernel/gemm/igemm.h"

typedef struct gs_conv_bytes gs_conv_bytes;

/* Operands of the node: x and w, each i8 or u8, their zero points (i8 or u8:
 * one of x, one or one for each channel of w), which may be left out or be no
 * operands of it. */
typedef struct gs_conv_operands {
  int x, x_zero, w, w_zero;
} gs_conv_operands;

/* Whether x and weights w are convolved here: one to three spatial dims, and
 * enough channels in a group to fill a word. */
bool gs_conv_bytes_fits(const gs_value *x, const gs_value *w);
/* For prep, of operands that fit: a plan in k->arena.  Constant weights are
 * packed now, and not read again. */
gs_conv_bytes *gs_conv_bytes_new(gs_kctx *k, const gs_conv_shape *s,
                                 const gs_conv_operands *at);
/* Bytes of scratch for a run with so many threads. */
size_t gs_conv_bytes_scratch(const gs_conv_bytes *c, int threads);

/* Takes sums of one image: of m channels from `channel` on and n places from
 * `place` on, GS_IGEMM_COLS from one channel of c to the next.  Called once
 * for each, by any thread. */
typedef void gs_conv_use(void *ctx, int64_t image, int64_t channel, int64_t m,
                         int64_t place, int64_t n, const int32_t *c);
/* scratch is 64-aligned. */
void gs_conv_bytes_run(const gs_conv_bytes *c, gs_kctx *k, gs_conv_use *use,
                       void *ctx, void *scratch);

#endif
