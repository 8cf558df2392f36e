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

/* Dim d + 2 of operand `in` and of result 0, with a factor that both have: one
 * that passes where the window is one element, else one whose outputs need the
 * elements of their windows, with `value` around the operand; NULL: with
 * anything, for a node that knows its place. */
void gs_window_put(gs_rule *r, const gs_window *w, int in, int d,
                   const double *value);
/* The same for ConvTranspose: the elements whose windows touch an output. */
void gs_window_put_transposed(gs_rule *r, const gs_window *w, int in, int d);
/* The same where the operator must have all of the operand: two factors that
 * are whole.  That of the operand is blocked: it is no dim of the iteration
 * space. */
void gs_window_put_whole(gs_rule *r, const gs_window *w, int in, int d);
/* The window along spatial dim d as a summed factor, of which each element
 * needs those that it meets in all windows of operand `in`, with `value` around
 * it; its index.  Where the outputs are split too, the operand is held in their
 * windows, of which the local function takes what its taps meet. */
int gs_window_split(gs_rule *r, const gs_window *w, int in, int d,
                    double value);

/* Spatial dims of operand `in` that are held as the windows that the device's
 * outputs, or its part of the kernel, need: no padding is left to add there. */
uint64_t gs_window_held(const gs_local *l, int in);
/* Gives n explicit pads: those of w, and none along the dims of `held`. */
void gs_window_set_pads(gs_graph *g, gs_node *n, const gs_window *w,
                        uint64_t held);

/* An attribute with one number >= least for each of `count` dims, written to
 * out; `otherwise` where it is absent.  GS_DATA naming it. */
gs_status gs_window_list(gs_arena *a, const gs_node *n, const char *name,
                         int count, int64_t min, int64_t otherwise,
                         int64_t *out, gs_err *e);

#endif
