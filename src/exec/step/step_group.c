/* Steps of kernels that gather blocks of a group of devices while they run:
 * they own the transfer, the kernel its loop.
 *
 * A start waits for nobody, so all of it is in wait, where the group meets as
 * that of a collective does.  One transfer carries out all rounds: a chain, in
 * which a start ends the round before, so that each round waits once.  Others
 * may read a block until the caller has what they give in the round after it,
 * so blocks are put from two buffers in turn. */
#include <string.h>

#include "base/assert.h"
#include "exec/comm/group.h"
#include "exec/data/aligned.h"
#include "exec/step/kernel_context.h"
#include "op/core/moves.h"

typedef struct joint {
  gs_kgroup group; /* what the kernel knows */
  gs_kctx *k;
  gs_transfer *transfer;
  char *put[2];
  size_t size; /* of a block */
  int turn;
  uint64_t bytes; /* that are sent in a run */
} joint;

static gs_status gather(gs_kgroup *g, const void *in, void *out, size_t bytes,
                        gs_err *e) {
  joint *x = (joint *)(void *)g;
  gs_assert(bytes == x->size);
  x->turn = !x->turn;
  memcpy(x->put[x->turn], in, bytes);
  GS_TRY(gs_all_gather_start(x->transfer, x->put[x->turn], out, bytes, e));
  return gs_transfer_wait(x->transfer, e);
}

/* Scratch is that of a kernel that has packed nothing: at least what it wants
 * once the constants are there. */
static gs_status plan(const gs_program *p, const gs_step *step,
                      int64_t position, size_t *scratch, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_kctx *k = gs_kernel_context(&a, p, step->node, position, e);
  gs_group group;
  gs_status s = gs_group_of(&a, step->node, p->g->mesh, position, &group, e);
  gs_kgroup known = {.n = group.n, .me = group.me};
  k->group = &known;
  if (!s) s = gs_kernel_prep(step->kernel, k);
  if (!s) *scratch = k->scratch_size;
  gs_arena_free(&a);
  return s;
}

static gs_status prepare(gs_device *d, int s) {
  const gs_step *step = &d->p->step.at[s];
  const gs_node *n = step->node;
  gs_gathers what = gs_node_gathers(n);
  joint *x = d->state[s] = GS_NEW(&d->arena, joint);
  gs_group group;
  GS_TRY(gs_group_of(&d->arena, n, d->p->g->mesh, d->position, &group,
                     &d->err));
  gs_assert(group.me >= 0 && group.me < group.n);
  x->group = (gs_kgroup){group.n, group.me, gather};
  x->k = gs_kernel_context_of(d, n);
  x->k->group = &x->group;
  x->transfer = gs_transfer_new(d->comm, &group);
  x->size = (size_t)gs_dtype_bytes((int)what.type, what.count);
  for (int i = 0; i < 2; i++) x->put[i] = gs_alloc64(&d->arena, x->size);
  x->bytes = (uint64_t)gs_gathers_bytes(&what, group.n);
  GS_TRY(gs_kernel_prep(step->kernel, x->k));
  gs_kernel_let_go(d, step, x->k);
  return GS_OK;
}

static void bind(gs_device *d, int s) {
  joint *x = d->state[s];
  gs_assert(x->k->scratch_size <= d->p->step.at[s].scratch);
  gs_kernel_bind(d, x->k);
  x->k->scratch = d->mem + d->p->step.at[s].scratch_at;
}

static gs_status start(gs_device *d, int s) {
  const joint *x = d->state[s];
  d->bytes_sent += x->bytes;
  return GS_OK;
}

static gs_status wait(gs_device *d, int s) {
  joint *x = d->state[s];
  gs_assert(!x->transfer->open); /* the chain of the run before has ended */
  GS_TRY(gs_kernel_run(d->p->step.at[s].kernel, x->k));
  return x->transfer->open ? gs_transfer_end(x->transfer, &d->err) : GS_OK;
}

const gs_step_ops gs_step_group = {.name = "group",
                                   .plan = plan,
                                   .prepare = prepare,
                                   .bind = bind,
                                   .start = start,
                                   .wait = wait};
