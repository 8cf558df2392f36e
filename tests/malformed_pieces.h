/* Pieces of the models in malformed*.c. */
#ifndef GS_TESTS_MALFORMED_PIECES_H
#define GS_TESTS_MALFORMED_PIECES_H

#include "malformed.h"

/* Field numbers of the messages that are written here. */
enum {
  MODEL_IR = 1, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_FUNCTION = 25,
  MODEL_CONFIG = 26,
  GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INIT = 5, GRAPH_INPUT = 11,
  GRAPH_OUTPUT = 12, GRAPH_VALUE = 13, GRAPH_SPARSE = 15,
  NODE_IN = 1, NODE_OUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTR = 5,
  NODE_DOMAIN = 7, NODE_DEVICES = 10,
  ATTR_NAME = 1, ATTR_I = 3, ATTR_T = 5, ATTR_G = 6, ATTR_TYPE = 20,
  ATTR_REF = 21,
  TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_FLOATS = 4, TENSOR_INTS = 5,
  TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_EXTERNAL = 13, TENSOR_LOCATION = 14,
  FUNCTION_NAME = 1, FUNCTION_IN = 4, FUNCTION_OUT = 5, FUNCTION_NODE = 7,
  FUNCTION_OPSET = 9, FUNCTION_DOMAIN = 10
};

/* A node of up to two operands. */
wire piece_node(const char *op, const char *name, const char *a, const char *b,
                const char *out);
/* Dims and type of a tensor, without its data. */
wire piece_tensor(const char *name, int type, int rank, const int64_t *dims);
void piece_add_node(wire *graph, const char *op, const char *name,
                    const char *a, const char *b, const char *out);
/* The two nodes of the base model. */
void piece_add_nodes(wire *graph);
/* The base model with this weight in place of w. */
void piece_with_weight(wire *out, wire *w);
/* The base model with one more node in front. */
void piece_with_node(wire *out, wire *n);
/* Nodes of the caller, weight w, input x and output z. */
void piece_with_graph(wire *out, wire *g);
/* The same for another opset. */
void piece_of_opset(wire *out, wire *g, int opset);

wire piece_weight(void);
void piece_add_value(wire *graph, uint32_t field, const char *name);
/* What all graphs have apart from nodes and weights. */
void piece_add_ports(wire *graph);
/* The model of a graph. */
void piece_finish(wire *out, wire *graph);
void piece_add_opset(wire *w, uint32_t field, const char *domain,
                     int64_t version);
wire piece_value(const char *name, int type);

extern const int64_t piece_square[2];

/* External data and multi-device annotations (malformed_external.c). */
void bad_ext_parent(wire *out);
void bad_ext_hidden_parent(wire *out);
void bad_ext_absolute(wire *out);
void bad_ext_empty(wire *out);
void bad_ext_none(wire *out);
void bad_ext_link(wire *out);
void bad_ext_dir_link(wire *out);
void bad_ext_fifo(wire *out);
void bad_ext_dir(wire *out);
void bad_ext_dot(wire *out);
void bad_ext_hard(wire *out);
void bad_ext_memory(wire *out);
void bad_ext_offset(wire *out);
void bad_ext_negative(wire *out);
void bad_ext_wrapping(wire *out);
void bad_ext_wrapping_sum(wire *out);
void bad_ext_length(wire *out);
void bad_ext_other_length(wire *out);
void bad_ext_good(wire *out);
void bad_ext_sub(wire *out);
void bad_ext_back(wire *out);
void bad_ext_dots(wire *out);
void bad_ext_missing(wire *out);
void bad_ext_key(wire *out);
void bad_ext_attribute(wire *out);
void bad_ext_function(wire *out);
void bad_ext_sparse(wire *out);
void bad_dev_good(wire *out);
void bad_dev_axis(wire *out);
void bad_dev_axis_negative(wire *out);
void bad_dev_shards_0(wire *out);
void bad_dev_shards_huge(wire *out);
void bad_dev_product(wire *out);
void bad_dev_id(wire *out);
void bad_dev_twice(wire *out);
void bad_dev_unknown(wire *out);
void bad_dev_foreign(wire *out);
void bad_dev_repeated(wire *out);
void bad_dev_order(wire *out);
void bad_dev_partial(wire *out);
void bad_dev_group(wire *out);
void bad_dev_two_configs(wire *out);
void bad_dev_no_devices(wire *out);

#endif
