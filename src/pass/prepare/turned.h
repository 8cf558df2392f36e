/* Writes into a turned tensor become writes into the tensor itself.
 *
 * Exporters write places of dim 2 of a cache by ScatterND, which knows leading
 * dims only, between two Transposes that move all of the cache:
 *
 *     t = Transpose(x) perm=[2,0,1,3]      x : f32[1,2,16,64]
 *     s = ScatterND(t, i, u)               i : i64[3,1]
 *     y = Transpose(s) perm=[1,2,0,3]
 *
 * That is ScatterElements of x along dim 2, at the places that i says for all
 * of the other dims; it can write where x lies. */
#ifndef GS_PASS_TURNED_H
#define GS_PASS_TURNED_H

#include "op/core/op.h"

/* Adds to *count how many there were.
 * requires  gs_pass_infer.  ensures: all values have shapes; names of inputs,
 * outputs and weights stay.  Cost O(nodes). */
gs_status gs_pass_turned(gs_graph *g, int *count, gs_err *e);

#endif
