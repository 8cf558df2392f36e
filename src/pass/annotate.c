#include "pass/annotate.h"

#include <string.h>

/* A use of a tensor may be annotated apart from the tensor only if the two
 * agree: ONNX has one sharding for a tensor. */
static gs_status set_value(gs_arena *a, const gs_graph *g,
                           const gs_annotation *n, int *rule, gs_err *e) {
  gs_value *v = n->value;
  if (n->node && v->sharding && !gs_sharding_equal(v->sharding, n->sharding)) {
    gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n->node),
            "operand %d ('%s') is asked to be %s here, but the tensor is %s",
            n->operand, v->name, gs_sharding_text(a, g->mesh, n->sharding),
            gs_sharding_text(a, g->mesh, v->sharding));
    gs_err_hint(e, "one tensor has one sharding; annotate the tensor, or "
                   "give the other use a copy of it");
    return GS_UNSUPPORTED;
  }
  v->sharding = n->sharding;
  rule[v->id] = n->by;
  return GS_OK;
}

gs_status gs_pass_annotate(gs_arena *a, gs_graph *g, const gs_match_result *r,
                           gs_propagation *out, gs_err *e) {
  int *rule = GS_NEWS(a, g->value.n + 1, int);
  gs_gate *gate = GS_NEWS(a, g->value.n + 1, gs_gate);
  gs_propagate_input in = {.rule = rule, .gate = gate};
  for (int i = 0; i < g->value.n; i++) rule[i] = -1;
  if (!r) return gs_pass_propagate(a, g, &in, out, e);
  for (int i = 0; i < r->op.n; i++) r->op.at[i].node->rule = r->op.at[i].rule;
  for (int i = 0; i < r->annotation.n; i++)
    GS_TRY(set_value(a, g, &r->annotation.at[i], rule, e));
  for (int i = 0; i < r->barrier.n; i++) {
    const gs_value_barrier *b = &r->barrier.at[i];
    gs_gate *at = &gate[b->value->id];
    if (b->direction == GS_DIRECTION_NONE ||
        b->direction == GS_DIRECTION_BACKWARD)
      at->no_forward = true;
    if (b->direction == GS_DIRECTION_NONE ||
        b->direction == GS_DIRECTION_FORWARD)
      at->no_backward = true;
  }
  gs_tie *tie = GS_NEWS(a, r->group.n + 1, gs_tie);
  for (int i = 0; i < r->group.n; i++)
    tie[i] = (gs_tie){r->group.at[i].n, r->group.at[i].value};
  in.tie = tie;
  in.ntie = r->group.n;
  return gs_pass_propagate(a, g, &in, out, e);
}
