/* gs_pass_ranges: inputs that are indices, through what moves them. */
#include <stdio.h>

#include "fixture.h"
#include "pass/prepare/infer.h"
#include "pass/prepare/ranges.h"

static void set_ops(const gs_graph *g) {
  for (int i = 0; i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    for (int k = 0; k < n->nattr; k++)
      if (n->attr[k].g) set_ops(n->attr[k].g);
  }
}

/* Where the range of the first input ends; it begins at `low`. */
static int64_t range_from(int64_t low, const char *text) {
  gs_graph *g;
  gs_bindings b;
  gs_bindings_init(&b, &arena);
  gs_status s = gs_graph_parse(&arena, text, "t", &g, &err);
  if (!s) set_ops(g);
  if (!s) s = gs_pass_infer(&arena, g, &b, &err);
  if (s) gs_err_print(&err, stderr, "test_ranges", false);
  ck_assert_int_eq(s, GS_OK);
  gs_range r = gs_pass_ranges(&arena, g)[0];
  ck_assert_int_eq(r.low, low);
  return r.high;
}

static int64_t range(const char *text) { return range_from(0, text); }

/* The total of attention with a past of 7 rows and one that is new. */
START_TEST(sizes) {
  const char *text =
      "input i : i32[]\ninput q : f32[2,1,32]\ninput k : f32[2,1,16]\n"
      "input v : f32[2,1,16]\ninput pk : f32[2,1,7,16]\n"
      "input pv : f32[2,1,7,16]\ninput n : i32[2]\n"
      "y, nk, nv = com.microsoft.GroupQueryAttention(q, k, v, pk, pv, n, i) "
      "num_heads=2 kv_num_heads=1 : ?[...], : ?[...], : ?[...]\n"
      "output y\noutput nk\noutput nv\n";
  ck_assert_int_eq(range_from(8, text), 9);
}
END_TEST

#define TABLE "input t : f32[50,8]\n"
#define MS_ROTARY                                                              \
  "input x : f32[2,3,4,8]\ninput c : f32[20,4]\ninput s : f32[20,4]\n"         \
  "y = com.microsoft.RotaryEmbedding(x, i, c, s)\noutput y\n"

START_TEST(indexed_dims) {
  ck_assert_int_eq(range("input i : i64[4]\n" TABLE
                         "y = Gather(t, i)\noutput y\n"), 50);
  ck_assert_int_eq(range("input i : i64[4]\n" TABLE
                         "y = Gather(t, i) axis=-1\noutput y\n"), 8);
  ck_assert_int_eq(range("input i : i64[4,8]\n" TABLE
                         "y = GatherElements(t, i)\noutput y\n"), 50);
  ck_assert_int_eq(range("input i : i64[4,8]\n" TABLE "input u : f32[4,8]\n"
                         "y = ScatterElements(t, i, u)\noutput y\n"), 50);
  ck_assert_int_eq(range("input i : i64[4,1]\n" TABLE
                         "y = GatherND(t, i)\noutput y\n"), 50);
  ck_assert_int_eq(range("input i : i64[4,2]\n" TABLE
                         "y = GatherND(t, i)\noutput y\n"), 8);
  ck_assert_int_eq(range("input i : i64[50,1]\n" TABLE
                         "y = GatherND(t, i) batch_dims=1\noutput y\n"), 8);
  ck_assert_int_eq(range("input i : i64[4,1]\n" TABLE "input u : f32[4,8]\n"
                         "y = ScatterND(t, i, u)\noutput y\n"), 50);
  ck_assert_int_eq(range("input i : i64[4]\nconstant d : i64[] = [9]\n"
                         "constant v : f32[2] = [0, 1]\n"
                         "y = OneHot(i, d, v)\noutput y\n"), 9);
  ck_assert_int_eq(range("input i : i64[2,4]\ninput x : f32[2,3,4,8]\n"
                         "input c : f32[20,4]\ninput s : f32[20,4]\n"
                         "y = RotaryEmbedding(x, c, s, i)\noutput y\n"), 20);
  ck_assert_int_eq(range("input i : i64[2,4]\n" MS_ROTARY), 20);
}
END_TEST

START_TEST(followed) {
  ck_assert_int_eq(range("input i : i32[2,4]\n" TABLE
                         "constant s : i64[1] = [8]\n"
                         "constant a : i64[1] = [0]\n"
                         "c = Cast(i) to=7\nr = Reshape(c, s)\n"
                         "u = Unsqueeze(r, a)\nd = Identity(u)\n"
                         "p = Transpose(d)\ny = Gather(t, p)\n"
                         "output y\n"), 50);
  ck_assert_int_eq(range("input i : i64[4]\n" TABLE "input k : i64[3]\n"
                         "c = Concat(k, i) axis=0\ny = Gather(t, c)\n"
                         "output y\n"), 50);
  ck_assert_int_eq(range("input i : i64[4]\n" TABLE
                         "a, b = Split(i) num_outputs=2 : i64[2], : i64[2]\n"
                         "y = Gather(t, b)\n"
                         "output y\noutput a\n"), 50);
  ck_assert_int_eq(range("input i : i64[30]\n" TABLE "input k : i64[3]\n"
                         "c = Gather(i, k)\ny = Gather(t, c)\n"
                         "output y\n"), 50);
}
END_TEST

START_TEST(smallest) {
  ck_assert_int_eq(range("input i : i64[4]\n" TABLE
                         "y = Gather(t, i)\nz = Gather(t, i) axis=1\n"
                         "output y\noutput z\n"), 8);
  ck_assert_int_eq(range("input i : i8[4]\ninput t : f32[500,8]\n"
                         "c = Cast(i) to=7\ny = Gather(t, c)\noutput y\n"),
                   128);
  ck_assert_int_eq(range("input i : u8[4]\ninput t : f32[500,8]\n"
                         "c = Cast(i) to=7\ny = Gather(t, c)\noutput y\n"),
                   256);
}
END_TEST

/* Used in one branch of an If alone. */
START_TEST(captured) {
  ck_assert_int_eq(range("input i : i64[4]\ninput c : bool[]\n" TABLE
                         "y = If(c | t, i) then_branch={\n"
                         "  capture t : f32[50,8]\n"
                         "  capture i : i64[4]\n"
                         "  a = Gather(t, i)\n"
                         "  output a\n"
                         "} else_branch={\n"
                         "  capture t : f32[50,8]\n"
                         "  capture i : i64[4]\n"
                         "  b = Neg(t)\n"
                         "  output b\n"
                         "}\noutput y\n"), 50);
}
END_TEST

/* Not indices: numbers that are computed with, lengths, what is indexed. */
START_TEST(others) {
  ck_assert_int_eq(range("input i : i64[4]\n" TABLE "input k : i64[4]\n"
                         "s = Add(i, k)\ny = Gather(t, s)\noutput y\n"), 0);
  ck_assert_int_eq(range("input i : i64[8]\n" TABLE
                         "y = ReverseSequence(t, i)\noutput y\n"), 0);
  ck_assert_int_eq(range("input i : i64[4]\ninput k : i64[2]\n"
                         "y = Gather(i, k)\noutput y\n"), 0);
  ck_assert_int_eq(range("input i : i64[1]\n" MS_ROTARY), 0); /* an offset */
  ck_assert_int_eq(range("input i : f32[4]\n" TABLE "c = Cast(i) to=7\n"
                         "y = Gather(t, c)\noutput y\n"), 0);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("ranges");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, sizes);
  tcase_add_test(t, indexed_dims);
  tcase_add_test(t, followed);
  tcase_add_test(t, smallest);
  tcase_add_test(t, captured);
  tcase_add_test(t, others);
  return suite_run("ranges", t);
}
