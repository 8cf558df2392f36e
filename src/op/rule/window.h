/* Windows that move over the spatial dims (2, 3, ...) of an operand: what
 * convolution and pooling have in common. */
#ifndef GS_OP_WINDOW_H
#define GS_OP_WINDOW_H

#include "op/rule/rule.h"

/* All lists are [n]; sizes in elements. */
typedef struct gs_window {
  int n; /* spatial dims */
  int64_t in[GS_MAX_RANK];       /* of the operand */
  int64_t out[GS_MAX_RANK];      /* of the result */
  int64_t size[GS_MAX_RANK];     /* of the window */
  int64_t stride[GS_MAX_RANK];   /* between windows */
  int64_t dilation[GS_MAX_RANK]; /* between elements of a window */
  int64_t begin[GS_MAX_RANK];    /* padding before and after, never < 0 */
  int64_t end[GS_MAX_RANK];
} gs_window;

/* Reads kernel_shape (or takes the list `size`, which kernel_shape must then
 * equal), strides, dilations, pads, auto_pad and ceil_mode of n, for a window
 * over operand x [batch, channels, spatial...], and works out the result's
 * sizes as Conv and the pools do.  GS_DATA for what cannot be. */
gs_status gs_window_read(gs_arena *a, const gs_node *n, const gs_value *x,
                         const int64_t *size, gs_window *w, gs_err *e);
/* The same for ConvTranspose: with output_shape and output_padding, and `out`
 * larger than `in`; end is negative where output_shape asks for more than the
 * windows reach. */
gs_status gs_window_read_transposed(gs_arena *a, const gs_node *n,
                                    const gs_value *x, const int64_t *size,
                                    gs_window *w, gs_err *e);

/* Elements that the window spans along dim d: (size - 1) * dilation + 1. */
int64_t gs_window_span(const gs_window *w, int d);
/* Whether result i depends on element i alone along d. */
bool gs_window_trivial(const gs_window *w, int d);

/* Dim d of operand map x (size in) and result map y (size out): one factor
 * when it passes, else two that are whole.  That of the operand is blocked: it
 * is no dim of the iteration space. */
void gs_window_put(gs_rule *r, gs_tensor_map *x, gs_tensor_map *y, int d,
                   int64_t in, int64_t out, bool pass);

/* An attribute with one number >= least for each of `count` dims, written to
 * out; `otherwise` where it is absent.  GS_DATA naming it. */
gs_status gs_window_list(gs_arena *a, const gs_node *n, const char *name,
                         int count, int64_t min, int64_t otherwise,
                         int64_t *out, gs_err *e);

#endif
