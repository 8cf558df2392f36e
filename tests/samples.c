/* Models for tests of the tools, made byte by byte. */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "malformed_pieces.h"

enum { VALUE_NAME = 1, VALUE_TYPE = 2, FLOAT = 1, INT32 = 6, INT64 = 7 };

/* A value of this type; a dim of -1 is the symbol "n". */
static wire typed(const char *name, int type, int rank, const int64_t *dims) {
  wire w = {0}, t = {0}, tensor = {0}, shape = {0};
  for (int i = 0; i < rank; i++) {
    wire dim = {0};
    if (dims[i] < 0) wire_str(&dim, 2, "n");
    else wire_int(&dim, 1, dims[i]);
    wire_msg(&shape, 1, &dim);
  }
  wire_int(&tensor, 1, type);
  wire_msg(&tensor, 2, &shape);
  wire_msg(&t, 1, &tensor);
  wire_str(&w, VALUE_NAME, name);
  wire_msg(&w, VALUE_TYPE, &t);
  return w;
}

static void add_port(wire *g, uint32_t field, const char *name, int type,
                     int rank, const int64_t *dims) {
  wire v = typed(name, type, rank, dims);
  wire_msg(g, field, &v);
}

/* Small whole numbers, so that sums of products do not round. */
static void add_weight(wire *g, const char *name, int64_t rows, int64_t cols) {
  wire w = piece_tensor(name, FLOAT, 2, (const int64_t[]){rows, cols});
  float *data = malloc((size_t)(rows * cols) * sizeof *data);
  if (!data) abort();
  for (int64_t i = 0; i < rows * cols; i++) data[i] = (float)(i % 7 - 3);
  wire_blob(&w, TENSOR_RAW, data, (size_t)(rows * cols) * sizeof *data);
  free(data);
  wire_msg(g, GRAPH_INIT, &w);
}

static void finish(wire *out, wire *g, int64_t opset) {
  wire o = {0};
  wire_int(out, MODEL_IR, 8);
  wire_str(out, 2, "by hand");
  wire_msg(out, MODEL_GRAPH, g);
  wire_str(&o, 1, "");
  wire_int(&o, 2, opset);
  wire_msg(out, MODEL_OPSET, &o);
}

/* y = Relu(x w1) w2 with x f32[6,10]; sizes that 4 devices do not divide. */
static void mlp(wire *out) {
  wire g = {0};
  piece_add_node(&g, "MatMul", "up", "x", "w1", "h");
  piece_add_node(&g, "Relu", "relu", "h", NULL, "r");
  piece_add_node(&g, "MatMul", "down", "r", "w2", "y");
  wire_str(&g, GRAPH_NAME, "mlp");
  add_weight(&g, "w1", 10, 34);
  add_weight(&g, "w2", 34, 10);
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){6, 10});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){6, 10});
  finish(out, &g, 18);
}

/* y = x + the sum of four mlps of x, each with weights of its own. */
static void experts(wire *out) {
  static const char *const sum[] = {"x", "s0", "s1", "s2", "y"};
  wire g = {0};
  for (int i = 0; i < 4; i++) {
    static const char *const part[] = {"w1", "w2", "h", "r", "m", "add"};
    char name[6][16];
    for (int k = 0; k < 6; k++)
      snprintf(name[k], sizeof name[k], "e.%d.%s", i, part[k]);
    add_weight(&g, name[0], 10, 12);
    add_weight(&g, name[1], 12, 10);
    piece_add_node(&g, "MatMul", name[2], "x", name[0], name[2]);
    piece_add_node(&g, "Relu", name[3], name[2], NULL, name[3]);
    piece_add_node(&g, "MatMul", name[4], name[3], name[1], name[4]);
    piece_add_node(&g, "Add", name[5], sum[i], name[4], sum[i + 1]);
  }
  wire_str(&g, GRAPH_NAME, "experts");
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){6, 10});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){6, 10});
  finish(out, &g, 18);
}

/* mlp for a batch of any size, with another hidden layer. */
static void any_batch(wire *out) {
  wire g = {0};
  piece_add_node(&g, "MatMul", "up", "x", "w1", "h");
  piece_add_node(&g, "MatMul", "down", "h", "w2", "y");
  wire_str(&g, GRAPH_NAME, "any");
  add_weight(&g, "w1", 10, 36);
  add_weight(&g, "w2", 36, 10);
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){-1, 10});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){-1, 10});
  finish(out, &g, 18);
}

/* Two calls of a function, with texts and fields that nobody knows. */
static void functions(wire *out) {
  wire g = {0}, f = {0}, o = {0}, p = {0}, n;
  for (int i = 0; i < 2; i++) {
    n = piece_node("Layer", i ? "second" : "first", i ? "h" : "x",
                   i ? "w2" : "w1", i ? "y" : "h");
    wire_str(&n, 6, "a call");
    wire_str(&n, NODE_DOMAIN, "my");
    wire_int(&n, 77, 7);
    wire_msg(&g, GRAPH_NODE, &n);
  }
  wire_str(&g, GRAPH_NAME, "functions");
  add_weight(&g, "w1", 10, 34);
  add_weight(&g, "w2", 34, 10);
  wire_str(&g, 10, "about the graph");
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){6, 10});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){6, 10});
  finish(out, &g, 18);
  wire_str(&o, 1, "my");
  wire_int(&o, 2, 1);
  wire_msg(out, MODEL_OPSET, &o);
  wire_str(&p, 1, "author");
  wire_str(&p, 2, "nobody");
  wire_msg(out, 14, &p);
  wire_str(&f, FUNCTION_NAME, "Layer");
  wire_str(&f, FUNCTION_IN, "a");
  wire_str(&f, FUNCTION_IN, "b");
  wire_str(&f, FUNCTION_OUT, "d");
  n = piece_node("MatMul", "mm", "a", "b", "c");
  wire_msg(&f, FUNCTION_NODE, &n);
  n = piece_node("Relu", "relu", "c", NULL, "d");
  wire_msg(&f, FUNCTION_NODE, &n);
  wire_str(&o, 1, "");
  wire_int(&o, 2, 18);
  wire_msg(&f, FUNCTION_OPSET, &o);
  wire_str(&f, FUNCTION_DOMAIN, "my");
  wire_msg(out, MODEL_FUNCTION, &f);
}

static void add_ints(wire *node, const char *name, int n, const int64_t *v) {
  wire a = {0};
  wire_str(&a, ATTR_NAME, name);
  for (int i = 0; i < n; i++) wire_int(&a, 8, v[i]);
  wire_int(&a, ATTR_TYPE, 7);
  wire_msg(node, NODE_ATTR, &a);
}

/* Opset 9, where Squeeze, Unsqueeze and ReduceSum have their axes as an
 * attribute. */
static void old(wire *out) {
  wire g = {0}, n = piece_node("Unsqueeze", "grow", "x", NULL, "u");
  add_ints(&n, "axes", 1, (const int64_t[]){1});
  wire_msg(&g, GRAPH_NODE, &n);
  n = piece_node("ReduceSum", "sum", "u", NULL, "s");
  add_ints(&n, "axes", 1, (const int64_t[]){2});
  wire_msg(&g, GRAPH_NODE, &n);
  n = piece_node("Squeeze", "shrink", "s", NULL, "q");
  add_ints(&n, "axes", 2, (const int64_t[]){1, 2});
  wire_msg(&g, GRAPH_NODE, &n);
  piece_add_node(&g, "Relu", "relu", "q", NULL, "y");
  wire_str(&g, GRAPH_NAME, "old");
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){6, 10});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 1, (const int64_t[]){6});
  finish(out, &g, 9);
}

/* Two inputs, one of whole numbers, and two outputs. */
static void ports(wire *out) {
  wire g = {0};
  piece_add_node(&g, "Gather", "look", "table", "ids", "a");
  piece_add_node(&g, "Add", "add", "a", "x", "y");
  piece_add_node(&g, "Neg", "neg", "y", NULL, "z");
  wire_str(&g, GRAPH_NAME, "ports");
  add_weight(&g, "table", 30, 10);
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){6, 10});
  add_port(&g, GRAPH_INPUT, "ids", INT64, 1, (const int64_t[]){6});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){6, 10});
  add_port(&g, GRAPH_OUTPUT, "z", FLOAT, 2, (const int64_t[]){6, 10});
  finish(out, &g, 18);
}

/* y = (x w) w: one weight with two uses. */
static void twice(wire *out) {
  wire g = {0};
  piece_add_node(&g, "MatMul", "a", "x", "w", "h");
  piece_add_node(&g, "MatMul", "b", "h", "w", "y");
  wire_str(&g, GRAPH_NAME, "twice");
  add_weight(&g, "w", 64, 64);
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){4, 64});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){4, 64});
  finish(out, &g, 18);
}

/* y = x w with a weight of 1 GiB in big.bin, a file with no blocks. */
static void big(wire *out) {
  wire g = {0}, x = {0};
  wire w = piece_tensor("w", FLOAT, 2, (const int64_t[]){16384, 16384});
  piece_add_node(&g, "MatMul", "mm", "x", "w", "y");
  wire_str(&g, GRAPH_NAME, "big");
  wire_str(&x, 1, "location");
  wire_str(&x, 2, "big.bin");
  wire_msg(&w, TENSOR_EXTERNAL, &x);
  wire_int(&w, TENSOR_LOCATION, 1);
  wire_msg(&g, GRAPH_INIT, &w);
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){1, 16384});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){1, 16384});
  finish(out, &g, 18);
}

/* y = x w0 ... w15: weights of 4 MiB each in heavy.bin, with no blocks. */
static void heavy(wire *out) {
  static const int64_t dims[] = {1024, 1024};
  char from[8] = "x", to[8];
  wire g = {0};
  for (int i = 0; i < 16; i++) {
    char weight[8], offset[24];
    wire w, where = {0}, at = {0};
    snprintf(weight, sizeof weight, "w%d", i);
    snprintf(offset, sizeof offset, "%d", i * 4 * 1024 * 1024);
    snprintf(to, sizeof to, i < 15 ? "a%d" : "y", i);
    w = piece_tensor(weight, FLOAT, 2, dims);
    wire_str(&where, 1, "location");
    wire_str(&where, 2, "heavy.bin");
    wire_msg(&w, TENSOR_EXTERNAL, &where);
    wire_str(&at, 1, "offset");
    wire_str(&at, 2, offset);
    wire_msg(&w, TENSOR_EXTERNAL, &at);
    wire_int(&w, TENSOR_LOCATION, 1);
    wire_msg(&g, GRAPH_INIT, &w);
    piece_add_node(&g, "MatMul", to, from, weight, to);
    snprintf(from, sizeof from, "%s", to);
  }
  wire_str(&g, GRAPH_NAME, "heavy");
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){4, 1024});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){4, 1024});
  finish(out, &g, 18);
}

/* y = Conv(x, w), of four images. */
static void conv(wire *out) {
  static const int64_t dims[] = {64, 16, 3, 3};
  static float data[64 * 16 * 9];
  wire g = {0}, w = piece_tensor("w", FLOAT, 4, dims);
  for (int i = 0; i < 64 * 16 * 9; i++) data[i] = (float)(i % 7 - 3);
  piece_add_node(&g, "Conv", "c", "x", "w", "y");
  wire_str(&g, GRAPH_NAME, "conv");
  wire_blob(&w, TENSOR_RAW, data, sizeof data);
  wire_msg(&g, GRAPH_INIT, &w);
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 4, (const int64_t[]){4, 16, 24, 24});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 4, (const int64_t[]){4, 64, 22, 22});
  finish(out, &g, 18);
}

/* twice.onnx, computed in f16. */
static void half(wire *out) {
  enum { FLOAT16 = 10 };
  wire g = {0}, n, a;
  static const char *const cast[][3] = {
      {"x", "xh", "in"}, {"w", "wh", "weight"}, {"yh", "y", "out"}};
  for (int i = 0; i < 3; i++) {
    if (i == 2) {
      piece_add_node(&g, "MatMul", "a", "xh", "wh", "h");
      piece_add_node(&g, "MatMul", "b", "h", "wh", "yh");
    }
    n = piece_node("Cast", cast[i][2], cast[i][0], NULL, cast[i][1]);
    a = (wire){0};
    wire_str(&a, ATTR_NAME, "to");
    wire_int(&a, ATTR_I, i == 2 ? FLOAT : FLOAT16);
    wire_int(&a, ATTR_TYPE, 2);
    wire_msg(&n, NODE_ATTR, &a);
    wire_msg(&g, GRAPH_NODE, &n);
  }
  wire_str(&g, GRAPH_NAME, "half");
  add_weight(&g, "w", 64, 64);
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){4, 64});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){4, 64});
  finish(out, &g, 18);
}

/* Token ids that index a table of 50 rows once converted and reshaped, and one
 * of 60 rows as they are; with this gshard.range unless it is NULL. */
static void tokens_in(wire *out, const char *range) {
  static const int64_t flat = 200;
  wire g = {0}, a = {0}, n = piece_node("Cast", "wide", "ids", NULL, "c");
  wire_str(&a, ATTR_NAME, "to");
  wire_int(&a, ATTR_I, INT64);
  wire_int(&a, ATTR_TYPE, 2);
  wire_msg(&n, NODE_ATTR, &a);
  wire_msg(&g, GRAPH_NODE, &n);
  piece_add_node(&g, "Reshape", "flat", "c", "shape", "f");
  piece_add_node(&g, "Gather", "look", "table", "f", "y");
  piece_add_node(&g, "Gather", "large", "more", "ids", "z");
  piece_add_node(&g, "Neg", "neg", "ids", NULL, "seen");
  wire_str(&g, GRAPH_NAME, "tokens");
  add_weight(&g, "table", 50, 8);
  add_weight(&g, "more", 60, 8);
  wire s = piece_tensor("shape", INT64, 1, (const int64_t[]){1});
  wire_blob(&s, TENSOR_RAW, &flat, sizeof flat);
  wire_msg(&g, GRAPH_INIT, &s);
  wire ids = typed("ids", INT32, 2, (const int64_t[]){2, 100}), p = {0};
  if (range) {
    wire_str(&p, 1, "gshard.range");
    wire_str(&p, 2, range);
    wire_msg(&ids, 4, &p);
  }
  wire_msg(&g, GRAPH_INPUT, &ids);
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){200, 8});
  add_port(&g, GRAPH_OUTPUT, "z", FLOAT, 3, (const int64_t[]){2, 100, 8});
  add_port(&g, GRAPH_OUTPUT, "seen", INT32, 2, (const int64_t[]){2, 100});
  finish(out, &g, 18);
}

static void tokens(wire *out) { tokens_in(out, NULL); }
static void ranged(wire *out) { tokens_in(out, "30:41"); }

/* y = x, but `then` where x is exactly 2. */
static void where_two(wire *out, float then) {
  const float value[] = {2, then};
  static const char *const name[] = {"two", "then"};
  wire g = {0};
  piece_add_node(&g, "Equal", "is", "x", "two", "c");
  wire n = piece_node("Where", "choose", "c", "then", "y");
  wire_str(&n, NODE_IN, "x");
  wire_msg(&g, GRAPH_NODE, &n);
  wire_str(&g, GRAPH_NAME, "two");
  for (int i = 0; i < 2; i++) {
    wire w = piece_tensor(name[i], FLOAT, 1, (const int64_t[]){1});
    wire_blob(&w, TENSOR_RAW, &value[i], sizeof *value);
    wire_msg(&g, GRAPH_INIT, &w);
  }
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){6, 10});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){6, 10});
  finish(out, &g, 18);
}

static void two(wire *out) { where_two(out, 2); }
static void three(wire *out) { where_two(out, 3); }

/* y = x w with a weight of 400 bytes in small.bin. */
static void external(wire *out) {
  wire g = {0}, x = {0};
  wire w = piece_tensor("w", FLOAT, 2, (const int64_t[]){10, 10});
  piece_add_node(&g, "MatMul", "mm", "x", "w", "y");
  wire_str(&g, GRAPH_NAME, "external");
  wire_str(&x, 1, "location");
  wire_str(&x, 2, "small.bin");
  wire_msg(&w, TENSOR_EXTERNAL, &x);
  wire_int(&w, TENSOR_LOCATION, 1);
  wire_msg(&g, GRAPH_INIT, &w);
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 2, (const int64_t[]){6, 10});
  add_port(&g, GRAPH_OUTPUT, "y", FLOAT, 2, (const int64_t[]){6, 10});
  finish(out, &g, 18);
}

/* Outputs whose names are like each other, or cannot be those of files. */
static void outputs(wire *out) {
  static const char *const name[] = {"a/b", "a_b", "a%2Fb", "..", "\033[2J"};
  wire g = {0};
  wire_str(&g, GRAPH_NAME, "outputs");
  add_port(&g, GRAPH_INPUT, "x", FLOAT, 1, (const int64_t[]){6});
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    piece_add_node(&g, i % 2 ? "Neg" : "Abs", "", "x", NULL, name[i]);
    add_port(&g, GRAPH_OUTPUT, name[i], FLOAT, 1, (const int64_t[]){6});
  }
  finish(out, &g, 18);
}

/* What a terminal obeys: ESC, a line end, a C1 control, a change of direction,
 * DEL.  As part of every name of a model. */
#define HOSTILE(name) "\033]0;t\a\nforged \302\23331m\342\200\256\177" name

/* The names of mlp.onnx, hostile. */
static void hostile(wire *out) {
  wire g = {0}, p = {0}, n = piece_node("MatMul", HOSTILE("up"), HOSTILE("x"),
                                        HOSTILE("w1"), HOSTILE("h"));
  wire_str(&n, 6, HOSTILE("doc"));
  wire_msg(&g, GRAPH_NODE, &n);
  piece_add_node(&g, "Relu", HOSTILE("relu"), HOSTILE("h"), NULL,
                 HOSTILE("r"));
  piece_add_node(&g, "MatMul", HOSTILE("down"), HOSTILE("r"), HOSTILE("w2"),
                 HOSTILE("y"));
  piece_add_node(&g, "NonZero", HOSTILE("nonzero"), HOSTILE("y"), NULL,
                 HOSTILE("z"));
  wire_str(&g, GRAPH_NAME, HOSTILE("graph"));
  add_weight(&g, HOSTILE("w1"), 10, 34);
  add_weight(&g, HOSTILE("w2"), 34, 10);
  wire_str(&g, 10, HOSTILE("doc"));
  wire v = typed(HOSTILE("x"), FLOAT, 2, (const int64_t[]){6, 10});
  wire_str(&v, 3, HOSTILE("doc"));
  wire_str(&p, 1, "gshard.range");
  wire_str(&p, 2, HOSTILE("range"));
  wire_msg(&v, 4, &p);
  wire_msg(&g, GRAPH_INPUT, &v);
  add_port(&g, GRAPH_OUTPUT, HOSTILE("y"), FLOAT, 2, (const int64_t[]){6, 10});
  finish(out, &g, 18);
  wire_str(&p, 1, HOSTILE("key"));
  wire_str(&p, 2, HOSTILE("value"));
  wire_msg(out, 14, &p);
}

/* An operator, a domain, an attribute and a dim of which nobody knows. */
static void hostile_op(wire *out) {
  wire g = {0}, a = {0}, o = {0}, dim = {0}, shape = {0}, tensor = {0};
  wire type = {0}, x = {0};
  wire n = piece_node(HOSTILE("Op"), HOSTILE("node"), HOSTILE("x"), NULL,
                      HOSTILE("y"));
  wire_str(&n, NODE_DOMAIN, HOSTILE("domain"));
  wire_str(&a, ATTR_NAME, HOSTILE("attribute"));
  wire_str(&a, 4, HOSTILE("text"));
  wire_int(&a, ATTR_TYPE, 3);
  wire_msg(&n, NODE_ATTR, &a);
  wire_msg(&g, GRAPH_NODE, &n);
  wire_str(&g, GRAPH_NAME, "g");
  wire_str(&dim, 2, HOSTILE("dim"));
  wire_msg(&shape, 1, &dim);
  wire_int(&tensor, 1, FLOAT);
  wire_msg(&tensor, 2, &shape);
  wire_msg(&type, 1, &tensor);
  wire_str(&x, VALUE_NAME, HOSTILE("x"));
  wire_msg(&x, VALUE_TYPE, &type);
  wire_msg(&g, GRAPH_INPUT, &x);
  add_port(&g, GRAPH_OUTPUT, HOSTILE("y"), FLOAT, 1, (const int64_t[]){6});
  finish(out, &g, 18);
  wire_str(&o, 1, HOSTILE("domain"));
  wire_int(&o, 2, 1);
  wire_msg(out, MODEL_OPSET, &o);
}

static const struct {
  const char *name;
  void (*make)(wire *out);
} samples[] = {
    {"heavy.onnx", heavy},
    {"mlp.onnx", mlp}, {"any.onnx", any_batch}, {"experts.onnx", experts},
    {"functions.onnx", functions},
    {"old.onnx", old}, {"ports.onnx", ports},   {"big.onnx", big},
    {"twice.onnx", twice}, {"conv.onnx", conv}, {"external.onnx", external},
    {"outputs.onnx", outputs}, {"hostile.onnx", hostile},
    {"hostile-op.onnx", hostile_op}, {"half.onnx", half},
    {"tokens.onnx", tokens}, {"two.onnx", two}, {"ranged.onnx", ranged},
    {"three.onnx", three},
};

int samples_write(const char *dir) {
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    char path[4096];
    wire w = {0};
    snprintf(path, sizeof path, "%s/%s", dir, samples[i].name);
    samples[i].make(&w);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(w.at, 1, w.n, f) != w.n || fclose(f)) {
      perror(path);
      return 74;
    }
    wire_free(&w);
  }
  return 0;
}

/* ---- comparing ---- */

typedef struct field {
  uint64_t number;
  const uint8_t *at; /* after the key */
  size_t n;          /* with a length prefix left out */
  unsigned type;
} field;

typedef struct bytes {
  const uint8_t *at, *end;
} bytes;

static uint64_t varint(bytes *b) {
  uint64_t v = 0;
  for (int shift = 0; b->at < b->end; shift += 7) {
    uint8_t c = *b->at++;
    v |= (uint64_t)(c & 0x7f) << shift;
    if (c < 0x80) break;
  }
  return v;
}

static field next(bytes *b) {
  uint64_t key = varint(b);
  field f = {.number = key >> 3, .type = key & 7, .at = b->at};
  if (f.type == 0) varint(b);
  else if (f.type == 2) {
    uint64_t n = varint(b);
    f.at = b->at;
    b->at += n;
  } else {
    b->at += f.type == 1 ? 8 : 4;
  }
  f.n = (size_t)(b->at - f.at);
  return f;
}

enum { IN_MODEL, IN_GRAPH, IN_NODE };

static bool is_dropped(int where, uint64_t number) {
  if (where == IN_MODEL)
    return number == MODEL_IR || number == 14 || number == MODEL_CONFIG;
  return number == (where == IN_GRAPH ? 16 : (uint64_t)NODE_DEVICES);
}

/* Next field that is kept; number 0 at the end. */
static field kept(int where, bytes *b) {
  while (b->at < b->end) {
    field f = next(b);
    if (!is_dropped(where, f.number)) return f;
  }
  return (field){0};
}

static bool same(int where, bytes a, bytes b) {
  for (;;) {
    field x = kept(where, &a), y = kept(where, &b);
    if (x.number != y.number || x.type != y.type) return false;
    if (!x.number) return true;
    bytes p = {x.at, x.at + x.n}, q = {y.at, y.at + y.n};
    bool inside = (where == IN_MODEL && x.number == MODEL_GRAPH) ||
                  (where == IN_GRAPH && x.number == GRAPH_NODE);
    if (inside ? !same(where + 1, p, q)
               : x.n != y.n || memcmp(x.at, y.at, x.n))
      return false;
  }
}

static uint8_t *load(const char *path, bytes *b) {
  static const size_t max = 1 << 20;
  FILE *f = fopen(path, "rb");
  uint8_t *p = f ? malloc(max) : NULL;
  if (!p) {
    perror(path);
    exit(66);
  }
  size_t n = fread(p, 1, max, f);
  fclose(f);
  *b = (bytes){p, p + n};
  return p;
}

int samples_same(const char *a, const char *b) {
  bytes x, y;
  uint8_t *p = load(a, &x), *q = load(b, &y);
  bool equal = same(IN_MODEL, x, y);
  if (!equal) printf("%s and %s differ in more than annotations\n", a, b);
  free(p);
  free(q);
  return equal ? 0 : 1;
}
