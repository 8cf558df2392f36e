/* Runs one node at compile time. */
#include "base/assert.h"
#include "kernel/core/call_dynamic.h"
#include "op/core/shape.h"

/* The constant in a dynamic value, its elements where kernels may read them: in
 * a file they may lie at any offset. */
static gs_status operand(const gs_node *n, int i, gs_arena *a, gs_dyn **out,
                         gs_err *e) {
  const gs_value *v = n->in[i];
  bool read = gs_op_reads(n->op, i);
  gs_dyn *b = *out = GS_NEW(a, gs_dyn);
  if (!v->constant && read)
    return gs_fail(e, GS_INTERNAL, gs_node_place(a, n),
                   "operand %d is not constant", i);
  if (v->constant) {
    *b = *gs_dyn_of(a, v->constant);
    if (v->dtype == GS_STRING) return GS_OK;
    const void *p = gs_tensor_bytes(&b->t);
    if (!p && b->t.nbytes && read)
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                     "the data of constant '%s' is not available", v->name);
    if (p && (uintptr_t)p % 16) p = gs_memdup(a, p, (size_t)b->t.nbytes);
    gs_assert((uintptr_t)p % 16 == 0);
    b->t.data = p;
    return GS_OK;
  }
  b->t.dtype = v->dtype;
  b->t.rank = v->rank;
  b->t.dims = v->dims;
  return GS_OK;
}

static gs_status eval(gs_graph *g, gs_node *n, gs_arena *a, gs_heap *heap,
                      gs_err *e) {
  const gs_kernel *kernel = gs_kernel_of(n->op);
  const gs_dynamic *dynamic = gs_dynamic_of(n->op);
  if (!kernel->run && !(dynamic && dynamic->run))
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "a collective has no value at compile time");
  gs_dyncall k = {.node = n,
                 .in = GS_NEWS(a, n->nin + 1, gs_dyn *),
                 .out = GS_NEWS(a, n->nout + 1, gs_dyn *),
                 .heap = heap,
                 .arena = a,
                 .mesh = g->mesh,
                 .threads = 1,
                 .err = e};
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) GS_TRY(operand(n, i, a, &k.in[i], e));
  GS_TRY(gs_dyncall_node(&k));
  for (int i = 0; i < n->nout; i++) {
    gs_value *v = n->out[i];
    if (!v) continue;
    if (k.out[i]->kind != GS_TENSOR)
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                     "result '%s' is not a tensor", v->name);
    const gs_tensor *t = &gs_dyn_copy(g->arena, k.out[i])->t;
    GS_TRY(gs_shape_set(g, n, i, t->dtype, t->rank, t->dims, e));
    v->constant = t;
  }
  return GS_OK;
}

gs_status gs_kernel_eval(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena a; /* what prep and scratch need dies with it */
  gs_heap heap;
  gs_arena_init(&a);
  gs_heap_init(&heap);
  gs_status s = n->op ? eval(g, n, &a, &heap, e)
                      : gs_fail(e, GS_UNSUPPORTED, gs_node_place(&a, n),
                                "no such operator");
  gs_heap_free(&heap);
  gs_arena_free(&a);
  return s;
}
