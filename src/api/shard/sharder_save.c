/* gs_sharder of gshard.h: the annotated model and the program as files. */
#include "api/shard/emit.h"
#include "api/shard/sharder.h"
#include "base/data/map.h"

static const char *origin(void *user, const gs_value *v) {
  gs_sharder *s = user;
  return gs_report_origin(&s->arena, &s->report, v);
}

/* Records the state in the model. */
static void save_state(gs_sharder *s) {
  const gs_graph *g = s->model.graph;
  for (int i = 0; i < g->input.n; i++)
    gs_model_input_meta_set(s->model.model, g->input.at[i]->name, GS_KEY_STATE,
                            NULL);
  for (int i = 0; i < s->model.state.n; i++) {
    const gs_state *t = &s->model.state.at[i];
    gs_model_input_meta_set(s->model.model, g->input.at[t->in]->name,
                            GS_KEY_STATE, gs_state_text(&s->arena, g, t));
  }
}

static gs_status save(gs_sharder *s, const char *path,
                      const gs_save_options *o, gs_err *e) {
  GS_TRY(gs_sharder_need(s, GS_STAGE_ANNOTATED, "gs_sharder_save", e));
  gs_arena *a = &s->arena;
  if (s->stage < GS_STAGE_PARTITIONED) /* for the origins */
    s->report = (gs_report){.model = s->model.model,
                            .graph = s->model.graph,
                            .spec = s->has_spec ? &s->spec : NULL,
                            .propagation = &s->done};
  const gs_map *binds = &s->model.bind.map;
  const char **name = GS_NEWS(a, binds->n + 1, const char *);
  int64_t *value = GS_NEWS(a, binds->n + 1, int64_t);
  int n = 0;
  for (int i = 0; i < binds->n; i++) {
    const char *dim = binds->entry[i].key;
    if (!gs_bindings_agree(&s->binding, dim)) continue;
    name[n] = dim;
    gs_bindings_get(&s->model.bind, dim, &value[n++]);
  }
  gs_annotate_options how = {.fields = o->fields,
                             .origin = origin,
                             .user = s,
                             .nbind = n,
                             .bind_name = name,
                             .bind_value = value};
  gs_model_meta_set(s->model.model, GS_KEY_STACK,
                    !s->model.stacked ? NULL
                    : !s->model.capacity ? "true"
                    : gs_sprintf(a, "%lld", (long long)s->model.capacity));
  gs_model_meta_set(s->model.model, GS_KEY_SEGMENTS,
                    !s->model.cut ? NULL
                    : !s->model.segments.n ? "true"
                    : gs_sprintf(a, "true\n%s",
                                 gs_segments_text(a, &s->model.segments)));
  save_state(s);
  gs_bindings_record(a, s->model.model, &s->binding);
  GS_TRY(gs_model_annotate(s->model.model, s->model.graph, &how, e));
  gs_write_options w = {.replace = o->replace, .progress = o->progress};
  return gs_model_write_with(s->model.model, path, &w, e);
}

gs_status gs_sharder_save(gs_sharder *s, const char *path,
                          const gs_save_options *options, gs_err *e) {
  gs_save_options o;
  GS_TRY(gs_options_take(&o, sizeof o, options, "gs_save_options", e));
  GS_CALL(&s->blocks, e, save(s, path, &o, e));
}

static gs_status emit(gs_sharder *s, gs_emit_kind kind, const char *path,
                      const gs_save_options *o, gs_err *e) {
  GS_TRY(gs_sharder_need(s, GS_STAGE_PARTITIONED, "gs_sharder_emit", e));
  if (o->shards_per_file < 0 ||
      (o->shards_per_file && kind != GS_EMIT_DEVICES))
    return gs_fail(e, GS_USAGE, NULL, "weights are cut into files in the "
                   "device form alone, for at least one device each");
  const gs_emit_options common = {.model = s->model.model,
                                  .device = kind == GS_EMIT_DEVICES,
                                  .shards_per_file = o->shards_per_file,
                                  .force = o->replace,
                                  .progress = o->progress,
                                  .hash_weights = o->hash_weights};
  int n = s->binding.n;
  gs_emit_options *how = GS_NEWS(&s->arena, n, gs_emit_options);
  for (int i = 0; i < n; i++) {
    const gs_variant *v = i ? &s->more[i - 1] : NULL;
    how[i] = common;
    how[i].graph = v ? v->model.graph : s->model.graph;
    how[i].partition = v ? &v->made : &s->made;
    how[i].state = v ? &v->model.state : &s->model.state;
    how[i].report = v ? &v->report : &s->report;
    how[i].binding = n > 1 ? &s->binding.at[i] : NULL;
    if (s->verify) GS_TRY(gs_emit_verify(&how[i], e));
  }
  if (kind == GS_EMIT_PROGRAM && n > 1)
    return gs_fail(e, GS_USAGE, path, "one program cannot have %d bindings: a "
                   "plan has one for each", n);
  if (kind == GS_EMIT_PROGRAM)
    return gs_emit_program(&s->arena, how, path, e);
  GS_TRY(gs_model_need_data(s->model.model, s->model.graph, e));
  return gs_emit_plan(&s->arena, how, n, path, e);
}

gs_status gs_sharder_emit(gs_sharder *s, gs_emit_kind kind, const char *path,
                          const gs_save_options *options, gs_err *e) {
  gs_save_options o;
  GS_TRY(gs_options_take(&o, sizeof o, options, "gs_save_options", e));
  GS_CALL(&s->blocks, e, emit(s, kind, path, &o, e));
}

/* ---- before the work ---- */

static gs_status can_save(gs_blocks *blocks, bool plan, const char *path,
                          bool replace, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  GS_CALL(blocks, e, plan ? gs_emit_check(&a, path, replace, e)
                          : gs_out_check(&a, path, replace, e));
}

static gs_status ask(bool plan, const char *path, bool replace, gs_err *e) {
  gs_blocks blocks;
  gs_blocks_init(&blocks);
  gs_status s = can_save(&blocks, plan, path, replace, e);
  gs_blocks_free(&blocks);
  return s;
}

gs_status gs_can_save(const char *path, bool replace, gs_err *e) {
  return ask(false, path, replace, e);
}

gs_status gs_can_save_plan(const char *dir, bool replace, gs_err *e) {
  return ask(true, dir, replace, e);
}
