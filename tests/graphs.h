/* Graphs that cases give as texts, and runs of them. */
#ifndef GS_TESTS_GRAPHS_H
#define GS_TESTS_GRAPHS_H

#include "base/buf.h"
#include "check/random_input.h"
#include "exec/run/run.h"

/* Nodes get their rows, in the newest form of each. */
void graph_set_rows(gs_graph *g);

/* Parses a text; its nodes have their rows, shapes are not inferred. */
gs_status graph_read(gs_arena *a, const char *text, const char *name,
                   gs_graph **g, gs_err *e);

/* Gives every input of g what `r` draws for it. */
gs_status graph_draw_inputs(gs_arena *a, const gs_graph *g, const gs_random *r,
                            gs_exec *x, gs_err *e);
/* out[i] becomes output i of the last run, whole. */
gs_status graph_take_outputs(gs_arena *a, const gs_graph *g, gs_exec *x,
                             gs_tensor **out, gs_err *e);

/* Makes a program of g, draws its inputs, runs it `runs` times, verified, and
 * takes its outputs; `how` says all but graphs. */
gs_status graph_execute(gs_arena *a, const gs_graph *g,
                        const gs_exec_config *how, const gs_random *r,
                        int runs, gs_tensor **out, gs_err *e);

/* What a golden case gives, or the errors of it, one a line. */
void graph_case(gs_arena *a, char *given, gs_buf *b,
                gs_status (*fn)(gs_arena *a, char *given, gs_buf *b,
                                gs_err *e));

#endif
