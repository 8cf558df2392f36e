#include "exec/run/device.h"

#include <string.h>

#include "base/math.h"
#include "exec/run/subarray.h"
#include "ir/packed.h"

void *gs_alloc64(gs_arena *a, size_t n) {
  if (n > SIZE_MAX - 64) gs_out_of_memory(n);
  uintptr_t at = (uintptr_t)gs_alloc(a, n + 64);
  return (void *)((at + 63) / 64 * 64);
}

/* ---- loads ---- */

/* First element and valid elements of the device's block in each dim. */
static bool block_range(const gs_program *p, const gs_load *l, int64_t pos,
                        int64_t *first, int64_t *count) {
  bool full = true;
  for (int d = 0; d < l->from->rank; d++) {
    gs_sharding_range(p->g->mesh, l->split, d, l->from->dims[d], pos,
                      &first[d], &count[d]);
    if (count[d] != l->to->dims[d]) full = false;
  }
  return full;
}

const void *gs_load_inside(const gs_program *p, const gs_load *l,
                           int64_t position, const void *whole) {
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  const gs_value *v = l->from;
  if (!block_range(p, l, position, first, count)) return NULL;
  int d = 0; /* the first dim that is longer than 1 in the block */
  while (d < v->rank && count[d] == 1) d++;
  for (int i = d + 1; i < v->rank; i++)
    if (count[i] != v->dims[i]) return NULL;
  int64_t at = 0;
  for (int i = 0; i < v->rank; i++) at = at * v->dims[i] + first[i];
  if (gs_dtype_packed(v->dtype)) /* its last byte may hold other elements */
    return gs_product(count, v->rank) == gs_product(v->dims, v->rank) ? whole
                                                                      : NULL;
  size_t size = gs_span(v->dtype, 1);
  const char *q = (const char *)whole + (size_t)at * size;
  size_t unit = gs_dtype_get((int)v->dtype)->cls == 'c' ? size / 2 : size;
  return (uintptr_t)q % unit ? NULL : q;
}

void gs_load_copy(const gs_program *p, const gs_load *l, int64_t position,
                  const void *whole, void *block) {
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  const gs_value *v = l->from;
  bool full = block_range(p, l, position, first, count);
  if (!full || gs_dtype_packed(v->dtype)) /* unused bits are 0 too */
    memset(block, 0, gs_value_bytes(l->to));
  gs_region_move(v->dtype, v->rank, count, whole, v->dims, first, block,
                 l->to->dims, NULL);
}

/* ---- constants ---- */

bool gs_data_fits(gs_dtype t, const void *p) {
  const gs_dtype_info *info = gs_dtype_get((int)t);
  size_t unit = (size_t)(info->bits + 7) / 8 / (info->cls == 'c' ? 2 : 1);
  return unit && (uintptr_t)p % unit == 0;
}

const void *gs_data_aligned(gs_arena *a, const gs_tensor *t, const void *p) {
  if (gs_data_fits(t->dtype, p)) return p;
  void *copy = gs_alloc64(a, (size_t)t->nbytes);
  return memcpy(copy, p, (size_t)t->nbytes);
}

gs_status gs_constant_data(gs_arena *a, const gs_value *v, void **out,
                           gs_err *e) {
  const gs_tensor *t = v->constant;
  static const char none[64];
  const void *p = t->nbytes ? gs_tensor_bytes(t) : none;
  if (!p)
    return gs_fail(e, GS_NOINPUT, v->name, "the data of this %s is missing",
                   t->file ? "weight in its file" : "weight");
  /* Views are not const, but only arena memory is ever written. */
  *out = (void *)(uintptr_t)gs_data_aligned(a, t, p);
  return GS_OK;
}

/* ---- compilation ---- */

void gs_device_init(gs_device *d, const gs_program *p, int64_t position) {
  *d = (gs_device){.p = p, .position = position, .threads = 1};
  gs_err_init(&d->err);
  gs_arena_init(&d->arena);
  d->data = GS_NEWS(&d->arena, p->g->value.n, void *);
  d->own = GS_NEWS(&d->arena, p->g->value.n, void *);
  d->block = GS_NEWS(&d->arena, p->g->value.n, int);
  d->bound = GS_NEWS(&d->arena, p->step.n, gs_bound);
  gs_heap_init(&d->own_heap);
  d->heap = &d->own_heap;
  if (p->dynamic) gs_dynamic_init(d);
}

void gs_device_free(gs_device *d) {
  if (d->dyn) gs_dynamic_free(d);
  gs_heap_free(&d->own_heap);
  gs_err_free(&d->err);
  gs_arena_free(&d->arena);
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

void *gs_device_data(const gs_device *d, const gs_value *v) {
  const gs_buffer *buffer = gs_program_buffer(d->p, v);
  return buffer->storage == GS_STORAGE_ARENA ? d->mem + buffer->offset
                                     : d->data[buffer->root];
}

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

/* Has the constant there that v is, if it is one. */
static void fetch(gs_device *d, const gs_value *v) {
  int root = v ? gs_program_buffer(d->p, v)->root : -1;
  if (d->held && v && d->held[root] && !d->data[root])
    d->data[root] = gs_held_get(d->held[root]);
}

/* Step s is prepared: what it does not read any more may go. */
static void let_go(gs_device *d, int s) {
  const gs_step *step = &d->p->step.at[s];
  const gs_kctx *k = d->bound[s].k;
  for (int i = 0; d->held && k && i < step->node->nin; i++) {
    const gs_value *v = step->node->in[i];
    gs_held *h = v ? d->held[gs_program_buffer(d->p, v)->root] : NULL;
    if (h && (step->once || k->in[i].unread)) gs_held_done(h);
  }
}

/* A kernel's context: outputs have at least the row's places, so that kernels
 * may look at optional ones that the node has not. */
static gs_kctx *new_context(gs_device *d, const gs_node *n) {
  gs_arena *a = &d->arena;
  gs_kctx *k = GS_NEW(a, gs_kctx);
  int nout = (int)gs_min(gs_max(n->nout, n->op->max_out), n->nout + 8);
  int nin = (int)gs_min(gs_max(n->nin, n->op->max_in), n->nin + 8);
  k->node = n;
  k->nin = n->nin;
  k->nout = n->nout;
  k->in = GS_NEWS(a, nin, gs_view);
  k->out = GS_NEWS(a, nout, gs_view);
  for (int i = 0; i < nin; i++) {
    const gs_value *v = gs_node_in(n, i);
    bool known = v && gs_program_buffer(d->p, v)->storage != GS_STORAGE_ARENA;
    /* Inputs and their slices are not there yet: NULL. */
    k->in[i] = view_of(v, known ? gs_device_data(d, v) : NULL);
    if (v) k->in[i].block = d->block[v->id];
    if (v && gs_program_buffer(d->p, v)->fixed) k->in[i].fixed = which(d, v);
  }
  for (int i = 0; i < nout; i++) {
    const gs_value *v = gs_node_out(n, i);
    k->out[i] = view_of(v, NULL);
    k->out[i].any = v && d->p->any[v->id];
  }
  k->mesh = d->p->g->mesh;
  k->position = d->position;
  k->arena = a;
  k->threads = d->threads;
  k->share = d->share;
  k->err = &d->err;
  return k;
}

/* Gives the results of a step that runs once their memory and runs it. */
static gs_status run_once(gs_device *d, const gs_step *step, gs_kctx *k) {
  for (int i = 0; i < k->nout; i++) {
    const gs_value *v = gs_node_out(step->node, i);
    if (!v) continue;
    if (d->held) {
      d->held[v->id] = gs_held_result(&d->arena, d->p, v);
      d->data[v->id] = gs_held_get(d->held[v->id]);
    } else {
      d->data[v->id] = gs_alloc64(&d->arena, gs_value_bytes(v));
    }
    k->out[i].data = d->data[v->id];
  }
  gs_arena a;
  gs_arena_init(&a);
  k->scratch = gs_alloc64(&a, k->scratch_size);
  gs_status s = gs_kernel_run(step->kernel, k);
  gs_arena_free(&a);
  return s;
}

static gs_status prepare_step(gs_device *d, int s) {
  const gs_step *step = &d->p->step.at[s];
  gs_bound *b = &d->bound[s];
  size_t want;
  if (step->dynamic) return gs_dynamic_prepare(d, s);
  if (step->role) {
    GS_TRY(gs_coll_new(&d->arena, step->node, d->p->g->mesh, d->position,
                       &b->coll, &d->err));
    want = b->coll->scratch_size;
  } else {
    b->k = new_context(d, step->node);
    GS_TRY(gs_kernel_prep(step->kernel, b->k));
    if (step->once) return run_once(d, step, b->k);
    want = b->k->scratch_size;
    for (int i = 0; i < step->node->nout; i++)
      if (step->node->out[i])
        d->block[step->node->out[i]->id] = b->k->out[i].block;
  }
  if (want > d->scratch_size) d->scratch_size = want;
  return GS_OK;
}

/* For messages of out of memory: no text is made, steps are many. */
static void busy_with_step(const gs_device *d, int s) {
  const gs_node *n = d->p->step.at[s].node;
  gs_busy_with(*n->name ? n->name : n->op_type);
}

gs_status gs_device_prepare(gs_device *d) {
  for (int s = 0; s < d->p->step.n; s++) {
    const gs_node *n = d->p->step.at[s].node;
    busy_with_step(d, s);
    for (int i = 0; i < n->nin; i++) fetch(d, n->in[i]);
    gs_status status = prepare_step(d, s);
    if (status) return at_step(d, s, status);
    let_go(d, s);
  }
  for (int i = 0; i < d->p->g->output.n; i++) fetch(d, d->p->exit[i].block);
  gs_busy_with("activations");
  /* gs_alloc zeroes, which also touches every page now. */
  d->mem = gs_alloc64(&d->arena, d->p->arena_size + d->scratch_size + 64);
  d->scratch = d->mem + d->p->arena_size;
  gs_busy_with(NULL);
  gs_device_bind(d);
  return GS_OK;
}

void gs_device_bind(gs_device *d) {
  d->moved = false;
  for (int s = 0; s < d->p->step.n; s++) {
    const gs_node *n = d->p->step.at[s].node;
    gs_bound *b = &d->bound[s];
    if (d->p->step.at[s].once || b->dynamic) continue;
    if (b->coll) {
      b->coll->in = gs_device_data(d, n->in[0]);
      b->coll->out = gs_device_data(d, n->out[0]);
      continue;
    }
    for (int i = 0; i < n->nin; i++)
      if (n->in[i])
        b->k->in[i].data =
            b->k->in[i].unread ? NULL : gs_device_data(d, n->in[i]);
    for (int i = 0; i < n->nout; i++)
      if (n->out[i]) b->k->out[i].data = gs_device_data(d, n->out[i]);
    b->k->scratch = d->scratch;
  }
}

static gs_status run_collective(gs_device *d, const gs_coll *c) {
  d->bytes_sent += c->bytes;
  return c->role->run(c, d->comm, d->scratch, &d->err);
}

gs_status gs_device_run(gs_device *d) {
  if (d->moved) gs_device_bind(d);
  if (d->dyn) gs_dynamic_rewind(d);
  for (int s = 0; s < d->p->step.n; s++) {
    gs_bound *b = &d->bound[s];
    if (d->p->step.at[s].once) continue;
    busy_with_step(d, s);
    gs_status status =
        b->k ? gs_kernel_run(d->p->step.at[s].kernel, b->k)
        : b->coll
            ? run_collective(d, b->coll)
            : gs_dynamic_run(d, s);
    if (status) return at_step(d, s, status);
  }
  gs_busy_with(NULL);
  return GS_OK;
}
