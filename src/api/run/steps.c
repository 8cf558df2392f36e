/* gs_runner of gshard.h: a run of many steps.
 *
 * Rank 0 reads, and says by one word before each step what all do: a step, an
 * end, or a failure.  A failure of its own after a step goes the same way, for
 * the others come for the next word. */
#include "api/run/steps.h"

#include "api/run/runner.h"
#include "base/assert.h"
#include "base/data/clock.h"
#include "base/text.h"
#include "exec/data/aligned.h"

/* Words of rank 0: a gs_status, or one of these. */
enum { GO = GS_OK, END = -2 };

/* ---- what all ranks know ---- */

/* What rank 0 has found of an input, for the others. */
typedef struct told_input {
  int64_t constant, dtype, rank, nbytes;
  int64_t dims[GS_MAX_RANK];
} told_input;

/* The word of rank 0 to all, which inputs have a record, and which programs
 * run. */
static gs_status tell(gs_runner *r, int64_t word, gs_err *e) {
  gs_steps *s = r->steps;
  int n = gs_runner_inputs(r);
  s->word[0] = word;
  if (!gs_runner_many(r)) return GS_OK;
  int np = s->programs.n;
  size_t words = (size_t)(1 + n + np);
  for (int i = 0; i < n; i++) s->word[1 + i] = s->fresh[i];
  for (int k = 0; k < np; k++) s->word[1 + n + k] = s->programs.run[k];
  GS_TRY(gs_world_bcast(r->w, s->word, words * sizeof *s->word, e));
  for (int i = 0; i < n; i++) s->fresh[i] = s->word[1 + i];
  for (int k = 0; k < np; k++) s->programs.run[k] = s->word[1 + n + k];
  return GS_OK;
}

/* What this rank does after the word: *more, or a failure of rank 0, which
 * tells of it. */
static gs_status obey(gs_runner *r, int64_t word, bool *more) {
  *more = word == GO;
  if (*more || word == END) return GS_OK;
  if (!gs_runner_first(r)) r->silent = true;
  return (gs_status)word;
}

/* Rank 0 has done something: its status and whether there is more, on all. */
static gs_status agree(gs_runner *r, gs_status mine, bool *more, gs_err *e) {
  GS_TRY(tell(r, mine ? (int64_t)mine : *more ? GO : END, e));
  return obey(r, r->steps->word[0], more);
}

static gs_status share_input(gs_runner *r, gs_step_input *in, gs_err *e) {
  gs_arena *a = &r->arena;
  told_input *x = GS_NEW(a, told_input);
  bool first = gs_runner_first(r);
  if (first) {
    const gs_tensor *t = &in->value->t;
    *x = (told_input){in->constant, t->dtype, t->rank, (int64_t)t->nbytes, {0}};
    memcpy(x->dims, t->dims, (size_t)t->rank * sizeof *t->dims);
  }
  GS_TRY(gs_world_bcast(r->w, x, sizeof *x, e));
  if (!first) {
    gs_tensor *t = GS_NEW(a, gs_tensor);
    *t = (gs_tensor){.name = in->name, .dtype = (gs_dtype)x->dtype,
                     .rank = (int)x->rank, .dims = x->dims,
                     .nbytes = (uint64_t)x->nbytes};
    t->data = gs_alloc64(a, t->nbytes);
    in->value = gs_dyn_of(a, t);
    in->constant = x->constant;
    in->room = t->nbytes;
  }
  return gs_world_bcast(r->w, (void *)(uintptr_t)in->value->t.data,
                        in->value->t.nbytes, e);
}

/* Which outputs rank 0 wants. */
static gs_status share_outputs(gs_runner *r, gs_steps *s, gs_err *e) {
  int n = gs_runner_outputs(r);
  int64_t *at = GS_NEWS(&r->arena, n + 1, int64_t);
  at[n] = s->nout;
  for (int i = 0; i < s->nout; i++) at[i] = s->out[i].at;
  GS_TRY(gs_world_bcast(r->w, at, (size_t)(n + 1) * sizeof *at, e));
  s->nout = (int)at[n];
  for (int i = 0; i < s->nout; i++) s->out[i].at = (int)at[i];
  return GS_OK;
}

/* ---- beginning ---- */

static bool is_pb(const char *path) {
  size_t n = strlen(path);
  return n > 3 && !strcmp(path + n - 3, ".pb");
}

/* Finds the inputs that are read; what lies in .pb files is a constant that
 * each rank reads for itself. */
static gs_status find_inputs(gs_runner *r, gs_steps *s,
                             const gs_steps_options *o, gs_err *e) {
  s->in = GS_NEWS(&r->arena, o->nin, gs_step_input);
  for (int i = 0; i < o->nin; i++) {
    gs_step_input *in = &s->in[s->nin];
    *in = (gs_step_input){.path = gs_strdup(&r->arena, o->in[i].value)};
    GS_TRY(gs_source_find(&r->source, o->in[i].name, &in->at, e));
    in->name = r->source.graph->input.at[in->at]->name;
    for (int k = 0; k < s->nin; k++)
      if (s->in[k].at == in->at)
        return gs_fail(e, GS_USAGE, NULL, "input '%s' is given twice",
                       in->name);
    if (!is_pb(in->path)) s->nin++;
    else GS_TRY(gs_run_input_file(&r->in, in->name, in->path, e));
  }
  return GS_OK;
}

/* Opens all that is read and written. */
static gs_status open_all(gs_runner *r, gs_steps *s,
                              const gs_steps_options *o, gs_err *e) {
  const gs_graph *g = r->source.graph;
  s->out = GS_NEWS(&r->arena, g->output.n + 1, gs_step_output);
  s->plan = (gs_run_output){.arena = &r->arena, .replace = o->replace,
                            .dry_run = o->dry_run};
  if (!gs_runner_first(r)) return GS_OK;
  /* What is written waits for readers of pipes; their writers may wait for
   * us. */
  GS_TRY(gs_steps_open(s, e));
  GS_TRY(gs_run_output_plan(&s->plan, o->out, o->nout, g, e));
  return gs_steps_create(s, g, e);
}

static gs_status begin(gs_runner *r, const gs_steps_options *o, bool *more,
                       gs_err *e) {
  if (!r->source.input || r->prepared || r->steps)
    return gs_fail(e, GS_USAGE, NULL, "gs_runner_begin_steps comes once, "
                   "after gs_runner_open and before gs_runner_prepare");
  if (o->most < 0 || o->nin < 0 || o->nout < 0)
    return gs_fail(e, GS_USAGE, NULL, "gs_steps_options has a number below 0");
  gs_steps *s = r->steps = GS_NEW(&r->arena, gs_steps);
  *s = (gs_steps){.arena = &r->arena,
                  .most = o->most,
                  .stop = {o->stop, o->user},
                  .begun = 1};
  gs_arena_init(&s->one);
  gs_steps_find_programs(r);
  s->word = GS_NEWS(&r->arena, 1 + gs_runner_inputs(r) + s->programs.n,
                    int64_t);
  s->programs.none = GS_NEWS(&r->arena, gs_runner_inputs(r) + 1, bool);
  GS_AGREE(r, gs_steps_find_made(r, o, e));
  GS_AGREE(r, find_inputs(r, s, o, e));
  GS_AGREE(r, gs_steps_check_state(r, o, e));
  GS_AGREE(r, open_all(r, s, o, e));
  gs_status status = GS_OK;
  *more = true;
  if (gs_runner_first(r))
    status = gs_steps_read_first(s, more, e);
  GS_TRY(agree(r, status, more, e));
  if (!*more) s->over = true;
  if (!*more) return GS_OK;
  for (int i = 0; i < s->nin; i++) {
    gs_step_input *in = &s->in[i];
    if (gs_runner_many(r)) GS_TRY(share_input(r, in, e));
    if (s->programs.n == 1) r->source.input[in->at] = in->value;
    else r->source.made[in->at] = true; /* each step gives it */
    if (!in->constant) r->source.varies[in->at] = true;
  }
  return gs_runner_many(r) ? share_outputs(r, s, e) : GS_OK;
}

gs_status gs_runner_begin_steps(gs_runner *r, const gs_steps_options *options,
                                bool *more, gs_err *e) {
  gs_steps_options o;
  *more = false;
  GS_TRY(gs_options_take(&o, sizeof o, options, "gs_steps_options", e));
  GS_CALL(r->blocks, e, begin(r, &o, more, e));
}

/* ---- a step ---- */

static gs_status read_inputs(gs_runner *r, bool *more, gs_err *e) {
  gs_steps *s = r->steps;
  *more = !(s->most && s->begun > s->most);
  if (s->begun > 1 && s->endless && !s->most && !s->nstop_at) *more = false;
  if (!*more) return GS_OK;
  if (s->begun > 1) {
    GS_TRY(gs_steps_read(s, more, e));
    if (*more) gs_steps_go_on(s);
    if (*more && gs_steps_stopped(s)) *more = false;
  } else {
    *more = !gs_stop_asked(&s->stop);
  }
  /* Of one program, the first step was looked at when it was compiled. */
  if (!*more || (s->begun == 1 && s->programs.n == 1)) return GS_OK;
  GS_TRY(gs_steps_choose_programs(r, e));
  return gs_steps_check_room(s, e);
}

/* Gives the devices their parts of what is new. */
static gs_status give_inputs(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  if (s->begun == 1) return GS_OK; /* compile has done it */
  GS_TRY(gs_steps_make(r, e));
  for (int i = 0; i < s->nin; i++) {
    gs_step_input *in = &s->in[i];
    if (!s->fresh[in->at]) continue;
    if (gs_runner_many(r))
      GS_TRY(gs_world_bcast(r->w, (void *)(uintptr_t)in->value->t.data,
                            in->value->t.nbytes, e));
    gs_steps_filled_in(s, in);
    GS_TRY(gs_exec_give(r->exec, in->name, in->value, e));
  }
  return GS_OK;
}

/* Joins the wanted outputs on rank 0. */
static gs_status take_outputs(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  gs_arena_reset(&s->one);
  for (int i = 0; i < s->nout; i++) {
    gs_step_output *o = &s->out[i];
    const gs_value *v = r->source.graph->output.at[o->at];
    if (gs_value_dynamic(v)) {
      GS_TRY(gs_exec_result(r->exec, &s->one, o->at, &o->value, e));
      continue;
    }
    if (!o->value) {
      gs_tensor *t = GS_NEW(&r->arena, gs_tensor);
      *t = (gs_tensor){.name = v->name, .dtype = v->dtype, .rank = v->rank,
                       .dims = v->dims, .nbytes = gs_value_bytes(v)};
      o->value = gs_dyn_of(&r->arena, t);
    }
    GS_TRY(gs_exec_joined(r->exec, o->at, &o->value->t.data, e));
  }
  return GS_OK;
}

static gs_status run_step(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  s->took = 0;
  if (s->programs.n > 1) {
    GS_TRY(gs_steps_run_programs(r, e));
  } else {
    GS_TRY(give_inputs(r, e));
    GS_TRY(gs_steps_run_once(r, e));
    GS_TRY(gs_steps_choose(r, e));
    GS_TRY(take_outputs(r, e));
  }
  if (!s->done || s->took < s->least) s->least = s->took;
  s->all += s->took;
  return GS_OK;
}

static gs_status step(gs_runner *r, bool *more, gs_err *e) {
  gs_steps *s = r->steps;
  if (!s || (!r->exec && !s->over))
    return gs_fail(e, GS_USAGE, NULL, "gs_runner_step comes after "
                   "gs_runner_begin_steps and gs_runner_compile");
  if (s->over) return GS_OK;
  s->over = true; /* unless all goes well */
  s->begun = s->done + 1;
  gs_status status = GS_OK;
  if (gs_runner_first(r)) status = read_inputs(r, more, e);
  GS_TRY(agree(r, status, more, e));
  if (!*more) return GS_OK;
  GS_TRY(run_step(r, e));
  if (gs_runner_first(r)) status = gs_steps_write(s, e);
  if (status) {
    gs_steps_in_step(s, status, e);
    GS_TRY(tell(r, status, e)); /* the others come for the next word */
    return status;
  }
  s->done++;
  s->over = false;
  return GS_OK;
}

gs_status gs_runner_step(gs_runner *r, bool *more, gs_err *e) {
  *more = false;
  GS_CALL(r->blocks, e, step(r, more, e));
}

/* ---- the end ---- */

static void describe_ties(gs_runner *r, const gs_steps *s) {
  int way[GS_NTIE];
  if (!s->ntie || !r->exec) return;
  gs_exec_tie_ways(r->exec, way);
  gs_buf_printf(&r->text, "fed back: %d value%s, %d in place, %d in turn, %d "
                "copied, %d joined\n", s->ntie, s->ntie == 1 ? "" : "s",
                way[GS_TIE_OVER], way[GS_TIE_SWAP], way[GS_TIE_COPY],
                way[GS_TIE_JOIN]);
  gs_buf_printf(&r->json, ", \"fed_back\": {\"in_place\": %d, \"in_turn\": "
                "%d, \"copied\": %d, \"joined\": %d}", way[GS_TIE_OVER],
                way[GS_TIE_SWAP], way[GS_TIE_COPY], way[GS_TIE_JOIN]);
}

static void describe(gs_runner *r, const gs_steps *s) {
  gs_buf_str(&r->json, "\"outputs\": [");
  for (int i = 0; i < s->nout && s->done; i++) {
    const gs_step_output *o = &s->out[i];
    const char *name = gs_runner_output_name(r, o->at);
    gs_buf_printf(&r->text, "%s : %s %016llx\n", gs_text(&r->arena, name),
                  gs_dyn_text(&r->arena, o->value),
                  (unsigned long long)o->digest);
    gs_buf_str(&r->json, i ? ", {\"name\": " : "{\"name\": ");
    gs_runner_describe_json(r, name, o->value, o->digest);
  }
  double n = s->done ? (double)s->done : 1;
  gs_buf_printf(&r->text, "steps: %lld, min %.3f ms, mean %.3f ms\n",
                (long long)s->done, s->least * 1e3, s->all / n * 1e3);
  gs_buf_printf(&r->json,
                "], \"steps\": {\"steps\": %lld, \"min_ms\": %.6f, "
                "\"mean_ms\": %.6f}",
                (long long)s->done, s->least * 1e3, s->all / n * 1e3);
  describe_ties(r, s);
  gs_steps_describe_programs(r);
}

static gs_status end(gs_runner *r, int64_t *steps, gs_err *e) {
  gs_steps *s = r->steps;
  if (!s)
    return gs_fail(e, GS_USAGE, NULL, "gs_runner_end_steps comes after "
                   "gs_runner_begin_steps");
  s->over = true;
  if (steps) *steps = s->done;
  gs_status saved = gs_steps_save_state(r, e);
  if (!gs_runner_first(r) || !s->dir) return saved;
  describe(r, s);
  gs_status told = gs_steps_tell_beams(r, e);
  if (told) return told;
  gs_status status = gs_steps_publish(s, e);
  return status ? status : saved;
}

gs_status gs_runner_end_steps(gs_runner *r, int64_t *steps, gs_err *e) {
  if (steps) *steps = 0;
  GS_CALL(r->blocks, e, end(r, steps, e));
}
