/* State in files: a folder with an .npy for each input that is state. */
#include <string.h>

#include "api/run/runner.h"
#include "api/run/steps.h"
#include "io/file/npy.h"

static const char *file_of(gs_runner *r, const char *dir, int input) {
  const gs_value *v = r->source.graph->input.at[input];
  return gs_sprintf(&r->arena, "%s/%s.npy", dir,
                    gs_run_file_name(&r->arena, v->name));
}

/* ---- which it is ---- */

void gs_steps_find_state(gs_runner *r) {
  gs_steps *s = r->steps;
  const gs_states *all = &r->source.state;
  for (int i = 0; i < all->n; i++) {
    const gs_state *t = &all->at[i];
    if (s->made[t->in] ||
        (!t->size && !gs_state_fits(r->source.graph, &r->bind, t)))
      continue;
    s->made[t->in] = s->state[t->in] = true;
    s->tie[s->ntie++] = (gs_tie){t->out, t->in};
    s->nstate++;
  }
  if (all->filled < 0 || s->made[all->filled]) return;
  s->made[all->filled] = true;
  s->filled = s->ncount++;
  s->size = gs_states_size(all);
  s->count[s->filled].at = all->filled;
}

/* ---- loading ---- */

/* How many places of a state are filled. */
static gs_status load_filled(gs_runner *r, const char *dir, gs_err *e) {
  gs_steps *s = r->steps;
  gs_dyn *b;
  if (s->filled < 0) return GS_OK;
  gs_step_count *c = &s->count[s->filled];
  const char *file = file_of(r, dir, c->at);
  GS_TRY(gs_dyn_load(&r->arena, file, GS_TENSOR, &b, e));
  const gs_tensor *t = &b->t;
  const void *data = gs_tensor_bytes(t);
  if (t->dtype == GS_INT64 && gs_tensor_count(t) == 1 && data)
    memcpy(&c->next, data, sizeof c->next);
  else c->next = -1;
  if (c->next >= 0 && c->next <= s->size) return GS_OK;
  return gs_fail(e, GS_DATA, file, "does not say how many of %lld places are "
                 "filled", (long long)s->size);
}

gs_status gs_steps_load_state(gs_runner *r, const char *dir, gs_err *e) {
  gs_steps *s = r->steps;
  for (int i = 0; i < s->ntie; i++) {
    int in = s->tie[i].in;
    const gs_value *v = r->source.graph->input.at[in];
    if (!s->state[in]) continue;
    for (int k = 0; k < s->nin; k++)
      if (s->in[k].at == in)
        return gs_fail(e, GS_USAGE, NULL, "input '%s' is given and loaded",
                       v->name);
    GS_TRY(gs_run_input_file(&r->in, v->name, file_of(r, dir, in), e));
    const gs_tensor *t = &r->source.input[in]->t;
    bool fits = t->dtype == v->dtype && t->rank == v->rank;
    for (int d = 0; fits && d < v->rank; d++)
      fits = v->dims[d] < 0 || v->dims[d] == t->dims[d];
    if (!fits)
      return gs_fail(e, GS_DATA, file_of(r, dir, in),
                     "this state is %s, but that of the model is %s",
                     gs_shape_text(&r->arena, t->dtype, t->rank, t->dims),
                     gs_shape_text(&r->arena, v->dtype, v->rank, v->dims));
  }
  return load_filled(r, dir, e);
}

gs_status gs_steps_check_state(gs_runner *r, const gs_steps_options *o,
                               gs_err *e) {
  gs_arena *a = &r->arena;
  gs_steps *s = r->steps;
  if (!o->load_state && !o->save_state) return GS_OK;
  int n = 0;
  s->owned = GS_NEWS(a, s->ntie + 2, const char *);
  for (int i = 0; i < s->ntie; i++) {
    const gs_value *v = r->source.graph->input.at[s->tie[i].in];
    if (!s->state[s->tie[i].in]) continue;
    if (!gs_dtype_get((int)v->dtype)->npy && o->save_state)
      return gs_fail(e, GS_UNSUPPORTED, v->name, ".npy files cannot hold state "
                     "of %s", gs_dtype_get((int)v->dtype)->text);
    s->owned[n++] =
        gs_sprintf(a, "%s.npy", gs_run_file_name(a, v->name));
  }
  if (n && s->filled >= 0) {
    const gs_value *v = r->source.graph->input.at[s->count[s->filled].at];
    s->owned[n++] = gs_sprintf(a, "%s.npy", gs_run_file_name(a, v->name));
  }
  s->nowned = n;
  if (!n)
    return gs_fail(e, GS_USAGE, NULL, "--%s-state: the model has no state: no "
                   "output 'present...' that is as large as an input "
                   "'past...'", o->load_state ? "load" : "save");
  if (o->load_state) GS_TRY(gs_steps_load_state(r, o->load_state, e));
  if (!o->save_state) return GS_OK;
  s->save_state = gs_strdup(a, o->save_state);
  if (!gs_runner_first(r) || o->dry_run) return GS_OK;
  return gs_out_dir_check(a, s->save_state, o->replace, s->owned, n, e);
}

static gs_status save_filled(gs_runner *r, gs_out_set *files, const char *dir,
                             gs_err *e) {
  const gs_steps *s = r->steps;
  if (s->filled < 0) return GS_OK;
  const gs_step_count *c = &s->count[s->filled];
  int64_t one = 1;
  gs_tensor t = {.name = c->value[0]->t.name, .dtype = GS_INT64, .rank = 1,
                 .dims = &one, .data = &c->next, .nbytes = sizeof c->next};
  return gs_npy_write(files, file_of(r, dir, c->at), &t, e);
}

static gs_status save_files(gs_runner *r, const char *dir, gs_err *e) {
  gs_steps *s = r->steps;
  gs_out_set files;
  gs_status status = GS_OK;
  gs_out_set_init(&files, &r->arena, false);
  for (int i = 0; i < s->ntie && !status; i++) {
    if (!s->state[s->tie[i].in]) continue;
    const gs_value *v = r->source.graph->output.at[s->tie[i].out];
    gs_tensor t = {.name = v->name, .dtype = v->dtype, .rank = v->rank,
                   .dims = v->dims, .nbytes = gs_value_bytes(v)};
    status = gs_exec_joined(r->exec, s->tie[i].out, &t.data, e);
    if (!status && dir)
      status = gs_npy_write(&files, file_of(r, dir, s->tie[i].in), &t, e);
  }
  if (!status && dir) status = save_filled(r, &files, dir, e);
  if (!status) return gs_out_set_commit(&files, e);
  gs_out_set_abort(&files);
  return status;
}

gs_status gs_steps_save_state(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  gs_out_dir d;
  if (!s->save_state || !s->done || s->plan.dry_run || r->torn) return GS_OK;
  if (!gs_runner_first(r)) return save_files(r, NULL, e);
  gs_status status = gs_out_dir_open(&r->arena, s->save_state, s->plan.replace,
                                     s->owned, s->nowned, &d, e);
  gs_status saved = save_files(r, status ? NULL : d.temp.path, e);
  if (status) return status;
  if (!saved) return gs_out_dir_commit(&r->arena, &d, e);
  gs_out_dir_abort(&d);
  return saved;
}
