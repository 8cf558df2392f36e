/* Opset upgrade: every node in the newest form of its operator, and those
 * without a row expanded where a function says how. */
#ifndef GS_PASS_UPGRADE_H
#define GS_PASS_UPGRADE_H

#include "op/core/op.h"

/* Brings each node from the opset that its domain is imported at (n->opset)
 * to the newest form, and sets n->op and n->opset (the newest of its
 * domain).  Operators without a row are expanded (pass/prepare/expand.h); those
 * without a function too keep op NULL and their version.
 * Every node is first compared with its schema (op/core/schema.h).  So are the
 * nodes of graphs in attributes.
 *
 * requires: nodes in order of execution; shapes need not be known, but where
 *           the operand of an old Softmax has a declared rank, the result is
 *           one node instead of four (shape inference looks whether it has
 *           that rank).
 * ensures:  n->op set for every operator with a row; ids restored.
 * errors:   GS_UNSUPPORTED for a version that gs_domain_find does not list,
 *           naming node and both versions, and for a
 *           form before 7 that needs ranks that are not known; GS_DATA for
 *           what its schema does not allow.
 * cost:     O(nodes). */
gs_status gs_pass_upgrade(gs_graph *g, gs_err *e);

/* All dims of x from `axis` on, taken as one, are that of the axis. */
bool gs_upgrade_one_dim(const gs_value *x, int64_t axis);
/* Flattens the operand of n, an operator over the last dim, from `axis` on
 * and restores its shape after: appends to g, in this order, a Flatten, a
 * Shape, which go before n, and a Reshape, which goes after it. */
void gs_upgrade_flatten(gs_graph *g, gs_node *n, int64_t axis);

#endif
