/* Tokens that are chosen from an output (api/choose): the index of its largest
 * element along the last dim, or one that is drawn. */
#include "api/run/steps.h"

#include "api/run/runner.h"
#include "base/math.h"
#include "exec/data/aligned.h"

/* ---- inputs that the run makes ---- */

gs_dyn *gs_steps_new_value(gs_runner *r, const gs_value *v) {
  gs_tensor *t = GS_NEW(&r->arena, gs_tensor);
  *t = (gs_tensor){.name = v->name, .dtype = v->dtype, .rank = v->rank,
                   .dims = v->dims, .nbytes = gs_value_bytes(v)};
  t->data = gs_alloc64(&r->arena, t->nbytes);
  return gs_dyn_of(&r->arena, t);
}

void gs_steps_set_int(gs_tensor *t, int64_t i, int64_t value) {
  void *data = (void *)(uintptr_t)t->data;
  if (t->dtype == GS_INT64) ((int64_t *)data)[i] = value;
  else ((int32_t *)data)[i] = (int32_t)value;
}

int64_t gs_steps_get_int(const gs_tensor *t, int64_t i) {
  return t->dtype == GS_INT64 ? ((const int64_t *)t->data)[i]
                              : ((const int32_t *)t->data)[i];
}

/* ---- do they fit ---- */

bool gs_steps_takes_ints(const gs_value *v) {
  return v->dtype == GS_INT64 || v->dtype == GS_INT32;
}

/* Of how many places along the last dim but one each row of y is chosen from
 * the last ones, to have `rows` in all: where all are, all; 0: it does not fit.
 */
static int64_t last_places(const gs_value *y, int64_t rows, bool several) {
  int64_t all = gs_product(y->dims, y->rank - 1);
  if (all == rows) return y->rank > 1 ? y->dims[y->rank - 2] : 1;
  if (!several || y->rank < 2) return 0;
  int64_t before = gs_product(y->dims, y->rank - 2);
  if (before < 1 || rows % before || rows / before > y->dims[y->rank - 2])
    return 0;
  return rows / before;
}

/* Whether what program k has as input can be chosen from what each makes. */
static bool pick_fits(const gs_runner *r, const gs_step_pick *p, int k) {
  int n = r->steps->programs.n;
  const gs_value *x = gs_runner_source(r, k)->graph->input.at[p->in];
  for (int i = 0; i < n; i++) {
    const gs_value *y = gs_runner_source(r, i)->graph->output.at[p->out];
    if (gs_value_dynamic(y) || gs_value_dynamic(x) || !y->rank ||
        y->dims[y->rank - 1] < 1 ||
        gs_dtype_get((int)y->dtype)->cls != 'f' ||
        gs_dtype_get((int)y->dtype)->bits < 8 || !gs_steps_takes_ints(x) ||
        !last_places(y, gs_product(x->dims, x->rank), n > 1))
      return false;
  }
  return true;
}

gs_status gs_steps_check_pick(gs_runner *r, gs_step_pick *p, gs_err *e) {
  const gs_step_programs *all = &r->steps->programs;
  gs_arena *a = &r->arena;
  p->program = -1;
  for (int i = all->n - 1; i >= 0 && p->program < 0; i--) {
    int k = all->n > 1 ? all->order[i] : i; /* the smallest first */
    if (pick_fits(r, p, k)) p->program = k;
  }
  const gs_source *from = gs_runner_source(r, (int)gs_max(0, p->program));
  const gs_value *y = from->graph->output.at[p->out];
  const gs_value *x = from->graph->input.at[p->in];
  if (p->program < 0)
    return gs_fail(e, GS_DATA, NULL, "output '%s' is %s, of which the last dim "
                   "is chosen from, but the input '%s' is %s", y->name,
                   gs_shape_text(a, y->dtype, y->rank, y->dims), x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims));
  p->value = gs_steps_new_value(r, x);
  p->rows = gs_product(x->dims, x->rank);
  p->given = GS_NEWS(a, p->rows + 1, bool);
  p->ended = GS_NEWS(a, p->rows + 1, bool);
  const gs_step_input *first = gs_steps_record(r->steps, p->in);
  for (int64_t i = 0; i < p->rows; i++) p->given[i] = true;
  for (int64_t i = 0; i < p->rows && first && all->n == 1; i++)
    if (gs_steps_get_int(&first->value->t, i) < 0) /* nothing was chosen yet */
      gs_steps_set_int((gs_tensor *)(uintptr_t)&first->value->t, i, 0);
  p->chosen = GS_NEWS(a, p->rows + 1, int64_t);
  p->choice = GS_NEWS(a, all->n, gs_choice *);
  return GS_OK;
}

/* ---- choosing ---- */

/* How far the run has come: places of the state, or what --count counts, or
 * steps; so a run that goes on from a saved state draws as one that did not
 * end. */
static int64_t how_far(const gs_steps *s) {
  if (s->filled >= 0) return s->count[s->filled].next;
  return s->ncount ? s->count[0].next : s->begun;
}

gs_choice *gs_steps_new_choice(gs_runner *r, const gs_step_pick *p) {
  const gs_value *y = r->source.graph->output.at[p->out];
  gs_choice *c = GS_NEW(&r->arena, gs_choice);
  gs_choice_init(c, &r->arena, r->exec, r->w, y, p->out,
                 last_places(y, p->rows, r->steps->programs.n > 1));
  return c;
}

static gs_status choose(gs_runner *r, gs_step_pick *p, gs_err *e) {
  const gs_steps *s = r->steps;
  gs_choice **choice = &p->choice[r->now];
  if (!*choice) *choice = gs_steps_new_choice(r, p);
  (*choice)->x = r->exec;
  p->ahead = true;
  if (p->beams) return gs_beams_look(p->beams, e);
  GS_TRY(gs_choose(*choice, p->draws ? &s->draw : NULL, how_far(s),
                   p->chosen, e));
  for (int64_t i = 0; i < p->rows && gs_runner_first(r); i++)
    gs_steps_set_int(&p->value->t, i, p->chosen[i]);
  return GS_OK;
}

gs_status gs_steps_choose(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  for (int k = 0; k < s->npick; k++) GS_TRY(choose(r, &s->pick[k], e));
  return GS_OK;
}

void gs_steps_go_on(gs_steps *s) {
  gs_step_pick *p = &s->pick[0];
  if (!s->beams.beams) return;
  p->ahead = false;
  if (s->fresh[p->in]) {
    gs_beams_begin(p->beams);
    return;
  }
  gs_beams_expand(p->beams, p->chosen);
  for (int64_t i = 0; i < p->rows; i++)
    gs_steps_set_int(&p->value->t, i, p->chosen[i]);
}

gs_status gs_steps_share_chosen(gs_runner *r, gs_err *e) {
  const gs_steps *s = r->steps;
  for (int k = 0; k < s->npick && gs_runner_many(r); k++) {
    const gs_tensor *t = &s->pick[k].value->t;
    if (s->fresh[s->pick[k].in]) continue;
    GS_TRY(gs_world_bcast(r->w, (void *)(uintptr_t)t->data, t->nbytes, e));
  }
  return GS_OK;
}

/* ---- the end ---- */

static bool stops(const gs_steps *s, int64_t token) {
  for (int i = 0; i < s->nstop_at; i++)
    if (s->stop_at[i] == token) return true;
  return false;
}

bool gs_steps_stopped(gs_steps *s) {
  if (s->beams.beams) return gs_beams_done(s->pick[0].beams);
  for (int k = 0; k < s->npick && s->nstop_at && s->done; k++) {
    gs_step_pick *p = &s->pick[k];
    bool all = p->rows > 0;
    for (int64_t i = 0; i < p->rows; i++) {
      if (s->fresh[p->in] && p->given[i]) /* a prompt goes on */
        p->ended[i] = false;
      else if (stops(s, gs_steps_get_int(&p->value->t, i))) p->ended[i] = true;
      all = all && p->ended[i];
    }
    if (all) return true;
  }
  return false;
}

/* A hypothesis: a record of its tokens, and its score. */
static gs_status tell_beam(gs_runner *r, const gs_beam *b, gs_err *e) {
  gs_tensor t = {.dtype = GS_INT64, .rank = 1, .dims = &b->n, .data = b->token,
                 .nbytes = (uint64_t)b->n * sizeof *b->token};
  gs_buf_printf(&r->json, "{\"score\": %.9g, \"tokens\": [", b->score);
  for (int64_t i = 0; i < b->n; i++)
    gs_buf_printf(&r->json, i ? ", %lld" : "%lld", (long long)b->token[i]);
  gs_buf_str(&r->json, "]}");
  return r->steps->to_tokens ? gs_record_out_put(r->steps->to_tokens, &t, e)
                             : GS_OK;
}

gs_status gs_steps_tell_beams(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  gs_step_pick *p = &s->pick[0];
  int64_t k = s->beams.beams;
  if (!k || !p->beams || !s->done) return GS_OK;
  if (p->ahead && !gs_beams_done(p->beams)) gs_steps_go_on(s);
  gs_beam *best = GS_NEWS(&r->arena, k, gs_beam);
  gs_buf_str(&r->json, ", \"beams\": [");
  for (int64_t i = 0; i < p->rows / k; i++) {
    int64_t n = gs_beams_best(p->beams, i, best);
    gs_buf_str(&r->json, i ? ", [" : "[");
    for (int64_t j = 0; j < n; j++) {
      gs_buf_printf(&r->text, "beam %lld.%lld: score %.6f, %lld tokens\n",
                    (long long)i, (long long)j, best[j].score,
                    (long long)best[j].n);
      if (j) gs_buf_str(&r->json, ", ");
      GS_TRY(tell_beam(r, &best[j], e));
    }
    gs_buf_str(&r->json, "]");
  }
  gs_buf_str(&r->json, "]");
  return GS_OK;
}
