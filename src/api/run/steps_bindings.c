/* Steps with the programs of several bindings.
 *
 * A step runs the program whose inputs have the shapes of its records.  Where
 * there is none and the model has state, records are cut along the dim in which
 * the bindings differ, so that a few programs take them up one after another:
 * a prompt of 300 tokens is 128 + 128 + 44 x 1.  Outputs that have this dim are
 * laid end to end, so that a record in is a record out. */
#include "api/run/steps.h"

#include "api/run/runner.h"
#include "base/assert.h"
#include "base/math.h"
#include "exec/data/aligned.h"

/* ---- how they differ ---- */

/* What program k has as input or output i. */
static const gs_value *border(const gs_runner *r, int k, bool output, int i) {
  const gs_graph *g = gs_runner_source(r, k)->graph;
  return output ? g->output.at[i] : g->input.at[i];
}

/* The only dim in which the programs differ here; -1: they do not, or the value
 * is of no fixed rank; -2: in several. */
static int differing(const gs_runner *r, bool output, int i) {
  int found = -1;
  const gs_value *v = border(r, 0, output, i);
  for (int d = 0; d < v->rank; d++) {
    bool same = true;
    for (int k = 1; k < r->nprogram; k++)
      same = same && border(r, k, output, i)->dims[d] == v->dims[d];
    if (!same) found = found == -1 ? d : -2;
  }
  return found;
}

/* Whether dim d of input or output i is of the sizes along which records are
 * cut. */
static bool is_cut(const gs_runner *r, bool output, int i, int d) {
  const gs_step_programs *p = &r->steps->programs;
  bool same = p->size && d >= 0;
  for (int k = 0; same && k < p->n; k++)
    same = border(r, k, output, i)->dims[d] == p->size[k];
  return same;
}

/* Records are cut along the first dim of an input in which all differ. */
static void find_sizes(gs_runner *r) {
  gs_step_programs *p = &r->steps->programs;
  for (int i = 0; i < gs_runner_inputs(r) && !p->size; i++) {
    int d = differing(r, false, i);
    if (d < 0) continue;
    p->size = GS_NEWS(&r->arena, p->n, int64_t);
    for (int k = 0; k < p->n; k++) p->size[k] = border(r, k, false, i)->dims[d];
  }
}

/* The largest first, those of one size as they stand. */
static void find_order(gs_runner *r) {
  gs_step_programs *p = &r->steps->programs;
  p->order = GS_NEWS(&r->arena, p->n, int);
  for (int k = 0; k < p->n; k++) {
    int at = k;
    for (; p->size && at && p->size[p->order[at - 1]] < p->size[k]; at--)
      p->order[at] = p->order[at - 1];
    p->order[at] = k;
  }
}

/* Outputs of elements that are parts of bytes are not laid end to end. */
static bool joins(const gs_value *v) {
  int bits = gs_dtype_get((int)v->dtype)->bits;
  return !gs_value_dynamic(v) && bits && bits % 8 == 0;
}

void gs_steps_find_programs(gs_runner *r) {
  gs_step_programs *p = &r->steps->programs;
  gs_arena *a = &r->arena;
  int nin = gs_runner_inputs(r), nout = gs_runner_outputs(r);
  p->n = r->nprogram ? r->nprogram : 1;
  p->run = GS_NEWS(a, p->n, int64_t);
  p->runs = GS_NEWS(a, p->n, int64_t);
  p->like = GS_NEWS(a, nin, gs_value);
  for (int i = 0; i < nin; i++) {
    p->like[i] = *border(r, 0, false, i);
    if (p->n > 1) p->like[i].dims = (int64_t *)(uintptr_t)
        gs_runner_common_dims(a, r, i);
  }
  p->run[0] = p->n == 1;
  if (p->n == 1) return;
  find_sizes(r);
  find_order(r);
  p->in = GS_NEWS(a, nin, int);
  p->out = GS_NEWS(a, nout, int);
  for (int i = 0; i < nin; i++) {
    int d = differing(r, false, i);
    p->in[i] = d == -1 || is_cut(r, false, i, d) ? d : -2;
  }
  for (int i = 0; i < nout; i++) {
    int d = differing(r, true, i);
    bool cut = is_cut(r, true, i, d) && joins(border(r, 0, true, i));
    p->out[i] = d == -1 || cut ? d : -2;
  }
}

/* ---- which a step runs ---- */

/* The value of input i in this step, as far as it decides. */
static const gs_tensor *known(const gs_steps *s, int i) {
  for (int k = 0; k < s->nin; k++)
    if (s->in[k].at == i && (s->fresh[i] || s->in[k].constant))
      return &s->in[k].value->t;
  for (int k = 0; k < s->npick; k++)
    if (s->pick[k].in == i) return &s->pick[k].value->t;
  return NULL;
}

static bool takes(const gs_runner *r, int k) {
  for (int i = 0; i < gs_runner_inputs(r); i++) {
    const gs_tensor *t = known(r->steps, i);
    const gs_value *v = border(r, k, false, i);
    if (t && (t->rank != v->rank || !gs_same_dims(t->dims, v->dims, v->rank)))
      return false;
  }
  return true;
}

static gs_status fits_none(gs_runner *r, int i, gs_err *e) {
  const gs_steps *s = r->steps;
  gs_runner_no_binding(r, i, known(s, i), e);
  gs_diag *g = &e->diag[e->n - 1];
  g->place = gs_sprintf(&e->arena, "step %lld: %s", (long long)s->begun,
                        g->place);
  return GS_DATA;
}

/* The length of the records that are to be cut: that of all. */
static gs_status length_of(gs_runner *r, int64_t *out, gs_err *e) {
  const gs_steps *s = r->steps;
  const gs_step_programs *p = &s->programs;
  int first = -1;
  for (int i = 0; i < gs_runner_inputs(r); i++) {
    const gs_tensor *t = known(s, i);
    if (!t || p->in[i] == -1) continue;
    if (p->in[i] < 0 || (!s->nstate && s->filled < 0))
      return fits_none(r, i, e);
    int64_t n = t->dims[p->in[i]];
    if (first >= 0 && n != *out)
      return gs_fail(e, GS_DATA, gs_sprintf(&e->arena, "step %lld",
                                            (long long)s->begun),
                     "'%s' has %lld elements along the dim that records are "
                     "cut along, but '%s' has %lld",
                     border(r, 0, false, i)->name, (long long)n,
                     border(r, 0, false, first)->name, (long long)*out);
    *out = n;
    first = i;
  }
  gs_assert(first >= 0); /* else any program takes them */
  return GS_OK;
}

/* As few runs as there can be that have n places in all; false: none have. */
static bool compose(gs_step_programs *p, int64_t n) {
  enum { MOST = 1 << 26 };
  gs_arena a;
  if (n < 1 || n > MOST) return false;
  gs_arena_init(&a);
  int32_t *runs = GS_NEWS(&a, n + 1, int32_t);
  int *last = GS_NEWS(&a, n + 1, int);
  for (int64_t i = 1; i <= n; i++) {
    runs[i] = INT32_MAX;
    for (int k = 0; k < p->n; k++) { /* of equal ways the larger sizes */
      int64_t size = p->size[p->order[k]];
      if (size < 1 || size > i || runs[i - size] >= runs[i] - 1) continue;
      runs[i] = runs[i - size] + 1;
      last[i] = p->order[k];
    }
  }
  bool can = runs[n] < INT32_MAX;
  for (int64_t i = n; can && i > 0; i -= p->size[last[i]]) p->run[last[i]]++;
  gs_arena_free(&a);
  return can;
}

gs_status gs_steps_choose_programs(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  gs_step_programs *p = &s->programs;
  int64_t n = 0;
  if (p->n == 1) return GS_OK;
  for (int k = 0; k < p->n; k++) p->run[k] = 0;
  for (int k = p->n - 1; k >= 0; k--) {
    if (!takes(r, p->order[k])) continue;
    p->run[p->order[k]] = 1;
    return GS_OK;
  }
  GS_TRY(length_of(r, &n, e));
  if (compose(p, n)) return GS_OK;
  for (int i = 0;; i++)
    if (known(s, i) && p->in[i] >= 0) return fits_none(r, i, e);
}

/* ---- inputs ---- */

static int64_t length(const gs_step_programs *p) {
  int64_t n = 0;
  for (int k = 0; k < p->n; k++)
    n += p->run[k] * (p->size ? p->size[k] : 1);
  return n;
}

/* Rank 0 has read them: all have the same. */
static gs_status share_records(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  const gs_step_programs *p = &s->programs;
  int k = 0;
  while (!p->run[p->order[k]]) k++;
  for (int i = 0; i < s->nin && gs_runner_many(r) && s->begun > 1; i++) {
    gs_step_input *in = &s->in[i];
    if (!s->fresh[in->at]) continue;
    const gs_value *v = border(r, p->order[k], false, in->at);
    int64_t dims[GS_MAX_RANK];
    memcpy(dims, v->dims, (size_t)v->rank * sizeof *dims);
    if (p->in[in->at] >= 0) dims[p->in[in->at]] = length(p);
    gs_steps_reserve(s, in, dims);
    GS_TRY(gs_world_bcast(r->w, (void *)(uintptr_t)in->value->t.data,
                          in->value->t.nbytes, e));
  }
  return GS_OK;
}

/* Copies elements [at, at + n) of dim d between a whole tensor and a part, n
 * being the part's size there. */
static void move_part(const gs_tensor *whole, const gs_tensor *part, int d,
                      int64_t at, bool to_whole) {
  int64_t bytes = gs_dtype_get((int)whole->dtype)->bits / 8;
  int64_t rest = gs_product(whole->dims + d + 1, whole->rank - d - 1) * bytes;
  int64_t rows = gs_product(whole->dims, d), n = part->dims[d] * rest;
  char *w = (char *)(uintptr_t)whole->data + at * rest;
  char *q = (char *)(uintptr_t)part->data;
  gs_assert(at >= 0 && at + part->dims[d] <= whole->dims[d]);
  for (int64_t i = 0; i < rows && n; i++, q += n, w += whole->dims[d] * rest)
    memcpy(to_whole ? w : q, to_whole ? q : w, (size_t)n);
}

/* Input i of the program that is to run, from `at` on. */
static gs_status give_part(gs_runner *r, gs_step_input *in, int64_t at,
                           gs_err *e) {
  const gs_step_programs *p = &r->steps->programs;
  const gs_value *v = r->source.graph->input.at[in->at];
  int d = p->in[in->at];
  if (d < 0 || in->value->t.dims[d] == v->dims[d])
    return gs_exec_give(r->exec, in->name, in->value, e);
  if (!in->part) in->part = GS_NEWS(&r->arena, p->n, gs_dyn *);
  gs_dyn **part = &in->part[r->now];
  if (!*part) *part = gs_steps_new_value(r, v);
  move_part(&in->value->t, &(*part)->t, d, at, false);
  return gs_exec_give(r->exec, in->name, *part, e);
}

/* All inputs of the program that is to run but for state, which is there. */
static gs_status give_all(gs_runner *r, bool first, bool other, int64_t at,
                          gs_err *e) {
  gs_steps *s = r->steps;
  const gs_step_programs *p = &s->programs;
  for (int i = 0; i < s->npick && first && p->ran; i++)
    if (!s->fresh[s->pick[i].in])
      GS_TRY(gs_exec_give(r->exec,
                          r->source.graph->input.at[s->pick[i].in]->name,
                          s->pick[i].value, e));
  GS_TRY(gs_steps_give_counts(r, e));
  for (int i = 0; i < s->nin; i++) {
    gs_step_input *in = &s->in[i];
    bool cut = p->in[in->at] >= 0;
    if (!s->fresh[in->at] && !in->constant) continue;
    /* What is state is given once: then it is what the run has left. */
    if (first || cut || (other && !s->made[in->at]))
      GS_TRY(give_part(r, in, at, e));
  }
  return GS_OK;
}

/* ---- outputs ---- */

/* Output o of the program that has run, `at` from the beginning of the n that
 * all in this step have; one part is its own memory. */
static gs_status take_part(gs_runner *r, gs_step_output *o, int64_t at,
                           int64_t n, bool whole, gs_err *e) {
  gs_steps *s = r->steps;
  const gs_value *v = r->source.graph->output.at[o->at];
  int d = s->programs.out[o->at];
  if (gs_value_dynamic(v))
    return gs_exec_result(r->exec, &s->one, o->at, &o->value, e);
  if (!o->part) o->part = GS_NEWS(&r->arena, s->programs.n, gs_dyn *);
  gs_dyn **part = &o->part[r->now];
  if (!*part) {
    gs_tensor t = {.name = v->name, .dtype = v->dtype, .rank = v->rank,
                   .dims = v->dims, .nbytes = gs_value_bytes(v)};
    *part = gs_dyn_of(&r->arena, gs_memdup(&r->arena, &t, sizeof t));
  }
  GS_TRY(gs_exec_joined(r->exec, o->at, &(*part)->t.data, e));
  if (whole || d == -1) o->value = *part;
  if (whole || d == -1) return GS_OK;
  if (d < 0)
    return gs_fail(e, GS_UNSUPPORTED, v->name, "this output has other sizes "
                   "with each binding, so that it cannot be that of a record "
                   "which is cut");
  if (!at) {
    int64_t *dims = gs_memdup(&s->one, v->dims,
                              (size_t)v->rank * sizeof *dims);
    gs_tensor *t;
    dims[d] = n;
    GS_TRY(gs_tensor_new(&s->one, v->dtype, v->rank, dims, &t, e));
    t->name = v->name;
    o->value = gs_dyn_of(&s->one, t);
  }
  if (gs_runner_first(r))
    move_part(&o->value->t, &(*part)->t, d, at, true);
  return GS_OK;
}

/* ---- a step ---- */

gs_status gs_steps_in_step(const gs_steps *s, gs_status status, gs_err *e) {
  if (!status || !e->n) return status;
  gs_diag *g = &e->diag[e->n - 1];
  g->place = gs_sprintf(&e->arena, "in step %lld of the run%s%s",
                        (long long)s->begun, g->place ? ": " : "",
                        g->place ? g->place : "");
  return status;
}

gs_status gs_steps_run_once(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  double seconds;
  gs_status status = gs_steps_in_step(s, gs_runner_once(r, &seconds, e), e);
  GS_TRY(status);
  if (!s->done) GS_AGREE(r, gs_run_verify_wait(r->source.verify, e));
  s->took += seconds;
  return GS_OK;
}

/* Program k, on what lies `at` from the beginning of the records. */
static gs_status run_part(gs_runner *r, int k, int64_t at, bool first,
                          gs_err *e) {
  gs_steps *s = r->steps;
  gs_step_programs *p = &s->programs;
  int64_t n = length(p);
  bool other = k != r->now, whole = !p->size || p->size[k] == n;
  if (p->ran)
    GS_TRY(gs_exec_tie_next(r->exec, first ? s->fresh : p->none, e));
  gs_runner_switch(r, k);
  if (p->ran && other) GS_TRY(gs_exec_resume(r->exec, e));
  GS_TRY(give_all(r, first, other, at, e));
  GS_TRY(gs_steps_run_once(r, e));
  p->ran = true;
  p->runs[k]++;
  for (int i = 0; i < s->nout; i++)
    GS_TRY(take_part(r, &s->out[i], at, n, whole, e));
  return GS_OK;
}

gs_status gs_steps_run_programs(gs_runner *r, gs_err *e) {
  gs_steps *s = r->steps;
  gs_step_programs *p = &s->programs;
  int64_t at = 0;
  bool first = true;
  GS_TRY(share_records(r, e));
  if (p->ran) GS_TRY(gs_steps_share_chosen(r, e));
  gs_arena_reset(&s->one);
  for (int i = 0; i < p->n; i++) {
    int k = p->order[i];
    for (int64_t j = 0; j < p->run[k]; j++, first = false) {
      GS_TRY(run_part(r, k, at, first, e));
      if (p->size) at += p->size[k];
    }
  }
  return gs_steps_choose(r, e);
}

void gs_steps_describe_programs(gs_runner *r) {
  const gs_step_programs *p = &r->steps->programs;
  if (p->n == 1) return;
  gs_buf_str(&r->text, "bindings:");
  gs_buf_str(&r->json, ", \"bindings\": [");
  for (int k = 0; k < p->n; k++) {
    const char *name = gs_runner_source(r, k)->plan->binding;
    gs_buf_printf(&r->text, "%s %s %lld run%s", k ? "," : "", name,
                  (long long)p->runs[k], p->runs[k] == 1 ? "" : "s");
    gs_buf_str(&r->json, k ? ", {\"name\": " : "{\"name\": ");
    gs_buf_json(&r->json, name);
    gs_buf_printf(&r->json, ", \"runs\": %lld}", (long long)p->runs[k]);
  }
  gs_buf_str(&r->text, "\n");
  gs_buf_str(&r->json, "]");
}
