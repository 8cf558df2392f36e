/* Pieces of malformed models: see malformed_pieces.h. */
#include "malformed_pieces.h"

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

wire piece_value(const char *name, int type) {
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

wire piece_weight(void) {
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

void piece_add_value(wire *graph, uint32_t field, const char *name) {
  wire v = piece_value(name, 1);
  wire_msg(graph, field, &v);
}

/* What all graphs have apart from nodes and weights. */
void piece_add_ports(wire *graph) {
  wire_str(graph, GRAPH_NAME, "g");
  piece_add_value(graph, GRAPH_INPUT, "x");
  piece_add_value(graph, GRAPH_OUTPUT, "z");
}

void piece_add_nodes(wire *graph) {
  piece_add_node(graph, "Relu", "relu", "x", NULL, "y");
  piece_add_node(graph, "Add", "add", "y", "w", "z");
}

void piece_add_opset(wire *w, uint32_t field, const char *domain,
                      int64_t version) {
  wire o = {0};
  wire_str(&o, 1, domain);
  wire_int(&o, 2, version);
  wire_msg(w, field, &o);
}

static void piece_finish_of(wire *out, wire *graph, int opset) {
  wire_int(out, MODEL_IR, 10);
  wire_msg(out, MODEL_GRAPH, graph);
  piece_add_opset(out, MODEL_OPSET, "", opset);
}

void piece_finish(wire *out, wire *graph) { piece_finish_of(out, graph, 18); }

wire base_model(void) {
  wire out = {0}, g = {0}, w = piece_weight();
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  piece_add_ports(&g);
  piece_finish(&out, &g);
  return out;
}

/* The base model with this weight in place of w. */
void piece_with_weight(wire *out, wire *w) {
  wire g = {0};
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, w);
  piece_add_ports(&g);
  piece_finish(out, &g);
}

/* The base model with one more node in front. */
void piece_with_node(wire *out, wire *n) {
  wire g = {0}, w = piece_weight();
  wire_msg(&g, GRAPH_NODE, n);
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  piece_add_ports(&g);
  piece_finish(out, &g);
}

/* Two nodes of the caller and the weight. */
void piece_with_graph(wire *out, wire *g) { piece_of_opset(out, g, 18); }

void piece_of_opset(wire *out, wire *g, int opset) {
  wire w = piece_weight();
  wire_msg(g, GRAPH_INIT, &w);
  piece_add_ports(g);
  piece_finish_of(out, g, opset);
}
