#include "run_steps.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

static volatile sig_atomic_t stop; /* the number of a signal; 0: none */

static bool asked(void *user) {
  (void)user;
  return stop != 0;
}

/* The second one ends the process, as if there were no steps. */
static void on_stop(int number) { stop = number; }

static void stop_on_signals(void) {
  const int ends[] = {SIGINT, SIGTERM};
  struct sigaction a = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&a.sa_mask);
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    struct sigaction old;
    if (!sigaction(ends[i], NULL, &old) && old.sa_handler != SIG_IGN)
      sigaction(ends[i], &a, NULL);
  }
}

static const char *const ours[] = {
    "feed",  "argmax", "sample", "temperature", "top-k",      "top-p",
    "seed",  "stop",   "tokens", "count",       "no-state",   "load-state",
    "mask",  "beams",  "length-penalty",        "save-state"};

gs_status gs_run_steps_check(const gs_cli *c, gs_err *e) {
  static const char *const other[] = {"check", "test-data", "bench"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (gs_cli_has(c, ours[i]) && !gs_cli_has(c, "steps"))
      return gs_fail(e, GS_USAGE, NULL, "--%s is for --steps", ours[i]);
  if (!gs_cli_has(c, "steps")) return GS_OK;
  for (size_t i = 0; i < sizeof other / sizeof *other; i++)
    if (gs_cli_has(c, other[i]))
      return gs_fail(e, GS_USAGE, NULL, "--%s is for one run, not for --steps",
                     other[i]);
  return GS_OK;
}

/* The uses of an option as pairs; `need`: each has a '='. */
static gs_status pairs(gs_cli *c, const char *name, bool need,
                       const gs_pair **out, int *n, gs_err *e) {
  *n = gs_cli_count(c, name);
  gs_pair *p = gs_cli_alloc(c, (size_t)*n * sizeof *p);
  for (int i = 0; i < *n; i++) {
    GS_TRY(gs_cli_pair(c, name, i, need, &p[i].name, &p[i].value, e));
    if (p[i].name) continue;
    p[i] = (gs_pair){p[i].value, NULL};
  }
  *out = p;
  return GS_OK;
}

/* How is drawn, and where that ends. */
static gs_status choosing(gs_cli *c, gs_steps_options *o, gs_err *e) {
  o->temperature = o->top_p = 1;
  GS_TRY(pairs(c, "sample", true, &o->sample, &o->nsample, e));
  static const char *const only[] = {"temperature", "top-k", "top-p", "seed"};
  for (size_t i = 0; i < sizeof only / sizeof *only && !o->nsample; i++)
    if (gs_cli_has(c, only[i]))
      return gs_fail(e, GS_USAGE, NULL, "--%s is for --sample", only[i]);
  GS_TRY(gs_cli_double(c, "temperature", 0, &o->temperature, e));
  GS_TRY(gs_cli_double(c, "top-p", 0, &o->top_p, e));
  GS_TRY(gs_cli_int(c, "top-k", 0, INT64_MAX, &o->top_k, e));
  GS_TRY(gs_cli_int(c, "seed", 0, INT64_MAX, &o->seed, e));
  o->nstop_at = gs_cli_count(c, "stop");
  int64_t *at = gs_cli_alloc(c, (size_t)o->nstop_at * sizeof *at);
  for (int i = 0; i < o->nstop_at; i++) {
    char *end;
    const char *text = gs_cli_at(c, "stop", i);
    at[i] = strtoll(text, &end, 10);
    if (end == text || *end)
      return gs_fail(e, GS_USAGE, "--stop", "'%s' is not a whole number", text);
  }
  o->stop_at = at;
  o->length_penalty = 0.6;
  if (gs_cli_has(c, "length-penalty") && !gs_cli_has(c, "beams"))
    return gs_fail(e, GS_USAGE, NULL, "--length-penalty is for --beams");
  GS_TRY(gs_cli_int(c, "beams", 1, 1 << 20, &o->beams, e));
  GS_TRY(gs_cli_double(c, "length-penalty", 0, &o->length_penalty, e));
  o->tokens = gs_cli_get(c, "tokens");
  return GS_OK;
}

gs_status gs_run_steps_options(gs_cli *c, const gs_pair *in,
                               const gs_pair *out, bool first,
                               gs_steps_options *o, gs_err *e) {
  *o = (gs_steps_options){.size = sizeof *o,
                          .in = in,
                          .nin = gs_cli_count(c, "input"),
                          .out = out,
                          .nout = gs_cli_count(c, "output"),
                          .replace = c->force,
                          .dry_run = c->dry_run,
                          .no_state = gs_cli_has(c, "no-state"),
                          .load_state = gs_cli_get(c, "load-state"),
                          .save_state = gs_cli_get(c, "save-state"),
                          .stop = asked};
  for (int i = 0; i < o->nin; i++)
    if (!strcmp(in[i].value, "-") && !strcmp(c->operand.at[0], "-"))
      return gs_fail(e, GS_USAGE, NULL, "standard input can be read once: it "
                     "is the model or records");
  for (int i = 0; i < o->nout && first; i++)
    if (!strcmp(out[i].value, "-")) GS_TRY(gs_cli_check_stdout(c, e));
  GS_TRY(pairs(c, "feed", true, &o->feed, &o->nfeed, e));
  GS_TRY(pairs(c, "argmax", true, &o->argmax, &o->nargmax, e));
  GS_TRY(pairs(c, "count", false, &o->count, &o->ncount, e));
  GS_TRY(pairs(c, "mask", false, &o->mask, &o->nmask, e));
  GS_TRY(choosing(c, o, e));
  if (first && o->tokens && !strcmp(o->tokens, "-"))
    GS_TRY(gs_cli_check_stdout(c, e));
  GS_TRY(gs_cli_int(c, "steps", 1, INT64_MAX, &o->most, e));
  stop_on_signals();
  return GS_OK;
}

static gs_status make(gs_runner *r, gs_err *e) {
  gs_status s = GS_OK;
  for (bool more = true; more && !s;) s = gs_runner_step(r, &more, e);
  return s;
}

gs_status gs_run_steps_make(gs_cli *c, gs_runner *r, gs_err *e) {
  int64_t steps;
  gs_cli_begin(c, "running");
  gs_status s = make(r, e);
  gs_status ended = gs_runner_end_steps(r, &steps, e);
  gs_cli_step(c, "steps");
  if (stop && !gs_runner_rank(r) && !s)
    gs_cli_note(c, "ended by %s after step %lld",
                stop == SIGINT ? "SIGINT" : "SIGTERM", (long long)steps);
  return s ? s : ended;
}
