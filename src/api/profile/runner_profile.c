/* gs_runner of gshard.h: where the time went. */
#include <math.h>

#include "api/profile/profile.h"
#include "api/run/runner.h"
#include "base/assert.h"
#include "exec/comm/world.h"
#include "io/file/io.h"

/* Steps of a profile's text. */
enum { SLOWEST = 20 };

static int programs(const gs_runner *r) {
  return r->nprogram && r->steps ? r->nprogram : 1;
}

static const gs_exec *exec_of(const gs_runner *r, int k) {
  gs_assert(k >= 0 && k < programs(r));
  return programs(r) == 1 || k == r->now ? r->exec : r->program[k].exec;
}

static gs_status need_exec(const gs_runner *r, bool asked, const char *what,
                           const char *option, gs_err *e) {
  if (!asked)
    return gs_fail(e, GS_USAGE, NULL, "%s needs the option '%s'", what,
                   option);
  return gs_runner_need_exec(r, what, e);
}

/* ---- the profile ---- */

static gs_status profile(gs_runner *r, gs_err *e) {
  GS_TRY(need_exec(r, r->o.profile, "gs_runner_profile", "profile", e));
  if (!gs_runner_first(r)) return GS_OK;
  gs_buf_str(&r->json, r->json.n ? ", \"profile\": [" : "\"profile\": [");
  int n = 0;
  for (int k = 0; k < programs(r); k++) {
    const gs_plan *plan = gs_runner_source(r, k)->plan;
    const char *binding = programs(r) > 1 ? plan->binding : NULL;
    const gs_timing *t;
    const gs_program *p = gs_exec_timing(exec_of(r, k), 0, &t);
    gs_profile made;
    if (!t->runs) continue;
    gs_profile_of(&r->arena, p, t, &made);
    gs_profile_text(&r->text, &made, binding, SLOWEST);
    if (n++) gs_buf_str(&r->json, ", ");
    gs_profile_json(&r->json, &made, binding);
  }
  gs_buf_char(&r->json, ']');
  return GS_OK;
}

gs_status gs_runner_profile(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, profile(r, e));
}

/* ---- the trace ---- */

/* When the first run of this process began. */
static double first_run(const gs_runner *r) {
  double zero = INFINITY;
  for (int k = 0; k < programs(r); k++)
    for (int64_t i = 0; i < gs_exec_count(exec_of(r, k)); i++) {
      const gs_timing *t;
      gs_exec_timing(exec_of(r, k), i, &t);
      if (t->runs) zero = fmin(zero, t->first);
    }
  return zero;
}

/* The events of this process; *lost: how many were not kept. */
static void trace_events(gs_runner *r, gs_buf *b, double *lost) {
  int rank = r->w ? r->w->rank : 0;
  double zero = first_run(r);
  *lost = 0;
  for (int k = 0; k < programs(r); k++) {
    int64_t n = gs_exec_count(exec_of(r, k));
    for (int64_t i = 0; i < n; i++) {
      const gs_timing *t;
      const gs_program *p = gs_exec_timing(exec_of(r, k), i, &t);
      gs_trace_events(b, p, t, rank, rank * n + i, zero);
      *lost += (double)t->lost;
    }
  }
}

/* Rank 0 adds what the others have made, in their order. */
static gs_status gather_events(gs_runner *r, gs_buf *b, gs_err *e) {
  uint64_t *size = GS_NEWS(&r->arena, r->w->nrank, uint64_t), mine = b->n;
  GS_TRY(gs_world_gather(r->w, &mine, sizeof mine, size, e));
  if (!gs_runner_first(r)) return gs_world_send(r->w, 0, b->at, b->n, e);
  for (int i = 1; i < r->w->nrank; i++) {
    char *from = gs_alloc(&r->arena, size[i]);
    GS_TRY(gs_world_recv(r->w, i, from, size[i], e));
    gs_buf_add(b, from, size[i]);
  }
  return GS_OK;
}

static gs_status write_trace(gs_runner *r, const char *path, bool replace,
                             const gs_buf *events, gs_err *e) {
  static const char head[] =
      "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n"
      "{\"name\": \"process_name\", \"ph\": \"M\", \"pid\": 0, "
      "\"args\": {\"name\": \"rank 0\"}}";
  gs_out o;
  GS_TRY(gs_out_open(&r->arena, path, replace, &o, e));
  gs_out_write(&o, head, sizeof head - 1);
  gs_out_write(&o, events->at, events->n);
  gs_out_write(&o, "\n]}\n", 4);
  return gs_out_commit(&o, e);
}

static gs_status trace(gs_runner *r, const char *path,
                       const gs_save_options *options, gs_err *e) {
  gs_save_options o;
  GS_TRY(gs_options_take(&o, sizeof o, options, "gs_save_options", e));
  GS_TRY(need_exec(r, r->o.trace, "gs_runner_trace", "trace", e));
  gs_buf events;
  double lost;
  gs_buf_init(&events, &r->arena);
  trace_events(r, &events, &lost);
  if (gs_runner_many(r)) GS_TRY(gather_events(r, &events, e));
  if (r->w) GS_TRY(gs_world_max(r->w, &lost, e));
  gs_status s = gs_runner_first(r) && !o.dry_run
                    ? write_trace(r, path, o.replace, &events, e)
                    : GS_OK;
  GS_AGREE(r, s);
  if (lost > 0 && gs_runner_first(r))
    gs_buf_printf(&r->text,
                  "trace: of each device the first %d turns; up to %.0f of a "
                  "process are left out\n",
                  GS_MAX_SPANS, lost);
  return GS_OK;
}

gs_status gs_runner_trace(gs_runner *r, const char *path,
                          const gs_save_options *o, gs_err *e) {
  GS_CALL(r->blocks, e, trace(r, path, o, e));
}
