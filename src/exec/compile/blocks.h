/* In which blocks of channels values lie between steps; a part of
 * gs_program_new. */
#ifndef GS_EXEC_BLOCKS_H
#define GS_EXEC_BLOCKS_H

#include "exec/compile/program.h"

/* Fills p->any.  Values that one step ties together (the operands of a sum, of
 * a Concat, a pool's operand and its result) lie in the same blocks.  A
 * convolution may change them, at the price of a reorder: so for what
 * convolutions connect, the widest blocks that each value can have are compared
 * with blocks of 8 for all.  Where no steps are fused all is row-major.
 * requires: the steps, their producers and uses.
 * Cost O(operands). */
void gs_program_blocks(gs_arena *a, gs_program *p);

#endif
