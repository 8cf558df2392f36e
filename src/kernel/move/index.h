/* Addressing that gathers and scatters share. */
#ifndef GS_KERNEL_INDEX_H
#define GS_KERNEL_INDEX_H

#include "kernel/core/kernel.h"

/* Every index in [-n, n), else GS_DATA with the first that is not. */
gs_status gs_kernel_index_check(gs_kctx *k, const gs_view *idx, int64_t n);

/* GatherElements, ScatterElements: place i of the indices selects, in the
 * data, its own coordinates with that of `axis` replaced. */
typedef struct gs_elements {
  size_t size; /* bytes of an element */
  int rank, axis;
  int64_t n;   /* of the data along the axis, on all devices */
  int64_t dims[GS_MAX_RANK];   /* of the indices */
  int64_t stride[GS_MAX_RANK]; /* of the data */
  bool part; /* the data is a part of the whole; then, for each dim: */
  int64_t shift[GS_MAX_RANK]; /* from a place of the indices to one of the
                                 data; along the axis, from an index */
  int64_t held[GS_MAX_RANK];  /* of the whole data */
} gs_elements;
/* Operands 0 (data) and 1 (indices), which may be parts of the whole. */
gs_status gs_elements_init(gs_kctx *k, gs_elements *e);
/* Element of the data for place i with (checked) index v; -1 where another
 * device has it. */
int64_t gs_elements_at(const gs_elements *e, int64_t i, int64_t v);

/* GatherND, ScatterND: tuples of indices select slices of the data. */
typedef struct gs_nd {
  size_t size;    /* bytes of an element */
  int first;      /* batch dims before those that are indexed */
  int depth;      /* indices in a tuple */
  int64_t batch;  /* product of the batch dims */
  int64_t tuples; /* in all */
  int64_t inner;  /* elements of a slice */
  int64_t whole;  /* elements of the data per batch index */
  int64_t stride[GS_MAX_RANK]; /* of the indexed dims */
  int64_t dims[GS_MAX_RANK];   /* of them on all devices */
  int64_t from[GS_MAX_RANK], held[GS_MAX_RANK]; /* of them here */
} gs_nd;
enum { GS_ND_BAD = -1, GS_ND_ELSEWHERE = -2 };
/* Operands 0 (data, which may be a part of the whole) and 1 (indices, i64). */
gs_status gs_nd_init(gs_kctx *k, gs_nd *p, int batch_dims);
/* First element of the slice.  GS_ND_BAD, with *bad the dim that is exceeded;
 * GS_ND_ELSEWHERE: another device has it. */
int64_t gs_nd_at(const gs_nd *p, const int64_t *idx, int64_t tuple, int *bad);
gs_status gs_nd_check(gs_kctx *k, const gs_nd *p);

#endif
