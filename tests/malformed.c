/* Malformed models.  Each is the base model with one fault. */
#include "malformed_pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
  wire g = {0}, w = piece_weight();
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
  piece_add_value(&g, GRAPH_INPUT, "x");
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
  wire g = {0}, v = piece_value("q", 99);
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
  piece_add_opset(&f, FUNCTION_OPSET, "", 18);
  piece_add_opset(&f, FUNCTION_OPSET, "my", 1);
  wire_str(&f, FUNCTION_DOMAIN, "my");
  wire_msg(model, MODEL_FUNCTION, &f);
}

static void with_call(wire *out, const char *name) {
  wire n = piece_node(name, "top", "x", NULL, "q");
  wire_str(&n, NODE_DOMAIN, "my");
  piece_with_node(out, &n);
  piece_add_opset(out, MODEL_OPSET, "my", 1);
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
  piece_add_opset(out, MODEL_OPSET, "my", 1);
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
    piece_add_opset(&f, FUNCTION_OPSET, "my", 1);
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
    {"dev-order.onnx", bad_dev_order, 0, ""},
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
    {"dev-partial.onnx", bad_dev_partial, 69, "does not come from any mesh"},
    {"dev-group.onnx", bad_dev_group, 65, "device -1"},
    {"dev-two-configs.onnx", bad_dev_two_configs, 65, "two configurations 'c'"},
    {"dev-no-devices.onnx", bad_dev_no_devices, 65, "has 0 devices"},
};
const int malformed_nmodels =
    (int)(sizeof malformed_models / sizeof *malformed_models);
