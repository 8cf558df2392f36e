/* Nodes of ai.gshard whose place does not fit them, or whose operands do not
 * fit the whole: errors that say so. */
#include "kernel/core/kernel.h"
#include "op/core/schema.h"
#include "op/core/shape.h"
#include "suite.h"

static void set_input(gs_arena *a, gs_value *v) {
  gs_tensor *x;
  ck_assert_int_eq(gs_tensor_new(a, v->dtype, v->rank, v->dims, &x, NULL), 0);
  memset((char *)x->data, 0, x->nbytes);
  v->constant = x;
}

/* Nodes on "mesh {a=2}" with operands such as x : f32[1,1,5] and result y (or
 * those that the text begins with), what shape inference or, of device 0, the
 * kernel says of them. */
static const struct {
  const char *node, *says;
} misfits[] = {
    {"ai.gshard.MaxPool(x) kernel_shape=[3]", "needs the attribute 'place'"},
    {"ai.gshard.MaxPool(x) kernel_shape=[3] place=\"[1,1,9]\"",
     "not a placement on this mesh"},
    {"ai.gshard.MaxPool(x) kernel_shape=[3] place=\"[1,1,9]{~,~,b} -> "
     "[1,1,7]{~,~,a}\"", "not a placement on this mesh"},
    {"ai.gshard.MaxPool(x) kernel_shape=[3] place=\"-> [1,1,7]{~,~,a}\"",
     "'place' has 0 operands and 1 results, the node 1 and 1"},
    {"ai.gshard.MaxPool(x) kernel_shape=[3] place=\"[1,1,9]{~,~,~} -> "
     "[1,1,7]{~,~,a}\"", "'place' does not fit operand 'x' f32[1,1,5]"},
    {"ai.gshard.MaxPool(x) kernel_shape=[3] place=\"[1,1,9]{~,~,a} -> "
     "[1,1,6]{~,~,a}\"", "'place' does not fit result 'y' f32[1,1,7]"},
    {"ai.gshard.MaxPool(x) kernel_shape=[3] place=\"[1,1,9]{~,~,a} -> "
     "[1,1,7]{~,~,a}\"", "elements that windows cover are missing"},
    {"ai.gshard.AveragePool(x) kernel_shape=[3] place=\"[1,1,9]{~,~,a} "
     "window(2:1,5) -> [1,1,7]{~,~,a}\"",
     "elements that windows cover are missing"},
    {"ai.gshard.MaxPool(x) kernel_shape=[1] place=\"[2,1,5]{a,~,~} -> "
     "[2,1,5]{~,~,~}\"", "the result is not of the batch that the operand is"},
    {"ai.gshard.LpPool(x) kernel_shape=[1] place=\"[1,2,5]{~,a,~} -> "
     "[1,2,5]{~,~,~}\"", "the result is not of the channels that the operand"},
    {"ai.gshard.AveragePool(x) kernel_shape=[1] place=\"[1,2,5]{~,a,~} -> "
     "[1,2,5]{~,~,~} window(1:1,1)\"",
     "the result is not of the channels that the operand"},
    {"y, j = ai.gshard.MaxPool(x) kernel_shape=[1] place=\"[1,1,9]{~,~,a} -> "
     "[1,1,9]{~,~,a}\" : ?[...], : ?[...]",
     "'place' has 1 operands and 1 results, the node 1 and 2"},
    {"y, j = ai.gshard.MaxPool(x) kernel_shape=[1] place=\"[1,1,9]{~,~,a} -> "
     "[1,1,9]{~,~,a}, [1,1,9]{~,~,~}\" : ?[...], : ?[...]",
     "the indices are not those of the elements of the result along dim 2"},
    {"y, j = ai.gshard.MaxPool(x) kernel_shape=[1] place=\"[1,1,9]{~,~,a} -> "
     "[1,1,9]{~,~,a}, [1,1,9]{~,~,~} window(2:1,5)\" : ?[...], : ?[...]",
     "the indices are not those of the elements of the result along dim 2"},
    {"y, j = ai.gshard.MaxPool(x) kernel_shape=[1] place=\"[1,1,9]{~,~,a} -> "
     "[1,1,9]{~,~,a}, [1,1,8]{~,~,a}\" : ?[...], : ?[...]",
     "'place' does not fit result 'j'"},
    {"y, j = ai.gshard.MaxPool(x) kernel_shape=[3] place=\"[1,1,9]{~,~,a} -> "
     "[1,1,7]{~,~,a}, [1,1,7]{~,~,a}\" : ?[...], : ?[...]",
     "elements that windows cover are missing"},
    {"ai.gshard.ConvInteger(u, k)", "needs the attribute 'place'"},
    {"ai.gshard.ConvInteger(u, k) place=\"[1,1,9]{~,~,a}, _ -> "
     "[1,1,7]{~,~,a}\"", "elements that windows cover are missing"},
    {"ai.gshard.ConvInteger(u, k) place=\"[1,1,9]{~,~,a}, _ -> "
     "[1,1,8]{~,~,a}\"", "'place' does not fit result 'y'"},
    {"ai.gshard.ConvInteger(u, k) place=\"[1,1,9]{~,~,~}, _ -> "
     "[1,1,7]{~,~,a}\"", "'place' does not fit operand 'u' u8[1,1,5]"},
    {"ai.gshard.ConvInteger(u, k) place=\"[1,1,9]{~,~,a}, [2,1,3]{a,~,~} -> "
     "[1,2,7]{~,~,~} window(2:0,3)\"", "the weights do not fit the operand"},
    {"ai.gshard.ConvInteger(u, k) place=\"[1,1,9]{~,~,a}, [2,1,3]{a,~,~} -> "
     "[1,2,7]{~,~,~} window(1:1,1) window(2:0,3)\"",
     "the weights do not fit the operand"},
    {"ai.gshard.ConvInteger(u, k) place=\"[2,1,9]{a,~,~} window(2:0,5), _ -> "
     "[2,1,7]{~,~,~} window(2:0,3)\"",
     "the result is not of the batch that the operand is"},
    {"ai.gshard.ConvInteger(u, k, z) place=\"[1,1,9]{~,~,a}, _, [1]{~} "
     "window(0:0,2) -> [1,1,7]{~,~,~} window(2:0,3)\"",
     "operand 2 has 2 numbers instead of 1"},
    {"ai.gshard.ConvInteger(u, k, _, z) place=\"[1,1,9]{~,~,a}, _, _, [1]{~} "
     "window(0:0,2) -> [1,1,7]{~,~,~} window(2:0,3)\"",
     "operand 3 has 2 numbers for 1 channels"},
    {"ai.gshard.QLinearConv(u, f, o, k, f, o, f, o)",
     "needs the attribute 'place'"},
    {"ai.gshard.QLinearConv(u, f, o, k, f, o, f, o) place=\"[1,1,9]{~,~,a}, "
     "_, _, _, _, _, _, _ -> [1,1,7]{~,~,a}\"",
     "elements that windows cover are missing"},
    {"ai.gshard.QLinearConv(u, f, o, k, f, o, f, o) place=\"[1,1,9]{~,~,a}, "
     "_, _ -> [1,1,7]{~,~,a}\"",
     "'place' has 3 operands and 1 results, the node 8 and 1"},
    {"ai.gshard.QLinearConv(u, f, o, k, f, o, f, o) place=\"[1,1,9]{~,~,a}, "
     "_, _, [2,1,3]{a,~,~}, _, _, _, _ -> [1,2,7]{~,~,~} window(2:0,3)\"",
     "the weights do not fit the operand"},
    {"ai.gshard.QLinearConv(u, e, o, k, f, o, f, o) place=\"[1,1,9]{~,~,a}, "
     "[1]{~} window(0:0,0), _, _, _, _, _, _ -> [1,1,7]{~,~,~} "
     "window(2:0,3)\"", "operand 1 has 0 numbers instead of 1"},
    {"ai.gshard.QLinearConv(u, f, o, k, f, o, f, z) place=\"[1,1,9]{~,~,a}, "
     "_, _, _, _, _, _, [1]{~} window(0:0,2) -> [1,1,7]{~,~,~} "
     "window(2:0,3)\"", "operand 7 has 2 numbers instead of 1"},
    {"ai.gshard.QLinearConv(u, f, o, k, v, o, f, o) place=\"[1,1,9]{~,~,a}, "
     "_, _, _, [1]{~} window(0:0,2), _, _, _ -> [1,1,7]{~,~,~} "
     "window(2:0,3)\"", "operand 4 has 2 numbers for 1 channels"},
    {"ai.gshard.QLinearConv(u, f, o, k, f, o, f, o, b) place=\"[1,1,9]{~,~,a},"
     " _, _, _, _, _, _, _, [1]{~} window(0:0,2) -> [1,1,7]{~,~,~} "
     "window(2:0,3)\"", "the bias has 2 numbers for 1 channels"},
    {"ai.gshard.GridSample(x, p)", "needs the attribute 'place'"},
    {"ai.gshard.GridSample(x, p) place=\"[1,1,9]{~,~,~} window(2:5,5), _ -> "
     "_\"", "elements of the image that the grid asks for are missing"},
    {"ai.gshard.GridSample(x, p) place=\"[1,1,9]{~,~,a}, [1,9,1]{~,a,~} -> "
     "[1,1,8]{~,~,a}\"", "'place' does not fit result 'y'"},
    {"ai.gshard.GridSample(x, p) place=\"[1,1,8]{~,~,a}, _ -> _\"",
     "'place' does not fit operand 'x'"},
    {"ai.gshard.GridSample(x, p) place=\"[1,1,9]{~,~,a}, [1,9,1]{~,a,~} -> "
     "[1,1,9]{~,~,~}\"",
     "image, grid and result are not of the same batch, channels and places"},
    {"ai.gshard.GridSample(x, p) place=\"[2,1,5]{a,~,~}, [2,5,1]{a,~,~} -> "
     "[2,1,5]{~,~,~}\"",
     "image, grid and result are not of the same batch, channels and places"},
    {"ai.gshard.GridSample(x, p) place=\"[1,2,5]{~,a,~}, _ -> [1,2,5]{~,~,~}"
     "\"",
     "image, grid and result are not of the same batch, channels and places"},
    {"ai.gshard.LRN(x) size=2 place=\"[1,3,5]{~,a,~} window(1:2*i,1) -> "
     "[1,3,5]{~,a,~}\"", "channels around those of the result are missing"},
    {"ai.gshard.Resize(x, _, s) place=\"[1,1,9]{~,~,a} "
     "window(2:1,5), _, _ -> [1,1,18]{~,~,a}\" mode=\"linear\"",
     "element 0 of a dim of 18 is made of others than 1 to 5"},
    {"ai.gshard.GatherElements(x, i) axis=2 place=\"[1,1,9]{~,~,a}, _ -> "
     "_\"", "index 9 (element 1 of the indices) is outside of a dim of 9"},
    {"ai.gshard.GatherElements(x, i) axis=2 place=\"[1,1,12]{~,~,a}, _ -> "
     "_\"", "'place' does not fit operand 'x' f32[1,1,5]"},
    {"ai.gshard.GatherND(x, t) place=\"[1,1,9]{~,~,a}, _ -> _\"",
     "index -10 (tuple 0) is outside of dim 2 of 9"},
    {"ai.gshard.GatherND(x, t) place=\"[1,1,9]{~,~,a}, _ -> [1]{a}\"",
     "'place' does not fit result 'y' f32[2]"},
    {"ai.gshard.ScatterElements(x, i, x) axis=2 place=\"[1,1,9]{~,~,a}, _, _ "
     "-> [1,1,9]{~,~,a}\"", "updates are f32[1,1,5], expected f32[1,1,2]"},
    {"ai.gshard.ScatterND(x, t, s) place=\"[1,1,9]{~,~,a}, _, _ -> "
     "[1,1,9]{~,~,a}\"", "updates are f32[3], expected f32[2]"},
    {"ai.gshard.Slice(x, w, w, t) place=\"[1,1,9]{~,~,a}, _, _, _ -> _\"",
     "1 starts, but 6 axes"},
    {"ai.gshard.Slice(x, w, w, d) place=\"[1,1,8]{~,~,a}, _, _, _ -> _\"",
     "'place' does not fit operand 'x' f32[1,1,5]"},
    {"ai.gshard.TensorScatter(x, x, w) axis=2 place=\"[1,1,9]{~,~,a}, _, _ -> "
     "[1,1,9]{~,~,a}\"", "5 rows do not fit at 5 in a cache of 9"},
    {"ai.gshard.OneHot(i, d, v) place=\"_, _, _ -> [1,1,2,9]{~,~,~,a}\"",
     "'place' does not fit result 'y' f32[1,1,2,8]"},
    {"ai.gshard.MomentBlocks(x) dims=[2] blocks=[2] place=\"[1,1,9]{~,~,a} "
     "window(2:1,5) -> [1,1,2]{~,~,a}\"",
     "elements of blocks of dim 2 are missing"},
    {"ai.gshard.MomentBlocks(x) dims=[0] blocks=[1] place=\"[1,1,9]{~,~,a} "
     "-> [1,1,9]{~,~,~}\"", "dim 2 of operand and result differ"},
    {"ai.gshard.MomentBlocks(x) dims=[2] blocks=[3] place=\"[1,1,9]{~,~,a} "
     "-> [1,1,2]{~,~,a}\"", "'place' does not fit result"},
    {"ai.gshard.MomentBlocks(x) dims=[3] blocks=[2]", "axis 3 is out of range"},
    {"ai.gshard.MomentBlocks(x) dims=[2] blocks=[0]",
     "'blocks' has 0, which is not from 1 to 1073741824"},
    {"ai.gshard.MomentBlocks(x) dims=[2] blocks=[1,2]",
     "'blocks' has 2 elements, 'dims' 1"},
    {"ai.gshard.MomentBlocks(x) dims=[2] blocks=[1] stash_type=10",
     "attribute 'stash_type' is 10, neither 1 (f32) nor 11 (f64)"},
    {"ai.gshard.Normalize(x, s)", "does not broadcast to 'x'"},
    {"ai.gshard.Attention(q, q, q) is_causal=1 place=\"[1,1,4,8]{~,~,a,~}, "
     "_, [1,1,4,8]{~,~,a,~} -> [1,1,4,8]{~,~,a,~}\"",
     "is f32[1,1,4,8], expected f32[1,1,2,8]"},
    {"ai.gshard.Attention(q, q, q) is_causal=1 place=\"_, [1,1,4,8]{~,~,a,~}, "
     "[1,1,4,8]{~,~,a,~} -> _\"", "'place' does not fit operand 'q'"},
    {"ai.gshard.Attention(q, q, q) is_causal=1 place=\"[1,1,4,8]{~,~,a,~}, _, "
     "_ -> _\"", "'place' does not fit result 'y'"},
    {"ai.gshard.MultiHeadAttention(h, h, h) num_heads=2 place=\"[1,2,16]{~,~,a}"
     ", _, _ -> _\"", "is f32[1,2,8], expected f32[1,2,16]"},
    {"ai.gshard.MultiHeadAttention(h, h, h) num_heads=2 place=\"_, "
     "[1,4,8]{~,a,~}, [1,4,8]{~,a,~} -> _\"",
     "'place' does not fit operand 'h'"},
    {"ai.gshard.GroupQueryAttention(h, h, h, _, _, c, c) num_heads=2 "
     "kv_num_heads=2 place=\"_, [1,4,8]{~,a,~}, [1,4,8]{~,a,~}, _, _, _, _ -> "
     "_\"", "is f32[1,4,8], expected f32[1,2,8]"},
    {"ai.gshard.RNN(x, r, w1) direction=\"bidirectional\" place=\"_, "
     "[2,1,5]{a,~,~}, _ -> _\"", "'w1' is f32[1,1,1], expected f32[2,1,1]"},
    {"ai.gshard.MaxPool(x) kernel_shape=[3] stride=[2] place=\"[1,1,9]{~,~,a}"
     " -> [1,1,7]{~,~,a}\"", NULL},
};

START_TEST(misfit) {
  gs_arena a;
  gs_err e;
  gs_graph *g;
  gs_arena_init(&a);
  gs_err_init(&e);
  const char *says = misfits[_i].says;
  char *text = gs_sprintf(&a, "mesh {a=2}\ninput x : f32[1,1,5]\n"
                          "constant s : f32[3] = [1,1,2]\n"
                          "constant i : i64[1,1,2] = [-9,9]\n"
                          "constant t : i64[2,3] = [0,0,-10,0,0,3]\n"
                          "constant w : i64[1] = [5]\n"
                          "constant d : i64[] = [8]\n"
                          "constant v : f32[2] = [0,1]\n"
                          "input u : u8[1,1,5]\ninput k : u8[1,1,3]\n"
                          "constant f : f32[1] = [1]\n"
                          "input o : u8[1]\ninput z : u8[2]\n"
                          "input b : i32[2]\ninput e : f32[0]\n"
                          "input p : f32[1,5,1]\n"
                          "input c : i32[1]\n"
                          "input q : f32[1,1,2,8]\n"
                          "input h : f32[1,2,8]\n"
                          "input r : f32[1,1,5]\n"
                          "input w1 : f32[1,1,1]\n%s%s\n",
                          strncmp(misfits[_i].node, "y, ", 3) ? "y = " : "",
                          misfits[_i].node);
  ck_assert_int_eq(gs_graph_parse(&a, text, "case", &g, &e), GS_OK);
  gs_node *n = g->node.at[0];
  n->op = gs_op_find(n->domain, n->op_type);
  n->opset = 1;
  for (int i = 0; i < g->input.n; i++) set_input(&a, g->input.at[i]);
  gs_status s = says ? gs_shape_infer(g, n, &e) : gs_schema_check(g, n, &e);
  if (!s) s = gs_kernel_eval(g, n, &e);
  ck_assert_int_eq(s, GS_DATA);
  const char *wanted = says ? says : "unknown attribute 'stride'";
  ck_assert_msg(strstr(e.diag[0].text, wanted), "%s", e.diag[0].text);
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

/* A program's placement is that of its values. */
START_TEST(broken) {
  gs_arena a;
  gs_graph *g;
  gs_arena_init(&a);
  ck_assert_int_eq(gs_graph_parse(
      &a, "mesh {a=2}\ninput x : f32[1,1,5]\ny = ai.gshard.MaxPool(x) "
      "kernel_shape=[1] place=\"[1,1,9]{~,~,a} -> [1,1,9]{~,~,a}\" "
      ": f32[1,1,5]\n", "case", &g, NULL), GS_OK);
  ck_assert_int_eq(gs_graph_check(g, NULL), GS_OK);
  gs_placement *pl = (gs_placement *)gs_node_placement(g->node.at[0]);
  pl->nin = 0;
  ck_assert_int_eq(gs_graph_check(g, NULL), GS_DATA);
  pl->nin = 1;
  gs_extent was = pl->in[0];
  pl->in[0].rank = 2;
  ck_assert_int_eq(gs_graph_check(g, NULL), GS_DATA);
  pl->in[0] = was;
  pl->in[0].dims = (const int64_t[]){1, 1, 12};
  ck_assert_int_eq(gs_graph_check(g, NULL), GS_DATA);
  pl->in[0] = was;
  pl->out[0].form = NULL;
  ck_assert_int_eq(gs_graph_check(g, NULL), GS_OK);
  gs_arena_free(&a);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("misplaced");
  tcase_add_loop_test(t, misfit, 0, sizeof misfits / sizeof *misfits);
  tcase_add_test(t, broken);
  return suite_run("misplaced", t);
}
