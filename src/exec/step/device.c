#include "exec/step/device.h"

#include <string.h>

#include "base/assert.h"
#include "base/data/clock.h"
#include "base/data/pages.h"
#include "exec/data/aligned.h"

void gs_device_init(gs_device *d, const gs_program *p, int64_t position) {
  *d = (gs_device){.p = p, .position = position, .threads = 1};
  gs_err_init(&d->err);
  gs_arena_init(&d->arena);
  d->data = GS_NEWS(&d->arena, p->g->value.n, void *);
  d->own = GS_NEWS(&d->arena, p->g->value.n, void *);
  d->block = GS_NEWS(&d->arena, p->g->value.n, int);
  d->state = GS_NEWS(&d->arena, p->step.n, void *);
  if (p->dynamic) d->dyn = GS_NEWS(&d->arena, p->g->value.n, gs_dyn *);
  gs_heap_init(&d->own_heap);
  d->heap = &d->own_heap;
}

void gs_device_free(gs_device *d) {
  gs_heap_free(&d->own_heap);
  gs_err_free(&d->err);
  gs_arena_free(&d->arena);
}

static const gs_step_ops *ops_of(const gs_device *d, int s) {
  gs_assert(s >= 0 && s < d->p->step.n);
  return d->p->kinds[d->p->step.at[s].kind];
}

/* Adds device and step to the newest diagnostic. */
static gs_status at_step(gs_device *d, int s, gs_status status) {
  gs_err *e = &d->err;
  if (!e->n) gs_fail(e, status, NULL, "%s", gs_status_text(status));
  gs_diag *g = &e->diag[e->n - 1];
  const gs_node *n = d->p->step.at[s].node;
  const char *node = gs_node_place(&e->arena, n);
  const char *place = g->place ? g->place : "";
  const char *text = g->text;
  /* A kernel may have said a narrower place than its node. */
  if (*place && strcmp(place, node))
    text = gs_sprintf(&e->arena, "%s: %s", place, text);
  g->place = d->prefixed
                 ? gs_sprintf(&e->arena, "device %lld: step %d: %s",
                              (long long)d->position, s + 1, node)
                 : gs_sprintf(&e->arena, "step %d: %s", s + 1, node);
  g->text = text;
  return status;
}

/* For messages of out of memory: no text is made, steps are many. */
static void busy_with_step(const gs_device *d, int s) {
  const gs_node *n = d->p->step.at[s].node;
  gs_busy_with(*n->name ? n->name : n->op_type);
}

/* Has the constant there that v is, if it is one. */
static void fetch(gs_device *d, const gs_value *v) {
  int root = v ? gs_program_buffer(d->p, v)->root : -1;
  if (d->held && v && d->held[root] && !d->data[root])
    d->data[root] = gs_held_get(d->held[root]);
}

/* Constants that lie in dynamic values. */
static void load_dynamic(gs_device *d) {
  for (int i = 0; i < d->p->g->value.n; i++) {
    const gs_value *v = d->p->g->value.at[i];
    if (v->constant && gs_value_dynamic(v))
      d->dyn[i] = gs_dyn_of(&d->arena, v->constant);
  }
}

/* Zeros, of which every page is touched now, by the device's thread: they lie
 * near its processors, and runs wait for none of them.  Where others can read
 * them, if there is such memory. */
static void *touched(gs_device *d, size_t bytes) {
  gs_comm *c = d->comm;
  void *common = c && c->ops->memory ? c->ops->memory(c, bytes) : NULL;
  if (common) return memset(common, 0, bytes);
  if (bytes < GS_LARGE_PAGE) return gs_alloc64(&d->arena, bytes);
  return memset(gs_pages_in(&d->arena, bytes, d->huge), 0, bytes);
}

gs_status gs_device_prepare(gs_device *d) {
  gs_assert(!d->mem); /* once */
  if (d->dyn) load_dynamic(d);
  for (int s = 0; s < d->p->step.n; s++) {
    const gs_node *n = d->p->step.at[s].node;
    busy_with_step(d, s);
    for (int i = 0; i < n->nin; i++) fetch(d, n->in[i]);
    gs_status status = ops_of(d, s)->prepare(d, s);
    if (status) return at_step(d, s, status);
  }
  for (int i = 0; i < d->p->g->output.n; i++) fetch(d, d->p->gather[i].block);
  gs_busy_with("activations");
  d->mem = touched(d, d->p->arena_size + d->scratch_size + 64);
  d->scratch = d->mem + d->p->arena_size;
  for (int i = 0; i < d->p->g->value.n; i++) {
    const gs_buffer *b = &d->p->buffer[i];
    if (b->storage == GS_STORAGE_KEPT && b->root == i)
      d->data[i] = touched(d, b->bytes);
  }
  gs_busy_with(NULL);
  gs_device_bind(d);
  return GS_OK;
}

void gs_device_bind(gs_device *d) {
  gs_assert(d->mem);
  d->moved = false;
  for (int s = 0; s < d->p->step.n; s++) {
    const gs_step_ops *ops = ops_of(d, s);
    if (ops->bind && !d->p->step.at[s].once) ops->bind(d, s);
  }
}

void gs_device_hold(gs_device *d, const gs_value *v) {
  if (d->held) {
    d->held[v->id] = gs_held_result(&d->arena, d->p, v, d->huge);
    d->data[v->id] = gs_held_get(d->held[v->id]);
  } else {
    d->data[v->id] = gs_alloc64(&d->arena, gs_value_bytes(v));
  }
}

void gs_device_let_go(gs_device *d, const gs_value *v) {
  gs_held *h =
      d->held && v ? d->held[gs_program_buffer(d->p, v)->root] : NULL;
  if (h) gs_held_done(h);
}

static gs_status take_turn(gs_device *d, const gs_turn *t) {
  const gs_step_ops *ops = ops_of(d, t->step);
  if (!t->wait) return ops->start(d, t->step);
  return ops->wait ? ops->wait(d, t->step) : GS_OK;
}

static bool is_collective(const gs_device *d, const gs_turn *t) {
  return d->p->step.at[t->step].kind == GS_STEP_COLLECTIVE;
}

/* Likewise, and how long it took. */
static gs_status time_turn(gs_device *d, int i) {
  const gs_turn *t = &d->p->turn.at[i];
  uint64_t sent = d->bytes_sent;
  double begin = gs_now();
  gs_status s = take_turn(d, t);
  if (is_collective(d, t)) d->in_collectives += gs_now() - begin;
  if (!s && d->timing)
    gs_timing_turn(d->timing, d->p, i, begin, d->bytes_sent - sent);
  return s;
}

gs_status gs_device_run(gs_device *d) {
  if (d->moved) gs_device_bind(d);
  if (d->dyn) gs_device_rewind(d);
  if (d->timing) gs_timing_begin(d->timing);
  for (int i = 0; i < d->p->turn.n; i++) {
    const gs_turn *t = &d->p->turn.at[i];
    busy_with_step(d, t->step);
    gs_status status = d->timing || is_collective(d, t) ? time_turn(d, i)
                                                        : take_turn(d, t);
    if (status) return at_step(d, t->step, status);
  }
  gs_busy_with(NULL);
  if (d->timing) gs_timing_end(d->timing, d->p);
  return GS_OK;
}

void gs_device_rewind(gs_device *d) {
  for (int i = 0; i < d->p->g->value.n; i++) {
    const gs_value *v = d->p->g->value.at[i];
    if (!v->def || !d->dyn[i]) continue;
    gs_dyn_drop(d->dyn[i]);
    d->dyn[i] = NULL;
  }
}
