/* Expansion: operators without a row become the lines of their function. */
#ifndef GS_PASS_EXPAND_H
#define GS_PASS_EXPAND_H

#include "op/core/function.h"

typedef struct gs_expander gs_expander;
struct gs_expander {
  gs_functions *functions; /* NULL: not read yet */
  /* Expands a node whose function is derived from the graph around it
   * (gs_gradient_expand). */
  gs_status (*derive)(gs_expander *x, gs_graph *g, gs_node *n, gs_err *e);
};

/* Replaces n, which has no row, by the lines of its function: appends nodes
 * that make its results to g->node, in order of execution and with rows
 * (functions among them are expanded as well), their origin and stage those
 * of n. The node of the first result keeps n's name. n itself must then not
 * stay in the graph.
 *
 * *done = false: there is no function for it, and nothing was changed.
 * Shapes and types need not be known.  The functions are read into g->arena
 * when the first node asks for them.
 *
 * errors: GS_DATA for operands, results or attributes that the function does
 * not take; GS_UNSUPPORTED for an opset older than the function, and for
 * attributes for which it has no lines; GS_INTERNAL for faults of
 * op/functions. */
gs_status gs_expand_node(gs_expander *x, gs_graph *g, gs_node *n, bool *done,
                         gs_err *e);

/* The same by f, a gradient or helper; results that it leaves out ("d.x = _")
 * become NULL in n->out.  n need not be in the graph. */
gs_status gs_expand_by(gs_expander *x, gs_graph *g, gs_node *n,
                       const gs_function *f, gs_err *e);

/* The functions, read into the arena when they are first asked for. */
gs_status gs_expander_functions(gs_expander *x, gs_arena *a,
                                const gs_functions **out, gs_err *e);

/* What values made from n are named after: its name, or its first result's. */
const char *gs_node_base(const gs_node *n);

#endif
