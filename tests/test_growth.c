/* Memory grows with nodes and operands, not with products of them: models in
 * which one count is N and then 4 N, through all three tools. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "malformed_pieces.h"
#include "suite.h"

enum { N = 600, TIMES = 4, FLOAT = 1, VALUE_NAME = 1, VALUE_TYPE = 2 };

/* What a family makes: the graph, and the spec behind its mesh. */
typedef struct made {
  wire g;
  FILE *spec;
} made;

typedef struct family {
  const char *name;
  void (*make)(made *m, int n);
  bool runs; /* through gshard-run too */
} family;

/* ---- pieces ---- */

static const char *named(const char *stem, int i) {
  static char text[8][40];
  static int turn;
  char *s = text[turn++ % 8];
  snprintf(s, sizeof text[0], "%s%d", stem, i);
  return s;
}

/* f32[rows,4]; rows 0: the symbol called `symbol`. */
static void port(made *m, uint32_t field, const char *name, int rows,
                 const char *symbol) {
  wire v = {0}, type = {0}, tensor = {0}, shape = {0}, row = {0}, col = {0};
  if (rows) wire_int(&row, 1, rows);
  else wire_str(&row, 2, symbol);
  wire_int(&col, 1, 4);
  wire_msg(&shape, 1, &row);
  wire_msg(&shape, 1, &col);
  wire_int(&tensor, 1, FLOAT);
  wire_msg(&tensor, 2, &shape);
  wire_msg(&type, 1, &tensor);
  wire_str(&v, VALUE_NAME, name);
  wire_msg(&v, VALUE_TYPE, &type);
  wire_msg(&m->g, field, &v);
}

static void input(made *m, const char *name) {
  port(m, GRAPH_INPUT, name, 4, NULL);
}

static void output(made *m, const char *name) {
  port(m, GRAPH_OUTPUT, name, 4, NULL);
}

static wire node(const char *op, const char *in, const char *out) {
  wire w = {0};
  wire_str(&w, NODE_OP, op);
  if (in) wire_str(&w, NODE_IN, in);
  if (out) wire_str(&w, NODE_OUT, out);
  return w;
}

static void add(made *m, wire w) { wire_msg(&m->g, GRAPH_NODE, &w); }

static void attr_int(wire *w, const char *name, int i) {
  wire a = {0};
  wire_str(&a, ATTR_NAME, name);
  wire_int(&a, ATTR_I, i);
  wire_int(&a, ATTR_TYPE, 2);
  wire_msg(w, NODE_ATTR, &a);
}

static void rule(made *m, const char *tensor) {
  fprintf(m->spec, "  - match: {tensor: %s}\n    shard: [a, ~]\n", tensor);
}

/* ---- families ---- */

/* One tensor, n times an operand of one node. */
static void operands(made *m, int n) {
  input(m, "x");
  wire w = node("Sum", NULL, "y");
  for (int i = 0; i < n; i++) wire_str(&w, NODE_IN, "x");
  add(m, w);
  output(m, "y");
  rule(m, "y");
}

/* One tensor, an operand of n nodes. */
static void users(made *m, int n) {
  input(m, "x");
  for (int i = 0; i < n; i++) {
    add(m, node("Relu", "x", named("y", i)));
    output(m, named("y", i));
  }
  rule(m, "y0");
}

/* n tensors that meet in one node, which concatenates or adds them. */
static void meeting(made *m, int n) {
  input(m, "x");
  wire w = node("Concat", NULL, "y"), s = node("Sum", NULL, "z");
  attr_int(&w, "axis", 0);
  for (int i = 0; i < n; i++) {
    add(m, node("Relu", "x", named("t", i)));
    wire_str(&w, NODE_IN, named("t", i));
    wire_str(&s, NODE_IN, named("t", i));
  }
  add(m, w);
  add(m, s);
  port(m, GRAPH_OUTPUT, "y", 4 * n, NULL);
  output(m, "z");
  rule(m, "z");
}

/* A node of n results. */
static void results(made *m, int n) {
  port(m, GRAPH_INPUT, "x", 4 * n, NULL);
  wire w = node("Split", "x", NULL);
  attr_int(&w, "axis", 0);
  attr_int(&w, "num_outputs", n);
  for (int i = 0; i < n; i++) wire_str(&w, NODE_OUT, named("s", i));
  add(m, w);
  for (int i = 0; i < n; i++) {
    add(m, node("Neg", named("s", i), named("y", i)));
    output(m, named("y", i));
  }
  rule(m, "y0");
}

static void chain(made *m, int n) {
  input(m, "t0");
  for (int i = 0; i < n; i++)
    add(m, node(i % 3 ? "Relu" : "Gelu", named("t", i), named("t", i + 1)));
  output(m, named("t", n));
  rule(m, "t0");
}

/* A chain with a weight and a tensor that all share in every node. */
static void weights(made *m, int n) {
  static const float data[16];
  input(m, "t0");
  input(m, "all");
  for (int i = 0; i < n; i++) {
    wire w = piece_tensor(named("w", i), FLOAT, 2, (const int64_t[]){4, 4});
    wire_blob(&w, TENSOR_RAW, data, sizeof data);
    wire_msg(&m->g, GRAPH_INIT, &w);
    wire s = node("Sum", named("t", i), named("t", i + 1));
    wire_str(&s, NODE_IN, named("w", i));
    wire_str(&s, NODE_IN, "all");
    add(m, s);
  }
  output(m, named("t", n));
  rule(m, named("t", n));
}

/* n inputs with a rule each. */
static void rules(made *m, int n) {
  wire w = node("Sum", NULL, "y");
  for (int i = 0; i < n; i++) {
    input(m, named("x", i));
    wire_str(&w, NODE_IN, named("x", i));
    rule(m, named("x", i));
  }
  add(m, w);
  output(m, "y");
}

/* n groups of two tensors, and one of all of them. */
static void groups(made *m, int n) {
  for (int i = 0; i < n; i++) {
    input(m, named("x", i));
    add(m, node("Relu", named("x", i), named("y", i)));
    output(m, named("y", i));
  }
  rule(m, "x0");
  fprintf(m->spec, "groups:\n  - match: {tensor: \"x*\"}\n");
  for (int i = 0; i < n; i++)
    fprintf(m->spec, "  - match: {tensor: \"{%s,%s}\"}\n", named("x", i),
            named("y", i));
}

static void symbols(made *m, int n) {
  for (int i = 0; i < n; i++) {
    port(m, GRAPH_INPUT, named("x", i), 0, named("s", i));
    add(m, node("Relu", named("x", i), named("y", i)));
    port(m, GRAPH_OUTPUT, named("y", i), 0, named("s", i));
  }
  rule(m, "x0");
  fprintf(m->spec, "bind:\n");
  for (int i = 0; i < n; i++) fprintf(m->spec, "  %s: 4\n", named("s", i));
}

/* A node that nothing is known about, with up to as many attributes as may
 * be. */
static void attributes(made *m, int n) {
  enum { MOST = 1000 };
  input(m, "t0");
  wire w = node("Unheard", "t0", "t1");
  wire_str(&w, NODE_DOMAIN, "test");
  for (int k = 0; k < n * MOST / (N * TIMES); k++)
    attr_int(&w, named("a", k), k);
  add(m, w);
  port(m, 13, "t1", 4, NULL); /* value_info */
  output(m, "t1");
  rule(m, "t0");
}

static const family families[] = {
    {"operands", operands, true},  {"users", users, true},
    {"meeting", meeting, true},    {"results", results, true},
    {"chain", chain, true},        {"weights", weights, true},
    {"rules", rules, true},        {"groups", groups, true},
    {"symbols", symbols, true},    {"attributes", attributes, false},
};

/* ---- measuring ---- */

static char *dir;

static const char *path(const char *name) {
  static char text[4][300];
  static int turn;
  char *s = text[turn++ % 4];
  snprintf(s, sizeof text[0], "%s/%s", dir, name);
  return s;
}

static void setup(void) {
  const char *tmp = getenv("TMPDIR");
  static char text[200];
  snprintf(text, sizeof text, "%s/growth.XXXXXX", tmp && *tmp ? tmp : "/tmp");
  dir = mkdtemp(text);
  ck_assert(dir != NULL);
}

static void teardown(void) {
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'", dir);
  ck_assert_int_eq(system(command), 0);
}

static void write_model(const family *f, int n) {
  made m = {.spec = fopen(path("spec.yaml"), "w")};
  ck_assert(m.spec != NULL);
  fprintf(m.spec, "version: 1\nmesh: {axes: {a: 2}}\nrules:\n");
  f->make(&m, n);
  fclose(m.spec);
  wire w = {0};
  wire_str(&m.g, GRAPH_NAME, f->name);
  wire_int(&w, MODEL_IR, 8);
  wire_msg(&w, MODEL_GRAPH, &m.g);
  for (int i = 0; i < 2; i++) {
    wire o = {0};
    wire_str(&o, 1, i ? "test" : "");
    wire_int(&o, 2, i ? 1 : 18);
    wire_msg(&w, MODEL_OPSET, &o);
  }
  FILE *out = fopen(path("model.onnx"), "wb");
  ck_assert(out && fwrite(w.at, 1, w.n, out) == w.n && !fclose(out));
  free(w.at);
}

/* KiB that the command takes at most; it must succeed. */
static long memory_of(const char *const *argv) {
  fflush(NULL);
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (!pid) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  int status;
  struct rusage used;
  ck_assert_int_eq(wait4(pid, &status, 0, &used), pid);
  ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status),
                "%s ends with status %d", argv[0], status);
  return used.ru_maxrss;
}

enum { ANNOTATE, PARTITION, RUN, NTOOL };

static void measure(const family *f, int n, long *kib) {
  write_model(f, n);
  unlink(path("sharded.onnx"));
  kib[ANNOTATE] = memory_of((const char *[]){
      "tools/gshard-annotate", "-q", "-s", path("spec.yaml"), "-o",
      path("sharded.onnx"), path("model.onnx"), NULL});
  kib[PARTITION] = memory_of((const char *[]){
      "tools/gshard-partition", "-q", "-f", "-o", path("plan"),
      path("sharded.onnx"), NULL});
  kib[RUN] = !f->runs ? 0
                      : memory_of((const char *[]){"tools/gshard-run", "-q",
                                                   "--random", "1",
                                                   path("plan"), NULL});
}

/* What is there without a model is taken off. */
START_TEST(grows) {
  static const char *const tool[NTOOL] = {"annotate", "partition", "run"};
  const family *f = &families[_i];
  long few[NTOOL], many[NTOOL], none[NTOOL];
  enum { SLACK = 3 * 1024 };
  measure(f, 2, none);
  measure(f, N, few);
  measure(f, N * TIMES, many);
  for (int t = 0; t < NTOOL; t++)
    ck_assert_msg(
        many[t] - none[t] <= 5 * (few[t] - none[t]) + SLACK,
        "%s: %s takes %ld KiB for %d, %ld for %d, and %ld for next to none",
        f->name, tool[t], few[t], N, many[t], N * TIMES, none[t]);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("memory");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, grows, 0, sizeof families / sizeof *families);
  return suite_run("growth", t);
}
