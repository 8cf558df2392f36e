/* Rows of outputs, looked at where they lie. */
#include "base/assert.h"
#include "base/math.h"
#include "exec/run/exec.h"

/* A block of an output, as far as it is one of the output's elements. */
typedef struct part {
  const gs_gather *from;
  int64_t position;   /* of the device that has it */
  int64_t first[GS_MAX_RANK], count[GS_MAX_RANK];
  int64_t rows;       /* of the block; 0 too where rows would be empty */
  const char *data;   /* NULL: another process has it */
} part;

static part part_of(gs_exec *x, int i, int64_t p) {
  bool here = p >= x->first && p < x->first + x->n;
  gs_device *d = &x->device[here ? p - x->first : 0];
  const gs_gather *from = &d->p->gather[i];
  const gs_mesh *m = x->program[0]->g->mesh;
  const gs_value *v = from->value;
  part t = {.from = from, .position = p};
  for (int k = 0; k < v->rank; k++)
    if (from->split)
      gs_sharding_range(m, from->split, k, v->dims[k], p, &t.first[k],
                        &t.count[k]);
    else t.count[k] = v->dims[k];
  t.rows = t.count[v->rank - 1] ? gs_product(t.count, v->rank - 1) : 0;
  if (here) t.data = gs_device_data(d, from->block);
  return t;
}

/* Row r of the block. */
static gs_row_part row_of(const part *t, int64_t r) {
  const gs_value *v = t->from->value, *b = t->from->block;
  int last = v->rank - 1;
  int64_t at = 0, row = 0, stride = 1, whole = 1, rest = r;
  for (int k = last - 1; k >= 0; k--) {
    int64_t c = rest % t->count[k];
    rest /= t->count[k];
    at += c * stride;
    row += (t->first[k] + c) * whole;
    stride *= b->dims[k];
    whole *= v->dims[k];
  }
  at *= b->dims[last] * gs_dtype_get((int)v->dtype)->bits / 8;
  return (gs_row_part){.row = row,
                       .first = t->first[last],
                       .n = t->count[last],
                       .dtype = v->dtype,
                       .data = t->data ? t->data + at : NULL};
}

/* What is said of all rows of a block: made where it lies, taken on rank 0. */
static gs_status pass(gs_exec *x, const part *t, const gs_row_look *l,
                      gs_err *e) {
  gs_world *w = x->config.world;
  size_t bytes = (size_t)t->rows * l->bytes;
  bool mine = !w || w->rank == 0;
  if (!bytes || (!mine && !t->data)) return GS_OK;
  if (x->nsaid < bytes) x->said = gs_alloc(&x->arena, bytes);
  if (x->nsaid < bytes) x->nsaid = bytes;
  char *said = x->said;
  for (int64_t r = 0; r < t->rows && t->data; r++) {
    gs_row_part p = row_of(t, r);
    l->look(l->user, &p, said + (size_t)r * l->bytes);
  }
  if (!mine) return gs_world_send(w, 0, said, bytes, e);
  if (!t->data)
    GS_TRY(gs_world_recv(w, (int)(t->position / x->n), said, bytes, e));
  for (int64_t r = 0; r < t->rows; r++) {
    gs_row_part p = row_of(t, r);
    l->take(l->user, &p, said + (size_t)r * l->bytes);
  }
  return GS_OK;
}

gs_status gs_exec_rows(gs_exec *x, int i, const gs_row_look *l, gs_err *e) {
  const gs_gather *from = &x->program[0]->gather[i];
  const gs_mesh *m = x->program[0]->g->mesh;
  gs_assert(!gs_value_dynamic(from->value) && from->value->rank > 0 &&
            gs_dtype_get((int)from->value->dtype)->bits % 8 == 0);
  for (int64_t p = 0; p < (from->split ? m->ndevice : 1); p++) {
    if (from->split && !gs_gather_first(m, from->split, p)) continue;
    part t = part_of(x, i, p);
    GS_TRY(pass(x, &t, l, e));
  }
  return GS_OK;
}
