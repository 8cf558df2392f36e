/* The graph: values joined by nodes, in the order of execution.
 *
 * Everything lies in the graph's arena.  One type serves the model (global
 * shapes) and the SPMD program made from it (local shapes); in a program each
 * value also knows its global dims and its sharding. */
#ifndef GS_IR_GRAPH_H
#define GS_IR_GRAPH_H

#include "base/data/map.h"
#include "ir/graph/value.h"
#include "ir/mesh/placement.h"

struct gs_op; /* op/core/op.h */

typedef enum gs_attr_kind { /* numbered as AttributeProto.AttributeType */
  GS_ATTR_FLOAT = 1,
  GS_ATTR_INT = 2,
  GS_ATTR_STRING = 3,
  GS_ATTR_TENSOR = 4,
  GS_ATTR_GRAPH = 5,
  GS_ATTR_FLOATS = 6,
  GS_ATTR_INTS = 7,
  GS_ATTR_STRINGS = 8,
  GS_ATTR_TYPE = 13, /* of a value: i its element type, of_kind its kind */
  GS_ATTR_AXES = 100, /* of the graph's mesh; text in files */
  GS_ATTR_SHARDING,   /* over the graph's mesh; text in files */
  GS_ATTR_PLACE       /* a placement on the graph's mesh; text in files */
} gs_attr_kind;

typedef struct gs_attr {
  const char *name;
  gs_attr_kind kind;
  int64_t i;
  double f;           /* holds a float exactly */
  gs_string s;        /* .at is also NUL-terminated */
  gs_tensor *t;
  gs_graph *g;
  gs_kind of_kind;
  int n;              /* elements of the lists below */
  const int64_t *ints;
  const float *floats;
  const gs_string *strings;
  const gs_axes *axes;
  const gs_sharding *sharding;
  const gs_placement *place;
} gs_attr;

struct gs_node {
  const struct gs_op *op; /* NULL: an operator without a row */
  const char *op_type, *domain; /* domain "" is ai.onnx */
  const char *name;             /* may be "" */
  int id;                       /* index in graph->node */
  int nin, nout;
  int ncapture;   /* the last operands: outer values that graphs in the
                     attributes read, in the order of their `capture` */
  gs_value **in;  /* NULL: optional input left out */
  gs_value **out; /* NULL: optional output left out */
  int nattr;
  gs_attr *attr;
  const char *origin; /* where it comes from, for messages; never NULL */
  const char *module; /* the part of the source that it is of, as its exporter
                         says, "model.layers.0.mlp"; NULL: it does not */
  bool dynamic;       /* its results' sizes depend on data, even where the
                         model declares them (set by gs_pass_infer) */
  int opset;          /* version of its domain; newest after gs_pass_upgrade */
  int stage;          /* ONNX pipeline_stage; -1: none */
  const int64_t *coerced; /* axis of an old form over all dims from it on, read
                             as the new one by a declared shape; or NULL */
  const char *rule;   /* factor rule given by the user, or NULL: the row's */
};

/* One use of a value that has a sharding of its own, other than the value's.
 * gs_pass_annotate gives it a value of its own: a constant that shares the
 * tensor, or the result of an Identity. */
typedef struct gs_use_sharding {
  gs_node *node;
  int operand;
  gs_value *value;       /* what the use reads, as the model says */
  gs_sharding *sharding; /* as stated */
  gs_value *own;         /* NULL before gs_pass_annotate */
  int by;                /* rule of the spec; -1: the model */
} gs_use_sharding;

struct gs_graph {
  gs_arena *arena;
  const char *name;
  const gs_mesh *mesh; /* programs and annotated graphs, else NULL */
  GS_VEC(gs_value *) value;
  GS_VEC(gs_node *) node;
  GS_VEC(gs_value *) input;  /* in the model's order, initializers left out */
  GS_VEC(gs_value *) output;
  GS_VEC(gs_value *) capture; /* graphs in attributes: what stands for the
                                 captured operands of the node, is_input but
                                 not in `input`; NULL: not read here */
  GS_VEC(gs_use_sharding) use_sharding;
  gs_map by_name; /* name -> gs_value */
  const gs_map *stale; /* names of values, those of inner graphs too, that do
                          not have the shapes which the model declares (set by
                          gs_pass_infer); or NULL */
  int fresh;      /* counter for generated names */
};

gs_graph *gs_graph_new(gs_arena *a, const char *name);
/* Appends a node with all operands NULL.  op is looked up by the caller. */
gs_node *gs_node_new(gs_graph *g, const char *domain, const char *op_type,
                     const char *name, int nin, int nout);
/* Appends a node of the same operator, version, origin and stage, with as many
 * operands and results, all NULL, and no attributes. */
gs_node *gs_node_like(gs_graph *g, const gs_node *from, const char *name);
/* Makes v output i of n. */
void gs_node_output(gs_node *n, int i, gs_value *v);
/* Operand i, NULL when it is past the end or left out. */
gs_value *gs_node_in(const gs_node *n, int i);
gs_value *gs_node_out(const gs_node *n, int i);
/* The first result that is not left out. */
gs_value *gs_node_first(const gs_node *n);
gs_value *gs_graph_find(const gs_graph *g, const char *name);

const gs_attr *gs_node_attr(const gs_node *n, const char *name);
int64_t gs_node_int(const gs_node *n, const char *name, int64_t otherwise);
double gs_node_float(const gs_node *n, const char *name, double otherwise);
/* NUL-terminated. */
const char *gs_node_string(const gs_node *n, const char *name,
                           const char *otherwise);
/* NULL when absent, or text that says no axes (no sharding, no placement) of
 * the mesh. */
const gs_axes *gs_node_axes(const gs_node *n, const char *name);
const gs_sharding *gs_node_sharding(const gs_node *n, const char *name);
const gs_placement *gs_node_placement(const gs_node *n);
/* The list and its length; NULL and 0 when absent. */
const int64_t *gs_node_ints(const gs_node *n, const char *name, int *count);
/* Copies.  Text that says axes, a sharding or a placement (gs_attr_meant) gets
 * that type if the graph has a mesh and it can be read; else it stays as it
 * is. */
void gs_node_set(gs_graph *g, gs_node *n, const gs_attr *attr);
/* Gives n, which has no attributes yet, those of `from`; in one piece, since
 * setting them one by one takes memory by the square of their number. */
void gs_node_set_all(gs_graph *g, gs_node *n, const gs_node *from);
void gs_node_set_int(gs_graph *g, gs_node *n, const char *name, int64_t i);
void gs_node_set_ints(gs_graph *g, gs_node *n, const char *name,
                      const int64_t *v, int count);
void gs_node_set_string(gs_graph *g, gs_node *n, const char *name,
                        const char *s);
void gs_node_set_axes(gs_graph *g, gs_node *n, const char *name,
                      const gs_axes *axes);
void gs_node_set_sharding(gs_graph *g, gs_node *n, const char *name,
                          const gs_sharding *s);
/* The attribute `place`; pl is not copied. */
void gs_node_set_placement(gs_graph *g, gs_node *n, const gs_placement *pl);
void gs_node_drop(gs_node *n, const char *name);
/* What text in this attribute of an operator says: GS_ATTR_AXES,
 * GS_ATTR_SHARDING, GS_ATTR_PLACE or GS_ATTR_STRING. */
gs_attr_kind gs_attr_meant(const char *domain, const char *name);
/* Gives the attribute the type that is meant, if g has a mesh and it can be
 * read. */
void gs_attr_read(const gs_graph *g, const gs_node *n, gs_attr *a);
/* Whether files have the attribute as a string. */
bool gs_attr_is_text(const gs_attr *a);
/* Prints axes, a sharding, a placement or a string as files have it. */
void gs_attr_print_text(gs_buf *b, const gs_mesh *m, const gs_attr *a);
/* Lays a graph that has been read on a mesh: text that says axes, shardings or
 * placements gets its type.  O(nodes). */
void gs_graph_set_mesh(gs_graph *g, const gs_mesh *m);

/* ---- regions: graphs within a node (region.c) ---- */

/* Whether n has a region: an attribute that holds a graph. */
bool gs_node_has_region(const gs_node *n);
/* Gives n the operand `outer`, which a graph in its attributes reads as
 * `inner`; inner graphs that do not read it have NULL there. */
void gs_node_capture(gs_graph *g, gs_node *n, gs_graph *reader,
                     gs_value *inner, gs_value *outer);
/* Drops captured operands that no graph in the attributes reads. */
void gs_node_trim_captures(gs_node *n);
/* Operands without the captured ones. */
static inline int gs_node_formal(const gs_node *n) {
  return n->nin - n->ncapture;
}

/* Whether what n reads or makes is known only in a run: an operand or result
 * is a dynamic value, or a size of a result depends on data.  A region alone
 * does not make a node dynamic. */
bool gs_node_dynamic(const gs_node *n);

/* A copy of g in the arena; tensors and names are shared. */
gs_graph *gs_graph_copy(gs_arena *a, const gs_graph *g);

/* "node 'layer0/mm' (MatMul)" in the arena. */
char *gs_node_place(gs_arena *a, const gs_node *n);

/* All uses of all values: use[first[id] .. first[id+1]) are (node, operand).
 * Cost O(nodes + values). */
typedef struct gs_use {
  gs_node *node;
  int index;
} gs_use;
typedef struct gs_uses {
  int *first; /* [nvalue + 1] */
  gs_use *use;
} gs_uses;
gs_uses gs_graph_uses(gs_arena *a, const gs_graph *g);

/* Lets the nodes from number `from` to the last one run before number `to`. */
void gs_graph_move_nodes(gs_graph *g, int from, int to);

/* Drops nodes and values that no output needs and restores the ids;
 * O(nodes).  Inputs are kept. */
void gs_graph_prune(gs_graph *g);

/* States all invariants: unique names, operands defined before use, ids,
 * arity, shapes of constants, shardings, placements.  GS_INTERNAL with the
 * place; GS_DATA of placements, which may come from a file. */
gs_status gs_graph_check(const gs_graph *g, gs_err *e);
/* States what holds of shardings that are complete: every value has one, of
 * its rank, that gs_sharding_check takes, and no dim is open.  Cost O(dims). */
gs_status gs_graph_check_sharded(const gs_graph *g, gs_err *e);

/* The text form (see gshard(7)); reads back to an equal graph.  Constants of
 * more than 32 elements are printed as references and read back as shapes
 * only. */
void gs_graph_print(gs_buf *b, const gs_graph *g);
gs_status gs_graph_parse(gs_arena *a, const char *text, const char *file,
                         gs_graph **out, gs_err *e);

#endif
