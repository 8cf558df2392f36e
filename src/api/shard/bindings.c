#include "api/shard/bindings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"

/* ---- from spec and options ---- */

static const gs_binding_list none;

static void begin(gs_arena *a, gs_binding_list *b, int n) {
  *b = (gs_binding_list){.n = n, .at = GS_NEWS(a, n, gs_binding)};
  for (int i = 0; i < n; i++) gs_bindings_init(&b->at[i].size, a);
}

/* How many sizes an option gives. */
static int sizes_of(const char *option) {
  const char *eq = strrchr(option, '=');
  int n = 1;
  for (; eq && *eq; eq++) n += *eq == ',';
  return n;
}

/* The k-th size of "NAME=N,N", or the only one. */
static gs_status put_option(gs_arena *a, const char *option, int k,
                            gs_binding *to, gs_err *e) {
  const char *eq = strrchr(option, '=');
  if (!eq || sizes_of(option) == 1)
    return gs_bindings_parse(&to->size, option, e);
  const char *at = eq + 1;
  for (; k; k--) at = strchr(at, ',') + 1;
  const char *one = gs_sprintf(a, "%.*s%.*s", (int)(eq + 1 - option), option,
                               (int)strcspn(at, ","), at);
  if (!to->name) to->name = one;
  return gs_bindings_parse(&to->size, one, e);
}

static gs_status count_options(const char *const *option, int n, int *out,
                               gs_err *e) {
  const char *first = NULL;
  for (int i = 0; i < n; i++) {
    int k = sizes_of(option[i]);
    if (k == 1) continue;
    if (first && k != *out)
      return gs_fail(e, GS_USAGE, "--bind", "'%s' has %d sizes, but '%s' has "
                     "%d: a binding takes one of each", option[i], k, first,
                     *out);
    if (*out > 1 && k != *out)
      return gs_fail(e, GS_USAGE, "--bind", "'%s' has %d sizes, but the spec "
                     "has %d bindings", option[i], k, *out);
    first = option[i];
    *out = k;
  }
  return GS_OK;
}

gs_status gs_bindings_given(gs_arena *a, const gs_spec *spec,
                            const char *const *option, int n,
                            gs_binding_list *out, gs_err *e) {
  int count = (int)gs_max(1, spec->binding.n);
  GS_TRY(count_options(option, n, &count, e));
  begin(a, out, count);
  for (int i = 0; i < count; i++) {
    gs_binding *b = &out->at[i];
    const gs_spec_binding *set =
        i < spec->binding.n ? &spec->binding.at[i] : NULL;
    if (set) b->name = set->name;
    for (int k = 0; k < spec->bind.n; k++)
      GS_TRY(gs_bindings_put(&b->size, spec->bind.at[k].name,
                             spec->bind.at[k].size, e));
    for (int k = 0; set && k < set->bind.n; k++)
      GS_TRY(gs_bindings_put(&b->size, set->bind.at[k].name,
                             set->bind.at[k].size, e));
    for (int k = 0; k < n; k++) GS_TRY(put_option(a, option[k], i, b, e));
  }
  return GS_OK;
}

/* ---- in metadata ---- */

static gs_status of_metadata(gs_arena *a, const gs_model *m, const char *s,
                             gs_binding_list *out, gs_err *e) {
  int n = 0;
  for (const char *p = s; *p; p++) n += *p == '[' && (p == s || p[-1] == '\n');
  begin(a, out, n);
  for (n = -1; *s; s += *s == '\n') {
    const char *line = s, *end = s + strcspn(s, "\n");
    s = end;
    if (*line == '[' && end[-1] == ']') {
      out->at[++n].name = gs_strndup(a, line + 1, (size_t)(end - line - 2));
      continue;
    }
    gs_err why;
    gs_err_init(&why);
    const char *text = gs_strndup(a, line, (size_t)(end - line));
    gs_status bad = n < 0 ? GS_DATA
                          : gs_bindings_parse(&out->at[n].size, text, &why);
    gs_err_free(&why);
    if (bad)
      return gs_fail(e, GS_DATA, gs_model_path(m), "metadata " GS_KEY_BINDINGS
                     ": '%.80s' is not NAME=N", text);
  }
  return GS_OK;
}

gs_status gs_bindings_of_model(gs_arena *a, const gs_model *m,
                               gs_binding_list *b, gs_err *e) {
  const char *text = gs_model_meta(m, GS_KEY_BINDINGS);
  gs_binding_list found = none;
  if (!text || b->n > 1) return GS_OK;
  GS_TRY(of_metadata(a, m, text, &found, e));
  for (int i = 0; i < found.n; i++)
    for (int k = 0; k < b->at[0].size.map.n; k++) {
      int64_t size = 0;
      const char *name = b->at[0].size.map.entry[k].key;
      gs_bindings_get(&b->at[0].size, name, &size);
      GS_TRY(gs_bindings_put(&found.at[i].size, name, size, e));
    }
  if (found.n) *b = found;
  return GS_OK;
}

bool gs_bindings_agree(const gs_binding_list *b, const char *name) {
  int64_t first = -1, n = -1;
  gs_bindings_get(&b->at[0].size, name, &first);
  for (int i = 1; i < b->n; i++) {
    n = -1;
    gs_bindings_get(&b->at[i].size, name, &n);
    if (n != first) return false;
  }
  return true;
}

void gs_bindings_record(gs_arena *a, gs_model *m, const gs_binding_list *b) {
  gs_buf t;
  gs_buf_init(&t, a);
  for (int i = 0; i < b->n && b->n > 1; i++) {
    const gs_map *map = &b->at[i].size.map;
    gs_buf_printf(&t, "[%s]\n", b->at[i].name);
    for (int k = 0; k < map->n; k++) {
      int64_t size = 0;
      gs_bindings_get(&b->at[i].size, map->entry[k].key, &size);
      gs_buf_printf(&t, "%s=%lld\n", map->entry[k].key, (long long)size);
    }
  }
  gs_model_meta_set(m, GS_KEY_BINDINGS, t.n ? t.at : NULL);
}

/* ---- one sharding ---- */

/* The node of `to` that makes what n makes. */
static gs_node *twin(const gs_node *n, const gs_graph *to) {
  for (int i = 0; i < n->nout; i++) {
    const gs_value *y = n->out[i] ? gs_graph_find(to, n->out[i]->name) : NULL;
    if (!y || !y->def || strcmp(y->def->op_type, n->op_type)) continue;
    return y->def;
  }
  return NULL;
}

void gs_bindings_share(const gs_graph *from, gs_graph *to) {
  gs_graph_set_mesh(to, from->mesh);
  for (int i = 0; i < to->value.n; i++) {
    gs_value *v = to->value.at[i];
    const gs_value *w = gs_graph_find(from, v->name);
    if (w && w->sharding && w->rank == v->rank)
      v->sharding = gs_sharding_copy(to->arena, w->sharding);
  }
  for (int i = 0; i < from->use_sharding.n; i++) {
    const gs_use_sharding *u = &from->use_sharding.at[i];
    gs_node *n = twin(u->node, to);
    gs_value *v = gs_graph_find(to, u->value->name);
    if (!n || !v || u->operand >= n->nin || n->in[u->operand] != v) continue;
    *gs_push(to->arena, &to->use_sharding) = (gs_use_sharding){
        .node = n, .operand = u->operand, .value = v, .by = -1,
        .sharding = gs_sharding_copy(to->arena, u->sharding)};
  }
  for (int i = 0; i < from->node.n; i++) {
    const gs_node *n = from->node.at[i];
    gs_node *m = n->rule ? twin(n, to) : NULL;
    if (m) m->rule = n->rule;
  }
}

/* ---- do they fit together ---- */

typedef struct pair {
  const char *a, *b; /* names of the bindings */
  gs_err *e;
} pair;

static gs_status differ(const pair *p, const gs_value *x, const gs_value *y) {
  gs_arena a;
  gs_arena_init(&a);
  gs_fail(p->e, GS_SPEC, x->name, "is %s with the binding '%s', but '%s' is %s "
          "with '%s'",
          gs_shape_text(&a, x->dtype, x->rank, x->dims), p->a, y->name,
          gs_shape_text(&a, y->dtype, y->rank, y->dims), p->b);
  gs_arena_free(&a);
  return GS_SPEC;
}

static bool same_kind(const gs_value *x, const gs_value *y) {
  return !strcmp(x->name, y->name) && x->dtype == y->dtype &&
         x->kind == y->kind && x->rank == y->rank;
}

/* What is state of x is state of y, of the same size. */
static gs_status same_state(const pair *p, const gs_loaded *x,
                            const gs_loaded *y) {
  if (x->state.n != y->state.n || x->state.filled != y->state.filled)
    return gs_fail(p->e, GS_SPEC, NULL, "%d inputs are state with the binding "
                   "'%s', but %d with '%s'", x->state.n, p->a, y->state.n,
                   p->b);
  for (int i = 0; i < x->state.n; i++) {
    const gs_value *v = x->graph->input.at[x->state.at[i].in];
    const gs_value *w = y->graph->input.at[y->state.at[i].in];
    if (v->rank == w->rank && gs_same_dims(v->dims, w->dims, v->rank) &&
        !strcmp(v->name, w->name))
      continue;
    differ(p, v, w);
    gs_err_hint(p->e, "one state is that of all bindings; a cache that grows "
                "has one size with state: [{size: N}]");
    return GS_SPEC;
  }
  return GS_OK;
}

gs_status gs_bindings_alike(const gs_loaded *x, const char *a,
                            const gs_loaded *y, const char *b, gs_err *e) {
  const gs_graph *g = x->graph, *h = y->graph;
  pair p = {a, b, e};
  if (g->input.n != h->input.n || g->output.n != h->output.n)
    return gs_fail(e, GS_SPEC, NULL, "%d inputs and %d outputs with the "
                   "binding '%s', but %d and %d with '%s'", g->input.n,
                   g->output.n, a, h->input.n, h->output.n, b);
  for (int i = 0; i < g->input.n; i++)
    if (!same_kind(g->input.at[i], h->input.at[i]))
      return differ(&p, g->input.at[i], h->input.at[i]);
  for (int i = 0; i < g->output.n; i++)
    if (!same_kind(g->output.at[i], h->output.at[i]))
      return differ(&p, g->output.at[i], h->output.at[i]);
  return same_state(&p, x, y);
}
