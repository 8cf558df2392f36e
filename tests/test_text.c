/* The text form of graphs: whatever is printed reads back as what it was. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "ir/graph/graph.h"

static const char *print(const gs_graph *g) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_graph_print(&b, g);
  return b.at;
}

/* Prints, parses, prints; the graph that was parsed. */
static gs_graph *again(const gs_graph *g) {
  const char *text = print(g);
  gs_graph *back = NULL;
  gs_status s = gs_graph_parse(&arena, text, "t", &back, &err);
  ck_assert_msg(!s, "%s\n%s", err.n ? err.diag[0].text : "", text);
  ck_assert_str_eq(print(back), text);
  ck_assert_int_eq(back->node.n, g->node.n);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i], *m = back->node.at[i];
    ck_assert_str_eq(m->domain, n->domain);
    ck_assert_str_eq(m->op_type, n->op_type);
    ck_assert_str_eq(m->name, n->name);
    ck_assert_int_eq(m->nin, n->nin);
    ck_assert_int_eq(m->nout, n->nout);
    for (int k = 0; k < n->nin; k++)
      if (n->in[k]) ck_assert_str_eq(m->in[k]->name, n->in[k]->name);
      else ck_assert_ptr_null(m->in[k]);
    ck_assert_int_eq(m->nattr, n->nattr);
    for (int k = 0; k < n->nattr; k++)
      ck_assert_str_eq(m->attr[k].name, n->attr[k].name);
  }
  return back;
}

static gs_value *input(gs_graph *g, const char *name, gs_dtype t, int rank) {
  int64_t dims[2] = {4, 8};
  gs_value *v = gs_value_new(g, name, t, rank, dims);
  v->is_input = true;
  *gs_push(g->arena, &g->input) = v;
  return v;
}

static gs_node *make(gs_graph *g, const char *domain, const char *op,
                     gs_value *in, const char *result) {
  gs_node *n = gs_node_new(g, domain, op, "", 1, 1);
  n->in[0] = in;
  gs_node_output(n, 0, gs_value_new(g, result, GS_UNDEFINED, -1, NULL));
  return n;
}

static const char *const odd[] = {
    "_", "#", "#d", ":", "=", "a:", "a b", "a.b", ".", "", "\"", "'", "\\",
    "\x1b[31m", "a\nb", "{", "}", "(", "|", ",", "input", "output", "graph",
    "constant", "mesh", "capture", "of", "\xc3\xa4", "-", "1", "tensor(",
};
enum { NODD = sizeof odd / sizeof *odd };

START_TEST(many_operands) {
  enum { N = 1000 };
  gs_graph *g = gs_graph_new(&arena, "many");
  gs_value *x = input(g, "x", GS_FLOAT, 2);
  gs_node *n = gs_node_new(g, "org.example", "Many", "n", N, N);
  for (int i = 0; i < N; i++) {
    if (i != 7) n->in[i] = x;
    if (i == 9) continue;
    gs_node_output(n, i, gs_value_new(g, NULL, GS_FLOAT, -1, NULL));
  }
  gs_graph *back = again(g);
  ck_assert_ptr_null(back->node.at[0]->out[9]);
}
END_TEST

START_TEST(odd_operators) {
  gs_graph *g = gs_graph_new(&arena, "odd");
  gs_value *x = input(g, "x", GS_UNDEFINED, -1);
  for (int i = 0; i < NODD; i++)
    for (int k = 0; k < NODD; k++) {
      if (!*odd[i]) continue; /* an operator has a name */
      make(g, odd[k], odd[i], x, gs_sprintf(&arena, "y%d.%d", i, k));
      make(g, odd[k], "Op", x, gs_sprintf(&arena, "z%d.%d", i, k));
    }
  make(g, "", "a.b", x, "dots");
  make(g, "org.example", "a", x, "plain");
  again(g);
}
END_TEST

START_TEST(odd_values) {
  gs_graph *g = gs_graph_new(&arena, "");
  gs_value *x = input(g, "input", GS_FLOAT, 2);
  for (int i = 0; i < NODD; i++) {
    if (!*odd[i] || gs_graph_find(g, odd[i])) continue;
    gs_node *n = make(g, "", "Relu", x, odd[i]);
    x = n->out[0];
    n->name = odd[i];
  }
  x->is_output = true;
  *gs_push(&arena, &g->output) = x;
  again(g);
}
END_TEST

START_TEST(odd_attributes) {
  gs_graph *g = gs_graph_new(&arena, "");
  gs_node *n = make(g, "", "Relu", input(g, "x", GS_FLOAT, 2), "y");
  for (int i = 0; i < NODD; i++) {
    if (!*odd[i]) continue;
    gs_node_set_int(g, n, odd[i], i);
    gs_node_set_string(g, n, gs_sprintf(&arena, "_%s", odd[i]), odd[i]);
  }
  gs_node_set_ints(g, n, "none", NULL, 0);
  gs_graph *back = again(g);
  for (int i = 0; i < NODD; i++) {
    if (!*odd[i]) continue;
    const char *name = gs_sprintf(&arena, "_%s", odd[i]);
    ck_assert_int_eq(gs_node_int(back->node.at[0], odd[i], -1), i);
    ck_assert_str_eq(gs_node_string(back->node.at[0], name, ""), odd[i]);
  }
}
END_TEST

START_TEST(types) {
  gs_graph *g = gs_graph_new(&arena, "");
  for (int t = 0; t < GS_NDTYPE; t++)
    for (int rank = -1; rank < 3; rank++) {
      char name[32];
      snprintf(name, sizeof name, "v%d.%d", t, rank + 1);
      input(g, name, (gs_dtype)t, rank);
    }
  for (int k = GS_SEQUENCE; k <= GS_OPTIONAL_SEQUENCE; k++)
    for (int t = 0; t < 3; t++)
      input(g, gs_sprintf(&arena, "k%d.%d", k, t), (gs_dtype)t, -1)->kind =
          (gs_kind)k;
  gs_graph *back = again(g);
  for (int i = 0; i < g->input.n; i++) {
    ck_assert_int_eq(back->input.at[i]->dtype, g->input.at[i]->dtype);
    ck_assert_int_eq(back->input.at[i]->rank, g->input.at[i]->rank);
    ck_assert_int_eq(back->input.at[i]->kind, g->input.at[i]->kind);
  }
}
END_TEST

/* Nothing at all can be had from an arena that has nothing. */
START_TEST(empty_arena) {
  gs_arena a;
  gs_arena_init(&a);
  ck_assert_ptr_nonnull(gs_alloc(&a, 0));
  ck_assert_ptr_nonnull(a.head);
  gs_arena_reset(&a);
  ck_assert_ptr_nonnull(gs_calloc(&a, 0, 16));
  gs_arena_free(&a);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("text");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, many_operands);
  tcase_add_test(t, odd_operators);
  tcase_add_test(t, odd_values);
  tcase_add_test(t, odd_attributes);
  tcase_add_test(t, types);
  tcase_add_test(t, empty_arena);
  return suite_run("text", t);
}
