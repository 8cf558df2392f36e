/* Files that repeat a few bytes millions of times: reading them takes at most
 * 20 times their size in memory, whether they are refused or not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/onnx/model.h"
#include "malformed_pieces.h"
#include "suite.h"

enum { SIZE = 4 << 20, FACTOR = 20, MAX_DEPTH = 5 };
enum { SLACK = 8 << 20 }; /* huge pages round each large block up */

/* Where the bytes are repeated: in the message that these fields lead to. */
typedef struct place {
  int n;
  uint32_t field[MAX_DEPTH];
} place;

static const place in_model = {0}, in_graph = {1, {MODEL_GRAPH}},
                   in_node = {2, {MODEL_GRAPH, GRAPH_NODE}},
                   in_weight = {2, {MODEL_GRAPH, GRAPH_INIT}},
                   in_function = {1, {MODEL_FUNCTION}},
                   in_attribute = {3, {MODEL_GRAPH, GRAPH_NODE, NODE_ATTR}},
                   in_shape = {5, {MODEL_GRAPH, GRAPH_VALUE, 2, 1, 2}};

#define PIECE(text) text, sizeof text - 1

typedef struct bomb {
  const char *name;
  const place *at;
  const char *piece;
  size_t n;
  int code;
} bomb;

static const bomb bombs[] = {
    {"nodes", &in_graph, PIECE("\x0a\0"), 65},
    {"nodes with an empty name", &in_graph, PIECE("\x0a\x02\x1a\0"), 65},
    {"inputs", &in_graph, PIECE("\x5a\0"), 65},
    {"inputs with an empty name", &in_graph, PIECE("\x5a\x02\x0a\0"), 65},
    {"inputs of one name", &in_graph, PIECE("\x5a\x03\x0a\1a"), 65},
    {"outputs", &in_graph, PIECE("\x62\0"), 65},
    {"value_infos", &in_graph, PIECE("\x6a\0"), 0},
    {"value_infos of one name", &in_graph, PIECE("\x6a\x03\x0a\1a"), 0},
    {"initializers", &in_graph, PIECE("\x2a\0"), 65},
    {"initializers with dims", &in_graph, PIECE("\x2a\x02\x08\0"), 65},
    {"sparse initializers", &in_graph, PIECE("\x7a\0"), 65},
    {"quantization annotations", &in_graph, PIECE("\x72\0"), 0},
    {"metadata", &in_graph, PIECE("\x82\1\0"), 0},
    {"metadata of the model", &in_model, PIECE("\x72\0"), 0},
    {"metadata of empty strings", &in_model, PIECE("\x72\x04\x0a\0\x12\0"), 0},
    {"opset imports", &in_model, PIECE("\x42\0"), 65},
    {"functions", &in_model, PIECE("\xca\1\0"), 65},
    {"training", &in_model, PIECE("\xa2\1\0"), 0},
    {"configurations", &in_model, PIECE("\xd2\1\0"), 0},
    {"operands", &in_node, PIECE("\x0a\0"), 0},
    {"results", &in_node, PIECE("\x12\0"), 0},
    {"attributes", &in_node, PIECE("\x2a\0"), 65},
    {"metadata of a node", &in_node, PIECE("\x4a\0"), 0},
    {"device configurations", &in_node, PIECE("\x52\0"), 0},
    {"device configurations of no name", &in_node, PIECE("\x52\2\x0a\0"), 0},
    {"dims", &in_weight, PIECE("\x08\1"), 65},
    {"floats", &in_weight, PIECE("\x25\0\0\0\0"), 65},
    {"strings", &in_weight, PIECE("\x32\0"), 65},
    {"numbers", &in_weight, PIECE("\x38\0"), 65},
    {"external data", &in_weight, PIECE("\x6a\0"), 65},
    {"integers", &in_attribute, PIECE("\x40\0"), 0},
    {"strings of an attribute", &in_attribute, PIECE("\x4a\0"), 0},
    {"tensors of an attribute", &in_attribute, PIECE("\x52\0"), 65},
    {"graphs of an attribute", &in_attribute, PIECE("\x5a\0"), 65},
    {"types of an attribute", &in_attribute, PIECE("\x7a\0"), 65},
    {"dims of a shape", &in_shape, PIECE("\x0a\0"), 0},
    {"inputs of a function", &in_function, PIECE("\x22\0"), 0},
    {"attributes of a function", &in_function, PIECE("\x5a\0"), 65},
    {"value_infos of a function", &in_function, PIECE("\x62\0"), 0},
    {"unknown fields", &in_graph, PIECE("\xa0\6\1"), 65},
};
enum { NBOMB = sizeof bombs / sizeof *bombs };

/* What the message at depth `level` of the place needs besides. */
static void add_needed(const place *p, int level, wire *w) {
  if (p == &in_node && level == 2) wire_str(w, NODE_OP, "Sum");
  if (p == &in_attribute && level == 2) wire_str(w, NODE_OP, "Sum");
  if (p == &in_attribute && level == 3) wire_str(w, ATTR_NAME, "a");
  if (p == &in_function && level == 1) wire_str(w, FUNCTION_NAME, "f");
  if (p == &in_weight && level == 2) {
    wire_str(w, TENSOR_NAME, "w");
    wire_int(w, TENSOR_TYPE, 8);
  }
}

static wire make(const bomb *b) {
  wire w = {0};
  for (size_t n = 0; b && n < SIZE; n += b->n) wire_bytes(&w, b->piece, b->n);
  for (int i = b ? b->at->n : 0; i > 0; i--) {
    wire outer = {0};
    add_needed(b->at, i, &w);
    wire_msg(&outer, b->at->field[i - 1], &w);
    w = outer;
  }
  wire o = {0}, g = {0};
  wire_int(&w, MODEL_IR, 10);
  wire_int(&o, 2, 18);
  wire_msg(&w, MODEL_OPSET, &o);
  if (!b || b->at->n == 0 || b->at->field[0] != MODEL_GRAPH)
    wire_msg(&w, MODEL_GRAPH, &g);
  return w;
}

/* In a process of its own. */
static int read_model(const char *path) {
  gs_arena a;
  gs_err e;
  gs_model *m = NULL;
  gs_graph *g;
  gs_arena_init(&a);
  gs_err_init(&e);
  gs_status s = gs_model_read(&a, path, NULL, &m, &e);
  if (!s) s = gs_model_import(m, &g, &e);
  return (int)s;
}

/* Reads what b is; the most memory that this took, in bytes. */
static int64_t peak(const bomb *b, int *code) {
  char path[] = "/tmp/gshard-bomb-XXXXXX";
  int fd = mkstemp(path), status;
  wire w = make(b);
  ck_assert_int_ge(fd, 0);
  for (size_t at = 0; at < w.n;) {
    ssize_t n = write(fd, w.at + at, w.n - at);
    ck_assert_int_gt(n, 0);
    at += (size_t)n;
  }
  close(fd);
  wire_free(&w);
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (!child) _exit(read_model(path));
  struct rusage used;
  ck_assert_int_eq(wait4(child, &status, 0, &used), child);
  unlink(path);
  ck_assert(WIFEXITED(status));
  *code = WEXITSTATUS(status);
  return (int64_t)used.ru_maxrss * 1024;
}

START_TEST(bounded) {
  const bomb *b = &bombs[_i];
  int code;
  int64_t base = peak(NULL, &code);
  ck_assert_int_eq(code, 0);
  int64_t max = peak(b, &code) - base;
  if (getenv("GSHARD_PRINT"))
    printf("%s: exit %d, %.1f times\n", b->name, code, (double)max / SIZE);
  ck_assert_msg(code == b->code, "%s: status %d", b->name, code);
#ifndef __SANITIZE_ADDRESS__
  ck_assert_msg(max <= INT64_C(1) * FACTOR * SIZE + SLACK,
                "%s: %.1f times the size", b->name, (double)max / SIZE);
#endif
}
END_TEST

int main(void) {
  TCase *t = tcase_create("bombs");
  tcase_add_loop_test(t, bounded, 0, NBOMB);
  return suite_run("bombs", t);
}
