#include "pass/match/match.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pass/match/match_state.h"

char *gs_rule_origin(gs_arena *a, const gs_spec *spec, int rule) {
  if (rule == GS_RULE_FILL) return gs_strdup(a, "options.auto");
  if (rule == GS_RULE_SHORT) return gs_strdup(a, "options.short");
  if (rule < 0) return gs_strdup(a, "options.io");
  gs_assert(rule < spec->rule.n);
  const gs_spec_rule *r = &spec->rule.at[rule];
  const char *at = gs_place_text(a, &r->at);
  if (!r->label) return gs_strdup(a, at ? at : "");
  return gs_sprintf(a, "%s (%s)", at ? at : "", r->label);
}

/* ---- collecting annotations ---- */

typedef struct collector {
  gs_matching *m;
  gs_map index; /* "value:node:operand" -> 1 + index of annotation */
} collector;

/* A dim of which a rule says nothing. */
static bool unsaid(const gs_split *d) { return d->open && !d->axes.n; }

static gs_annotation *lookup(collector *c, const gs_target *t, bool *fresh) {
  char *key = gs_sprintf(c->m->arena, "%d:%d:%d", t->value->id,
                         t->node ? t->node->id : -1, t->operand);
  intptr_t i = (intptr_t)gs_map_get(&c->index, key);
  *fresh = !i;
  if (i) return &c->m->out->annotation.at[i - 1];
  gs_annotation *a = gs_push(c->m->graph->arena, &c->m->out->annotation);
  *a = (gs_annotation){.value = t->value, .node = t->node,
                       .operand = t->operand};
  gs_map_put(&c->index, key, (void *)(intptr_t)c->m->out->annotation.n);
  return a;
}

static void conflict(gs_matching *m, const gs_annotation *a, int rule, int d) {
  const gs_spec_rule *now = &m->spec->rule.at[rule];
  if (!m->spec->options.strict) return;
  gs_warn_at(m->err, &now->act,
             "dim %d of '%s' keeps the sharding of the rule at %s", d,
             a->value->name,
             gs_rule_origin(m->arena, m->spec, a->rule[d]));
}

/* Fills what earlier rules left unsaid; true if anything is as rule says. */
static bool merge(gs_matching *m, gs_annotation *a, const gs_sharding *s,
                  int rule) {
  gs_assert(a->sharding->rank == s->rank);
  bool used = false;
  for (int d = 0; d < s->rank; d++) {
    gs_split *have = &a->sharding->dim[d];
    const gs_split *want = &s->dim[d];
    if (unsaid(want)) continue;
    if (unsaid(have)) {
      *have = *want;
      a->rule[d] = rule;
      used = true;
    } else if (gs_axes_equal(&have->axes, &want->axes)) {
      used = true;
    } else {
      conflict(m, a, rule, d);
    }
  }
  if (!a->sharding->partial) {
    a->sharding->partial = s->partial;
    a->sharding->reduce = s->reduce;
  }
  a->sharding->replicated |= s->replicated;
  return used;
}

static const gs_use_sharding *use_of_model(const gs_graph *g,
                                           const gs_target *t) {
  for (int i = 0; i < g->use_sharding.n; i++)
    if (g->use_sharding.at[i].node == t->node &&
        g->use_sharding.at[i].operand == t->operand)
      return &g->use_sharding.at[i];
  return NULL;
}

/* Skips or clears what the model says already; true to skip.  A rule for one
 * use leaves what is said of the value. */
static gs_status existing(gs_matching *m, const gs_spec_rule *r,
                          const gs_target *t, bool *skip) {
  gs_value *v = t->value;
  *skip = false;
  bool stated = t->node ? use_of_model(m->graph, t) != NULL
                        : v->sharding != NULL;
  if (!stated) return GS_OK;
  switch ((gs_existing)m->spec->options.existing) {
  case GS_EXISTING_OVERRIDE:
    if (!t->node) v->sharding = NULL;
    return GS_OK;
  case GS_EXISTING_KEEP:
    *skip = true;
    return GS_OK;
  case GS_EXISTING_ERROR:
    break;
  }
  gs_fail_at(m->err, GS_SPEC, &r->act, "'%s' has a sharding in the model",
             v->name);
  gs_err_hint(m->err, "options.existing: override or keep");
  return GS_SPEC;
}

static gs_status annotate(collector *c, int rule, const gs_target *t) {
  gs_matching *m = c->m;
  const gs_spec_rule *r = &m->spec->rule.at[rule];
  gs_sharding *s;
  bool skip, fresh;
  GS_TRY(gs_match_sharding(m, rule, t->value, t->node, t->operand, &s));
  GS_TRY(existing(m, r, t, &skip));
  if (skip) return GS_OK;
  gs_assert(s->rank == t->value->rank || gs_value_dynamic(t->value));
  gs_annotation *a = lookup(c, t, &fresh);
  bool used = true;
  if (fresh) {
    a->sharding = s;
    a->by = rule;
    a->rule = GS_NEWS(m->graph->arena, s->rank, int);
    for (int d = 0; d < s->rank; d++)
      a->rule[d] = unsaid(&s->dim[d]) ? -2 : rule;
  } else {
    used = merge(m, a, s, rule);
    GS_TRY(gs_sharding_check(m->mesh, a->sharding, s->rank,
                             gs_rule_origin(m->arena, m->spec, rule), m->err));
  }
  m->out->rule[rule].used += used;
  return GS_OK;
}

/* ---- counting ---- */

static gs_status expect(gs_matching *m, int rule) {
  const gs_spec_rule *r = &m->spec->rule.at[rule];
  int64_t n = m->out->rule[rule].matched;
  if (r->plan && !n)
    gs_warn_at(m->err, &r->at, "nothing of the model is in '%s'",
               r->match.module.at[0].text);
  if (r->expect_more ? n >= r->expect : n == r->expect) return GS_OK;
  const gs_place *at = n ? &r->at : &r->match.at;
  char *text = n ? gs_sprintf(m->arena,
                              "the rule matches %lld tensor%s, expected %s%lld",
                              (long long)n, n == 1 ? "" : "s",
                              r->expect_more ? ">=" : "", (long long)r->expect)
                 : gs_strdup(m->arena, "the rule matches nothing");
  if (!m->spec->options.strict) {
    gs_warn_at(m->err, at, "%s", text);
    return GS_OK;
  }
  gs_fail_at(m->err, GS_SPEC, at, "%s", text);
  if (!n) gs_match_hint(m, &r->match);
  return GS_SPEC;
}

/* Of the parts that a weight was cut into the weight counts, once. */
static int64_t count_targets(gs_arena *a, const gs_targets *t) {
  gs_map wholes;
  gs_map_init(&wholes, a);
  int64_t n = 0;
  for (int i = 0; i < t->n; i++) {
    const gs_tensor *x = t->at[i].value->constant;
    const char *whole = x ? x->part_of : NULL;
    n += !whole || !gs_map_has(&wholes, whole);
    if (whole) gs_map_put(&wholes, whole, (void *)x);
  }
  return n;
}

/* Of tp_plan: weights whose names say the module, or that are named themselves,
 * which stand beside those of the nodes in it. */
static gs_status select_named(gs_matching *m, const gs_spec_rule *r,
                              gs_targets *t) {
  const gs_spec_pattern *of = &r->match.module.at[0];
  char *const name_text[] = {
      gs_sprintf(m->arena, "%s", of->text),
      gs_sprintf(m->arena, "**.%s", of->text),
      gs_sprintf(m->arena, "%s.**", of->text),
      gs_sprintf(m->arena, "**.%s.**", of->text)};
  enum { NAMES = sizeof name_text / sizeof *name_text };
  gs_spec_pattern name[NAMES];
  gs_spec_match match = {.input = -1, .output = -1, .nshape = -1,
                         .kinds = GS_KIND_WEIGHT, .at = r->match.at};
  for (int i = 0; i < NAMES; i++)
    name[i] = (gs_spec_pattern){name_text[i], of->at};
  match.tensor = (gs_spec_patterns){NAMES, name};
  int n = t->n;
  GS_TRY(gs_match_select(m, &match, true, t));
  for (int i = n; i < t->n; i++)
    for (int k = 0; k < n; k++)
      if (t->at[k].value == t->at[i].value) {
        t->at[i--] = t->at[--t->n];
        break;
      }
  return GS_OK;
}

static gs_status apply_rule(collector *c, int rule) {
  gs_matching *m = c->m;
  const gs_spec_rule *r = &m->spec->rule.at[rule];
  gs_targets t = {0};
  GS_TRY(gs_match_select(m, &r->match, r->action == GS_ACTION_STYLE, &t));
  if (r->plan) GS_TRY(select_named(m, r, &t));
  m->out->rule[rule].matched = count_targets(m->arena, &t);
  m->out->matched += t.n > 0;
  for (int i = 0; i < t.n; i++) GS_TRY(annotate(c, rule, &t.at[i]));
  return expect(m, rule);
}

/* ---- uses that speak for the tensor ---- */

static bool alike(const gs_sharding *a, const gs_sharding *b) {
  if (!gs_sharding_equal(a, b) || a->replicated != b->replicated) return false;
  for (int d = 0; d < a->rank; d++)
    if (a->dim[d].open != b->dim[d].open) return false;
  return true;
}

/* A use stands for the value when every use of it says the same. */
static void resolve_uses(gs_matching *m) {
  int nvalue = m->graph->value.n, n = 0;
  int *count = GS_NEWS(m->arena, nvalue, int); /* -1: no */
  int *first = GS_NEWS(m->arena, nvalue, int);
  gs_annotation *at = m->out->annotation.at;
  for (int i = 0; i < m->out->annotation.n; i++) {
    int v = at[i].value->id;
    if (!at[i].node) count[v] = -1;
    if (count[v] < 0) continue;
    if (!count[v]) first[v] = i;
    if (alike(at[i].sharding, at[first[v]].sharding)) count[v]++;
    else count[v] = -1;
  }
  for (int i = 0; i < m->out->annotation.n; i++) {
    int v = at[i].value->id;
    int uses = m->uses.first[v + 1] - m->uses.first[v];
    gs_assert(uses >= 0 && count[v] <= uses);
    if (at[i].node && count[v] == uses) {
      if (first[v] != i) continue;
      at[i].node = NULL;
      at[i].operand = 0;
    }
    at[n++] = at[i];
  }
  gs_assert(n <= m->out->annotation.n);
  m->out->annotation.n = n;
}

/* options.io: replicated */
static void close_io(collector *c) {
  gs_matching *m = c->m;
  if (!m->spec->options.io) return;
  for (int i = 0; i < m->graph->value.n; i++) {
    gs_value *v = m->graph->value.at[i];
    if (!(v->is_input || v->is_output) || gs_value_dynamic(v) || v->sharding)
      continue;
    bool fresh;
    gs_target t = {.value = v};
    gs_annotation *a = lookup(c, &t, &fresh);
    if (!fresh) continue;
    a->sharding = gs_sharding_new(m->graph->arena, v->rank, false);
    a->by = -1;
    a->rule = GS_NEWS(m->graph->arena, v->rank, int);
    for (int d = 0; d < v->rank; d++) a->rule[d] = -1;
  }
}

gs_status gs_pass_match(gs_arena *a, const gs_spec *spec, gs_graph *g,
                        gs_match_result *out, gs_err *e) {
  gs_matching m = {.arena = a, .spec = spec, .graph = g, .out = out, .err = e};
  gs_status first = GS_OK;
  *out = (gs_match_result){0};
  out->rule = GS_NEWS(g->arena, spec->rule.n, gs_rule_count);
  m.uses = gs_graph_uses(a, g);
  if (spec->options.memory && spec->options.choose == GS_AUTO_OFF)
    gs_warn(e, "options.memory_per_device", "is not used without auto: fill");
  GS_TRY(gs_match_mesh(&m));
  GS_TRY(gs_match_ops(&m));
  collector c = {.m = &m};
  gs_map_init(&c.index, a);
  for (int i = 0; i < spec->rule.n; i++) {
    int rule = spec->options.match_order ? spec->rule.n - 1 - i : i;
    gs_status s = apply_rule(&c, rule);
    if (first == GS_OK) first = s;
  }
  close_io(&c);
  GS_TRY(first);
  resolve_uses(&m);
  return gs_match_rest(&m);
}
