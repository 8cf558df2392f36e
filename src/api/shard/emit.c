#include "api/shard/emit.h"
#include "api/shard/load.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "io/onnx/onnx_build.h"
#include "ir/mesh/plan.h"
#include "pass/prepare/ranges.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

typedef struct meta {
  gs_arena *arena;
  GS_VEC(const char *) key;
  GS_VEC(const char *) value;
} meta;

static void add_meta(meta *m, const char *key, const char *value) {
  if (!value) return;
  *gs_push(m->arena, &m->key) = key;
  *gs_push(m->arena, &m->value) = value;
}

/* Which inputs are outputs of the run before. */
static void state_meta(gs_arena *a, const gs_emit_options *o, meta *m) {
  const gs_graph *g = o->graph;
  const gs_states *s = o->state;
  for (int i = 0; i < s->n; i++)
    add_meta(m, gs_sprintf(a, GS_KEY_STATE ":%s",
                           g->input.at[s->at[i].in]->name),
             gs_state_text(a, g, &s->at[i]));
  if (s->filled < 0) return;
  const char *name = g->input.at[s->filled]->name;
  add_meta(m, gs_sprintf(a, GS_KEY_FILLED ":%s", name),
           gs_sprintf(a, "%lld", (long long)s->step));
  int64_t size = gs_states_size(s);
  add_meta(m, gs_sprintf(a, "gshard.range:%s", name),
           gs_sprintf(a, "0:%lld", (long long)(size - s->step + 1)));
}

/* What a program says about itself in metadata_props. */
static void program_meta(gs_arena *a, const gs_emit_options *o, meta *m) {
  gs_buf mesh;
  gs_buf_init(&mesh, a);
  gs_mesh_print(&mesh, o->graph->mesh);
  add_meta(m, "gshard.program", GS_TEXT_OF(GS_PROGRAM_VERSION));
  add_meta(m, "gshard.mesh", mesh.at);
  add_meta(m, "gshard.device_ids",
           gs_model_meta(o->model, "gshard.device_ids"));
  const gs_range *indexed = gs_pass_ranges(a, o->graph);
  for (int i = 0; i < o->graph->input.n; i++) {
    const char *name = o->graph->input.at[i]->name;
    const char *range = gs_model_input_meta(o->model, name, "gshard.range");
    if (i == o->state->filled) continue;
    if (!range && indexed[i].high)
      range = gs_sprintf(a, "%lld:%lld", (long long)indexed[i].low,
                         (long long)indexed[i].high);
    add_meta(m, gs_sprintf(a, "gshard.range:%s", name), range);
  }
  state_meta(a, o, m);
}

/* The domains of a program's nodes, each at the oldest version that has all
 * forms used: what other runtimes are most likely to know. */
static void program_opsets(gs_arena *a, const gs_graph *g,
                           gs_model_info *info) {
  GS_VEC(const char *) domain = {0};
  GS_VEC(int64_t) version = {0};
  *gs_push(a, &domain) = "";
  *gs_push(a, &version) = 13; /* nothing that is written is older */
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    int k = 0;
    while (k < domain.n && strcmp(domain.at[k], n->domain)) k++;
    if (k == domain.n) {
      *gs_push(a, &domain) = n->domain;
      *gs_push(a, &version) = 1;
    }
    int64_t since = n->op ? n->op->since : n->opset;
    gs_assert(k < version.n);
    version.at[k] = gs_max(version.at[k], since);
  }
  info->nopset = domain.n;
  info->opset_domain = domain.at;
  info->opset_version = version.at;
}

void gs_emit_info(gs_arena *a, const gs_emit_options *o, gs_model_info *info) {
  gs_assert(o->partition && o->partition->program);
  meta *m = GS_NEW(a, meta);
  m->arena = a;
  program_meta(a, o, m);
  *info = (gs_model_info){.producer_name = "gshard-partition",
                          .producer_version = PACKAGE_VERSION,
                          .nmeta = m->key.n,
                          .meta_key = m->key.at,
                          .meta_value = m->value.at};
  program_opsets(a, o->partition->program, info);
}

gs_status gs_emit_program(gs_arena *a, const gs_emit_options *o,
                          const char *path, gs_err *e) {
  gs_model_info info;
  gs_emit_info(a, o, &info);
  info.source = o->model;
  gs_model *model;
  GS_TRY(gs_model_from_graph(a, o->partition->program, &info, &model, e));
  gs_write_options w = {.replace = o->force, .file_sums = true,
                        .all_blocks = o->hash_weights,
                        .progress = o->progress};
  gs_status s = gs_model_write_with(model, path, &w, e);
  gs_model_close(model);
  return s;
}
