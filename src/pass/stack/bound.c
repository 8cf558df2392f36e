#include "pass/stack/bound.h"

#include "base/math.h"
#include "kernel/core/kernel.h"
#include "pass/stack/rows_once.h"

enum { DEPTH = 16, MOST = 1 << 22 /* elements that are tried */ };

/* What elements of v are less than, and not less than 0; 0: not known. */
static int64_t less_than(gs_arena *a, const gs_value *v) {
  for (int k = 0; k < DEPTH && v->def && v->def->op; k++) {
    const gs_node *n = v->def;
    gs_rule *r = GS_NEW(a, gs_rule);
    if (gs_node_dynamic(n) || gs_node_has_region(n) ||
        gs_rule_of(a, n, r, NULL))
      return 0;
    if ((n->op->flags & GS_OP_DISTINCT) && v->def_index == 1) {
      for (int f = 0; f < r->nfactor; f++)
        if (r->factor[f].kind == GS_SELECT) return r->factor[f].size;
      return 0;
    }
    if (!(n->op->flags & GS_OP_VALUES) || v->def_index) return 0;
    v = n->in[0];
  }
  return 0;
}

/* Whether n, whose operand i is 0, makes 0 of it. */
static bool keeps_zero(gs_arena *a, gs_graph *g, const gs_node *n, int i) {
  const gs_value *x = n->in[i], *y = n->out[0];
  int64_t count = gs_product(x->dims, x->rank);
  if (n->nout != 1 || count > MOST || gs_product(y->dims, y->rank) > MOST)
    return false;
  for (int k = 0; k < n->nin; k++)
    if (k != i && n->in[k] && !n->in[k]->constant) return false;
  gs_err why;
  gs_err_init(&why);
  gs_tensor *t;
  gs_status status = gs_tensor_new(a, x->dtype, x->rank, x->dims, &t, &why);
  gs_node *made = gs_node_like(g, n, "");
  g->node.n--;
  gs_node_set_all(g, made, n);
  for (int k = 0; k < n->nin; k++) made->in[k] = n->in[k];
  made->in[i] = status ? NULL : gs_value_constant(g, NULL, t);
  gs_node_output(made, 0, gs_value_new(g, "", y->dtype, y->rank, y->dims));
  if (!status) status = gs_kernel_eval(g, made, &why);
  gs_err_free(&why);
  return !status && gs_all_zero(made->out[0]);
}

int64_t gs_mask_bound(gs_arena *a, gs_graph *g, const gs_value *v) {
  int64_t all = v->dims[0];
  int dim = 0;
  for (int k = 0; k < DEPTH && v->def && v->def->op && !v->def_index; k++) {
    const gs_node *n = v->def;
    gs_rule *r = GS_NEW(a, gs_rule);
    if (gs_node_dynamic(n) || gs_node_has_region(n) ||
        (n->op->flags & GS_OP_RANDOM) || gs_rule_of(a, n, r, NULL))
      return all;
    const gs_dim_map *y = &r->out[0].dim[dim];
    int at = -1, i = y->n == 1 ? gs_operand_with(r, y->f[0], &at) : -1;
    if (y->n == 1 && i < 0 && (n->op->flags & GS_OP_EQUALS) && n->nin > 2) {
      int64_t less = less_than(a, n->in[0]);
      return less && gs_begins_with_zero(n->in[2]) ? gs_min(less, all) : all;
    }
    if (i < 0 || r->factor[y->f[0]].kind != GS_PASS ||
        !keeps_zero(a, g, n, i))
      return all;
    v = n->in[i];
    dim = at;
  }
  return all;
}
