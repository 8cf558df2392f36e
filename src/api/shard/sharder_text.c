/* gs_sharder of gshard.h: what it can say. */
#include "api/shard/sharder.h"
#include "base/data/map.h"
#include "base/text.h"
#include "io/spec/spec_io.h"
#include "io/spec/yaml.h"

/* ---- tensors ---- */

static void list_tensors(gs_buf *b, const gs_graph *g) {
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    gs_buf_printf(b, "%s : %s", gs_text(b->arena, v->name),
                  gs_shape_text(b->arena, v->dtype, v->rank, v->dims));
    if (v->sharding && g->mesh) {
      gs_buf_char(b, ' ');
      gs_sharding_print(b, g->mesh, v->sharding);
    }
    gs_buf_char(b, '\n');
  }
}

/* null for a size or sharding that is not known. */
static void list_json(gs_buf *b, const gs_graph *g) {
  gs_buf_char(b, '[');
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    gs_buf_str(b, i ? ",\n  {\"name\": " : "\n  {\"name\": ");
    gs_buf_json(b, v->name);
    gs_buf_str(b, ", \"dtype\": ");
    gs_buf_json(b, gs_dtype_get((int)v->dtype)->text);
    gs_buf_str(b, v->rank < 0 ? ", \"dims\": null" : ", \"dims\": [");
    for (int d = 0; d < v->rank; d++) {
      gs_buf_str(b, d ? ", " : "");
      if (v->dims[d] < 0) gs_buf_str(b, "null");
      else gs_buf_printf(b, "%lld", (long long)v->dims[d]);
    }
    gs_buf_str(b, v->rank < 0 ? ", \"sharding\": " : "], \"sharding\": ");
    if (v->sharding && g->mesh)
      gs_buf_json(b, gs_sharding_text(b->arena, g->mesh, v->sharding));
    else gs_buf_str(b, "null");
    gs_buf_char(b, '}');
  }
  gs_buf_str(b, "\n]\n");
}

/* ---- the spec ---- */

static gs_status spec_text(gs_sharder *s, bool as_json, gs_buf *b,
                           gs_err *e) {
  bool choose = s->spec.options.choose == GS_AUTO_FILL;
  if (choose && s->stage < GS_STAGE_ANNOTATED)
    GS_TRY(gs_sharder_complete(s, true, e));
  GS_TRY(gs_sharder_match(s, e));
  gs_buf yaml;
  gs_buf_init(&yaml, b->arena);
  gs_spec_dump(as_json ? &yaml : b, &s->spec, s->model.graph, &s->match);
  if (!as_json) return GS_OK;
  gs_yaml *y;
  GS_TRY(gs_yaml_parse(b->arena, "--dump-spec", yaml.at, yaml.n,
                       &gs_yaml_plan_limits, &y, e));
  gs_yaml_json(b, y);
  gs_buf_char(b, '\n');
  return GS_OK;
}

/* ---- any of them ---- */

static gs_stage stage_of(gs_text_kind kind) {
  switch (kind) {
    case GS_TEXT_TENSORS:
    case GS_TEXT_TENSORS_JSON:
    case GS_TEXT_NODES:
    case GS_TEXT_NODES_JSON:
    case GS_TEXT_MODULES:
    case GS_TEXT_MODULES_JSON:
    case GS_TEXT_SPEC:
    case GS_TEXT_SPEC_JSON: return GS_STAGE_LOADED;
    case GS_TEXT_GRAPH: return GS_STAGE_ANNOTATED;
    case GS_TEXT_SUMMARY:
    case GS_TEXT_REPORT:
    case GS_TEXT_REPORT_JSON:
    case GS_TEXT_PROGRAM: break;
  }
  return GS_STAGE_PARTITIONED;
}

static gs_status text(gs_sharder *s, gs_text_kind kind, const char **out,
                      gs_err *e) {
  GS_TRY(gs_sharder_need(s, stage_of(kind), "this text", e));
  gs_buf b;
  gs_buf_init(&b, &s->arena);
  switch (kind) {
    case GS_TEXT_SUMMARY: gs_report_summary(&b, &s->report); break;
    case GS_TEXT_REPORT: gs_report_text(&b, &s->report); break;
    case GS_TEXT_REPORT_JSON: gs_report_json(&b, &s->report); break;
    case GS_TEXT_TENSORS: list_tensors(&b, s->model.graph); break;
    case GS_TEXT_TENSORS_JSON: list_json(&b, s->model.graph); break;
    case GS_TEXT_NODES: gs_list_nodes(&b, s->model.graph); break;
    case GS_TEXT_NODES_JSON: gs_list_nodes_json(&b, s->model.graph); break;
    case GS_TEXT_MODULES: gs_list_modules(&b, s->model.graph); break;
    case GS_TEXT_MODULES_JSON: gs_list_modules_json(&b, s->model.graph); break;
    case GS_TEXT_SPEC: GS_TRY(spec_text(s, false, &b, e)); break;
    case GS_TEXT_SPEC_JSON: GS_TRY(spec_text(s, true, &b, e)); break;
    case GS_TEXT_GRAPH: gs_graph_print(&b, s->model.graph); break;
    case GS_TEXT_PROGRAM: gs_graph_print(&b, s->made.program); break;
  }
  *out = b.at;
  return GS_OK;
}

gs_status gs_sharder_text(gs_sharder *s, gs_text_kind kind, const char **out,
                          gs_err *e) {
  *out = NULL;
  GS_CALL(&s->blocks, e, text(s, kind, out, e));
}

/* ---- why ---- */

static const char *rule_text(void *context, int rule) {
  gs_sharder *s = context;
  return gs_rule_origin(&s->arena, &s->spec, rule);
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

static void explain_value(gs_sharder *s, gs_buf *b, const gs_value *v) {
  *gs_push(&s->arena, &s->report.explain) = v;
  gs_propagation_explain(b, &s->done, v, rule_text, s);
  gs_report_moves(b, &s->report, v, rule_text, s);
}

/* A tensor of that name, else what the nodes of that name make. */
static gs_status explain(gs_sharder *s, const char *name, const char **out,
                         gs_err *e) {
  GS_TRY(gs_sharder_need(s, GS_STAGE_PARTITIONED, "gs_sharder_explain", e));
  const gs_graph *g = s->model.graph;
  const gs_value *v = gs_graph_find(g, name);
  int found = v != NULL;
  gs_buf b;
  gs_buf_init(&b, &s->arena);
  if (v) explain_value(s, &b, v);
  for (int i = 0; i < g->node.n && !v; i++) {
    const gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nout && !strcmp(n->name, name); k++) {
      if (!n->out[k]) continue;
      explain_value(s, &b, n->out[k]);
      found++;
    }
  }
  *out = b.at;
  return found ? GS_OK : no_tensor(g, name, e);
}

gs_status gs_sharder_explain(gs_sharder *s, const char *name,
                             const char **out, gs_err *e) {
  *out = NULL;
  GS_CALL(&s->blocks, e, explain(s, name, out, e));
}
