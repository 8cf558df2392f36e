/* Which tensors a match means; groups, barriers and custom operators. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/data/pattern.h"
#include "ir/graph/module.h"
#include "op/core/function.h"
#include "pass/match/match_state.h"

/* ---- names ---- */

typedef struct compiled {
  int n;
  gs_pattern **at;
} compiled;

static compiled compile(gs_matching *m, const gs_spec_patterns *p) {
  compiled c = {p->n, GS_NEWS(m->arena, p->n, gs_pattern *)};
  const char *why; /* they compiled when the spec was read */
  for (int i = 0; i < p->n; i++)
    c.at[i] = gs_pattern_open(m->arena, p->at[i].text, &why);
  return c;
}

static void release(compiled *c) {
  for (int i = 0; i < c->n; i++) gs_pattern_close(c->at[i]);
}

static bool any(const compiled *c, const char *name) {
  if (!c->n) return true;
  for (int i = 0; i < c->n; i++)
    if (c->at[i] && gs_pattern_match(c->at[i], name)) return true;
  return false;
}

typedef struct selector {
  gs_matching *m;
  const gs_spec_match *match;
  compiled tensor, node, op, module, dtype;
  gs_targets *out;
} selector;

/* ---- conditions ---- */

static unsigned kinds_of(const gs_value *v) {
  unsigned k = 0;
  if (v->is_input) k |= GS_KIND_INPUT;
  if (v->is_output) k |= GS_KIND_OUTPUT;
  if (v->constant) k |= GS_KIND_WEIGHT;
  else if (!v->is_input) k |= GS_KIND_ACTIVATION;
  return k;
}

static bool has_shape(const gs_spec_match *s, const gs_value *v) {
  bool rank = !s->nrank;
  for (int i = 0; i < s->nrank; i++) rank = rank || s->rank[i] == v->rank;
  if (!rank) return false;
  if (s->nshape < 0) return true;
  if (s->nshape != v->rank) return false;
  for (int i = 0; i < v->rank; i++)
    if (s->shape[i] >= 0 && s->shape[i] != v->dims[i]) return false;
  return true;
}

static bool value_fits(const selector *s, const gs_value *v) {
  if (!v || !*v->name) return false;
  if (s->match->kinds && !(s->match->kinds & kinds_of(v))) return false;
  if (!has_shape(s->match, v)) return false;
  const gs_dtype_info *t = gs_dtype_get((int)v->dtype);
  if (!any(&s->dtype, t->text) && !any(&s->dtype, t->name)) return false;
  const char *whole = v->constant ? v->constant->part_of : NULL;
  return any(&s->tensor, v->name) || (whole && any(&s->tensor, whole));
}

/* Whether one of the patterns fits a run of the components of a module's path:
 * "layers.*.mlp" the module "model.layers.0.mlp" and all that is in it. */
static bool any_within(gs_matching *m, const compiled *c, const char *path) {
  for (const char *from = path; c->n && *from;) {
    char *run = gs_strdup(m->arena, from);
    for (char *end = run + strlen(run); end; end = strrchr(run, '.')) {
      *end = '\0';
      if (any(c, run)) return true;
    }
    from += strcspn(from, ".");
    from += *from == '.';
  }
  return !c->n;
}

static bool node_fits(const selector *s, const gs_node *n) {
  if (!any(&s->node, n->name)) return false;
  if (!any_within(s->m, &s->module, gs_node_module(s->m->arena, n)))
    return false;
  if (any(&s->op, n->op_type)) return true;
  return any(&s->op, gs_sprintf(s->m->arena, "%s::%s",
                                *n->domain ? n->domain : "ai.onnx",
                                n->op_type));
}

/* ---- selecting ---- */

static void add(selector *s, gs_value *v, gs_node *n, int operand) {
  if (!value_fits(s, v)) return;
  *gs_push(s->m->arena, s->out) = (gs_target){v, n, operand};
}

static void from_node(selector *s, gs_node *n, bool style) {
  const gs_spec_match *w = s->match;
  int k = w->input;
  gs_assert(w->input < 0 || w->output < 0);
  if (style && k < 0 && w->output < 0) k = gs_match_weight(n);
  if (k >= 0) {
    add(s, gs_node_in(n, k), n, k);
  } else if (w->output >= 0) {
    add(s, gs_node_out(n, w->output), NULL, 0);
  } else if (!style) {
    for (int i = 0; i < n->nout; i++) add(s, n->out[i], NULL, 0);
  }
}

gs_status gs_match_select(gs_matching *m, const gs_spec_match *match,
                          bool style, gs_targets *out) {
  selector s = {.m = m, .match = match, .out = out};
  s.tensor = compile(m, &match->tensor);
  s.node = compile(m, &match->node);
  s.op = compile(m, &match->op);
  s.module = compile(m, &match->module);
  s.dtype = compile(m, &match->dtype);
  const gs_graph *g = m->graph;
  if (match->node.n || match->op.n || match->module.n) {
    for (int i = 0; i < g->node.n; i++)
      if (node_fits(&s, g->node.at[i])) from_node(&s, g->node.at[i], style);
  } else {
    for (int i = 0; i < g->value.n; i++) add(&s, g->value.at[i], NULL, 0);
  }
  release(&s.tensor);
  release(&s.node);
  release(&s.op);
  release(&s.module);
  release(&s.dtype);
  return GS_OK;
}

/* ---- "did you mean" ---- */

/* The end of name that has as many components as tail. */
static const char *same_depth(const char *name, const char *tail) {
  size_t n = strlen(name);
  int depth = 0;
  for (const char *s = tail; *s; s++) depth += *s == '/' || *s == '.';
  for (size_t i = n; i > 0; i--)
    if ((name[i - 1] == '/' || name[i - 1] == '.') && depth-- == 0)
      return name + i;
  return name;
}

typedef struct best {
  const char *name;
  int distance;
} best;

static void closer(best *b, const char *tail, const char *name) {
  const char *end = same_depth(name, tail);
  int longer = (int)strlen(end) - (int)strlen(tail);
  if (!*name || abs(longer) >= b->distance) return;
  int d = gs_edit_distance(tail, end, b->distance);
  if (d >= b->distance) return;
  b->distance = d;
  b->name = name;
}

static const char *nearest(gs_matching *m, const char *pattern, char what) {
  const char *tail = gs_pattern_tail(pattern);
  gs_assert(what == 't' || what == 'n' || what == 'o');
  while (*tail == '/' || *tail == '.') tail++;
  if (!*tail) return NULL;
  best b = {NULL, (int)(strlen(tail) / 3) + 2};
  const gs_graph *g = m->graph;
  if (what == 't')
    for (int i = 0; i < g->value.n; i++)
      closer(&b, tail, g->value.at[i]->name);
  else
    for (int i = 0; i < g->node.n; i++)
      closer(&b, tail,
             what == 'n' ? g->node.at[i]->name : g->node.at[i]->op_type);
  return b.name;
}

/* The first node in whose name or module a word of the pattern stands, of the
 * last word that stands in any: "q_proj" of "layers.*.q_proj.weight". */
static const gs_node *with_word(gs_matching *m, const char *pattern,
                                const char **word) {
  enum { LEAST = 4 }; /* letters that say something */
  static const char letters[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  const gs_node *found = NULL;
  for (const char *s = pattern; *s;) {
    size_t n = strspn(s, letters);
    char *now = gs_strndup(m->arena, s, n);
    for (int i = 0; n >= LEAST && i < m->graph->node.n; i++) {
      const gs_node *node = m->graph->node.at[i];
      if (!strstr(node->name, now) &&
          !strstr(gs_node_module(m->arena, node), now))
        continue;
      found = node;
      *word = now;
      break;
    }
    s += n + (s[n] != '\0');
  }
  return found;
}

void gs_match_hint(gs_matching *m, const gs_spec_match *match) {
  const gs_spec_patterns *all[] = {&match->tensor, &match->node, &match->op};
  for (int k = 0; k < 3; k++)
    for (int i = 0; i < all[k]->n; i++) {
      const char *name = nearest(m, all[k]->at[i].text, "tno"[k]);
      if (!name) continue;
      gs_err_hint(m->err, "did you mean '%s'?", name);
      return;
    }
  const char *word;
  for (int i = 0; i < match->tensor.n; i++) {
    const gs_node *n = with_word(m, match->tensor.at[i].text, &word);
    if (!n) continue;
    gs_err_hint(m->err, "no tensor is called so, but node '%s' is of '%s': "
                "match by node or module (--list-modules)", n->name, word);
    return;
  }
}

/* ---- groups ---- */

typedef struct bucket { /* values for which the wildcards stand for the same */
  GS_VEC(gs_value *) value;
} bucket;

static void put(gs_matching *m, gs_map *buckets, const char *key,
                gs_value *v) {
  bucket *b = gs_map_get(buckets, key);
  if (!b) gs_map_put(buckets, key, b = GS_NEW(m->arena, bucket));
  for (int i = 0; i < b->value.n; i++)
    if (b->value.at[i] == v) return;
  *gs_push(m->graph->arena, &b->value) = v;
}

/* Puts v under what the first pattern that matches captures. */
static void put_captured(gs_matching *m, gs_map *buckets, const compiled *c,
                         gs_value *v) {
  const char *key;
  for (int i = 0; i < c->n; i++)
    if (c->at[i] && gs_pattern_capture(c->at[i], m->arena, v->name, &key)) {
      put(m, buckets, key, v);
      return;
    }
}

static gs_status add_group(gs_matching *m, const gs_spec_group *g) {
  gs_targets t = {0};
  gs_map buckets;
  gs_map_init(&buckets, m->arena);
  GS_TRY(gs_match_select(m, &g->match, false, &t));
  compiled from = compile(m, &g->match.tensor), with = compile(m, &g->with);
  for (int i = 0; i < t.n; i++) {
    if (g->with.n) put_captured(m, &buckets, &from, t.at[i].value);
    else put(m, &buckets, "", t.at[i].value);
  }
  for (int i = 0; g->with.n && i < m->graph->value.n; i++)
    put_captured(m, &buckets, &with, m->graph->value.at[i]);
  release(&from);
  release(&with);
  int made = 0;
  for (int i = 0; i < buckets.n; i++) {
    const bucket *b = buckets.entry[i].value;
    if (b->value.n < 2) continue;
    for (int k = 1; k < b->value.n; k++)
      if (b->value.at[k]->rank != b->value.at[0]->rank)
        return gs_fail_at(m->err, GS_SPEC, &g->at,
                          "'%s' (rank %d) and '%s' (rank %d) cannot be sharded "
                          "alike", b->value.at[0]->name, b->value.at[0]->rank,
                          b->value.at[k]->name, b->value.at[k]->rank);
    *gs_push(m->graph->arena, &m->out->group) =
        (gs_value_group){b->value.n, b->value.at, g};
    made++;
  }
  if (made) return GS_OK;
  gs_fail_at(m->err, GS_SPEC, &g->match.at,
             "the group has fewer than 2 tensors");
  if (!t.n) gs_match_hint(m, &g->match);
  return GS_SPEC;
}

/* ---- barriers and operators ---- */

static gs_status add_barrier(gs_matching *m, const gs_spec_barrier *b) {
  gs_targets t = {0};
  GS_TRY(gs_match_select(m, &b->after, false, &t));
  for (int i = 0; i < t.n; i++)
    *gs_push(m->graph->arena, &m->out->barrier) =
        (gs_value_barrier){t.at[i].value, (gs_direction)b->direction, b};
  if (t.n) return GS_OK;
  gs_fail_at(m->err, GS_SPEC, &b->after.at, "the barrier matches nothing");
  gs_match_hint(m, &b->after);
  return GS_SPEC;
}

static gs_status no_such_op(gs_matching *m, const gs_spec_op *op) {
  gs_functions f;
  GS_TRY(gs_functions_index(m->arena, gs_functions_text, &f, m->err));
  if (gs_function_find(&f, op->domain, op->op_type))
    return gs_fail_at(m->err, GS_SPEC, &op->at,
                      "operator '%s' is expanded into other operators, which "
                      "already have rules", op->op_type);
  return gs_fail_at(m->err, GS_SPEC, &op->at,
                    "the model has no operator '%s::%s'", op->domain,
                    op->op_type);
}

static gs_status add_op(gs_matching *m, const gs_spec_op *op) {
  int found = 0;
  const char *domain = strcmp(op->domain, "ai.onnx") ? op->domain : "";
  for (int i = 0; i < m->graph->node.n; i++) {
    gs_node *n = m->graph->node.at[i];
    if (strcmp(n->op_type, op->op_type) || strcmp(n->domain, domain)) continue;
    if (n->op)
      return gs_fail_at(m->err, GS_SPEC, &op->at,
                        "operator '%s' already has a rule", op->op_type);
    gs_rule *r = GS_NEW(m->arena, gs_rule);
    gs_err why;
    gs_err_init(&why);
    gs_status s = gs_rule_parse(m->arena, op->rule, n, r, &why);
    if (s != GS_OK)
      gs_fail_at(m->err, GS_SPEC, &op->at, "the rule does not fit %s: %s",
                 gs_node_place(m->arena, n), why.n ? why.diag[0].text : "");
    gs_err_free(&why);
    if (s != GS_OK) return GS_SPEC;
    n->rule = gs_strdup(m->graph->arena, op->rule);
    *gs_push(m->graph->arena, &m->out->op) =
        (gs_custom_rule){n, n->rule, op};
    found++;
  }
  return found || !m->spec->options.strict ? GS_OK : no_such_op(m, op);
}

/* options.unknown_op: error */
static gs_status no_unknown(gs_matching *m) {
  gs_status first = GS_OK;
  for (int i = 0; m->spec->options.unknown_op && i < m->graph->node.n; i++) {
    const gs_node *n = m->graph->node.at[i];
    if (n->op || n->rule) continue;
    first = gs_fail(m->err, GS_UNSUPPORTED, gs_node_place(m->arena, n),
                    "the operator has no rule, and options.unknown_op is "
                    "error");
    gs_err_hint(m->err, "give it a rule under ops:");
  }
  return first;
}

gs_status gs_match_ops(gs_matching *m) {
  gs_status first = GS_OK, s;
  for (int i = 0; i < m->spec->op.n; i++)
    if ((s = add_op(m, &m->spec->op.at[i])) && !first) first = s;
  return first ? first : no_unknown(m);
}

gs_status gs_match_rest(gs_matching *m) {
  gs_status first = GS_OK, s;
  for (int i = 0; i < m->spec->group.n; i++)
    if ((s = add_group(m, &m->spec->group.at[i])) && !first) first = s;
  for (int i = 0; i < m->spec->barrier.n; i++)
    if ((s = add_barrier(m, &m->spec->barrier.at[i])) && !first) first = s;
  return first;
}
