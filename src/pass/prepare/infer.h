/* Shape inference and constant folding. */
#ifndef GS_PASS_INFER_H
#define GS_PASS_INFER_H

#include "op/core/op.h"

/* Values of symbolic dims: name -> size.  An unnamed unknown dim d of input x
 * goes by the name "x:d". */
typedef struct gs_bindings {
  gs_map map;
} gs_bindings;

void gs_bindings_init(gs_bindings *b, gs_arena *a);
/* Later values replace earlier ones.  GS_USAGE when n is negative. */
gs_status gs_bindings_put(gs_bindings *b, const char *name, int64_t n,
                          gs_err *e);
/* "NAME=N", as options and specs write it.  GS_USAGE with the text. */
gs_status gs_bindings_parse(gs_bindings *b, const char *text, gs_err *e);
/* False when there is none; b may be NULL. */
bool gs_bindings_get(const gs_bindings *b, const char *name, int64_t *n);

/* A node whose operands and results have more elements than this in all is
 * not folded. */
enum { GS_MAX_FOLD = 1 << 20 };

/* Gives every value a type and a concrete shape where it has one before the
 * graph runs, and every constant expression its value.
 *
 * A shape that results replaces the one that the model declares, which may be
 * stale: one warning names the first and counts the others.  A declared type
 * that differs is an error.  Where a shape operand is not constant, results
 * keep what is declared.  Where it is not, and where a shape depends on data
 * (a row whose results do, a value that is not a tensor), they are dynamic
 * (gs_value_dynamic), and so are those that depend on them, unless they are
 * declared as single elements.
 * Graphs in attributes are inferred with the types of what they are given; a
 * branch whose condition is constant takes the place of its node.
 *
 * Binds the symbolic dims of the inputs, infers shapes in execution order,
 * and evaluates nodes that depend on nothing but constants (or on shapes
 * alone).  Weights stay what they are, so that they can be named and sharded:
 * a node that reads a floating-point initializer of rank 1 or more is not
 * folded.
 *
 * requires: gs_pass_upgrade.  ensures: a value is shaped (gs_value_shaped) or
 * its rank is -1; no dead node.  keeps: names of inputs, outputs and weights.
 * Errors: GS_SPEC for unbound dims, all in one; GS_DATA where shapes
 * contradict; GS_UNSUPPORTED.  Cost O(nodes) and the folding. */
gs_status gs_pass_infer(gs_arena *a, gs_graph *g, const gs_bindings *b,
                        gs_err *e);

/* Infers n, which is not in g->node, once more or for the first time, and
 * appends it, or what takes its place: its operands have become known since
 * g was inferred.  a: as long as g. */
gs_status gs_infer_next(gs_arena *a, gs_graph *g, gs_node *n, gs_err *e);

#endif
