/* The kernel column of the table, and evaluation of nodes on constants. */
#include <stdlib.h>

#include "kernel/core/kernel.h"
#include "suite.h"

static gs_value *constant(gs_graph *g, gs_dtype t, int rank,
                          const int64_t *dims, const void *data) {
  gs_tensor *v = NULL;
  gs_err e;
  gs_err_init(&e);
  ck_assert_int_eq(gs_tensor_new(g->arena, t, rank, dims, &v, &e), GS_OK);
  memcpy((void *)(uintptr_t)v->data, data, v->nbytes);
  gs_err_free(&e);
  return gs_value_constant(g, NULL, v);
}

static gs_node *node(gs_graph *g, const char *type, int nin, gs_dtype t,
                     int rank, const int64_t *dims) {
  gs_node *n = gs_node_new(g, "", type, "n", nin, 1);
  n->op = gs_op_find("", type);
  ck_assert_ptr_nonnull(n->op);
  gs_node_output(n, 0, gs_value_new(g, "y", t, rank, dims));
  return n;
}

START_TEST(every_row) {
  for (int i = 0; i < gs_nop; i++) {
    const gs_kernel *k = gs_kernel_of(&gs_ops[i]);
    ck_assert_ptr_nonnull(k);
    bool none = gs_ops[i].flags & (GS_OP_COLLECTIVE | GS_OP_EXIT) &&
                !gs_ops[i].gathers;
    const gs_dynamic *b = gs_dynamic_of(&gs_ops[i]);
    bool runs = k->run || (b && b->run);
    ck_assert_msg(runs != none, "%s", gs_ops[i].name);
  }
}
END_TEST

START_TEST(constants) {
  gs_arena a;
  gs_err e;
  gs_arena_init(&a);
  gs_err_init(&e);
  gs_graph *g = gs_graph_new(&a, "g");
  int64_t dims[] = {3}, rank1[] = {2}, axes[] = {1}, whole[] = {2, 3};
  float x[] = {1, 2, 3}, y[] = {0.5f, 0.25f, -1};
  gs_node *n = node(g, "Add", 2, GS_FLOAT, 1, dims);
  n->in[0] = constant(g, GS_FLOAT, 1, dims, x);
  n->in[1] = constant(g, GS_FLOAT, 1, dims, y);
  ck_assert_int_eq(gs_kernel_eval(g, n, &e), GS_OK);
  const float *r = n->out[0]->constant->data;
  ck_assert(r[0] == 1.5f && r[1] == 2.25f && r[2] == 2);
  /* Scratch and a constant operand that decides the result. */
  float m[] = {1, 2, 3, 4, 5, 6};
  n = node(g, "ReduceMean", 2, GS_FLOAT, 1, rank1);
  gs_node_set_int(g, n, "keepdims", 0);
  n->in[0] = constant(g, GS_FLOAT, 2, whole, m);
  n->in[1] = gs_value_ints(g, NULL, axes, 1);
  ck_assert_int_eq(gs_kernel_eval(g, n, &e), GS_OK);
  r = n->out[0]->constant->data;
  ck_assert(r[0] == 2 && r[1] == 5);
  /* Shape reads no data. */
  n = node(g, "Shape", 1, GS_INT64, 1, rank1);
  n->in[0] = gs_value_new(g, "x", GS_FLOAT, 2, whole);
  ck_assert_int_eq(gs_kernel_eval(g, n, &e), GS_OK);
  const int64_t *s = n->out[0]->constant->data;
  ck_assert(s[0] == 2 && s[1] == 3);
  /* Not constant; a type without a kernel. */
  n = node(g, "Neg", 1, GS_FLOAT, 1, dims);
  n->in[0] = gs_value_new(g, "z", GS_FLOAT, 1, dims);
  ck_assert_int_eq(gs_kernel_eval(g, n, &e), GS_INTERNAL);
  gs_err_clear(&e);
  n = node(g, "Neg", 1, GS_UINT8, 1, dims);
  n->in[0] = constant(g, GS_UINT8, 1, dims, x);
  ck_assert_int_eq(gs_kernel_eval(g, n, &e), GS_UNSUPPORTED);
  ck_assert_str_eq(e.diag[0].text, "no kernel for u8");
  ck_assert_str_eq(e.diag[0].place, "node 'n' (Neg)");
  ck_assert_ptr_null(n->out[0]->constant);
  gs_err_free(&e);
  gs_arena_free(&a);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("all");
  tcase_add_test(t, every_row);
  tcase_add_test(t, constants);
  return suite_run("kernel_eval", t);
}
