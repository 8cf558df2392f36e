/* Programs of several bindings in one process: one copy of the weights, as they
 * lie and as kernels have packed them, and one state. */
#include <math.h>

#include "check/random_input.h"
#include "exec/run/exec.h"
#include "fixture.h"

enum { K = 512, N = 1024 };

/* Rows of x times w, which kernels pack, plus u, which they read as it lies;
 * s grows by their first column in its place. */
static const char text[] =
    "mesh {a=2}\n"
    "input x {~,~} : f32[%d,512] of [%d,512]\n"
    "input s {~,~} : f32[4,1024] of [4,1024]\n"
    "constant w {~,~} : f32[512,1024] of [512,1024]\n"
    "constant u {~,~} : f32[1,1024] of [1,1024]\n"
    "w.0 = ai.gshard.Shard(w) split=\"{~,a}\" {~,a} : f32[512,512] of "
    "[512,1024]\n"
    "u.0 = ai.gshard.Shard(u) split=\"{~,a}\" {~,a} : f32[1,512] of "
    "[1,1024]\n"
    "s.0 = ai.gshard.Shard(s) split=\"{~,a}\" {~,a} : f32[4,512] of "
    "[4,1024]\n"
    "p = MatMul(x, w.0) {~,a} : f32[%d,512] of [%d,1024]\n"
    "q = Add(p, u.0) {~,a} : f32[%d,512] of [%d,1024]\n"
    "t.0 = Add(s.0, u.0) {~,a} : f32[4,512] of [4,1024]\n"
    "y = ai.gshard.Unshard(q) split=\"{~,a}\" dims=[%d,1024] : f32[%d,1024]\n"
    "t = ai.gshard.Unshard(t.0) split=\"{~,a}\" dims=[4,1024] : f32[4,1024]\n"
    "output y\noutput t\n";

static const gs_tensor *made(const char *name, int64_t m, int64_t n) {
  gs_random r = {.seed = 7, .integers = true};
  gs_tensor *t;
  int64_t dims[] = {m, n};
  ck_assert(!gs_random_tensor(&arena, name, GS_FLOAT, 2, dims, &r, &t, &err));
  return t;
}

static const gs_graph *program(const gs_tensor *w, const gs_tensor *u, int m) {
  gs_graph *g;
  const char *s = gs_sprintf(&arena, text, m, m, m, m, m, m, m, m);
  gs_status bad = gs_graph_parse(&arena, s, "program", &g, &err);
  ck_assert_msg(!bad, "%s", messages());
  for (int i = 0; i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    n->opset = n->op->since;
  }
  gs_graph_find(g, "w")->constant = w;
  gs_graph_find(g, "u")->constant = u;
  return g;
}

static gs_exec *compiled(const gs_graph *const *g, gs_exec *base) {
  static const gs_tie tie = {.out = 1, .in = 1};
  gs_exec_config c = {.graph = g, .ngraph = 1, .ndevice = 2, .threads = 2,
                      .verify = true, .base = base, .to_come = !base,
                      .tie = &tie, .ntie = 1};
  gs_exec *x;
  gs_status bad = gs_exec_new(&c, &x, &err);
  ck_assert_msg(!bad, "%s", messages());
  return x;
}

static const void *lies(const gs_exec *x, int device, const char *name) {
  const gs_value *v = gs_graph_find(x->program[0]->g, name);
  return x->device[device].data[v->id];
}

static void check_product(gs_exec *x, const gs_tensor *w, const gs_tensor *u,
                          int m) {
  const gs_tensor *in = made("x", m, K);
  gs_tensor *out;
  ck_assert(!gs_exec_input(x, "x", in, &err));
  ck_assert(!gs_exec_run(x, &err));
  ck_assert(!gs_exec_output(x, &arena, 0, &out, &err));
  const float *a = in->data, *b = w->data, *c = u->data, *y = out->data;
  for (int64_t j = 0; j < N; j++) {
    double sum = c[j];
    for (int64_t k = 0; k < K; k++) sum += a[(m - 1) * K + k] * b[k * N + j];
    ck_assert(fabs(y[(m - 1) * N + j] - sum) <= 1e-3 * (1 + fabs(sum)));
  }
}

/* A product of 256 rows would by itself cut its matrix into other panels than
 * one of a single row. */
START_TEST(test_one_copy) {
  const gs_tensor *w = made("w", K, N), *u = made("u", 1, N);
  const gs_graph *g = program(w, u, 256), *h = program(w, u, 1);
  size_t before, after;
  gs_exec *x = compiled(&g, NULL);
  ck_assert_int_eq(gs_exec_packed(x, &before), 2); /* a block for each device */
  gs_exec *y = compiled(&h, x);
  ck_assert_int_eq(gs_exec_packed(y, &after), 2);
  ck_assert_uint_eq(before, after);
  for (int i = 0; i < 2; i++) {
    ck_assert(lies(x, i, "u.0") && lies(x, i, "u.0") == lies(y, i, "u.0"));
    ck_assert(lies(x, i, "s.0") && lies(x, i, "s.0") == lies(y, i, "s.0"));
  }
  check_product(y, w, u, 1);
  check_product(x, w, u, 256);
  gs_exec_free(y);
  gs_exec_free(x);
}
END_TEST

/* Each run adds u to the state that the run before has left, whoever made it.
 */
START_TEST(test_one_state) {
  static const bool none[2];
  const gs_tensor *w = made("w", K, N), *u = made("u", 1, N);
  const gs_graph *g = program(w, u, 3), *h = program(w, u, 1);
  gs_exec *x = compiled(&g, NULL), *y = compiled(&h, x), *before = NULL;
  ck_assert(!gs_exec_input(x, "x", made("x", 3, K), &err));
  ck_assert(!gs_exec_input(y, "x", made("x", 1, K), &err));
  for (int run = 1; run < 8; run++) {
    gs_exec *now = run % 3 ? x : y;
    gs_tensor *out;
    if (before) ck_assert(!gs_exec_tie_next(before, none, &err));
    if (before && before != now) ck_assert(!gs_exec_resume(now, &err));
    ck_assert(!gs_exec_run(now, &err));
    ck_assert(!gs_exec_output(now, &arena, 1, &out, &err));
    const float *s = out->data, *c = u->data;
    for (int64_t i = 0; i < 4 * N; i++)
      ck_assert(fabsf(s[i] - (float)run * c[i % N]) < 1e-3f);
    before = now;
  }
  gs_exec_free(y);
  gs_exec_free(x);
}
END_TEST

int main(int argc, char **argv) {
  suite_arguments(argc, argv);
  TCase *t = tcase_create("bindings");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, test_one_copy);
  tcase_add_test(t, test_one_state);
  return suite_run("exec_share", t);
}
