/* gshard-partition: an annotated model in; an SPMD program, or one graph per
 * device, with sliced weights out. */
#include <string.h>

#include "cli.h"
#include "progress.h"

static gs_status dump(gs_cli *c, gs_sharder *s, const char *pass,
                      gs_text_kind kind, gs_err *e) {
  const char *want = gs_cli_get(c, "dump"), *text;
  if (!want || (strcmp(want, pass) && strcmp(want, "all"))) return GS_OK;
  GS_TRY(gs_sharder_text(s, kind, &text, e));
  gs_cli_print(stderr, gs_cli_text(c, "# after %s\n%s", pass, text));
  return GS_OK;
}

static gs_status report(gs_cli *c, gs_sharder *s, bool piped, gs_err *e) {
  const char *format = gs_cli_get(c, "report");
  if (c->json || (format && !strcmp(format, "json")))
    return gs_cli_print_text(piped ? stderr : stdout, s, GS_TEXT_REPORT_JSON,
                             e);
  if (gs_cli_has(c, "report"))
    return gs_cli_print_text(stderr, s, GS_TEXT_REPORT, e);
  return c->quiet ? GS_OK : gs_cli_print_text(stderr, s, GS_TEXT_SUMMARY, e);
}

static gs_status emit(gs_cli *c, gs_sharder *s, const char *out, bool piped,
                      gs_err *e) {
  const char *emit = gs_cli_get(c, "emit");
  bool device = emit && !strcmp(emit, "device");
  gs_save_options o = {.size = sizeof o,
                       .replace = c->force,
                       .hash_weights = gs_cli_has(c, "hash-weights"),
                       .progress = gs_cli_progress(c)};
  GS_TRY(gs_cli_int(c, "shards-per-file", 1, INT64_MAX, &o.shards_per_file, e));
  gs_cli_begin(c, "writing");
  GS_TRY(gs_sharder_emit(s, piped    ? GS_EMIT_PROGRAM
                            : device ? GS_EMIT_DEVICES
                                     : GS_EMIT_PLAN,
                         out, &o, e));
  gs_cli_step(c, "write");
  return GS_OK;
}

static gs_status work(gs_cli *c, gs_sharder *s, const char *out, bool piped,
                      gs_err *e) {
  gs_cli_begin(c, "reading");
  GS_TRY(gs_sharder_load(s, c->operand.n ? c->operand.at[0] : "-",
                         gs_cli_get(c, "configuration"), e));
  /* A plan for shardings that are not those of the user is of no use. */
  GS_TRY(gs_sharder_audit(s, GS_AUDIT_STRICT, e));
  GS_TRY(gs_sharder_remesh(s, gs_cli_get(c, "mesh"), e));
  gs_cli_step(c, "load");
  gs_cli_begin(c, "propagating");
  GS_TRY(gs_sharder_annotate(s, e));
  gs_cli_step(c, "propagate");
  GS_TRY(dump(c, s, "propagate", GS_TEXT_GRAPH, e));
  gs_cli_begin(c, "partitioning");
  GS_TRY(gs_sharder_partition(s, e));
  gs_cli_step(c, "partition");
  GS_TRY(dump(c, s, "partition", GS_TEXT_PROGRAM, e));
  if (!c->dry_run) GS_TRY(emit(c, s, out, piped, e));
  return report(c, s, piped, e);
}

static gs_status run(gs_cli *c, gs_err *e) {
  const char *out = gs_cli_get(c, "output");
  if (!out && !c->dry_run)
    return gs_fail(e, GS_USAGE, NULL,
                   "name the plan's directory with -o DIR, or use -o - for a "
                   "program");
  bool piped = out && !strcmp(out, "-") && !c->dry_run;
  const char *form = gs_cli_get(c, "emit");
  if (gs_cli_has(c, "shards-per-file") &&
      (piped || !form || strcmp(form, "device")))
    return gs_fail(e, GS_USAGE, NULL, "--shards-per-file is for --emit=device");
  if (piped) GS_TRY(gs_cli_check_stdout(c, e));
  if (out && !piped) GS_TRY(gs_can_save_plan(out, c->force, e));
  gs_cli_step(c, "");
  gs_sharder_options o = {.size = sizeof o,
                          .producer = c->tool->name,
                          .bind = gs_cli_all(c, "bind"),
                          .nbind = gs_cli_count(c, "bind"),
                          .verify = gs_cli_has(c, "verify")};
  gs_sharder *s;
  GS_TRY(gs_sharder_new(&o, &s, e));
  gs_status status = work(c, s, out, piped, e);
  gs_sharder_free(s);
  return status;
}

int main(int argc, char **argv) {
  return gs_cli_main(&gs_tool_partition, run, argc, argv);
}
