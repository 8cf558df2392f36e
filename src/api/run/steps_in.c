/* Records of inputs. */
#include "api/run/steps.h"

#include "base/assert.h"
#include "base/math.h"
#include "exec/data/aligned.h"

/* ---- messages ---- */

/* Names step and input before the place of the newest diagnostic. */
static gs_status at_step(const gs_steps *s, const gs_step_input *in,
                         gs_status status, gs_err *e) {
  if (!e->n) return status;
  gs_diag *g = &e->diag[e->n - 1];
  g->place = gs_sprintf(&e->arena, "step %lld: input '%s': %s",
                        (long long)s->begun, in->name,
                        g->place ? g->place : "");
  return status;
}

static gs_status differs(const gs_step_input *in, const gs_npy_head *h,
                         const char *what, gs_dtype t,
                         int rank, const int64_t *dims, gs_err *e) {
  gs_arena *a = &e->arena;
  gs_fail(e, GS_DATA, gs_records_path(in->records),
          "the record is %s, but %s %s",
          gs_shape_text(a, h->dtype, h->rank, h->dims), what,
          gs_shape_text(a, t, rank, dims));
  return GS_DATA;
}

/* One input has no record for a step that another one has. */
static gs_status uneven(const gs_steps *s, const gs_step_input *ended,
                        const gs_step_input *other, gs_err *e) {
  return gs_fail(e, GS_DATA, gs_records_path(ended->records),
                 "input '%s' ends after %lld record%s, but '%s' has one for "
                 "step %lld",
                 ended->name, (long long)s->begun - 1,
                 s->begun == 2 ? "" : "s", other->name, (long long)s->begun);
}

/* ---- one record ---- */

/* Whether a record can be the value of v, as far as that is known. */
static gs_status check_first(const gs_step_input *in, const gs_value *v,
                             const gs_npy_head *h, gs_err *e) {
  bool fits = v->dtype == h->dtype && (v->rank < 0 || v->rank == h->rank);
  for (int d = 0; fits && d < v->rank; d++)
    fits = v->dims[d] < 0 || v->dims[d] == h->dims[d];
  if (fits) return GS_OK;
  return differs(in, h, "the model expects", v->dtype, v->rank, v->dims, e);
}

/* The record of the first step; *more false: there is none. */
static gs_status read_first(gs_steps *s, gs_step_input *in, const gs_value *v,
                            bool *more, gs_err *e) {
  gs_npy_head h;
  uint64_t bytes;
  bool end;
  void *data = NULL;
  *more = false;
  GS_TRY(gs_records_next(in->records, &h, &end, e));
  if (end) return GS_OK;
  GS_TRY(check_first(in, v, &h, e));
  GS_TRY(gs_npy_head_bytes(gs_records_path(in->records), &h, &bytes, e));
  GS_TRY(gs_records_first(in->records, &h, s->arena, bytes, &data, &end, e));
  if (end) return GS_OK;
  gs_tensor *t = GS_NEW(s->arena, gs_tensor);
  *t = (gs_tensor){.name = in->name, .dtype = h.dtype, .rank = h.rank,
                   .nbytes = bytes, .data = data};
  t->dims = gs_memdup(s->arena, h.dims, (size_t)h.rank * sizeof *h.dims);
  in->value = gs_dyn_of(s->arena, t);
  in->room = bytes;
  *more = true;
  return GS_OK;
}

void gs_steps_reserve(gs_steps *s, gs_step_input *in, const int64_t *dims) {
  gs_tensor *t = &in->value->t;
  memcpy((void *)(uintptr_t)t->dims, dims, (size_t)t->rank * sizeof *dims);
  t->nbytes = (uint64_t)gs_dtype_bytes((int)t->dtype,
                                       gs_product(dims, t->rank));
  if (t->nbytes <= in->room) return;
  in->room = t->nbytes;
  t->data = gs_alloc64(s->arena, in->room);
}

/* The elements of a record of other dims, which is larger than any before only
 * as its bytes come. */
static gs_status read_other(gs_steps *s, gs_step_input *in,
                            const gs_npy_head *h, bool *end, gs_err *e) {
  uint64_t bytes;
  gs_tensor *t = &in->value->t;
  GS_TRY(gs_npy_head_bytes(gs_records_path(in->records), h, &bytes, e));
  if (bytes > in->room) {
    void *data = NULL;
    GS_TRY(gs_records_first(in->records, h, s->arena, bytes, &data, end, e));
    if (*end) return GS_OK;
    t->data = data;
    in->room = bytes;
    gs_steps_reserve(s, in, h->dims);
    return GS_OK;
  }
  gs_steps_reserve(s, in, h->dims);
  return gs_records_elements(in->records, h, (void *)(uintptr_t)t->data,
                             t->nbytes, end, e);
}

/* One more, into the same memory. */
static gs_status read_next(gs_steps *s, gs_step_input *in, bool *more,
                           gs_err *e) {
  gs_npy_head h;
  bool end;
  const gs_tensor *t = &in->value->t;
  GS_TRY(gs_records_next(in->records, &h, &end, e));
  *more = !end;
  if (end) return GS_OK;
  bool same = h.dtype == t->dtype && h.rank == t->rank;
  bool several = s->programs.n > 1;
  const int64_t *like = s->programs.like[in->at].dims;
  for (int d = 0; same && d < h.rank; d++)
    same = h.dims[d] == t->dims[d] || (several && like[d] < 0);
  if (!same)
    return differs(in, &h, "that of step 1 was", t->dtype, t->rank, t->dims,
                   e);
  if (several) GS_TRY(read_other(s, in, &h, &end, e));
  else
    GS_TRY(gs_records_elements(in->records, &h, (void *)(uintptr_t)t->data,
                               t->nbytes, &end, e));
  *more = !end;
  return GS_OK;
}

/* ---- one step ---- */

/* Input k, which is not made inside, has come to its end: the others have to
 * be there as well. */
static gs_status end_at(gs_steps *s, int k, gs_err *e) {
  gs_npy_head h;
  bool end;
  for (int i = 0; i < s->nin && !gs_stop_asked(&s->stop); i++) {
    const gs_step_input *in = &s->in[i];
    if (i == k || in->constant || (s->made[in->at] && i > k)) continue;
    if (i < k && s->fresh[in->at]) return uneven(s, &s->in[k], in, e);
    if (i < k) continue;
    /* What has not been read may be a constant, or come from the same stream.
     */
    if (s->begun == 1 || in->records == s->in[k].records) continue;
    gs_status status = gs_records_next(in->records, &h, &end, e);
    if (status) return at_step(s, in, status, e);
    if (!end) return uneven(s, &s->in[k], in, e);
  }
  return GS_OK;
}

/* Whether one of those that are made inside has a record. */
static bool any_made(const gs_steps *s) {
  for (int i = 0; i < s->nin; i++)
    if (s->made[s->in[i].at] && s->fresh[s->in[i].at]) return true;
  return false;
}

gs_status gs_steps_read(gs_steps *s, bool *more, gs_err *e) {
  *more = !gs_stop_asked(&s->stop);
  for (int i = 0; i < s->nin && *more; i++) {
    gs_step_input *in = &s->in[i];
    bool there = false, made = s->made[in->at];
    s->fresh[in->at] = false;
    if (in->constant || in->ended) continue;
    gs_status status = read_next(s, in, &there, e);
    if (status) return at_step(s, in, status, e);
    s->fresh[in->at] = there;
    if (there && made) gs_steps_fill_in(s, in);
    if (there) continue;
    *more = made && !gs_stop_asked(&s->stop);
    in->ended = made;
    if (!*more) return end_at(s, i, e);
  }
  if (s->with_records && !any_made(s)) *more = false;
  return GS_OK;
}

/* ---- opening ---- */

/* Inputs that come from standard input share it. */
static gs_status find_records(gs_steps *s, int i, gs_err *e) {
  gs_step_input *in = s->in;
  for (int k = 0; k < i && !strcmp(in[i].path, "-"); k++)
    if (!strcmp(in[k].path, "-")) in[i].records = in[k].records;
  if (in[i].records) return GS_OK;
  return gs_records_open(s->arena, in[i].path, &s->stop, &in[i].records, e);
}

gs_status gs_steps_open(gs_steps *s, gs_err *e) {
  for (int i = 0; i < s->nin; i++) {
    const gs_value *v = &s->programs.like[s->in[i].at];
    if (v->kind != GS_TENSOR || v->dtype == GS_STRING)
      return gs_fail(e, GS_UNSUPPORTED, v->name, "records are arrays of "
                     "numbers; this input is %s of %s", gs_kind_text(v->kind),
                     gs_dtype_get((int)v->dtype)->text);
    GS_TRY(find_records(s, i, e));
  }
  return GS_OK;
}

/* What becomes of an input after its first record. */
static gs_status after_first(gs_steps *s, gs_step_input *in, gs_err *e) {
  bool last;
  gs_status status = gs_records_used_up(in->records, &last, e);
  if (status) return at_step(s, in, status, e);
  s->fresh[in->at] = true;
  if (s->made[in->at]) in->ended = last;
  else in->constant = last;
  if (!in->constant && !s->made[in->at]) s->endless = false;
  return GS_OK;
}

gs_status gs_steps_read_first(gs_steps *s, bool *more, gs_err *e) {
  *more = true;
  s->endless = true;
  for (int i = 0; i < s->nin; i++) {
    gs_step_input *in = &s->in[i];
    gs_status status = read_first(s, in, &s->programs.like[in->at], more, e);
    if (status) return at_step(s, in, status, e);
    if (!*more) return end_at(s, i, e);
    GS_TRY(after_first(s, in, e));
  }
  if (s->most || s->nstop_at || !s->endless) return GS_OK;
  for (int i = 0; i < s->nin; i++) /* what would else not end */
    if (s->made[s->in[i].at] && !s->in[i].ended) s->with_records = true;
  if (s->with_records) s->endless = false;
  if (!s->endless || s->npick + s->ntie == s->nstate)
    return GS_OK;
  gs_fail(e, GS_USAGE, NULL, "nothing would end the run: all its inputs are "
          "constant or made inside");
  gs_err_hint(e, "--steps=N ends it after N steps");
  return GS_USAGE;
}
