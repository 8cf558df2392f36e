/* Rules, shapes and local forms of the rows of "normalisation". */
#include <string.h>

#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

gs_rule_fn gs_rule_mvn, gs_rule_lrn;
gs_shape_fn gs_shape_group_norm;
gs_local_fn gs_local_group_norm, gs_local_lrn;

/* Operand 0 is of a floating-point type and of rank `least` or more. */
static gs_status check_operand(gs_graph *g, const gs_node *n, int min,
                               gs_err *e) {
  const gs_value *x = n->in[0];
  if (gs_dtype_get((int)x->dtype)->cls == 'f' && x->rank >= min)
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "operand 0 '%s' %s must be of a floating-point type and of "
                 "rank %d or more", x->name,
                 gs_shape_text(g->arena, x->dtype, x->rank, x->dims), min);
}

/* Operands 1 and 2 have one element for each channel. */
static gs_status check_channels(gs_graph *g, const gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0];
  GS_TRY(check_operand(g, n, 2, e));
  for (int i = 1; i < 3; i++) {
    const gs_value *v = n->in[i];
    GS_TRY(gs_shape_same_type(a, n, 0, i, e));
    if (v->rank != 1 || v->dims[0] != x->dims[1])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "operand %d '%s' %s does not hold one element for each "
                     "channel (dim 1) of '%s' %s", i, v->name,
                     gs_shape_text(a, v->dtype, v->rank, v->dims), x->name,
                     gs_shape_text(a, x->dtype, x->rank, x->dims));
  }
  return GS_OK;
}

/* ---- GroupNormalization ---- */

gs_status gs_shape_group_norm(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t groups = gs_node_int(n, "num_groups", 0);
  int64_t stash = gs_node_int(n, "stash_type", GS_FLOAT);
  GS_TRY(check_channels(g, n, e));
  if (groups < 1 || x->dims[1] % groups)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'num_groups' is %lld, which does not divide the "
                   "%lld channels of '%s'", (long long)groups,
                   (long long)x->dims[1], x->name);
  if (stash != GS_FLOAT && stash != GS_DOUBLE && stash != GS_FLOAT16 &&
      stash != GS_BFLOAT16)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'stash_type' is %lld, which is not a "
                   "floating-point type", (long long)stash);
  return gs_shape_set_like(g, n, 0, e);
}

/* As many groups as there are on this device. */
gs_status gs_local_group_norm(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[0];
  int64_t groups = gs_node_int(l->node, "num_groups", 1);
  int64_t each = x->dims[1] / groups;
  gs_node *n = gs_local_same(l);
  (void)e;
  if (each)
    gs_node_set_int(l->program, n, "num_groups", l->out_dims[0][1] / each);
  return GS_OK;
}

/* ---- MeanVarianceNormalization ---- */

static gs_status averaged(gs_arena *a, const gs_node *n, bool *set,
                          gs_err *e) {
  static const int64_t otherwise[] = {0, 2, 3};
  int count;
  const int64_t *axes = gs_node_ints(n, "axes", &count);
  if (!gs_node_attr(n, "axes")) {
    axes = otherwise;
    count = 3;
  }
  memset(set, 0, GS_MAX_RANK * sizeof *set);
  return gs_shape_axis_set(a, n, n->in[0], n->in[0]->rank, axes, count, set,
                           e);
}

gs_status gs_rule_mvn(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  bool set[GS_MAX_RANK];
  GS_TRY(averaged(a, n, set, e));
  gs_rule_begin(a, n, r);
  gs_rule_tie(n, r, 0, 1);
  for (int d = 0; d < n->in[0]->rank; d++)
    if (set[d]) r->factor[d].kind = GS_STATS;
  return GS_OK;
}

/* ---- LRN: [batch, channels, ...] ---- */

/* A channel is divided by a norm of (size - 1) / 2 channels before it and
 * size / 2 after it. */
gs_status gs_rule_lrn(gs_arena *a, const gs_node *n, gs_rule *r, gs_err *e) {
  int64_t size = gs_node_int(n, "size", 1);
  gs_reach reach = {n->in[0]->dims[1],  1, 1, -((size - 1) / 2), size / 2,
                    0};
  GS_TRY(gs_rule_parse(a, "ncS* -> ncS*; window c", n, r, e));
  gs_rule_reach(r, 0, 1, &reach);
  return GS_OK;
}

gs_status gs_local_lrn(gs_local *l, gs_err *e) {
  (void)e;
  if (gs_local_splits(l, 1, 2)) gs_local_placed(l);
  else gs_local_same(l);
  return GS_OK;
}
