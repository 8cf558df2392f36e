/* Inputs that are made of what came before: outputs that become inputs, the
 * index of the largest element, numbers that count. */
#include "api/run/steps.h"

#include <math.h>
#include <stdlib.h>

#include "api/run/runner.h"
#include "base/math.h"
#include "exec/data/aligned.h"
#include "kernel/core/convert.h"
#include "pass/state/state.h"

/* ---- which ---- */

static gs_status find_output(const gs_graph *g, const char *name, int *out,
                             gs_err *e) {
  for (*out = 0; *out < g->output.n; ++*out)
    if (!strcmp(g->output.at[*out]->name, name)) return GS_OK;
  return gs_fail(e, GS_USAGE, NULL, "the model has no output '%s'", name);
}

/* Input `at` is made inside, and not twice. */
static gs_status take(gs_runner *r, int at, gs_err *e) {
  gs_steps *s = r->steps;
  if (s->made[at])
    return gs_fail(e, GS_USAGE, NULL, "input '%s' is made in two ways",
                   r->source.graph->input.at[at]->name);
  s->made[at] = true;
  return GS_OK;
}

static gs_status find_pair(gs_runner *r, const gs_pair *p, int *out, int *in,
                           gs_err *e) {
  GS_TRY(find_output(r->source.graph, p->name, out, e));
  GS_TRY(gs_source_find(&r->source, p->value, in, e));
  return take(r, *in, e);
}

static gs_status find_count(gs_runner *r, const gs_pair *p, gs_err *e) {
  gs_steps *s = r->steps;
  gs_step_count *c = &s->count[s->ncount++];
  char *end;
  GS_TRY(gs_source_find(&r->source, p->name, &c->at, e));
  if (p->value) c->next = strtoll(p->value, &end, 10);
  if (p->value && (end == p->value || *end))
    return gs_fail(e, GS_USAGE, NULL,
                   "'%s' is not a whole number to begin with", p->value);
  return take(r, c->at, e);
}

gs_status gs_steps_find_made(gs_runner *r, const gs_steps_options *o,
                             gs_err *e) {
  gs_arena *a = &r->arena;
  gs_steps *s = r->steps;
  int nin = r->source.graph->input.n;
  s->made = GS_NEWS(a, nin + 1, bool);
  s->state = GS_NEWS(a, nin + 1, bool);
  s->fresh = GS_NEWS(a, nin + 1, bool);
  s->tie = GS_NEWS(a, o->nfeed + nin + 1, gs_tie);
  s->pick = GS_NEWS(a, o->nargmax + 1, gs_step_pick);
  s->count = GS_NEWS(a, o->ncount + 2, gs_step_count);
  s->filled = -1;
  for (int i = 0; i < o->nfeed; i++, s->ntie++)
    GS_TRY(find_pair(r, &o->feed[i], &s->tie[s->ntie].out, &s->tie[s->ntie].in,
                     e));
  for (int i = 0; i < o->nargmax; i++, s->npick++)
    GS_TRY(find_pair(r, &o->argmax[i], &s->pick[i].out, &s->pick[i].in, e));
  for (int i = 0; i < o->ncount; i++) GS_TRY(find_count(r, &o->count[i], e));
  if (!o->no_state) gs_steps_find_state(r);
  for (int i = 0; i < nin; i++) r->source.varies[i] = s->made[i];
  for (int i = 0; i < nin; i++) r->source.made[i] = s->state[i];
  for (int i = 0; i < s->ncount; i++) r->source.made[s->count[i].at] = true;
  return GS_OK;
}

/* ---- do they fit ---- */

static gs_status misfit(const gs_value *y, const gs_value *x, const char *what,
                        gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_status s = gs_fail(e, GS_DATA, NULL,
                        "output '%s' is %s%s, but the input '%s' is %s",
                        y->name, gs_shape_text(&a, y->dtype, y->rank, y->dims),
                        what, x->name,
                        gs_shape_text(&a, x->dtype, x->rank, x->dims));
  gs_arena_free(&a);
  return s;
}

static gs_status check_shaped(const gs_value *v, gs_err *e) {
  if (!gs_value_dynamic(v)) return GS_OK;
  return gs_fail(e, GS_UNSUPPORTED, v->name, "its size is known in a run only: "
                 "it cannot go from one step to the next");
}

/* Memory for an input that the run makes itself. */
static gs_dyn *new_value(gs_runner *r, const gs_value *v) {
  gs_tensor *t = GS_NEW(&r->arena, gs_tensor);
  *t = (gs_tensor){.name = v->name, .dtype = v->dtype, .rank = v->rank,
                   .dims = v->dims, .nbytes = gs_value_bytes(v)};
  t->data = gs_alloc64(&r->arena, t->nbytes);
  return gs_dyn_of(&r->arena, t);
}

static bool whole_numbers(const gs_value *v) {
  return v->dtype == GS_INT64 || v->dtype == GS_INT32;
}

static gs_status check_pick(gs_runner *r, gs_step_pick *p, gs_err *e) {
  const gs_value *y = r->source.graph->output.at[p->out];
  const gs_value *x = r->source.graph->input.at[p->in];
  GS_TRY(check_shaped(y, e));
  GS_TRY(check_shaped(x, e));
  bool fits = y->rank > 0 && gs_dtype_get((int)y->dtype)->cls == 'f' &&
              whole_numbers(x) && y->dims[y->rank - 1] > 0 &&
              gs_product(x->dims, x->rank) ==
                  gs_product(y->dims, y->rank - 1);
  if (!fits) return misfit(y, x, ", of which the last dim is chosen from", e);
  p->value = new_value(r, x);
  return GS_OK;
}

static void set_int(gs_tensor *t, int64_t i, int64_t value) {
  void *data = (void *)(uintptr_t)t->data;
  if (t->dtype == GS_INT64) ((int64_t *)data)[i] = value;
  else ((int32_t *)data)[i] = (int32_t)value;
}

/* The numbers of a step: the last dim counts, all others are alike. */
static void fill_count(gs_step_count *c) {
  gs_tensor *t = &c->value->t;
  int64_t n = gs_tensor_count(t), m = t->rank ? t->dims[t->rank - 1] : 1;
  for (int64_t i = 0; i < n; i++) set_int(t, i, c->next + i % m);
  c->next += c->step ? c->step : m;
}

gs_status gs_steps_check_room(const gs_steps *s, gs_err *e) {
  if (s->filled < 0) return GS_OK;
  const gs_step_count *c = &s->count[s->filled];
  if (c->next <= s->size - c->step) return GS_OK;
  gs_fail(e, GS_DATA, gs_sprintf(&e->arena, "step %lld", (long long)s->begun),
          "the state is full: %lld of its %lld places are filled, and a step "
          "fills %lld", (long long)c->next, (long long)s->size,
          (long long)c->step);
  gs_err_hint(e, "state: size: in the spec says how many it has");
  return GS_DATA;
}

static gs_status check_count(gs_runner *r, gs_step_count *c, gs_err *e) {
  const gs_steps *s = r->steps;
  const gs_value *v = r->source.graph->input.at[c->at];
  GS_TRY(check_shaped(v, e));
  if (!whole_numbers(v))
    return gs_fail(e, GS_USAGE, v->name, "%s does not count",
                   gs_dtype_get((int)v->dtype)->text);
  c->value = new_value(r, v);
  if (r->source.input[c->at] && s->filled >= 0 &&
      c == &s->count[s->filled])
    return gs_fail(e, GS_USAGE, v->name, "this input counts what is filled of "
                   "the state: with --no-state it can be given");
  if (r->source.input[c->at])
    return gs_fail(e, GS_USAGE, v->name, "this input counts: its first number "
                   "is given with --count");
  fill_count(c);
  r->source.input[c->at] = c->value;
  return GS_OK;
}

gs_status gs_steps_check_made(gs_runner *r, gs_err *e) {
  const gs_graph *g = r->source.graph;
  gs_steps *s = r->steps;
  for (int i = 0; i < s->ntie; i++) {
    const gs_value *y = g->output.at[s->tie[i].out];
    const gs_value *x = g->input.at[s->tie[i].in];
    GS_TRY(check_shaped(y, e));
    GS_TRY(check_shaped(x, e));
    gs_state t = {.out = s->tie[i].out, .in = s->tie[i].in};
    if (!gs_state_fits(g, &r->bind, &t)) return misfit(y, x, "", e);
  }
  for (int i = 0; i < s->npick; i++) GS_TRY(check_pick(r, &s->pick[i], e));
  if (s->filled >= 0) s->count[s->filled].step = r->source.state.step;
  GS_TRY(gs_steps_check_room(s, e));
  for (int i = 0; i < s->ncount; i++) GS_TRY(check_count(r, &s->count[i], e));
  return GS_OK;
}

/* ---- from step to step ---- */

/* The first of the largest; a NaN is larger than all. */
static int64_t largest(gs_dtype t, const char *at, int64_t n) {
  enum { BLOCK = 512 };
  double x[BLOCK], max = 0;
  int64_t best = -1, size = gs_dtype_get((int)t)->bits / 8;
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    gs_convert(GS_DOUBLE, x, t, at + i * size, m, NULL);
    for (int64_t k = 0; k < m; k++) {
      if (best >= 0 && !(x[k] > max) && !isnan(x[k])) continue;
      best = i + k;
      max = x[k];
      if (isnan(max)) return best;
    }
  }
  return best;
}

static gs_status pick(gs_runner *r, const gs_step_pick *p, gs_err *e) {
  const gs_value *y = r->source.graph->output.at[p->out];
  gs_tensor *t = &p->value->t;
  const void *data;
  GS_TRY(gs_exec_joined(r->exec, p->out, &data, e));
  int64_t n = gs_tensor_count(t), m = y->dims[y->rank - 1];
  int64_t row = m * gs_dtype_get((int)y->dtype)->bits / 8;
  for (int64_t i = 0; data && i < n; i++)
    set_int(t, i, largest(y->dtype, (const char *)data + i * row, m));
  if (!gs_runner_many(r)) return GS_OK;
  return gs_world_bcast(r->w, (void *)(uintptr_t)t->data, t->nbytes, e);
}

gs_status gs_steps_make(gs_runner *r, gs_err *e) {
  const gs_graph *g = r->source.graph;
  gs_steps *s = r->steps;
  for (int i = 0; i < s->npick; i++)
    if (!s->fresh[s->pick[i].in]) GS_TRY(pick(r, &s->pick[i], e));
  GS_TRY(gs_exec_tie_next(r->exec, s->fresh, e));
  for (int i = 0; i < s->npick; i++)
    if (!s->fresh[s->pick[i].in])
      GS_TRY(gs_exec_give(r->exec, g->input.at[s->pick[i].in]->name,
                          s->pick[i].value, e));
  for (int i = 0; i < s->ncount; i++) {
    fill_count(&s->count[i]);
    GS_TRY(gs_exec_give(r->exec, g->input.at[s->count[i].at]->name,
                        s->count[i].value, e));
  }
  return GS_OK;
}
