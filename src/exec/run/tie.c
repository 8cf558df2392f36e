#include "exec/run/tie.h"

#include <string.h>

#include "base/assert.h"
#include "exec/compile/keep.h"
#include "exec/data/aligned.h"
#include "exec/data/subarray.h"
#include "exec/run/exec.h"

/* One device's side of a tie. */
typedef struct side {
  const gs_gather *from; /* the output */
  const gs_value *to;    /* what the device has of the input; NULL: JOIN */
  int root;              /* whose memory the output has */
} side;

static side side_of(const gs_device *d, const gs_tied *t) {
  const gs_program *p = d->p;
  side s = {.from = &p->gather[t->out]};
  s.to = gs_program_held(p, p->g->input.at[t->in], s.from->split);
  s.root = gs_program_buffer(p, s.from->block)->root;
  return s;
}

static gs_tie_way way_of(const gs_exec *x, int k) {
  const gs_program *p = x->device[0].p;
  const gs_tied *t = &x->tied[k];
  side s = side_of(&x->device[0], t);
  if (!s.to) return GS_TIE_JOIN;
  if (s.root == gs_program_buffer(p, s.to)->root) return GS_TIE_OVER;
  if (p->buffer[s.root].storage != GS_STORAGE_KEPT || p->over[s.root] != s.to)
    return GS_TIE_COPY;
  for (int i = 0; i < k; i++) /* one output becomes several inputs */
    if (side_of(&x->device[0], &x->tied[i]).root == s.root) return GS_TIE_COPY;
  return GS_TIE_SWAP;
}

static void lies_at(gs_device *d, const gs_value *v, void *p) {
  if (d->data[v->id] == p) return;
  d->data[v->id] = p;
  d->moved = true;
}

/* ---- beginning ---- */

static void join_memory(gs_exec *x, gs_tied *t) {
  const gs_value *v = x->program[0]->g->input.at[t->in];
  t->whole = gs_alloc64(&x->arena, gs_value_bytes(v));
  gs_tensor *tensor = GS_NEW(&x->arena, gs_tensor);
  *tensor = (gs_tensor){.name = v->name, .dtype = v->dtype, .rank = v->rank,
                        .dims = v->dims, .nbytes = gs_value_bytes(v),
                        .data = t->whole};
  t->value = gs_dyn_of(&x->arena, tensor);
}

/* The step writes there: what is given is copied. */
static void own(gs_device *d, const gs_value *v, void *p) {
  if (!d->stays) d->stays = GS_NEWS(&d->arena, d->p->g->value.n, bool);
  d->stays[v->id] = true;
  d->own[v->id] = p;
}

/* The memory of the same tie of x's base, which lies there as it does here. */
static gs_status share_memory(gs_exec *x, gs_tied *t, gs_err *e) {
  const gs_tied *old = &x->base->tied[t - x->tied];
  bool same = (t->way == GS_TIE_JOIN) == (old->way == GS_TIE_JOIN);
  for (int64_t i = 0; same && t->way != GS_TIE_JOIN && i < x->n; i++)
    same = gs_value_bytes(side_of(&x->device[i], t).to) ==
           gs_value_bytes(side_of(&x->base->device[i], old).to);
  if (!same)
    return gs_fail(e, GS_UNSUPPORTED, t->name, "the programs of two bindings "
                   "have this state in different blocks");
  t->now = old->now;
  t->whole = old->whole;
  t->value = old->value;
  return GS_OK;
}

static gs_status begin(gs_exec *x, gs_tied *t, gs_err *e) {
  bool shares = x->base != x;
  if (shares) GS_TRY(share_memory(x, t, e));
  else t->now = GS_NEWS(&x->arena, x->n, void *);
  t->spare = GS_NEWS(&x->arena, x->n, void *);
  if (t->way == GS_TIE_JOIN) {
    if (!shares) join_memory(x, t);
    return gs_exec_give(x, t->name, t->value, e);
  }
  for (int64_t i = 0; i < x->n; i++) {
    gs_device *d = &x->device[i];
    side s = side_of(d, t);
    gs_assert(s.to && (t->way == GS_TIE_OVER) ==
                          (s.root == gs_program_buffer(d->p, s.to)->root));
    size_t bytes = gs_value_bytes(s.to);
    if (!shares) t->now[i] = gs_alloc64(&x->arena, bytes);
    if (t->way == GS_TIE_COPY) t->spare[i] = gs_alloc64(&x->arena, bytes);
    lies_at(d, s.to, t->now[i]);
    if (t->way == GS_TIE_OVER) own(d, s.to, t->now[i]);
  }
  x->given[x->program[0]->g->input.at[t->in]->id] = true;
  return GS_OK;
}

gs_status gs_exec_tie(gs_exec *x, gs_err *e) {
  const gs_exec_config *c = &x->config;
  x->tied = GS_NEWS(&x->arena, c->ntie, gs_tied);
  for (int k = 0; k < c->ntie; k++) {
    gs_tied *t = &x->tied[k];
    *t = (gs_tied){.out = c->tie[k].out, .in = c->tie[k].in};
    t->name = x->program[0]->g->input.at[t->in]->name;
    t->way = way_of(x, k);
  }
  for (int k = 0; k < c->ntie; k++) GS_TRY(begin(x, &x->tied[k], e));
  return GS_OK;
}

/* ---- from one run to the next ---- */

static gs_status join_all(gs_exec *x, const bool *but, gs_err *e) {
  gs_world *w = x->config.world;
  for (int k = 0; k < x->config.ntie; k++) {
    const gs_tied *t = &x->tied[k];
    const void *p;
    if (t->way != GS_TIE_JOIN || but[t->in]) continue;
    GS_TRY(gs_exec_joined(x, t->out, &p, e));
    size_t bytes = (size_t)t->value->t.nbytes;
    if (p && bytes) memcpy(t->whole, p, bytes);
    if (w && w->nrank > 1) GS_TRY(gs_world_bcast(w, t->whole, bytes, e));
  }
  return GS_OK;
}

/* The block without what its padding holds. */
static void copy_block(const gs_device *d, const side *s, void *to) {
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  const gs_value *v = s->from->value, *block = s->from->block;
  const void *from = gs_device_data(d, block);
  if (!s->from->split) {
    if (gs_value_bytes(block)) memcpy(to, from, gs_value_bytes(block));
    return;
  }
  for (int i = 0; i < v->rank; i++)
    gs_sharding_range(d->p->g->mesh, s->from->split, i, v->dims[i],
                      d->position, &first[i], &count[i]);
  gs_subarray_move(v->dtype, v->rank, count, from, block->dims, NULL, to,
                   block->dims, NULL);
}

/* All are copied before any memory changes places: one tie's output may be
 * another's input. */
static void copy_all(gs_exec *x) {
  for (int k = 0; k < x->config.ntie; k++)
    for (int64_t i = 0; x->tied[k].way == GS_TIE_COPY && i < x->n; i++) {
      side s = side_of(&x->device[i], &x->tied[k]);
      copy_block(&x->device[i], &s, x->tied[k].spare[i]);
    }
}

static void change_places(gs_exec *x, gs_tied *t, int64_t i) {
  gs_device *d = &x->device[i];
  side s = side_of(d, t);
  void **other = t->way == GS_TIE_SWAP ? &d->data[s.root] : &t->spare[i];
  void *next = *other;
  *other = t->now[i];
  t->now[i] = next;
  d->moved = true;
  lies_at(d, s.to, next);
}

gs_status gs_exec_tie_next(gs_exec *x, const bool *but, gs_err *e) {
  GS_TRY(join_all(x, but, e));
  copy_all(x);
  for (int k = 0; k < x->config.ntie; k++) {
    gs_tied *t = &x->tied[k];
    for (int64_t i = 0; i < x->n; i++)
      if (t->way == GS_TIE_SWAP || t->way == GS_TIE_COPY)
        change_places(x, t, i);
    if (t->way == GS_TIE_JOIN && !but[t->in])
      GS_TRY(gs_exec_give(x, t->name, t->value, e));
  }
  return GS_OK;
}

gs_status gs_exec_resume(gs_exec *x, gs_err *e) {
  for (int k = 0; k < x->config.ntie; k++) {
    const gs_tied *t = &x->tied[k];
    if (t->way == GS_TIE_JOIN) GS_TRY(gs_exec_give(x, t->name, t->value, e));
    for (int64_t i = 0; t->way != GS_TIE_JOIN && i < x->n; i++) {
      gs_device *d = &x->device[i];
      side s = side_of(d, t);
      lies_at(d, s.to, t->now[i]);
      if (t->way == GS_TIE_OVER) own(d, s.to, t->now[i]);
    }
  }
  return GS_OK;
}

void gs_exec_tie_ways(const gs_exec *x, int count[GS_NTIE]) {
  memset(count, 0, GS_NTIE * sizeof *count);
  for (int k = 0; k < x->config.ntie; k++) count[x->tied[k].way]++;
}
