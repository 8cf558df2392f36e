/* Steps of nodes with regions, which are graphs within the node: the bodies of
 * If, Loop, Scan and SequenceMap.
 *
 * A body is a program like any other.  Its device shares the heap of the
 * device around it, is prepared once, and runs as often as the node asks for
 * it.  The region has a communicator of its own, so that what bodies send is
 * not mixed with what the program around them sends; as yet bodies run whole
 * on every device, and it reaches nobody else. */
#include <string.h>

#include "base/assert.h"
#include "exec/data/aligned.h"
#include "exec/step/step_dynamic.h"

typedef struct region {
  gs_dynstep base;
  gs_comm *comm;    /* of all bodies; lives as long as the device around */
  gs_device **body; /* [attributes] devices of the graphs, NULL for others */
} region;

/* ---- bodies ---- */

/* Gives input v of d the dynamic value b, which stays the caller's. */
static gs_status give(gs_device *d, const gs_value *v, gs_dyn *b,
                      gs_err *e) {
  if (gs_value_dynamic(v)) {
    d->dyn[v->id] = b;
    return GS_OK;
  }
  bool fits = gs_dynstep_fits(b, v);
  d->data[v->id] = fits ? gs_dyn_data(b) : NULL;
  if (fits) return GS_OK;
  gs_arena a;
  gs_arena_init(&a);
  gs_status s = gs_fail(e, GS_DATA, v->name, "is %s where %s is expected",
                        gs_dyn_text(&a, b),
                        gs_shape_text(&a, v->dtype, v->rank, v->dims));
  gs_arena_free(&a);
  return s;
}

/* A kept dynamic value of output v of d. */
static gs_status take(gs_device *d, const gs_value *v, gs_dyn **out,
                      gs_err *e) {
  if (gs_value_dynamic(v)) {
    *out = gs_dyn_keep(d->heap, d->dyn[v->id]);
    return GS_OK;
  }
  GS_TRY(gs_dyn_new(d->heap, v->dtype, v->rank, v->dims, out, e));
  size_t n = gs_value_bytes(v);
  if (n) memcpy((*out)->block, gs_device_data(d, v), n);
  return GS_OK;
}

static gs_status run_body(gs_dyncall *k, int at, gs_dyn *const *in,
                          gs_dyn **out) {
  const region *r = k->user;
  gs_device *d = r->body[at];
  const gs_graph *g = d->p->g;
  gs_assert(g->capture.n <= k->node->ncapture);
  for (int i = 0; i < g->input.n; i++)
    GS_TRY(give(d, g->input.at[i], in[i], k->err));
  for (int i = 0; i < g->capture.n; i++) {
    gs_dyn *b = k->in[gs_node_formal(k->node) + i];
    if (g->capture.at[i]) GS_TRY(give(d, g->capture.at[i], b, k->err));
  }
  gs_device_bind(d);
  gs_status s = gs_device_run(d);
  if (s) {
    gs_err_move(k->err, &d->err);
    return s;
  }
  for (int i = 0; i < g->output.n; i++)
    GS_TRY(take(d, g->output.at[i], &out[i], k->err));
  if (d->dyn) gs_device_rewind(d);
  return GS_OK;
}

static void free_body(void *p) { gs_device_free(p); }

/* The constants of body b, which nobody else holds. */
static void load_body(gs_device *b) {
  const gs_graph *g = b->p->g;
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (!v->constant || gs_value_dynamic(v) || b->p->buffer[i].root != i)
      continue;
    const void *data = gs_data_of(v->constant);
    gs_assert(data); /* it was looked for before devices are prepared */
    /* Views are not const, but only arena memory is ever written. */
    b->data[i] = (void *)(uintptr_t)gs_data_aligned(&b->arena, v->constant,
                                                    data);
  }
}

static gs_status prepare_body(gs_device *d, const region *r, int at,
                              const gs_program *p) {
  gs_device *b = r->body[at] = GS_NEW(&d->arena, gs_device);
  gs_device_init(b, p, d->position);
  gs_arena_at_end(&d->arena, free_body, b);
  b->heap = d->heap;
  b->comm = r->comm;
  b->threads = d->threads;
  b->share = d->share;
  load_body(b);
  gs_status s = gs_device_prepare(b);
  if (s) gs_err_move(&d->err, &b->err);
  return s;
}

/* ---- the kind ---- */

static gs_status prepare(gs_device *d, int s) {
  const gs_step *step = &d->p->step.at[s];
  int n = step->node->nattr;
  region *r = d->state[s] = GS_NEW(&d->arena, region);
  gs_dynstep_init(&r->base, d, s);
  r->base.call.body = run_body;
  r->base.call.user = r;
  r->comm = gs_comm_self(&d->arena);
  r->body = GS_NEWS(&d->arena, n, gs_device *);
  for (int i = 0; i < n; i++)
    if (step->region[i]) GS_TRY(prepare_body(d, r, i, step->region[i]));
  return GS_OK;
}

static gs_status start(gs_device *d, int s) {
  region *r = d->state[s];
  return gs_dynstep_run(&r->base, d, s);
}

const gs_step_ops gs_step_region = {
    .name = "region", .prepare = prepare, .start = start};
