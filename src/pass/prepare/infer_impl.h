/* Shared by the files of shape inference; see infer.h. */
#ifndef GS_PASS_INFER_IMPL_H
#define GS_PASS_INFER_IMPL_H

#include "kernel/core/kernel.h"
#include "pass/prepare/infer.h"

typedef struct gs_infer gs_infer;
struct gs_infer {
  gs_arena *a;
  /* Infers n and appends it to g, or what takes its place. */
  gs_status (*node)(gs_infer *f, gs_graph *g, gs_node *n);
  int depth; /* graphs in graphs */
  gs_map stale; /* names of results of other shapes than declared */
  const char *where, *what; /* the first of them: its node, both shapes */
  gs_err *e;
};

/* Infers the nodes of g, whose inputs have their types, and prunes it. */
gs_status gs_infer_graph(gs_infer *f, gs_graph *g);
/* Infers the graphs in the attributes of n.  *taken: n always runs one of
 * them once, and the nodes of that one were appended to g in its place. */
gs_status gs_infer_bodies(gs_infer *f, gs_graph *g, gs_node *n,
                          const gs_dynamic *b, bool *taken);

#endif
