/* gshard-annotate: a model and a sharding specification in, the model with
 * every tensor's sharding out. */
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/map.h"
#include "base/text.h"
#include "io/file/io.h"
#include "io/spec/spec_io.h"
#include "io/spec/yaml.h"
#include "load.h"
#include "api/annotate.h"
#include "progress.h"
#include "report.h"

typedef struct job {
  gs_cli *c;
  gs_spec spec;
  gs_loaded model;
  gs_match_result match;
  gs_auto_shard filled;
  gs_propagation done;
  gs_partition predicted;
  gs_report report;
} job;

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

static gs_status read_spec(job *j, gs_bindings *bind, gs_err *e) {
  gs_cli *c = j->c;
  gs_spec_init(&j->spec, &c->arena);
  for (int i = 0; i < gs_cli_count(c, "spec"); i++)
    GS_TRY(gs_spec_read(&j->spec, gs_cli_at(c, "spec", i), e));
  if (gs_cli_has(c, "mesh"))
    GS_TRY(gs_spec_set_mesh(&j->spec, gs_cli_get(c, "mesh"), e));
  if (gs_cli_has(c, "allow-unmatched")) j->spec.options.strict = false;
  if (gs_cli_has(c, "auto")) {
    const char *limit = gs_cli_get(c, "auto");
    j->spec.options.choose = GS_AUTO_FILL;
    if (limit && !gs_bytes_parse(limit, &j->spec.options.memory))
      return gs_fail(e, GS_USAGE, "--auto", "'%s' is not a byte count",
                     limit);
  }
  gs_bindings_init(bind, &c->arena);
  for (int i = 0; i < j->spec.bind.n; i++)
    GS_TRY(gs_bindings_put(bind, j->spec.bind.at[i].name,
                           j->spec.bind.at[i].size, e));
  return gs_load_binds(c, bind, e);
}

static void list_tensors(job *j) {
  gs_buf b;
  gs_buf_init(&b, &j->c->arena);
  const gs_graph *g = j->model.graph;
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    gs_buf_printf(&b, "%s : %s", gs_text(b.arena, v->name),
                  gs_shape_text(b.arena, v->dtype, v->rank, v->dims));
    if (v->sharding && g->mesh) {
      gs_buf_char(&b, ' ');
      gs_sharding_print(&b, g->mesh, v->sharding);
    }
    gs_buf_char(&b, '\n');
  }
  gs_cli_print(stdout, &b);
}

/* [{name, dtype, dims, sharding}]: null for a size or sharding that is not
 * known. */
static void list_json(job *j) {
  gs_buf b;
  gs_buf_init(&b, &j->c->arena);
  const gs_graph *g = j->model.graph;
  gs_buf_char(&b, '[');
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    gs_buf_str(&b, i ? ",\n  {\"name\": " : "\n  {\"name\": ");
    gs_buf_json(&b, v->name);
    gs_buf_str(&b, ", \"dtype\": ");
    gs_buf_json(&b, gs_dtype_get((int)v->dtype)->text);
    gs_buf_str(&b, v->rank < 0 ? ", \"dims\": null" : ", \"dims\": [");
    for (int d = 0; d < v->rank; d++) {
      gs_buf_str(&b, d ? ", " : "");
      if (v->dims[d] < 0) gs_buf_str(&b, "null");
      else gs_buf_printf(&b, "%lld", (long long)v->dims[d]);
    }
    gs_buf_str(&b, v->rank < 0 ? ", \"sharding\": " : "], \"sharding\": ");
    if (v->sharding && g->mesh)
      gs_buf_json(&b, gs_sharding_text(b.arena, g->mesh, v->sharding));
    else gs_buf_str(&b, "null");
    gs_buf_char(&b, '}');
  }
  gs_buf_str(&b, "\n]\n");
  fwrite(b.at, 1, b.n, stdout);
}

static const char *rule_text(void *context, int rule) {
  job *j = context;
  return gs_rule_origin(&j->c->arena, &j->spec, rule);
}

/* Suggests a tensor whose name is near. */
static gs_status no_tensor(const gs_graph *g, const char *name, gs_err *e) {
  int min = 3;
  const char *near = NULL;
  gs_fail(e, GS_USAGE, NULL, "the model has no tensor or node '%s'", name);
  for (int i = 0; i < g->value.n; i++) {
    int d = gs_edit_distance(name, g->value.at[i]->name, min);
    if (d >= min) continue;
    min = d;
    near = g->value.at[i]->name;
  }
  if (near) gs_err_hint(e, "did you mean '%s'?", near);
  return GS_USAGE;
}

static bool reports_json(const job *j) {
  const char *format = gs_cli_get(j->c, "report");
  return j->c->json || (format && !strcmp(format, "json"));
}

/* A report that is JSON has the explanations in it. */
static void explain_value(job *j, FILE *f, const gs_value *v) {
  gs_buf b;
  *gs_push(&j->c->arena, &j->report.explain) = v;
  if (reports_json(j)) return;
  gs_buf_init(&b, &j->c->arena);
  gs_propagation_explain(&b, &j->done, v, rule_text, j);
  gs_report_moves(&b, &j->report, v, rule_text, j);
  gs_cli_print(f, &b);
}

/* A tensor of that name, else what the nodes of that name make. */
static gs_status explain_name(job *j, FILE *f, const char *name, gs_err *e) {
  const gs_graph *g = j->model.graph;
  const gs_value *v = gs_graph_find(g, name);
  if (v) {
    explain_value(j, f, v);
    return GS_OK;
  }
  int found = 0;
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nout && !strcmp(n->name, name); k++) {
      if (!n->out[k]) continue;
      explain_value(j, f, n->out[k]);
      found++;
    }
  }
  return found ? GS_OK : no_tensor(g, name, e);
}

static gs_status explain(job *j, FILE *f, gs_err *e) {
  for (int i = 0; i < gs_cli_count(j->c, "explain"); i++)
    GS_TRY(explain_name(j, f, gs_cli_at(j->c, "explain", i), e));
  return GS_OK;
}

static void report(job *j, FILE *f) {
  gs_buf b;
  gs_buf_init(&b, &j->c->arena);
  if (reports_json(j)) {
    gs_report_json(&b, &j->report);
    gs_cli_print(f, &b);
    return;
  }
  if (gs_cli_has(j->c, "report")) gs_report_text(&b, &j->report);
  else if (!j->c->quiet) gs_report_summary(&b, &j->report);
  gs_cli_print(stderr, &b);
}

static const char *origin(void *user, const gs_value *v) {
  job *j = user;
  return gs_report_origin(&j->c->arena, &j->report, v);
}

static gs_status write_model(job *j, const char *path, gs_err *e) {
  gs_arena *a = &j->c->arena;
  const gs_map *binds = &j->model.bind.map;
  const char **name = GS_NEWS(a, binds->n + 1, const char *);
  int64_t *value = GS_NEWS(a, binds->n + 1, int64_t);
  for (int i = 0; i < binds->n; i++) {
    name[i] = binds->entry[i].key;
    gs_bindings_get(&j->model.bind, name[i], &value[i]);
  }
  gs_annotate_options o = {.origin = origin,
                           .user = j,
                           .nbind = binds->n,
                           .bind_name = name,
                           .bind_value = value};
  const char *fields = gs_cli_get(j->c, "standard-fields");
  if (fields && !strcmp(fields, "yes")) o.fields = GS_FIELDS_YES;
  if (fields && !strcmp(fields, "no")) o.fields = GS_FIELDS_NO;
  GS_TRY(gs_model_annotate(j->model.model, j->model.graph, &o, e));
  gs_write_options w = {.replace = j->c->force,
                        .progress = gs_cli_progress(j->c)};
  gs_cli_begin(j->c, "writing");
  return gs_model_write_with(j->model.model, path, &w, e);
}

/* --check: were all annotations there already, and the same? */
static gs_status check(job *j, gs_sharding **before, int nbefore,
                       gs_err *e) {
  const gs_graph *g = j->model.graph;
  int missing = 0, other = 0;
  for (int i = 0; i < nbefore; i++) {
    const gs_value *v = g->value.at[i];
    if (!before[i]) missing += !gs_sharding_is_replicated(v->sharding);
    else other += !gs_sharding_equal(before[i], v->sharding);
  }
  if (missing + other == 0) return GS_OK;
  return gs_fail(e, GS_NO, gs_model_path(j->model.model),
                 "%d tensors have no annotation and %d would be sharded "
                 "further", missing, other);
}

/* Puts the spec, and what options.auto chooses, on the graph. */
static gs_status annotate(job *j, bool spec, gs_err *e) {
  gs_arena *a = &j->c->arena;
  gs_graph *g = j->model.graph;
  const gs_spec_options *o = &j->spec.options;
  gs_auto_shard_options fill = {.memory = (double)o->memory,
                          .even = o->uneven == GS_UNEVEN_ERROR};
  if (spec) GS_TRY(gs_pass_match(a, &j->spec, g, &j->match, e));
  return gs_pass_annotate(a, g, spec ? &j->match : NULL,
                          o->choose == GS_AUTO_FILL ? &fill : NULL,
                          &j->filled, &j->done, e);
}

static bool has_spec(const gs_cli *c) {
  return gs_cli_count(c, "spec") || gs_cli_has(c, "mesh") ||
         gs_cli_has(c, "auto");
}

/* A spec may replace what is lost; completing nothing is no use. */
static gs_status judge(const job *j, gs_err *e) {
  static const gs_loss_policy check = {false, GS_NO, GS_NO, GS_NO, GS_NO},
                              complete = {.lost = GS_DATA},
                              again = {.replaced = true};
  return gs_load_judge(&j->model,
                       gs_cli_has(j->c, "check") ? &check
                       : has_spec(j->c)          ? &again
                                                 : &complete,
                       e);
}

static gs_status complete(job *j, gs_err *e) {
  gs_graph *g = j->model.graph;
  bool spec = has_spec(j->c);
  if (!spec && !g->mesh) {
    gs_fail(e, GS_SPEC, gs_model_path(j->model.model),
            "the model has no annotations and no spec is given");
    gs_err_hint(e, "give a spec with -s, or a mesh with --mesh dp=2,tp=4");
    return GS_SPEC;
  }
  gs_cli_begin(j->c, "annotating");
  GS_TRY(annotate(j, spec, e));
  gs_cli_step(j->c, "annotate");
  gs_cli_begin(j->c, "partitioning");
  GS_TRY(gs_pass_partition(&j->c->arena, g, &j->predicted, e));
  gs_cli_step(j->c, "partition");
  j->report = (gs_report){.tool = "gshard-annotate",
                          .model = j->model.model,
                          .graph = g,
                          .spec = spec ? &j->spec : NULL,
                          .match = spec ? &j->match : NULL,
                          .propagation = &j->done,
                          .partition = &j->predicted};
  if (j->spec.options.choose == GS_AUTO_FILL) j->report.fill = &j->filled;
  return GS_OK;
}

static gs_status dump_spec(job *j, gs_err *e) {
  if (j->spec.options.choose == GS_AUTO_FILL) GS_TRY(annotate(j, true, e));
  else
    GS_TRY(gs_pass_match(&j->c->arena, &j->spec, j->model.graph, &j->match,
                         e));
  gs_buf b;
  gs_buf_init(&b, &j->c->arena);
  gs_spec_dump(&b, &j->spec, j->model.graph, &j->match);
  if (!j->c->json) {
    gs_cli_print(stdout, &b);
    return GS_OK;
  }
  gs_yaml *y;
  gs_buf json;
  gs_buf_init(&json, b.arena);
  GS_TRY(gs_yaml_parse(b.arena, "--dump-spec", b.at, b.n,
                       &gs_yaml_plan_limits, &y, e));
  gs_yaml_json(&json, y);
  gs_buf_char(&json, '\n');
  fwrite(json.at, 1, json.n, stdout);
  return GS_OK;
}

static gs_status run(gs_cli *c, gs_err *e) {
  job *j = GS_NEW(&c->arena, job);
  j->c = c;
  gs_bindings bind;
  gs_cli_step(c, "");
  GS_TRY(check_operands(c, e));
  if (gs_cli_has(c, "output"))
    GS_TRY(gs_out_check(&c->arena, gs_cli_get(c, "output"), c->force, e));
  GS_TRY(read_spec(j, &bind, e));
  gs_cli_step(c, "spec");
  gs_cli_begin(c, "reading");
  GS_TRY(gs_load(&c->arena, c->operand.at[0], &bind, &j->model, e));
  GS_TRY(gs_load_shardings(&c->arena, &j->model,
                           gs_cli_get(c, "configuration"), e));
  gs_cli_step(c, "load");
  if (gs_cli_has(c, "dump-spec")) return dump_spec(j, e);
  if (gs_cli_has(c, "list-tensors")) {
    if (c->json) list_json(j);
    else list_tensors(j);
    return GS_OK;
  }
  gs_graph *g = j->model.graph;
  int n = g->value.n;
  gs_sharding **before = GS_NEWS(&c->arena, n + 1, gs_sharding *);
  for (int i = 0; i < n; i++) before[i] = g->value.at[i]->sharding;
  GS_TRY(judge(j, e));
  GS_TRY(complete(j, e));
  const char *out = gs_cli_get(c, "output");
  bool quiet_stdout = out || gs_cli_has(c, "check") ||
                      gs_cli_has(c, "explain") || c->dry_run;
  if (!out && !quiet_stdout) out = "-";
  if (c->dry_run) out = NULL;
  bool piped = out && !strcmp(out, "-");
  GS_TRY(explain(j, piped ? stderr : stdout, e));
  report(j, piped ? stderr : stdout);
  if (gs_cli_has(c, "check")) return check(j, before, n, e);
  if (!out) return GS_OK;
  if (piped) GS_TRY(gs_cli_check_stdout(c, e));
  GS_TRY(write_model(j, out, e));
  gs_cli_step(c, "write");
  return GS_OK;
}

int main(int argc, char **argv) {
  return gs_cli_main(&gs_tool_annotate, run, argc, argv);
}
