/* Nodes run on dynamic values. */
#include "kernel/core/call_dynamic.h"

#include "base/assert.h"
#include "base/math.h"

gs_status gs_dyncall_fail(gs_dyncall *k, gs_status code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  const char *text = gs_vsprintf(k->arena, fmt, ap);
  va_end(ap);
  return gs_fail(k->err, code, gs_node_place(k->arena, k->node), "%s", text);
}

/* ---- operands ---- */

/* What an optional holds; *b itself when it is none. */
static gs_status opened(gs_dyncall *k, int i, gs_dyn **b) {
  gs_assert(i >= 0);
  *b = i < gs_node_formal(k->node) ? k->in[i] : NULL;
  if (*b && (*b)->kind == GS_OPTIONAL) *b = (*b)->n ? (*b)->item[0] : NULL;
  if (*b) return GS_OK;
  return gs_dyncall_fail(k, GS_DATA, "operand %d is an empty optional", i);
}

gs_status gs_dyncall_tensor(gs_dyncall *k, int i, gs_dyn **out) {
  GS_TRY(opened(k, i, out));
  if ((*out)->kind == GS_TENSOR) return GS_OK;
  return gs_dyncall_fail(k, GS_DATA, "operand %d is %s, not a tensor", i,
                        gs_kind_text((*out)->kind));
}

gs_status gs_dyncall_list(gs_dyncall *k, int i, gs_dyn **out) {
  GS_TRY(opened(k, i, out));
  if ((*out)->kind == GS_SEQUENCE) return GS_OK;
  return gs_dyncall_fail(k, GS_DATA, "operand %d is %s, not a sequence", i,
                        gs_dyn_text(k->arena, *out));
}

gs_status gs_dyncall_int(gs_dyncall *k, int i, int64_t otherwise,
                        int64_t *out) {
  *out = otherwise;
  if (i >= gs_node_formal(k->node) || !k->in[i]) return GS_OK;
  gs_dyn *b;
  GS_TRY(gs_dyncall_tensor(k, i, &b));
  if (gs_tensor_ints(&b->t, out, 1) == 1) return GS_OK;
  return gs_dyncall_fail(k, GS_DATA,
                        "operand %d is %s where one integer is needed", i,
                        gs_dyn_text(k->arena, b));
}

gs_status gs_dyncall_result(gs_dyncall *k, int i, gs_dtype dtype, int rank,
                           const int64_t *dims, gs_dyn **b) {
  gs_dyn *made;
  GS_TRY(gs_dyn_new(k->heap, dtype, rank, dims, &made, k->err));
  gs_assert(k->heap);
  if (b) *b = made;
  if (gs_node_out(k->node, i)) k->out[i] = made;
  return GS_OK;
}

gs_status gs_dyncall_esize(gs_dyncall *k, const gs_dyn *b, size_t *size) {
  int bits = gs_dtype_get((int)b->t.dtype)->bits;
  *size = b->t.dtype == GS_STRING ? sizeof(gs_string) : (size_t)bits / 8;
  if (*size) return GS_OK;
  return gs_dyncall_fail(k, GS_UNSUPPORTED, "no kernel for %s",
                        gs_dtype_get((int)b->t.dtype)->text);
}

/* ---- by the kernel ---- */

/* A copy of the node whose operands are the dynamic values' tensors, as
 * constants. */
static gs_status constant_node(gs_dyncall *k, gs_graph *g, gs_node **out) {
  const gs_node *from = k->node;
  gs_node *n = gs_node_like(g, from, from->name);
  n->dynamic = false; /* for its operands are known */
  n->attr = from->attr;
  n->nattr = from->nattr;
  for (int i = 0; i < n->nin; i++) {
    if (!k->in[i]) continue;
    gs_dyn *b;
    GS_TRY(gs_dyncall_tensor(k, i, &b));
    n->in[i] = gs_value_constant(g, from->in[i]->name, &b->t);
  }
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = from->out[i];
    if (v)
      gs_node_output(n, i, gs_value_new(g, v->name, v->dtype, v->rank,
                                        v->dims));
  }
  *out = n;
  return GS_OK;
}

static void view_dyn(const gs_dyn *b, gs_view *w) {
  *w = (gs_view){.dtype = b->t.dtype,
                 .rank = b->t.rank,
                 .dims = b->t.dims,
                 .n = gs_tensor_count(&b->t),
                 .data = gs_dyn_data(b)};
}

static bool same_shape(const gs_value *v, const gs_value *w) {
  return v->dtype == w->dtype && v->rank == w->rank &&
         gs_same_dims(v->dims, w->dims, v->rank);
}

/* In the place that is planned for them where they fit it. */
static gs_status make_results(gs_dyncall *k, const gs_node *n, gs_view *out) {
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v) continue;
    if (k->place && k->place[i] && same_shape(v, k->node->out[i])) {
      k->out[i] = GS_NEW(k->arena, gs_dyn);
      gs_dyn_view(k->out[i], v->dtype, v->rank, v->dims, k->place[i]);
    } else {
      GS_TRY(gs_dyncall_result(k, i, v->dtype, v->rank, v->dims, NULL));
    }
    view_dyn(k->out[i], &out[i]);
  }
  return GS_OK;
}

gs_status gs_dyncall_kernel(gs_dyncall *k) {
  gs_node *n;
  const gs_kernel *kernel = k->kernel;
  gs_graph *g = gs_graph_new(k->arena, "");
  g->mesh = k->mesh;
  if (!kernel->run)
    return gs_dyncall_fail(k, GS_UNSUPPORTED, "this operator has no kernel");
  GS_TRY(constant_node(k, g, &n));
  GS_TRY(gs_shape_infer(g, n, k->err));
  int most_in = (int)gs_min(gs_max(n->nin, n->op->max_in), n->nin + 8);
  int most_out = (int)gs_min(gs_max(n->nout, n->op->max_out), n->nout + 8);
  gs_kctx c = {.node = n,
               .nin = n->nin,
               .nout = n->nout,
               .in = GS_NEWS(k->arena, most_in, gs_view),
               .out = GS_NEWS(k->arena, most_out, gs_view),
               .mesh = k->mesh,
               .position = k->position,
               .arena = k->arena,
               .threads = k->threads,
               .err = k->err};
  for (int i = 0; i < most_in; i++) c.in[i].rank = -1;
  for (int i = 0; i < most_out; i++) c.out[i].rank = -1;
  for (int i = 0; i < n->nin; i++) {
    gs_dyn *b;
    if (!k->in[i]) continue;
    GS_TRY(gs_dyncall_tensor(k, i, &b));
    view_dyn(b, &c.in[i]);
  }
  gs_assert(most_in >= n->nin && most_out >= n->nout);
  GS_TRY(make_results(k, n, c.out));
  GS_TRY(gs_kernel_prep(kernel, &c));
  if (c.scratch_size) {
    uintptr_t p = (uintptr_t)gs_alloc(k->arena, c.scratch_size + 63);
    c.scratch = (void *)((p + 63) & ~(uintptr_t)63);
  }
  GS_TRY(gs_kernel_run(kernel, &c));
  for (int i = 0; i < n->nout; i++)
    if (k->out[i]) gs_dyn_own_strings(k->out[i]);
  return GS_OK;
}
