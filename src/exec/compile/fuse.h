/* Steps that one kernel can do are made one; a part of gs_program_new. */
#ifndef GS_EXEC_FUSE_H
#define GS_EXEC_FUSE_H

#include "exec/compile/program.h"

/* The node to make a step of for n, with p->uses and p->producer filled: n
 * itself, or one that also does what the step before it does, which then has
 * node NULL. */
const gs_node *gs_program_fuse(gs_program *p, gs_arena *a, const gs_node *n);
/* Drops steps without a node, numbers p->producer anew and fills p->any. */
void gs_program_close(gs_arena *a, gs_program *p);

#endif
