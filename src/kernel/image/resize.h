/* Resize: tables of one dim, and its parts. */
#ifndef GS_KERNEL_RESIZE_H
#define GS_KERNEL_RESIZE_H

#include "kernel/core/kernel.h"
#include "op/rows/nn/resize_dims.h"

/* The part of a dim that a device has: elements in_first .. of the operand,
 * out_first .. of the result; `in` and `out` of them. */
typedef struct gs_resize_part {
  int64_t in_first, in, out_first, out;
} gs_resize_part;

/* Where the elements of one dim of the result come from, those that the device
 * has among those that it has. */
typedef struct gs_resize_table {
  int64_t in, out;
  bool shrinks;  /* the whole dim: the result has fewer elements */
  int taps;
  int32_t *at;   /* [taps][out] */
  void *w;       /* [taps][out] f32 or f64; NULL for GS_RESIZE_NEAREST */
  bool *outside; /* [out] the extrapolation value stands there; or NULL */
  bool doubled;  /* nearest: element i is taken twice in a row, for all i */
} gs_resize_table;

/* The table of a part of dim d; type is f32 or f64.  GS_UNSUPPORTED past 2^31,
 * GS_DATA when the part lacks elements of the operand. */
gs_status gs_resize_table_make(gs_kctx *k, gs_arena *a,
                               const gs_resize_how *how,
                               const gs_resize_dim *d,
                               const gs_resize_part *part, gs_dtype type,
                               gs_resize_table *t);

/* One step: in[outer][a->in][b->in][inner] to out[outer][a->out][b->out]
 * [inner].  a NULL: that dim is 1; b NULL: it is 1 (inner holds the rest).
 * in_t and out_t are any types of numbers, type what is computed in. */
typedef struct gs_resize_step {
  const gs_resize_table *a, *b;
  int64_t outer, inner;
  gs_dtype in_t, out_t, type;
  bool blocks; /* inner is long: b mixes blocks of it */
  /* Else b for rows of inner elements taken as one: [taps][b->out * inner] */
  const int32_t *at;
  const void *w;
} gs_resize_step;

/* Sets at and w of s from its b. */
void gs_resize_step_widen(gs_arena *a, gs_resize_step *s);
/* part: how the result lies, its run and pitch; NULL: as it comes. */
void gs_resize_step_run(const gs_resize_step *s, const void *in, void *out,
                        const gs_view *part, int threads);

/* Copies the elements that t[rank] name (in == out and at NULL: all of a dim)
 * from in to y, of any type; size is that of an element in bytes. */
void gs_resize_nearest(const gs_resize_table *t, int rank, size_t size,
                       const void *in, const gs_view *y, int threads);

#endif
