/* Where shardings come from: the chains that propagation left behind. */
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

static void explain_axis(gs_buf *b, const gs_propagation *p,
                         const gs_value *v, int axis,
                         const char *(*rule_text)(void *, int),
                         void *context) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  const gs_value *at = v;
  for (int hop = 0; hop < MAX_CHAIN; hop++) {
    const gs_origin *o = origin_of(p, at, axis);
    if (!o) break;
    gs_buf_printf(b, "    from '%s'", o->from ? o->from->name : "?");
    if (o->via) gs_buf_printf(b, " through %s", gs_node_place(&tmp, o->via));
    else gs_buf_str(b, " in the same group");
    gs_buf_char(b, '\n');
    if (!o->from) break;
    at = o->from;
  }
  int rule = p->rule ? p->rule[at->id] : -1;
  if (rule >= 0)
    gs_buf_printf(b, "    stated by %s\n", rule_text(context, rule));
  else
    gs_buf_printf(b, "    stated by the model for '%s'\n", at->name);
  gs_arena_free(&tmp);
}

void gs_propagation_explain(gs_buf *b, const gs_propagation *p,
                            const gs_value *v,
                            const char *(*rule_text)(void *, int rule),
                            void *context) {
  const gs_mesh *m = p->graph->mesh;
  gs_buf_printf(b, "%s ", v->name);
  gs_sharding_print(b, m, v->sharding);
  gs_buf_char(b, '\n');
  if (!gs_sharding_used(v->sharding)) {
    int rule = p->rule ? p->rule[v->id] : -1;
    if (rule >= 0)
      gs_buf_printf(b, "  replicated, stated by %s\n",
                    rule_text(context, rule));
    else
      gs_buf_str(b, "  replicated: no annotation reaches it\n");
    return;
  }
  for (int d = 0; d < v->sharding->rank; d++)
    for (int i = 0; i < v->sharding->dim[d].axes.n; i++) {
      gs_axes one = {1, {v->sharding->dim[d].axes.at[i]}};
      gs_buf_str(b, "  axis ");
      gs_axes_print(b, m, &one);
      gs_buf_printf(b, " on dim %d\n", d);
      explain_axis(b, p, v, one.at[0], rule_text, context);
    }
}
