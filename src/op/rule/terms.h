/* Labelled dims: what the texts of factor rules and of Einsum say, and how
 * they become a rule against the shapes of a node.  The texts of rows are
 * explained at the head of ops.def. */
#ifndef GS_OP_TERMS_H
#define GS_OP_TERMS_H

#include "op/rule/rule.h"

enum {
  GS_MAX_TERM_DIMS = GS_MAX_RANK + 1,
  GS_MAX_CLAUSES = 24,
  GS_TERM_WHOLE = -1,   /* in place of a label: '_' */
  GS_TERM_IGNORED = -2, /* in place of a label: a dim of '!*' */
};

/* One label; "..." and named groups make labels of their own, which no text
 * can name (".0", "A.0"). */
typedef struct gs_label {
  char name[16];
  int64_t size; /* -1: not known */
  gs_factor_kind kind;
  bool said;    /* kind is not the one that follows from where it stands */
  bool blocked;
  bool fixed;   /* one factor for all fixed dims of that size */
  bool common;  /* one factor for all whole dims of that size */
  bool joined;  /* its dims differ: those of the operands, laid end to end, are
                   those of the results, laid end to end */
  bool grown;   /* "grown t p": split as `as` is, in dims of another size,
                   where an operand has that one */
  int as;
  gs_reduce reduce;
  bool used;    /* stands in a term (not only in an option) */
  bool operand; /* in the term of an operand that is given */
  bool result;  /* in the term of a result that is */
  int factor;   /* -1: none yet */
} gs_label;

/* A written dim.  What stands for any number of dims has n 0 and `many`: '.'
 * for "...", a letter for a named group "A*", '_', '!' and '1'. */
typedef struct gs_rule_term_dim {
  int n; /* labels, major first; 0 and not many: size 1 */
  int label[GS_MAX_DIM_FACTORS];
  bool doubtful[GS_MAX_DIM_FACTORS]; /* "(hd?)": only where the dim has it */
  char many;
  bool grown;         /* "m+": of another size than m */
  bool maybe;         /* "m?": may be missing, or 1 and broadcast */
  const char *attr;   /* "k@axis": the attribute that says which dim it is;
                         "A*%perm": the one that permutes the group */
  int64_t otherwise;  /* where it is left out */
} gs_rule_term_dim;

typedef struct gs_rule_term {
  gs_rule_term_dim *at;
  int n, cap;
  bool maybe;        /* "?..." : may be left out */
  bool repeated;     /* "...&": as often as there are operands, or results */
  const char *turned; /* "mk^transA": reversed where this attribute is not 0 */
} gs_rule_term;

/* What a clause says of labels, or of the size of one. */
typedef struct gs_rule_clause {
  int label;        /* -1: of the group */
  char group;
  gs_factor_kind kind;
  bool fixed;       /* whole, and no dim of the work */
  bool common;      /* whole, shared by size */
  const char *size; /* an expression; NULL: of the kind */
  const char *condition; /* NULL: always */
} gs_rule_clause;

typedef struct gs_terms {
  gs_arena *arena;
  const gs_node *node;
  const char *text;  /* for messages */
  gs_status code;    /* of errors in the text: GS_SPEC or GS_DATA */
  bool stretch;      /* a labelled dim of size 1 broadcasts (Einsum) */
  bool listed;       /* what is in no result must be listed in an option;
                        else it is summed */
  bool free_results; /* the results' shapes are not looked at */
  bool operands_first; /* their labels make factors before the results' */
  bool compact;      /* a label of size 1 makes no factor */
  bool uneven;       /* gs_rule.uneven */
  bool alike;        /* all operands are of one type */
  int nlabel;
  gs_label label[GS_MAX_FACTORS];
  int nin, nout;
  gs_rule_term *in, *out;
  int norder;
  struct {
    int label; /* -1: those of the group */
    char group;
  } order[GS_MAX_DIM_FACTORS * 2]; /* whose factors come first */
  int nclause;
  gs_rule_clause clause[GS_MAX_CLAUSES];
} gs_terms;

/* Index of the label called name[0..n), made when it is new; -1 past the
 * limit of labels. */
int gs_terms_label(gs_terms *t, const char *name, size_t n);
/* GS_SPEC or GS_DATA: "node 'x' (Op): rule 'text': ..." */
gs_status gs_terms_fail(const gs_terms *t, gs_err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The rule that the terms make of the node's shapes, in arena a; nothing of it
 * lies in that of the terms.  With free_results the rule's results get the
 * ranks that follow from the operands.  The terms are used up. */
gs_status gs_terms_rule(gs_terms *t, gs_arena *a, gs_rule *r, gs_err *e);

/* For gs_terms_rule: every term gets a dim for each of its value's, so that
 * nothing in it is `many` or `maybe` missing. */
gs_status gs_terms_spell(gs_terms *t, gs_err *e);
/* For gs_terms_rule, after that: the sizes of labels, and what the clauses
 * say of them. */
gs_status gs_terms_sizes(gs_terms *t, gs_err *e);
/* Operand or result i, counted through; NULL when it is left out or its shape
 * is not to be looked at. */
const gs_value *gs_terms_value(const gs_terms *t, int i);
gs_rule_term *gs_terms_at(const gs_terms *t, int i);
/* Reads a number, a label's size or an attribute ("axis", "axis:-1" with what
 * it is when left out) at *s; false when a label's size is not known. */
bool gs_terms_atom(const gs_terms *t, const char **s, int64_t *out);
/* Whether "c" of "if c" holds; see the head of ops.def. */
bool gs_terms_hold(const gs_terms *t, const char *condition);

/* Parses the equation of an Einsum node ("ij,jk->ik", "...ii", spaces). */
gs_status gs_terms_einsum(gs_terms *t, gs_arena *a, const gs_node *n,
                          gs_err *e);

/* Parses the text of a rule; errors have that code. */
gs_status gs_terms_parse(gs_terms *t, gs_arena *a, const gs_node *n,
                         const char *text, gs_status code, gs_err *e);

#endif
