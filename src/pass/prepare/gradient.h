/* Gradients: the operator that asks for them becomes the nodes that compute
 * them. */
#ifndef GS_PASS_GRADIENT_H
#define GS_PASS_GRADIENT_H

#include "pass/prepare/expand.h"

/* Replaces n, a Gradient of ai.onnx.preview.training, by nodes appended to
 * g->node: the part of the graph between the tensors that xs and zs name and
 * y, once more where n is given other tensors in their place; and the
 * gradient of the sum of all elements of y, backwards through it by the rules
 * of gradient.txt.  A tensor of xs that y does not depend on, or only by
 * operators whose derivative is 0 where there is one, has the gradient 0.
 * The node of the first result keeps n's name; the others are named after it.
 *
 * requires: x->functions; the nodes before n upgraded and in g->node.
 * errors:   GS_DATA for attributes, names and operands that do not fit, and
 *           for an input of the graph that y depends on and neither list
 *           names; GS_UNSUPPORTED for an operator between that has no rule, or
 *           one of its attributes, and for y made after n.
 * cost:     O(nodes of g). */
gs_status gs_gradient_expand(gs_expander *x, gs_graph *g, gs_node *n,
                             gs_err *e);

#endif
