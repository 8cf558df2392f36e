/* What stands between nodes and their kernels: packed operands for those that
 * move whole bytes, and tensors in blocks of channels for those that do not
 * know of blocks. */
#include "base/assert.h"
#include "ir/packed.h"

#include "kernel/core/layout.h"
#include "kernel/core/par.h"
#include "kernel/core/support.h"

enum { UNIT = 4096 }; /* elements; they begin at a byte in every type */

/* What stands between a node and its kernel: the context that the kernel
 * sees, and where its unpacked operands and results lie in scratch. */
typedef struct between {
  gs_kctx k;
  size_t *in, *out; /* places of those that are packed, or in blocks */
} between;

/* Whether the kernel sees it in scratch. */
static bool lies_elsewhere(const gs_view *v) {
  return v->rank >= 0 && (gs_dtype_packed(v->dtype) || v->block);
}

static bool has_packed(const gs_kctx *k) {
  if (!k->node->op || !(k->node->op->flags & GS_OP_MOVES)) return false;
  for (int i = 0; i < k->nin; i++)
    if (k->in[i].rank >= 0 && gs_dtype_packed(k->in[i].dtype)) return true;
  return false;
}

/* Copies n views; packed ones become bytes and those in blocks row-major, at
 * places from *size on. */
static gs_view *unpacked(gs_arena *a, const gs_view *v, int n, size_t **place,
                         size_t *size) {
  gs_view *w = GS_NEWS(a, n + 1, gs_view);
  *place = GS_NEWS(a, n + 1, size_t);
  for (int i = 0; i < n; i++) {
    w[i] = v[i];
    if (!lies_elsewhere(&v[i])) continue;
    size_t each = v[i].block ? sizeof(float) : 1;
    if (!v[i].block) w[i].dtype = GS_UINT8;
    w[i].block = 0;
    w[i].data = NULL;
    w[i].fixed = NULL;
    (*place)[i] = *size;
    gs_assert(v[i].n >= 0);
    *size += ((size_t)v[i].n * each + 63) / 64 * 64;
  }
  return w;
}

static gs_status prep_between(const gs_kernel *kernel, gs_kctx *k) {
  between *b = GS_NEW(k->arena, between);
  size_t size = 0;
  b->k = *k;
  b->k.scratch_size = 0;
  b->k.in = unpacked(k->arena, k->in, k->nin, &b->in, &size);
  b->k.out = unpacked(k->arena, k->out, k->nout, &b->out, &size);
  if (kernel->prep) GS_TRY(kernel->prep(&b->k));
  k->scratch_size = size + b->k.scratch_size;
  b->k.scratch_size = size; /* from now on: where its own scratch begins */
  k->between = b;
  return GS_OK;
}

/* Whether operand i has the result's elements, or is joined to it, and is not
 * one number for each channel or one at all: of these blocks change nothing. */
static bool is_whole(const gs_kctx *k, int i) {
  return k->in[i].rank >= 0 && (k->in[i].n == k->out[0].n ||
                                k->node->op->flags & GS_OP_JOINS);
}

/* The blocks of the operands of a kernel that is blind to them; 0: none has
 * any.  *alike: all that are whole lie in the same, and so may the result. */
static int blocks_of(const gs_kctx *k, bool *alike) {
  int block = 0;
  for (int i = 0; i < k->nin; i++)
    if (k->in[i].block && is_whole(k, i)) block = k->in[i].block;
  *alike = block && k->out[0].any == block;
  for (int i = 0; i < k->nin; i++) {
    if (is_whole(k, i)) *alike = *alike && k->in[i].block == block;
    else if (k->in[i].block && !block) block = k->in[i].block;
  }
  return block;
}

/* The dims of v as it lies where the result, of rank `rank`, is in blocks:
 * [d0, d1 / block, what is behind, block]. */
static void show_blocks(gs_arena *a, gs_view *v, int block, int rank) {
  int64_t *dims = GS_NEWS(a, 4, int64_t);
  gs_assert(v->rank <= rank && rank >= 3);
  int d = v->rank - rank; /* of dim 0 */
  dims[0] = d < 0 ? 1 : v->dims[0];
  dims[1] = v->dims[d + 1] / block;
  dims[2] = gs_dims_count(v->dims, d + 2, v->rank);
  dims[3] = block;
  v->dims = dims;
  v->rank = 4;
}

/* Shows an elementwise kernel all but what is one element in that way. */
static void show_all(gs_kctx *k, int block) {
  int rank = k->out[0].rank;
  for (int i = 0; i < k->nin; i++)
    if (k->in[i].rank >= 0 && k->in[i].n != 1)
      show_blocks(k->arena, &k->in[i], block, rank);
  show_blocks(k->arena, &k->out[0], block, rank);
}

gs_status gs_kernel_prep(const gs_kernel *kernel, gs_kctx *k) {
  gs_view *y = k->out;
  bool alike = false;
  if (has_packed(k)) return prep_between(kernel, k);
  int block = k->node->op && gs_kernel_blind(k->node) ? blocks_of(k, &alike)
                                                      : 0;
  if (block && !alike) return prep_between(kernel, k);
  if (block) {
    y->block = block;
    y->run *= block;
    y->pitch *= block;
    y->apart *= block;
    y->lead *= block;
    if (!(k->node->op->flags & GS_OP_JOINS)) show_all(k, block);
  }
  return kernel->prep ? kernel->prep(k) : GS_OK;
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
    w[i].data = !lies_elsewhere(&v[i]) || !v[i].data
                    ? v[i].data
                    : (char *)k->scratch + place[i];
}

static void convert_all(const gs_kctx *k, const gs_view *v, const gs_view *w,
                        int n, bool pack) {
  for (int i = 0; i < n; i++) {
    if (!lies_elsewhere(&v[i]) || !v[i].data) continue;
    if (v[i].block) {
      gs_assert(!pack); /* results are row-major */
      gs_unblock(&w[i], v[i].block, v[i].data, w[i].data, k->threads);
      continue;
    }
    job j = {&v[i], w[i].data, pack};
    gs_parallel(k->threads, gs_ceil_div(v[i].n, UNIT), UNIT, convert, &j);
  }
}

gs_status gs_kernel_run(const gs_kernel *kernel, gs_kctx *k) {
  if (!k->between) return kernel->run(k);
  const between *b = k->between;
  gs_kctx inner = b->k;
  gs_assert(b->k.nin == k->nin && b->k.nout == k->nout);
  inner.scratch = (char *)k->scratch + b->k.scratch_size;
  inner.err = k->err;
  bind(k, k->in, inner.in, b->in, k->nin);
  bind(k, k->out, inner.out, b->out, k->nout);
  convert_all(k, k->in, inner.in, k->nin, false);
  GS_TRY(kernel->run(&inner));
  convert_all(k, k->out, inner.out, k->nout, true);
  return GS_OK;
}
