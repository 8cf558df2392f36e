/* gshard-run: a plan, a program or a plain model and inputs in, outputs out. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "progress.h"
#include "run_steps.h"

typedef struct job {
  gs_cli *c;
  gs_runner *r;
  gs_pair *input, *range, *output;
  int64_t bench; /* runs; 0: none */
  const char *trace; /* a file; NULL: none */
  double rtol, atol;
  gs_tolerances tolerances;
  bool steps, more; /* --steps, and there is one */
  bool said; /* there are results to print */
} job;

/* Under MPI all ranks go on, or all return the status of the lowest that
 * failed, which alone prints. */
static gs_status agree(job *j, gs_status s, gs_err *e) {
  s = gs_runner_agree(j->r, s, e);
  if (!gs_runner_speaks(j->r)) j->c->silent = true;
  return s;
}
#define AGREE(expr)                                                            \
  do {                                                                         \
    gs_status agreed_ = agree(j, expr, e);                                     \
    if (agreed_ != GS_OK) return agreed_;                                      \
  } while (0)

/* One of the words of choices that --bind-to has. */
static gs_bind_to bind_to(const gs_cli *c) {
  static const char *const words[] = {"none", "core", "socket", "numa"};
  const char *word = gs_cli_get(c, "bind-to");
  for (int i = 0; word && i < 4; i++)
    if (!strcmp(word, words[i])) return (gs_bind_to)i;
  return GS_BIND_NONE;
}

static bool is_first(const job *j) { return gs_runner_rank(j->r) == 0; }

/* ---- options ---- */

static gs_status pairs(gs_cli *c, const char *name, bool need, gs_pair **out,
                       gs_err *e) {
  int n = gs_cli_count(c, name);
  gs_pair *p = *out = gs_cli_alloc(c, (size_t)n * sizeof *p);
  for (int i = 0; i < n; i++)
    GS_TRY(gs_cli_pair(c, name, i, need, &p[i].name, &p[i].value, e));
  return GS_OK;
}

static gs_status read_options(job *j, gs_runner_options *o, gs_err *e) {
  gs_cli *c = j->c;
  int64_t threads = 0, seed = 0;
  if (c->bad) return c->bad;
  GS_TRY(gs_cli_double(c, "timeout", 0, &o->timeout, e));
  GS_TRY(gs_cli_int(c, "threads", 1, 4096, &threads, e));
  GS_TRY(gs_cli_int(c, "random", 0, INT64_MAX, &seed, e));
  GS_TRY(gs_cli_int(c, "bench", 1, 1000000, &j->bench, e));
  GS_TRY(gs_cli_double(c, "rtol", 0, &j->rtol, e));
  GS_TRY(gs_cli_double(c, "atol", 0, &j->atol, e));
  if (gs_cli_has(c, "rtol")) j->tolerances.rtol = &j->rtol;
  if (gs_cli_has(c, "atol")) j->tolerances.atol = &j->atol;
  GS_TRY(pairs(c, "input", false, &j->input, e));
  GS_TRY(pairs(c, "range", true, &j->range, e));
  GS_TRY(pairs(c, "output", false, &j->output, e));
  j->steps = gs_cli_has(c, "steps");
  GS_TRY(gs_run_steps_check(c, e));
  o->threads = (int)threads;
  o->seed = (uint64_t)seed;
  o->random = gs_cli_has(c, "random");
  o->no_verify = gs_cli_has(c, "no-verify");
  o->verify = gs_cli_has(c, "verify");
  o->profile = gs_cli_has(c, "profile");
  j->trace = gs_cli_get(c, "trace");
  o->trace = j->trace != NULL;
  if (o->trace && !strcmp(j->trace, "-"))
    return gs_fail(e, GS_USAGE, NULL, "--trace wants the name of a file");
  o->bind_to = bind_to(c);
  o->no_huge_pages = gs_cli_has(c, "no-huge-pages");
  o->no_prefault = gs_cli_has(c, "no-prefault");
  o->no_fusion = gs_cli_has(c, "no-fusion");
  o->keep_inputs = !gs_cli_has(c, "check");
  o->bind = gs_cli_all(c, "bind");
  o->nbind = gs_cli_count(c, "bind");
  o->range = j->range;
  o->nrange = gs_cli_count(c, "range");
  return GS_OK;
}

/* Also a rank that has a wrong command line joins the others: they would wait
 * for it. */
static gs_status start(job *j, gs_err *e) {
  gs_cli *c = j->c;
  gs_runner_options o = {.size = sizeof o, .timeout = 600,
                         .transport = GS_TRANSPORT_LAUNCHED};
  const char *transport = gs_cli_get(c, "transport");
  if (transport)
    o.transport = strcmp(transport, "mpi") ? GS_TRANSPORT_ALONE
                                           : GS_TRANSPORT_MPI;
  gs_status bad = read_options(j, &o, e);
  gs_status s = gs_runner_new(&o, &j->r, e);
  if (!j->r) return s;
  int rank = gs_runner_rank(j->r);
  if (!gs_runner_speaks(j->r)) c->silent = true;
  if (gs_runner_ranks(j->r) > 1)
    c->who = gs_cli_text(c, "%s: rank %d (%s)", c->tool->name, rank,
                         gs_runner_host(j->r, rank));
  return bad ? bad : s;
}

/* ---- what ranks have in common ---- */

/* The values of an option, or how often it is used. */
static gs_pair alike(gs_cli *c, const gs_option *o) {
  int n = gs_cli_count(c, o->name);
  if (!(o->flags & GS_OPT_ALIKE)) {
    if (!(o->flags & GS_OPT_REPEAT))
      return (gs_pair){gs_cli_text(c, "--%s", o->name), n ? "given" : "none"};
    return (gs_pair){gs_cli_text(c, "number of --%s", o->name),
                     gs_cli_text(c, "%d", n)};
  }
  const char *all = n ? "" : "none";
  for (int i = 0; i < n; i++) {
    const char *value = gs_cli_at(c, o->name, i);
    all = gs_cli_text(c, "%s%s%s", all, i ? " " : "", value ? value : "");
  }
  return (gs_pair){gs_cli_text(c, "--%s", o->name), all};
}

static gs_status meet(job *j, gs_err *e) {
  gs_cli *c = j->c;
  gs_pair pair[GS_MAX_ALIKE + 1]; /* meet refuses one too many */
  const gs_option *o;
  int n = 0;
  bool piped = !strcmp(c->operand.at[0], "-");
  pair[n++] = (gs_pair){"source", piped ? "standard input" : "a file"};
  for (int i = 0; (o = gs_option_at(c->tool, i)) && n <= GS_MAX_ALIKE; i++)
    if (o->flags & (GS_OPT_ALIKE | GS_OPT_ALIKE_USE)) pair[n++] = alike(c, o);
  gs_status s = gs_runner_meet(j->r, pair, n, e);
  if (!gs_runner_speaks(j->r)) c->silent = true;
  return s;
}

/* With -v: each line as a message of its own. */
static void note_lines(const job *j, const char *text) {
  const gs_cli *c = j->c;
  if (!c->verbose || !is_first(j)) return;
  for (const char *end; (end = strchr(text, '\n')); text = end + 1)
    gs_cli_note(c, "%.*s", (int)(end - text), text);
  if (*text) gs_cli_note(c, "%s", text);
}

/* Where the devices are. */
static gs_status tell_places(const job *j, gs_err *e) {
  const char *text;
  GS_TRY(gs_runner_places(j->r, &text, e));
  note_lines(j, text);
  return GS_OK;
}

/* ---- steps ---- */

/* All but what --steps has read already. */
static gs_status read_inputs(job *j, gs_err *e) {
  if (j->steps) return gs_runner_prepare(j->r, e);
  for (int i = 0; i < gs_cli_count(j->c, "input"); i++)
    GS_TRY(gs_runner_input_file(j->r, j->input[i].name, j->input[i].value, e));
  if (gs_cli_has(j->c, "test-data"))
    GS_TRY(gs_runner_input_folder(j->r, gs_cli_get(j->c, "test-data"), e));
  return gs_runner_prepare(j->r, e);
}

/* Rank 0 alone writes. */
static gs_status plan_outputs(job *j, gs_err *e) {
  int n = gs_cli_count(j->c, "output");
  if (!is_first(j)) return GS_OK;
  if (j->trace) GS_TRY(gs_can_save(j->trace, j->c->force, e));
  if (j->steps) return GS_OK;
  for (int i = 0; i < n; i++)
    if (!strcmp(j->output[i].value, "-"))
      GS_TRY(gs_cli_check_stdout(j->c, e));
  gs_save_options o = {.size = sizeof o, .replace = j->c->force,
                       .dry_run = j->c->dry_run};
  return gs_runner_save_to(j->r, j->output, n, &o, e);
}

static gs_status compile_and_run(job *j, gs_err *e) {
  gs_cli *c = j->c;
  gs_cli_begin(c, "compiling");
  GS_TRY(gs_runner_compile(j->r, e));
  GS_TRY(tell_places(j, e));
  gs_cli_step(c, "compile");
  if (j->steps) return GS_OK;
  gs_cli_begin(c, "running");
  GS_TRY(gs_runner_run(j->r, NULL, e));
  gs_cli_step(c, "run");
  gs_cli_begin(c, "verifying");
  GS_TRY(gs_runner_verify(j->r, e));
  gs_cli_step(c, "verify");
  return GS_OK;
}

/* A difference is a result and no failure. */
static gs_status judged(gs_status s, gs_status *result, const gs_err *e) {
  if (s != GS_NO || gs_err_count(e)) return s;
  *result = s;
  return GS_OK;
}

static gs_status save_and_compare(job *j, gs_status *result, gs_err *e) {
  const char *dir = gs_cli_get(j->c, "test-data");
  GS_TRY(gs_runner_save(j->r, e));
  if (!dir) return GS_OK;
  return judged(gs_runner_compare_folder(j->r, dir, &j->tolerances, e),
                result, e);
}

/* What was sent, and how fast it was. */
static gs_status tell_sent(job *j, gs_err *e) {
  uint64_t bytes;
  double wire;
  const char *rates;
  GS_TRY(gs_runner_sent(j->r, &bytes, &wire, e));
  if (is_first(j) && j->c->verbose && !j->c->quiet)
    gs_cli_note(j->c, "sent per device %llu bytes, %.0f on the wire",
                (unsigned long long)bytes, wire);
  GS_TRY(gs_runner_rates(j->r, &rates, e));
  note_lines(j, rates);
  return GS_OK;
}

/* Where the time went. */
static gs_status tell_times(job *j, gs_err *e) {
  gs_save_options o = {.size = sizeof o, .replace = j->c->force,
                       .dry_run = j->c->dry_run};
  if (gs_cli_has(j->c, "profile")) GS_TRY(gs_runner_profile(j->r, e));
  return j->trace ? gs_runner_trace(j->r, j->trace, &o, e) : GS_OK;
}

static gs_status make_steps(job *j, gs_err *e) {
  gs_status s = j->more ? compile_and_run(j, e) : GS_OK;
  if (!s) s = gs_run_steps_make(j->c, j->r, e);
  if (gs_runner_torn(j->r, s)) return s;
  AGREE(s);
  j->said = true;
  if (!j->more) return GS_OK;
  GS_TRY(tell_sent(j, e));
  return tell_times(j, e);
}

static gs_status finish(job *j, gs_err *e) {
  gs_status result = GS_OK;
  GS_TRY(gs_runner_describe(j->r, e));
  j->said = true;
  AGREE(save_and_compare(j, &result, e));
  GS_TRY(tell_sent(j, e));
  if (j->bench) GS_TRY(gs_runner_bench(j->r, j->bench, e));
  GS_TRY(tell_times(j, e));
  if (!gs_cli_has(j->c, "check")) return result;
  gs_status s = gs_runner_compare_model(j->r, gs_cli_get(j->c, "check"),
                                        &j->tolerances, e);
  return s ? s : result;
}

static gs_status begin_steps(job *j, gs_err *e) {
  gs_steps_options o;
  AGREE(gs_run_steps_options(j->c, j->input, j->output, is_first(j), &o, e));
  return gs_runner_begin_steps(j->r, &o, &j->more, e);
}

/* bad: what this rank found wrong before. */
static gs_status work(job *j, gs_status bad, gs_err *e) {
  gs_cli *c = j->c;
  gs_cli_step(c, "");
  AGREE(bad);
  GS_TRY(meet(j, e));
  gs_cli_begin(c, "reading");
  AGREE(gs_runner_open(j->r, c->operand.at[0], e));
  if (j->steps) GS_TRY(begin_steps(j, e));
  if (j->steps && !j->more) return make_steps(j, e);
  AGREE(read_inputs(j, e));
  AGREE(plan_outputs(j, e));
  gs_cli_step(c, "load");
  GS_TRY(gs_runner_meet_source(j->r, e));
  if (j->steps) return make_steps(j, e);
  GS_TRY(compile_and_run(j, e));
  return finish(j, e);
}

/* ---- results ---- */

static void print_results(const job *j, gs_status s) {
  gs_cli *c = j->c;
  if (!is_first(j) || (s && s != GS_NO) || !j->said) return;
  FILE *f = stdout;
  for (int i = 0; i < gs_cli_count(c, "output"); i++)
    if (!strcmp(j->output[i].value, "-")) f = stderr;
  const char *tokens = gs_cli_get(c, "tokens");
  if (tokens && !strcmp(tokens, "-")) f = stderr;
  if (c->json)
    fprintf(f, "{\"devices\": %lld, %s}\n",
            (long long)gs_runner_devices(j->r), gs_runner_text(j->r, true));
  else if (f == stdout || !c->quiet)
    gs_cli_print(f, gs_runner_text(j->r, false));
}

typedef struct ending {
  job *j;
  gs_status s;
  gs_err *e;
} ending;

static void say(void *user) {
  const ending *x = user;
  gs_cli_report(x->j->c, x->s, x->e);
}

/* Leaves ranks behind that do not know why: one says it, and ends all. */
static void give_up(job *j, gs_status s, gs_err *e) {
  ending x = {j, s, e};
  gs_runner_abort(j->r, s, say, &x, e);
}

static gs_status run(gs_cli *c, gs_err *e) {
  job j = {.c = c};
  gs_status s = start(&j, e);
  if (!j.r) return s;
  s = work(&j, s, e);
  if (!gs_runner_speaks(j.r)) c->silent = true;
  if (gs_runner_torn(j.r, s)) give_up(&j, s, e);
  print_results(&j, s);
  /* Before another rank's exit code makes the launcher end this one. */
  if (gs_runner_host(j.r, 0) && s && gs_err_count(e)) {
    gs_cli_report(c, s, e);
    c->silent = true;
  }
  fflush(NULL);
  gs_status left = gs_runner_finish(j.r, e);
  if (left) give_up(&j, left, e);
  gs_runner_free(j.r);
  return s;
}

int main(int argc, char **argv) {
  return gs_cli_main(&gs_tool_run, run, argc, argv);
}
