/* Steps that run on dynamic values, and the devices of graphs in attributes.
 *
 * A graph in an attribute is a program like any other; its device shares the
 * heap of the device around it, is prepared once and run as often as the node
 * asks for it. */
#include <string.h>

#include "base/math.h"
#include "exec/run/device.h"
#include "kernel/core/call_dynamic.h"

/* ---- making ---- */

static void init_step(gs_device *d, const gs_step *s, gs_bound *b) {
  gs_arena *a = &d->arena;
  const gs_node *n = s->node;
  gs_dynstep *x = b->dynamic = GS_NEW(a, gs_dynstep);
  gs_arena_init(&x->arena);
  x->view = GS_NEWS(a, n->nin, gs_dyn);
  x->run = (gs_dyncall){.node = n,
                       .in = GS_NEWS(a, n->nin, gs_dyn *),
                       .out = GS_NEWS(a, n->nout, gs_dyn *),
                       .place = GS_NEWS(a, n->nout, void *),
                       .user = x};
  if (!s->body) return;
  x->body = GS_NEWS(a, n->nattr, gs_device *);
  for (int i = 0; i < n->nattr; i++) {
    if (!s->body[i]) continue;
    x->body[i] = GS_NEW(a, gs_device);
    gs_device_init(x->body[i], s->body[i], d->position);
  }
}

static void share_heap(gs_device *d, gs_heap *heap) {
  d->heap = heap;
  for (int s = 0; s < d->p->step.n; s++) {
    const gs_dynstep *x = d->bound[s].dynamic;
    for (int i = 0; x && x->body && i < x->run.node->nattr; i++)
      if (x->body[i]) share_heap(x->body[i], heap);
  }
}

void gs_dynamic_init(gs_device *d) {
  d->dyn = GS_NEWS(&d->arena, d->p->g->value.n, gs_dyn *);
  for (int s = 0; s < d->p->step.n; s++)
    if (d->p->step.at[s].dynamic) init_step(d, &d->p->step.at[s], &d->bound[s]);
  share_heap(d, d->heap);
}

void gs_dynamic_free(gs_device *d) {
  for (int s = 0; s < d->p->step.n; s++) {
    gs_dynstep *x = d->bound[s].dynamic;
    if (!x) continue;
    for (int i = 0; x->body && i < x->run.node->nattr; i++)
      if (x->body[i]) gs_device_free(x->body[i]);
    gs_arena_free(&x->arena);
  }
}

static gs_status load_inner(gs_arena *a, gs_device *d, gs_err *e) {
  const gs_graph *g = d->p->g;
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (v->constant && !gs_value_dynamic(v) && d->p->buffer[i].root == i)
      GS_TRY(gs_constant_data(a, v, &d->data[i], e));
  }
  return d->p->dynamic ? gs_dynamic_load(a, d, e) : GS_OK;
}

gs_status gs_dynamic_load(gs_arena *a, gs_device *d, gs_err *e) {
  for (int i = 0; i < d->p->g->value.n; i++) {
    const gs_value *v = d->p->g->value.at[i];
    if (v->constant && gs_value_dynamic(v))
      d->dyn[i] = gs_dyn_of(a, v->constant);
  }
  for (int s = 0; s < d->p->step.n; s++) {
    const gs_dynstep *x = d->bound[s].dynamic;
    for (int i = 0; x && x->body && i < x->run.node->nattr; i++)
      if (x->body[i]) GS_TRY(load_inner(a, x->body[i], e));
  }
  return GS_OK;
}

/* ---- graphs in attributes ---- */

static bool is_like(const gs_dyn *b, const gs_value *v) {
  bool like = b->kind == GS_TENSOR && b->t.dtype == v->dtype &&
              b->t.rank == v->rank;
  for (int d = 0; like && d < v->rank; d++)
    like = b->t.dims[d] == v->dims[d];
  return like;
}

/* Gives input v of d the dynamic value b, which stays the caller's. */
static gs_status give(gs_device *d, const gs_value *v, gs_dyn *b,
                      gs_err *e) {
  if (gs_value_dynamic(v)) {
    d->dyn[v->id] = b;
    return GS_OK;
  }
  bool fits = is_like(b, v);
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
  const gs_dynstep *x = k->user;
  gs_device *d = x->body[at];
  const gs_graph *g = d->p->g;
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
  if (d->dyn) gs_dynamic_rewind(d);
  return GS_OK;
}

/* ---- running ---- */

gs_status gs_dynamic_prepare(gs_device *d, int s) {
  gs_dynstep *x = d->bound[s].dynamic;
  gs_dyncall *k = &x->run;
  k->heap = d->heap;
  k->arena = &x->arena;
  k->mesh = d->p->g->mesh;
  k->position = d->position;
  k->threads = d->threads;
  k->body = run_body;
  k->err = &d->err;
  for (int i = 0; x->body && i < k->node->nattr; i++) {
    gs_device *b = x->body[i];
    if (!b) continue;
    b->threads = d->threads;
    b->share = d->share;
    gs_status status = gs_device_prepare(b);
    if (!status) continue;
    gs_err_move(&d->err, &b->err);
    return status;
  }
  return GS_OK;
}

/* Operands as dynamic values: those that lie elsewhere are looked at where they
 * are. */
static void bind_operands(gs_device *d, gs_dynstep *x) {
  const gs_node *n = x->run.node;
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    x->run.in[i] = NULL;
    if (!v) continue;
    x->run.in[i] = gs_value_dynamic(v) ? d->dyn[v->id] : &x->view[i];
    if (!gs_value_dynamic(v))
      gs_dyn_view(&x->view[i], v->dtype, v->rank, v->dims,
                  gs_device_data(d, v));
  }
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    x->run.out[i] = NULL;
    x->run.place[i] =
        v && !gs_value_dynamic(v) ? gs_device_data(d, v) : NULL;
  }
}

/* Puts result i where the rest of the program looks for it. */
static gs_status store(gs_device *d, gs_dynstep *x, int i) {
  const gs_value *v = x->run.node->out[i];
  gs_dyn *b = x->run.out[i];
  if (!v) return GS_OK;
  if (gs_value_dynamic(v)) {
    d->dyn[v->id] = b;
    return GS_OK;
  }
  bool fits = is_like(b, v);
  if (!fits) {
    gs_dyncall_fail(&x->run, GS_DATA,
                   "result '%s' is %s where %s was expected", v->name,
                   gs_dyn_text(x->run.arena, b),
                   gs_shape_text(x->run.arena, v->dtype, v->rank, v->dims));
    gs_err_hint(x->run.err, "the model declares that shape, but it depends on "
                "data: remove it from value_info and from the outputs");
    return GS_DATA;
  }
  size_t n = gs_value_bytes(v);
  if (n && gs_dyn_data(b) != x->run.place[i])
    memcpy(x->run.place[i], gs_dyn_data(b), n);
  gs_dyn_drop(b);
  return GS_OK;
}

/* Drops v's dynamic value when step s was the last to read it. */
static void drop_dead(gs_device *d, const gs_value *v, int s) {
  if (!v || !v->def || !gs_value_dynamic(v) || d->p->buffer[v->id].last > s)
    return;
  gs_dyn_drop(d->dyn[v->id]);
  d->dyn[v->id] = NULL;
}

gs_status gs_dynamic_run(gs_device *d, int s) {
  gs_dynstep *x = d->bound[s].dynamic;
  const gs_node *n = x->run.node;
  gs_arena_reset(&x->arena);
  bind_operands(d, x);
  GS_TRY(gs_dyncall_node(&x->run));
  for (int i = 0; i < n->nout; i++) GS_TRY(store(d, x, i));
  for (int i = 0; i < n->nin; i++) drop_dead(d, n->in[i], s);
  for (int i = 0; i < n->nout; i++) drop_dead(d, n->out[i], s);
  return GS_OK;
}

void gs_dynamic_rewind(gs_device *d) {
  for (int i = 0; i < d->p->g->value.n; i++) {
    const gs_value *v = d->p->g->value.at[i];
    if (!v->def || !d->dyn[i]) continue;
    gs_dyn_drop(d->dyn[i]);
    d->dyn[i] = NULL;
  }
}
