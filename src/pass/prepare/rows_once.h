/* What is known of a mask: along which dim it is true at most once. */
#ifndef GS_PASS_ROWS_ONCE_H
#define GS_PASS_ROWS_ONCE_H

#include "op/core/op.h"

/* A dim of v along which at most one element is other than 0: it tells where
 * elements that are distinct along that dim, as those that a TopK selects, are
 * equal to one that is the same along it.  -1: none is known. */
int64_t gs_rows_once(gs_arena *a, const gs_value *v);

#endif
