/* Helpers of the rows with graphs in attributes, sequences and optionals. */
#ifndef GS_OP_CONTROL_H
#define GS_OP_CONTROL_H

#include "op/core/shape.h"

/* The graph in attribute `name`; GS_DATA when there is none. */
gs_status gs_control_graph(gs_graph *g, const gs_node *n, const char *name,
                           gs_graph **out, gs_err *e);
/* GS_DATA unless the graph has that many inputs and at least `out` results,
 * and no result of the node is without one (the first `skip` are not the
 * node's). */
gs_status gs_control_arity(gs_graph *g, const gs_node *n, const gs_graph *body,
                           int in, int out, int skip, gs_err *e);
/* Gives v, an input of graph b, kind, type and shape of `from`. */
void gs_control_enter(gs_graph *b, gs_value *v, const gs_value *from);
/* Result i of n is what `from` is. */
gs_status gs_control_result(gs_graph *g, gs_node *n, int i,
                            const gs_value *from, gs_err *e);
/* Scan: the body, the number of states and of scanned operands; checked. */
gs_status gs_control_scan(gs_graph *g, const gs_node *n, gs_graph **body,
                          int *states, int *scanned, gs_err *e);
/* Scan: where operand or result i of those that `axes` lists (NULL: axis 0)
 * has its axis; -1 when it is out of the range of `rank`. */
int gs_control_axis(const gs_node *n, const char *axes, int i, int rank);

/* Entries of the rows' dynamic forms (see kernel.h). */
typedef gs_status gs_enter_fn(gs_graph *g, gs_node *n, int round,
                              gs_graph **before, bool *again, int *pick,
                              gs_err *e);
gs_enter_fn gs_enter_if, gs_enter_loop, gs_enter_scan, gs_enter_sequence_map;

#endif
