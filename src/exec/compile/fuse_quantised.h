/* Products of quantised operands become one step with what stands around
 * them; a part of gs_program_new. */
#ifndef GS_EXEC_FUSE_QUANTISED_H
#define GS_EXEC_FUSE_QUANTISED_H

#include "exec/compile/program.h"

/* Puts fused nodes into p->node in place of those that they do, of which the
 * last has their place; the others become NULL.  p->uses is there, and kept.
 * What others read too of DequantizeLinear's results is still made for them.
 * Cost O(operands). */
void gs_program_fuse_quantised(gs_program *p, gs_arena *a);

#endif
