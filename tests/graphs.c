#include "graphs.h"

void graph_set_rows(gs_graph *g) {
  for (int i = 0; i < g->node.n; i++) {
    gs_node *n = g->node.at[i];
    n->op = gs_op_find(n->domain, n->op_type);
    n->opset = n->op ? n->op->since : 1;
  }
}

gs_status graph_read(gs_arena *a, const char *text, const char *name,
                   gs_graph **g, gs_err *e) {
  GS_TRY(gs_graph_parse(a, text, name, g, e));
  graph_set_rows(*g);
  return GS_OK;
}

gs_status graph_draw_inputs(gs_arena *a, const gs_graph *g, const gs_random *r,
                            gs_exec *x, gs_err *e) {
  for (int i = 0; i < g->input.n; i++) {
    const gs_value *v = g->input.at[i];
    gs_tensor *t;
    GS_TRY(gs_random_tensor(a, v->name, v->dtype, v->rank, v->dims, r, &t, e));
    GS_TRY(gs_exec_input(x, v->name, t, e));
  }
  return GS_OK;
}

gs_status graph_take_outputs(gs_arena *a, const gs_graph *g, gs_exec *x,
                             gs_tensor **out, gs_err *e) {
  for (int i = 0; i < g->output.n; i++)
    GS_TRY(gs_exec_output(x, a, i, &out[i], e));
  return GS_OK;
}

gs_status graph_execute(gs_arena *a, const gs_graph *g,
                        const gs_exec_config *how, const gs_random *r,
                        int runs, gs_tensor **out, gs_err *e) {
  gs_exec_config config = *how;
  config.graph = &g;
  config.ngraph = 1;
  config.verify = true;
  gs_exec *x;
  gs_status s = gs_exec_new(&config, &x, e);
  if (!s) s = graph_draw_inputs(a, g, r, x, e);
  for (int run = 0; run < runs && !s; run++) s = gs_exec_run(x, e);
  if (!s) s = graph_take_outputs(a, g, x, out, e);
  gs_exec_free(x);
  return s;
}

void graph_case(gs_arena *a, char *given, gs_buf *b,
                gs_status (*fn)(gs_arena *a, char *given, gs_buf *b,
                                gs_err *e)) {
  gs_err e;
  gs_err_init(&e);
  if (fn(a, given, b, &e))
    for (int i = 0; i < e.n; i++)
      gs_buf_printf(b, "error %d: %s: %s\n", (int)e.diag[i].code,
                    e.diag[i].place ? e.diag[i].place : "", e.diag[i].text);
  gs_err_free(&e);
}
