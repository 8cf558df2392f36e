/* Where shardings come from: the chains that propagation left behind. */
#include <string.h>

#include "pass/propagate.h"

enum { MAX_CHAIN = 64 };

static const gs_origin *origin_of(const gs_propagation *p, const gs_value *v,
                                  int axis) {
  const gs_origin *o = p->origin[v->id];
  if (!o || !(o[axis].via || o[axis].from)) return NULL;
  return &o[axis];
}

int gs_propagation_axis_rule(const gs_propagation *p, const gs_value *v,
                             int axis) {
  for (int hop = 0; hop < p->graph->value.n; hop++) {
    const gs_origin *o = origin_of(p, v, axis);
    if (!o || !o->from) break;
    v = o->from;
  }
  return p->rule ? p->rule[v->id] : -1;
}

int gs_propagation_rule(const gs_propagation *p, const gs_value *v) {
  gs_axes used = gs_axes_of(gs_sharding_used(v->sharding));
  for (int i = 0; i < used.n; i++) {
    int rule = gs_propagation_axis_rule(p, v, used.at[i]);
    if (rule >= 0) return rule;
  }
  return p->rule ? p->rule[v->id] : -1;
}

void gs_propagation_chain(gs_buf *b, const gs_propagation *p,
                          const gs_value *v, int axis, gs_rule_text *rule_text,
                          void *context) {
  for (int hop = 0; hop < MAX_CHAIN; hop++) {
    const gs_origin *o = origin_of(p, v, axis);
    if (!o) break;
    gs_buf_printf(b, "    from '%s'", o->from ? o->from->name : "?");
    if (o->via)
      gs_buf_printf(b, " through %s", gs_node_place(b->arena, o->via));
    else gs_buf_str(b, " in the same group");
    gs_buf_char(b, '\n');
    if (!o->from) break;
    v = o->from;
  }
  int rule = p->rule ? p->rule[v->id] : -1;
  if (rule >= 0)
    gs_buf_printf(b, "    stated by %s\n", rule_text(context, rule));
  else
    gs_buf_printf(b, "    stated by the model for '%s'\n", v->name);
}

/* One entry for all sub-axes of dim d that have the same chain. */
static void explain_dim(gs_buf *b, const gs_propagation *p, const gs_value *v,
                        int d, gs_rule_text *rule_text, void *context) {
  const gs_axes *axes = &v->sharding->dim[d].axes;
  gs_buf last, next;
  for (int i = 0; i < axes->n;) {
    gs_axes run = {1, {axes->at[i]}};
    gs_buf_init(&last, b->arena);
    gs_propagation_chain(&last, p, v, axes->at[i], rule_text, context);
    for (i++; i < axes->n; i++) {
      gs_buf_init(&next, b->arena);
      gs_propagation_chain(&next, p, v, axes->at[i], rule_text, context);
      if (strcmp(last.at, next.at)) break;
      run.at[run.n++] = axes->at[i];
    }
    gs_buf_str(b, "  axis ");
    gs_axes_print(b, p->graph->mesh, &run);
    gs_buf_printf(b, " on dim %d\n%s", d, last.at);
  }
}

void gs_propagation_explain(gs_buf *b, const gs_propagation *p,
                            const gs_value *v, gs_rule_text *rule_text,
                            void *context) {
  gs_buf_printf(b, "%s ", v->name);
  gs_sharding_print(b, p->graph->mesh, v->sharding);
  gs_buf_char(b, '\n');
  for (int d = 0; d < v->sharding->rank; d++)
    explain_dim(b, p, v, d, rule_text, context);
  if (gs_sharding_used(v->sharding)) return;
  int rule = p->rule ? p->rule[v->id] : -1;
  if (rule >= 0)
    gs_buf_printf(b, "  replicated, stated by %s\n", rule_text(context, rule));
  else
    gs_buf_str(b, "  replicated: no annotation reaches it\n");
}
