/* What differs between a graph and the same with a cache of one place more. */
#ifndef GS_PASS_CACHE_SIZE_H
#define GS_PASS_CACHE_SIZE_H

#include "op/core/op.h"

/* Whether b, which has larger dims, has the elements of a at the same indices,
 * in as many bytes of each row as both have.  Cost O(elements of a). */
bool gs_cache_begins_alike(const gs_tensor *a, const gs_tensor *b);
/* Whether the rules differ in sizes alone. */
bool gs_cache_same_rule(const gs_rule *a, const gs_rule *b);
/* Whether operand k of n, a constant, says the shape of results that hold
 * elements of operand 0 where the rule says, or a size alone.  other: n in the
 * larger graph; alike: their rules are the same. */
bool gs_cache_says_shape(gs_graph *larger, const gs_node *n, gs_node *other,
                         int k, bool alike);

#endif
