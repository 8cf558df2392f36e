/* What the rules and shapes of operators with heads share. */
#ifndef GS_OP_HEADS_H
#define GS_OP_HEADS_H

#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

/* GS_DATA: operand i is not of that shape (-1: any length). */
gs_status gs_heads_expect(gs_arena *a, const gs_node *n, int i, int rank,
                          const int64_t *dims, gs_err *e);
/* GS_DATA naming the node, for attributes and operands that contradict. */
gs_status gs_heads_bad(gs_arena *a, const gs_node *n, gs_err *e,
                       const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* GS_DATA: that many heads of the query do not share kv heads of keys, each as
 * many. */
gs_status gs_heads_shared(gs_arena *a, const gs_node *n, int64_t heads,
                          int64_t kv, gs_err *e);
/* GS_DATA: left_window_size or right_window_size is below -1. */
gs_status gs_heads_windows(gs_arena *a, const gs_node *n, gs_err *e);
/* GS_DATA: operand i, where it is given, is not of type t. */
gs_status gs_heads_type(gs_arena *a, const gs_node *n, int i, gs_dtype t,
                        gs_err *e);

/* A factor of that size, or -1 (which gs_heads_put skips) when it is 1.  One
 * that must be whole is shared by all dims of that size and, marked as blocked,
 * is no part of the iteration space that operations are counted over. */
int gs_heads_factor(gs_rule *r, int64_t size, gs_factor_kind kind);
/* A factor that must be whole and is part of that space. */
int gs_heads_work(gs_rule *r, int64_t size);
/* Appends factor f to dim d of operand or result map t, NULL when it is left
 * out. */
void gs_heads_put(gs_tensor_map *t, int d, int f);

/* How many devices the factors split their product over: the length of a dim
 * of them is divided by that. */
int64_t gs_heads_shards(const gs_local *l, int f);
/* Attribute `name` of the local node n, when the global one has it, becomes
 * ceil(value / the shards of factors f and g); -1: no factor. */
void gs_heads_divide(gs_local *l, gs_node *n, const char *name, int f, int g);

/* The local form of a node whose rule has the factors batch, kv heads and
 * groups of queries, in this order (none for a size of 1): the node itself
 * with q_num_heads and kv_num_heads divided. */
void gs_heads_local(gs_local *l, int64_t batch, int64_t kv, int64_t group);

#endif
