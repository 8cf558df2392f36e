/* gs_runner of gshard.h: what went out, where to, how fast. */
#include <stdlib.h>

#include "api/run/runner.h"
#include "api/run/steps.h"
#include "base/text.h"
#include "check/compare.h"

/* ---- outputs ---- */

static gs_status save_to(gs_runner *r, const gs_pair *to, int n,
                         const gs_save_options *o, gs_err *e) {
  if (!r->source.graph)
    return gs_fail(e, GS_USAGE, NULL, "gs_runner_save_to comes after "
                   "gs_runner_open");
  r->out = (gs_run_output){.arena = &r->arena, .replace = o->replace,
                           .dry_run = o->dry_run};
  return gs_run_output_plan(&r->out, to, n, r->source.graph, e);
}

gs_status gs_runner_save_to(gs_runner *r, const gs_pair *to, int n,
                            const gs_save_options *options, gs_err *e) {
  gs_save_options o;
  GS_TRY(gs_options_take(&o, sizeof o, options, "gs_save_options", e));
  GS_CALL(r->blocks, e, save_to(r, to, n, &o, e));
}

static gs_status save(gs_runner *r, gs_err *e) {
  GS_TRY(gs_runner_results(r, e));
  if (!gs_runner_first(r) || !r->out.arena) return GS_OK;
  return gs_run_output_save(&r->out, r->output, e);
}

gs_status gs_runner_save(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, save(r, e));
}

void gs_runner_describe_json(gs_runner *r, const char *name, const gs_dyn *b,
                             unsigned long long digest) {
  const gs_tensor *t = &b->t;
  gs_buf_json(&r->json, name);
  gs_buf_printf(&r->json, ", \"type\": \"%s\"",
                b->kind == GS_TENSOR ? gs_dtype_get((int)t->dtype)->text
                                     : gs_dyn_text(&r->arena, b));
  if (b->kind == GS_TENSOR) {
    gs_buf_str(&r->json, ", \"shape\": [");
    for (int d = 0; d < t->rank; d++)
      gs_buf_printf(&r->json, d ? ", %lld" : "%lld", (long long)t->dims[d]);
    gs_buf_char(&r->json, ']');
  } else {
    gs_buf_printf(&r->json, ", \"length\": %d", b->n);
  }
  gs_buf_printf(&r->json, ", \"digest\": \"%016llx\"}", digest);
}

static gs_status describe(gs_runner *r, gs_err *e) {
  GS_TRY(gs_runner_results(r, e));
  if (!gs_runner_first(r)) return GS_OK;
  gs_buf_str(&r->json, "\"outputs\": [");
  for (int i = 0; i < gs_runner_outputs(r); i++) {
    const gs_dyn *b = r->output[i];
    const char *name = gs_runner_output_name(r, i);
    unsigned long long digest = gs_dyn_digest(b);
    gs_buf_printf(&r->text, "%s : %s %016llx\n", gs_text(&r->arena, name),
                  gs_dyn_text(&r->arena, b), digest);
    gs_buf_str(&r->json, i ? ", {\"name\": " : "{\"name\": ");
    gs_runner_describe_json(r, name, b, digest);
  }
  gs_buf_char(&r->json, ']');
  return GS_OK;
}

gs_status gs_runner_describe(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, describe(r, e));
}

const char *gs_runner_text(const gs_runner *r, bool json) {
  return json ? r->json.at : r->text.at;
}

/* ---- what was sent ---- */

/* Of all ranks, what the device sent that sent most since `before`. */
static gs_status wire_since(gs_runner *r, uint64_t before, double *wire,
                            gs_err *e) {
  *wire = (double)(gs_exec_wire(r->exec) - before);
  return r->w ? gs_world_max(r->w, wire, e) : GS_OK;
}

/* Of the one run that there was. */
static gs_status sent(gs_runner *r, uint64_t *bytes, double *wire,
                      gs_err *e) {
  GS_TRY(gs_runner_need_exec(r, "gs_runner_sent", e));
  *bytes = gs_exec_sent(r->exec);
  GS_TRY(wire_since(r, 0, wire, e));
  if (gs_runner_first(r))
    gs_buf_printf(&r->json, ", \"bytes_sent\": %llu, \"wire_bytes\": %.0f",
                  (unsigned long long)*bytes, *wire);
  return GS_OK;
}

gs_status gs_runner_sent(gs_runner *r, uint64_t *bytes, double *wire,
                         gs_err *e) {
  GS_CALL(r->blocks, e, sent(r, bytes, wire, e));
}

/* ---- how fast ---- */

static int by_time(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static gs_status bench(gs_runner *r, int64_t n, gs_err *e) {
  GS_TRY(gs_runner_need_exec(r, "gs_runner_bench", e));
  if (n < 1) return gs_fail(e, GS_USAGE, NULL, "%lld runs", (long long)n);
  double *seconds = GS_NEWS(&r->arena, n, double);
  uint64_t bytes = gs_exec_sent(r->exec), wire = gs_exec_wire(r->exec);
  for (int64_t i = 0; i < n; i++) {
    GS_TRY(gs_runner_once(r, &seconds[i], e));
    if (r->w) GS_TRY(gs_world_max(r->w, &seconds[i], e));
  }
  bytes = (gs_exec_sent(r->exec) - bytes) / (uint64_t)n;
  double max;
  GS_TRY(wire_since(r, wire, &max, e));
  max /= (double)n;
  qsort(seconds, (size_t)n, sizeof *seconds, by_time);
  double median = (seconds[(n - 1) / 2] + seconds[n / 2]) / 2;
  size_t memory = gs_exec_arena_size(r->exec);
  gs_buf_printf(&r->text,
                "bench: %lld runs, min %.3f ms, median %.3f ms; per device "
                "%llu bytes sent (%.0f on the wire), %zu bytes of "
                "activations\n",
                (long long)n, seconds[0] * 1e3, median * 1e3,
                (unsigned long long)bytes, max, memory);
  gs_buf_printf(&r->json,
                ", \"bench\": {\"runs\": %lld, \"min_ms\": %.6f, "
                "\"median_ms\": %.6f, \"bytes_sent\": %llu, "
                "\"wire_bytes\": %.0f, "
                "\"activation_bytes\": %zu}",
                (long long)n, seconds[0] * 1e3, median * 1e3,
                (unsigned long long)bytes, max, memory);
  return GS_OK;
}

gs_status gs_runner_bench(gs_runner *r, int64_t n, gs_err *e) {
  GS_CALL(r->blocks, e, bench(r, n, e));
}

/* ---- rates ---- */

/* Seconds that the device of this process that was longest in collectives has
 * spent there. */
static double in_collectives(const gs_runner *r) {
  double all = r->exec ? gs_exec_collective_time(r->exec) : 0;
  for (int k = 0; k < r->nprogram; k++)
    if (k != r->now && r->program[k].exec)
      all += gs_exec_collective_time(r->program[k].exec);
  return all;
}

/* Adds up what all ranks say. */
static gs_status sum(gs_runner *r, double *x, gs_err *e) {
  if (!gs_runner_many(r)) return GS_OK;
  double *all = GS_NEWS(&r->arena, r->w->nrank, double);
  GS_TRY(gs_world_gather(r->w, x, sizeof *x, all, e));
  *x = 0;
  for (int i = 0; i < r->w->nrank; i++) *x += all[i];
  return GS_OK;
}

static gs_status rates(gs_runner *r, const char **out, gs_err *e) {
  const gs_steps *s = r->steps;
  double weights = r->weights, waited = in_collectives(r), ran = r->ran;
  GS_TRY(sum(r, &weights, e));
  if (r->w) GS_TRY(gs_world_max(r->w, &waited, e));
  if (r->w) GS_TRY(gs_world_max(r->w, &ran, e));
  if (!gs_runner_first(r) || ran <= 0) return GS_OK;
  gs_buf b;
  gs_buf_init(&b, &r->arena);
  const char *what = s ? "steps" : "runs";
  double n = (double)(s ? s->done : r->runs);
  gs_buf_printf(&b, "%.0f %s in %.3f s: %.4g %s/s", n, what, ran, n / ran,
                what);
  if (s && s->npick)
    gs_buf_printf(&b, ", %.4g tokens/s", n * (double)s->pick[0].rows / ran);
  gs_buf_printf(&b, "; %.4g GB of weights, %.4g GB/s; %.3f s (%.1f %%) in "
                "collectives", weights * 1e-9, weights * 1e-9 / ran, waited,
                100 * waited / ran);
  *out = b.at;
  return GS_OK;
}

gs_status gs_runner_rates(gs_runner *r, const char **out, gs_err *e) {
  *out = "";
  GS_CALL(r->blocks, e, rates(r, out, e));
}
