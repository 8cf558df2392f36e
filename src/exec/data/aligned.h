/* Elements where kernels may read them. */
#ifndef GS_EXEC_ALIGNED_H
#define GS_EXEC_ALIGNED_H

#include "ir/graph/value.h"

/* n bytes on a 64-byte boundary, zeroed. */
void *gs_alloc64(gs_arena *a, size_t n);
/* Whether p is aligned for elements of t. */
bool gs_data_fits(gs_dtype t, const void *p);
/* p, or a copy where it is not aligned for elements of t. */
const void *gs_data_aligned(gs_arena *a, const gs_tensor *t, const void *p);
/* The elements of t where they lie; NULL: they are missing.  Maps their file:
 * not by two threads at once before that is done. */
const void *gs_data_of(const gs_tensor *t);
/* GS_NOINPUT: the elements of constant v, which are those of t, are missing. */
gs_status gs_data_missing(const gs_value *v, const gs_tensor *t, gs_err *e);

#endif
