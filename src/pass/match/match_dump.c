/* --dump-spec: what the rules came to, as a spec. */
#include <string.h>

#include "base/assert.h"
#include "base/data/pattern.h"
#include "pass/match/match.h"

static void axes(gs_buf *b, const gs_mesh *m, const gs_axes *a) {
  gs_buf text;
  gs_buf_init(&text, b->arena);
  gs_axes_print(&text, m, a);
  gs_assert(text.n || !a->n);
  if (text.at[0] == '[') gs_buf_str(b, text.at);
  else gs_buf_printf(b, "[%s]", text.at);
}

static void dim(gs_buf *b, const gs_mesh *m, const gs_split *d) {
  if (!d->axes.n && !d->priority) {
    gs_buf_str(b, d->open ? "open" : "~");
    return;
  }
  if (d->axes.n && !d->priority && !d->open) {
    gs_axes_print(b, m, &d->axes);
    return;
  }
  gs_buf_str(b, "{axes: ");
  axes(b, m, &d->axes);
  gs_buf_printf(b, ", open: %s, p: %d}", d->open ? "true" : "false",
                d->priority);
}

static void name(gs_buf *b, const char *key, const char *text) {
  gs_buf_printf(b, "%s: ", key);
  gs_buf_json(b, gs_pattern_quote(b->arena, text));
}

static void subset(gs_buf *b, const gs_mesh *m, gs_subset set) {
  gs_axes a = gs_axes_of(set);
  axes(b, m, &a);
}

static void annotation(gs_buf *b, const gs_spec *spec, const gs_mesh *m,
                       const gs_annotation *a) {
  gs_buf_str(b, "  - match: {");
  name(b, "tensor", a->value->name);
  if (a->node) {
    gs_buf_str(b, ", ");
    if (*a->node->name) name(b, "node", a->node->name);
    else name(b, "op", a->node->op_type);
    gs_buf_printf(b, ", input: %d", a->operand);
  }
  gs_buf_str(b, "}\n    shard: [");
  for (int d = 0; d < a->sharding->rank; d++) {
    gs_buf_str(b, d ? ", " : "");
    dim(b, m, &a->sharding->dim[d]);
  }
  gs_buf_str(b, "]\n");
  if (a->sharding->replicated) {
    gs_buf_str(b, "    replicated: ");
    subset(b, m, a->sharding->replicated);
    gs_buf_char(b, '\n');
  }
  if (a->sharding->partial) {
    gs_buf_printf(b, "    partial: {%s: ", gs_reduce_text(a->sharding->reduce));
    subset(b, m, a->sharding->partial);
    gs_buf_str(b, "}\n");
  }
  /* Whether a dim may be uneven has been decided. */
  if (spec->options.uneven) gs_buf_str(b, "    uneven: pad\n");
  gs_buf_str(b, "    why: ");
  gs_buf_json(b, gs_rule_origin(b->arena, spec, a->by));
  gs_buf_char(b, '\n');
}

/* A key of a mapping in braces, if it is given. */
/* What is cut is named once more, with the sharding of its first part and the
 * sizes: rules before it that name parts go first. */
static void segments(gs_buf *b, const gs_mesh *m, const gs_match_result *r,
                     const gs_segment_sizes *s) {
  const gs_annotation *n = NULL;
  for (int i = 0; i < r->annotation.n && !n; i++) {
    const gs_annotation *x = &r->annotation.at[i];
    const gs_tensor *t = x->value->constant;
    if (!x->node && t && t->part_of && !strcmp(t->part_of, s->name)) n = x;
  }
  if (!n || !n->sharding->dim[s->dim].axes.n) return;
  gs_buf_str(b, "  - match: {");
  name(b, "tensor", s->name);
  gs_buf_str(b, "}\n    shard: [");
  for (int d = 0; d < n->sharding->rank; d++) {
    if (d) gs_buf_str(b, ", ");
    if (d == s->dim) dim(b, m, &n->sharding->dim[d]);
    else gs_buf_str(b, "open");
  }
  gs_buf_str(b, "]\n    segments: [");
  for (int i = 0; i < s->n; i++)
    gs_buf_printf(b, "%s%lld", i ? ", " : "", (long long)s->size[i]);
  gs_buf_str(b, "]\n");
}

static void number(gs_buf *b, const char *key, double x) {
  if (x > 0)
    gs_buf_printf(b, "%s%s: %.9g", b->at[b->n - 1] == '{' ? "" : ", ", key, x);
}

static void mesh(gs_buf *b, const gs_mesh *m) {
  if (m->flat) {
    gs_buf_printf(b, "devices: %lld\n", (long long)m->ndevice);
    return;
  }
  gs_buf_str(b, "mesh:\n  axes: {");
  for (int i = 0; i < m->naxis; i++)
    gs_buf_printf(b, "%s%s: %lld", i ? ", " : "", m->axis[i].name,
                  (long long)m->axis[i].size);
  gs_buf_str(b, "}\n");
  if (m->device_ids) {
    gs_buf_str(b, "  device_ids: [");
    for (int64_t i = 0; i < m->ndevice; i++)
      gs_buf_printf(b, "%s%lld", i ? ", " : "", (long long)m->device_ids[i]);
    gs_buf_str(b, "]\n");
  }
  bool any = false;
  for (int i = 0; i < m->naxis; i++) {
    const gs_axis *a = &m->axis[i];
    if (!(a->alpha_us > 0) && !(a->gbps > 0)) continue;
    if (!any) gs_buf_str(b, "  link:\n");
    any = true;
    gs_buf_printf(b, "    %s: {", a->name);
    number(b, "alpha_us", a->alpha_us);
    number(b, "gbps", a->gbps);
    gs_buf_str(b, "}\n");
  }
}

/* Device orders, by devices. */
static void orders(gs_buf *b, const gs_mesh *m) {
  if (m->norder) gs_buf_str(b, "orders:\n");
  for (int k = 0; k < m->norder; k++) {
    gs_buf_printf(b, "  %s: [", m->axis[m->naxis + k].name);
    for (int64_t i = 0; i < m->ndevice; i++) {
      int64_t p = m->order[1 + k].position[i];
      gs_buf_printf(b, "%s%lld", i ? ", " : "",
                    (long long)(m->device_ids ? m->device_ids[p] : p));
    }
    gs_buf_str(b, "]\n");
  }
}

static void machine(gs_buf *b, const gs_machine *m) {
  gs_machine none = {0};
  if (!memcmp(m, &none, sizeof none)) return;
  gs_buf_str(b, "machine: {");
#define X(name, value, text) number(b, #name, m->name);
  GS_MACHINE_FIELDS(X)
#undef X
  gs_buf_str(b, "}\n");
}

static void options(gs_buf *b, const gs_spec_options *o) {
  static const char *const existing[] = {"override", "keep", "error"};
  gs_assert(o->existing >= 0 && o->existing < (int)(sizeof existing / sizeof
            *existing));
  gs_buf_printf(b,
                "options: {strict: %s, unknown_op: %s, uneven: %s, "
                "existing: %s%s",
                o->strict ? "true" : "false",
                o->unknown_op ? "error" : "replicate",
                o->uneven ? "error" : "pad", existing[o->existing],
                o->keep_short ? ", short: keep" : "");
  if (o->stack != GS_STACK_FITTING)
    gs_buf_printf(b, ", stack: %s",
                  o->stack == GS_STACK_ALWAYS ? "true" : "false");
  if (o->capacity)
    gs_buf_printf(b, ", capacity: %lld", (long long)o->capacity);
  gs_buf_str(b, "}\n");
}

static void bindings(gs_buf *b, const gs_spec *spec) {
  if (!spec->bind.n) return;
  gs_buf_str(b, "bind:\n");
  for (int i = 0; i < spec->bind.n; i++) {
    gs_buf_str(b, "  ");
    gs_buf_json(b, spec->bind.at[i].name);
    gs_buf_printf(b, ": %lld\n", (long long)spec->bind.at[i].size);
  }
}

/* Sets of sizes, each on a line. */
static void several(gs_buf *b, const gs_spec *spec) {
  if (spec->binding.n) gs_buf_str(b, "bindings:\n");
  for (int i = 0; i < spec->binding.n; i++) {
    const gs_spec_binding *set = &spec->binding.at[i];
    gs_buf_str(b, "  ");
    gs_buf_json(b, set->name);
    gs_buf_str(b, ": {");
    for (int k = 0; k < set->bind.n; k++) {
      if (k) gs_buf_str(b, ", ");
      gs_buf_json(b, set->bind.at[k].name);
      gs_buf_printf(b, ": %lld", (long long)set->bind.at[k].size);
    }
    gs_buf_str(b, "}\n");
  }
}

static void groups(gs_buf *b, const gs_match_result *r) {
  bool any = false;
  for (int i = 0; i < r->group.n; i++) {
    const gs_value_group *g = &r->group.at[i];
    if (!g->from) continue;
    if (!any) gs_buf_str(b, "groups:\n");
    any = true;
    gs_buf_str(b, "  - match: {tensor: [");
    for (int k = 0; k < g->n; k++) {
      gs_buf_str(b, k ? ", " : "");
      gs_buf_json(b, gs_pattern_quote(b->arena, g->value[k]->name));
    }
    gs_buf_str(b, "]}\n");
  }
}

static void patterns(gs_buf *b, const gs_spec_patterns *p) {
  for (int i = 0; i < p->n; i++) {
    gs_buf_str(b, i ? ", " : "[");
    gs_buf_json(b, p->at[i].text);
  }
  gs_buf_char(b, ']');
}

static void states(gs_buf *b, const gs_spec *spec) {
  if (spec->state.n) gs_buf_str(b, "state:\n");
  for (int i = 0; i < spec->state.n; i++) {
    const gs_spec_state *s = &spec->state.at[i];
    gs_buf_str(b, "  - {");
    if (s->with.n) {
      gs_buf_str(b, "match: {tensor: ");
      patterns(b, &s->match.tensor);
      gs_buf_str(b, "}, with: ");
      patterns(b, &s->with);
    }
    number(b, "size", (double)s->size);
    gs_buf_str(b, "}\n");
  }
}

static void barriers(gs_buf *b, const gs_match_result *r) {
  static const char *const text[] = {"none", "forward", "backward", "both"};
  if (r->barrier.n) gs_buf_str(b, "barriers:\n");
  for (int i = 0; i < r->barrier.n; i++) {
    gs_buf_str(b, "  - after: {");
    name(b, "tensor", r->barrier.at[i].value->name);
    gs_buf_printf(b, "}\n    direction: %s\n",
                  text[r->barrier.at[i].direction]);
  }
}

static void operators(gs_buf *b, const gs_spec *spec) {
  if (spec->op.n) gs_buf_str(b, "ops:\n");
  for (int i = 0; i < spec->op.n; i++) {
    const gs_spec_op *op = &spec->op.at[i];
    gs_buf_str(b, "  - op: ");
    gs_buf_json(b, gs_sprintf(b->arena, "%s::%s", op->domain, op->op_type));
    gs_buf_str(b, "\n    rule: ");
    gs_buf_json(b, op->rule);
    gs_buf_char(b, '\n');
  }
}

void gs_spec_dump(gs_buf *b, const gs_spec *spec, const gs_graph *g,
                  const gs_match_result *r) {
  gs_buf_str(b, "version: 1\n");
  mesh(b, g->mesh);
  orders(b, g->mesh);
  machine(b, &g->mesh->machine);
  bindings(b, spec);
  several(b, spec);
  options(b, &spec->options);
  if (r->annotation.n) gs_buf_str(b, "rules:\n");
  for (int i = 0; i < r->annotation.n; i++)
    annotation(b, spec, g->mesh, &r->annotation.at[i]);
  for (int i = 0; r->segments && i < r->segments->n; i++)
    segments(b, g->mesh, r, &r->segments->at[i]);
  groups(b, r);
  states(b, spec);
  barriers(b, r);
  operators(b, spec);
}
