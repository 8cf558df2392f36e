/* gs_runner of gshard.h: from opening to running. */
#include "api/run/runner.h"

#include <stdlib.h>

#include "api/run/steps.h"
#include "api/shard/sharder.h"
#include "base/assert.h"
#include "base/data/clock.h"
#include "base/isa.h"
#include "base/math.h"

/* ---- making ---- */

/* Each of these processes would do all the work. */
static gs_status no_threads(int n, gs_err *e) {
  gs_fail(e, GS_USAGE, NULL,
          "--transport threads, but the launcher started %d processes", n);
  gs_err_hint(e, "leave the option out, or start one process");
  return GS_USAGE;
}

/* Also a rank that is told to use threads joins the others: they would wait
 * for it. */
static gs_status join(gs_runner *r, gs_err *e) {
  gs_transport t = r->o.transport;
  bool alone = t == GS_TRANSPORT_ALONE, given = t != GS_TRANSPORT_LAUNCHED;
  int rank, started = gs_world_started(&rank);
  if (t == GS_TRANSPORT_THREADS) return GS_OK;
  if ((alone || !given) &&
      (!gs_world_launched() || (alone && started == 1)))
    return GS_OK;
  gs_err why;
  gs_err_init(&why);
  gs_status s = gs_world_init(&r->arena, r->o.timeout, &r->w, &why);
  if ((s != GS_UNSUPPORTED || !alone) && e) gs_err_move(e, &why);
  gs_err_free(&why);
  if (s == GS_UNSUPPORTED) { /* a build without MPI: all say the same */
    r->silent = rank > 0;
    if (alone) return started <= 1 ? GS_OK : no_threads(started, e);
    if (!given) gs_err_hint(e, "started without mpirun, devices are threads");
  }
  GS_TRY(s);
  if (!alone) return GS_OK;
  if (gs_runner_many(r)) return no_threads(r->w->nrank, e);
  gs_world *one = r->w;
  r->w = NULL;
  return gs_world_finalize(one, e);
}

/* Options as our own copies. */
static void keep_options(gs_runner *r) {
  gs_arena *a = &r->arena;
  gs_runner_options *o = &r->o;
  const char **bind = GS_NEWS(a, o->nbind, const char *);
  gs_pair *range = GS_NEWS(a, o->nrange, gs_pair);
  for (int i = 0; i < o->nbind; i++) bind[i] = gs_strdup(a, o->bind[i]);
  for (int i = 0; i < o->nrange; i++)
    range[i] = (gs_pair){gs_strdup(a, o->range[i].name),
                         gs_strdup(a, o->range[i].value)};
  o->bind = bind;
  o->range = range;
}

static gs_status start(gs_runner *r, gs_err *e) {
  GS_TRY(gs_isa_check(e));
  keep_options(r);
  gs_buf_init(&r->text, &r->arena);
  gs_buf_init(&r->json, &r->arena);
  return join(r, e);
}

static gs_status guarded_start(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, start(r, e));
}

gs_status gs_runner_new(const gs_runner_options *options, gs_runner **out,
                        gs_err *e) {
  gs_runner_options o;
  *out = NULL;
  GS_TRY(gs_options_take(&o, sizeof o, options, "gs_runner_options", e));
  gs_runner *r = *out = gs_object_new(sizeof *r, e);
  if (!r) return GS_RESOURCE;
  r->o = o;
  gs_blocks_init(&r->own_blocks);
  r->blocks = &r->own_blocks;
  gs_arena_init(&r->arena);
  gs_arena_init(&r->results);
  gs_status s = guarded_start(r, e);
  if (s == GS_RESOURCE) {
    gs_runner_free(r);
    *out = NULL;
  }
  return s;
}

void gs_runner_free(gs_runner *r) {
  if (!r) return;
  gs_run_verify_end(r->source.verify);
  if (r->nprogram) gs_runner_switch(r, 0);
  for (int i = r->nprogram - 1; i > 0; i--) gs_exec_free(r->program[i].exec);
  gs_exec_free(r->exec);
  if (r->steps) gs_steps_abandon(r->steps);
  if (r->steps) gs_arena_free(&r->steps->one);
  gs_arena_free(&r->results);
  gs_arena_free(&r->arena);
  gs_blocks_free(&r->own_blocks);
  free(r);
}

/* ---- opening ---- */

static gs_status begin(gs_runner *r, gs_err *e) {
  if (r->opened)
    return gs_fail(e, GS_USAGE, NULL, "a gs_runner opens one program");
  r->opened = true;
  gs_bindings_init(&r->bind, &r->arena);
  for (int i = 0; i < r->o.nbind; i++)
    GS_TRY(gs_bindings_parse(&r->bind, r->o.bind[i], e));
  r->in = (gs_run_inputs){.a = &r->arena,
                          .source = &r->source,
                          .many = gs_runner_many(r),
                          .made_up = r->o.random,
                          .random = {.seed = r->o.seed},
                          .range = r->o.range,
                          .nrange = r->o.nrange};
  return GS_OK;
}

void gs_runner_switch(gs_runner *r, int k) {
  gs_assert(k >= 0 && k < r->nprogram);
  if (k == r->now) return;
  r->program[r->now] = (gs_run_program){r->source, r->exec};
  r->source = r->program[k].source;
  r->exec = r->program[k].exec;
  r->now = k;
}

/* The programs of the other bindings. */
static gs_status open_more(gs_runner *r, gs_err *e) {
  const gs_plan *p = r->source.plan;
  if (!p || !p->next) return GS_OK;
  int n = 1;
  for (p = p->next; p; p = p->next) n++;
  r->program = GS_NEWS(&r->arena, n, gs_run_program);
  p = r->source.plan->next;
  for (int i = 1; i < n; i++, p = p->next)
    GS_TRY(gs_source_open_next(&r->arena, r->w, &r->source, p,
                               &r->program[i].source, e));
  r->nprogram = n;
  return GS_OK;
}

static gs_status open_path(gs_runner *r, const char *path, gs_err *e) {
  GS_TRY(begin(r, e));
  GS_TRY(gs_source_open(&r->arena, r->w, gs_strdup(&r->arena, path),
                        !r->o.no_verify, &r->source, e));
  return open_more(r, e);
}

gs_status gs_runner_open(gs_runner *r, const char *path, gs_err *e) {
  GS_CALL(r->blocks, e, open_path(r, path, e));
}

static gs_status open_sharder(gs_runner *r, gs_sharder *s, gs_err *e) {
  GS_TRY(begin(r, e));
  GS_TRY(gs_sharder_need(s, GS_STAGE_PARTITIONED, "gs_runner_open_sharder",
                         e));
  if (r->w)
    return gs_fail(e, GS_UNSUPPORTED, NULL, "ranks run plans and files");
  r->source.path = gs_model_path(s->model.model);
  r->source.of_sharder = true;
  r->source.model = s->model.model;
  r->source.graph = s->made.program;
  r->source.ndevice = s->made.program->mesh->ndevice;
  r->source.state = s->model.state;
  gs_bindings_init(&r->source.bind, &r->arena);
  r->source.input =
      GS_NEWS(&r->arena, s->made.program->input.n, const gs_dyn *);
  r->source.varies = GS_NEWS(&r->arena, s->made.program->input.n, bool);
  r->source.made = GS_NEWS(&r->arena, s->made.program->input.n, bool);
  return GS_OK;
}

gs_status gs_runner_open_sharder(gs_runner *r, gs_sharder *s, gs_err *e) {
  r->blocks = &s->blocks; /* what passes over its graph makes is its own */
  GS_CALL(r->blocks, e, open_sharder(r, s, e));
}

int64_t gs_runner_devices(const gs_runner *r) { return r->source.ndevice; }

int gs_runner_inputs(const gs_runner *r) {
  return r->source.graph ? r->source.graph->input.n : 0;
}

int gs_runner_outputs(const gs_runner *r) {
  return r->source.graph ? r->source.graph->output.n : 0;
}

const char *gs_runner_input_name(const gs_runner *r, int i) {
  return i >= 0 && i < gs_runner_inputs(r) ? r->source.graph->input.at[i]->name
                                           : NULL;
}

const char *gs_runner_output_name(const gs_runner *r, int i) {
  return i >= 0 && i < gs_runner_outputs(r)
             ? r->source.graph->output.at[i]->name
             : NULL;
}

const int64_t *gs_runner_common_dims(gs_arena *a, const gs_runner *r, int i) {
  const gs_value *v = r->source.graph->input.at[i];
  int64_t *dims = gs_memdup(a, v->dims, (size_t)v->rank * sizeof *v->dims);
  for (int k = 0; k < r->nprogram; k++) {
    const gs_source *s = gs_runner_source(r, k);
    const gs_value *w = s->graph->input.at[i];
    for (int d = 0; d < v->rank; d++)
      if (dims[d] != w->dims[d]) dims[d] = -1;
  }
  return dims;
}

static gs_status input_type(const gs_runner *r, int i, gs_array *out,
                            gs_err *e) {
  if (!gs_runner_input_name(r, i))
    return gs_fail(e, GS_USAGE, NULL, "there is no input %d", i);
  const gs_value *v = r->source.graph->input.at[i];
  if (v->kind != GS_TENSOR || v->rank < 0)
    return gs_fail(e, GS_UNSUPPORTED, v->name,
                   "this input is %s, not an array of known rank",
                   gs_kind_text(v->kind));
  *out = (gs_array){.dtype = v->dtype, .rank = v->rank, .dims = v->dims};
  if (!r->nprogram) return GS_OK;
  gs_arena *a = (gs_arena *)(uintptr_t)&r->arena;
  out->dims = gs_runner_common_dims(a, r, i);
  return GS_OK;
}

gs_status gs_runner_input_type(const gs_runner *r, int i, gs_array *out,
                               gs_err *e) {
  *out = (gs_array){0};
  GS_CALL(r->blocks, e, input_type(r, i, out, e));
}

/* ---- inputs ---- */

static gs_status need_source(const gs_runner *r, const char *what, gs_err *e) {
  if (r->source.input) return GS_OK;
  return gs_fail(e, GS_USAGE, NULL, "%s comes after gs_runner_open", what);
}

static gs_status need_early(const gs_runner *r, const char *what, gs_err *e) {
  GS_TRY(need_source(r, what, e));
  if (!r->exec) return GS_OK;
  return gs_fail(e, GS_USAGE, NULL, "%s comes before gs_runner_compile", what);
}

static gs_status input(gs_runner *r, const char *name, const gs_array *x,
                       gs_err *e) {
  gs_arena *a = &r->arena;
  int at;
  GS_TRY(need_source(r, "gs_runner_input", e));
  GS_TRY(gs_source_find(&r->source, name, &at, e));
  name = r->source.graph->input.at[at]->name;
  if (x->rank < 0 || x->dtype <= GS_UNDEFINED || x->dtype >= GS_NDTYPE ||
      x->dtype == GS_STRING)
    return gs_fail(e, GS_USAGE, name, "the array is of no type or rank that "
                   "an array can have");
  gs_tensor *t = GS_NEW(a, gs_tensor);
  *t = (gs_tensor){.name = name, .dtype = x->dtype, .rank = x->rank,
                   .data = x->data, .nbytes = x->nbytes};
  t->dims = gs_memdup(a, x->dims, (size_t)x->rank * sizeof *x->dims);
  int64_t n = gs_tensor_count(t);
  if (n < 0 || gs_dtype_bytes((int)x->dtype, n) != (int64_t)x->nbytes)
    return gs_fail(e, GS_USAGE, name, "%zu bytes are not those of %s",
                   x->nbytes, gs_shape_text(a, t->dtype, t->rank, t->dims));
  r->source.input[at] = gs_dyn_of(a, t);
  if (!r->exec) return GS_OK;
  return gs_exec_give(r->exec, name, r->source.input[at], e);
}

gs_status gs_runner_input(gs_runner *r, const char *name, const gs_array *x,
                          gs_err *e) {
  GS_CALL(r->blocks, e, input(r, name, x, e));
}

static gs_status input_file(gs_runner *r, const char *name, const char *path,
                            gs_err *e) {
  GS_TRY(need_early(r, "gs_runner_input_file", e));
  return gs_run_input_file(&r->in, name, path, e);
}

gs_status gs_runner_input_file(gs_runner *r, const char *name,
                               const char *path, gs_err *e) {
  GS_CALL(r->blocks, e, input_file(r, name, path, e));
}

static gs_status input_folder(gs_runner *r, const char *dir, gs_err *e) {
  GS_TRY(need_early(r, "gs_runner_input_folder", e));
  return gs_run_input_folder(&r->in, dir, e);
}

gs_status gs_runner_input_folder(gs_runner *r, const char *dir, gs_err *e) {
  GS_CALL(r->blocks, e, input_folder(r, dir, e));
}

/* Whether program k has the inputs that were given; *at: the first that it has
 * not. */
static bool takes(gs_runner *r, int k, int *at) {
  const gs_graph *g = r->source.graph;
  const gs_graph *h = gs_runner_source(r, k)->graph;
  for (int i = 0; i < g->input.n; i++) {
    const gs_dyn *b = r->source.input[i];
    const gs_value *v = h->input.at[i];
    *at = i;
    if (!b || b->kind != GS_TENSOR || v->rank < 0) continue;
    if (b->t.rank != v->rank || !gs_same_dims(b->t.dims, v->dims, v->rank))
      return false;
  }
  return true;
}

/* By the shapes of the inputs, before any of them is compiled. */
static gs_status choose_program(gs_runner *r, gs_err *e) {
  int at = 0, first = 0;
  for (int k = 0; k < r->nprogram; k++) {
    if (!takes(r, k, &at)) {
      if (!k) first = at;
      continue;
    }
    const gs_dyn **given = r->source.input;
    gs_runner_switch(r, k);
    if (k) r->source.input = given;
    return GS_OK;
  }
  return gs_runner_no_binding(r, first, &r->source.input[first]->t, e);
}

gs_status gs_runner_no_binding(gs_runner *r, int i, const gs_tensor *t,
                               gs_err *e) {
  gs_buf b;
  gs_buf_init(&b, &r->arena);
  for (int k = 0; k < r->nprogram; k++) {
    const gs_source *s = gs_runner_source(r, k);
    const gs_value *v = s->graph->input.at[i];
    gs_buf_printf(&b, "%s%s of '%s'", k ? ", " : "",
                  gs_shape_text(&r->arena, v->dtype, v->rank, v->dims),
                  s->plan->binding);
  }
  return gs_fail(e, GS_DATA, r->source.graph->input.at[i]->name,
                 "the input is %s, which fits no binding: %s",
                 gs_shape_text(&r->arena, t->dtype, t->rank, t->dims), b.at);
}

/* The source that is the current one. */
static gs_status prepare_source(gs_runner *r, gs_err *e) {
  r->source.fixed = r->o.keep_inputs;
  if (!r->source.of_sharder)
    GS_TRY(gs_source_infer(&r->arena, &r->source, &r->bind, e));
  GS_TRY(gs_model_need_data(r->source.model, r->source.graph, e));
  return gs_run_make_missing(&r->in, e);
}

/* Steps may run any of the programs: what is given, or the run makes, is so for
 * all of them. */
static gs_status prepare_all(gs_runner *r, gs_err *e) {
  gs_source first = r->source;
  size_t n = (size_t)first.graph->input.n;
  for (int k = 0; k < r->nprogram; k++) {
    gs_runner_switch(r, k);
    r->source.made = first.made;
    r->source.varies = first.varies;
    r->source.input = gs_memdup(&r->arena, first.input,
                                n * sizeof *first.input);
    GS_TRY(prepare_source(r, e));
  }
  gs_runner_switch(r, 0);
  return GS_OK;
}

static gs_status prepare(gs_runner *r, gs_err *e) {
  GS_TRY(need_source(r, "gs_runner_prepare", e));
  if (r->prepared) return GS_OK;
  r->prepared = true;
  GS_TRY(gs_run_check_ranges(&r->in, e));
  if (r->nprogram && r->steps) return prepare_all(r, e);
  if (r->nprogram) GS_TRY(choose_program(r, e));
  return prepare_source(r, e);
}

gs_status gs_runner_prepare(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, prepare(r, e));
}

/* ---- running ---- */

gs_status gs_runner_exec(gs_runner *r, const gs_source *s, gs_world *w,
                         gs_exec **out, gs_err *e) {
  const gs_graph *g = s->graph;
  gs_exec_config config = {.graph = s->device ? s->device : &g,
                           .ngraph = s->device ? s->ndevice_here : 1,
                           .ndevice = s->ndevice,
                           .world = w,
                           .threads = r->o.threads,
                           .timeout = r->o.timeout,
                           .bind_to = r->o.bind_to,
                           .no_huge_pages = r->o.no_huge_pages,
                           .no_prefault = r->o.no_prefault,
                           .apart = r->o.no_fusion,
                           .verify = r->o.verify};
  if (s == &r->source) {
    config.timed = r->o.profile;
    config.traced = r->o.trace;
  }
  if (r->steps && s == &r->source) {
    config.tie = r->steps->tie;
    config.ntie = r->steps->ntie;
    config.base = r->now ? r->program[0].exec : NULL;
    config.to_come = r->now < r->nprogram - 1;
  }
  if (s->verify) config.reads = gs_run_verify_reads;
  config.user = s->verify;
  GS_TRY(gs_exec_new(&config, out, e));
  for (int i = 0; i < g->input.n; i++)
    if (s->input[i])
      GS_TRY(gs_exec_give(*out, g->input.at[i]->name, s->input[i], e));
  return GS_OK;
}

static gs_status compile(gs_runner *r, gs_err *e) {
  if (r->exec)
    return gs_fail(e, GS_USAGE, NULL, "a gs_runner is compiled once");
  if (!r->prepared) GS_AGREE(r, prepare(r, e));
  if (r->steps) GS_AGREE(r, gs_steps_check_made(r, e));
  if (r->w) GS_AGREE(r, gs_world_share(r->w, &r->arena, 0, e));
  int n = r->steps ? r->nprogram : 0;
  for (int k = 0; k < gs_max(1, n); k++) {
    if (n) gs_runner_switch(r, k);
    GS_AGREE(r, gs_runner_exec(r, &r->source, r->w, &r->exec, e));
  }
  if (n) gs_runner_switch(r, 0);
  return GS_OK;
}

gs_status gs_runner_compile(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, compile(r, e));
}

gs_status gs_runner_once(gs_runner *r, double *seconds, gs_err *e) {
  double start = gs_now();
  gs_status s = gs_exec_run(r->exec, e);
  double took = gs_now() - start;
  if (seconds) *seconds = took;
  r->runs++;
  r->ran += took;
  r->weights += (double)gs_exec_weights(r->exec);
  s = gs_run_verify_blame(r->source.verify, s, e);
  if (s) r->torn = true; /* others may wait for this rank */
  return s;
}

gs_status gs_runner_need_exec(const gs_runner *r, const char *what,
                              gs_err *e) {
  if (r->exec) return GS_OK;
  return gs_fail(e, GS_USAGE, NULL, "%s comes after gs_runner_compile", what);
}

static gs_status run(gs_runner *r, double *seconds, gs_err *e) {
  GS_TRY(gs_runner_need_exec(r, "gs_runner_run", e));
  r->output = NULL;
  return gs_runner_once(r, seconds, e);
}

gs_status gs_runner_run(gs_runner *r, double *seconds, gs_err *e) {
  GS_CALL(r->blocks, e, run(r, seconds, e));
}

static gs_status verify(gs_runner *r, gs_err *e) {
  GS_AGREE(r, gs_run_verify_wait(r->source.verify, e));
  return GS_OK;
}

gs_status gs_runner_verify(gs_runner *r, gs_err *e) {
  GS_CALL(r->blocks, e, verify(r, e));
}

gs_status gs_runner_collect(gs_exec *x, gs_arena *a, const gs_graph *g,
                            gs_dyn ***out, gs_err *e) {
  gs_dyn **all = GS_NEWS(a, g->output.n, gs_dyn *);
  for (int i = 0; i < g->output.n; i++)
    GS_TRY(gs_exec_result(x, a, i, &all[i], e));
  *out = all;
  return GS_OK;
}

gs_status gs_runner_results(gs_runner *r, gs_err *e) {
  GS_TRY(gs_runner_need_exec(r, "gs_runner_output", e));
  if (r->output) return GS_OK;
  GS_TRY(verify(r, e));
  gs_arena_reset(&r->results);
  GS_AGREE(r, gs_runner_collect(r->exec, &r->results, r->source.graph,
                                &r->output, e));
  return GS_OK;
}

static gs_status output(gs_runner *r, int i, gs_array *out, gs_err *e) {
  GS_TRY(gs_runner_results(r, e));
  if (i < 0 || i >= gs_runner_outputs(r))
    return gs_fail(e, GS_USAGE, NULL, "there is no output %d", i);
  const gs_dyn *b = r->output[i];
  if (!b || !gs_runner_first(r)) return GS_OK;
  if (b->kind != GS_TENSOR || b->t.dtype == GS_STRING)
    return gs_fail(e, GS_UNSUPPORTED, gs_runner_output_name(r, i),
                   "is %s, not an array of numbers",
                   gs_dyn_text(&r->results, b));
  *out = (gs_array){.dtype = b->t.dtype, .rank = b->t.rank,
                    .dims = b->t.dims, .data = b->t.data,
                    .nbytes = (size_t)b->t.nbytes};
  return GS_OK;
}

gs_status gs_runner_output(gs_runner *r, int i, gs_array *out, gs_err *e) {
  *out = (gs_array){0};
  GS_CALL(r->blocks, e, output(r, i, out, e));
}
