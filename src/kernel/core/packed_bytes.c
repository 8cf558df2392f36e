/* Packed operands for kernels that move whole bytes. */
#include "base/assert.h"
#include "ir/packed.h"

#include "kernel/core/par.h"
#include "kernel/core/support.h"

enum { UNIT = 4096 }; /* elements; they begin at a byte in every type */

/* What stands between a node and its kernel: the context that the kernel
 * sees, and where its unpacked operands and results lie in scratch. */
typedef struct between {
  gs_kctx k;
  size_t *in, *out; /* places of those that are packed */
} between;

static bool applies(const gs_kctx *k) {
  if (!k->node->op || !(k->node->op->flags & GS_OP_MOVES)) return false;
  for (int i = 0; i < k->nin; i++)
    if (k->in[i].rank >= 0 && gs_dtype_packed(k->in[i].dtype)) return true;
  return false;
}

/* Copies n views; packed ones become bytes, at places from *size on. */
static gs_view *unpacked(gs_arena *a, const gs_view *v, int n, size_t **place,
                         size_t *size) {
  gs_view *w = GS_NEWS(a, n + 1, gs_view);
  *place = GS_NEWS(a, n + 1, size_t);
  for (int i = 0; i < n; i++) {
    w[i] = v[i];
    if (v[i].rank < 0 || !gs_dtype_packed(v[i].dtype)) continue;
    w[i].dtype = GS_UINT8;
    w[i].data = NULL;
    w[i].fixed = NULL;
    (*place)[i] = *size;
    gs_assert(v[i].n >= 0);
    *size += ((size_t)v[i].n + 63) / 64 * 64;
  }
  return w;
}

gs_status gs_kernel_prep(const gs_kernel *kernel, gs_kctx *k) {
  if (!applies(k)) return kernel->prep ? kernel->prep(k) : GS_OK;
  between *b = GS_NEW(k->arena, between);
  size_t size = 0;
  b->k = *k;
  b->k.scratch_size = 0;
  b->k.in = unpacked(k->arena, k->in, k->nin, &b->in, &size);
  b->k.out = unpacked(k->arena, k->out, k->nout, &b->out, &size);
  if (kernel->prep) GS_TRY(kernel->prep(&b->k));
  k->scratch_size = size + b->k.scratch_size;
  b->k.scratch_size = size; /* from now on: where its own scratch begins */
  k->state = b;
  return GS_OK;
}

typedef struct job {
  const gs_view *v; /* packed */
  uint8_t *codes;
  bool pack;
} job;

static void convert(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  int bits = gs_dtype_get((int)j->v->dtype)->bits;
  gs_assert(bits == 2 || bits == 4);
  int64_t first = lo * UNIT, n = gs_min(hi * UNIT, j->v->n) - first;
  if (j->pack)
    gs_codes_pack(bits, (uint8_t *)j->v->data + first * bits / 8,
                  j->codes + first, n);
  else
    gs_codes_unpack(bits, false, j->codes + first, j->v->data, first, n);
}

/* Gives views of the kernel their data: the node's own, or codes in scratch
 * that are unpacked from it (operands), packed to it (results). */
static void bind(const gs_kctx *k, const gs_view *v, gs_view *w,
                 const size_t *place, int n) {
  for (int i = 0; i < n; i++)
    w[i].data = w[i].dtype == v[i].dtype || !v[i].data
                    ? v[i].data
                    : (char *)k->scratch + place[i];
}

static void convert_all(const gs_kctx *k, const gs_view *v, const gs_view *w,
                        int n, bool pack) {
  for (int i = 0; i < n; i++) {
    if (w[i].dtype == v[i].dtype || !v[i].data) continue;
    job j = {&v[i], w[i].data, pack};
    gs_parallel(k->threads, gs_ceil_div(v[i].n, UNIT), UNIT, convert, &j);
  }
}

gs_status gs_kernel_run(const gs_kernel *kernel, gs_kctx *k) {
  if (!applies(k)) return kernel->run(k);
  between *b = k->state;
  gs_kctx inner = b->k;
  gs_assert(b && b->k.nin == k->nin && b->k.nout == k->nout);
  inner.scratch = (char *)k->scratch + b->k.scratch_size;
  inner.err = k->err;
  bind(k, k->in, inner.in, b->in, k->nin);
  bind(k, k->out, inner.out, b->out, k->nout);
  convert_all(k, k->in, inner.in, k->nin, false);
  GS_TRY(kernel->run(&inner));
  convert_all(k, k->out, inner.out, k->nout, true);
  return GS_OK;
}
