#include "api/shard/load.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pass/prepare/turned.h"
#include "pass/state/cache.h"
#include "pass/stack/rows.h"
#include "pass/stack/stack.h"
#include "pass/prepare/upgrade.h"
#include "pass/segments/segments.h"

static gs_status put_all(gs_bindings *to, const gs_bindings *from,
                         gs_err *e) {
  for (int i = 0; from && i < from->map.n; i++) {
    int64_t n = 0;
    gs_bindings_get(from, from->map.entry[i].key, &n);
    GS_TRY(gs_bindings_put(to, from->map.entry[i].key, n, e));
  }
  return GS_OK;
}

static int find_named(const gs_value *const *at, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (!strcmp(at[i]->name, name)) return i;
  return -1;
}

/* Inputs that ONNX's training information says are outputs of the step before.
 */
static void load_updates(const gs_model *m, const gs_graph *g,
                         gs_states *out) {
  const gs_value *const *in = (const gs_value *const *)g->input.at;
  const gs_value *const *made = (const gs_value *const *)g->output.at;
  const char *key, *value;
  for (int k = 0; gs_model_update(m, k, &key, &value); k++) {
    gs_state s = {.in = find_named(in, g->input.n, key),
                  .out = find_named(made, g->output.n, value)};
    bool taken = s.in < 0 || s.out < 0;
    for (int i = 0; i < out->n; i++) taken = taken || out->at[i].in == s.in;
    if (!taken) out->at[out->n++] = s;
  }
}

void gs_load_states(gs_arena *a, const gs_model *m, const gs_graph *g,
                    gs_states *out) {
  *out = (gs_states){.at = GS_NEWS(a, g->input.n + 1, gs_state),
                     .filled = -1};
  for (int i = 0; i < g->input.n; i++) {
    gs_state s = {.in = i};
    const char *text =
        gs_model_input_meta(m, g->input.at[i]->name, GS_KEY_STATE);
    if (text && gs_state_parse(g, text, &s)) out->at[out->n++] = s;
    text = gs_model_input_meta(m, g->input.at[i]->name, GS_KEY_FILLED);
    if (!text) continue;
    out->step = strtoll(text, NULL, 10);
    out->filled = i;
  }
  load_updates(m, g, out);
}

/* Which outputs become which inputs, before shapes are known. */
static gs_status find_state(gs_arena *a, const gs_spec *spec, gs_loaded *l,
                            gs_err *e) {
  gs_states recorded;
  gs_load_states(a, l->model, l->graph, &recorded);
  return gs_pass_states(a, spec, &recorded, l->graph, &l->state, e);
}

/* Shapes are known. */
static gs_status settle_state(gs_arena *a, gs_loaded *l, gs_err *e) {
  l->tied = l->state;
  l->tied.at =
      gs_memdup(a, l->state.at, (size_t)l->state.n * sizeof *l->state.at);
  return gs_states_settle(l->graph, &l->state, e);
}

/* Places of a branch are for all rows that it may have. */
static double part_taken(const gs_rows *r, const gs_stacks *s) {
  if (!r->count || !s->branches) return 1;
  return fmin(1, r->elements / r->places * s->sums / s->branches);
}

gs_status gs_load_stack(gs_graph *g, int64_t capacity, gs_stacking *out,
                        gs_err *e) {
  gs_arena tmp;
  gs_rows rows = {0};
  gs_stacks stacks = {0};
  gs_arena_init(&tmp);
  gs_graph *trial = gs_graph_copy(&tmp, g);
  gs_err why;
  gs_err_init(&why);
  gs_status status = gs_pass_rows(trial, capacity, &rows, &why);
  if (!status && rows.count) status = gs_pass_stack(trial, &stacks, &why);
  bool good = !status && rows.count && stacks.weights;
  gs_err_free(&why);
  gs_arena_free(&tmp);
  rows = (gs_rows){0};
  if (good) GS_TRY(gs_pass_rows(g, capacity, &rows, e));
  GS_TRY(gs_pass_stack(g, &stacks, e));
  *out = (gs_stacking){stacks.weights, part_taken(&rows, &stacks)};
  return GS_OK;
}

/* What the annotations are of. */
static gs_status stack(gs_loaded *l, gs_err *e) {
  const char *text = gs_model_meta(l->model, GS_KEY_STACK);
  gs_stacking done;
  l->stacked = text != NULL;
  if (!text) return GS_OK;
  if (strcmp(text, "true")) {
    char *end;
    errno = 0;
    l->capacity = isdigit((unsigned char)*text) ? strtoll(text, &end, 10) : 0;
    if (l->capacity < 1 || *end || errno)
      return gs_fail(e, GS_DATA, gs_model_path(l->model),
                     "metadata '%s' is neither 'true' nor a capacity: '%.40s'",
                     GS_KEY_STACK, text);
  }
  return gs_load_stack(l->graph, l->capacity, &done, e);
}

gs_status gs_load_model(gs_arena *a, const char *path, bool verify,
                        gs_loaded *out, gs_err *e) {
  *out = (gs_loaded){0};
  gs_busy_with(path);
  GS_TRY(gs_model_read(a, path, NULL, &out->model, e));
  if (gs_model_meta(out->model, "gshard.program") ||
      gs_model_meta(out->model, "gshard.position")) {
    gs_fail(e, GS_DATA, path, "is a program, which was partitioned already");
    gs_err_hint(e, "gshard-run runs it");
    return GS_DATA;
  }
  GS_TRY(gs_model_import(out->model, &out->graph, e));
  if (verify) GS_TRY(gs_graph_check(out->graph, e));
  return gs_pass_upgrade(out->graph, e);
}

/* Cuts what was cut when the model was annotated. */
static gs_status cut(gs_arena *a, gs_loaded *l, gs_err *e) {
  const char *text = gs_model_meta(l->model, GS_KEY_SEGMENTS);
  int count;
  if (!text) return GS_OK;
  l->cut = true;
  size_t first = strcspn(text, "\n");
  const char *rest = text + first + (text[first] == '\n');
  if (!gs_segments_parse(a, l->graph, rest, &l->segments))
    return gs_fail(e, GS_DATA, gs_model_path(l->model),
                   "metadata '%s' does not fit the weights: '%.60s'",
                   GS_KEY_SEGMENTS, rest);
  GS_TRY(gs_pass_segments_given(l->graph, &l->segments, e));
  return gs_pass_segments(l->graph, &count, e);
}

gs_status gs_load_bind(gs_arena *a, const gs_bindings *more,
                       const gs_spec *spec, gs_loaded *out, gs_err *e) {
  GS_TRY(find_state(a, spec, out, e));
  gs_bindings_init(&out->bind, a);
  const char *const *names;
  const int64_t *values;
  int n;
  GS_TRY(gs_model_binds(out->model, a, &names, &values, &n, e));
  for (int i = 0; i < n; i++)
    GS_TRY(gs_bindings_put(&out->bind, names[i], values[i], e));
  GS_TRY(put_all(&out->bind, more, e));
  gs_cache cache;
  GS_TRY(gs_pass_cache(a, out->graph, &out->state, &out->bind, &cache, e));
  GS_TRY(gs_pass_cache_lengths(a, out->graph, &cache, &out->bind, e));
  GS_TRY(gs_pass_infer(a, out->graph, &out->bind, e));
  GS_TRY(gs_pass_cache_hide(a, out->graph, &out->state, &cache, &out->bind,
                            e));
  int turned = 0;
  GS_TRY(gs_pass_turned(out->graph, &turned, e));
  GS_TRY(settle_state(a, out, e));
  GS_TRY(stack(out, e));
  return cut(a, out, e);
}

gs_status gs_load_shardings(gs_arena *a, gs_loaded *l,
                            const char *configuration, gs_err *e) {
  return gs_model_shardings(l->model, l->graph, a, configuration, &l->mesh,
                            &l->audit, e);
}

static const char *const simplify_first =
    "a tool that rewrote the model has dropped or renamed them: simplify and "
    "convert first, then annotate, or give gshard-annotate the spec again (-s)";

/* An error with this code, or a warning. */
static gs_status tell(gs_err *e, gs_status code, const char *place,
                      const char *text, const char *hint) {
  if (code) gs_fail(e, code, place, "%s", text);
  else gs_warn(e, place, "%s", text);
  gs_err_hint(e, "%s", hint);
  return code;
}

static gs_status judge_values(const gs_loaded *l, const gs_loss_policy *p,
                              gs_err *e) {
  const gs_shard_audit *x = &l->audit;
  const char *path = gs_model_path(l->model);
  bool known = x->tensors >= 0;
  bool all = known ? x->split && !x->found_split : !x->found;
  if (all && p->replaced) return GS_OK;
  if (all)
    return tell(e, p->lost, path,
                known ? gs_sprintf(&e->arena, "the model was sharded, and the "
                                   "shardings of all %d tensors that were "
                                   "split are lost", x->split)
                      : "the model has a mesh, but no shardings",
                simplify_first);
  int lost = x->tensors - x->found;
  if (lost <= 0 && !x->gone) return GS_OK;
  const char *text = gs_sprintf(&e->arena, "%d of %d annotated tensors have "
                                "lost their shardings, or are gone", lost,
                                x->tensors);
  if (!known) text = "annotated tensors are gone";
  if (x->gone)
    text = gs_sprintf(&e->arena, "%s, such as '%s'", text, x->gone);
  return tell(e, p->partial, path, text, simplify_first);
}

gs_status gs_load_judge(const gs_loaded *l, const gs_loss_policy *p,
                        gs_err *e) {
  const gs_shard_audit *x = &l->audit;
  if (!l->mesh || !x->metadata) return GS_OK;
  gs_status first = judge_values(l, p, e), more = GS_OK;
  if (x->differ)
    more = tell(e, p->differ, x->place,
                gs_sprintf(&e->arena, "the standard fields contradict the "
                           "metadata gshard.*, %d time%s: %s", x->differ,
                           x->differ == 1 ? "" : "s", x->why),
                "--configuration " GS_CONFIGURATION " takes the fields as they "
                "are now; gshard-annotate without it takes the metadata and "
                "writes the fields again");
  if (!first) first = more;
  more = GS_OK;
  if (x->missing)
    more = tell(e, p->missing, x->bare,
                gs_sprintf(&e->arena, "%d sharding%s of the standard fields "
                           "%s gone; the metadata gshard.* have them",
                           x->missing, x->missing == 1 ? "" : "s",
                           x->missing == 1 ? "is" : "are"),
                "gshard-annotate writes them again; to drop shardings, remove "
                "the metadata too");
  return first ? first : more;
}
