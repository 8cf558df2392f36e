#include "pass/state/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/data/pattern.h"

typedef struct finder {
  gs_arena *a;
  const gs_graph *g;
  gs_states *s;
  bool *taken; /* [inputs] */
  gs_err *e;
} finder;

/* ---- do they fit ---- */

/* The size of dim d, as far as it is known; else its name, or NULL. */
static int64_t size_of(const gs_bindings *bind, const gs_value *v, int d,
                       const char **name) {
  int64_t n = v->dims[d];
  *name = v->dim_names ? v->dim_names[d] : NULL;
  if (n < 0 && *name) gs_bindings_get(bind, *name, &n);
  return n;
}

static bool same_dim(const gs_bindings *bind, const gs_value *a,
                     const gs_value *b, int d) {
  const char *x, *y;
  int64_t m = size_of(bind, a, d, &x), n = size_of(bind, b, d, &y);
  if (m >= 0 || n >= 0) return m == n;
  return x && y && !strcmp(x, y);
}

/* Whether they are tensors of numbers of one type and rank. */
static bool same_kind(const gs_value *y, const gs_value *x) {
  return y->kind == GS_TENSOR && x->kind == GS_TENSOR && y->rank >= 0 &&
         y->rank == x->rank && y->dtype == x->dtype && y->dtype != GS_STRING;
}

bool gs_state_fits(const gs_graph *g, const gs_bindings *bind,
                   const gs_state *s) {
  const gs_value *y = g->output.at[s->out], *x = g->input.at[s->in];
  bool same = same_kind(y, x);
  for (int d = 0; same && d < y->rank; d++) same = same_dim(bind, y, x, d);
  return same;
}

gs_status gs_states_settle(const gs_graph *g, gs_states *s, gs_err *e) {
  gs_arena a;
  gs_status first = GS_OK;
  int n = 0;
  gs_arena_init(&a);
  for (int i = 0; i < s->n; i++) {
    const gs_state *t = &s->at[i];
    const gs_value *y = g->output.at[t->out], *x = g->input.at[t->in];
    if (gs_state_fits(g, NULL, t)) {
      s->at[n++] = *t;
    } else if (t->at && !first) {
      first = gs_fail_at(e, GS_SPEC, t->at,
                         "'%s' is %s, but '%s', which it becomes, is %s",
                         y->name,
                         gs_shape_text(&a, y->dtype, y->rank, y->dims),
                         x->name,
                         gs_shape_text(&a, x->dtype, x->rank, x->dims));
      if (!t->size)
        gs_err_hint(e, "give a cache that grows a size of its own: size: N");
    }
  }
  s->n = n;
  gs_arena_free(&a);
  return first;
}

/* ---- finding ---- */

static void add(finder *f, gs_state s) {
  f->taken[s.in] = true;
  f->s->at[f->s->n++] = s;
}

/* The rest of a name after the first of these that it begins with. */
static const char *after(const char *name, const char *const *start) {
  for (; *start; start++)
    if (!strncmp(name, *start, strlen(*start))) return name + strlen(*start);
  return NULL;
}

/* The number of those that are found by their usual names. */
static int find_usual(finder *f, int64_t size, const gs_place *at) {
  static const char *const present[] = {"present_key_values", "present", NULL};
  static const char *const past[] = {"past_key_values", "past", NULL};
  const gs_graph *g = f->g;
  int n = 0;
  for (int i = 0; i < g->output.n; i++) {
    const char *rest = after(g->output.at[i]->name, present);
    for (int k = 0; rest && k < g->input.n; k++) {
      const char *x = after(g->input.at[k]->name, past);
      if (!x || strcmp(x, rest) || f->taken[k] ||
          !same_kind(g->output.at[i], g->input.at[k]))
        continue;
      add(f, (gs_state){.out = i, .in = k, .size = size, .at = at});
      n++;
      break;
    }
  }
  return n;
}

typedef struct patterns {
  int n;
  gs_pattern **at;
} patterns;

static patterns compile(gs_arena *a, const gs_spec_patterns *p) {
  patterns c = {p->n, GS_NEWS(a, p->n, gs_pattern *)};
  const char *why; /* they compiled when the spec was read */
  for (int i = 0; i < p->n; i++)
    c.at[i] = gs_pattern_open(a, p->at[i].text, &why);
  return c;
}

static void release(patterns *c) {
  for (int i = 0; i < c->n; i++) gs_pattern_close(c->at[i]);
}

/* What the wildcards of the first pattern that matches stand for, or NULL. */
static const char *captured(gs_arena *a, const patterns *c, const char *name) {
  const char *key;
  for (int i = 0; i < c->n; i++)
    if (c->at[i] && gs_pattern_capture(c->at[i], a, name, &key)) return key;
  return NULL;
}

/* The input that output i becomes. */
static gs_status pair(finder *f, const gs_spec_state *s, const patterns *with,
                      int i, const char *key) {
  const gs_value *y = f->g->output.at[i];
  int found = -1;
  for (int k = 0; k < f->g->input.n && found < 0; k++) {
    const char *x = captured(f->a, with, f->g->input.at[k]->name);
    if (x && !strcmp(x, key)) found = k;
  }
  if (found < 0)
    return gs_fail_at(f->e, GS_SPEC, &s->at,
                      "no input belongs to the output '%s'", y->name);
  const gs_value *x = f->g->input.at[found];
  if (f->taken[found])
    return gs_fail_at(f->e, GS_SPEC, &s->at, "'%s' would be made of '%s' and "
                      "of another output", x->name, y->name);
  if (!same_kind(y, x))
    return gs_fail_at(f->e, GS_SPEC, &s->at, "'%s' and '%s' are not of one "
                      "type and rank", y->name, x->name);
  add(f, (gs_state){.out = i, .in = found, .size = s->size, .at = &s->at});
  return GS_OK;
}

static gs_status of_spec(finder *f, const gs_spec_state *s) {
  int n = 0;
  gs_status first = GS_OK;
  if (!s->with.n) {
    if (find_usual(f, s->size, &s->at)) return GS_OK;
    return gs_fail_at(f->e, GS_SPEC, &s->at, "the model has no output "
                      "'present...' with an input 'past...'");
  }
  patterns from = compile(f->a, &s->match.tensor);
  patterns with = compile(f->a, &s->with);
  for (int i = 0; i < f->g->output.n && !first; i++) {
    const char *key = captured(f->a, &from, f->g->output.at[i]->name);
    if (!key) continue;
    first = pair(f, s, &with, i, key);
    n++;
  }
  release(&from);
  release(&with);
  if (first || n) return first;
  return gs_fail_at(f->e, GS_SPEC, &s->match.at,
                    "the state matches no output of the model");
}

gs_status gs_pass_states(gs_arena *a, const gs_spec *spec,
                         const gs_states *recorded, const gs_graph *g,
                         gs_states *out, gs_err *e) {
  int max = g->input.n + 1;
  *out = (gs_states){.at = GS_NEWS(a, max, gs_state), .filled = -1};
  if (recorded) {
    out->filled = recorded->filled;
    out->step = recorded->step;
  }
  finder f = {a, g, out, GS_NEWS(a, max, bool), e};
  for (int i = 0; spec && i < spec->state.n; i++)
    GS_TRY(of_spec(&f, &spec->state.at[i]));
  for (int i = 0; recorded && i < recorded->n; i++)
    if (!f.taken[recorded->at[i].in]) add(&f, recorded->at[i]);
  find_usual(&f, 0, NULL);
  return GS_OK;
}

int64_t gs_states_size(const gs_states *s) {
  int64_t n = INT64_MAX;
  for (int i = 0; i < s->n; i++)
    if (s->at[i].size && s->at[i].size < n) n = s->at[i].size;
  return n;
}

/* ---- as text ---- */

char *gs_state_text(gs_arena *a, const gs_graph *g, const gs_state *s) {
  return gs_sprintf(a, "%lld %s", (long long)s->size,
                    g->output.at[s->out]->name);
}

bool gs_state_parse(const gs_graph *g, const char *text, gs_state *s) {
  char *end;
  s->size = strtoll(text, &end, 10);
  if (end == text || s->size < 0 || *end != ' ') return false;
  for (s->out = 0; s->out < g->output.n; s->out++)
    if (!strcmp(g->output.at[s->out]->name, end + 1)) return true;
  return false;
}
