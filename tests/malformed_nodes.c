/* Nodes that are not what their operator's schema says: in the graph, in the
 * body of a loop, in a function. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "malformed_pieces.h"

enum { FLOAT = 1, INT = 2, STRING = 3, INTS = 7 }; /* AttributeType */

/* x is f32[2,2]; "_" in a list of names: left out. */
typedef struct node_case {
  const char *name, *op;
  int opset;
  const char *operands, *results;
  const char *attribute; /* or NULL */
  int type, i;
  const char *s;
  int code;
  const char *fragment;
} node_case;

static const node_case cases[] = {
    {"attribute", "Softmax", 18, "x", "q", "axsi", INT, 1, NULL, 65,
     "did you mean 'axis'"},
    {"foreign", "Softmax", 18, "x", "q", "colour", INT, 1, NULL, 65,
     "unknown attribute 'colour'"},
    {"type", "Softmax", 18, "x", "q", "axis", FLOAT, 0, NULL, 65,
     "attribute 'axis' has type float instead of int"},
    {"choice", "DepthToSpace", 13, "x", "q", "mode", STRING, 0, "CDR", 65,
     "not one of DCR, CRD"},
    {"range", "LRN", 13, "x", "q", "size", INT, 0, NULL, 65,
     "attribute 'size' is 0, less than 1"},
    {"ranges", "MaxPool", 12, "x", "q", "kernel_shape", INTS, 0, NULL, 65,
     "attribute 'kernel_shape' is 0, less than 1"},
    {"flag", "ReduceMean", 18, "x", "q", "keepdims", INT, 2, NULL, 65,
     "attribute 'keepdims' is 2, not 0 to 1"},
    {"needed", "Concat", 18, "x,x", "q", NULL, 0, 0, NULL, 65,
     "needs the attribute 'axis'"},
    {"newer", "ReduceMax", 13, "x", "q", "noop_with_empty_axes", INT, 1, NULL,
     65, "it was added in opset 18; the node has opset 13"},
    {"older", "ReduceMean", 18, "x", "q", "axes", INTS, 1, NULL, 65,
     "an older opset has it; the node has opset 18"},
    {"form", "ReduceMean", 13, "x", "q", "axes", INTS, 1, NULL, 0, ""},
    {"few", "Add", 18, "x", "q", NULL, 0, 0, NULL, 65,
     "1 operand given, at least 2 expected"},
    {"none", "Identity", 18, "", "q", NULL, 0, 0, NULL, 65,
     "0 operands given, at least 1 expected"},
    {"many", "Relu", 18, "x,x", "q", NULL, 0, 0, NULL, 65,
     "2 operands given, at most 1 expected"},
    {"left-out", "Add", 18, "x,_", "q", NULL, 0, 0, NULL, 65,
     "operand 1 must not be left out"},
    {"gap", "Sum", 18, "x,_,x", "q", NULL, 0, 0, NULL, 65,
     "operand 1 must not be left out"},
    {"results", "Relu", 18, "x", "q,r", NULL, 0, 0, NULL, 65,
     "2 results given, at most 1 expected"},
    {"stray", "Relu", 18, "x", "q", "consumed_inputs", INTS, 0, NULL, 0, ""},
    {"private", "Relu", 18, "x", "q", "__stream", INT, 0, NULL, 0, ""},
};

static void add_names(wire *node, uint32_t field, const char *list) {
  char text[64], *rest = text;
  snprintf(text, sizeof text, "%s", list);
  for (char *s; (s = strtok_r(NULL, ",", &rest));)
    wire_str(node, field, strcmp(s, "_") ? s : "");
}

static wire case_node(const node_case *c) {
  wire n = {0}, a = {0};
  add_names(&n, NODE_IN, c->operands);
  add_names(&n, NODE_OUT, c->results);
  wire_str(&n, NODE_NAME, "odd");
  wire_str(&n, NODE_OP, c->op);
  if (!c->attribute) return n;
  wire_str(&a, ATTR_NAME, c->attribute);
  if (c->type == INT) wire_int(&a, ATTR_I, c->i);
  if (c->type == STRING) wire_str(&a, 4, c->s);
  if (c->type == INTS) wire_int(&a, 8, c->i);
  if (c->type == FLOAT) {
    wire_tag(&a, 2, 5);
    wire_bytes(&a, "\0\0\0\0", 4);
  }
  wire_int(&a, ATTR_TYPE, c->type);
  wire_msg(&n, NODE_ATTR, &a);
  return n;
}

static void add_value(wire *graph, uint32_t field, const char *name) {
  wire v = {0};
  wire_str(&v, 1, name);
  wire_msg(graph, field, &v);
}

static void in_graph(wire *graph, wire *model, wire *node) {
  (void)model;
  wire_msg(graph, GRAPH_NODE, node);
}

static void in_loop(wire *graph, wire *model, wire *node) {
  wire body = {0}, m = piece_tensor("m", 7, 0, NULL), a = {0};
  wire loop = piece_node("Loop", "loop", "m", "", "all");
  (void)model;
  add_value(&body, GRAPH_INPUT, "i");
  add_value(&body, GRAPH_INPUT, "go");
  wire_msg(&body, GRAPH_NODE, node);
  piece_add_node(&body, "Identity", "on", "go", NULL, "on");
  add_value(&body, GRAPH_OUTPUT, "on");
  add_value(&body, GRAPH_OUTPUT, "q");
  wire_str(&a, ATTR_NAME, "body");
  wire_msg(&a, ATTR_G, &body);
  wire_int(&a, ATTR_TYPE, 5);
  wire_msg(&loop, NODE_ATTR, &a);
  wire_blob(&m, TENSOR_RAW, "\1\0\0\0\0\0\0\0", 8);
  wire_msg(graph, GRAPH_INIT, &m);
  wire_msg(graph, GRAPH_NODE, &loop);
}

static void in_function(wire *graph, wire *model, wire *node) {
  wire f = {0}, o = {0}, call = piece_node("F", "call", "x", NULL, "q");
  wire_str(&call, NODE_DOMAIN, "local");
  wire_msg(graph, GRAPH_NODE, &call);
  wire_str(&f, FUNCTION_NAME, "F");
  wire_str(&f, FUNCTION_DOMAIN, "local");
  wire_str(&f, FUNCTION_IN, "x");
  wire_str(&f, FUNCTION_OUT, "q");
  wire_msg(&f, FUNCTION_NODE, node);
  wire_msg(model, MODEL_FUNCTION, &f);
  wire_str(&o, 1, "local");
  wire_int(&o, 2, 1);
  wire_msg(model, MODEL_OPSET, &o);
}

/* Calls a function with an attribute that it does not have. */
static void in_odd_call(wire *graph, wire *model, wire *node) {
  wire a = {0}, call = piece_node("F", "odd", "x", NULL, "unused");
  in_function(graph, model, node);
  wire_str(&call, NODE_DOMAIN, "local");
  wire_str(&a, ATTR_NAME, "slope");
  wire_int(&a, ATTR_I, 1);
  wire_int(&a, ATTR_TYPE, INT);
  wire_msg(&call, NODE_ATTR, &a);
  wire_msg(graph, GRAPH_NODE, &call);
}

static const node_case relu = {"call", "Relu", 18, "x", "q", NULL, 0, 0, NULL,
                               65, "function 'F' has no attribute 'slope'"};
static const node_case constant = {"constant", "Constant", 18, "", "q",
                                   "value_itn", INT, 1, NULL, 65,
                                   "did you mean 'value_int'"};

static const struct {
  const char *name;
  void (*add)(wire *graph, wire *model, wire *node);
} places[] = {
    {"graph", in_graph}, {"loop", in_loop}, {"function", in_function}};

static int put_case(malformed_put *put, const char *dir, const node_case *c,
                    const char *where,
                    void (*add)(wire *graph, wire *model, wire *node)) {
  char name[64];
  wire node = case_node(c), g = {0}, w = {0};
  add(&g, &w, &node);
  piece_add_nodes(&g);
  piece_of_opset(&w, &g, c->opset);
  snprintf(name, sizeof name, "node-%s-%s.onnx", where, c->name);
  int failed = put(dir, name, &w, c->code, c->fragment);
  wire_free(&w);
  return failed;
}

int malformed_nodes(malformed_put *put, const char *dir) {
  int failed = 0;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (size_t k = 0; k < sizeof places / sizeof *places; k++)
      failed |= put_case(put, dir, &cases[i], places[k].name, places[k].add);
  for (size_t k = 0; k < sizeof places / sizeof *places; k++)
    failed |= put_case(put, dir, &constant, places[k].name, places[k].add);
  return failed | put_case(put, dir, &relu, "odd", in_odd_call);
}
