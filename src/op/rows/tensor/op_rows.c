/* Rules and shapes of the rows of section "rows". */
#include <string.h>

#include "op/rule/rule.h"
#include "op/core/shape.h"

gs_rule_fn gs_rule_layer_norm;
gs_shape_fn gs_shape_layer_norm;

/* ---- normalizations over the dims from `axis` on ---- */

/* Operand i (scale, bias) broadcasts to operand 0. */
static gs_status check_scale(gs_graph *g, const gs_node *n, int i,
                             gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *v = gs_node_in(n, i);
  if (!v) return GS_OK;
  bool fits = v->rank <= x->rank;
  for (int d = 0; fits && d < v->rank; d++)
    fits = v->dims[d] == 1 || v->dims[d] == x->dims[x->rank - v->rank + d];
  if (fits) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' %s does not broadcast to '%s' %s", i,
                 v->name, gs_shape_text(a, v->dtype, v->rank, v->dims),
                 x->name, gs_shape_text(a, x->dtype, x->rank, x->dims));
}

gs_status gs_shape_layer_norm(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0];
  int axis;
  GS_TRY(gs_shape_axis_attr(a, n, "axis", -1, &axis, e));
  for (int i = 1; i < 3; i++) {
    GS_TRY(gs_shape_same_type(a, n, 0, i, e));
    GS_TRY(check_scale(g, n, i, e));
  }
  GS_TRY(gs_shape_set_like(g, n, 0, e));
  int64_t dims[GS_MAX_RANK];
  for (int d = 0; d < x->rank; d++) dims[d] = d < axis ? x->dims[d] : 1;
  int64_t stash = gs_node_int(n, "stash_type", GS_FLOAT);
  if (stash != GS_FLOAT && stash != GS_BFLOAT16)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'stash_type' is %lld, neither %d (f32) nor %d "
                   "(bf16)", (long long)stash, GS_FLOAT, GS_BFLOAT16);
  for (int i = 1; i < 3; i++)
    GS_TRY(gs_shape_set(g, n, i, (gs_dtype)stash, x->rank, dims, e));
  return GS_OK;
}

/* Mean and deviation (results 1, 2) keep the dims before axis. */
gs_status gs_rule_layer_norm(gs_arena *a, const gs_node *n, gs_rule *r,
                             gs_err *e) {
  int axis;
  GS_TRY(gs_shape_axis_attr(a, n, "axis", -1, &axis, e));
  gs_rule_begin(a, n, r);
  gs_rule_tie(n, r, 0, n->nin);
  for (int d = 0; d < n->in[0]->rank; d++) {
    if (d >= axis) r->factor[d].kind = GS_STATS;
    for (int i = 1; i < n->nout && d < axis; i++)
      if (n->out[i]) gs_rule_put(&r->out[i], d, r->out[0].dim[d].f[0]);
  }
  return GS_OK;
}
