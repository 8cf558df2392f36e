/* f32 convolutions of oneDNN.
 *
 * The work is cut into pieces of some images and some channels by sizes
 * alone; each piece is one call of the library on one thread, so that results
 * do not depend on how many threads share the pieces. */
#ifndef GS_KERNEL_ONEDNN_CONV_H
#define GS_KERNEL_ONEDNN_CONV_H

#include "kernel/conv/conv.h"
#include "kernel/pointwise/joined.h"

typedef struct gs_dnn_conv gs_dnn_conv;

/* What a convolution adds and takes.  Blocks as in gs_view. */
typedef struct gs_dnn_conv_form {
  bool bias;
  bool add;  /* a tensor of the result's shape */
  gs_joined after; /* applied in the end */
  int x, z;  /* blocks of the operand and of what is added */
  int any;   /* those in which the result may be; 0: row-major */
  gs_view part; /* of the result: its runs, where it is a part */
} gs_dnn_conv_form;

/* Makes s the convolution whose result is the larger tensor of which y, the
 * result of s, is a part along spatial dims: what lies between the runs is
 * computed with them.  False, and s as it was, where y is none, the library
 * would be slower there, or that would be more than an eighth. */
bool gs_dnn_conv_widen(gs_conv_shape *s, const gs_view *y);
/* Bytes of the result of a piece, in f32. */
int64_t gs_dnn_conv_piece(const gs_conv_shape *s);
/* A plan for one to three spatial dims, to be run on so many threads at most;
 * its objects go with arena a.  *block gets the blocks of the result, none
 * where channels do not fill form->any.  NULL: the library does not do it. */
gs_dnn_conv *gs_dnn_conv_new(gs_arena *a, const gs_conv_shape *s,
                             const gs_dnn_conv_form *form, int threads,
                             int *block);
/* Bytes of the packed weights, and of what a run needs besides. */
size_t gs_dnn_conv_packed_size(const gs_dnn_conv *c);
size_t gs_dnn_conv_scratch(const gs_dnn_conv *c);
/* Packs w [group * out, in, window...]; packed is 64-aligned. */
bool gs_dnn_conv_pack(const gs_dnn_conv *c, const float *w, void *packed);
/* y = conv(x, w) + bias + z; bias and z are NULL unless the plan
 * has them, scratch is 64-aligned.  False when the library fails. */
bool gs_dnn_conv_run(const gs_dnn_conv *c, const float *x, const void *packed,
                     const float *bias, const float *z, float *y,
                     void *scratch, int threads);

#endif
