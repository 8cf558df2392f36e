/* Malformed models: every way out of the model's directory from every place
 * where a tensor can stand; and files that want more memory than they have
 * bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "malformed_pieces.h"

/* ---- external data ---- */

typedef struct location {
  const char *name, *location, *offset, *length;
  int code;
  const char *fragment;
} location;

#define LONG 65600 /* bytes of a name that is too long */

static const location locations[] = {
    {"parent", "../x", "0", "16", 65, "out of the model's directory"},
    {"hidden", "a/../../x", "0", "16", 65, "out of the model's directory"},
    {"absolute", "/etc/passwd", "0", "16", 65, "absolute"},
    {"link", "link", "0", "16", 65, "out of the model's directory"},
    {"dirlink", "dirlink/passwd", "0", "16", 65, "out of the model's"},
    {"hard", "hard", "0", "16", 65, "hard links"},
    {"fifo", "fifo", "0", "16", 65, "FIFO"},
    {"dir", "sub", "0", "16", 65, "is a directory"},
    {"dot", ".", "0", "16", 65, "is a directory"},
    {"empty", "", "0", "16", 65, "empty location"},
    {"nul", "w.bin\1", "0", "16", 65, "NUL"},
    {"long", NULL, "0", "16", 65, "65600 bytes"},
    {"offset", "w.bin", "8", NULL, 74, "w.bin has 64 bytes"},
    {"negative", "w.bin", "-4", "16", 65, "'-4'"},
    {"wrapping", "w.bin", "18446744073709551624", "16", 65, "offset"},
    {"length", "w.bin", "0", "9223372036854775807", 74, "needed"},
    {"memory", "*/_ORT_MEM_ADDR_/*", "140000000000000", "16", 65, "address"},
    {"dots", "w..bin", "0", "64", 0, ""},
    {"back", "sub/../w.bin", "0", "64", 0, ""},
    {"device", "/dev/zero", "0", "16", 65, "absolute"},
};

static void add_key(wire *t, const char *key, const char *v) {
  wire x = {0};
  wire_str(&x, 1, key);
  wire_str(&x, 2, v);
  wire_msg(t, TENSOR_EXTERNAL, &x);
}

/* 64 bytes of f32 or i64 at l. */
static wire tensor_at(const location *l, const char *name, bool integers) {
  wire w = piece_tensor(name, integers ? 7 : 1, 1,
                        (const int64_t[]){integers ? 8 : 16});
  if (l->location) {
    char *s = strdup(l->location), *nul = s ? strchr(s, 1) : NULL;
    wire x = {0};
    size_t n = strlen(l->location);
    if (!s) abort();
    if (nul) *nul = 0;
    wire_str(&x, 1, "location");
    wire_blob(&x, 2, s, n);
    wire_msg(&w, TENSOR_EXTERNAL, &x);
    free(s);
  } else {
    char *s = malloc(LONG + 1);
    if (!s) abort();
    memset(s, 'a', LONG);
    s[LONG] = 0;
    add_key(&w, "location", s);
    free(s);
  }
  add_key(&w, "offset", l->offset);
  if (l->length) add_key(&w, "length", l->length);
  wire_int(&w, TENSOR_LOCATION, 1);
  return w;
}

static wire with_tensor(const char *op, const char *attribute, wire *t) {
  wire n = piece_node(op, "c", NULL, NULL, "q"), a = {0};
  wire_str(&a, ATTR_NAME, attribute);
  wire_msg(&a, ATTR_T, t);
  wire_int(&a, ATTR_TYPE, 4);
  wire_msg(&n, NODE_ATTR, &a);
  return n;
}

static void in_initializer(wire *out, const location *l) {
  wire g = {0}, w = tensor_at(l, "u", false);
  piece_add_nodes(&g);
  wire_msg(&g, GRAPH_INIT, &w);
  piece_with_graph(out, &g);
}

static void in_attribute(wire *out, const location *l) {
  wire t = tensor_at(l, "u", false), n = with_tensor("Constant", "value", &t);
  piece_with_node(out, &n);
}

/* A sparse f32[16] of which l holds the values, or the indices. */
static void sparse(wire *out, const location *l, bool indices) {
  wire g = {0}, s = {0}, v, i;
  static const float zeros[16];
  int64_t at[16];
  for (int k = 0; k < 16; k++) at[k] = k;
  int64_t n = indices ? 8 : 16;
  if (indices) {
    v = piece_tensor("sp", 1, 1, &n);
    wire_blob(&v, TENSOR_RAW, zeros, (size_t)n * sizeof *zeros);
    i = tensor_at(l, "i", true);
  } else {
    v = tensor_at(l, "sp", false);
    i = piece_tensor("i", 7, 1, &n);
    wire_blob(&i, TENSOR_RAW, at, (size_t)n * sizeof *at);
  }
  wire_msg(&s, 1, &v);
  wire_msg(&s, 2, &i);
  wire_int(&s, 3, 16);
  wire_msg(&g, GRAPH_SPARSE, &s);
  piece_add_nodes(&g);
  piece_with_graph(out, &g);
}
static void in_values(wire *out, const location *l) { sparse(out, l, false); }
static void in_indices(wire *out, const location *l) { sparse(out, l, true); }

/* A branch of an If that gives the tensor. */
static void add_branch(wire *node, const char *name, const location *l) {
  wire g = {0}, w = tensor_at(l, "u", false), a = {0}, r = {0};
  piece_add_node(&g, "Identity", "inner", "u", NULL, "r");
  wire_msg(&g, GRAPH_INIT, &w);
  wire_str(&r, 1, "r");
  wire_msg(&g, GRAPH_OUTPUT, &r);
  wire_str(&a, ATTR_NAME, name);
  wire_msg(&a, ATTR_G, &g);
  wire_int(&a, ATTR_TYPE, 5);
  wire_msg(node, NODE_ATTR, &a);
}

static void in_subgraph(wire *out, const location *l) {
  wire g = {0}, c = piece_tensor("c", 9, 0, NULL);
  wire n = piece_node("If", "branch", "c", NULL, "q");
  wire_blob(&c, TENSOR_RAW, "\1", 1);
  wire_msg(&g, GRAPH_INIT, &c);
  add_branch(&n, "then_branch", l);
  add_branch(&n, "else_branch", l);
  wire_msg(&g, GRAPH_NODE, &n);
  piece_add_nodes(&g);
  piece_with_graph(out, &g);
}

static void in_function(wire *out, const location *l) {
  wire t = tensor_at(l, "u", false), f = {0};
  wire n = with_tensor("Constant", "value", &t);
  wire_str(&f, FUNCTION_NAME, "unused");
  wire_msg(&f, FUNCTION_NODE, &n);
  *out = base_model();
  wire_msg(out, MODEL_FUNCTION, &f);
}

static const struct {
  const char *name;
  void (*make)(wire *out, const location *l);
} places[] = {
    {"init", in_initializer}, {"attr", in_attribute}, {"values", in_values},
    {"indices", in_indices},  {"graph", in_subgraph}, {"func", in_function},
};

/* ---- nesting and amplification ---- */

/* A message that holds itself, `levels` deep, made from inside out. */
static void nested(wire *out, int levels) {
  wire g = {0};
  piece_add_node(&g, "Relu", "r", "x", NULL, "r");
  for (int i = 1; i < levels; i++) {
    wire a = {0}, n = {0}, outer = {0};
    wire_msg(&a, ATTR_G, &g);
    wire_msg(&n, NODE_ATTR, &a);
    wire_msg(&outer, GRAPH_NODE, &n);
    g = outer;
  }
  wire_int(out, MODEL_IR, 10);
  wire_msg(out, MODEL_GRAPH, &g);
}

enum { BOMB = 4 << 20 };

/* A model whose graph is 4 MB of the same few bytes. */
static void repeated(wire *out, const void *piece, size_t n) {
  wire g = {0}, o = {0};
  for (size_t k = 0; k < BOMB; k += n) wire_bytes(&g, piece, n);
  wire_int(out, MODEL_IR, 10);
  wire_msg(out, MODEL_GRAPH, &g);
  wire_int(&o, 2, 18);
  wire_msg(out, MODEL_OPSET, &o);
}

static void empty_nodes(wire *out) { repeated(out, "\x0a\0", 2); }
static void empty_inputs(wire *out) { repeated(out, "\x5a\0", 2); }
static void empty_weights(wire *out) { repeated(out, "\x2a\0", 2); }
static void empty_metas(wire *out) { repeated(out, "\x82\x01\0", 3); }
static void unknown_fields(wire *out) { repeated(out, "\xa0\x06\x01", 3); }

static void many_dims(wire *out) {
  uint8_t *ones = malloc(BOMB);
  if (!ones) abort();
  memset(ones, 1, BOMB);
  wire w = {0};
  wire_blob(&w, TENSOR_DIMS, ones, BOMB); /* packed */
  wire_int(&w, TENSOR_TYPE, 1);
  wire_str(&w, TENSOR_NAME, "w");
  free(ones);
  piece_with_weight(out, &w);
}

static void many_attributes(wire *out) {
  wire n = piece_node("Relu", "n", "x", NULL, "q");
  for (int i = 0; i < 1000000; i++) wire_bytes(&n, "\x2a\0", 2);
  piece_with_node(out, &n);
}

static void deep(wire *out, int i) {
  static const int levels[] = {40, 1000, 10000};
  nested(out, levels[i]);
}
static void deep_40(wire *out) { deep(out, 0); }
static void deep_1000(wire *out) { deep(out, 1); }
static void deep_10000(wire *out) { deep(out, 2); }

static const malformed greedy[] = {
    {"deep-40.onnx", deep_40, 65, "depth"},
    {"deep-1000.onnx", deep_1000, 65, "depth"},
    {"deep-10000.onnx", deep_10000, 65, "depth"},
    {"bomb-nodes.onnx", empty_nodes, 65, "no operator"},
    {"bomb-inputs.onnx", empty_inputs, 65, ""},
    {"bomb-weights.onnx", empty_weights, 65, ""},
    {"bomb-metas.onnx", empty_metas, 0, ""},
    {"bomb-unknown.onnx", unknown_fields, 65, "unknown_fields"},
    {"bomb-dims.onnx", many_dims, 65, "rank"},
    {"bomb-attributes.onnx", many_attributes, 65, "attributes"},
};

/* ---- all of them ---- */

int malformed_places(malformed_put *put, const char *dir) {
  int failed = 0;
  char name[64];
  for (size_t i = 0; i < sizeof locations / sizeof *locations; i++)
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
      const location *l = &locations[i];
      /* Zeros are no indices; nobody reads a function that is not called. */
      if (!l->code && places[k].make == in_indices) continue;
      if (!l->length && places[k].make == in_function) continue;
      wire w = {0};
      snprintf(name, sizeof name, "%s-%s.onnx", places[k].name, l->name);
      places[k].make(&w, l);
      failed |= put(dir, name, &w, l->code, l->fragment);
      wire_free(&w);
    }
  for (size_t i = 0; i < sizeof greedy / sizeof *greedy; i++) {
    wire w = {0};
    greedy[i].make(&w);
    failed |= put(dir, greedy[i].name, &w, greedy[i].code, greedy[i].fragment);
    wire_free(&w);
  }
  return failed;
}
