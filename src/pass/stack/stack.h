/* Stacking: equal branches over different weights, such as experts, become one
 * branch over a stack of the weights. */
#ifndef GS_PASS_STACK_H
#define GS_PASS_STACK_H

#include "op/core/op.h"

typedef struct gs_stacks {
  int weights;  /* how many were made of others */
  int sums;     /* of branches that are computed at once */
  int branches; /* of all of these sums */
} gs_stacks;

/* Where E terms of a sum are computed by equal nodes (operators, attributes and
 * shapes) that differ in weights and in what they are given for each,
 *
 *     y = f(x, w0, g0) + .. + f(x, wE, gE) + rest
 *
 * they become  y = rest + ReduceSum(f'(x, W, G), dim 0),  W = [w0, .., wE]:
 * every node once, with a new dim 0 of E that its rule passes.  Nodes whose
 * rule does not pass it stay as they are, and their results are stacked.
 * Terms are added in another order: exact on integers, within rounding on
 * floats.
 *
 * A stack is a Concat of its members along that dim, named as they are with *
 * for the part that differs ("experts.*.w1"): one that a rule of a spec splits
 * puts each branch on its device.
 *
 * requires: gs_pass_infer.  keeps: names of inputs, outputs and weights.
 * Cost: O(nodes), and for each sum the square of its terms. */
gs_status gs_pass_stack(gs_graph *g, gs_stacks *out, gs_err *e);

#endif
