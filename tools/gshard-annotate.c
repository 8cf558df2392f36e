/* gshard-annotate: a model and a sharding specification in, the model with
 * every tensor's sharding out. */
#include <string.h>

#include "cli.h"
#include "progress.h"

static bool ends_in(const char *s, const char *end) {
  size_t n = strlen(s), k = strlen(end);
  return n > k && !strcmp(s + n - k, end);
}

/* Operands in each other's place, or two of them on standard input. */
static gs_status check_operands(const gs_cli *c, gs_err *e) {
  const char *model = c->operand.at[0];
  bool piped = !strcmp(model, "-");
  for (int i = 0; i < gs_cli_count(c, "spec"); i++) {
    const char *spec = gs_cli_at(c, "spec", i);
    if (ends_in(spec, ".onnx") &&
        (ends_in(model, ".yaml") || ends_in(model, ".yml"))) {
      gs_fail(e, GS_USAGE, spec, "this is the spec, and '%s' the model?",
              model);
      gs_err_hint(e, "-s %s %s", model, spec);
      return GS_USAGE;
    }
    if (strcmp(spec, "-")) continue;
    if (piped)
      return gs_fail(e, GS_USAGE, NULL, "standard input can be read once: it "
                     "is the model or a spec");
    piped = true;
  }
  return GS_OK;
}

static gs_status open_sharder(gs_cli *c, gs_sharder **out, gs_err *e) {
  gs_sharder_options o = {.size = sizeof o,
                          .producer = c->tool->name,
                          .spec = gs_cli_all(c, "spec"),
                          .nspec = gs_cli_count(c, "spec"),
                          .mesh = gs_cli_get(c, "mesh"),
                          .bind = gs_cli_all(c, "bind"),
                          .nbind = gs_cli_count(c, "bind"),
                          .allow_unmatched = gs_cli_has(c, "allow-unmatched"),
                          .choose = gs_cli_has(c, "auto"),
                          .memory = gs_cli_get(c, "auto"),
                          .verify = gs_cli_has(c, "verify")};
  return gs_sharder_new(&o, out, e);
}

static bool has_spec(const gs_cli *c) {
  return gs_cli_count(c, "spec") || gs_cli_has(c, "mesh") ||
         gs_cli_has(c, "auto");
}

static bool reports_json(const gs_cli *c) {
  const char *format = gs_cli_get(c, "report");
  return c->json || (format && !strcmp(format, "json"));
}

/* ---- what is printed ---- */

/* JSON as it is: all in it is escaped already. */
static gs_status print_json(gs_sharder *s, gs_text_kind kind, gs_err *e) {
  const char *text;
  GS_TRY(gs_sharder_text(s, kind, &text, e));
  fputs(text, stdout);
  return GS_OK;
}

static gs_status list(gs_cli *c, gs_sharder *s, gs_text_kind text,
                      gs_text_kind json, gs_err *e) {
  return c->json ? print_json(s, json, e)
                 : gs_cli_print_text(stdout, s, text, e);
}

/* A report that is JSON has the explanations in it. */
static gs_status explain(gs_cli *c, gs_sharder *s, FILE *f, gs_err *e) {
  for (int i = 0; i < gs_cli_count(c, "explain"); i++) {
    const char *text;
    GS_TRY(gs_sharder_explain(s, gs_cli_at(c, "explain", i), &text, e));
    if (!reports_json(c)) gs_cli_print(f, text);
  }
  return GS_OK;
}

static gs_status report(gs_cli *c, gs_sharder *s, FILE *f, gs_err *e) {
  if (reports_json(c)) return gs_cli_print_text(f, s, GS_TEXT_REPORT_JSON, e);
  if (gs_cli_has(c, "report"))
    return gs_cli_print_text(stderr, s, GS_TEXT_REPORT, e);
  return c->quiet ? GS_OK : gs_cli_print_text(stderr, s, GS_TEXT_SUMMARY, e);
}

/* ---- steps ---- */

static gs_status write_model(gs_cli *c, gs_sharder *s, const char *path,
                             gs_err *e) {
  const char *fields = gs_cli_get(c, "standard-fields");
  gs_save_options o = {.size = sizeof o,
                       .replace = c->force,
                       .progress = gs_cli_progress(c)};
  if (fields && !strcmp(fields, "yes")) o.fields = GS_FIELDS_YES;
  if (fields && !strcmp(fields, "no")) o.fields = GS_FIELDS_NO;
  gs_cli_begin(c, "writing");
  return gs_sharder_save(s, path, &o, e);
}

/* A spec may replace what is lost; completing nothing is no use. */
static gs_status complete(gs_cli *c, gs_sharder *s, gs_err *e) {
  GS_TRY(gs_sharder_audit(s, gs_cli_has(c, "check") ? GS_AUDIT_EQUAL
                             : has_spec(c)          ? GS_AUDIT_REPLACED
                                                    : GS_AUDIT_COMPLETE,
                          e));
  gs_cli_begin(c, "annotating");
  GS_TRY(gs_sharder_annotate(s, e));
  gs_cli_step(c, "annotate");
  gs_cli_begin(c, "partitioning");
  GS_TRY(gs_sharder_partition(s, e));
  gs_cli_step(c, "partition");
  return GS_OK;
}

static gs_status work(gs_cli *c, gs_sharder *s, gs_err *e) {
  gs_cli_begin(c, "reading");
  GS_TRY(gs_sharder_load(s, c->operand.at[0],
                         gs_cli_get(c, "configuration"), e));
  gs_cli_step(c, "load");
  if (gs_cli_has(c, "dump-spec"))
    return c->json ? print_json(s, GS_TEXT_SPEC_JSON, e)
                   : gs_cli_print_text(stdout, s, GS_TEXT_SPEC, e);
  if (gs_cli_has(c, "list-tensors"))
    return list(c, s, GS_TEXT_TENSORS, GS_TEXT_TENSORS_JSON, e);
  if (gs_cli_has(c, "list-nodes"))
    return list(c, s, GS_TEXT_NODES, GS_TEXT_NODES_JSON, e);
  if (gs_cli_has(c, "list-modules"))
    return list(c, s, GS_TEXT_MODULES, GS_TEXT_MODULES_JSON, e);
  GS_TRY(complete(c, s, e));
  const char *out = gs_cli_get(c, "output");
  bool quiet_stdout = out || gs_cli_has(c, "check") ||
                      gs_cli_has(c, "explain") || c->dry_run;
  if (!out && !quiet_stdout) out = "-";
  if (c->dry_run) out = NULL;
  bool piped = out && !strcmp(out, "-");
  GS_TRY(explain(c, s, piped ? stderr : stdout, e));
  GS_TRY(report(c, s, piped ? stderr : stdout, e));
  if (gs_cli_has(c, "check")) return gs_sharder_compare(s, e);
  if (!out) return GS_OK;
  if (piped) GS_TRY(gs_cli_check_stdout(c, e));
  GS_TRY(write_model(c, s, out, e));
  gs_cli_step(c, "write");
  return GS_OK;
}

static gs_status run(gs_cli *c, gs_err *e) {
  gs_sharder *s;
  gs_cli_step(c, "");
  GS_TRY(check_operands(c, e));
  if (gs_cli_has(c, "output"))
    GS_TRY(gs_can_save(gs_cli_get(c, "output"), c->force, e));
  GS_TRY(open_sharder(c, &s, e));
  gs_cli_step(c, "spec");
  gs_status status = work(c, s, e);
  gs_sharder_free(s);
  return status;
}

int main(int argc, char **argv) {
  return gs_cli_main(&gs_tool_annotate, run, argc, argv);
}
