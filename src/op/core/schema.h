/* Is a node what its operator's schema says? */
#ifndef GS_OP_SCHEMA_H
#define GS_OP_SCHEMA_H

#include "op/core/op.h"

/* A version of an operator: a row of schemas.def, or of moves.def. */
typedef struct gs_schema {
  const char *name, *domain;
  int since;
  int min_in, max_in, min_out, max_out;
  const char *attributes;
} gs_schema;

/* Those of schemas.def, sorted by domain, name, since. */
extern const gs_schema gs_schemas[];
extern const int gs_nschema;

/* The version of an operator that holds at an opset, or NULL.  Cost: log of
 * the rows. */
const gs_schema *gs_schema_find(const char *domain, const char *name,
                                int opset);
/* The attribute at *text, which is moved past it: its name, which ends at
 * name->n; false at the end. */
bool gs_schema_next(const char **text, gs_string *name);
/* Numbers of operands and results, operands that must not be left out, and
 * names, types and values of attributes, for n->opset; not what stands in its
 * graphs.  GS_DATA, with a hint where a name is misspelt or of another
 * version.  A node without a schema passes; an attribute whose name begins
 * with "__" belongs to another program, and passes too. */
gs_status gs_schema_check(gs_graph *g, const gs_node *n, gs_err *e);

#endif
