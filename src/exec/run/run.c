#include "exec/run/exec.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/escape.h"
#include "base/math.h"
#include "exec/run/crew.h"
#include "exec/compile/program_check.h"
#include "exec/data/aligned.h"
#include "exec/step/step.h"

static const gs_program *program_of(const gs_exec *x, int64_t i) {
  return x->program[x->config.ngraph == 1 ? 0 : i];
}

/* ---- all devices at once ---- */

typedef gs_status device_fn(gs_device *d);

/* What the threads are to do. */
typedef struct task {
  gs_exec *x;
  device_fn *fn;
} task;

/* The thread has no place of its own to leave for without memory. */
static gs_status one_guarded(const task *t, gs_device *d) {
  GS_CALL(t->x->blocks, &d->err, t->fn(d));
}

static void one_device(void *ctx, int64_t i) {
  const task *t = ctx;
  gs_device *d = &t->x->device[i];
  /* Whoever made this thread may have been bound elsewhere.  What it allocates
   * and touches first then lies near its processors. */
  if (t->x->pins.bound) gs_cpus_bind(&t->x->pins.device[i].cpus);
  gs_status s = one_guarded(t, d);
  if (!s) return;
  int64_t none = 0;
  atomic_compare_exchange_strong(&t->x->failed, &none, i + 1);
  d->comm->ops->fail(d->comm);
}

/* Calls fn for every device, each on a thread of its own; the diagnostics of
 * the first that failed go to e. */
static gs_status all_devices(gs_exec *x, device_fn *fn, gs_err *e) {
  task t = {x, fn};
  atomic_store(&x->failed, 0);
  gs_busy_with("the threads of the devices");
  gs_status ran = gs_crew_run(x->n, x->device[0].threads, one_device, &t, e);
  if (x->pins.bound) gs_cpus_bind(&x->pins.allowed); /* it was device 0's */
  GS_TRY(ran);
  gs_busy_with(NULL);
  int64_t who = atomic_load(&x->failed) - 1;
  for (int64_t i = 0; who < 0 && i < x->n; i++)
    if (x->device[i].err.first) who = i;
  if (who < 0) return GS_OK;
  const gs_err *from = &x->device[who].err;
  for (int i = 0; i < from->n; i++) {
    const gs_diag *g = &from->diag[i];
    if (g->warning) gs_warn(e, g->place, "%s", g->text);
    else gs_fail(e, g->code, g->place, "%s", g->text);
    if (g->hint) gs_err_hint(e, "%s", g->hint);
  }
  return from->first;
}

/* ---- loading ---- */

static gs_status map_regions(const gs_program *p, gs_err *e);

static gs_status map_region(const gs_program *p, gs_err *e) {
  for (int i = 0; i < p->g->value.n; i++) {
    const gs_value *v = p->g->value.at[i];
    if (!v->constant || gs_value_dynamic(v) || p->buffer[i].root != i) continue;
    if (!gs_data_of(v->constant)) return gs_data_missing(v, v->constant, e);
  }
  return map_regions(p, e);
}

/* Maps the constants of the regions within p: all devices read them at once
 * when they are prepared. */
static gs_status map_regions(const gs_program *p, gs_err *e) {
  for (int i = 0; i < p->step.n; i++) {
    const gs_step *s = &p->step.at[i];
    for (int k = 0; s->region && k < s->node->nattr; k++)
      if (s->region[k]) GS_TRY(map_region(s->region[k], e));
  }
  return GS_OK;
}

/* Finds the constants of d and their blocks; nothing is copied yet. */
static gs_status load_device(gs_exec *x, gs_device *d, gs_err *e) {
  const gs_program *p = d->p;
  const gs_graph *g = p->g;
  d->held = GS_NEWS(&d->arena, g->value.n, gs_held *);
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    const gs_tensor *t;
    if (!v->constant || gs_value_dynamic(v) || p->buffer[i].root != i) continue;
    gs_busy_with(v->name);
    GS_TRY(gs_holdings_tensor(&x->base->holdings, v, &t, e));
    if (p->readers[i]) d->held[i] = gs_held_whole(&x->base->holdings, p, v, t);
  }
  for (int i = 0; i < p->slice.n; i++) {
    const gs_slice *l = &p->slice.at[i];
    const gs_tensor *t;
    if (!l->from->constant) continue;
    gs_busy_with(l->from->name);
    GS_TRY(gs_holdings_tensor(&x->base->holdings, l->from, &t, e));
    if (p->readers[l->to->id])
      d->held[l->to->id] =
          gs_held_block(&x->base->holdings, p, l, d->position, t);
  }
  gs_busy_with(NULL);
  return map_regions(p, e);
}

/* ---- making ---- */

static gs_status new_devices(gs_exec *x, gs_err *e) {
  const gs_exec_config *c = &x->config;
  gs_cpus allowed = gs_cpus_allowed(&x->arena);
  GS_TRY(gs_pins_make(&x->arena, &allowed, c->bind_to, c->threads, c->world,
                      x->n, &x->pins, e));
  gs_team_init(&x->team, x->first, x->n, c->timeout);
  x->device = GS_NEWS(&x->arena, x->n, gs_device);
  for (int64_t i = 0; i < x->n; i++)
    gs_device_init(&x->device[i], program_of(x, i), x->first + i);
  for (int64_t i = 0; i < x->n; i++) {
    gs_device *d = &x->device[i];
    d->threads = x->pins.device[i].threads;
    d->share = &x->base->share;
    d->huge = !c->no_huge_pages;
    d->prefixed = c->ndevice > 1;
    if (c->timed || c->traced)
      d->timing = gs_timing_new(&d->arena, d->p, c->traced);
    GS_TRY(load_device(x, d, e));
    if (c->world)
      GS_TRY(gs_comm_mpi(c->world, &x->team, &d->arena, d->position,
                         c->ndevice, &d->comm, e));
    else if (c->ndevice == 1) d->comm = gs_comm_self(&d->arena);
    else d->comm = gs_comm_thread(&x->team, &d->arena, d->position);
  }
  GS_TRY(all_devices(x, gs_device_prepare, e));
  gs_exec_count_reads(x);
  gs_ahead_end(x->ahead); /* the rest has been read by now, or soon is */
  return c->no_prefault ? GS_OK : all_devices(x, gs_exec_map_reads, e);
}

static gs_status compile(gs_exec *x, gs_err *e) {
  const gs_exec_config *c = &x->config;
  bool shared = c->ngraph == 1;
  x->program = GS_NEWS(&x->arena, c->ngraph, gs_program *);
  for (int i = 0; i < c->ngraph; i++) {
    const gs_graph *g = c->graph[i];
    if (g->mesh && g->mesh->ndevice != c->ndevice)
      return gs_fail(e, GS_MISMATCH, NULL,
                     "a program for %lld devices cannot run on %lld",
                     (long long)g->mesh->ndevice, (long long)c->ndevice);
    gs_compile how = {.kinds = gs_step_kinds,
                      .first = x->first + i,
                      .n = shared ? x->n : 1,
                      .schedule = c->schedule,
                      .one_memory = !c->world || gs_world_shares(c->world),
                      .apart = c->apart,
                      .tie = c->tie,
                      .ntie = c->ntie};
    GS_TRY(gs_program_new(&x->arena, g, &how, &x->program[i], e));
  }
  if (!c->verify) return GS_OK;
  return gs_program_check((const gs_program *const *)x->program, c->ngraph,
                          x->first, x->n, e);
}

gs_status gs_exec_new(const gs_exec_config *config, gs_exec **out,
                      gs_err *e) {
  gs_exec *x = calloc(1, sizeof *x);
  if (!x) gs_out_of_memory(sizeof *x);
  gs_arena_init(&x->arena);
  gs_holdings_init(&x->holdings, &x->arena,
                   config->ngraph > 1 || config->to_come,
                   !config->no_huge_pages);
  gs_kshare_init(&x->share, !config->no_huge_pages);
  *out = x;
  x->base = config->base ? config->base->base : x;
  x->config = *config;
  x->blocks = gs_blocks_used();
  x->n = config->ndevice;
  if (config->world) {
    GS_TRY(gs_world_spread(config->world, config->ndevice, e));
    x->n /= config->world->nrank;
    x->first = x->n * config->world->rank;
  }
  if (config->ngraph != 1 && config->ngraph != x->n)
    return gs_fail(e, GS_MISMATCH, NULL, "%d graphs for %lld devices",
                   config->ngraph, (long long)x->n);
  GS_TRY(compile(x, e));
  gs_exec_tell_reads(x);
  x->given = GS_NEWS(&x->arena, config->graph[0]->value.n, bool);
  x->joined = GS_NEWS(&x->arena, config->graph[0]->output.n, void *);
  GS_TRY(new_devices(x, e));
  return gs_exec_tie(x, e);
}

void gs_exec_free(gs_exec *x) {
  if (!x) return;
  gs_ahead_end(x->ahead);
  for (int64_t i = 0; x->device && i < x->n; i++)
    if (x->device[i].p) gs_device_free(&x->device[i]);
  if (x->device) gs_team_free(&x->team);
  gs_kshare_free(&x->share);
  gs_arena_free(&x->arena);
  free(x);
}

const char *gs_exec_cpus(const gs_exec *x, gs_arena *a, int64_t i) {
  gs_buf b;
  gs_assert(i >= 0 && i < x->n);
  gs_buf_init(&b, a);
  gs_cpus_print(&b, &x->pins.device[i].cpus);
  return b.at;
}

int64_t gs_exec_count(const gs_exec *x) { return x->n; }

const gs_program *gs_exec_timing(const gs_exec *x, int64_t i,
                                 const gs_timing **out) {
  gs_assert(i >= 0 && i < x->n);
  *out = x->device[i].timing;
  return x->device[i].p;
}

uint64_t gs_exec_sent(const gs_exec *x) { return x->device[0].bytes_sent; }

uint64_t gs_exec_wire(const gs_exec *x) {
  uint64_t max = 0;
  for (int64_t i = 0; i < x->n; i++)
    if (x->device[i].comm->wire_bytes > max)
      max = x->device[i].comm->wire_bytes;
  return max;
}

size_t gs_exec_arena_size(const gs_exec *x) {
  size_t max = 0;
  for (int64_t i = 0; i < x->n; i++)
    if (gs_program_size(x->device[i].p) > max)
      max = gs_program_size(x->device[i].p);
  return max;
}

int gs_exec_packed(const gs_exec *x, size_t *bytes) {
  *bytes = x->base->share.bytes;
  return x->base->share.n;
}

/* ---- running ---- */

gs_status gs_exec_run(gs_exec *x, gs_err *e) {
  const gs_graph *g = x->program[0]->g;
  for (int i = 0; i < g->input.n; i++)
    if (!x->given[g->input.at[i]->id])
      return gs_fail(e, GS_NOINPUT, g->input.at[i]->name,
                     "this input of the model was not given");
  return all_devices(x, gs_device_run, e);
}
