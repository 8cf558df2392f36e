/* Where shardings come from: the chains that propagation left behind. */
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "ir/mesh/spec.h"
#include "pass/propagate/propagate_impl.h"

enum { MAX_CHAIN = 40 };

const gs_origin *gs_propagation_origin(const gs_propagation *p,
                                       const gs_value *v, int axis) {
  gs_assert(axis >= 0 && axis < p->graph->mesh->nsub);
  const gs_origin *o = p->origin[v->id];
  if (!o || !(o[axis].via || o[axis].from)) return NULL;
  return &o[axis];
}

/* The rule that put this sub-axis on v itself. */
static int stated_rule(const gs_propagation *p, const gs_value *v, int axis) {
  if (axis >= 0 && p->filled && p->filled[v->id] >> axis & 1)
    return GS_RULE_FILL;
  if (axis >= 0 && p->handed && p->handed[v->id] >> axis & 1)
    return GS_RULE_SHORT;
  return p->rule ? p->rule[v->id] : GS_RULE_NONE;
}

int gs_propagation_axis_rule(const gs_propagation *p, const gs_value *v,
                             int axis) {
  const gs_origin *o = gs_propagation_origin(p, v, axis);
  return o && o->from ? o->rule : stated_rule(p, v, axis);
}

/* The chain of one axis from v to where its end is known; all values on the
 * way learn it. */
static void find_end(const gs_propagation *p, const gs_value *v, int axis,
                     bool *known) {
  const gs_value *end = v;
  const gs_origin *o;
  while (!known[end->id] &&
         (o = gs_propagation_origin(p, end, axis)) && o->from)
    end = o->from;
  int rule = gs_propagation_axis_rule(p, end, axis);
  for (; v != end; v = o->from) {
    o = gs_propagation_origin(p, v, axis);
    p->origin[v->id][axis].rule = rule;
    known[v->id] = true;
  }
}

void gs_prop_find_ends(gs_propagation *p) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  int n = p->graph->value.n;
  bool *known = GS_NEWS(&tmp, n + 1, bool);
  for (int axis = 0; axis < p->graph->mesh->nsub; axis++) {
    memset(known, 0, (size_t)n * sizeof *known);
    for (int i = 0; i < n; i++)
      find_end(p, p->graph->value.at[i], axis, known);
  }
  gs_arena_free(&tmp);
}

int gs_propagation_rule(const gs_propagation *p, const gs_value *v) {
  gs_axes used = gs_axes_of(gs_sharding_used(v->sharding));
  for (int i = 0; i < used.n; i++) {
    int rule = gs_propagation_axis_rule(p, v, used.at[i]);
    if (rule >= 0) return rule;
  }
  return stated_rule(p, v, -1);
}

static void hop_text(gs_buf *b, const gs_origin *o) {
  gs_buf_printf(b, "    from '%s'", gs_text(b->arena, o->from->name));
  if (o->via) gs_buf_printf(b, " through %s", gs_node_place(b->arena, o->via));
  else gs_buf_str(b, " in the same group");
  gs_buf_char(b, '\n');
}

static void stated_text(gs_buf *b, const gs_propagation *p, const gs_value *v,
                        int axis, gs_rule_text *rule_text, void *context) {
  int rule = stated_rule(p, v, axis);
  if (rule == GS_RULE_FILL)
    gs_buf_printf(b, "chosen by options.auto for '%s'\n",
                  gs_text(b->arena, v->name));
  else if (rule == GS_RULE_SHORT)
    gs_buf_printf(b, "handed on to '%s' by options.short\n",
                  gs_text(b->arena, v->name));
  else if (rule >= 0)
    gs_buf_printf(b, "stated by %s\n",
                  gs_text(b->arena, rule_text(context, rule)));
  else
    gs_buf_printf(b, "stated by the model for '%s'\n",
                  gs_text(b->arena, v->name));
}

static int chain_length(const gs_propagation *p, const gs_value *v,
                        int axis) {
  int n = 0;
  const gs_origin *o;
  for (; (o = gs_propagation_origin(p, v, axis)) && o->from; n++) v = o->from;
  return n;
}

void gs_propagation_chain(gs_buf *b, const gs_propagation *p,
                          const gs_value *v, int axis, gs_rule_text *rule_text,
                          void *context) {
  int n = chain_length(p, v, axis), left_out = n - MAX_CHAIN;
  for (int hop = 0; hop < n; hop++) {
    const gs_origin *o = gs_propagation_origin(p, v, axis);
    if (left_out <= 0 || hop < MAX_CHAIN / 2 || hop >= n - MAX_CHAIN / 2)
      hop_text(b, o);
    else if (hop == MAX_CHAIN / 2)
      gs_buf_printf(b, "    ... %d more nodes ...\n", left_out);
    v = o->from;
  }
  gs_buf_str(b, "    ");
  stated_text(b, p, v, axis, rule_text, context);
}

static bool same_chain(const gs_propagation *p, const gs_value *v, int i,
                       int k) {
  for (;;) {
    const gs_origin *a = gs_propagation_origin(p, v, i);
    const gs_origin *b = gs_propagation_origin(p, v, k);
    bool more = a && a->from, other = b && b->from;
    if (!more && !other) return stated_rule(p, v, i) == stated_rule(p, v, k);
    if (!more || !other || a->from != b->from || a->via != b->via) return false;
    v = a->from;
  }
}

gs_axes gs_propagation_alike(const gs_propagation *p, const gs_value *v,
                             int d, int from) {
  const gs_axes *axes = &v->sharding->dim[d].axes;
  gs_assert(d < v->sharding->rank && from >= 0 && from < axes->n);
  gs_axes out = {1, {axes->at[from]}};
  for (int i = from + 1; i < axes->n; i++) {
    if (!same_chain(p, v, axes->at[from], axes->at[i])) break;
    out.at[out.n++] = axes->at[i];
  }
  return out;
}

static void explain_dim(gs_buf *b, const gs_propagation *p, const gs_value *v,
                        int d, gs_rule_text *rule_text, void *context) {
  gs_axes run;
  for (int i = 0; i < v->sharding->dim[d].axes.n; i += run.n) {
    run = gs_propagation_alike(p, v, d, i);
    gs_assert(run.n > 0);
    gs_buf_str(b, "  axis ");
    gs_axes_print(b, p->graph->mesh, &run);
    gs_buf_printf(b, " on dim %d\n", d);
    gs_propagation_chain(b, p, v, run.at[0], rule_text, context);
  }
}

static bool touches(const gs_node *n, const gs_value *v) {
  for (int i = 0; i < n->nin + n->nout; i++)
    if ((i < n->nin ? n->in[i] : n->out[i - n->nin]) == v) return true;
  return false;
}

/* A sharded tensor of n; NULL: none. */
static const gs_value *sharded_at(const gs_node *n) {
  for (int i = 0; i < n->nin + n->nout; i++) {
    const gs_value *v = i < n->nin ? n->in[i] : n->out[i - n->nin];
    if (v && gs_sharding_used(v->sharding)) return v;
  }
  return NULL;
}

bool gs_propagation_whole(const gs_propagation *p, const gs_value *v) {
  return p->stated[v->id] || (p->rule && p->rule[v->id] >= 0);
}

const gs_node *gs_propagation_stop(const gs_propagation *p, const gs_value *v,
                                   const gs_value **next) {
  for (int i = 0; i < p->graph->node.n; i++) {
    const gs_node *n = p->graph->node.at[i];
    *next = touches(n, v) ? sharded_at(n) : NULL;
    if (*next) return n;
  }
  return NULL;
}

static void explain_whole(gs_buf *b, const gs_propagation *p,
                          const gs_value *v, gs_rule_text *rule_text,
                          void *context) {
  const gs_value *next;
  gs_buf_str(b, "  replicated");
  if (gs_propagation_whole(p, v)) {
    gs_buf_str(b, ", ");
    stated_text(b, p, v, -1, rule_text, context);
    return;
  }
  const gs_node *n = gs_propagation_stop(p, v, &next);
  if (!n)
    gs_buf_str(b, ": no annotation reaches it\n");
  else
    gs_buf_printf(b, ": the axes of '%s' do not pass %s\n",
                  gs_text(b->arena, next->name), gs_node_place(b->arena, n));
}

void gs_propagation_explain(gs_buf *b, const gs_propagation *p,
                            const gs_value *v, gs_rule_text *rule_text,
                            void *context) {
  gs_buf_printf(b, "%s ", gs_text(b->arena, v->name));
  gs_sharding_print(b, p->graph->mesh, v->sharding);
  gs_buf_char(b, '\n');
  for (int d = 0; d < v->sharding->rank; d++)
    explain_dim(b, p, v, d, rule_text, context);
  if (!gs_sharding_used(v->sharding))
    explain_whole(b, p, v, rule_text, context);
}
