/* Sums of equal branches; see stack.h. */
#ifndef GS_PASS_STACK_TERMS_H
#define GS_PASS_STACK_TERMS_H

#include "op/core/op.h"

enum { GS_MAX_BRANCH = 256 }; /* values of a branch that are looked at */

/* How often the values of a graph are read. */
typedef struct gs_reads {
  int nvalue;
  const int *nuse;        /* [nvalue] outputs count as well */
  const gs_node **reader; /* [nvalue] the last */
} gs_reads;

gs_reads gs_reads_of(gs_arena *a, const gs_graph *g);

/* The terms of a sum that are computed alike.  A place is a value of each
 * branch: place 0 its term. */
typedef struct gs_branches {
  const gs_node *sum;
  int n;                            /* branches, 2 or more */
  int nplace;
  gs_value **member[GS_MAX_BRANCH]; /* [nplace][n] */
  bool leaf[GS_MAX_BRANCH]; /* they are not made by equal nodes, or are
                               constants */
  gs_value **rest;          /* the other terms */
  int nrest;
} gs_branches;

/* False where n is no sum, a term of another, or no two terms that have a
 * weight of their own are alike.  Of several kinds of terms the one with most
 * is taken. */
bool gs_branches_find(const gs_reads *s, const gs_node *n, gs_arena *tmp,
                      gs_branches *out);
/* Whether n values are computed by equal nodes, each over its own weights. */
bool gs_branches_alike(gs_value *const *term, int n, gs_arena *tmp);
/* The place of a value of the first branch; -1: none. */
int gs_branches_place(const gs_branches *b, const gs_value *v);

#endif
