/* What the convolution kernels share. */
#ifndef GS_KERNEL_CONV_H
#define GS_KERNEL_CONV_H

#include "kernel/core/support.h"
#include "op/rule/window.h"

/* Operand [batch, group * in, w.in...], result [batch, group * out,
 * w.out...]. */
typedef struct gs_conv_shape {
  int64_t batch, group;
  int64_t in, out; /* channels of one group */
  gs_window w;
  int64_t low[GS_MAX_RANK], high[GS_MAX_RANK]; /* elements of the operand along
                                                  each dim of w that count */
} gs_conv_shape;

/* Of the node's operands x and w (weights; [in, out / group, ...] when
 * transposed). */
gs_status gs_conv_shape_get(gs_kctx *k, int x, int w, bool transposed,
                            gs_conv_shape *s);
/* The same, not transposed, of a node that may know its place: it then has the
 * attribute `group` of the whole.  x must be 0. */
gs_status gs_conv_shape_place(gs_kctx *k, int w, gs_conv_shape *s);
/* Elements of the spatial dims, and of the window. */
int64_t gs_conv_places_in(const gs_conv_shape *s);
int64_t gs_conv_places_out(const gs_conv_shape *s);
int64_t gs_conv_taps(const gs_conv_shape *s);

/* ---- conv_own.c: f32, f64, i32 (wrapping), any number of dims ---- */

typedef struct gs_conv_own gs_conv_own;

/* A plan in arena a; the type is that of the computation. */
gs_conv_own *gs_conv_own_new(gs_arena *a, const gs_conv_shape *s, gs_dtype t);
/* Bytes of scratch for a run. */
size_t gs_conv_own_scratch(const gs_conv_own *c);
/* y = conv(x - zero, w) + bias.  x is of any type that gs_convert knows; w
 * [group * out, in, window...], y and bias (may be NULL) are of type t.  Each
 * element is summed in one order: the same bits for any number of threads.
 * y lies as `part`, of the result's dims, says; NULL: one element behind
 * another. */
void gs_conv_own_run(const gs_conv_own *c, const gs_view *x, int64_t zero,
                     const void *w, const void *bias, const gs_view *part,
                     void *y, void *scratch, int threads);

#endif
