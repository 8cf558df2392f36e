/* Blocks that are made within the windows that exchanges make of them, so that
 * these copy margins only; a part of gs_program_new.
 *
 * requires: the steps, their readers and producers.  ensures: a block that lies
 * in the result of an exchange does so on every device in the same place; what
 * its readers see of it nobody writes over. */
#ifndef GS_EXEC_MARGINS_H
#define GS_EXEC_MARGINS_H

#include "exec/compile/program.h"

/* Sets `root`, `at`, `run` and `pitch` of the buffers of such blocks, and
 * `place` of their exchanges.  A block that is one run of memory there may have
 * any producer and any readers; of others the exchange must be the only reader,
 * and the producer's row must have GS_OP_PARTS, or be an exchange along a dim
 * before.  What lies in the result of that lies in both then, as part.h says:
 * two windows at most.  Dims are compared by what stands behind them, for there
 * may be a view between. */
void gs_program_margins(gs_arena *a, gs_program *p, const gs_compile *how);

/* Takes operand k of the exchange s, which lies in its result, out of it again.
 */
void gs_program_margins_undo(gs_program *p, gs_step *s, int k);

/* Whether on device position d operand k of the exchange s, all of which has
 * more readers where `shared`, may lie in its result from `place` on: the
 * device's elements go there, and nothing else goes where they are read. */
bool gs_program_margins_fit(const gs_program *p, const gs_step *s, int k,
                            int64_t place, bool shared, int64_t d);

/* Whether v has readers beside one. */
bool gs_program_is_shared(const gs_program *p, const gs_value *v);

#endif
