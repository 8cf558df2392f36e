/* Inputs: each device its block of them. */
#include <string.h>

#include "base/math.h"
#include "exec/data/aligned.h"
#include "exec/data/input_slice.h"
#include "exec/run/exec.h"

static void lies_at(gs_device *d, const gs_value *v, const void *p) {
  void **at = &d->data[v->id];
  if (*at == p) return;
  *at = (void *)(uintptr_t)p;
  d->moved = true;
}

/* Whether v has memory that a step writes to (exec/run/tie.h). */
static bool stays(const gs_device *d, const gs_value *v) {
  return d->stays && d->stays[v->id];
}

/* Gives device d its part of input v. */
static void give_input(gs_device *d, const gs_value *v, const void *whole) {
  if (stays(d, v)) memcpy(d->own[v->id], whole, gs_value_bytes(v));
  lies_at(d, v, stays(d, v) ? d->own[v->id] : whole);
  for (int i = d->p->sliced[v->id]; i; i = d->p->slice.at[i - 1].next) {
    const gs_slice *l = &d->p->slice.at[i - 1];
    const void *inside =
        stays(d, l->to) ? NULL
                        : gs_slice_inside(d->p, l, d->position, whole);
    if (inside) {
      lies_at(d, l->to, inside);
      continue;
    }
    /* Memory of an earlier copy is used again; one inside an earlier whole
     * is not ours to write. */
    void **own = &d->own[l->to->id];
    if (!*own) *own = gs_alloc64(&d->arena, gs_value_bytes(l->to));
    lies_at(d, l->to, *own);
    gs_slice_copy(d->p, l, d->position, whole, *own);
  }
}

static gs_status check_input(const gs_value *v, const gs_tensor *t,
                             gs_err *e) {
  if (v->dtype == t->dtype && v->rank == t->rank &&
      gs_same_dims(v->dims, t->dims, v->rank))
    return GS_OK;
  gs_arena a;
  gs_arena_init(&a);
  gs_status s =
      gs_fail(e, GS_DATA, v->name, "the input is %s, but the model expects %s",
              gs_shape_text(&a, t->dtype, t->rank, t->dims),
              gs_shape_text(&a, v->dtype, v->rank, v->dims));
  gs_arena_free(&a);
  return s;
}

/* An input that lies in a dynamic value as it is given; b stays the caller's.
 */
static gs_status give_dynamic(gs_device *d, const gs_value *v, gs_dyn *b,
                              gs_err *e) {
  bool optional = v->kind == GS_OPTIONAL || v->kind == GS_OPTIONAL_SEQUENCE;
  bool fits = optional ? b->kind != GS_TENSOR || v->kind == GS_OPTIONAL
                       : b->kind == v->kind;
  const gs_dyn *t = optional && b->kind == GS_OPTIONAL && b->n ? b->item[0] : b;
  if (t->t.dtype != GS_UNDEFINED && v->dtype != GS_UNDEFINED)
    fits = fits && t->t.dtype == v->dtype;
  if (fits && b->kind == GS_TENSOR && v->rank >= 0)
    GS_TRY(check_input(v, &b->t, e));
  if (fits) {
    d->dyn[v->id] = b;
    return GS_OK;
  }
  gs_arena a;
  gs_arena_init(&a);
  gs_status s = gs_fail(e, GS_DATA, v->name,
                        "the input is %s, but the model expects %s of %s",
                        gs_dyn_text(&a, b), gs_kind_text(v->kind),
                        gs_dtype_get((int)v->dtype)->text);
  gs_arena_free(&a);
  return s;
}

/* Elements of t that kernels may read; NULL for strings. */
static gs_status readable(gs_exec *x, const char *name, const gs_tensor *t,
                          const void **out, gs_err *e) {
  static const char none[64];
  *out = NULL;
  if (t->dtype == GS_STRING) return GS_OK;
  *out = t->nbytes ? gs_tensor_bytes(t) : none;
  if (!*out)
    return gs_fail(e, GS_NOINPUT, name, "the data of this input is missing");
  *out = gs_data_aligned(&x->arena, t, *out);
  return GS_OK;
}

/* b with such elements, for inputs that lie in dynamic values. */
static gs_status readable_dynamic(gs_exec *x, const char *name,
                                  const gs_dyn *b, gs_dyn **out, gs_err *e) {
  gs_dyn *c = *out = gs_memdup(&x->arena, b, sizeof *b);
  if (b->kind == GS_TENSOR)
    return readable(x, name, &b->t, &c->t.data, e);
  c->item = GS_NEWS(&x->arena, b->n, gs_dyn *);
  for (int i = 0; i < b->n; i++)
    GS_TRY(readable_dynamic(x, name, b->item[i], &c->item[i], e));
  return GS_OK;
}

gs_status gs_exec_give(gs_exec *x, const char *name, const gs_dyn *b,
                       gs_err *e) {
  const gs_graph *g = x->program[0]->g;
  gs_busy_with(name);
  const gs_value *first = gs_graph_find(g, name);
  if (!first || !first->is_input)
    return gs_fail(e, GS_USAGE, name, "the model has no such input");
  bool dynamic = gs_value_dynamic(first);
  gs_dyn *mine = NULL;
  const void *data = NULL;
  if (!dynamic && b->kind != GS_TENSOR)
    return gs_fail(e, GS_DATA, name, "the input is %s, not a tensor",
                   gs_kind_text(b->kind));
  if (!dynamic) GS_TRY(check_input(first, &b->t, e));
  if (dynamic) GS_TRY(readable_dynamic(x, name, b, &mine, e));
  else GS_TRY(readable(x, name, &b->t, &data, e));
  for (int64_t i = 0; i < x->n; i++) {
    gs_device *d = &x->device[i];
    const gs_value *v = gs_graph_find(d->p->g, name);
    if (!v || !v->is_input)
      return gs_fail(e, GS_MISMATCH, name,
                     "the graph of device %lld has no such input",
                     (long long)d->position);
    if (gs_value_dynamic(v) != dynamic)
      return gs_fail(e, GS_MISMATCH, name,
                     "the graph of device %lld takes a different input",
                     (long long)d->position);
    if (dynamic) {
      GS_TRY(give_dynamic(d, v, mine, e));
      continue;
    }
    GS_TRY(check_input(v, &b->t, e));
    give_input(d, v, data);
  }
  gs_busy_with(NULL);
  x->given[first->id] = true;
  return GS_OK;
}

gs_status gs_exec_input(gs_exec *x, const char *name, const gs_tensor *t,
                        gs_err *e) {
  gs_dyn b = {.kind = GS_TENSOR, .t = *t};
  return gs_exec_give(x, name, &b, e);
}
