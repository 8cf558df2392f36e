/* Outputs: whole values joined from the devices' blocks. */
#include <string.h>

#include "base/assert.h"
#include "exec/data/aligned.h"
#include "exec/data/subarray.h"
#include "exec/run/exec.h"

bool gs_gather_first(const gs_mesh *m, const gs_sharding *s, int64_t p) {
  gs_axes rest = gs_axes_of(gs_mesh_rest(m, gs_sharding_used(s)));
  return gs_axes_index(m, &rest, p) == 0;
}

/* Copies the block of device p into its place. */
static void put(const gs_mesh *m, const gs_gather *x, int64_t p,
                const void *block, void *whole) {
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  const gs_value *v = x->value;
  for (int d = 0; d < v->rank; d++)
    gs_sharding_range(m, x->split, d, v->dims[d], p, &first[d], &count[d]);
  gs_subarray_move(v->dtype, v->rank, count, block, x->block->dims, NULL, whole,
                   v->dims, first);
}

static const void *block_of(const gs_exec *x, int64_t p, int i,
                            const gs_gather **from) {
  gs_assert(p >= x->first && p < x->first + x->n);
  gs_device *d = &x->device[p - x->first];
  *from = &d->p->gather[i];
  return gs_device_data(d, (*from)->block);
}

/* Puts the blocks of all devices together on rank 0; whole: NULL elsewhere.
 */
static gs_status join(gs_exec *x, int i, void *whole, gs_err *e) {
  gs_world *w = x->config.world;
  const gs_gather *from = &x->program[0]->gather[i];
  const gs_mesh *m = x->program[0]->g->mesh;
  size_t bytes = gs_value_bytes(from->block);
  for (int64_t p = 0; p < m->ndevice; p++) {
    if (!gs_gather_first(m, from->split, p)) continue;
    if (p >= x->first && p < x->first + x->n) {
      const void *block = block_of(x, p, i, &from);
      if (whole) put(m, from, p, block, whole);
      else GS_TRY(gs_world_send(w, 0, block, bytes, e));
    } else if (whole) {
      if (x->ncame < bytes) x->came = gs_alloc(&x->arena, bytes);
      if (x->ncame < bytes) x->ncame = bytes;
      GS_TRY(gs_world_recv(w, (int)(p / x->n), x->came, bytes, e));
      put(m, from, p, x->came, whole);
    }
  }
  return GS_OK;
}

gs_status gs_exec_joined(gs_exec *x, int i, const void **out, gs_err *e) {
  const gs_world *w = x->config.world;
  const gs_gather *from = &x->program[0]->gather[i];
  bool mine = !w || w->rank == 0;
  gs_assert(!gs_value_dynamic(from->value));
  *out = NULL;
  if (!from->split) {
    if (mine) *out = block_of(x, 0, i, &from);
    return GS_OK;
  }
  void **at = &x->joined[i];
  if (mine && !*at) *at = gs_alloc64(&x->arena, gs_value_bytes(from->value));
  *out = *at;
  return join(x, i, *at, e);
}

gs_status gs_exec_result(gs_exec *x, gs_arena *a, int i, gs_dyn **out,
                         gs_err *e) {
  const gs_gather *from = &x->program[0]->gather[i];
  const gs_world *w = x->config.world;
  *out = NULL;
  if (gs_value_dynamic(from->value)) {
    if (w && w->rank) return GS_OK;
    const gs_dyn *b = x->device[0].dyn[from->value->id];
    if (!b)
      return gs_fail(e, GS_INTERNAL, from->value->name,
                     "this output was not made");
    *out = gs_dyn_copy(a, b);
    (*out)->t.name = gs_strdup(a, from->value->name);
    return GS_OK;
  }
  gs_tensor *t;
  GS_TRY(gs_exec_output(x, a, i, &t, e));
  if (t) *out = gs_dyn_of(a, t);
  return GS_OK;
}

gs_status gs_exec_output(gs_exec *x, gs_arena *a, int i, gs_tensor **out,
                         gs_err *e) {
  gs_world *w = x->config.world;
  const gs_gather *from = &x->program[0]->gather[i];
  const gs_value *v = from->value;
  *out = NULL;
  gs_busy_with(v->name);
  if (gs_value_dynamic(v)) {
    gs_dyn *b;
    GS_TRY(gs_exec_result(x, a, i, &b, e));
    if (b && b->kind != GS_TENSOR)
      return gs_fail(e, GS_UNSUPPORTED, v->name, "this output is %s",
                     gs_kind_text(b->kind));
    if (b) *out = &b->t;
    return GS_OK;
  }
  if (!w || w->rank == 0) {
    GS_TRY(gs_tensor_new(a, v->dtype, v->rank, v->dims, out, e));
    (*out)->name = gs_strdup(a, v->name);
  }
  void *whole = *out ? (void *)(uintptr_t)(*out)->data : NULL;
  if (from->split) return join(x, i, whole, e);
  /* What is whole on every device comes from device 0. */
  if (*out && (*out)->nbytes)
    memcpy(whole, block_of(x, 0, i, &from), (size_t)(*out)->nbytes);
  return GS_OK;
}
