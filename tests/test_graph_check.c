/* The verifiers of graphs and shardings: what is right passes, and what has
 * been broken by hand is refused. */
#include <string.h>

#include "ir/graph/graph.h"
#include "suite.h"

static gs_arena arena;
static gs_err err;
static gs_graph *g;

static const char *const text =
    "mesh {dp=2, tp=4}\n"
    "input x {dp,~} : f32[4,8]\n"
    "constant w {~,tp} : f32[2,2] = [1,2,3,4]\n"
    "a = Relu(x) {dp,tp} : f32[4,8]\n"
    "b, c = Split(a) {dp,tp} : f32[4,4], {dp,~} partial(sum,tp) : f32[4,4]\n"
    "d = Add(b, c) {dp,~} : f32[4,4]\n"
    "z = If(d | w) then_branch={\n"
    "  capture w : f32[2,2]\n"
    "  y = Relu(w) : f32[2,2]\n"
    "  output y\n"
    "} {~,~} : f32[2,2]\n"
    "output d\n"
    "output z\n";

static void setup(void) {
  gs_arena_init(&arena);
  gs_err_init(&err);
  ck_assert_msg(!gs_graph_parse(&arena, text, "case", &g, &err), "%s",
                err.n ? err.diag[0].text : "");
}

static void teardown(void) {
  gs_err_free(&err);
  gs_arena_free(&arena);
}

static gs_value *value(const char *name) { return gs_graph_find(g, name); }

static void refused(void) {
  ck_assert_int_eq(gs_graph_check(g, &err), GS_INTERNAL);
}

/* ---- graphs ---- */

static void id_of_value(void) { value("a")->id = 1; }
static void name_twice(void) { value("a")->name = "x"; }
static void negative_dim(void) { value("a")->dims[0] = -2; }
static void other_constant(void) { value("w")->dims[0] = 3; }
static void id_of_node(void) { g->node.at[0]->id = 2; }
static void no_operand(void) { g->node.at[1]->in[0]->id = 99; }
static void too_many_captured(void) { g->node.at[3]->ncapture = 3; }
static void too_few_captured(void) { g->node.at[3]->ncapture = 0; }
static void inner_graph(void) {
  g->node.at[3]->attr[0].g->node.at[0]->id = 7;
}
static void made_elsewhere(void) { value("b")->def = g->node.at[0]; }
static void made_twice(void) { g->node.at[2]->out[0] = value("a"); }
static void input_made(void) { value("x")->def = g->node.at[0]; }
static void input_not_marked(void) { value("x")->is_input = false; }
static void output_not_marked(void) { value("d")->is_output = false; }
static void output_not_made(void) { g->node.n = 2; }

static void used_before(void) {
  gs_node *n = g->node.at[0];
  g->node.at[0] = g->node.at[1];
  g->node.at[1] = n;
  g->node.at[0]->id = 0;
  g->node.at[1]->id = 1;
}

static void (*const broken[])(void) = {
    id_of_value,       name_twice,       negative_dim,   other_constant,
    id_of_node,        no_operand,       used_before,    too_many_captured,
    too_few_captured,  inner_graph,      made_elsewhere, made_twice,
    input_made,        input_not_marked, output_not_marked,
    output_not_made,
};

START_TEST(graph_right) { ck_assert(!gs_graph_check(g, &err)); }
END_TEST

START_TEST(graph_broken) {
  broken[_i]();
  refused();
}
END_TEST

/* ---- shardings ---- */

static void take_away(void) { value("b")->sharding = NULL; }
static void leave_open(void) { value("b")->sharding->dim[1].open = true; }
static void other_rank(void) {
  value("b")->sharding = gs_sharding_new(&arena, 3, false);
}
static void axis_twice(void) {
  value("d")->sharding->dim[1] = value("d")->sharding->dim[0];
}
static void axis_unknown(void) { value("d")->sharding->dim[0].axes.at[0] = 9; }
static void also_partial(void) { value("d")->sharding->partial = 1; }
static void also_replicated(void) { value("d")->sharding->replicated = 1; }
static void no_mesh(void) { g->mesh = NULL; }

static void (*const unsharded[])(void) = {
    take_away,    leave_open,   other_rank,      axis_twice,
    axis_unknown, also_partial, also_replicated, no_mesh,
};

START_TEST(sharding_right) { ck_assert(!gs_graph_check_sharded(g, &err)); }
END_TEST

START_TEST(sharding_broken) {
  unsharded[_i]();
  ck_assert(gs_graph_check_sharded(g, &err));
}
END_TEST

int main(void) {
  TCase *t = tcase_create("graph_check");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, graph_right);
  tcase_add_loop_test(t, graph_broken, 0,
                      (int)(sizeof broken / sizeof *broken));
  tcase_add_test(t, sharding_right);
  tcase_add_loop_test(t, sharding_broken, 0,
                      (int)(sizeof unsharded / sizeof *unsharded));
  return suite_run("graph_check", t);
}
