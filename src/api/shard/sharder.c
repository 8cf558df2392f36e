/* gs_sharder of gshard.h: reading, annotating, partitioning. */
#include "api/shard/sharder.h"

#include <math.h>
#include <stdlib.h>

#include "api/shard/annotate.h"
#include "base/data/bytes.h"
#include "io/spec/spec_io.h"
#include "pass/segments/segments.h"

static bool fills(const gs_sharder *s) {
  return s->spec.options.choose == GS_AUTO_FILL;
}

gs_status gs_sharder_need(const gs_sharder *s, gs_stage stage,
                          const char *what, gs_err *e) {
  static const char *const name[] = {"new", "load", "annotate", "partition"};
  if (s->stage > GS_STAGE_NEW) gs_busy_with(gs_model_path(s->model.model));
  if (s->stage >= stage) return GS_OK;
  return gs_fail(e, GS_USAGE, NULL, "%s comes after gs_sharder_%s", what,
                 name[stage]);
}

/* ---- making ---- */

static gs_status read_spec(gs_sharder *s, const gs_sharder_options *o,
                           gs_err *e) {
  gs_spec_init(&s->spec, &s->arena);
  for (int i = 0; i < o->nspec; i++)
    GS_TRY(gs_spec_read(&s->spec, o->spec[i], e));
  if (o->spec_text)
    GS_TRY(gs_spec_parse(&s->spec, "spec", o->spec_text,
                         strlen(o->spec_text), e));
  if (o->mesh) GS_TRY(gs_spec_set_mesh(&s->spec, o->mesh, e));
  if (o->allow_unmatched) s->spec.options.strict = false;
  if (!o->choose) return GS_OK;
  s->spec.options.choose = GS_AUTO_FILL;
  if (o->memory && !gs_bytes_parse(o->memory, &s->spec.options.memory))
    return gs_fail(e, GS_USAGE, "--auto", "'%s' is not a byte count",
                   o->memory);
  return GS_OK;
}

static gs_status start(gs_sharder *s, const gs_sharder_options *o,
                       gs_err *e) {
  s->producer = gs_strdup(&s->arena, o->producer ? o->producer : "gshard");
  s->verify = o->verify;
  s->has_spec = o->nspec || o->spec_text || o->mesh || o->choose;
  GS_TRY(read_spec(s, o, e));
  return gs_bindings_given(&s->arena, &s->spec, o->bind, o->nbind, &s->binding,
                           e);
}

static gs_status guarded_start(gs_sharder *s, const gs_sharder_options *o,
                               gs_err *e) {
  GS_CALL(&s->blocks, e, start(s, o, e));
}

gs_status gs_sharder_new(const gs_sharder_options *options, gs_sharder **out,
                         gs_err *e) {
  gs_sharder_options o;
  *out = NULL;
  GS_TRY(gs_options_take(&o, sizeof o, options, "gs_sharder_options", e));
  gs_sharder *s = gs_object_new(sizeof *s, e);
  if (!s) return GS_RESOURCE;
  gs_blocks_init(&s->blocks);
  gs_arena_init(&s->arena);
  gs_status status = guarded_start(s, &o, e);
  if (status) gs_sharder_free(s);
  else *out = s;
  return status;
}

void gs_sharder_free(gs_sharder *s) {
  if (!s) return;
  if (s->model.model) gs_model_close(s->model.model);
  gs_arena_free(&s->arena);
  gs_blocks_free(&s->blocks);
  free(s);
}

/* ---- verifying ---- */

/* What a step has left, where that is asked for; `sharded`: every value has a
 * sharding by now. */
static gs_status verify(const gs_sharder *s, const gs_graph *g, bool sharded,
                        gs_err *e) {
  if (!s->verify) return GS_OK;
  GS_TRY(gs_graph_check(g, e));
  return sharded ? gs_graph_check_sharded(g, e) : GS_OK;
}

/* ---- loading ---- */

/* The model with each binding but the first; names the binding in errors. */
static gs_status load_more(gs_sharder *s, gs_err *e) {
  gs_arena *a = &s->arena;
  s->more = GS_NEWS(a, s->binding.n, gs_variant);
  for (int i = 1; i < s->binding.n; i++) {
    gs_loaded *l = &s->more[i - 1].model;
    *l = s->model;
    l->graph = gs_graph_copy(a, s->model.graph);
    GS_TRY(gs_load_bind(a, &s->binding.at[i].size, &s->spec, l, e));
  }
  return GS_OK;
}

static gs_status load(gs_sharder *s, const char *path,
                      const char *configuration, gs_err *e) {
  gs_arena *a = &s->arena;
  if (s->stage != GS_STAGE_NEW)
    return gs_fail(e, GS_USAGE, path, "a gs_sharder loads one model");
  GS_TRY(gs_load_model(a, gs_strdup(a, path), s->verify, &s->model, e));
  GS_TRY(gs_bindings_of_model(a, s->model.model, &s->binding, e));
  GS_TRY(load_more(s, e));
  GS_TRY(gs_load_bind(a, &s->binding.at[0].size, &s->spec, &s->model, e));
  GS_TRY(gs_load_shardings(a, &s->model, configuration, e));
  GS_TRY(verify(s, s->model.graph, false, e));
  s->nbefore = s->model.graph->value.n;
  s->before = GS_NEWS(a, s->nbefore + 1, gs_sharding *);
  for (int i = 0; i < s->nbefore; i++)
    s->before[i] = s->model.graph->value.at[i]->sharding;
  s->stage = GS_STAGE_LOADED;
  return GS_OK;
}

gs_status gs_sharder_load(gs_sharder *s, const char *path,
                          const char *configuration, gs_err *e) {
  GS_CALL(&s->blocks, e, load(s, path, configuration, e));
}

static gs_status audit(const gs_sharder *s, gs_audit kind, gs_err *e) {
  static const gs_loss_policy policy[] = {
      [GS_AUDIT_COMPLETE] = {.lost = GS_DATA},
      [GS_AUDIT_STRICT] = {.lost = GS_DATA, .differ = GS_DATA},
      [GS_AUDIT_EQUAL] = {false, GS_NO, GS_NO, GS_NO, GS_NO},
      [GS_AUDIT_REPLACED] = {.replaced = true}};
  GS_TRY(gs_sharder_need(s, GS_STAGE_LOADED, "gs_sharder_audit", e));
  return gs_load_judge(&s->model, &policy[kind], e);
}

gs_status gs_sharder_audit(const gs_sharder *s, gs_audit kind, gs_err *e) {
  gs_blocks *blocks = (gs_blocks *)(uintptr_t)&s->blocks;
  GS_CALL(blocks, e, audit(s, kind, e));
}

/* Shardings of another mesh are read by the names of its axes. */
static gs_status reread(gs_arena *a, const gs_mesh *from, const gs_mesh *to,
                        gs_sharding **s, gs_err *e) {
  const char *text = gs_sharding_text(a, from, *s);
  return gs_sharding_parse(a, to, text, s, e);
}

static gs_status remesh(gs_sharder *s, const char *text, gs_err *e) {
  gs_arena *a = &s->arena;
  GS_TRY(gs_sharder_need(s, GS_STAGE_LOADED, "gs_sharder_remesh", e));
  gs_graph *g = s->model.graph;
  if (!text && !g->mesh) {
    gs_fail(e, GS_DATA, gs_model_path(s->model.model),
            "the model carries no shardings");
    gs_err_hint(e, "annotate it with gshard-annotate first");
    return GS_DATA;
  }
  if (!text) return GS_OK;
  gs_mesh *mesh = GS_NEW(a, gs_mesh);
  GS_TRY(gs_mesh_parse(text, a, mesh, e));
  if (mesh->norder)
    return gs_fail(e, GS_USAGE, "--mesh",
                   "'%s' is a device order, which a spec gives",
                   mesh->axis[mesh->naxis].name);
  if (g->mesh && gs_mesh_same_axes(g->mesh, mesh)) return GS_OK;
  if (g->mesh) gs_mesh_inherit(mesh, g->mesh);
  if (g->mesh && g->mesh->device_ids)
    gs_warn(e, "--mesh", "the model's gshard.device_ids are dropped: they "
            "belong to a different mesh");
  for (int i = 0; i < g->value.n; i++)
    if (g->value.at[i]->sharding)
      GS_TRY(reread(a, g->mesh, mesh, &g->value.at[i]->sharding, e));
  for (int i = 0; i < g->use_sharding.n; i++)
    GS_TRY(reread(a, g->mesh, mesh, &g->use_sharding.at[i].sharding, e));
  g->mesh = mesh;
  return GS_OK;
}

gs_status gs_sharder_remesh(gs_sharder *s, const char *mesh, gs_err *e) {
  GS_CALL(&s->blocks, e, remesh(s, mesh, e));
}

/* ---- annotating ---- */

/* Whether rules fit a copy of the model, stacked or as it is. */
static bool fits(const gs_sharder *s, bool stacked) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_graph *g = gs_graph_copy(&tmp, s->model.graph);
  gs_match_result *match = GS_NEW(&tmp, gs_match_result);
  gs_stacking done = {.weights = 1};
  gs_err why;
  gs_err_init(&why);
  gs_status status = GS_OK;
  if (stacked)
    status = gs_load_stack(g, s->spec.options.capacity, &done, &why);
  if (!status && done.weights)
    status = gs_pass_match(&tmp, &s->spec, g, match, &why);
  gs_err_free(&why);
  gs_arena_free(&tmp);
  return !status && done.weights;
}

/* What options.stack asks for, before rules are matched: they name stacks. */
static gs_status stack_branches(gs_sharder *s, gs_err *e) {
  gs_graph *g = s->model.graph;
  const gs_spec_options *o = &s->spec.options;
  if (o->stack == GS_STACK_NEVER || s->model.stacked) return GS_OK;
  bool always = o->stack == GS_STACK_ALWAYS;
  if (g->use_sharding.n) {
    if (always)
      gs_warn(e, "options.stack", "the model says how single uses of tensors "
              "are sharded, so nothing is stacked");
    return GS_OK;
  }
  if (!always && (!s->spec.rule.n || fits(s, false) || !fits(s, true)))
    return GS_OK;
  GS_TRY(gs_load_stack(g, o->capacity, &s->stacking, e));
  s->model.stacked = s->stacking.weights > 0;
  s->model.capacity = o->capacity;
  if (!s->model.stacked)
    gs_warn(e, "options.stack", "no branches of a sum are equal but for their "
            "weights");
  return GS_OK;
}

static gs_status stack(gs_sharder *s, gs_err *e) {
  int64_t capacity = s->spec.options.capacity;
  GS_TRY(stack_branches(s, e));
  if (capacity && !s->model.stacked)
    gs_warn(e, "options.capacity", "is not used, for nothing is stacked");
  else if (capacity && s->model.capacity != capacity)
    gs_warn(e, "options.capacity", "is not used: the model was annotated with "
            "%s, which its shardings are of",
            s->model.capacity ? "another" : "none");
  return GS_OK;
}

/* Lets what becomes an input be sharded as that is. */
static void tie_state(gs_sharder *s) {
  const gs_graph *g = s->model.graph;
  gs_arena *a = g->arena;
  for (int i = 0; i < s->model.tied.n; i++) {
    const gs_state *t = &s->model.tied.at[i];
    gs_value **pair = GS_NEWS(a, 2, gs_value *);
    pair[0] = g->output.at[t->out];
    pair[1] = g->input.at[t->in];
    *gs_push(a, &s->match.group) = (gs_value_group){.n = 2, .value = pair};
  }
}

/* Where rules say otherwise, state is joined and split again in every run. */
static void warn_of_state(const gs_sharder *s, gs_err *e) {
  const gs_graph *g = s->model.graph;
  const gs_state *first = NULL;
  int n = 0;
  for (int i = 0; i < s->model.state.n; i++) {
    const gs_state *t = &s->model.state.at[i];
    const gs_sharding *y = g->output.at[t->out]->sharding;
    if (gs_sharding_equal(y, g->input.at[t->in]->sharding)) continue;
    if (!n++) first = t;
  }
  if (!n) return;
  const gs_value *y = g->output.at[first->out], *x = g->input.at[first->in];
  gs_arena a;
  gs_arena_init(&a);
  gs_warn(e, y->name, "is %s, but '%s', which it becomes, is %s: it is joined "
          "and split again between runs (%d such state%s)",
          gs_sharding_text(&a, g->mesh, y->sharding), x->name,
          gs_sharding_text(&a, g->mesh, x->sharding), n, n == 1 ? "" : "s");
  gs_arena_free(&a);
}

/* Cuts packed products, before rules are matched: a rule that names what is
 * cut is one for each part.  A model that was annotated stays as it was. */
static gs_status cut(gs_sharder *s, gs_err *e) {
  gs_graph *g = s->model.graph;
  gs_segment_list given;
  int count = 0;
  GS_TRY(gs_pass_match_segments(&s->arena, &s->spec, g, &given, e));
  bool annotated = s->model.cut || g->use_sharding.n || s->model.mesh;
  if (given.n && annotated)
    return gs_fail_at(e, GS_SPEC, given.at[0].at, "the model was annotated "
                      "without segments of '%s'", given.at[0].name);
  if (annotated) return GS_OK;
  GS_TRY(gs_pass_segments_given(g, &given, e));
  s->model.segments = given;
  GS_TRY(gs_pass_segments(g, &count, e));
  s->model.cut = count > 0 || given.n;
  return GS_OK;
}

gs_status gs_sharder_match(gs_sharder *s, gs_err *e) {
  if (s->matched) return GS_OK;
  GS_TRY(stack(s, e));
  GS_TRY(cut(s, e));
  GS_TRY(gs_pass_match(&s->arena, &s->spec, s->model.graph, &s->match, e));
  s->match.segments = &s->model.segments;
  GS_TRY(verify(s, s->model.graph, false, e));
  tie_state(s);
  s->matched = true;
  return GS_OK;
}

/* Brings the model with the other bindings to where the first one is. */
static gs_status prepare_more(gs_sharder *s, gs_graph **graph, gs_err *e) {
  for (int i = 1; i < s->binding.n; i++) {
    gs_variant *v = &s->more[i - 1];
    gs_graph *g = v->model.graph;
    gs_stacking done;
    int count;
    if (s->model.stacked && !v->model.stacked)
      GS_TRY(gs_load_stack(g, s->model.capacity, &done, e));
    if (s->model.cut && !v->model.cut) {
      GS_TRY(gs_pass_segments_given(g, &s->model.segments, e));
      GS_TRY(gs_pass_segments(g, &count, e));
    }
    GS_TRY(gs_bindings_alike(&s->model, s->binding.at[0].name, &v->model,
                             s->binding.at[i].name, e));
    graph[i - 1] = g;
  }
  return GS_OK;
}

/* Gives the model with the other bindings the shardings of the first. */
static gs_status complete_more(gs_sharder *s, gs_err *e) {
  for (int i = 1; i < s->binding.n; i++) {
    gs_variant *v = &s->more[i - 1];
    gs_graph *g = v->model.graph;
    gs_bindings_share(s->model.graph, g);
    GS_TRY(gs_pass_annotate(&s->arena, g, NULL, NULL, NULL, NULL,
                            &v->done, e));
    GS_TRY(verify(s, g, true, e));
  }
  return GS_OK;
}

static gs_status complete(gs_sharder *s, bool spec, gs_err *e) {
  const gs_spec_options *o = &s->spec.options;
  gs_graph **more = GS_NEWS(&s->arena, s->binding.n, gs_graph *);
  gs_auto_shard_options fill = {.memory = (double)o->memory,
                                .even = o->uneven == GS_UNEVEN_ERROR,
                                .nmore = s->binding.n - 1,
                                .more = more};
  if (spec) GS_TRY(gs_sharder_match(s, e));
  GS_TRY(prepare_more(s, more, e));
  GS_TRY(gs_pass_annotate(&s->arena, s->model.graph, spec ? &s->match : NULL,
                          fills(s) ? &fill : NULL, &s->filled,
                          spec && !o->keep_short ? &s->handed : NULL, &s->done,
                          e));
  GS_TRY(verify(s, s->model.graph, true, e));
  warn_of_state(s, e);
  GS_TRY(complete_more(s, e));
  s->stage = GS_STAGE_ANNOTATED;
  return GS_OK;
}

/* ---- stacks for their price ---- */

/* Whether stacking is a choice of options.auto: nobody says whether branches
 * are stacked, and the rules fit them as they are. */
static bool may_stack(const gs_sharder *s) {
  return fills(s) && s->spec.options.stack == GS_STACK_FITTING && !s->matched &&
         !s->model.stacked && !s->model.mesh && !s->model.graph->mesh &&
         !s->model.graph->use_sharding.n && fits(s, false) && fits(s, true);
}

static void free_arena(void *a) { gs_arena_free(a); }

/* The loaded model of s, to be stacked whatever that costs; freed with s. */
static gs_sharder *stacked_copy(gs_sharder *s) {
  gs_sharder *t = GS_NEW(&s->arena, gs_sharder);
  gs_arena *a = &t->arena;
  gs_arena_init(a);
  gs_arena_at_end(&s->arena, free_arena, a);
  t->spec = s->spec;
  t->spec.options.stack = GS_STACK_ALWAYS;
  t->verify = s->verify;
  t->stage = s->stage;
  t->has_spec = s->has_spec;
  t->binding = s->binding;
  t->model = s->model;
  t->model.graph = gs_graph_copy(a, s->model.graph);
  t->more = GS_NEWS(a, s->binding.n, gs_variant);
  for (int i = 1; i < s->binding.n; i++) {
    t->more[i - 1].model = s->more[i - 1].model;
    t->more[i - 1].model.graph = gs_graph_copy(a, s->more[i - 1].model.graph);
  }
  return t;
}

/* Whether t, which is s stacked, costs less.  Of rows that data decide the
 * model knows no price, so branches as they are cost what all of them cost over
 * their places on one device, as far as data fill these. */
static bool costs_less(const gs_sharder *t, const gs_sharder *s) {
  const gs_auto_shard_score *whole = &t->filled.before, *no = &s->filled.before;
  gs_auto_shard_score x = s->filled.after;
  x.time += fmax(0, whole->time - no->time) * t->stacking.taken;
  return gs_auto_shard_better(&t->filled.after, &x);
}

static void adopt(gs_sharder *s, const gs_sharder *t) {
  s->model = t->model;
  s->more = t->more;
  s->match = t->match;
  s->match.segments = &s->model.segments;
  s->matched = t->matched;
  s->stacking = t->stacking;
  s->chose_stacks = true;
  s->spec.options.stack = GS_STACK_ALWAYS; /* as it is dumped */
  s->filled = t->filled;
  s->handed = t->handed;
  s->done = t->done;
  s->stage = t->stage;
}

/* Both ways, the cheaper one stays. */
static gs_status complete_either(gs_sharder *s, gs_err *e) {
  gs_sharder *t = stacked_copy(s);
  gs_err said, with;
  gs_err_init(&said);
  gs_err_init(&with);
  gs_status status = complete(s, true, &said);
  bool good = !complete(t, true, &with);
  if (good && (status == GS_SPEC || (!status && costs_less(t, s)))) {
    adopt(s, t);
    status = GS_OK;
    gs_err_move(e, &with);
  } else {
    gs_err_move(e, &said);
  }
  gs_err_free(&with);
  gs_err_free(&said);
  return status;
}

gs_status gs_sharder_complete(gs_sharder *s, bool spec, gs_err *e) {
  return spec && may_stack(s) ? complete_either(s, e) : complete(s, spec, e);
}

static gs_status annotate(gs_sharder *s, gs_err *e) {
  GS_TRY(gs_sharder_need(s, GS_STAGE_LOADED, "gs_sharder_annotate", e));
  if (s->stage >= GS_STAGE_ANNOTATED) return GS_OK;
  if (!s->has_spec && !s->model.graph->mesh) {
    gs_fail(e, GS_SPEC, gs_model_path(s->model.model),
            "the model has no annotations and no spec is given");
    gs_err_hint(e, "give a spec with -s, or a mesh with --mesh dp=2,tp=4");
    return GS_SPEC;
  }
  return gs_sharder_complete(s, s->has_spec, e);
}

gs_status gs_sharder_annotate(gs_sharder *s, gs_err *e) {
  GS_CALL(&s->blocks, e, annotate(s, e));
}

static gs_status compare(const gs_sharder *s, gs_err *e) {
  GS_TRY(gs_sharder_need(s, GS_STAGE_ANNOTATED, "gs_sharder_compare", e));
  const gs_graph *g = s->model.graph;
  int missing = 0, other = 0;
  for (int i = 0; i < s->nbefore && i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (!s->before[i]) missing += !gs_sharding_is_replicated(v->sharding);
    else other += !gs_sharding_equal(s->before[i], v->sharding);
  }
  if (missing + other == 0) return GS_OK;
  return gs_fail(e, GS_NO, gs_model_path(s->model.model),
                 "%d tensors have no annotation and %d would be sharded "
                 "further", missing, other);
}

gs_status gs_sharder_compare(const gs_sharder *s, gs_err *e) {
  gs_blocks *blocks = (gs_blocks *)(uintptr_t)&s->blocks;
  GS_CALL(blocks, e, compare(s, e));
}

/* ---- partitioning ---- */

static gs_status partition_more(gs_sharder *s, gs_err *e) {
  for (int i = 1; i < s->binding.n; i++) {
    gs_variant *v = &s->more[i - 1];
    GS_TRY(gs_pass_partition(&s->arena, v->model.graph, &v->made, e));
    GS_TRY(verify(s, v->model.graph, true, e));
    GS_TRY(verify(s, v->made.program, false, e));
    v->report = (gs_report){.tool = s->producer,
                            .model = s->model.model,
                            .graph = v->model.graph,
                            .propagation = &v->done,
                            .partition = &v->made,
                            .binding = s->binding.at[i].name};
    *gs_push(&s->arena, &s->report.more) = &v->report;
  }
  return GS_OK;
}

static gs_status partition(gs_sharder *s, gs_err *e) {
  GS_TRY(gs_sharder_need(s, GS_STAGE_ANNOTATED, "gs_sharder_partition", e));
  if (s->stage >= GS_STAGE_PARTITIONED) return GS_OK;
  GS_TRY(gs_pass_partition(&s->arena, s->model.graph, &s->made, e));
  GS_TRY(verify(s, s->model.graph, true, e));
  GS_TRY(verify(s, s->made.program, false, e));
  s->report = (gs_report){.tool = s->producer,
                          .model = s->model.model,
                          .graph = s->model.graph,
                          .spec = s->has_spec ? &s->spec : NULL,
                          .match = s->has_spec ? &s->match : NULL,
                          .propagation = &s->done,
                          .partition = &s->made,
                          .fill = fills(s) ? &s->filled : NULL,
                          .stacked = s->chose_stacks,
                          .handed = &s->handed};
  if (s->binding.n > 1) s->report.binding = s->binding.at[0].name;
  GS_TRY(partition_more(s, e));
  s->stage = GS_STAGE_PARTITIONED;
  return GS_OK;
}

gs_status gs_sharder_partition(gs_sharder *s, gs_err *e) {
  GS_CALL(&s->blocks, e, partition(s, e));
}
