/* gs_pass_infer: binding, inference through chains, folding, errors. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "pass/prepare/infer.h"

static gs_graph *parse(const char *text) {
  gs_graph *g;
  gs_status s = gs_graph_parse(&arena, text, "t", &g, &err);
  if (s) gs_err_print(&err, stderr, "test_infer", false);
  ck_assert_int_eq(s, GS_OK);
  for (int i = 0; i < g->node.n; i++)
    g->node.at[i]->op =
        gs_op_find(g->node.at[i]->domain, g->node.at[i]->op_type);
  return g;
}

static gs_status infer(gs_graph *g, const char *bind) {
  gs_bindings b;
  gs_bindings_init(&b, &arena);
  if (bind) ck_assert_int_eq(gs_bindings_parse(&b, bind, &err), GS_OK);
  return gs_pass_infer(&arena, g, &b, &err);
}

/* The graph after a pass that must succeed, as text. */
static const char *after(const char *text, const char *bind) {
  gs_graph *g = parse(text);
  gs_status s = infer(g, bind);
  if (s) gs_err_print(&err, stderr, "test_infer", false);
  ck_assert_int_eq(s, GS_OK);
  ck_assert_int_eq(gs_graph_check(g, &err), GS_OK);
  gs_buf out;
  gs_buf_init(&out, &arena);
  gs_graph_print(&out, g);
  return out.at;
}

static void fails(const char *text, gs_status code, const char *why) {
  gs_graph *g = parse(text);
  ck_assert_int_eq(infer(g, NULL), code);
  ck_assert_int_ge(err.n, 1);
  ck_assert_msg(strstr(err.diag[0].text, why) != NULL, "%s",
                err.diag[0].text);
}

/* The shape expressions of exporters become constants, and what is not used
 * any more goes. */
START_TEST(folds_shapes) {
  const char *text = after("input x : f32[2,3,4]\n"
                           "constant zero : i64[] = [0]\n"
                           "constant axes : i64[1] = [0]\n"
                           "constant minus : i64[1] = [-1]\n"
                           "s = Shape(x)\n"
                           "n = Gather(s, zero)\n"
                           "u = Unsqueeze(n, axes)\n"
                           "t = Concat(u, minus) axis=0\n"
                           "y = Reshape(x, t)\n"
                           "output y\n",
                           NULL);
  ck_assert_msg(strstr(text, "constant t : i64[2] = [2, -1]") != NULL, "%s",
                text);
  ck_assert_msg(strstr(text, ": f32[2,12]") != NULL, "%s", text);
  ck_assert(!strstr(text, "Shape("));
  ck_assert(!strstr(text, "zero"));
}
END_TEST

/* A weight is what the model calls it: it is not folded into another. */
START_TEST(keeps_weights) {
  const char *text = after("input x : f32[2,3]\n"
                           "constant w : f32[2,3] = [1.0,2.0,3.0,4.0,5.0,6.0]\n"
                           "constant two : f32[] = [2.0]\n"
                           "constant three : f32[] = [3.0]\n"
                           "t = Transpose(w) perm=[1,0]\n"
                           "c = Mul(two, three)\n"
                           "m = MatMul(x, t)\n"
                           "y = Mul(m, c)\n"
                           "output y\n",
                           NULL);
  ck_assert_msg(strstr(text, "constant w") != NULL, "%s", text);
  ck_assert_msg(strstr(text, "Transpose(w)") != NULL, "%s", text);
  ck_assert_msg(strstr(text, "constant c : f32[] = [6.0]") != NULL, "%s",
                text);
}
END_TEST

/* Random numbers and results past the limit stay nodes; an output that is
 * constant stays an output. */
START_TEST(does_not_fold) {
  const char *text = after("constant big : i64[2] = [2048,1024]\n"
                           "constant small : i64[1] = [2]\n"
                           "b = ConstantOfShape(big)\n"
                           "s = ConstantOfShape(small)\n"
                           "r = RandomUniform() shape=[2]\n"
                           "output b\n"
                           "output s\n"
                           "output r\n",
                           NULL);
  ck_assert_msg(strstr(text, "b = ConstantOfShape(big)") != NULL, "%s", text);
  ck_assert_msg(strstr(text, "constant s : f32[2] = [0.0, 0.0]") != NULL,
                "%s", text);
  ck_assert_msg(strstr(text, "RandomUniform()") != NULL, "%s", text);
  ck_assert_msg(strstr(text, "output s") != NULL, "%s", text);
}
END_TEST

START_TEST(carries_constants) {
  const char *text = after("input x : f32[2]\n"
                           "w = Constant() value=tensor(f32[2] = [1.0, 2.0])\n"
                           "y = Add(x, w)\n"
                           "output y\n",
                           NULL);
  ck_assert_msg(strstr(text, "constant w : f32[2] = [1.0, 2.0]") != NULL, "%s",
                text);
}
END_TEST

START_TEST(binds) {
  gs_graph *g = parse("input x : f32[?,3]\n"
                      "input z : f32[?,?]\n"
                      "y = MatMul(z, x) : f32[?,?]\n"
                      "output y\n");
  static const char *xs[] = {"seq", NULL}, *zs[] = {NULL, "seq"},
                    *ys[] = {"batch", NULL};
  g->input.at[0]->dim_names = xs;
  g->input.at[1]->dim_names = zs;
  gs_graph_find(g, "y")->dim_names = ys;
  ck_assert_int_eq(infer(g, "seq=5"), GS_SPEC);
  ck_assert_int_eq(err.n, 1);
  ck_assert_str_eq(err.diag[0].text,
                   "a symbolic dim has no size: 'z:0' (of input 'z')");
  ck_assert_str_eq(err.diag[0].hint, "--bind z:0=N");
  ck_assert_int_eq(infer(g, "z:0=7"), GS_OK);
  ck_assert_int_eq(gs_graph_find(g, "y")->dims[0], 7);
}
END_TEST

START_TEST(reports_all_unbound) {
  gs_graph *g = parse("input x : f32[?,?]\noutput x\n");
  static const char *xs[] = {"batch", "seq"};
  g->input.at[0]->dim_names = xs;
  ck_assert_int_eq(infer(g, NULL), GS_SPEC);
  ck_assert_int_eq(err.n, 1);
  ck_assert_str_eq(err.diag[0].text, "symbolic dims have no size: 'batch' (of "
                                     "input 'x'), 'seq' (of input 'x')");
  ck_assert_str_eq(err.diag[0].hint, "--bind batch=N --bind seq=N");
}
END_TEST

START_TEST(warns_of_unused) {
  gs_graph *g = parse("input x : f32[3]\noutput x\n");
  ck_assert_int_eq(infer(g, "batch=3"), GS_OK);
  ck_assert_int_eq(err.n, 1);
  ck_assert(err.diag[0].warning);
}
END_TEST

START_TEST(refuses_bindings) {
  gs_bindings b;
  gs_bindings_init(&b, &arena);
  const char *bad[] = {"", "=3", "x", "x=", "x=-1", "x=3y", "x= 3",
                       "x=99999999999999999999"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_int_eq(gs_bindings_parse(&b, bad[i], &err), GS_USAGE);
  int64_t n = 0;
  ck_assert_int_eq(gs_bindings_parse(&b, "a=b=4", &err), GS_OK);
  ck_assert(gs_bindings_get(&b, "a=b", &n) && n == 4);
  ck_assert(!gs_bindings_get(NULL, "a", &n));
}
END_TEST

/* What results replaces what is declared; one warning says so. */
START_TEST(replaces_declared) {
  const char *text = after("input x : f32[4,6]\n"
                           "constant s : i64[3] = [0, 2, 3]\n"
                           "h = Relu(x) : f32[7]\n"
                           "a = Abs(h) : f32[?,6]\n"
                           "c = Neg(a) : f32[4,5]\n"
                           "y = Reshape(c, s) : f32[1,12]\n"
                           "output y\n", NULL);
  ck_assert_ptr_nonnull(strstr(text, "h = Relu(x) : f32[4,6]"));
  ck_assert_ptr_nonnull(strstr(text, "y = Reshape(c, s) : f32[4,2,3]"));
  ck_assert_int_eq(err.n, 1);
  ck_assert(err.diag[0].warning);
  ck_assert_str_eq(err.diag[0].place, "node 'h' (Relu)");
  ck_assert_str_eq(err.diag[0].text,
                   "result 'h' is f32[4,6], but the model declares f32[7], "
                   "which is ignored; so are the declared shapes of 2 other "
                   "tensors");
  gs_err_clear(&err);
  after("input x : f32[2]\nh = Relu(x) : f32[3]\noutput h\n", NULL);
  ck_assert_int_eq(err.n, 1);
  ck_assert_str_eq(err.diag[0].text, "result 'h' is f32[2], but the model "
                                     "declares f32[3], which is ignored");
}
END_TEST

/* An operator that was read by a declared rank cannot be read again. */
START_TEST(relies_on_ranks) {
  gs_graph *g = parse("input x : f32[2,3]\nh = Relu(x) : f32[6]\n"
                      "y = Neg(h)\noutput y\n");
  gs_graph_find(g, "h")->relied = true;
  ck_assert_int_eq(infer(g, NULL), GS_DATA);
  ck_assert_ptr_nonnull(strstr(err.diag[0].text, "declares f32[6]"));
}
END_TEST

START_TEST(reports) {
  fails("input x : f32[2,3]\ny = Relu(x) : f16[2,3]\noutput y\n", GS_DATA,
        "declares f16[2,3]");
  gs_err_clear(&err);
  fails("input x : f32[4611686018427387904,4]\noutput x\n", GS_DATA,
        "too large");
  gs_err_clear(&err);
  fails("input x : f32[4611686018427387904,1]\n"
        "input z : f32[1,4]\ny = Add(x, z)\noutput y\n",
        GS_DATA, "too large");
  gs_err_clear(&err);
  fails("input x : f32[2]\ny = acme.Op(x)\noutput y\n", GS_UNSUPPORTED,
        "unknown operator of domain 'acme'");
}
END_TEST

int main(void) {
  TCase *t = tcase_create("infer");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, folds_shapes);
  tcase_add_test(t, keeps_weights);
  tcase_add_test(t, does_not_fold);
  tcase_add_test(t, carries_constants);
  tcase_add_test(t, binds);
  tcase_add_test(t, reports_all_unbound);
  tcase_add_test(t, warns_of_unused);
  tcase_add_test(t, refuses_bindings);
  tcase_add_test(t, replaces_declared);
  tcase_add_test(t, relies_on_ranks);
  tcase_add_test(t, reports);
  return suite_run("infer", t);
}
