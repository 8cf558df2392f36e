/* Convolutions and pools in programs: the same bytes for any number of
 * threads; steps that are made one, and channels that stay in blocks, give
 * what single steps give.  A graph all of whose values are outputs is run in
 * single steps. */
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "check/compare.h"
#include "check/random_input.h"
#include "exec/run/run.h"
#include "pass/prepare/infer.h"
#include "graphs.h"
#include "suite.h"

/* Graphs with input x and result y; their weights are inputs or constants. */
static const char *const graphs[] = {
    "input x : f32[1,16,28,28]\ninput w : f32[128,16,3,3]\n"
    "input b : f32[128]\n"
    "c = Conv(x, w, b) pads=[1,1,1,1]\ny = Relu(c)\n",
    "input x : f32[5,24,14,14]\ninput w : f32[40,24,1,1]\n"
    "input z : f32[5,40,14,14]\n"
    "c = Conv(x, w)\ns = Add(z, c)\ny = Relu(s)\n",
    "input x : f32[9,64,3,3]\ninput w : f32[64,64,3,3]\n"
    "c = Conv(x, w) pads=[1,1,1,1]\nd = Conv(c, w) pads=[1,1,1,1]\n"
    "s = Add(d, c)\ny = GlobalAveragePool(s)\n",
    "input x : f32[1,64,30,30]\ninput w : f32[64,1,3,3]\n"
    "c = Conv(x, w) group=64 pads=[1,1,1,1]\n"
    "d = Conv(c, w) group=64 strides=[2,2]\n"
    "y = AveragePool(d) kernel_shape=[3,3] pads=[1,1,1,1]\n",
    "input x : f32[2,3,40,40]\ninput w : f32[16,3,7,7]\n"
    "input v : f32[24,16,1,1]\n"
    "c = Conv(x, w) strides=[2,2] pads=[3,3,3,3]\nr = Relu(c)\n"
    "m = MaxPool(r) kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]\n"
    "d = Conv(m, v)\ny = MaxPool(d) kernel_shape=[2,2]\n",
    "input x : f32[3,8,20]\ninput w : f32[16,8,5]\n"
    "constant s : f32[16] = [1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7]\n"
    "c = Conv(x, w)\ny = BatchNormalization(c, s, s, s, s)\n",
    "input x : f32[2,16,4,6,5]\ninput w : f32[16,16,3,3,3]\n"
    "c = Conv(x, w) pads=[1,1,1,1,1,1]\n"
    "m = MaxPool(c) kernel_shape=[2,2,2]\ny = Conv(m, w) "
    "pads=[1,1,1,1,1,1]\n",
    "input x : f64[2,6,12,12]\ninput w : f64[5,6,3,3]\n"
    "c = Conv(x, w)\ny = Relu(c)\n",
    "input x : f32[3,8,17,9]\ninput w : f32[8,6,3,3]\n"
    "y = ConvTranspose(x, w) strides=[2,2]\n",
    "input x : f32[3,8,17,9]\ny = LpPool(x) kernel_shape=[3,3] p=3\n",
    "constant w : f32[8,4,1,1] = [1,0,2,0,0,1,0,0,3,0,1,0,0,0,0,1,"
    "1,-1,1,-1,2,2,0,0,0,1,0,1,5,0,0,-1]\n"
    "constant s : f32[8] = [1,2,3,4,5,6,7,8]\n"
    "constant e : f32[8] = [1,-2,3,-4,5,-6,7,-8]\n"
    "input x : f32[2,4,7,7]\ninput u : f32[8,8,3,3]\n"
    "c = Conv(x, w)\nn = BatchNormalization(c, s, e, e, s)\n"
    "r = Relu(n)\nd = Conv(r, u)\na = Add(d, d)\ny = Relu(a)\n",
};
enum { NGRAPH = sizeof graphs / sizeof *graphs };

static gs_tensor *run(gs_arena *a, const char *text, bool single, int threads) {
  gs_err e;
  gs_graph *g;
  gs_exec *x;
  gs_tensor *y = NULL;
  gs_err_init(&e);
  gs_status s = gs_graph_parse(a, text, "case", &g, &e);
  for (int i = 0; !s && i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    n->opset = n->op->since;
    if (!single && i < g->node.n - 1) continue;
    n->out[0]->is_output = true;
    *gs_push(a, &g->output) = n->out[0];
  }
  if (!s) s = gs_pass_infer(a, g, NULL, &e);
  gs_exec_config config = {
      .graph = (const gs_graph *const *)&g, .ngraph = 1, .ndevice = 1,
      .threads = threads, .verify = true};
  if (!s) s = gs_exec_new(&config, &x, &e);
  gs_random r = {.seed = 3};
  if (!s) s = graph_draw_inputs(a, g, &r, x, &e);
  if (!s) s = gs_exec_run(x, &e);
  if (!s) s = gs_exec_output(x, a, g->output.n - 1, &y, &e);
  if (s) gs_err_print(&e, stderr, "test_conv", false);
  ck_assert_int_eq(s, GS_OK);
  gs_exec_free(x);
  gs_err_free(&e);
  return y;
}

START_TEST(threads) {
  gs_arena a;
  gs_arena_init(&a);
  const gs_tensor *one = run(&a, graphs[_i], false, 1);
  for (int n = 2; n < 5; n++) {
    const gs_tensor *many = run(&a, graphs[_i], false, n);
    ck_assert_mem_eq(one->data, many->data, (size_t)one->nbytes);
  }
  gs_arena_free(&a);
}
END_TEST

START_TEST(single_steps) {
  gs_arena a;
  gs_err e;
  gs_comparison c;
  gs_tolerance close = {.rtol = 1e-5, .scale = 1e-5};
  gs_arena_init(&a);
  gs_err_init(&e);
  gs_tensor *want = run(&a, graphs[_i], true, 1);
  gs_tensor *got = run(&a, graphs[_i], false, 1);
  ck_assert_int_eq(gs_compare(got, want, &close, &c, &e), GS_OK);
  ck_assert(c.equal);
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("programs");
  tcase_add_loop_test(t, threads, 0, NGRAPH);
  tcase_add_loop_test(t, single_steps, 0, NGRAPH);
  return suite_run("conv", t);
}
