#include "emit.h"

#include <string.h>

#include "io/onnx_build.h"
#include "pass/upgrade.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

enum { MAX_META = 64 };

typedef struct meta {
  int n;
  const char *key[MAX_META], *value[MAX_META];
} meta;

static void add_meta(meta *m, const char *key, const char *value) {
  if (m->n == MAX_META || !value) return;
  m->key[m->n] = key;
  m->value[m->n++] = value;
}

/* What a program says about itself in metadata_props. */
static void program_meta(gs_arena *a, const gs_emit_options *o, meta *m) {
  gs_buf mesh;
  gs_buf_init(&mesh, a);
  gs_mesh_print(&mesh, o->graph->mesh);
  add_meta(m, "gshard.program", "1");
  add_meta(m, "gshard.mesh", mesh.at);
  add_meta(m, "gshard.device_ids",
           gs_model_meta(o->model, "gshard.device_ids"));
  for (int i = 0; i < o->graph->input.n; i++) {
    const char *name = o->graph->input.at[i]->name;
    add_meta(m, gs_sprintf(a, "gshard.range:%s", name),
             gs_model_input_meta(o->model, name, "gshard.range"));
  }
}

void gs_emit_info(gs_arena *a, const gs_emit_options *o, gs_model_info *info) {
  static const char *const domains[] = {"", "ai.gshard"};
  static const int64_t versions[] = {GS_OPSET_NEWEST, 1};
  meta *m = GS_NEW(a, meta);
  program_meta(a, o, m);
  *info = (gs_model_info){.producer_name = "gshard-partition",
                          .producer_version = PACKAGE_VERSION,
                          .nopset = 2,
                          .opset_domain = domains,
                          .opset_version = versions,
                          .nmeta = m->n,
                          .meta_key = m->key,
                          .meta_value = m->value};
}

gs_status gs_emit_program(gs_arena *a, const gs_emit_options *o,
                          const char *path, gs_err *e) {
  gs_model_info info;
  gs_emit_info(a, o, &info);
  info.source = o->model;
  gs_model *model;
  GS_TRY(gs_model_from_graph(a, o->partition->program, &info, &model, e));
  gs_status s = gs_model_write(model, path, e);
  gs_model_close(model);
  return s;
}
