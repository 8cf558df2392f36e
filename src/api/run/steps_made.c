/* Inputs that are made of what came before: outputs that become inputs, and
 * numbers that count. */
#include "api/run/steps.h"

#include <stdlib.h>
#include <string.h>

#include "api/run/runner.h"
#include "base/math.h"
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

static gs_status find_count(gs_runner *r, const gs_pair *p, bool mask,
                            gs_err *e) {
  gs_steps *s = r->steps;
  gs_step_count *c = &s->count[s->ncount++];
  char *end;
  c->mask = mask;
  GS_TRY(gs_source_find(&r->source, p->name, &c->at, e));
  if (p->value) c->next = strtoll(p->value, &end, 10);
  if (p->value && (end == p->value || *end))
    return gs_fail(e, GS_USAGE, NULL,
                   "'%s' is not a whole number to begin with", p->value);
  return take(r, c->at, e);
}

/* Hypotheses: one choice, and one mask that says whose places they see. */
static gs_status find_beams(gs_runner *r, const gs_steps_options *o,
                            gs_err *e) {
  gs_steps *s = r->steps;
  s->beams = (gs_beams_options){o->beams, o->length_penalty, s->stop_at,
                                s->nstop_at};
  if (!o->beams) return GS_OK;
  if (o->beams < 0 || o->nargmax != 1 || o->nsample || o->nmask != 1)
    return gs_fail(e, GS_USAGE, NULL, "hypotheses need one --argmax, of what "
                   "follows them, and one --mask, of the places that they see");
  if (s->programs.n > 1)
    return gs_fail(e, GS_UNSUPPORTED, NULL, "hypotheses need a plan of one "
                   "binding");
  if (o->load_state || o->save_state)
    return gs_fail(e, GS_USAGE, NULL, "hypotheses are not part of a state that "
                   "is saved or loaded");
  return GS_OK;
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
  s->pick = GS_NEWS(a, o->nargmax + o->nsample + 1, gs_step_pick);
  s->count = GS_NEWS(a, o->ncount + o->nmask + 2, gs_step_count);
  for (int i = 0; i < o->ncount + o->nmask + 2; i++) {
    s->count[i].step = GS_NEWS(a, s->programs.n, int64_t);
    s->count[i].value = GS_NEWS(a, s->programs.n, gs_dyn *);
  }
  s->filled = -1;
  for (int i = 0; i < o->nfeed; i++, s->ntie++)
    GS_TRY(find_pair(r, &o->feed[i], &s->tie[s->ntie].out, &s->tie[s->ntie].in,
                     e));
  for (int i = 0; i < o->nargmax + o->nsample; i++) {
    gs_step_pick *p = &s->pick[s->npick++];
    p->draws = i >= o->nargmax;
    GS_TRY(find_pair(r, p->draws ? &o->sample[i - o->nargmax] : &o->argmax[i],
                     &p->out, &p->in, e));
  }
  s->draw = (gs_draw){o->temperature, o->top_p, o->top_k,
                           (uint64_t)o->seed};
  if (o->nsample) GS_TRY(gs_draw_check(&s->draw, e));
  s->nstop_at = o->nstop_at;
  s->stop_at = gs_memdup(a, o->stop_at, (size_t)o->nstop_at * sizeof(int64_t));
  s->tokens = o->tokens ? gs_strdup(a, o->tokens) : NULL;
  if ((o->nstop_at || o->tokens) && !s->npick)
    return gs_fail(e, GS_USAGE, NULL, "no tokens are chosen: --argmax or "
                   "--sample says from what");
  GS_TRY(find_beams(r, o, e));
  for (int i = 0; i < o->ncount; i++)
    GS_TRY(find_count(r, &o->count[i], false, e));
  for (int i = 0; i < o->nmask; i++)
    GS_TRY(find_count(r, &o->mask[i], true, e));
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

static int64_t last_dim(const gs_value *v) {
  return v->rank ? v->dims[v->rank - 1] : 1;
}

/* One element of a mask. */
static void set_mask(gs_tensor *t, int64_t i, bool value) {
  if (t->dtype == GS_BOOL) ((uint8_t *)(uintptr_t)t->data)[i] = value;
  else gs_steps_set_int(t, i, value);
}

static void fill_mask(const gs_steps *s, gs_step_count *c, int k) {
  gs_tensor *t = &c->value[k]->t;
  int64_t n = gs_tensor_count(t), m = t->dims[t->rank - 1];
  const gs_beams *b = s->beams.beams ? s->pick[0].beams : NULL;
  for (int64_t i = 0; i < n; i++)
    set_mask(t, i, b ? gs_beams_mask(b, i / m)[i % m] : i % m < c->next);
}

/* The numbers of a run of program k: the last dim counts, all others are alike.
 */
static void fill_count(const gs_steps *s, gs_step_count *c, int k) {
  gs_tensor *t = &c->value[k]->t;
  int64_t n = gs_tensor_count(t), m = t->rank ? t->dims[t->rank - 1] : 1;
  if (c->mask) c->next += c->step[k];
  if (c->mask) fill_mask(s, c, k);
  for (int64_t i = 0; i < n && !c->mask; i++)
    gs_steps_set_int(t, i, c->next + (c->alike ? 0 : i % m));
  if (!c->mask) c->next += c->step[k];
}

/* Those of the next step, of one program: each element for itself. */
static void count_on(const gs_steps *s, gs_step_count *c) {
  gs_tensor *t = &c->value[0]->t;
  int64_t n = gs_tensor_count(t);
  c->next += c->step[0];
  if (c->mask) fill_mask(s, c, 0);
  for (int64_t i = 0; i < n && !c->mask; i++)
    gs_steps_set_int(t, i, gs_steps_get_int(t, i) + c->step[0]);
}

/* ---- records of what is made ---- */

void gs_steps_fill_in(gs_steps *s, const gs_step_input *in) {
  const gs_tensor *t = &in->value->t;
  int64_t n = gs_tensor_count(t);
  for (int k = 0; k < s->npick; k++) {
    gs_step_pick *p = &s->pick[k];
    if (p->in != in->at || p->beams || s->programs.n > 1) continue;
    for (int64_t i = 0; i < n; i++) {
      p->given[i] = gs_steps_get_int(t, i) >= 0;
      if (!p->given[i])
        gs_steps_set_int((gs_tensor *)(uintptr_t)t, i,
                         gs_steps_get_int(&p->value->t, i));
    }
  }
  for (int k = 0; k < s->ncount; k++) {
    const gs_step_count *c = &s->count[k];
    if (c->at != in->at) continue;
    for (int64_t i = 0; i < n; i++)
      if (gs_steps_get_int(t, i) < 0)
        gs_steps_set_int((gs_tensor *)(uintptr_t)t, i,
                         gs_steps_get_int(&c->value[0]->t, i) + c->step[0]);
  }
}

void gs_steps_filled_in(gs_steps *s, const gs_step_input *in) {
  const gs_tensor *t = &in->value->t;
  for (int k = 0; k < s->ncount; k++)
    if (s->count[k].at == in->at)
      memcpy((void *)(uintptr_t)s->count[k].value[0]->t.data, t->data,
             t->nbytes);
}

/* Whether a mask has room for one more step. */
static gs_status check_mask_room(const gs_steps *s, const gs_step_count *c,
                                 gs_err *e) {
  const gs_tensor *t = &c->value[0]->t;
  int64_t m = t->dims[t->rank - 1], fills = 0;
  for (int k = 0; k < s->programs.n; k++)
    fills += s->programs.run[k] * c->step[k];
  if (s->beams.beams ? gs_beams_room(s->pick[0].beams) : c->next <= m - fills)
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_sprintf(&e->arena, "step %lld: input '%s'",
                                        (long long)s->begun, t->name),
                 "all of its %lld places are filled", (long long)m);
}

static gs_status full(const gs_steps *s, const gs_step_count *c,
                      int64_t fills, gs_err *e) {
  gs_fail(e, GS_DATA, gs_sprintf(&e->arena, "step %lld", (long long)s->begun),
          "the state is full: %lld of its %lld places are filled, and a step "
          "fills %lld", (long long)c->next, (long long)s->size,
          (long long)fills);
  gs_err_hint(e, "state: size: in the spec says how many it has");
  return GS_DATA;
}

gs_status gs_steps_check_room(const gs_steps *s, gs_err *e) {
  for (int i = 0; i < s->ncount && s->begun > 1; i++)
    if (s->count[i].mask) GS_TRY(check_mask_room(s, &s->count[i], e));
  if (s->filled < 0) return GS_OK;
  const gs_step_count *c = &s->count[s->filled];
  int64_t fills = 0;
  for (int k = 0; k < s->programs.n; k++)
    fills += s->programs.run[k] * c->step[k];
  if (c->next <= s->size - fills) return GS_OK;
  return full(s, c, fills, e);
}

/* How fast it counts: with K hypotheses what has K elements is the same for
 * all, as positions are, and other numbers are of places. */
static void set_pace(const gs_steps *s, gs_step_count *c, int at,
                     const gs_value *v) {
  int64_t k = s->beams.beams, m = last_dim(v);
  c->alike = k && m == k;
  if (!c->step[at]) c->step[at] = c->alike ? 1 : k ? k * m : m;
}

/* A mask of places, as many in a step as it has tokens; with hypotheses, of
 * those that each sees. */
static gs_status check_mask(gs_runner *r, gs_step_count *c, int at,
                            const gs_value *v, gs_err *e) {
  gs_steps *s = r->steps;
  int64_t k = s->beams.beams, m = last_dim(v), first = c->next;
  const gs_graph *g = gs_runner_source(r, at)->graph;
  c->step[at] = s->npick ? last_dim(g->input.at[s->pick[0].in]) : 1;
  if (!v->rank || first < 0 || first > m - (k ? k : c->step[at]))
    return gs_fail(e, GS_DATA, v->name, "%s has no room for the places of a "
                   "step after %lld", gs_shape_text(&r->arena, v->dtype,
                                                    v->rank, v->dims),
                   (long long)first);
  if (!k) return GS_OK;
  gs_step_pick *p = &s->pick[0];
  if (p->rows % k || gs_product(v->dims, v->rank - 1) != p->rows || first)
    return gs_fail(e, GS_DATA, v->name, "%s from place %lld is not what each "
                   "of %lld hypotheses in %lld rows sees",
                   gs_shape_text(&r->arena, v->dtype, v->rank, v->dims),
                   (long long)first, (long long)k, (long long)p->rows);
  gs_choice *choice = p->choice[0] = gs_steps_new_choice(r, p);
  gs_beams_new(&r->arena, &s->beams, choice, m, &p->beams);
  return GS_OK;
}

/* The first record of what counts: numbers below 0 are as without it. */
static void first_record(gs_step_count *c, const gs_step_input *in) {
  gs_tensor *t = (gs_tensor *)(uintptr_t)&in->value->t, *own = &c->value[0]->t;
  for (int64_t i = 0; i < gs_tensor_count(t); i++)
    if (gs_steps_get_int(t, i) < 0)
      gs_steps_set_int(t, i, gs_steps_get_int(own, i));
    else gs_steps_set_int(own, i, gs_steps_get_int(t, i));
}

/* What counts, in program k. */
static gs_status check_count(gs_runner *r, gs_step_count *c, int k,
                             gs_err *e) {
  gs_steps *s = r->steps;
  const gs_value *v = gs_runner_source(r, k)->graph->input.at[c->at];
  GS_TRY(check_shaped(v, e));
  if (!gs_steps_takes_ints(v) && !(c->mask && v->dtype == GS_BOOL))
    return gs_fail(e, GS_USAGE, v->name, "%s does not count",
                   gs_dtype_get((int)v->dtype)->text);
  c->value[k] = gs_steps_new_value(r, v);
  if (r->source.input[c->at] && s->filled >= 0 &&
      c == &s->count[s->filled])
    return gs_fail(e, GS_USAGE, v->name, "this input counts what is filled of "
                   "the state: with --no-state it can be given");
  const gs_step_input *from = gs_steps_record(s, c->at);
  if (r->source.input[c->at] &&
      (!from || from->constant || c->mask || s->programs.n > 1))
    return gs_fail(e, GS_USAGE, v->name, "this input counts: its first number "
                   "is given with --count");
  if (c->mask) return check_mask(r, c, k, v, e);
  set_pace(s, c, k, v);
  return GS_OK;
}

/* Of one program, the numbers of the first step are given with all else. */
static gs_status check_counts(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  for (int i = 0; i < s->ncount; i++) {
    gs_step_count *c = &s->count[i];
    for (int k = 0; k < s->programs.n; k++)
      GS_TRY(check_count(r, c, k, e));
    if (s->programs.n > 1) continue;
    fill_count(s, c, 0);
    const gs_step_input *from = gs_steps_record(s, c->at);
    if (from) first_record(c, from);
    else r->source.input[c->at] = c->value[0];
  }
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
    if (s->programs.n > 1 && s->programs.in[t.in] != -1)
      return gs_fail(e, GS_UNSUPPORTED, x->name, "this input is of another "
                     "size with each binding: '%s' cannot be fed back to it",
                     y->name);
  }
  for (int i = 0; i < s->npick; i++) {
    GS_TRY(check_shaped(g->output.at[s->pick[i].out], e));
    GS_TRY(check_shaped(g->input.at[s->pick[i].in], e));
    GS_TRY(gs_steps_check_pick(r, &s->pick[i], e));
  }
  for (int k = 0; k < s->programs.n && s->filled >= 0; k++)
    s->count[s->filled].step[k] = gs_runner_source(r, k)->state.step;
  if (s->programs.n == 1) GS_TRY(gs_steps_check_room(s, e));
  return check_counts(r, e);
}

/* ---- from step to step ---- */

gs_status gs_steps_give_counts(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  for (int i = 0; i < s->ncount; i++) {
    gs_step_count *c = &s->count[i];
    if (s->programs.n > 1) fill_count(s, c, r->now);
    else if (s->fresh[c->at]) continue;
    else count_on(s, c);
    GS_TRY(gs_exec_give(r->exec, r->source.graph->input.at[c->at]->name,
                        c->value[r->now], e));
  }
  return GS_OK;
}

gs_status gs_steps_make(gs_runner *r, gs_err *e) {
  const gs_graph *g = r->source.graph;
  gs_steps *s = r->steps;
  GS_TRY(gs_steps_share_chosen(r, e));
  GS_TRY(gs_exec_tie_next(r->exec, s->fresh, e));
  for (int i = 0; i < s->npick; i++)
    if (!s->fresh[s->pick[i].in])
      GS_TRY(gs_exec_give(r->exec, g->input.at[s->pick[i].in]->name,
                          s->pick[i].value, e));
  if (s->beams.beams) GS_TRY(gs_beams_step(s->pick[0].beams, e));
  return gs_steps_give_counts(r, e);
}
