/* A value of a graph: what is known of it before the graph runs.
 *
 * A value is dynamic when its kind, type or shape is known only in a run.  It
 * then lies in a gs_dyn (ir/dynamic.h), which says them beside the elements;
 * all other values are plain tensors of a known size. */
#ifndef GS_IR_VALUE_H
#define GS_IR_VALUE_H

#include "ir/mesh/form.h"

typedef struct gs_graph gs_graph;
typedef struct gs_node gs_node;
typedef struct gs_value gs_value;

struct gs_value {
  const char *name; /* unique in its graph */
  int id;           /* index in graph->value */
  gs_kind kind;     /* what is no tensor has rank -1 */
  gs_dtype dtype;   /* of the elements; GS_UNDEFINED: not known */
  int rank;         /* -1: not known */
  int64_t *dims;    /* [rank]; -1: not known (never after gs_pass_infer, which
                       forgets the whole shape instead) */
  const char **dim_names; /* [rank] symbolic names or NULL; or NULL */
  bool relied;      /* an older or expanded operator was read by the rank that
                       the model declares: it must be the one that results */
  const gs_tensor *constant; /* initializer or folded value, or NULL */
  bool computed;    /* the constant was folded: it is no weight */
  gs_node *def;     /* producer; NULL for inputs and constants */
  int def_index;    /* which output of it */
  bool is_input, is_output;
  gs_sharding *sharding;      /* NULL: none */
  const gs_form *form; /* programs: what a device holds, of the same sharding;
                          NULL: blocks, with any padding */
  const int64_t *global_dims; /* programs: dims of the whole value, else NULL */
};

/* A new value.  name NULL, or taken already: a fresh name is made from it.
 * rank -1: shape not known; dims are copied. */
gs_value *gs_value_new(gs_graph *g, const char *name, gs_dtype dtype, int rank,
                       const int64_t *dims);
/* A new constant value holding t. */
gs_value *gs_value_constant(gs_graph *g, const char *name,
                            const gs_tensor *t);
/* The same for a 1-D int64 list. */
gs_value *gs_value_ints(gs_graph *g, const char *name, const int64_t *v,
                        int n);
void gs_value_shape(gs_graph *g, gs_value *v, int rank, const int64_t *dims);
/* Integer constants: elements of v as int64 into the arena, or NULL when v is
 * NULL, not constant or not of an integer type; *count gets their number. */
const int64_t *gs_value_int_list(gs_arena *a, const gs_value *v, int *count);

/* Whether v is a tensor whose rank and dims are all known. */
bool gs_value_shaped(const gs_value *v);
/* Whether v is dynamic: it is not a tensor, has strings, or its type or shape
 * is not known before it is there.  Such values are never sharded. */
bool gs_value_dynamic(const gs_value *v);
/* Bytes of the elements of v, which is not dynamic and whose size is known to
 * fit. */
size_t gs_value_bytes(const gs_value *v);
/* Forgets the shape of v, so that it is dynamic; its kind and element type
 * stay. */
void gs_value_forget_shape(gs_value *v);

#endif
