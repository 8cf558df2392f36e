/* Lookups that move nothing, and those that take a part of a weight. */
#ifndef GS_PASS_LOOKUP_H
#define GS_PASS_LOOKUP_H

#include "op/core/op.h"

/* How many dims of operand 0 of n operand 1 counts, all of their indices in
 * their order, so that what n looks up lies there as it does in operand 0; 0:
 * it does not, or nothing is known.  Cost: the elements of operand 1. */
int gs_lookup_counts(gs_arena *a, const gs_node *n);

/* What v, of two dims, is the transposition of; NULL: nothing is known. */
gs_value *gs_lookup_turned(gs_arena *a, const gs_value *v);

/* Whether n takes a part of a weight of more than two dims, by an index. */
bool gs_lookup_of_weight(const gs_node *n);

#endif
