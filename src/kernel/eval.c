/* Runs one node at compile time. */
#include <stdlib.h>

#include "base/math.h"
#include "kernel/kernel.h"

static void view_of(const gs_value *v, gs_view *w) {
  *w = (gs_view){.rank = -1};
  if (!v) return;
  w->dtype = v->dtype;
  w->rank = v->rank;
  w->dims = v->dims;
  w->n = gs_product(v->dims, v->rank);
}

/* The elements where kernels may read them: in a file they may lie at any
 * offset. */
static const void *aligned(gs_arena *a, const gs_tensor *t) {
  if (t->dtype == GS_STRING) return t->strings;
  const void *p = gs_tensor_bytes(t);
  if (!p || (uintptr_t)p % 16 == 0) return p;
  return gs_memdup(a, p, (size_t)t->nbytes);
}

/* Operands of n as views of their constants. */
static gs_status operands(const gs_node *n, gs_arena *a, gs_view *in,
                          const char *place, gs_err *e) {
  for (int i = 0; i < n->nin; i++) {
    const gs_value *v = n->in[i];
    view_of(v, &in[i]);
    if (!v) continue;
    if (!v->constant && !gs_op_reads(n->op, i)) continue;
    if (!v->constant)
      return gs_fail(e, GS_INTERNAL, place, "operand %d is not constant", i);
    const void *data = aligned(a, v->constant);
    if (!data && in[i].n > 0)
      return gs_fail(e, GS_UNSUPPORTED, place,
                     "the data of constant '%s' is not available", v->name);
    memcpy(&in[i].data, &data, sizeof data); /* never written, see prep */
  }
  return GS_OK;
}

static gs_status results(gs_graph *g, const gs_node *n, gs_view *out,
                         gs_tensor **t, gs_err *e) {
  for (int i = 0; i < n->nout; i++) {
    view_of(n->out[i], &out[i]);
    if (!n->out[i]) continue;
    GS_TRY(gs_tensor_new(g->arena, out[i].dtype, out[i].rank, out[i].dims,
                         &t[i], e));
    memcpy(&out[i].data, &t[i]->data, sizeof t[i]->data);
  }
  return GS_OK;
}

static gs_status eval(gs_graph *g, gs_node *n, gs_arena *a, gs_err *e) {
  const char *place = gs_node_place(a, n);
  const gs_kernel *kernel = gs_kernel_of(n->op);
  if (!kernel->run)
    return gs_fail(e, GS_UNSUPPORTED, place,
                   "a collective has no value at compile time");
  for (int i = 0; i < n->nout; i++)
    if (n->out[i] && (n->out[i]->rank < 0 ||
                      gs_product(n->out[i]->dims, n->out[i]->rank) < 0)) {
      GS_TRY(gs_shape_infer(g, n, e));
      break;
    }
  gs_tensor **t = GS_NEWS(a, n->nout + 1, gs_tensor *);
  gs_kctx k = {.node = n,
               .nin = n->nin,
               .nout = n->nout,
               .in = GS_NEWS(a, n->nin + 1, gs_view),
               .out = GS_NEWS(a, n->nout + 1, gs_view),
               .mesh = g->mesh,
               .arena = a,
               .threads = 1,
               .err = e};
  GS_TRY(operands(n, a, k.in, place, e));
  GS_TRY(results(g, n, k.out, t, e));
  GS_TRY(gs_kernel_prep(kernel, &k));
  if (k.scratch_size) {
    uintptr_t p = (uintptr_t)gs_alloc(a, k.scratch_size + 63);
    k.scratch = (void *)((p + 63) & ~(uintptr_t)63);
  }
  GS_TRY(gs_kernel_run(kernel, &k));
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) n->out[i]->constant = t[i];
  return GS_OK;
}

gs_status gs_kernel_eval(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena a; /* what prep and scratch need dies with it */
  gs_arena_init(&a);
  gs_status s = n->op ? eval(g, n, &a, e)
                      : gs_fail(e, GS_UNSUPPORTED, gs_node_place(&a, n),
                                "no such operator");
  gs_arena_free(&a);
  return s;
}
