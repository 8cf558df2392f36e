#include "pass/prepare/upgrade_scan.h"

#include "op/rows/tensor/bodies.h"

/* sequence_lens, which is left out, came before the states. */
static void drop_lengths(gs_node *n) {
  for (int i = 1; i < n->nin; i++) n->in[i - 1] = n->in[i];
  n->nin--;
}

/* The node of g, the body of n, over the sequence. */
static gs_node *scan_sequence(gs_graph *g, const gs_node *n) {
  gs_node *s = gs_node_new(g, n->domain, n->op_type, n->name, n->nin, n->nout);
  s->opset = gs_domain_find(n->domain)->newest;
  s->origin = n->origin;
  s->stage = n->stage;
  s->ncapture = n->ncapture;
  for (int i = 0; i < n->nin; i++) {
    const gs_value *outer = n->in[i];
    gs_value *v =
        gs_value_new(g, outer->name, outer->dtype, -1, NULL);
    s->in[i] = v;
    v->kind = outer->kind;
    v->is_input = true;
    if (i < gs_node_formal(n)) *gs_push(g->arena, &g->input) = v;
    else *gs_push(g->arena, &g->capture) = v;
  }
  return s;
}

gs_status gs_upgrade_batched_scan(gs_graph *g, gs_node *n, gs_err *e) {
  const char *place = gs_node_place(g->arena, n);
  gs_graph *body, *each;
  int states, scanned, count;
  const int64_t *directions = gs_node_ints(n, "directions", &count);
  if (gs_node_formal(n) < 1)
    return gs_fail(e, GS_DATA, place, "has no operands");
  if (n->in[0])
    return gs_fail(e, GS_UNSUPPORTED, place,
                   "operand '%s' (sequence_lens of opset %d): sequences of "
                   "unequal length", n->in[0]->name, n->opset);
  drop_lengths(n);
  GS_TRY(gs_control_scan(g, n, &body, &states, &scanned, e));
  if (directions && count != scanned)
    return gs_fail(e, GS_DATA, place, "directions has %d elements, not %d",
                   count, scanned);
  each = gs_graph_new(g->arena, body->name);
  gs_node *s = scan_sequence(each, n);
  gs_node_set_all(each, s, n);
  gs_node_drop(s, "directions");
  gs_node_drop(n, "directions");
  if (directions)
    gs_node_set_ints(each, s, "scan_input_directions", directions, count);
  for (int i = 0; i < n->nout; i++) {
    gs_value *inner = body->output.at[i];
    const char *name = n->out[i] ? n->out[i]->name : inner->name;
    gs_value *v = gs_value_new(each, name, inner->dtype, -1, NULL);
    gs_node_output(s, i, v);
    v->is_output = true;
    *gs_push(each->arena, &each->output) = v;
  }
  gs_attr holds = {.name = "body", .kind = GS_ATTR_GRAPH, .g = each};
  gs_node_set(g, n, &holds);
  gs_node_set_int(g, n, "num_scan_inputs", states + scanned);
  return GS_OK;
}
