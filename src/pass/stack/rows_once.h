/* What is known of a mask: along which dim it is true at most once. */
#ifndef GS_PASS_ROWS_ONCE_H
#define GS_PASS_ROWS_ONCE_H

#include "op/core/op.h"

/* A dim of v along which at most one element is other than 0: it tells where
 * elements that are distinct along that dim, as those that a TopK selects, are
 * equal to one that is the same along it.  -1: none is known. */
int64_t gs_rows_once(gs_arena *a, const gs_value *v);

/* Whether d is such a dim; also the one of one-hot's classes, and where such a
 * tensor is a factor of a product. */
bool gs_rows_once_along(gs_arena *a, const gs_value *v, int d);

/* What v holds the elements of, in their order, each *times times: what is
 * broadcast along its last dims, or has other dims.  Cost: a few nodes. */
const gs_value *gs_rows_root(gs_arena *a, const gs_value *v, int64_t *times);

/* The one operand that has factor f, in dim *d, which is that factor alone;
 * -1: none, or several. */
int gs_operand_with(const gs_rule *r, int f, int *d);
/* Whether the first element of a list is 0, where there is a list. */
bool gs_begins_with_zero(const gs_value *v);
/* Whether v is known to hold nothing but zeros. */
bool gs_all_zero(const gs_value *v);

#endif
