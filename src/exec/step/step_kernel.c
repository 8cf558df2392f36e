/* Steps that run a kernel; its state is the kernel's context. */
#include "base/assert.h"
#include "base/math.h"
#include "exec/data/aligned.h"
#include "exec/step/kernel_context.h"

static gs_view view_of(const gs_value *v, void *data) {
  if (!v) return (gs_view){.rank = -1};
  return (gs_view){.dtype = v->dtype,
                   .rank = v->rank,
                   .dims = v->dims,
                   .n = gs_product(v->dims, v->rank),
                   .data = data};
}

/* Which constant v is: what holds it, for its address may be used again. */
static const void *which(const gs_device *d, const gs_value *v) {
  int root = gs_program_buffer(d->p, v)->root;
  return d->held && d->held[root] ? d->held[root] : gs_device_data(d, v);
}

gs_kctx *gs_kernel_context(gs_arena *a, const gs_program *p, const gs_node *n,
                           int64_t position, gs_err *e) {
  gs_kctx *k = GS_NEW(a, gs_kctx);
  int nout = (int)gs_min(gs_max(n->nout, n->op->max_out), n->nout + 8);
  int nin = (int)gs_min(gs_max(n->nin, n->op->max_in), n->nin + 8);
  k->node = n;
  k->nin = n->nin;
  k->nout = n->nout;
  k->in = GS_NEWS(a, nin, gs_view);
  k->out = GS_NEWS(a, nout, gs_view);
  for (int i = 0; i < nin; i++) k->in[i] = view_of(gs_node_in(n, i), NULL);
  for (int i = 0; i < nout; i++) k->out[i] = view_of(gs_node_out(n, i), NULL);
  k->mesh = p->g->mesh;
  k->position = position;
  k->arena = a;
  k->threads = 1;
  k->err = e;
  return k;
}

gs_kctx *gs_kernel_context_of(gs_device *d, const gs_node *n) {
  gs_kctx *k = gs_kernel_context(&d->arena, d->p, n, d->position, &d->err);
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    bool known = v && gs_program_buffer(d->p, v)->storage != GS_STORAGE_ARENA;
    /* Inputs and their slices are not there yet: NULL. */
    if (known) k->in[i].data = gs_device_data(d, v);
    if (v) k->in[i].block = d->block[v->id];
    if (v && gs_program_buffer(d->p, v)->fixed) k->in[i].fixed = which(d, v);
  }
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v) continue;
    k->out[i].any = d->p->any[v->id];
    gs_view y = gs_program_view(d->p, v);
    if (!y.pitch) continue;
    k->out[i].run = y.run;
    k->out[i].pitch = y.pitch;
    k->out[i].runs = y.runs;
    k->out[i].apart = y.apart;
    k->out[i].lead = y.lead;
    gs_assert(i == 0 && n->op->flags & GS_OP_PARTS);
  }
  k->threads = d->threads;
  k->share = d->share;
  return k;
}

/* Gives the results of a step that runs once their memory and runs it. */
static gs_status run_once(gs_device *d, const gs_step *step, gs_kctx *k) {
  for (int i = 0; i < k->nout; i++) {
    const gs_value *v = gs_node_out(step->node, i);
    if (!v) continue;
    gs_device_hold(d, v);
    k->out[i].data = d->data[v->id];
  }
  gs_arena a;
  gs_arena_init(&a);
  k->scratch = gs_alloc64(&a, k->scratch_size);
  gs_status s = gs_kernel_run(step->kernel, k);
  gs_arena_free(&a);
  return s;
}

void gs_kernel_let_go(gs_device *d, const gs_step *step, const gs_kctx *k) {
  for (int i = 0; i < step->node->nin; i++)
    if (step->once || k->in[i].unread) gs_device_let_go(d, step->node->in[i]);
}

static gs_status prepare(gs_device *d, int s) {
  const gs_step *step = &d->p->step.at[s];
  const gs_node *n = step->node;
  gs_kctx *k = d->state[s] = gs_kernel_context_of(d, n);
  GS_TRY(gs_kernel_prep(step->kernel, k));
  if (step->once) {
    GS_TRY(run_once(d, step, k));
  } else {
    gs_device_want_scratch(d, k->scratch_size);
    for (int i = 0; i < n->nout; i++)
      if (n->out[i]) d->block[n->out[i]->id] = k->out[i].block;
  }
  gs_kernel_let_go(d, step, k);
  return GS_OK;
}

void gs_kernel_bind(gs_device *d, gs_kctx *k) {
  const gs_node *n = k->node;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i])
      k->in[i].data = k->in[i].unread ? NULL : gs_device_data(d, n->in[i]);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) k->out[i].data = gs_device_data(d, n->out[i]);
}

static void bind(gs_device *d, int s) {
  gs_kctx *k = d->state[s];
  gs_assert(k->scratch_size <= d->scratch_size);
  gs_kernel_bind(d, k);
  k->scratch = d->scratch;
}

static gs_status start(gs_device *d, int s) {
  return gs_kernel_run(d->p->step.at[s].kernel, d->state[s]);
}

const gs_step_ops gs_step_kernel = {
    .name = "kernel", .prepare = prepare, .bind = bind, .start = start};
