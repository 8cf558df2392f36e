/* gshard-run: a plan, a program or a plain model and inputs in, outputs out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "progress.h"
#include "run_check.h"
#include "run_inputs.h"
#include "run_output.h"
#include "run_ranks.h"
#include "run_source.h"

typedef struct job {
  gs_cli *c;
  gs_arena *a;
  gs_world *w; /* NULL: threads */
  gs_source source;
  gs_bindings bind;
  gs_run_inputs in;
  int threads;
  double timeout; /* seconds to wait for another device; 0: for ever */
  bool torn; /* ranks have stopped at different places */
  gs_exec *exec;
  gs_dyn **output; /* [outputs]; rank 0 only */
  gs_run_output out;
  gs_buf text, json;  /* what goes to stdout */
} job;

static bool many(const job *j) { return j->w && j->w->nrank > 1; }

/* Under MPI all ranks go on, or all return the status of the lowest that
 * failed, which alone prints. */
static gs_status agree(job *j, gs_status s, gs_err *e) {
  s = gs_run_verify_blame(j->source.verify, s, e);
  if (!many(j) || s == GS_TIMEOUT) return s; /* who waits is not heard */
  int who;
  gs_status all;
  GS_TRY(gs_world_agree(j->w, s, &all, &who, e));
  if (who >= 0 && who != j->w->rank) j->c->silent = true;
  return all;
}
#define AGREE(expr)                                                            \
  do {                                                                         \
    gs_status agreed_ = agree(j, expr, e);                                     \
    if (agreed_ != GS_OK) return agreed_;                                      \
  } while (0)

static bool is_first(const job *j) { return !j->w || j->w->rank == 0; }

/* ---- setting up ---- */

/* Each of these processes would do all the work. */
static gs_status no_threads(int n, gs_err *e) {
  gs_fail(e, GS_USAGE, NULL,
          "--transport threads, but the launcher started %d processes", n);
  gs_err_hint(e, "leave the option out, or start one process");
  return GS_USAGE;
}

/* Also a rank that is told to use threads, or that has a wrong command line,
 * joins the others: they would wait for it. */
static gs_status start_transport(job *j, gs_err *e) {
  gs_cli *c = j->c;
  const char *name = gs_cli_get(c, "transport");
  bool threads = name && !strcmp(name, "threads");
  int rank, started = gs_world_started(&rank);
  gs_status bad = c->bad;
  j->timeout = 600;
  if (!bad) bad = gs_cli_double(c, "timeout", 0, &j->timeout, e);
  if (threads || !name) {
    if (!gs_world_launched() || (threads && started == 1)) return bad;
  }
  gs_err why;
  gs_err_init(&why);
  gs_status s = gs_world_init(j->a, j->timeout, &j->w, &why);
  if (s != GS_UNSUPPORTED || !threads) gs_err_move(e, &why);
  gs_err_free(&why);
  if (s == GS_UNSUPPORTED) { /* a build without MPI: all say the same */
    c->silent = rank > 0;
    if (threads) return bad || started <= 1 ? bad : no_threads(started, e);
    if (!name) gs_err_hint(e, "started without mpirun, devices are threads");
  }
  GS_TRY(s);
  if (threads && !many(j)) {
    gs_world *alone = j->w;
    j->w = NULL;
    GS_TRY(gs_world_finalize(alone, e));
    return bad;
  }
  if (many(j))
    c->who = gs_sprintf(j->a, "gshard-run: %s",
                        gs_world_name(j->a, j->w, j->w->rank));
  if (threads && !bad) bad = no_threads(j->w->nrank, e);
  return bad;
}

/* The same message lies on all ranks. */
static gs_status same(job *j, gs_status s) {
  if (s == GS_MISMATCH && j->w->rank) j->c->silent = true;
  return s;
}

static gs_status parse_numbers(job *j, gs_err *e) {
  gs_cli *c = j->c;
  int64_t threads = 0, seed = 0;
  gs_bindings_init(&j->bind, j->a);
  GS_TRY(gs_cli_int(c, "threads", 1, 4096, &threads, e));
  GS_TRY(gs_cli_int(c, "random", 0, INT64_MAX, &seed, e));
  for (int i = 0; i < gs_cli_count(c, "bind"); i++)
    GS_TRY(gs_bindings_parse(&j->bind, gs_cli_at(c, "bind", i), e));
  j->threads = (int)threads;
  j->in = (gs_run_inputs){.c = c,
                          .a = j->a,
                          .source = &j->source,
                          .many = many(j),
                          .made_up = gs_cli_has(c, "random"),
                          .random = {.seed = (uint64_t)seed}};
  return GS_OK;
}

/* ---- inputs ---- */

static gs_status open_source(job *j, gs_err *e) {
  GS_TRY(gs_source_open(j->a, j->w, j->c->operand.at[0],
                        !gs_cli_has(j->c, "no-verify"), &j->source, e));
  GS_TRY(gs_run_give_inputs(&j->in, e));
  j->source.fixed = !gs_cli_has(j->c, "check");
  GS_TRY(gs_source_infer(j->a, &j->source, &j->bind, e));
  GS_TRY(gs_model_need_data(j->source.model, j->source.graph, e));
  return gs_run_make_missing(&j->in, e);
}

/* ---- running ---- */

static gs_status new_exec(job *j, const gs_source *s, gs_world *w,
                          gs_exec **out, gs_err *e) {
  const gs_graph *g = s->graph;
  gs_exec_config config = {.graph = s->device ? s->device : &g,
                           .ngraph = s->device ? s->ndevice_here : 1,
                           .ndevice = s->ndevice,
                           .world = w,
                           .threads = j->threads,
                           .timeout = j->timeout};
  if (s->verify) config.reads = gs_run_verify_reads;
  config.user = s->verify;
  GS_TRY(gs_exec_new(&config, out, e));
  for (int i = 0; i < g->input.n; i++)
    GS_TRY(gs_exec_give(*out, g->input.at[i]->name, s->input[i], e));
  return GS_OK;
}

/* Runs; seconds may be NULL. */
static gs_status run_once(job *j, double *seconds, gs_err *e) {
  double start = gs_now();
  gs_status s = gs_exec_run(j->exec, e);
  if (seconds) *seconds = gs_now() - start;
  s = gs_run_verify_blame(j->source.verify, s, e);
  if (s) j->torn = true; /* others may wait for this rank */
  return s;
}

/* Leaves ranks behind that do not know why: one says it, and ends all. */
static _Noreturn void give_up(job *j, gs_status s, gs_err *e) {
  if (s == GS_TIMEOUT) gs_world_blame(j->w, e);
  gs_world_speak(j->w);
  gs_cli_report(j->c, s, e);
  fflush(NULL);
  gs_world_abort(j->w, (int)s);
}

static gs_status collect(gs_exec *x, gs_arena *a, const gs_graph *g,
                         gs_dyn ***out, gs_err *e) {
  *out = GS_NEWS(a, g->output.n, gs_dyn *);
  for (int i = 0; i < g->output.n; i++)
    GS_TRY(gs_exec_result(x, a, i, &(*out)[i], e));
  return GS_OK;
}

/* ---- results ---- */

static void describe_outputs(job *j) {
  const gs_graph *g = j->source.graph;
  gs_buf_str(&j->json, "\"outputs\": [");
  for (int i = 0; i < g->output.n; i++) {
    const gs_dyn *b = j->output[i];
    const gs_tensor *t = &b->t;
    unsigned long long digest = gs_dyn_digest(b);
    gs_buf_printf(&j->text, "%s : %s %016llx\n",
                  gs_text(j->a, g->output.at[i]->name), gs_dyn_text(j->a, b),
                  digest);
    gs_buf_str(&j->json, i ? ", {\"name\": " : "{\"name\": ");
    gs_buf_json(&j->json, g->output.at[i]->name);
    gs_buf_printf(&j->json, ", \"type\": \"%s\"",
                  b->kind == GS_TENSOR ? gs_dtype_get((int)t->dtype)->text
                                       : gs_dyn_text(j->a, b));
    if (b->kind == GS_TENSOR) {
      gs_buf_str(&j->json, ", \"shape\": [");
      for (int d = 0; d < t->rank; d++)
        gs_buf_printf(&j->json, d ? ", %lld" : "%lld", (long long)t->dims[d]);
      gs_buf_char(&j->json, ']');
    } else {
      gs_buf_printf(&j->json, ", \"length\": %d", b->n);
    }
    gs_buf_printf(&j->json, ", \"digest\": \"%016llx\"}", digest);
  }
  gs_buf_char(&j->json, ']');
}

/* ---- --test-data ---- */

static gs_status tolerances(job *j, gs_tolerance *tol, gs_err *e) {
  if (gs_cli_has(j->c, "atol")) tol->scale = 0;
  GS_TRY(gs_cli_double(j->c, "rtol", 0, &tol->rtol, e));
  return gs_cli_double(j->c, "atol", 0, &tol->atol, e);
}

/* ONNX's own tolerances, looser for 16-bit floats. */
static gs_status check_test_data(job *j, gs_err *e) {
  gs_status result = GS_OK;
  for (int i = 0; i < j->source.graph->output.n; i++) {
    gs_dyn *want;
    gs_dtype t = j->output[i]->t.dtype;
    const gs_value *v = j->source.graph->output.at[i];
    GS_TRY(gs_run_test_data(&j->in, "output", i, v->kind, t, &want, e));
    gs_tolerance tol = {.rtol = 1e-3, .atol = 1e-7};
    if (t == GS_FLOAT16) tol = (gs_tolerance){.rtol = 1e-2, .atol = 1e-3};
    if (t == GS_BFLOAT16) tol = (gs_tolerance){.rtol = 2e-2, .atol = 1e-2};
    GS_TRY(tolerances(j, &tol, e));
    gs_status s = gs_check_outputs(&j->text, "test data", 1, &j->output[i],
                                   &want, &tol, NULL, e);
    if (s && s != GS_NO) return s;
    if (s) result = s;
  }
  return result;
}

/* ---- --check ---- */

/* Runs the whole model on rank 0 with the program's inputs. */
static gs_status run_whole(job *j, gs_source *whole, gs_dyn ***out,
                           gs_err *e) {
  gs_exec *x = NULL;
  gs_status s = new_exec(j, whole, NULL, &x, e);
  if (!s) s = gs_exec_run(x, e);
  if (!s) s = collect(x, j->a, whole->graph, out, e);
  gs_exec_free(x);
  return s;
}

static gs_status open_whole(job *j, gs_source *whole, gs_err *e) {
  GS_TRY(gs_source_open(j->a, NULL, gs_cli_get(j->c, "check"), false, whole,
                        e));
  const gs_graph *g = j->source.graph;
  if (whole->ndevice != 1)
    return gs_fail(e, GS_USAGE, whole->path,
                   "--check needs the model before it was partitioned");
  if (whole->graph->output.n != g->output.n ||
      whole->graph->input.n != g->input.n)
    return gs_fail(e, GS_NO, whole->path,
                   "has %d inputs and %d outputs, the program %d and %d",
                   whole->graph->input.n, whole->graph->output.n, g->input.n,
                   g->output.n);
  for (int i = 0; i < g->input.n; i++)
    GS_TRY(gs_source_give(whole, g->input.at[i]->name, j->source.input[i],
                          e));
  GS_TRY(gs_source_infer(j->a, whole, &j->bind, e));
  return gs_model_need_data(whole->model, whole->graph, e);
}

/* Runs both on whole numbers: where all that is computed are sums of products
 * of them, nothing rounds and the bytes are the same.  It is judged by the
 * same tolerances, for other operators round. */
static gs_status check_integers(job *j, gs_source *whole,
                                const gs_tolerance *tol, bool *exact,
                                gs_err *e) {
  gs_source *s = &j->source;
  int n = s->graph->input.n;
  for (int i = 0; i < n; i++) {
    if (gs_dtype_get((int)s->graph->input.at[i]->dtype)->cls != 'f') continue;
    gs_dyn *b;
    if (gs_value_dynamic(s->graph->input.at[i])) continue;
    GS_TRY(gs_run_make_up(&j->in, i, true, &b, e));
    GS_TRY(gs_exec_give(j->exec, s->graph->input.at[i]->name, b, e));
    if (whole) GS_TRY(gs_source_give(whole, s->graph->input.at[i]->name, b, e));
  }
  GS_TRY(run_once(j, NULL, e));
  gs_dyn **got, **want;
  GS_TRY(collect(j->exec, j->a, s->graph, &got, e));
  if (!whole) return GS_OK;
  GS_TRY(run_whole(j, whole, &want, e));
  return gs_check_outputs(&j->text, "check, integer-valued data",
                          s->graph->output.n, got, want, tol, exact, e);
}

static gs_status check_whole(job *j, gs_err *e) {
  gs_source whole, *w = is_first(j) ? &whole : NULL;
  gs_status s = GS_OK, result = GS_OK;
  bool same = false, exact = false;
  if (w) s = open_whole(j, w, e);
  AGREE(s);
  int n = j->source.graph->output.n;
  gs_tolerance *tol = GS_NEWS(j->a, n + 1, gs_tolerance);
  if (w) {
    gs_dyn **want;
    gs_check_tolerances(j->a, w->graph, tol);
    for (int i = 0; i < n && !s; i++) s = tolerances(j, &tol[i], e);
    if (!s) s = run_whole(j, w, &want, e);
    if (!s)
      s = gs_check_outputs(&j->text, "check", n, j->output, want, tol, &same,
                           e);
    if (s == GS_NO && !e->n) {
      result = s;
      s = GS_OK;
    }
  }
  AGREE(s);
  s = check_integers(j, w, tol, &exact, e);
  if (s == GS_NO && !e->n) {
    result = s;
    s = GS_OK;
  }
  AGREE(s);
  gs_buf_printf(&j->json,
                ", \"check\": {\"equal\": %s, \"same_bytes\": %s, "
                "\"integers_exact\": %s}",
                result ? "false" : "true", same ? "true" : "false",
                exact ? "true" : "false");
  return result;
}

/* ---- what was sent ---- */

/* Of all ranks, what the device sent that sent most since `before`. */
static gs_status wire_since(job *j, uint64_t before, double *wire,
                            gs_err *e) {
  *wire = (double)(gs_exec_wire(j->exec) - before);
  return j->w ? gs_world_max(j->w, wire, e) : GS_OK;
}

/* Of the one run that there was. */
static gs_status describe_sent(job *j, gs_err *e) {
  uint64_t bytes = gs_exec_sent(j->exec);
  double wire;
  GS_TRY(wire_since(j, 0, &wire, e));
  if (!is_first(j)) return GS_OK;
  gs_buf_printf(&j->json, ", \"bytes_sent\": %llu, \"wire_bytes\": %.0f",
                (unsigned long long)bytes, wire);
  if (j->c->verbose && !j->c->quiet)
    gs_cli_note(j->c, "sent per device %llu bytes, %.0f on the wire",
                (unsigned long long)bytes, wire);
  return GS_OK;
}

/* ---- --bench ---- */

static int by_time(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static gs_status bench(job *j, gs_err *e) {
  int64_t n = 0;
  GS_TRY(gs_cli_int(j->c, "bench", 1, 1000000, &n, e));
  if (!n) return GS_OK;
  double *seconds = GS_NEWS(j->a, n, double);
  uint64_t bytes = gs_exec_sent(j->exec), wire = gs_exec_wire(j->exec);
  for (int64_t i = 0; i < n; i++) {
    GS_TRY(run_once(j, &seconds[i], e));
    if (j->w) GS_TRY(gs_world_max(j->w, &seconds[i], e));
  }
  bytes = (gs_exec_sent(j->exec) - bytes) / (uint64_t)n;
  double max;
  GS_TRY(wire_since(j, wire, &max, e));
  max /= (double)n;
  qsort(seconds, (size_t)n, sizeof *seconds, by_time);
  double median = (seconds[(n - 1) / 2] + seconds[n / 2]) / 2;
  size_t memory = gs_exec_arena_size(j->exec);
  gs_buf_printf(&j->text,
                "bench: %lld runs, min %.3f ms, median %.3f ms; per device "
                "%llu bytes sent (%.0f on the wire), %zu bytes of "
                "activations\n",
                (long long)n, seconds[0] * 1e3, median * 1e3,
                (unsigned long long)bytes, max, memory);
  gs_buf_printf(&j->json,
                ", \"bench\": {\"runs\": %lld, \"min_ms\": %.6f, "
                "\"median_ms\": %.6f, \"bytes_sent\": %llu, "
                "\"wire_bytes\": %.0f, "
                "\"activation_bytes\": %zu}",
                (long long)n, seconds[0] * 1e3, median * 1e3,
                (unsigned long long)bytes, max, memory);
  return GS_OK;
}

/* ---- main ---- */

static gs_status finish(job *j, gs_err *e) {
  gs_status s = GS_OK, result = GS_OK;
  if (is_first(j)) {
    describe_outputs(j);
    s = gs_run_output_save(&j->out, j->output, e);
    if (!s && gs_cli_has(j->c, "test-data")) {
      s = check_test_data(j, e);
      if (s == GS_NO && !e->n) {
        result = s;
        s = GS_OK;
      }
    }
  }
  AGREE(s);
  GS_TRY(describe_sent(j, e));
  GS_TRY(bench(j, e));
  if (gs_cli_has(j->c, "check")) {
    s = check_whole(j, e);
    if (s && s != GS_NO) return s;
    if (s) result = s;
  }
  return result;
}

/* Whether all ranks run the same. */
static gs_status check_world(job *j, gs_err *e) {
  uint64_t digest = 0;
  if (!many(j)) return GS_OK;
  AGREE(gs_source_digest(&j->source, &digest, e));
  return same(j, gs_ranks_source(j->w, &j->source, digest, e));
}

/* With -v: where the devices are. */
static void tell_places(const job *j) {
  int64_t n = j->source.ndevice, each = many(j) ? n / j->w->nrank : n;
  if (!j->c->verbose || !is_first(j)) return;
  if (!j->w)
    gs_cli_note(j->c, "transport threads, devices 0 to %lld in this process",
                (long long)n - 1);
  for (int r = 0; j->w && r < j->w->nrank; r++)
    gs_cli_note(j->c, "transport mpi, devices %lld to %lld on rank %d (%s)",
                (long long)(r * each), (long long)((r + 1) * each - 1), r,
                j->w->host[r]);
}

/* Rank 0 alone writes. */
static gs_status plan_outputs(job *j, gs_err *e) {
  if (!is_first(j)) return GS_OK;
  return gs_run_output_plan(j->c, j->source.graph, &j->out, e);
}

/* bad: what this rank found wrong before. */
static gs_status work(job *j, gs_status bad, gs_err *e) {
  gs_cli_step(j->c, "");
  AGREE(bad);
  if (many(j)) GS_TRY(same(j, gs_ranks_meet(j->c, j->w, e)));
  AGREE(parse_numbers(j, e));
  gs_cli_begin(j->c, "reading");
  AGREE(open_source(j, e));
  AGREE(plan_outputs(j, e));
  gs_cli_step(j->c, "load");
  GS_TRY(check_world(j, e));
  tell_places(j);
  gs_cli_begin(j->c, "compiling");
  AGREE(new_exec(j, &j->source, j->w, &j->exec, e));
  gs_cli_step(j->c, "compile");
  gs_cli_begin(j->c, "running");
  GS_TRY(run_once(j, NULL, e));
  gs_cli_step(j->c, "run");
  gs_cli_begin(j->c, "verifying");
  AGREE(gs_run_verify_wait(j->source.verify, e));
  gs_cli_step(j->c, "verify");
  AGREE(collect(j->exec, j->a, j->source.graph, &j->output, e));
  return finish(j, e);
}

static void print_results(job *j, gs_status s) {
  if (!is_first(j) || (s && s != GS_NO) || !j->output) return;
  FILE *f = stdout;
  for (int i = 0; i < gs_cli_count(j->c, "output"); i++) {
    const char *value = gs_cli_at(j->c, "output", i);
    size_t n = strlen(value);
    if (!strcmp(value, "-") || (n > 1 && !strcmp(value + n - 2, "=-")))
      f = stderr;
  }
  if (j->c->json) {
    fprintf(f, "{\"devices\": %lld, %s}\n", (long long)j->source.ndevice,
            j->json.at);
  } else if (f == stdout || !j->c->quiet) {
    gs_cli_print(f, &j->text);
  }
}

static gs_status run(gs_cli *c, gs_err *e) {
  job j = {.c = c, .a = &c->arena};
  gs_buf_init(&j.text, j.a);
  gs_buf_init(&j.json, j.a);
  gs_status s = start_transport(&j, e);
  if (j.w || !s) s = work(&j, s, e);
  if (many(&j) && (s == GS_TIMEOUT || j.torn)) give_up(&j, s, e);
  print_results(&j, s);
  gs_run_verify_end(j.source.verify);
  gs_exec_free(j.exec);
  if (j.w) {
    /* Before another rank's exit code makes the launcher end this one. */
    if (s && e->n) {
      gs_cli_report(c, s, e);
      c->silent = true;
    }
    fflush(NULL);
    gs_status left = gs_world_finalize(j.w, e);
    if (left) give_up(&j, left, e);
  }
  return s;
}

int main(int argc, char **argv) {
  return gs_cli_main(&gs_tool_run, run, argc, argv);
}
