/* Which tensors are several end to end, as rules with `segments` say. */
#include "base/assert.h"
#include "ir/packed.h"
#include "op/core/op.h"
#include "pass/match/match_state.h"

/* The one dim of v that the rule splits. */
static gs_status dim_of_rule(gs_matching *m, int rule, const gs_target *t,
                             int *out) {
  const gs_spec_rule *r = &m->spec->rule.at[rule];
  gs_sharding *s;
  int n = 0;
  GS_TRY(gs_match_dims(m, rule, t->value, t->node, t->operand, &s));
  for (int d = 0; d < s->rank; d++) {
    if (!s->dim[d].axes.n) continue;
    *out = d;
    n++;
  }
  if (n == 1) return GS_OK;
  return gs_fail_at(m->err, GS_SPEC, &r->segments.at,
                    "the rule splits %d dims of '%s'; segments are those of "
                    "one", n, t->value->name);
}

static gs_status no_fit(gs_matching *m, const gs_segment_sizes *s,
                        const gs_value *v) {
  int64_t sum = 0;
  if (!v->constant)
    return gs_fail_at(m->err, GS_SPEC, s->at, "'%s' is not constant: only "
                      "weights can be cut into segments", v->name);
  if (gs_dtype_packed(v->dtype) || v->dtype == GS_STRING)
    return gs_fail_at(m->err, GS_UNSUPPORTED, s->at, "'%s' is of %s, which "
                      "cannot be cut into segments", v->name,
                      gs_dtype_get((int)v->dtype)->text);
  for (int i = 0; i < s->n; i++) sum += s->size[i];
  return gs_fail_at(m->err, GS_SPEC, s->at, "the segments are %lld together, "
                    "but dim %d of '%s' is %lld", (long long)sum, s->dim,
                    v->name, (long long)v->dims[s->dim]);
}

static const gs_segment_sizes *listed(const gs_segment_list *l,
                                      const char *name) {
  for (int i = 0; i < l->n; i++)
    if (l->at[i].name == name) return &l->at[i];
  return NULL;
}

/* Adds what the rule says of t; of what was cut before it says nothing new. */
static gs_status add(gs_matching *m, int rule, const gs_target *t,
                     gs_segment_list *out) {
  const gs_spec_rule *r = &m->spec->rule.at[rule];
  gs_value *v = t->value;
  if (v->constant && v->constant->part_of) return GS_OK;
  gs_segment_sizes s = {.name = v->name, .n = r->segments.n,
                        .size = r->segments.size, .at = &r->segments.at};
  GS_TRY(dim_of_rule(m, rule, t, &s.dim));
  const gs_segment_sizes *before = listed(out, v->name);
  bool same = before && before->dim == s.dim && before->n == s.n;
  for (int i = 0; same && i < s.n; i++) same = before->size[i] == s.size[i];
  if (before && !same)
    return gs_fail_at(m->err, GS_SPEC, s.at, "'%s' has other segments by the "
                      "rule at %s", v->name,
                      gs_place_text(m->arena, before->at));
  if (same) return GS_OK;
  if (!gs_segments_fit(v, &s)) return no_fit(m, &s, v);
  *gs_push(m->graph->arena, out) = s;
  return GS_OK;
}

static gs_status find(gs_matching *m, gs_segment_list *out) {
  gs_status first = GS_OK;
  GS_TRY(gs_match_mesh(m));
  GS_TRY(gs_match_ops(m));
  for (int i = 0; i < m->spec->rule.n; i++) {
    const gs_spec_rule *r = &m->spec->rule.at[i];
    gs_targets t = {0};
    if (!r->segments.n) continue;
    GS_TRY(gs_match_select(m, &r->match, r->action == GS_ACTION_STYLE, &t));
    for (int k = 0; k < t.n; k++) {
      gs_status s = add(m, i, &t.at[k], out);
      if (!first) first = s;
    }
  }
  return first;
}

gs_status gs_pass_match_segments(gs_arena *a, const gs_spec *spec, gs_graph *g,
                                 gs_segment_list *out, gs_err *e) {
  gs_match_result none = {0};
  gs_matching m = {.arena = a, .spec = spec, .graph = g, .out = &none,
                   .err = e};
  const gs_mesh *mesh = g->mesh;
  bool any = false;
  *out = (gs_segment_list){0};
  for (int i = 0; i < spec->rule.n; i++)
    any = any || spec->rule.at[i].segments.n;
  if (!any) return GS_OK;
  m.uses = gs_graph_uses(a, g);
  gs_status s = find(&m, out);
  g->mesh = mesh;
  return s;
}
