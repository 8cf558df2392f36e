/* Gradients against finite differences: every case is a graph of f64 in text
 * form that makes y.  A Gradient after it asks for the gradient of y by all
 * inputs, once where they are and once at another point. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/run/run.h"
#include "op/core/function.h"
#include "pass/prepare/infer.h"
#include "pass/prepare/upgrade.h"
#include "suite.h"

/* Elements of inputs are positive, those of names with s of either sign. */
static const char *const cases[] = {
    "input s : f64[2,3]\ny = Identity(s)",
    "input s : f64[2,3]\ny = Neg(s)",
    "input a : f64[2,3]\ninput b : f64[3]\ny = Add(a, b)",
    "input a : f64[3,1]\ninput b : f64[2,1,4]\ny = Sub(a, b)",
    "input a : f64[]\ninput b : f64[2,3]\ny = Mul(a, b)",
    "input a : f64[2,3]\ny = Mul(a, a)",
    "input s : f64[2,3]\ninput b : f64[2,1]\ny = Div(s, b)",
    "input a : f64[2,3]\ninput b : f64[3]\ny = Pow(a, b)",
    "input s : f64[4]\nconstant c : i64[] = [3]\ny = Pow(s, c)",
    "input s : f64[3]\nconstant c : f64[3] = [0, 1, 2]\ny = Pow(s, c)",
    "input a : f64[2,3]\ninput b : f64[3]\ninput c : f64[]\ny = Sum(a, b, c)",
    "input s : f64[2,2]\ninput t : f64[2]\nconstant c : bool[2,1] = [1, 0]\n"
    "y = Where(c, s, t)",
    "input s : f64[5]\ny = Abs(s)",
    "input s : f64[5]\ny = Cos(s)",
    "input s : f64[5]\ny = Erf(s)",
    "input s : f64[5]\ny = Exp(s)",
    "input a : f64[5]\ny = Log(a)",
    "input s : f64[5]\ny = Reciprocal(s)",
    "input s : f64[5]\ny = Sin(s)",
    "input a : f64[5]\ny = Sqrt(a)",
    "input s : f64[5]\ny = Elu(s) alpha=0.5",
    "input s : f64[5]\ny = LeakyRelu(s) alpha=0.25",
    "input s : f64[5]\ny = Relu(s)",
    "input s : f64[5]\ny = Sigmoid(s)",
    "input s : f64[5]\ny = Softplus(s)",
    "input s : f64[5]\ny = Tanh(s)",
    "input s : f64[7]\nconstant l : f64[] = [-0.5]\n"
    "constant h : f64[] = [0.5]\ny = Clip(s, l, h)",
    "input s : f64[4]\nz = Cast(s) to=1\nq = Mul(z, z)\ny = Cast(q) to=11",
    "input a : f64[4]\nz = Cast(a) to=6\nq = CastLike(z, a)\ny = Mul(q, a)",
    "input s : f64[3,1]\nconstant d : i64[3] = [2, 1, 4]\nz = Expand(s, d)\n"
    "y = Mul(z, z)",
    "input s : f64[2,3,2]\nz = Flatten(s) axis=2\ny = Mul(z, z)",
    "input s : f64[3,4]\nconstant i : i64[3,2] = [0, 3, 1, 1, 2, 0]\n"
    "z = GatherElements(s, i) axis=1\ny = Mul(z, z)",
    "input s : f64[2,6]\nconstant d : i64[2] = [3, -1]\nz = Reshape(s, d)\n"
    "w = Transpose(z)\ny = Mul(w, w)",
    "input s : f64[2,3,4]\ninput t : f64[4,2,3]\n"
    "z = Transpose(s) perm=[2,0,1]\ny = Mul(z, t)",
    "input s : f64[1,3]\nconstant o : i64[1] = [0]\n"
    "constant k : i64[2] = [0, 2]\nz = Squeeze(s, o)\n"
    "w = Unsqueeze(z, k)\ny = Mul(w, w)",
    "input s : f64[2,3,4]\nconstant k : i64[1] = [1]\n"
    "z = ReduceSum(s, k) keepdims=0\ny = Mul(z, z)",
    "input s : f64[2,3]\nz = ReduceSum(s)\ny = Mul(z, z)",
    "input s : f64[2,3]\nz = ReduceSum(s) noop_with_empty_axes=1\n"
    "y = Mul(z, z)",
    "input s : f64[2,3,4]\nconstant k : i64[2] = [-1, 0]\n"
    "z = ReduceMean(s, k) keepdims=0\ny = Mul(z, z)",
    "input s : f64[2,3]\nz = ReduceMean(s)\ny = Mul(z, z)",
    "input s : f64[2,3]\nz = Softmax(s) axis=0\ny = Mul(z, z)",
    "input s : f64[2,3]\nz = LogSoftmax(s)\ny = Mul(z, z)",
    "input s : f64[2,3]\ninput t : f64[3,4]\ny = MatMul(s, t)",
    "input s : f64[3]\ninput t : f64[2,3,4]\nz = MatMul(s, t)\ny = Mul(z, z)",
    "input s : f64[2,2,3]\ninput t : f64[3]\nz = MatMul(s, t)\ny = Mul(z, z)",
    "input s : f64[3]\ninput t : f64[3]\nz = MatMul(s, t)\ny = Mul(z, z)",
    "input s : f64[2,1,2,3]\ninput t : f64[4,3,2]\nz = MatMul(s, t)\n"
    "y = Mul(z, z)",
    "input s : f64[2,3]\ninput t : f64[3,4]\ninput c : f64[4]\n"
    "z = Gemm(s, t, c) alpha=0.5 beta=2.0\ny = Mul(z, z)",
    "input s : f64[2,3]\ninput t : f64[4,3]\ninput c : f64[2,1]\n"
    "z = Gemm(s, t, c) transB=1 beta=0.5\ny = Mul(z, z)",
    "input s : f64[3,2]\ninput t : f64[3,4]\ninput c : f64[]\n"
    "z = Gemm(s, t, c) transA=1\ny = Mul(z, z)",
    "input s : f64[3,2]\ninput t : f64[4,3]\n"
    "z = Gemm(s, t) transA=1 transB=1\ny = Mul(z, z)",
    /* What is 0 almost everywhere. */
    "input s : f64[3,4]\nm = ArgMax(s) axis=1\nk = ArgMin(s) axis=1\n"
    "z = GatherElements(s, m) axis=1\nw = GatherElements(s, k) axis=1\n"
    "y = Div(z, w)",
    "input s : f64[5]\nc = Ceil(s)\nf = Floor(s)\nr = Round(s)\ng = Sign(s)\n"
    "z = Sum(c, f, r, g)\ny = Mul(z, s)",
    "input s : f64[4]\nconstant t : f32[] = [0]\nz = CastLike(s, t)\n"
    "q = Mul(z, z)\ny = CastLike(q, s)",
    "input s : f64[4]\nconstant t : bool[] = [0]\nz = CastLike(s, t)\n"
    "q = CastLike(z, s)\ny = Mul(q, s)",
    "input s : f64[2,3]\nd = Shape(s)\nn = Size(s)\nk = CastLike(n, s)\n"
    "e = Expand(k, d)\ny = Mul(e, s)",
    "input s : f64[5]\ninput t : f64[5]\ne = Equal(s, t)\ng = Greater(s, t)\n"
    "h = GreaterOrEqual(s, t)\nl = Less(s, t)\nm = LessOrEqual(s, t)\n"
    "n = IsNaN(s)\ni = IsInf(s)\no = Not(i)\nz = Where(g, s, t)\n"
    "w = Where(l, z, s)\nu = Where(e, w, z)\nv = Where(h, u, w)\n"
    "q = Where(m, v, u)\np = Where(n, q, v)\nr = Where(o, p, q)\n"
    "y = Mul(r, r)",
    "input s : f64[4]\nc = Constant() value_float=0.25\nk = CastLike(c, s)\n"
    "g = Greater(s, k)\nf = Cast(g) to=11\ny = Mul(f, s)",
    "input s : f64[5]\ninput t : f64[5]\ng = Greater(s, t)\nl = Not(g)\n"
    "a = And(g, l)\no = Or(g, l)\nx = Xor(a, o)\nf = CastLike(x, s)\n"
    "q = CastLike(x, t)\nz = Mul(f, s)\ny = Mul(q, z)",
    /* Values with several uses, functions, and results that are not used. */
    "input s : f64[2,2,5,4]\nz = MaxPool(s) kernel_shape=[3,2] "
    "pads=[1,0,1,1] strides=[2,1]\ny = Mul(z, z)",
    "input s : f64[1,3,9]\nz = MaxPool(s) kernel_shape=[3] dilations=[2] "
    "ceil_mode=1 strides=[3]\ny = Mul(z, z)",
    "input s : f64[3]\nz = Tanh(s)\nw = Mul(z, s)\ny = Add(w, z)",
    "input s : f64[4,5]\nconstant t : i64[4] = [1, 0, 4, 2]\n"
    "y = SoftmaxCrossEntropyLoss(s, t)",
    "input s : f64[4]\ninput unused : f64[2]\ny = Exp(s)",
};
enum { NCASE = sizeof cases / sizeof *cases, MAX_IN = 4 };

typedef struct machine {
  gs_arena a;
  gs_err e;
  gs_graph *g;
  gs_exec *exec;
  int n; /* inputs of the case; as many points follow them when it is moved */
  gs_tensor *in[2 * MAX_IN];
  const char *text;
} machine;

static void must(machine *m, gs_status s) {
  if (s) {
    fprintf(stderr, "%s\n", m->text);
    gs_err_print(&m->e, stderr, "test_gradient", false);
  }
  ck_assert_int_eq((int)s, GS_OK);
}

/* Elements in [0.2, 1.2), or of either sign; no two sequences are equal. */
static void fill(machine *m, gs_value *v, gs_tensor **t, unsigned seed) {
  must(m, gs_tensor_new(&m->a, GS_DOUBLE, v->rank, v->dims, t, &m->e));
  int64_t n = gs_tensor_count(*t);
  double *x = GS_NEWS(&m->a, n + 1, double);
  bool either = *v->name == 's' || *v->name == 't';
  for (int64_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = 0.2 + (seed >> 9) % 9973 / 9973.0;
    if (either && seed >> 31) x[i] = -x[i];
  }
  (*t)->data = x;
}

static void add_output(machine *m, gs_value *v) {
  v->is_output = true;
  *gs_push(&m->a, &m->g->output) = v;
}

/* The operator that asks for d y / d x for all inputs x. */
static void add_gradient(machine *m, bool moved) {
  gs_string names[MAX_IN];
  gs_graph *g = m->g;
  gs_node *n = gs_node_new(g, "ai.onnx.preview.training", "Gradient", "G",
                           m->n, m->n);
  for (int i = 0; i < m->n; i++) {
    gs_value *x = g->input.at[i];
    names[i] = (gs_string){x->name, strlen(x->name)};
    n->in[i] = x;
    if (moved) {
      const char *name = gs_sprintf(&m->a, "%s.point", x->name);
      n->in[i] = gs_value_new(g, name, x->dtype, x->rank, x->dims);
      n->in[i]->is_input = true;
      *gs_push(&m->a, &g->input) = n->in[i];
    }
    const char *name = gs_sprintf(&m->a, "slope.%s", x->name);
    gs_node_output(n, i, gs_value_new(g, name, GS_UNDEFINED, -1, NULL));
    add_output(m, n->out[i]);
  }
  gs_attr xs = {.name = "xs", .kind = GS_ATTR_STRINGS, .n = m->n};
  xs.strings = gs_memdup(&m->a, names, sizeof names);
  gs_node_set(g, n, &xs);
  gs_node_set_string(g, n, "y", "y");
}

static void begin(machine *m, const char *text, bool moved) {
  *m = (machine){.text = text};
  gs_arena_init(&m->a);
  gs_err_init(&m->e);
  must(m, gs_graph_parse(&m->a, text, "case", &m->g, &m->e));
  m->n = m->g->input.n;
  ck_assert_int_le(m->n, MAX_IN);
  gs_value *y = gs_graph_find(m->g, "y");
  ck_assert_ptr_nonnull(y);
  add_output(m, y);
  add_gradient(m, moved);
  for (int i = 0; i < m->g->node.n; i++) {
    gs_node *n = m->g->node.at[i];
    n->opset = gs_domain_find(n->domain)->newest;
  }
  must(m, gs_pass_upgrade(m->g, &m->e));
  must(m, gs_graph_check(m->g, &m->e));
  must(m, gs_pass_infer(&m->a, m->g, NULL, &m->e));
  must(m, gs_graph_check(m->g, &m->e));
  const gs_graph *g = m->g;
  gs_exec_config c = {.graph = &g, .ngraph = 1, .ndevice = 1, .threads = 1,
                      .verify = true};
  must(m, gs_exec_new(&c, &m->exec, &m->e));
  for (int i = 0; i < g->input.n; i++)
    fill(m, g->input.at[i], &m->in[i], 77u * (unsigned)i + 5);
}

static void end(machine *m) {
  gs_exec_free(m->exec);
  gs_err_free(&m->e);
  gs_arena_free(&m->a);
}

static void run(machine *m) {
  for (int i = 0; i < m->g->input.n; i++)
    must(m, gs_exec_input(m->exec, m->g->input.at[i]->name, m->in[i], &m->e));
  must(m, gs_exec_run(m->exec, &m->e));
}

/* The sum over y with element k of input i moved by h. */
static double total(machine *m, int i, int64_t k, double h) {
  gs_tensor *y;
  double *x = (double *)m->in[i]->data, before = x[k], sum = 0;
  x[k] += h;
  run(m);
  must(m, gs_exec_output(m->exec, &m->a, 0, &y, &m->e));
  ck_assert_int_eq((int)y->dtype, GS_DOUBLE);
  for (int64_t p = 0; p < gs_tensor_count(y); p++)
    sum += ((const double *)y->data)[p];
  x[k] = before; /* y may share the memory of x */
  return sum;
}

static void check_case(const char *text, bool moved) {
  machine m;
  gs_tensor *slope[MAX_IN];
  begin(&m, text, moved);
  run(&m);
  for (int i = 0; i < m.n; i++)
    must(&m, gs_exec_output(m.exec, &m.a, 1 + i, &slope[i], &m.e));
  for (int i = 0; moved && i < m.n; i++) m.in[i] = m.in[m.n + i];
  bool narrow = strstr(text, "to=1\n") || strstr(text, " f32");
  double h = narrow ? 1e-2 : 1e-5, tolerance = narrow ? 1e-4 : 1e-7;
  for (int i = 0; i < m.n; i++) {
    ck_assert_int_eq((int)slope[i]->dtype, GS_DOUBLE);
    ck_assert_int_eq(slope[i]->rank, m.in[i]->rank);
    ck_assert_int_eq(gs_tensor_count(slope[i]), gs_tensor_count(m.in[i]));
    for (int64_t k = 0; k < gs_tensor_count(m.in[i]); k++) {
      double want = (total(&m, i, k, h) - total(&m, i, k, -h)) / (2 * h);
      double got = ((const double *)slope[i]->data)[k];
      ck_assert_msg(fabs(got - want) <= tolerance * (1 + fabs(want)),
                    "%s\n%s[%d]: %.12g, differences give %.12g", text,
                    m.g->input.at[i]->name, (int)k, got, want);
    }
  }
  end(&m);
}

START_TEST(differences) {
  check_case(cases[_i / 2], _i % 2);
}
END_TEST

/* Every gradient of the data file stands in a case. */
START_TEST(all_covered) {
  gs_arena a;
  gs_err e;
  gs_functions f;
  gs_arena_init(&a);
  gs_err_init(&e);
  ck_assert_int_eq(gs_functions_parse(&a, gs_functions_text, &f, &e), GS_OK);
  for (int i = 0; i < f.gradient.n; i++) {
    const char *call = gs_sprintf(&a, "= %s(", f.gradient.at[i].name);
    bool found = false;
    for (int k = 0; k < NCASE; k++) found = found || strstr(cases[k], call);
    ck_assert_msg(found, "no case with %s", f.gradient.at[i].name);
  }
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("gradient");
  tcase_add_test(t, all_covered);
  tcase_add_loop_test(t, differences, 0, 2 * NCASE);
  return suite_run("gradient", t);
}
