/* Rules and shapes of operators: the cases of data/rules.txt and
 * data/rules/.
 *
 * A case (see cases.h) is a graph in text form whose last node is looked at,
 * and an optional line "rule TEXT" (the user's, instead of the row's);
 * expected are the rule and the results, or the error. */
#include "cases.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

/* A printed rule parses, and printing it again is a fixed point; but for
 * windows, which no text of a user says. */
static void check_round(gs_arena *a, const gs_node *n, const gs_rule *r) {
  if (r->nuse) return;
  gs_err e;
  gs_err_init(&e);
  const char *text[3];
  gs_rule again = *r;
  for (int i = 0; i < 3; i++) {
    gs_buf b;
    gs_buf_init(&b, a);
    gs_rule_print(&b, &again);
    text[i] = b.at;
    gs_status s = gs_rule_parse(a, text[i], n, &again, &e);
    if (s) gs_err_print(&e, stderr, "test_rule", false);
    must(s == GS_OK, text[i]);
    must(gs_rule_check(n, &again, &e) == GS_OK, text[i]);
  }
  must(!strcmp(text[1], text[2]), text[1]);
  must(strlen(text[0]) == strlen(text[1]), text[0]);
  gs_err_free(&e);
}

static gs_status look(gs_arena *a, gs_graph *g, const char *rule, gs_buf *out,
                      gs_err *e) {
  gs_node *n = NULL;
  gs_rule r;
  for (int i = 0; i < g->node.n; i++) {
    n = g->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    if (i == g->node.n - 1) n->rule = rule;
    GS_TRY(gs_shape_infer(g, n, e));
  }
  must(n != NULL, "a case without a node");
  GS_TRY(gs_rule_of(a, n, &r, e));
  gs_rule_print(out, &r);
  gs_buf_char(out, '\n');
  check_round(a, n, &r);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i])
      gs_buf_printf(out, "%s : %s\n", n->out[i]->name,
                    gs_shape_text(a, n->out[i]->dtype, n->out[i]->rank,
                                  n->out[i]->dims));
  return GS_OK;
}

/* The text of the line "rule TEXT", which it cuts off; NULL: there is none. */
static const char *cut_rule(char *given) {
  char *line = strstr(given, "\nrule ");
  if (!line) return NULL;
  *line = 0;
  return line + strlen("\nrule ");
}

static void run_case(gs_arena *a, char *given, gs_buf *b) {
  gs_err e;
  gs_graph *g;
  gs_err_init(&e);
  const char *rule = cut_rule(given);
  gs_status s = gs_graph_parse(a, given, "case", &g, &e);
  if (s == GS_OK) s = look(a, g, rule, b, &e);
  if (s) {
    must(e.n > 0, "a failure has an error");
    const gs_diag *d = &e.diag[0];
    gs_buf_printf(b, "error %d: %s: %s\n", (int)s, d->place ? d->place : "-",
                  d->text);
  }
  gs_err_free(&e);
}

static gs_rule rule_of(gs_arena *a, gs_graph *g, gs_node **node) {
  gs_rule r;
  gs_err e;
  gs_err_init(&e);
  *node = g->node.at[g->node.n - 1];
  (*node)->op = gs_op_find((*node)->domain, (*node)->op_type);
  ck_assert_int_eq(gs_shape_infer(g, *node, &e), GS_OK);
  ck_assert_int_eq(gs_rule_of(a, *node, &r, &e), GS_OK);
  gs_err_free(&e);
  return r;
}

START_TEST(flops) {
  gs_arena a;
  gs_arena_init(&a);
  gs_graph *g;
  gs_node *n;
  ck_assert_int_eq(gs_graph_parse(&a,
                                  "input a : f32[3,4,8]\n"
                                  "input b : f32[8,2]\n"
                                  "y = MatMul(a, b)\n",
                                  "t", &g, NULL),
                   GS_OK);
  gs_rule r = rule_of(&a, g, &n);
  int64_t sizes[GS_MAX_FACTORS];
  for (int f = 0; f < r.nfactor; f++) sizes[f] = r.factor[f].size;
  ck_assert(gs_op_flops(n->op, &r, sizes) == 2.0 * 3 * 4 * 8 * 2);
  gs_arena_free(&a);
}
END_TEST

/* A wrong rule is found. */
START_TEST(check) {
  gs_arena a;
  gs_arena_init(&a);
  gs_graph *g;
  gs_node *n;
  ck_assert_int_eq(gs_graph_parse(&a,
                                  "input a : f32[4,8]\n"
                                  "y = ReduceSum(a) keepdims=0\n",
                                  "t", &g, NULL),
                   GS_OK);
  gs_rule r = rule_of(&a, g, &n);
  gs_rule wrong = r;
  wrong.factor[0].size = 5;
  ck_assert_int_eq(gs_rule_check(n, &wrong, NULL), GS_INTERNAL);
  wrong = r;
  wrong.nout = 0;
  ck_assert_int_eq(gs_rule_check(n, &wrong, NULL), GS_INTERNAL);
  wrong = r;
  wrong.nfactor = 1;
  ck_assert_int_eq(gs_rule_check(n, &wrong, NULL), GS_INTERNAL);
  gs_arena_free(&a);
}
END_TEST

static void add_more(TCase *t) {
  tcase_add_test(t, flops);
  tcase_add_test(t, check);
}

int main(int argc, char **argv) {
  return cases_main(argc, argv, "rules", run_case, add_more);
}
