/* Malformed models.  Each is the base model with one fault. */
#include "malformed_pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- pieces ---- */

wire piece_node(const char *op, const char *name, const char *a,
                 const char *b, const char *out) {
  wire w = {0};
  if (a) wire_str(&w, NODE_IN, a);
  if (b) wire_str(&w, NODE_IN, b);
  wire_str(&w, NODE_OUT, out);
  wire_str(&w, NODE_NAME, name);
  wire_str(&w, NODE_OP, op);
  return w;
}

static wire value(const char *name, int type) {
  wire w = {0}, t = {0}, tensor = {0}, shape = {0};
  for (int i = 0; i < 2; i++) {
    wire dim = {0};
    wire_int(&dim, 1, 2);
    wire_msg(&shape, 1, &dim);
  }
  wire_int(&tensor, 1, type);
  wire_msg(&tensor, 2, &shape);
  wire_msg(&t, 1, &tensor);
  wire_str(&w, 1, name);
  wire_msg(&w, 2, &t);
  return w;
}

/* Dims and type of a tensor, without its data. */
wire piece_tensor(const char *name, int type, int rank, const int64_t *dims) {
  wire w = {0};
  for (int i = 0; i < rank; i++) wire_int(&w, TENSOR_DIMS, dims[i]);
  wire_int(&w, TENSOR_TYPE, type);
  if (name) wire_str(&w, TENSOR_NAME, name);
  return w;
}

const int64_t piece_square[2] = {2, 2};

static wire weight(void) {
  wire w = piece_tensor("w", 1, 2, piece_square);
  const float data[4] = {1, 2, 3, 4};
  wire_blob(&w, TENSOR_RAW, data, sizeof data);
  return w;
}

void piece_add_node(wire *graph, const char *op, const char *name,
                     const char *a, const char *b, const char *out) {
  wire n = piece_node(op, name, a, b, out);
  wire_msg(graph, GRAPH_NODE, &n);
}

static void add_value(wire *graph, uint32_t field, const char *name) {
  wire v = value(name, 1);
  wire_msg(graph, field, &v);
}

/* What all graphs have apart from nodes and weights. */
static void add_ports(wire *graph) {
  wire_str(graph, GRAPH_NAME, "g");
  add_value(graph, GRAPH_INPUT, "x");
  add_value(graph, GRAPH_OUTPUT, "z");
}

void piece_add_nodes(wire *graph) {
  piece_add_node(graph, "Relu", "relu", "x", NULL, "y");
  piece_add_node(graph, "Add", "add", "y", "w", "z");
}

static void add_opset(wire *w, uint32_t field, const char *domain,
                      int64_t version) {
  wire o = {0};
  wire_str(&o, 1, domain);
  wire_int(&o, 2, version);
  wire_msg(w, field, &o);
}

static void finish_of(wire *out, wire *graph, int opset) {
  wire_int(out, MODEL_IR, 10);
  wire_msg(out, MODEL_GRAPH, graph);
  add_opset(out, MODEL_OPSET, "", opset);
}

static void finish(wire *out, wire *graph) { finish_of(out, graph, 18); }

wire base_model(void) {
  wire out = {0}, g = {0}, w = weight();
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  add_ports(&g);
  finish(&out, &g);
  return out;
}

/* The base model with this weight in place of w. */
void piece_with_weight(wire *out, wire *w) {
  wire g = {0};
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, w);
  add_ports(&g);
  finish(out, &g);
}

/* The base model with one more node in front. */
void piece_with_node(wire *out, wire *n) {
  wire g = {0}, w = weight();
  wire_msg(&g, GRAPH_NODE, n);
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  add_ports(&g);
  finish(out, &g);
}

/* Two nodes of the caller and the weight. */
void piece_with_graph(wire *out, wire *g) { piece_of_opset(out, g, 18); }

void piece_of_opset(wire *out, wire *g, int opset) {
  wire w = weight();
  wire_msg(g, GRAPH_INIT, &w);
  add_ports(g);
  finish_of(out, g, opset);
}

/* ---- the file as a whole ---- */

static void empty(wire *out) { (void)out; }

static void lfs(wire *out) {
  static const char text[] =
      "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
  wire_bytes(out, text, sizeof text - 1);
}

static void html(wire *out) {
  static const char text[] = "\n<!DOCTYPE html><html><body>404</body></html>";
  wire_bytes(out, text, sizeof text - 1);
}

static void truncated(wire *out) {
  *out = base_model();
  out->n -= 9;
}

static void no_ir(wire *out) {
  wire b = base_model();
  wire_bytes(out, b.at + 2, b.n - 2);
  wire_free(&b);
}

static void ir_99(wire *out) {
  *out = base_model();
  out->at[1] = 99;
}

static void ir_2(wire *out) {
  *out = base_model();
  out->at[1] = 2;
}

static void no_graph(wire *out) {
  wire_int(out, MODEL_IR, 10);
  add_opset(out, MODEL_OPSET, "", 18);
}

static void no_opset(wire *out) {
  wire g = {0}, w = weight();
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  add_ports(&g);
  wire_int(out, MODEL_IR, 10);
  wire_msg(out, MODEL_GRAPH, &g);
}

static void two_opsets(wire *out) {
  *out = base_model();
  add_opset(out, MODEL_OPSET, "ai.onnx", 17);
}

static void opset_0(wire *out) {
  *out = base_model();
  add_opset(out, MODEL_OPSET, "my", 0);
}

/* ---- wire format ---- */

static void two_graphs(wire *out) {
  wire g = {0};
  *out = base_model();
  wire_str(&g, GRAPH_NAME, "again");
  wire_msg(out, MODEL_GRAPH, &g);
}

static void two_irs(wire *out) {
  *out = base_model();
  wire_int(out, MODEL_IR, 10);
}

static void group_type(wire *out) {
  *out = base_model();
  wire_tag(out, 30, 3);
  wire_tag(out, 30, 4);
}

static void type_6(wire *out) {
  *out = base_model();
  wire_tag(out, 30, 6);
}

static void type_7(wire *out) {
  *out = base_model();
  wire_tag(out, 1, 7);
}

static void field_0(wire *out) {
  *out = base_model();
  wire_byte(out, 0);
  wire_byte(out, 0);
}

static void long_varint(wire *out) {
  *out = base_model();
  wire_tag(out, 5, 0);
  for (int i = 0; i < 11; i++) wire_byte(out, 0x80);
  wire_byte(out, 1);
}

static void overflowing_varint(wire *out) {
  *out = base_model();
  wire_tag(out, 5, 0);
  for (int i = 0; i < 9; i++) wire_byte(out, 0xff);
  wire_byte(out, 2);
}

static void cut_varint(wire *out) {
  *out = base_model();
  wire_tag(out, 5, 0);
  wire_byte(out, 0x80);
}

static void cut_fixed(wire *out) {
  *out = base_model();
  wire_tag(out, 30, 1);
  wire_byte(out, 1);
}

static void long_length(wire *out) {
  *out = base_model();
  wire_tag(out, 6, 2);
  wire_varint(out, 1000);
  wire_byte(out, 'x');
}

static void huge_length(wire *out) {
  *out = base_model();
  wire_tag(out, 6, 2);
  wire_varint(out, INT64_MAX);
}

static void wrong_wire_type(wire *out) {
  *out = base_model();
  wire_int(out, 6, 5); /* doc_string as a number */
}

static void string_for_number(wire *out) {
  *out = base_model();
  wire_str(out, 5, "x"); /* model_version as a string */
}

static void nul_in_name(wire *out) {
  wire n = {0};
  wire_str(&n, NODE_IN, "x");
  wire_blob(&n, NODE_OUT, "q\0r", 3);
  wire_str(&n, NODE_OP, "Relu");
  piece_with_node(out, &n);
}

static void bad_utf8(wire *out) {
  wire n = piece_node("Relu", "bad\xff", "x", NULL, "q");
  piece_with_node(out, &n);
}

static void surrogate(wire *out) {
  wire n = piece_node("Relu", "bad\xed\xa0\x80", "x", NULL, "q");
  piece_with_node(out, &n);
}

static void overlong_utf8(wire *out) {
  wire n = piece_node("Relu", "bad\xc0\xaf", "x", NULL, "q");
  piece_with_node(out, &n);
}

static void long_name(wire *out) {
  char *s = malloc(70001);
  if (!s) abort();
  memset(s, 'a', 70000);
  s[70000] = 0;
  wire n = piece_node("Relu", s, "x", NULL, "q");
  free(s);
  piece_with_node(out, &n);
}

static void private_field(wire *out) {
  wire w = piece_tensor("w", 1, 2, piece_square);
  wire_int(&w, 400000001, 0);
  wire_int(&w, 400000002, 16);
  piece_with_weight(out, &w);
}

static void cut_floats(wire *out) {
  wire w = piece_tensor("w", 1, 2, piece_square);
  wire_blob(&w, TENSOR_FLOATS, "123456", 6);
  piece_with_weight(out, &w);
}

static void two_dim_values(wire *out) {
  wire g = {0}, w = weight(), v = {0}, t = {0}, x = {0}, s = {0}, d = {0};
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  wire_int(&d, 1, 2);
  wire_str(&d, 2, "n");
  wire_msg(&s, 1, &d);
  wire_int(&x, 1, 1);
  wire_msg(&x, 2, &s);
  wire_msg(&t, 1, &x);
  wire_str(&v, 1, "x");
  wire_msg(&v, 2, &t);
  wire_msg(&g, GRAPH_INPUT, &v);
  finish(out, &g);
}

/* A chain of `levels` graphs, the innermost holding one node. */
static void nested(wire *out, int levels) {
  wire g = {0};
  piece_add_node(&g, "Relu", "r", "x", NULL, "r");
  for (int i = 1; i < levels; i++) {
    wire a = {0}, n, outer = {0};
    wire_str(&a, ATTR_NAME, "body");
    wire_msg(&a, ATTR_G, &g);
    wire_int(&a, ATTR_TYPE, 5);
    char name[16];
    snprintf(name, sizeof name, "n%d", i);
    n = piece_node("Nest", name, "x", NULL, name);
    wire_msg(&n, NODE_ATTR, &a);
    wire_str(&n, NODE_DOMAIN, "my");
    wire_msg(&outer, GRAPH_NODE, &n);
    g = outer;
  }
  add_value(&g, GRAPH_INPUT, "x");
  finish(out, &g);
  add_opset(out, MODEL_OPSET, "my", 1);
}

static void nested_33(wire *out) { nested(out, 33); }
static void nested_34(wire *out) { nested(out, 34); }
static void nested_100(wire *out) { nested(out, 100); }
static void nested_3000(wire *out) { nested(out, 3000); }

static void many_unknown(wire *out) {
  *out = base_model();
  for (int i = 0; i < 200000; i++) wire_int(out, 100, 1);
}

static void many_nodes(wire *out) {
  wire g = {0};
  add_ports(&g);
  for (int i = 0; i < 1000001; i++) {
    wire_tag(&g, GRAPH_NODE, 2);
    wire_varint(&g, 0);
  }
  finish(out, &g);
}

static void many_attributes(wire *out) {
  wire n = piece_node("Relu", "n", "x", NULL, "q");
  for (int i = 0; i < 1001; i++) {
    wire a = {0};
    wire_str(&a, ATTR_NAME, "a");
    wire_msg(&n, NODE_ATTR, &a);
  }
  piece_with_node(out, &n);
}

/* ---- graph ---- */

static void undefined(wire *out) {
  wire g = {0};
  piece_add_node(&g, "Relu", "relu", "nowhere", NULL, "y");
  piece_add_node(&g, "Add", "add", "y", "w", "z");
  piece_with_graph(out, &g);
}

static void not_sorted(wire *out) {
  wire g = {0};
  piece_add_node(&g, "Add", "add", "y", "w", "z");
  piece_add_node(&g, "Relu", "relu", "x", NULL, "y");
  piece_with_graph(out, &g);
}

static void cycle(wire *out) {
  wire g = {0};
  piece_add_node(&g, "Add", "add", "z", "w", "y");
  piece_add_node(&g, "Relu", "relu", "y", NULL, "z");
  piece_with_graph(out, &g);
}

static void duplicate(wire *out) {
  wire g = {0};
  piece_add_node(&g, "Relu", "relu", "x", NULL, "z");
  piece_add_node(&g, "Add", "add", "z", "w", "z");
  piece_with_graph(out, &g);
}

static void duplicate_weight(wire *out) {
  wire g = {0}, w = weight();
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  piece_with_graph(out, &g);
}

static void output_undefined(wire *out) {
  wire g = {0};
  piece_add_node(&g, "Relu", "relu", "x", NULL, "y");
  piece_with_graph(out, &g);
}

static void result_is_input(wire *out) {
  wire g = {0};
  piece_add_nodes(&g);
  piece_add_node(&g, "Relu", "again", "z", NULL, "x");
  piece_with_graph(out, &g);
}

static void two_inputs(wire *out) {
  wire g = {0};
  piece_add_nodes(&g);
  add_value(&g, GRAPH_INPUT, "x");
  piece_with_graph(out, &g);
}

static void no_operator(wire *out) {
  wire n = {0};
  wire_str(&n, NODE_IN, "x");
  wire_str(&n, NODE_OUT, "q");
  piece_with_node(out, &n);
}

static void no_domain(wire *out) {
  wire n = piece_node("Foo", "foo", "x", NULL, "q");
  wire_str(&n, NODE_DOMAIN, "elsewhere");
  piece_with_node(out, &n);
}

static void two_attributes(wire *out) {
  wire n = piece_node("Relu", "n", "x", NULL, "q");
  for (int i = 0; i < 2; i++) {
    wire a = {0};
    wire_str(&a, ATTR_NAME, "alpha");
    wire_int(&a, ATTR_I, i);
    wire_int(&a, ATTR_TYPE, 2);
    wire_msg(&n, NODE_ATTR, &a);
  }
  piece_with_node(out, &n);
}

static void typeless_attribute(wire *out) {
  wire n = piece_node("Relu", "n", "x", NULL, "q"), a = {0};
  wire_str(&a, ATTR_NAME, "alpha");
  wire_msg(&n, NODE_ATTR, &a);
  piece_with_node(out, &n);
}

static void reference_outside(wire *out) {
  wire n = piece_node("Relu", "n", "x", NULL, "q"), a = {0};
  wire_str(&a, ATTR_NAME, "alpha");
  wire_int(&a, ATTR_TYPE, 2);
  wire_str(&a, ATTR_REF, "beta");
  wire_msg(&n, NODE_ATTR, &a);
  piece_with_node(out, &n);
}

static void empty_constant(wire *out) {
  wire n = piece_node("Constant", "c", NULL, NULL, "q");
  piece_with_node(out, &n);
}

static void input_type_99(wire *out) {
  wire g = {0}, v = value("q", 99);
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INPUT, &v);
  piece_with_graph(out, &g);
}

static void input_negative(wire *out) {
  wire g = {0}, v = {0}, t = {0}, x = {0}, s = {0}, d = {0};
  piece_add_nodes(&g);
  wire_int(&d, 1, -5);
  wire_msg(&s, 1, &d);
  wire_int(&x, 1, 1);
  wire_msg(&x, 2, &s);
  wire_msg(&t, 1, &x);
  wire_str(&v, 1, "q");
  wire_msg(&v, 2, &t);
  wire_msg(&g, GRAPH_INPUT, &v);
  piece_with_graph(out, &g);
}

static void input_untyped(wire *out) {
  wire g = {0}, v = {0};
  piece_add_nodes(&g);
  wire_str(&v, 1, "q");
  wire_msg(&g, GRAPH_INPUT, &v);
  piece_with_graph(out, &g);
}

/* ---- functions ---- */

static void add_function(wire *model, const char *name, const char *calls) {
  wire f = {0}, n = piece_node(calls, "call", "a", NULL, "b");
  if (strcmp(calls, "Relu")) wire_str(&n, NODE_DOMAIN, "my");
  wire_str(&f, FUNCTION_NAME, name);
  wire_str(&f, FUNCTION_IN, "a");
  wire_str(&f, FUNCTION_OUT, "b");
  wire_msg(&f, FUNCTION_NODE, &n);
  add_opset(&f, FUNCTION_OPSET, "", 18);
  add_opset(&f, FUNCTION_OPSET, "my", 1);
  wire_str(&f, FUNCTION_DOMAIN, "my");
  wire_msg(model, MODEL_FUNCTION, &f);
}

static void with_call(wire *out, const char *name) {
  wire n = piece_node(name, "top", "x", NULL, "q");
  wire_str(&n, NODE_DOMAIN, "my");
  piece_with_node(out, &n);
  add_opset(out, MODEL_OPSET, "my", 1);
}

static void recursive(wire *out) {
  with_call(out, "f");
  add_function(out, "f", "f");
}

static void mutually_recursive(wire *out) {
  with_call(out, "f");
  add_function(out, "f", "g");
  add_function(out, "g", "f");
}

static void deep_calls(wire *out) {
  char a[16], b[16];
  with_call(out, "f0");
  for (int i = 0; i < 120; i++) {
    snprintf(a, sizeof a, "f%d", i);
    snprintf(b, sizeof b, "f%d", i + 1);
    add_function(out, a, b);
  }
  add_function(out, "f120", "Relu");
}

static void two_functions(wire *out) {
  with_call(out, "f");
  add_function(out, "f", "Relu");
  add_function(out, "f", "Relu");
}

static void too_many_operands(wire *out) {
  wire n = piece_node("f", "top", "x", "x", "q");
  wire_str(&n, NODE_DOMAIN, "my");
  piece_with_node(out, &n);
  add_opset(out, MODEL_OPSET, "my", 1);
  add_function(out, "f", "Relu");
}

/* 2^20 nodes from 20 functions that call the next one twice. */
static void exploding_calls(wire *out) {
  char a[16], b[16];
  with_call(out, "f0");
  for (int i = 0; i < 21; i++) {
    wire f = {0};
    snprintf(a, sizeof a, "f%d", i);
    snprintf(b, sizeof b, "f%d", i + 1);
    wire_str(&f, FUNCTION_NAME, a);
    wire_str(&f, FUNCTION_IN, "a");
    wire_str(&f, FUNCTION_OUT, "c");
    for (int k = 0; k < 2; k++) {
      wire n = piece_node(b, k ? "k" : "j", k ? "b" : "a", NULL, k ? "c" : "b");
      wire_str(&n, NODE_DOMAIN, "my");
      wire_msg(&f, FUNCTION_NODE, &n);
    }
    add_opset(&f, FUNCTION_OPSET, "my", 1);
    wire_str(&f, FUNCTION_DOMAIN, "my");
    wire_msg(out, MODEL_FUNCTION, &f);
  }
  add_function(out, "f21", "Relu");
}

/* ---- tensors ---- */

static void raw_of_size(wire *out, size_t n) {
  wire w = piece_tensor("w", 1, 2, piece_square);
  static const uint8_t zeros[64];
  wire_blob(&w, TENSOR_RAW, zeros, n);
  piece_with_weight(out, &w);
}

static void raw_short(wire *out) { raw_of_size(out, 12); }
static void raw_long(wire *out) { raw_of_size(out, 20); }
static void raw_odd(wire *out) { raw_of_size(out, 15); }
static void raw_none(wire *out) {
  wire w = piece_tensor("w", 1, 2, piece_square);
  piece_with_weight(out, &w);
}

static void weight_of(wire *out, int type, int rank, const int64_t *dims) {
  wire w = piece_tensor("w", type, rank, dims);
  wire_blob(&w, TENSOR_RAW, "0123456789abcdef", 16);
  piece_with_weight(out, &w);
}

static void negative_dim(wire *out) {
  weight_of(out, 1, 2, (const int64_t[]){-2, -2});
}
static void overflow_32(wire *out) {
  weight_of(out, 1, 2, (const int64_t[]){INT64_C(1) << 32, INT64_C(1) << 32});
}
static void overflow_62(wire *out) {
  weight_of(out, 11, 1, (const int64_t[]){INT64_C(1) << 62});
}
static void type_99(wire *out) { weight_of(out, 99, 2, piece_square); }
static void type_0(wire *out) { weight_of(out, 0, 2, piece_square); }
static void type_negative(wire *out) { weight_of(out, -1, 2, piece_square); }
static void string_raw(wire *out) { weight_of(out, 8, 2, piece_square); }
static void int4_odd(wire *out) {
  weight_of(out, 22, 1, (const int64_t[]){33});
}

static void rank_65(wire *out) {
  int64_t dims[65];
  for (int i = 0; i < 65; i++) dims[i] = 1;
  weight_of(out, 1, 65, dims);
}

static void two_payloads(wire *out) {
  wire w = piece_tensor("w", 1, 2, piece_square);
  wire_blob(&w, TENSOR_RAW, "0123456789abcdef", 16);
  wire_blob(&w, TENSOR_FLOATS, "0123456789abcdef", 16);
  piece_with_weight(out, &w);
}

static void wrong_payload(wire *out) {
  wire w = piece_tensor("w", 1, 2, piece_square);
  wire_blob(&w, TENSOR_INTS, "\1\2\3\4", 4);
  piece_with_weight(out, &w);
}

static void value_too_large(wire *out) {
  wire w = piece_tensor("w", 3, 2, piece_square);
  wire_blob(&w, TENSOR_INTS, "\1\2\3\xac\x02", 5);
  piece_with_weight(out, &w);
}

static void one_byte_for_many(wire *out) {
  wire w = piece_tensor("w", 22, 1, (const int64_t[]){700000000});
  wire_blob(&w, TENSOR_INTS, "\1", 1);
  piece_with_weight(out, &w);
}

static void nameless_weight(wire *out) {
  wire w = piece_tensor(NULL, 1, 2, piece_square);
  wire_blob(&w, TENSOR_RAW, "0123456789abcdef", 16);
  piece_with_weight(out, &w);
}

static void sparse_range(wire *out) {
  wire g = {0}, s = {0}, v = piece_tensor("sp", 1, 1, (const int64_t[]){1}),
       i = piece_tensor("i", 7, 1, (const int64_t[]){1});
  const int64_t index = 99;
  wire_blob(&v, TENSOR_RAW, "0123", 4);
  wire_blob(&i, TENSOR_RAW, &index, 8);
  wire_msg(&s, 1, &v);
  wire_msg(&s, 2, &i);
  wire_int(&s, 3, 4);
  wire_msg(&g, GRAPH_SPARSE, &s);
  piece_add_nodes(&g);
  piece_with_graph(out, &g);
}

const malformed malformed_models[] = {
    {"empty.onnx", empty, 65, "empty"},
    {"lfs.onnx", lfs, 65, "Git LFS"},
    {"html.onnx", html, 65, "HTML"},
    {"truncated.onnx", truncated, 65, "past the end"},
    {"no-ir.onnx", no_ir, 65, "ir_version"},
    {"ir-99.onnx", ir_99, 69, "ir_version 99"},
    {"ir-2.onnx", ir_2, 69, "ir_version 2"},
    {"no-graph.onnx", no_graph, 65, "no graph"},
    {"no-opset.onnx", no_opset, 65, "opset_import"},
    {"two-opsets.onnx", two_opsets, 65, "twice"},
    {"opset-0.onnx", opset_0, 65, "version 0"},
    {"two-graphs.onnx", two_graphs, 65, "graph is given twice"},
    {"two-irs.onnx", two_irs, 65, "ir_version is given twice"},
    {"group.onnx", group_type, 65, "wire type 3"},
    {"type-6.onnx", type_6, 65, "wire type 6"},
    {"type-7.onnx", type_7, 65, "wire type 7"},
    {"field-0.onnx", field_0, 65, "field number 0"},
    {"long-varint.onnx", long_varint, 65, "malformed number"},
    {"overflow-varint.onnx", overflowing_varint, 65, "malformed number"},
    {"cut-varint.onnx", cut_varint, 65, "malformed number"},
    {"cut-fixed.onnx", cut_fixed, 65, "truncated number"},
    {"long-length.onnx", long_length, 65, "past the end"},
    {"huge-length.onnx", huge_length, 65, "malformed length"},
    {"wrong-wire-type.onnx", wrong_wire_type, 65, "doc_string"},
    {"string-for-number.onnx", string_for_number, 65, "model_version"},
    {"nul.onnx", nul_in_name, 65, "NUL"},
    {"utf8.onnx", bad_utf8, 65, "UTF-8"},
    {"surrogate.onnx", surrogate, 65, "UTF-8"},
    {"overlong-utf8.onnx", overlong_utf8, 65, "UTF-8"},
    {"long-name.onnx", long_name, 65, "name_bytes"},
    {"private-field.onnx", private_field, 65, "internal use"},
    {"cut-floats.onnx", cut_floats, 65, "float_data"},
    {"two-dim-values.onnx", two_dim_values, 65, "dim_param"},
    {"nested-33.onnx", nested_33, 0, ""},
    {"nested-34.onnx", nested_34, 65, "depth"},
    {"nested-100.onnx", nested_100, 65, "depth"},
    {"nested-3000.onnx", nested_3000, 65, "depth"},
    {"unknown-fields.onnx", many_unknown, 65, "unknown_fields"},
    {"many-nodes.onnx", many_nodes, 65, "nodes"},
    {"many-attributes.onnx", many_attributes, 65, "attributes"},
    {"undefined.onnx", undefined, 65, "'nowhere' is not defined"},
    {"not-sorted.onnx", not_sorted, 65, "topological"},
    {"cycle.onnx", cycle, 65, "cycle"},
    {"duplicate.onnx", duplicate, 65, "'z' is defined twice"},
    {"duplicate-weight.onnx", duplicate_weight, 65, "'w' is defined twice"},
    {"output-undefined.onnx", output_undefined, 65, "output 'z'"},
    {"result-is-input.onnx", result_is_input, 65, "'x' is defined twice"},
    {"two-inputs.onnx", two_inputs, 65, "'x' is given twice"},
    {"no-operator.onnx", no_operator, 65, "no operator"},
    {"no-domain.onnx", no_domain, 65, "'elsewhere'"},
    {"two-attributes.onnx", two_attributes, 65, "'alpha' is given twice"},
    {"typeless-attribute.onnx", typeless_attribute, 65, "'alpha' has no type"},
    {"reference-outside.onnx", reference_outside, 65, "outside of a function"},
    {"empty-constant.onnx", empty_constant, 65, "node 'c'"},
    {"input-type-99.onnx", input_type_99, 69, "element type 99"},
    {"input-negative.onnx", input_negative, 65, "'q'"},
    {"input-untyped.onnx", input_untyped, 65, "'q' has no type"},
    {"recursive.onnx", recursive, 65, "calls itself"},
    {"mutually-recursive.onnx", mutually_recursive, 65, "calls itself"},
    {"deep-calls.onnx", deep_calls, 65, "call_depth"},
    {"two-functions.onnx", two_functions, 65, "defined twice"},
    {"too-many-operands.onnx", too_many_operands, 65, "function 'f'"},
    {"exploding-calls.onnx", exploding_calls, 65, "limit nodes"},
    {"raw-short.onnx", raw_short, 65, "tensor 'w'"},
    {"raw-long.onnx", raw_long, 65, "tensor 'w'"},
    {"raw-odd.onnx", raw_odd, 65, "tensor 'w'"},
    {"raw-none.onnx", raw_none, 65, "tensor 'w'"},
    {"negative-dim.onnx", negative_dim, 65, "negative"},
    {"overflow-32.onnx", overflow_32, 65, "overflow"},
    {"overflow-62.onnx", overflow_62, 65, "overflow"},
    {"type-99.onnx", type_99, 69, "element type 99"},
    {"type-0.onnx", type_0, 65, "no element type"},
    {"type-negative.onnx", type_negative, 69, "element type -1"},
    {"string-raw.onnx", string_raw, 65, "strings"},
    {"int4-odd.onnx", int4_odd, 65, "17 bytes"},
    {"rank-65.onnx", rank_65, 65, "rank 65"},
    {"two-payloads.onnx", two_payloads, 65, "both"},
    {"wrong-payload.onnx", wrong_payload, 65, "int32_data"},
    {"value-too-large.onnx", value_too_large, 65, "does not fit i8"},
    {"one-byte-for-many.onnx", one_byte_for_many, 65, "tensor 'w'"},
    {"nameless-weight.onnx", nameless_weight, 65, "without a name"},
    {"sparse-range.onnx", sparse_range, 65, "out of range"},
    {"ext-parent.onnx", bad_ext_parent, 65, "out of the model's directory"},
    {"ext-hidden-parent.onnx", bad_ext_hidden_parent, 65, "out of the model's"},
    {"ext-absolute.onnx", bad_ext_absolute, 65, "absolute"},
    {"ext-empty.onnx", bad_ext_empty, 65, "empty location"},
    {"ext-none.onnx", bad_ext_none, 65, "without a location"},
    {"ext-link.onnx", bad_ext_link, 65, "out of the model's directory"},
    {"ext-dir-link.onnx", bad_ext_dir_link, 65, "out of the model's directory"},
    {"ext-fifo.onnx", bad_ext_fifo, 65, "FIFO"},
    {"ext-dir.onnx", bad_ext_dir, 65, "is a directory"},
    {"ext-dot.onnx", bad_ext_dot, 65, "is a directory"},
    {"ext-hard.onnx", bad_ext_hard, 65, "hard links"},
    {"ext-memory.onnx", bad_ext_memory, 65, "address"},
    {"ext-offset.onnx", bad_ext_offset, 74, "w.bin has 64 bytes"},
    {"ext-negative.onnx", bad_ext_negative, 65, "'-4'"},
    {"ext-wrapping.onnx", bad_ext_wrapping, 65, "18446744073709551624"},
    {"ext-wrapping-sum.onnx", bad_ext_wrapping_sum, 74, "needed"},
    {"ext-length.onnx", bad_ext_length, 74, "needed"},
    {"ext-other-length.onnx", bad_ext_other_length, 65, "length 8"},
    {"ext-key.onnx", bad_ext_key, 65, "__class__"},
    {"ext-attribute.onnx", bad_ext_attribute, 65, "out of the model"},
    {"ext-function.onnx", bad_ext_function, 65, "out of the model"},
    {"ext-sparse.onnx", bad_ext_sparse, 65, "absolute"},
    {"ext-good.onnx", bad_ext_good, 0, ""},
    {"ext-sub.onnx", bad_ext_sub, 0, ""},
    {"ext-back.onnx", bad_ext_back, 0, ""},
    {"ext-dots.onnx", bad_ext_dots, 0, ""},
    {"ext-missing.onnx", bad_ext_missing, 0, ""},
    {"dev-good.onnx", bad_dev_good, 0, ""},
    {"dev-axis.onnx", bad_dev_axis, 65, "node 'relu'"},
    {"dev-axis-negative.onnx", bad_dev_axis_negative, 65, "axis -3"},
    {"dev-shards-0.onnx", bad_dev_shards_0, 65, "num_shards is 0"},
    {"dev-shards-huge.onnx", bad_dev_shards_huge, 65, "num_shards"},
    {"dev-product.onnx", bad_dev_product, 65, "lists 4 devices for 2"},
    {"dev-id.onnx", bad_dev_id, 65, "device 7"},
    {"dev-twice.onnx", bad_dev_twice, 65, "device 1 is listed twice"},
    {"dev-unknown.onnx", bad_dev_unknown, 65, "configuration 'd'"},
    {"dev-foreign.onnx", bad_dev_foreign, 65, "sharding of 'w'"},
    {"dev-repeated.onnx", bad_dev_repeated, 65, "two shardings of tensor 'x'"},
    {"dev-irregular.onnx", bad_dev_irregular, 69, "does not come from"},
    {"dev-partial.onnx", bad_dev_partial, 69, "does not come from any mesh"},
    {"dev-group.onnx", bad_dev_group, 65, "device -1"},
    {"dev-two-configs.onnx", bad_dev_two_configs, 65, "two configurations 'c'"},
    {"dev-no-devices.onnx", bad_dev_no_devices, 65, "has 0 devices"},
};
const int malformed_nmodels =
    (int)(sizeof malformed_models / sizeof *malformed_models);
