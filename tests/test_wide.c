/* Nodes whose dims have more sizes than a rule has factors: dims that pass, or
 * are joined, are split all the same, the others are whole. */
#include <stdio.h>

#include "fixture.h"
#include "pass/prepare/infer.h"
#include "pass/partition/partition.h"
#include "pass/propagate/propagate.h"

enum { N = 150 };

/* N operands of different sizes, one of them split as `sharding` says, joined
 * by `op`; partitioned. */
static gs_graph *made(const char *op, const char *sharding,
                      gs_partition *out) {
  gs_buf b;
  gs_graph *g;
  gs_propagate_input none = {0};
  gs_propagation done;
  gs_buf_init(&b, &arena);
  gs_buf_str(&b, "mesh {d=2}\n");
  for (int i = 0; i < N; i++)
    gs_buf_printf(&b, "input x%d %s : f32[4,%d]\n", i, i ? "" : sharding,
                  2 + i);
  gs_buf_printf(&b, "y = %s(", op);
  for (int i = 0; i < N; i++) gs_buf_printf(&b, "%sx%d", i ? ", " : "", i);
  gs_buf_str(&b, ") axis=1 : f32[4,11475]\noutput y\n");
  gs_status s = gs_graph_parse(&arena, b.at, "wide", &g, &err);
  for (int i = 0; !s && i < g->node.n; i++) {
    g->node.at[i]->op = gs_op_find("", g->node.at[i]->op_type);
    g->node.at[i]->opset = 13;
  }
  if (!s) s = gs_pass_infer(&arena, g, NULL, &err);
  if (!s) s = gs_pass_propagate(&arena, g, &none, &done, &err);
  if (!s) s = gs_pass_partition(&arena, g, out, &err);
  if (s) gs_err_print(&err, stderr, "test_wide", false);
  ck_assert_int_eq(s, GS_OK);
  return g;
}

static const char *sharding_of(const gs_graph *g, const char *name) {
  const gs_value *v = gs_graph_find(g, name);
  return gs_sharding_text(&arena, g->mesh, v->sharding);
}

START_TEST(passes) {
  gs_partition p;
  gs_graph *g = made("Concat", "{d,~}", &p);
  ck_assert_str_eq(sharding_of(g, "y"), "{d,~}");
  ck_assert_str_eq(sharding_of(g, "x149"), "{d,~}");
  ck_assert_int_eq(p.collective.n, 0);
}
END_TEST

/* The dim that is joined has one factor, whatever the sizes. */
START_TEST(joined) {
  gs_partition p;
  gs_graph *g = made("Concat", "{~,d}", &p);
  ck_assert_str_eq(sharding_of(g, "y"), "{~,d}");
  ck_assert_str_eq(sharding_of(g, "x149"), "{~,d}");
  ck_assert_int_eq(p.collective.n, 1);
  ck_assert_str_eq(p.collective.at[0].op, gs_moves[GS_MOVE_EXCHANGE].name);
}
END_TEST

/* An operator that nothing is known about. */
START_TEST(unknown) {
  gs_partition p;
  gs_graph *g = made("Unheard", "{d,~}", &p);
  ck_assert_str_eq(sharding_of(g, "y"), "{~,~}");
}
END_TEST

int main(void) {
  TCase *t = tcase_create("wide");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, passes);
  tcase_add_test(t, joined);
  tcase_add_test(t, unknown);
  return suite_run("wide", t);
}
