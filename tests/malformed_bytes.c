/* Models whose bytes are malformed: as a file, and on the wire. */
#include "malformed_pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
  piece_add_opset(out, MODEL_OPSET, "", 18);
}

static void no_opset(wire *out) {
  wire g = {0}, w = piece_weight();
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  piece_add_ports(&g);
  wire_int(out, MODEL_IR, 10);
  wire_msg(out, MODEL_GRAPH, &g);
}

static void two_opsets(wire *out) {
  *out = base_model();
  piece_add_opset(out, MODEL_OPSET, "ai.onnx", 17);
}

static void opset_0(wire *out) {
  *out = base_model();
  piece_add_opset(out, MODEL_OPSET, "my", 0);
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
  wire g = {0}, w = piece_weight(), v = {0}, t = {0}, x = {0}, s = {0}, d = {0};
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
  piece_finish(out, &g);
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
  piece_add_value(&g, GRAPH_INPUT, "x");
  piece_finish(out, &g);
  piece_add_opset(out, MODEL_OPSET, "my", 1);
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
  piece_add_ports(&g);
  for (int i = 0; i < 1000001; i++) {
    wire_tag(&g, GRAPH_NODE, 2);
    wire_varint(&g, 0);
  }
  piece_finish(out, &g);
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

const malformed malformed_bytes[] = {
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
};
const int malformed_nbytes =
    (int)(sizeof malformed_bytes / sizeof *malformed_bytes);
