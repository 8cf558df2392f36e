/* Helpers of the rows that move, index and create elements. */
#ifndef GS_OP_MOVE_H
#define GS_OP_MOVE_H

#include "op/rule/rule.h"
#include "op/core/shape.h"

/* Operand i is given but not constant, and the model declares the shape of
 * every result: the shape function can only keep what is declared. */
bool gs_move_open(const gs_node *n, int i);
/* Keeps the declared shapes; the type is that of operand 0. */
gs_status gs_move_keep(gs_graph *g, gs_node *n, gs_err *e);

/* A valid axis (the shape function has checked it), counted from 0. */
int gs_move_axis(int64_t axis, int rank);

/* Operand 0 and result 0 have one rank: touched dims must be whole on both
 * sides, the others pass. */
void gs_move_dims(gs_rule *r, const gs_node *n, const bool *touched);

/* Whether integers v, with index `at` in dim `of`, count dim d: 0, 1, 2, ..
 * along it, the same along all others.  By their values where v is constant,
 * else by what v is joined or copied of.  False where that is not known. */
bool gs_move_iota(gs_arena *a, const gs_value *v, int d, int of, int64_t at);

#endif
