/* Building and parsing factor rules; for rule functions and the passes. */
#ifndef GS_OP_RULE_H
#define GS_OP_RULE_H

#include "op/core/op.h"

/* Starts a rule for n: no factors, and for every operand and result a map of
 * its rank in which no dim has a factor. Operands left out have rank 0. */
void gs_rule_begin(gs_arena *a, const gs_node *n, gs_rule *r);
/* A new factor; returns its index.  The reduction of GS_SUMMED is the row's,
 * set by gs_rule_of, unless the rule sets another.  Past GS_MAX_FACTORS
 * gs_rule_of will report GS_UNSUPPORTED. */
int gs_rule_factor(gs_rule *r, int64_t size, gs_factor_kind kind);
/* A factor that must be whole, shared by all dims of that size: it carries no
 * axis, so that sharing ties nothing.  -1 after very many sizes: a dim without
 * a factor is whole too. */
int gs_rule_whole(gs_rule *r, int64_t size);
/* A whole factor that is no dim of the work, that is blocked; shared by all
 * such dims of that size. */
int gs_rule_fixed(gs_rule *r, int64_t size);
/* Adds factor f as the most minor one of dim d; nothing when f is -1. */
void gs_rule_put(gs_tensor_map *t, int d, int f);
/* Every dim of map t, whose dims are given, must be whole. */
void gs_rule_put_whole(gs_rule *r, gs_tensor_map *t, const int64_t *dims);
/* Operand i must be whole (axes, shapes, counts); nothing when left out. */
void gs_rule_in_whole(gs_rule *r, const gs_node *n, int i);

/* Adds a use to the rule.  Its factor may be split then: one of kind GS_WINDOW
 * that has none is whole. */
void gs_rule_use(gs_rule *r, const gs_window_use *use);
/* A factor of `size` outputs for dim dx of operand `in` and dim dy of result
 * `out`, with this use of the former; its index. */
int gs_rule_window(gs_rule *r, int in, int dx, int out, int dy, int64_t size,
                   const gs_window_use *use);

/* Whether elements of this type can be reduced over devices, so that a factor
 * may be GS_SUMMED. */
bool gs_rule_adds(gs_dtype t);

/* The factor of dim d of operand `in`, of kind GS_WINDOW, is that of dim d of
 * result 0, which needs this of the operand.  Nothing when the dim has none. */
void gs_rule_reach(gs_rule *r, int in, int d, const gs_reach *reach);

/* Gives result 0 a passing factor per dim and operands first .. last-1
 * (aligned right) the same ones, none where they broadcast. The shapes fit. */
void gs_rule_tie(const gs_node *n, gs_rule *r, int first, int last);

/* Whether result 0 of n, whose rule r is, is operand 0 as it is: a view, or a
 * Slice, Pad or the like that touches no dim. */
bool gs_rule_keeps(const gs_node *n, const gs_rule *r);

/* The rule of operators that nothing is known about: every dim whole. */
gs_rule_fn gs_rule_opaque;

#endif
