/* Comparing outputs and saying so. */
#ifndef GS_API_RUN_CHECK_H
#define GS_API_RUN_CHECK_H

#include "check/compare.h"
#include "ir/graph/graph.h"

/* tol[i]: the tolerance of output i of g, by the coarsest type of floats that
 * it is computed through.  O(operands). */
void gs_check_tolerances(gs_arena *a, const gs_graph *g, gs_tolerance *tol);

/* Compares n outputs with what was expected and adds a line for each that
 * differs, or one for all ("4 outputs equal: largest distance 1e-7"), each
 * after `what`.  *same (may be NULL): all bytes are the same.  GS_NO when one
 * is out of its tolerance, tol[i]. */
gs_status gs_check_outputs(gs_buf *b, const char *what, int n,
                           gs_dyn *const *got, gs_dyn *const *want,
                           const gs_tolerance *tol, bool *same, gs_err *e);

#endif
