/* Shared by the files that turn a ModelProto into a gs_graph. */
#ifndef GS_IO_ONNX_IMPORT_H
#define GS_IO_ONNX_IMPORT_H

#include "io/onnx/onnx_model.h"

typedef struct gs_import gs_import;
typedef struct gs_scope gs_scope;
struct gs_import {
  gs_model *m;
  gs_arena *a;
  gs_map functions; /* "domain\x1fname\x1foverload" -> FunctionProto */
  gs_map reserved;  /* all names of the main graph */
  int64_t nodes;
  int fresh;
  /* Imports a graph in an attribute of a node of scope s; what it reads of s
   * is added to s->made. */
  gs_status (*subgraph)(gs_import *im, gs_scope *s, const Onnx__GraphProto *p,
                        const char *place, gs_graph **out);
  gs_err *e;
};

/* One inlining of a function. */
typedef struct gs_call {
  const Onnx__FunctionProto *f;
  const struct gs_call *caller; /* NULL: called from the main graph */
  gs_map attr;                  /* formal attribute -> AttributeProto */
  int depth;
} gs_call;

/* What a graph in an attribute reads of the graph around it. */
typedef struct gs_captured {
  gs_graph *reader;
  gs_value *inner, *outer;
} gs_captured;
typedef GS_VEC(gs_captured) gs_captures;

/* A graph or a function body while its nodes are read. */
struct gs_scope {
  gs_graph *g;
  gs_map names; /* name as in the model -> gs_value */
  gs_map types; /* name -> TypeProto, from value_info and outputs */
  gs_map bound; /* function results: formal name -> the caller's gs_value */
  gs_scope *outer;              /* of a graph in an attribute, else NULL */
  const gs_call *call;          /* NULL outside of functions */
  const char *prefix;           /* of names made in functions, or NULL */
  int depth;                    /* graphs inside graphs */
  gs_captures made;             /* by the graphs of the current node */
};

/* ---- onnx_attr.c ---- */

/* Resolves ref_attr_name; *out = NULL when the attribute is left out. */
gs_status gs_attr_resolve(gs_import *im, const gs_call *call,
                          const Onnx__AttributeProto *p, const char *place,
                          const Onnx__AttributeProto **out, gs_err *e);
gs_status gs_attr_import(gs_import *im, gs_scope *s,
                         const Onnx__AttributeProto *p, const char *place,
                         gs_attr *out);
/* The tensor that an attribute stands for: TENSOR itself, numbers and strings
 * as scalars, lists as 1-D tensors. */
gs_status gs_attr_tensor(gs_import *im, const gs_attr *attr,
                         const char *place, const gs_tensor **out);
/* Type and shape of v by its declaration. */
gs_status gs_type_apply(gs_import *im, gs_graph *g, gs_value *v,
                        const Onnx__TypeProto *t, bool is_input);

/* ---- onnx_function.c ---- */

/* Domain "ai.onnx" is written "", as is none. */
const char *gs_domain_name(const char *domain);
/* The key of a function in gs_import.functions; NULL texts are empty. */
const char *gs_function_key(gs_arena *a, const char *domain,
                            const char *name, const char *overload);
/* "m.onnx: node 'call/mm' (MatMul)"; s NULL: of the main graph. */
const char *gs_node_proto_place(gs_import *im, const gs_scope *s,
                                const Onnx__NodeProto *p);
/* GS_DATA when the model has more nodes than its limit once every call of a
 * function is inlined.  Cost: the nodes as they are written.
 * Graphs that are passed to functions as attributes count once. */
gs_status gs_nodes_check(gs_import *im);

#endif
