/* gshard-partition: an annotated model in; an SPMD program, or one graph per
 * device, with sliced weights out. */
#include <string.h>
#include <unistd.h>

#include "emit.h"
#include "load.h"
#include "api/annotate.h"
#include "progress.h"
#include "report.h"

typedef struct job {
  gs_cli *c;
  gs_loaded model;
  gs_propagation done;
  gs_partition made;
  gs_report report;
} job;

static void dump(const job *j, const char *pass, const gs_graph *g) {
  const char *want = gs_cli_get(j->c, "dump");
  if (!want || (strcmp(want, pass) && strcmp(want, "all"))) return;
  gs_buf b;
  gs_buf_init(&b, &j->c->arena);
  gs_buf_printf(&b, "# after %s\n", pass);
  gs_graph_print(&b, g);
  gs_cli_print(stderr, &b);
}

/* The mesh of the model, or that of --mesh if there is none or it replaces it;
 * shardings of another mesh are read by the names of its axes. */
static gs_status find_mesh(job *j, gs_err *e) {
  gs_arena *a = &j->c->arena;
  gs_graph *g = j->model.graph;
  const char *text = gs_cli_get(j->c, "mesh");
  if (!text && !g->mesh) {
    gs_fail(e, GS_DATA, gs_model_path(j->model.model),
            "the model carries no shardings");
    gs_err_hint(e, "annotate it with gshard-annotate first");
    return GS_DATA;
  }
  if (!text) return GS_OK;
  gs_mesh *mesh = GS_NEW(a, gs_mesh);
  GS_TRY(gs_mesh_parse(text, a, mesh, e));
  if (g->mesh && gs_mesh_same_axes(g->mesh, mesh)) return GS_OK;
  if (g->mesh) gs_mesh_inherit(mesh, g->mesh);
  if (g->mesh && g->mesh->device_ids)
    gs_warn(e, "--mesh", "the model's gshard.device_ids are dropped: they "
            "belong to a different mesh");
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    if (!v->sharding) continue;
    const char *s = gs_sharding_text(a, g->mesh, v->sharding);
    GS_TRY(gs_sharding_parse(a, mesh, s, &v->sharding, e));
  }
  for (int i = 0; i < g->apart.n; i++) {
    gs_use_sharding *u = &g->apart.at[i];
    const char *s = gs_sharding_text(a, g->mesh, u->sharding);
    GS_TRY(gs_sharding_parse(a, mesh, s, &u->sharding, e));
  }
  g->mesh = mesh;
  return GS_OK;
}

static void report(job *j, bool piped) {
  gs_buf b;
  gs_buf_init(&b, &j->c->arena);
  const char *format = gs_cli_get(j->c, "report");
  if (j->c->json || (format && !strcmp(format, "json"))) {
    gs_report_json(&b, &j->report);
    gs_cli_print(piped ? stderr : stdout, &b);
    return;
  }
  if (gs_cli_has(j->c, "report")) gs_report_text(&b, &j->report);
  else if (!j->c->quiet) gs_report_summary(&b, &j->report);
  gs_cli_print(stderr, &b);
}

/* A plan for shardings that are not those of the user is of no use. */
static const gs_loss_policy strict = {.lost = GS_DATA, .differ = GS_DATA};

static gs_status run(gs_cli *c, gs_err *e) {
  job *j = GS_NEW(&c->arena, job);
  j->c = c;
  const char *in = c->operand.n ? c->operand.at[0] : "-";
  const char *out = gs_cli_get(c, "output");
  if (!out && !c->dry_run)
    return gs_fail(e, GS_USAGE, NULL,
                   "name the plan's directory with -o DIR, or use -o - for a "
                   "program");
  bool piped = out && !strcmp(out, "-") && !c->dry_run;
  if (piped) GS_TRY(gs_cli_check_stdout(c, e));
  if (out && !piped) GS_TRY(gs_emit_check(&c->arena, out, c->force, e));
  gs_cli_step(c, "");
  gs_bindings bind;
  gs_bindings_init(&bind, &c->arena);
  GS_TRY(gs_load_binds(c, &bind, e));
  gs_cli_begin(c, "reading");
  GS_TRY(gs_load(&c->arena, in, &bind, &j->model, e));
  GS_TRY(gs_load_shardings(&c->arena, &j->model,
                           gs_cli_get(c, "configuration"), e));
  GS_TRY(gs_load_judge(&j->model, &strict, e));
  GS_TRY(find_mesh(j, e));
  gs_cli_step(c, "load");
  gs_graph *g = j->model.graph;
  gs_cli_begin(c, "propagating");
  GS_TRY(gs_pass_annotate(&c->arena, g, NULL, NULL, NULL, &j->done, e));
  gs_cli_step(c, "propagate");
  dump(j, "propagate", g);
  gs_cli_begin(c, "partitioning");
  GS_TRY(gs_pass_partition(&c->arena, g, &j->made, e));
  gs_cli_step(c, "partition");
  dump(j, "partition", j->made.program);
  j->report = (gs_report){.tool = "gshard-partition",
                          .model = j->model.model,
                          .graph = g,
                          .propagation = &j->done,
                          .partition = &j->made};
  if (!c->dry_run) {
    if (!piped) GS_TRY(gs_model_need_data(j->model.model, g, e));
    gs_emit_options o = {.model = j->model.model,
                         .graph = g,
                         .partition = &j->made,
                         .report = &j->report,
                         .device = !strcmp(gs_cli_get(c, "emit")
                                               ? gs_cli_get(c, "emit")
                                               : "spmd",
                                           "device"),
                         .force = c->force,
                         .progress = gs_cli_progress(c),
                         .hash_weights = gs_cli_has(c, "hash-weights")};
    gs_cli_begin(c, "writing");
    GS_TRY(piped ? gs_emit_program(&c->arena, &o, "-", e)
                 : gs_emit_plan(&c->arena, &o, out, e));
    gs_cli_step(c, "write");
  }
  report(j, piped);
  return GS_OK;
}

int main(int argc, char **argv) {
  return gs_cli_main(&gs_tool_partition, run, argc, argv);
}
