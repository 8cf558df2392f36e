/* Steps that run on dynamic values. */
#include "exec/step/step_dynamic.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/call_dynamic.h"

/* ---- making ---- */

static void free_arena(void *p) { gs_arena_free(p); }

void gs_dynstep_init(gs_dynstep *x, gs_device *d, int s) {
  const gs_node *n = d->p->step.at[s].node;
  gs_arena *a = &d->arena;
  gs_arena_init(&x->arena);
  gs_arena_at_end(a, free_arena, &x->arena);
  x->view = GS_NEWS(a, n->nin, gs_dyn);
  x->call = (gs_dyncall){.node = n,
                         .in = GS_NEWS(a, n->nin, gs_dyn *),
                         .out = GS_NEWS(a, n->nout, gs_dyn *),
                         .place = GS_NEWS(a, n->nout, void *),
                         .heap = d->heap,
                         .arena = &x->arena,
                         .mesh = d->p->g->mesh,
                         .position = d->position,
                         .threads = d->threads,
                         .err = &d->err};
}

/* ---- running ---- */

bool gs_dynstep_fits(const gs_dyn *b, const gs_value *v) {
  return b->kind == GS_TENSOR && b->t.dtype == v->dtype &&
         b->t.rank == v->rank && gs_same_dims(b->t.dims, v->dims, v->rank);
}

/* Operands as dynamic values: those that lie elsewhere are looked at where they
 * are. */
static void bind_operands(gs_dynstep *x, const gs_device *d) {
  const gs_node *n = x->call.node;
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    x->call.in[i] = NULL;
    if (!v) continue;
    x->call.in[i] = gs_value_dynamic(v) ? d->dyn[v->id] : &x->view[i];
    if (!gs_value_dynamic(v))
      gs_dyn_view(&x->view[i], v->dtype, v->rank, v->dims,
                  gs_device_data(d, v));
  }
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    x->call.out[i] = NULL;
    x->call.place[i] =
        v && !gs_value_dynamic(v) ? gs_device_data(d, v) : NULL;
  }
}

/* Puts result i where the rest of the program looks for it. */
static gs_status store(gs_dynstep *x, gs_device *d, int i) {
  const gs_value *v = x->call.node->out[i];
  gs_dyn *b = x->call.out[i];
  if (!v) return GS_OK;
  gs_assert(b); /* a call that succeeds makes all its results */
  if (gs_value_dynamic(v)) {
    gs_assert(!d->dyn[v->id]); /* the last one was dropped */
    d->dyn[v->id] = b;
    return GS_OK;
  }
  bool fits = gs_dynstep_fits(b, v);
  if (!fits) {
    gs_dyncall_fail(&x->call, GS_DATA,
                    "result '%s' is %s where %s was expected", v->name,
                    gs_dyn_text(x->call.arena, b),
                    gs_shape_text(x->call.arena, v->dtype, v->rank, v->dims));
    gs_err_hint(x->call.err, "the model declares that shape, but it depends on "
                "data: remove it from value_info and from the outputs");
    return GS_DATA;
  }
  size_t n = gs_value_bytes(v);
  if (n && gs_dyn_data(b) != x->call.place[i])
    memcpy(x->call.place[i], gs_dyn_data(b), n);
  gs_dyn_drop(b);
  return GS_OK;
}

/* Drops v's dynamic value when nobody reads it after this turn. */
static void drop_dead(gs_device *d, const gs_value *v, int turn) {
  if (!v || !v->def || !gs_value_dynamic(v) ||
      d->p->buffer[v->id].last > turn)
    return;
  gs_dyn_drop(d->dyn[v->id]);
  d->dyn[v->id] = NULL;
}

gs_status gs_dynstep_run(gs_dynstep *x, gs_device *d, int s) {
  const gs_node *n = x->call.node;
  int turn = d->p->step.at[s].wait;
  gs_arena_reset(&x->arena);
  bind_operands(x, d);
  GS_TRY(gs_dyncall_node(&x->call));
  for (int i = 0; i < n->nout; i++) GS_TRY(store(x, d, i));
  for (int i = 0; i < n->nin; i++) drop_dead(d, n->in[i], turn);
  for (int i = 0; i < n->nout; i++) drop_dead(d, n->out[i], turn);
  return GS_OK;
}

/* ---- the kind ---- */

static gs_status prepare(gs_device *d, int s) {
  gs_dynstep *x = d->state[s] = GS_NEW(&d->arena, gs_dynstep);
  gs_dynstep_init(x, d, s);
  return GS_OK;
}

static gs_status start(gs_device *d, int s) {
  return gs_dynstep_run(d->state[s], d, s);
}

const gs_step_ops gs_step_dynamic = {
    .name = "dynamic", .prepare = prepare, .start = start};
