#include "api/run/run_source.h"

#include <string.h>
#include <sys/stat.h>

#include "api/shard/load.h"
#include "base/data/hash.h"
#include "base/data/map.h"
#include "op/core/exchange_node.h"
#include "op/core/moves.h"
#include "pass/specialise.h"
#include "pass/prepare/turned.h"
#include "pass/prepare/upgrade.h"

/* Standard input, which only rank 0 has. */
static gs_status read_for_all(gs_arena *a, gs_world *w, gs_model **out,
                              gs_err *e) {
  const uint8_t *data = NULL;
  size_t n = 0;
  gs_status s = GS_OK;
  if (w->rank == 0) s = gs_slurp(a, "-", (size_t)1 << 31, &data, &n, e);
  uint64_t *head = GS_NEWS(a, 2, uint64_t);
  head[0] = (uint64_t)s;
  head[1] = n;
  GS_TRY(gs_world_bcast(w, head, 2 * sizeof *head, e));
  if (head[0] && w->rank)
    return gs_fail(e, (gs_status)head[0], "-", "rank 0 could not read it");
  GS_TRY(s);
  if (w->rank) data = gs_alloc(a, (size_t)head[1] + 1);
  GS_TRY(gs_world_bcast(w, (void *)(uintptr_t)data, head[1], e));
  return gs_model_parse(a, "-", data, (size_t)head[1], NULL, out, e);
}

/* Makes a program of the graph when the model says that it is one. */
static gs_status set_program(gs_arena *a, gs_source *s, gs_err *e) {
  const char *version = gs_model_meta(s->model, "gshard.program");
  const char *position = gs_model_meta(s->model, "gshard.position");
  if (position && !s->device) {
    gs_fail(e, GS_DATA, s->path, "is the graph of device %.20s of a plan",
            position);
    gs_err_hint(e, "gshard-run runs the plan: give its directory");
    return GS_DATA;
  }
  s->ndevice = 1;
  if (!version) return GS_OK;
  if (strcmp(version, GS_TEXT_OF(GS_PROGRAM_VERSION)))
    return gs_fail(e, GS_UNSUPPORTED, s->path,
                   "program version '%.20s'; this version runs %d", version,
                   GS_PROGRAM_VERSION);
  const char *text = gs_model_meta(s->model, "gshard.mesh");
  if (!text)
    return gs_fail(e, GS_DATA, s->path, "the program has no gshard.mesh");
  gs_mesh *m = GS_NEW(a, gs_mesh);
  GS_TRY(gs_mesh_parse(text, a, m, e));
  gs_graph_set_mesh(s->graph, m);
  s->ndevice = m->ndevice;
  return GS_OK;
}

/* Gives a device graph the plan's whole inputs and outputs. */
static gs_status add_border(gs_arena *a, const gs_plan *plan, gs_graph *g,
                            const char *path, gs_err *e) {
  int nin = plan->input.n, n = nin + plan->output.n;
  const gs_sharding **split = GS_NEWS(a, n + 1, const gs_sharding *);
  const int64_t **dims = GS_NEWS(a, n + 1, const int64_t *);
  for (int i = 0; i < n; i++) {
    const gs_plan_io *io =
        i < nin ? &plan->input.at[i] : &plan->output.at[i - nin];
    const gs_value *v = i < nin ? g->input.at[i] : g->output.at[i - nin];
    if (strcmp(io->name, v->name) || io->rank != v->rank)
      return gs_fail(e, GS_MISMATCH, path, "'%s' is '%s' in the plan",
                     v->name, io->name);
    dims[i] = io->dims;
    if (!gs_sharding_is_replicated(io->sharding)) split[i] = io->sharding;
  }
  return gs_pass_border(g, split, dims, split + nin, dims + nin, e);
}

/* Whether n is an exchange that sends nothing: plans do not list those. */
static bool stays_local(gs_arena *a, const gs_graph *g, const gs_node *n) {
  gs_exchange x;
  int dim;
  const gs_move_info *move = gs_move_of(n->op);
  return move && move->effect == GS_EFFECT_EXCHANGE &&
         !gs_node_exchange(a, n, g->mesh, &x, &dim, NULL) &&
         !gs_exchange_sent(g->mesh, &x);
}

/* Whether g communicates as the plan says.  All devices must do so in one
 * order, or they would wait for each other for ever. */
static gs_status check_collectives(gs_arena *a, const gs_plan *plan,
                                   const gs_graph *g, const char *path,
                                   gs_err *e) {
  int k = 0;
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    if (!gs_node_communicates(n)) continue;
    const gs_plan_collective *c =
        k < plan->collective.n ? &plan->collective.at[k] : NULL;
    const gs_value *y = gs_node_first(n);
    bool same = c && y && !strcmp(n->op_type, c->op) &&
                !strcmp(y->name, c->tensor);
    if (!same && stays_local(a, g, n)) continue;
    if (!same)
      return gs_fail(e, GS_MISMATCH, path, "%s is not collective %d of the "
                     "plan", gs_node_place(a, n), k);
    k++;
  }
  if (k == plan->collective.n) return GS_OK;
  return gs_fail(e, GS_MISMATCH, path, "%d collectives, but %d in the plan",
                 k, plan->collective.n);
}

/* Reads the graph of position p of the plan in dir. */
static gs_status read_graph(gs_arena *a, const gs_source *s, const char *dir,
                            int64_t p, gs_model **model, gs_err *e) {
  const gs_plan_file *f = &s->plan->file.at[p];
  bool one = s->plan->kind == GS_PLAN_DEVICE;
  GS_TRY(gs_run_need_file(a, dir, f->name, one ? p : 0,
                          one ? 1 : s->plan->mesh.ndevice, e));
  gs_model_sum sum = {f->size, f->hash};
  gs_model_options o;
  gs_model_options_init(&o);
  if (s->verify) o.sum = &sum;
  return gs_model_read(a, gs_sprintf(a, "%s/%s", dir, f->name), &o, model, e);
}

static gs_status verify_model(const gs_source *s, const gs_model *m,
                              const gs_graph *g, gs_err *e) {
  return s->verify ? gs_run_verify_model(s->verify, m, g, e) : GS_OK;
}

/* The graph of device position p, with whole inputs and outputs. */
static gs_status open_device(gs_arena *a, gs_source *s, int64_t p,
                             gs_model **model, gs_graph **g, gs_err *e) {
  const gs_plan *plan = s->plan;
  GS_TRY(read_graph(a, s, s->path, p, model, e));
  const char *path = gs_model_path(*model);
  const char *at = gs_model_meta(*model, "gshard.position");
  char want[24];
  snprintf(want, sizeof want, "%lld", (long long)p);
  if (!at || strcmp(at, want))
    return gs_fail(e, GS_MISMATCH, path,
                   "this is not the graph of device %lld", (long long)p);
  GS_TRY(gs_model_import(*model, g, e));
  GS_TRY(verify_model(s, *model, *g, e));
  gs_graph_set_mesh(*g, &plan->mesh);
  GS_TRY(gs_pass_upgrade(*g, e));
  GS_TRY(check_collectives(a, plan, *g, path, e));
  GS_TRY(gs_pass_infer(a, *g, &s->bind, e));
  GS_TRY(gs_model_need_data(*model, *g, e));
  if ((*g)->input.n != plan->input.n || (*g)->output.n != plan->output.n)
    return gs_fail(e, GS_MISMATCH, path,
                   "%d inputs and %d outputs, but %d and %d in the plan",
                   (*g)->input.n, (*g)->output.n, plan->input.n,
                   plan->output.n);
  return add_border(a, plan, *g, path, e);
}

static gs_status open_devices(gs_arena *a, gs_world *w, gs_source *s,
                              gs_err *e) {
  const gs_plan *plan = s->plan;
  s->ndevice = plan->mesh.ndevice;
  int64_t n = s->ndevice / (w ? w->nrank : 1);
  if (w) GS_TRY(gs_world_spread(w, s->ndevice, e));
  s->device = GS_NEWS(a, n, const gs_graph *);
  s->ndevice_here = (int)n;
  for (int64_t i = 0; i < n; i++) {
    int64_t p = (w ? w->rank * n : 0) + i;
    gs_model *model;
    gs_graph *g;
    GS_TRY(open_device(a, s, p, &model, &g, e));
    s->device[i] = g;
    if (i) continue;
    s->model = model;
    s->graph = g;
  }
  return GS_OK;
}

/* Those of this process; none where they cannot be spread. */
static gs_devices_here devices_here(const gs_plan *plan, const gs_world *w) {
  int64_t n = plan ? plan->mesh.ndevice : 0, ranks = w ? w->nrank : 1;
  if (n % ranks) return (gs_devices_here){0, 0};
  return (gs_devices_here){n / ranks * (w ? w->rank : 0), n / ranks};
}

/* The plan of a directory; NULL when path is none. */
static gs_status find_plan(gs_arena *a, const char *path, bool verify,
                           gs_plan **out, gs_err *e) {
  struct stat st;
  *out = NULL;
  if (!strcmp(path, "-") || stat(path, &st) || !S_ISDIR(st.st_mode))
    return GS_OK;
  return gs_plan_read(a, gs_sprintf(a, "%s/plan.yaml", path), verify,
                      out, e);
}

static bool same_io(const gs_value *v, const gs_plan_io *io) {
  return !strcmp(v->name, io->name) && v->dtype == io->dtype &&
         v->rank == io->rank &&
         (v->rank <= 0 ||
          !memcmp(v->dims, io->dims, (size_t)v->rank * sizeof *v->dims));
}

/* Whether the program of a plan is the one that it was written with. */
static gs_status check_program(gs_arena *a, const gs_plan *plan,
                               const gs_source *s, gs_err *e) {
  const gs_graph *g = s->graph;
  gs_buf want, got;
  gs_buf_init(&want, a);
  gs_buf_init(&got, a);
  gs_mesh_print(&want, &plan->mesh);
  if (g->mesh) gs_mesh_print(&got, g->mesh);
  bool same = g->mesh && !strcmp(want.at, got.at) &&
              g->input.n == plan->input.n && g->output.n == plan->output.n;
  for (int i = 0; same && i < g->input.n; i++)
    same = same_io(g->input.at[i], &plan->input.at[i]);
  for (int i = 0; same && i < g->output.n; i++)
    same = same_io(g->output.at[i], &plan->output.at[i]);
  if (same) return GS_OK;
  return gs_fail(e, GS_MISMATCH, s->path,
                 "this is not the program of the plan: its mesh, inputs or "
                 "outputs differ");
}

/* The graph or the graphs of a plan. */
static gs_status open_plan(gs_arena *a, gs_world *w, gs_source *s,
                           gs_err *e) {
  if (s->plan->kind == GS_PLAN_DEVICE) return open_devices(a, w, s, e);
  GS_TRY(read_graph(a, s, s->path, 0, &s->model, e));
  s->path = gs_model_path(s->model);
  GS_TRY(gs_model_import(s->model, &s->graph, e));
  GS_TRY(set_program(a, s, e));
  return check_program(a, s->plan, s, e);
}

static gs_status open_file(gs_arena *a, gs_world *w, gs_source *s,
                           gs_err *e) {
  if (w && w->nrank > 1 && !strcmp(s->path, "-"))
    GS_TRY(read_for_all(a, w, &s->model, e));
  else GS_TRY(gs_model_read(a, s->path, NULL, &s->model, e));
  GS_TRY(gs_model_import(s->model, &s->graph, e));
  return set_program(a, s, e);
}

/* A file of a plan that is nothing without the others. */
static gs_status check_alone(gs_arena *a, const char *path, gs_err *e) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const char *dir = !slash ? "." : slash == path
                        ? "/" : gs_strndup(a, path, (size_t)(slash - path));
  const char *const *owned;
  size_t len = strlen(name);
  if (len > 5 && !strcmp(name + len - 5, ".onnx")) return GS_OK;
  int n;
  GS_TRY(gs_plan_owned(a, dir, &owned, &n, e));
  for (int i = 0; i < n; i++) {
    if (strcmp(owned[i], name)) continue;
    gs_fail(e, GS_DATA, path, "is a file of a plan");
    gs_err_hint(e, "the plan is its directory: %s", dir);
    return GS_DATA;
  }
  return GS_OK;
}

/* ---- state ---- */

static int find_by_name(const gs_value *const *at, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (!strcmp(at[i]->name, name)) return i;
  return -1;
}

/* What a plan has recorded. */
static void state_of_plan(gs_arena *a, const gs_plan *p, const gs_graph *g,
                          gs_states *out) {
  const gs_value *const *in = (const gs_value *const *)g->input.at;
  const gs_value *const *made = (const gs_value *const *)g->output.at;
  *out = (gs_states){.at = GS_NEWS(a, p->input.n + 1, gs_state), .filled = -1};
  for (int i = 0; i < p->input.n; i++) {
    const gs_plan_io *io = &p->input.at[i];
    gs_state s = {.in = find_by_name(in, g->input.n, io->name),
                  .size = io->size};
    if (s.in < 0) continue;
    if (io->filled) {
      out->filled = s.in;
      out->step = io->filled;
    }
    s.out = io->state ? find_by_name(made, g->output.n, io->state) : -1;
    if (s.out >= 0) out->at[out->n++] = s;
  }
}

/* The caches of a plain model that was annotated with a size have it here too.
 */
static gs_status find_state(gs_arena *a, gs_source *s, gs_err *e) {
  gs_states recorded;
  if (s->plan) state_of_plan(a, s->plan, s->graph, &recorded);
  else gs_load_states(a, s->model, s->graph, &recorded);
  GS_TRY(gs_pass_states(a, NULL, &recorded, s->graph, &s->state, e));
  if (s->plan || s->graph->mesh) return GS_OK;
  return gs_pass_cache(a, s->graph, &s->state, &s->bind, &s->cache, e);
}

static gs_status open_graph(gs_arena *a, gs_world *w, gs_source *s,
                            gs_err *e) {
  gs_bindings_init(&s->bind, a);
  GS_TRY(s->plan ? open_plan(a, w, s, e) : open_file(a, w, s, e));
  if (!s->device) {
    GS_TRY(verify_model(s, s->model, s->graph, e));
    GS_TRY(gs_pass_upgrade(s->graph, e));
  }
  GS_TRY(find_state(a, s, e));
  s->input = GS_NEWS(a, s->graph->input.n, const gs_dyn *);
  s->varies = GS_NEWS(a, s->graph->input.n, bool);
  s->made = GS_NEWS(a, s->graph->input.n, bool);
  return GS_OK;
}

gs_status gs_source_open(gs_arena *a, gs_world *w, const char *path,
                         bool verify, gs_source *s, gs_err *e) {
  *s = (gs_source){.path = path, .dir = path, .no_verify = !verify};
  gs_busy_with(path);
  gs_plan *plan;
  GS_TRY(find_plan(a, path, verify, &plan, e));
  s->plan = plan;
  if (!plan) GS_TRY(check_alone(a, path, e));
  if (plan || verify)
    GS_TRY(gs_run_verify_new(a, path, plan, devices_here(plan, w), verify,
                             &s->verify, e));
  return open_graph(a, w, s, e);
}

gs_status gs_source_open_next(gs_arena *a, gs_world *w, const gs_source *first,
                              const gs_plan *plan, gs_source *s, gs_err *e) {
  *s = (gs_source){.path = first->dir, .dir = first->dir, .plan = plan,
                   .no_verify = first->no_verify, .verify = first->verify};
  return open_graph(a, w, s, e);
}

gs_status gs_source_find(const gs_source *s, const char *name, int *out,
                         gs_err *e) {
  const gs_graph *g = s->graph;
  if (!name && g->input.n != 1)
    return gs_fail(e, GS_USAGE, s->path,
                   "the model has %d inputs: write NAME=FILE", g->input.n);
  for (int i = 0; i < g->input.n; i++) {
    if (name && strcmp(g->input.at[i]->name, name)) continue;
    *out = i;
    return GS_OK;
  }
  gs_fail(e, GS_USAGE, s->path, "the model has no input '%s'", name);
  for (int i = 0; i < g->input.n; i++)
    if (gs_edit_distance(name, g->input.at[i]->name, 3) < 3) {
      gs_err_hint(e, "did you mean '%s'?", g->input.at[i]->name);
      break;
    }
  return GS_USAGE;
}

gs_status gs_source_give(gs_source *s, const char *name, const gs_dyn *b,
                         gs_err *e) {
  int i;
  GS_TRY(gs_source_find(s, name, &i, e));
  s->input[i] = b;
  return GS_OK;
}

/* Binds the symbolic dims of input v by t. */
static gs_status bind_input(gs_arena *a, gs_source *s, const gs_value *v,
                            const gs_tensor *t, gs_err *e) {
  if (v->rank >= 0 && v->rank != t->rank)
    return gs_fail(e, GS_DATA, v->name,
                   "the given tensor has rank %d, but the model expects %d",
                   t->rank, v->rank);
  for (int d = 0; d < v->rank; d++) {
    if (v->dims[d] >= 0) continue;
    const char *name = v->dim_names ? v->dim_names[d] : NULL;
    if (!name) name = gs_sprintf(a, "%s:%d", v->name, d);
    int64_t n;
    if (gs_bindings_get(&s->bind, name, &n) && n != t->dims[d])
      return gs_fail(e, GS_DATA, v->name,
                     "dim %d ('%s') is %lld here and %lld elsewhere", d, name,
                     (long long)t->dims[d], (long long)n);
    GS_TRY(gs_bindings_put(&s->bind, name, t->dims[d], e));
  }
  return GS_OK;
}

enum { MAX_SHAPE = 1024 }; /* elements of an input that decides a shape */

/* Makes a given input a constant when it may decide shapes. */
static void fix_input(const gs_source *s, gs_value *v, const gs_tensor *t) {
  char c = gs_dtype_get((int)t->dtype)->cls;
  bool integer = c == 'i' || c == 'u';
  if (t->dtype != v->dtype || t->rank > 1 || gs_tensor_count(t) > MAX_SHAPE)
    return;
  if (integer || (s->fixed && t->rank == 0)) v->constant = t;
}

gs_status gs_source_infer(gs_arena *a, gs_source *s, const gs_bindings *more,
                          gs_err *e) {
  int turned = 0;
  if (s->device) return GS_OK;
  const char *const *names;
  const int64_t *values;
  int n;
  GS_TRY(gs_model_binds(s->model, a, &names, &values, &n, e));
  for (int i = 0; i < n; i++)
    GS_TRY(gs_bindings_put(&s->bind, names[i], values[i], e));
  /* A program has no symbolic dims; --bind is then for the --check model. */
  for (int i = 0; more && !s->graph->mesh && i < more->map.n; i++) {
    int64_t size = 0;
    gs_bindings_get(more, more->map.entry[i].key, &size);
    GS_TRY(gs_bindings_put(&s->bind, more->map.entry[i].key, size, e));
  }
  for (int i = 0; i < s->graph->input.n; i++)
    if (s->input[i]) {
      gs_value *v = s->graph->input.at[i];
      if (v->kind != GS_TENSOR || s->input[i]->kind != GS_TENSOR) continue;
      GS_TRY(bind_input(a, s, v, &s->input[i]->t, e));
      if (!s->graph->mesh && !s->varies[i]) fix_input(s, v, &s->input[i]->t);
    }
  GS_TRY(gs_pass_cache_lengths(a, s->graph, &s->cache, &s->bind, e));
  GS_TRY(gs_pass_infer(a, s->graph, &s->bind, e));
  GS_TRY(gs_pass_cache_hide(a, s->graph, &s->state, &s->cache, &s->bind, e));
  return s->graph->mesh ? GS_OK : gs_pass_turned(s->graph, &turned, e);
}

/* ---- what ranks have in common ---- */

static uint64_t graph_hash(const gs_graph *g) {
  gs_arena a;
  gs_buf b;
  gs_arena_init(&a);
  gs_buf_init(&b, &a);
  gs_graph_print(&b, g);
  uint64_t h = gs_hash(b.at, b.n, 0);
  gs_arena_free(&a);
  return h;
}

/* Adds the external files of a model, as far as they are looked at: those
 * whose hashes the model has are compared with these. */
static gs_status add_files(const gs_source *s, uint64_t *h, gs_err *e) {
  const char *location;
  gs_file *f;
  gs_status status = GS_OK;
  gs_arena a;
  gs_arena_init(&a);
  for (int i = 0; gs_model_file_at(s->model, i, &location, &f); i++) {
    if (!f) continue;
    *h = gs_hash(&f->size, sizeof f->size, *h);
    if (s->no_verify ||
        gs_model_meta(s->model, gs_sprintf(&a, GS_KEY_FILE "%s", location)))
      continue;
    gs_buf b;
    gs_sums sums;
    gs_buf_init(&b, &a);
    status = gs_sums_of(&a, f, true, NULL, &sums, e);
    if (status) break;
    gs_sums_print(&b, &sums);
    *h = gs_hash(b.at, b.n, *h);
  }
  gs_arena_free(&a);
  return status;
}

gs_status gs_source_digest(const gs_source *s, uint64_t *out, gs_err *e) {
  if (!s->plan) {
    *out = s->no_verify ? graph_hash(s->graph) : gs_model_hash(s->model);
    return add_files(s, out, e);
  }
  *out = s->plan->hash;
  if (!s->no_verify || s->device) return GS_OK;
  uint64_t h = gs_model_hash(s->model);
  *out = gs_hash(&h, sizeof h, *out);
  return add_files(s, out, e);
}
