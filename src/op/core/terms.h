/* Labelled dims: what the texts of factor rules and of Einsum say, and how
 * they become a rule against the shapes of a node. */
#ifndef GS_OP_TERMS_H
#define GS_OP_TERMS_H

#include "op/core/rule.h"

enum { GS_MAX_TERM_DIMS = GS_MAX_RANK + 1 };

/* One label, or "...". */
typedef struct gs_label {
  char name[16];
  int64_t size; /* -1: not known */
  bool whole, summed, blocked;
  gs_reduce reduce;
  bool used;  /* stands in a term (not only in an option) */
  int factor; /* -1: none yet */
} gs_label;

/* A written dim: labels, major first; n 0 for "..." when dots, else size 1. */
typedef struct gs_rule_term_dim {
  int n;
  int label[GS_MAX_DIM_FACTORS];
  bool dots;
} gs_rule_term_dim;

typedef GS_VEC(gs_rule_term_dim) gs_rule_term;

typedef struct gs_terms {
  gs_arena *arena;
  const gs_node *node;
  const char *text;  /* for messages */
  gs_status code;    /* of errors in the text: GS_SPEC or GS_DATA */
  bool stretch;      /* a labelled dim of size 1 broadcasts (Einsum) */
  bool listed;       /* what is in no result must be listed in an option;
                        else it is summed */
  bool free_results; /* the results' shapes are not looked at */
  int nlabel;
  gs_label label[GS_MAX_FACTORS];
  int nin, nout;
  gs_rule_term *in, *out;
} gs_terms;

/* Index of the label called name[0..n), made when it is new; -1 past the
 * limit of labels. */
int gs_terms_label(gs_terms *t, const char *name, size_t n);
/* GS_SPEC or GS_DATA: "node 'x' (Op): rule 'text': ..." */
gs_status gs_terms_fail(const gs_terms *t, gs_err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The rule that the terms make of the node's shapes. With free_results
 * the rule's results get the ranks that follow from the operands. */
gs_status gs_terms_rule(gs_terms *t, gs_rule *r, gs_err *e);

/* Parses the equation of an Einsum node ("ij,jk->ik", "...ii", spaces). */
gs_status gs_terms_einsum(gs_terms *t, gs_arena *a, const gs_node *n,
                          gs_err *e);

#endif
