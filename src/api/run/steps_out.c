/* Records of outputs. */
#include "api/run/steps.h"

#include "base/assert.h"
#include "check/compare.h"

/* The place in s->out of output `at` of the graph. */
static gs_step_output *wanted(gs_steps *s, int at) {
  for (int i = 0; i < s->nout; i++)
    if (s->out[i].at == at) return &s->out[i];
  s->out[s->nout].at = at;
  return &s->out[s->nout++];
}

static gs_status check_type(const gs_value *v, const char *path, gs_err *e) {
  size_t n = strlen(path);
  if (n > 3 && !strcmp(path + n - 3, ".pb"))
    return gs_fail(e, GS_USAGE, path, "records of steps are written as .npy");
  if (v->kind == GS_TENSOR && gs_dtype_get((int)v->dtype)->npy) return GS_OK;
  return gs_fail(e, GS_UNSUPPORTED, v->name,
                 "records are .npy, which cannot hold %s of %s",
                 gs_kind_text(v->kind), gs_dtype_get((int)v->dtype)->text);
}

/* The file of f, opened; new directories are being made. */
static gs_status open_file(gs_steps *s, const gs_output_file *f, gs_out **out,
                           gs_err *e) {
  gs_arena *a = s->arena;
  if (f->dir < 0 || !s->plan.dir.at[f->dir].fresh)
    return gs_out_set_open(&s->files, f->path, out, e);
  gs_out_dir *d = &s->dir[f->dir];
  if (!d->temp.path) {
    gs_out_set_init(&s->in_dir[f->dir], a, false);
    GS_TRY(gs_out_dir_open(a, s->plan.dir.at[f->dir].path, false, NULL, 0, d,
                           e));
  }
  gs_assert(strrchr(f->path, '/'));
  return gs_out_set_open(&s->in_dir[f->dir],
                         gs_sprintf(a, "%s%s", d->temp.path,
                                    strrchr(f->path, '/')),
                         out, e);
}

/* State is only written where -o names it. */
static bool is_state(const gs_steps *s, int output) {
  for (int i = 0; i < s->ntie; i++)
    if (s->tie[i].out == output && s->state[s->tie[i].in]) return true;
  return false;
}

gs_status gs_steps_create(gs_steps *s, const gs_graph *g, gs_err *e) {
  gs_arena *a = s->arena;
  s->dir = GS_NEWS(a, s->plan.dir.n + 1, gs_out_dir);
  s->in_dir = GS_NEWS(a, s->plan.dir.n + 1, gs_out_set);
  gs_out_set_init(&s->files, a, s->plan.replace);
  for (int i = 0; i < s->plan.file.n; i++) {
    const gs_output_file *f = &s->plan.file.at[i];
    if (f->dir >= 0 && is_state(s, f->output)) continue;
    gs_step_output *o = wanted(s, f->output);
    GS_TRY(check_type(g->output.at[f->output], f->path, e));
    if (s->plan.dry_run) continue;
    gs_record_out *w = GS_NEW(a, gs_record_out);
    gs_out *out;
    GS_TRY(open_file(s, f, &out, e));
    gs_record_out_init(w, a, out);
    *gs_push(a, &o->to) = w;
  }
  for (int i = 0; i < g->output.n && !s->plan.file.n && !s->tokens; i++)
    if (!is_state(s, i)) wanted(s, i);
  if (!s->tokens || s->plan.dry_run) return GS_OK;
  gs_out *out;
  GS_TRY(gs_out_set_open(&s->files, s->tokens, &out, e));
  s->to_tokens = GS_NEW(a, gs_record_out);
  gs_record_out_init(s->to_tokens, a, out);
  return GS_OK;
}

gs_status gs_steps_write(gs_steps *s, gs_err *e) {
  for (int i = 0; i < s->nout; i++) {
    gs_step_output *o = &s->out[i];
    for (int k = 0; k < o->to.n; k++)
      GS_TRY(gs_record_out_put(o->to.at[k], &o->value->t, e));
    uint64_t h = gs_dyn_digest(o->value);
    o->digest = s->done ? gs_hash(&h, sizeof h, o->digest) : h;
  }
  if (s->to_tokens && !s->beams.beams)
    return gs_record_out_put(s->to_tokens, &s->pick[0].value->t, e);
  return GS_OK;
}

void gs_steps_abandon(gs_steps *s) {
  if (!s->dir) return;
  gs_out_set_abort(&s->files);
  for (int k = 0; k < s->plan.dir.n; k++) {
    if (!s->dir[k].temp.path) continue;
    gs_out_set_abort(&s->in_dir[k]);
    gs_out_dir_abort(&s->dir[k]);
  }
  s->dir = NULL;
}

gs_status gs_steps_publish(gs_steps *s, gs_err *e) {
  gs_status status = gs_out_set_commit(&s->files, e);
  for (int k = 0; k < s->plan.dir.n && !status; k++) {
    if (!s->dir[k].temp.path) continue;
    status = gs_out_set_commit(&s->in_dir[k], e);
    if (!status) status = gs_out_dir_commit(s->arena, &s->dir[k], e);
    if (!status) s->dir[k].temp.path = NULL;
  }
  if (status) gs_steps_abandon(s);
  s->dir = NULL;
  return status;
}
