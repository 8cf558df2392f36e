/* A result is computed in blocks of consecutive elements.  An operand that
 * has the result's shape and the loop's type is read where it lies; any other
 * is first brought into a block buffer: runs of it are copied or repeated as
 * its broadcasting says, then converted.  So the inner loops see contiguous
 * operands only, and no element's index is ever computed on its own. */
#include "kernel/pointwise/pointwise.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/layout.h"
#include "kernel/core/par.h"

enum {
  BUFFER = 4096, /* bytes of a block buffer: three pairs fit in L1 */
  BLOCK = 64     /* of 16 channels of f32, which often repeat */
};

/* How an operand's elements repeat in the result: groups of adjacent dims,
 * outer first, alternately present in the operand and broadcast.  Dims of
 * size 1 are left out; no group: a scalar. */
typedef struct operand {
  int index; /* of the node's operands */
  gs_dtype dtype, want;
  int size; /* bytes of an element */
  int ngroup;
  int64_t *dim, *stride; /* [ngroup]; stride 0: broadcast */
} operand;

typedef struct plan {
  gs_pw_spec s;
  int nop;
  operand *op;
  bool single;   /* the loop reads one element of operands 1, 2, .. */
  int64_t block; /* elements; every buffer holds that many */
  int64_t cost;
} plan;

typedef struct buffer {
  _Alignas(64) char raw[BUFFER];
  _Alignas(64) char converted[BUFFER];
  bool filled; /* with what is the same in all blocks */
} buffer;

static int size_of(gs_dtype t) { return gs_dtype_get((int)t)->bits / 8; }

static gs_status plan_operand(gs_kctx *k, operand *o) {
  const gs_view *in = &k->in[o->index], *out = &k->out[0];
  o->dtype = in->dtype;
  o->size = size_of(in->dtype);
  o->dim = GS_NEWS(k->arena, out->rank + 1, int64_t);
  o->stride = GS_NEWS(k->arena, out->rank + 1, int64_t);
  if (in->rank > out->rank)
    return gs_fail(k->err, GS_DATA, gs_node_place(k->arena, k->node),
                   "operand %d has more dims than the result", o->index);
  int g = 0;
  for (int d = 0; d < out->rank; d++) {
    int64_t n = out->dims[d];
    int e = d - (out->rank - in->rank);
    int64_t m = e < 0 ? 1 : in->dims[e];
    if (m != n && m != 1)
      return gs_fail(k->err, GS_DATA, gs_node_place(k->arena, k->node),
                     "operand %d does not broadcast to the result", o->index);
    if (n == 1) continue;
    bool real = m != 1;
    if (g == 0 || (o->stride[g - 1] != 0) != real) {
      o->dim[g] = 1;
      o->stride[g++] = real;
    }
    o->dim[g - 1] *= n;
  }
  int64_t stride = 1;
  for (int i = g; i-- > 0;)
    if (o->stride[i]) {
      o->stride[i] = stride;
      stride *= o->dim[i];
    }
  gs_assert(g <= out->rank);
  o->ngroup = g;
  return GS_OK;
}

/* A row of L elements that repeats in all outer dims: L, else 0. */
static int64_t repeated_row(const operand *o) {
  return o->ngroup == 2 && !o->stride[0] && o->stride[1] ? o->dim[1] : 0;
}

/* One element for all of the result. */
static bool is_single(const operand *o) {
  return o->ngroup == 0 || (o->ngroup == 1 && !o->stride[0]);
}

static bool all_single(const plan *p) {
  for (int i = 1; i < p->nop; i++)
    if (!is_single(&p->op[i])) return false;
  return true;
}

gs_status gs_pw_plan(gs_kctx *k, const gs_pw_spec *s) {
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  p->s = *s;
  p->nop = s->nop ? s->nop : k->nin;
  gs_assert(s->nop <= GS_PW_OPERANDS);
  p->op = GS_NEWS(k->arena, p->nop, operand);
  int widest = size_of(s->made);
  if (size_of(k->out[0].dtype) > widest) widest = size_of(k->out[0].dtype);
  if (k->out[0].n == 0) return GS_OK;
  for (int i = 0; i < p->nop; i++) {
    operand *o = &p->op[i];
    o->index = s->nop ? s->op[i] : i;
    o->want = i == 0 && s->want0 ? s->want0 : s->want;
    if (k->in[o->index].dtype == GS_UNDEFINED)
      return gs_fail(k->err, GS_DATA, gs_node_place(k->arena, k->node),
                     "operand %d is missing", o->index);
    GS_TRY(plan_operand(k, o));
    if (o->size > widest) widest = o->size;
    if (size_of(o->want) > widest) widest = size_of(o->want);
  }
  p->single = s->single && all_single(p);
  if (p->single) p->s.loop = s->single;
  p->block = BUFFER / (widest ? widest : 1);
  gs_assert(p->block > 0);
  /* Whole rows, so that a row that repeats is brought in once. */
  for (int i = 0; i < p->nop; i++) {
    int64_t row = repeated_row(&p->op[i]);
    if (row && row < p->block) p->block -= p->block % row;
  }
  p->cost = k->node->op && k->node->op->flops > 1 ? k->node->op->flops / 2 : 1;
  return GS_OK;
}

/* n copies of the element at src. */
static void splat(char *dst, const char *src, int size, int64_t n) {
#define SPLAT(T)                                                               \
  {                                                                            \
    T v, *d = (T *)(void *)dst;                                                \
    memcpy(&v, src, sizeof v);                                                 \
    for (int64_t i = 0; i < n; i++) d[i] = v;                                  \
    return;                                                                    \
  }
  if (size == 1) {
    memset(dst, *src, (size_t)n);
    return;
  }
  if (size == 2) SPLAT(uint16_t)
  if (size == 4) SPLAT(uint32_t)
  if (size == 8) SPLAT(uint64_t)
#undef SPLAT
  for (int64_t i = 0; i < n; i++)
    memcpy(dst + i * size, src, (size_t)size);
}

/* Elements [start, start + n) of the broadcast operand. */
static void fill(const operand *o, const char *src, int64_t start, int64_t n,
                 char *dst) {
  int64_t at[GS_MAX_RANK];
  int64_t offset = 0;
  int last = o->ngroup - 1;
  if (last < 0) {
    splat(dst, src, o->size, n);
    return;
  }
  for (int g = last; g >= 0; g--) {
    at[g] = start % o->dim[g];
    start /= o->dim[g];
    offset += at[g] * o->stride[g];
  }
  while (n > 0) {
    int64_t run = gs_min(n, o->dim[last] - at[last]);
    if (o->stride[last]) {
      const char *from = src + offset * o->size;
      if (run * o->size == BLOCK) memcpy(dst, from, BLOCK);
      else memcpy(dst, from, (size_t)(run * o->size));
      offset += run;
    } else {
      splat(dst, src + offset * o->size, o->size, run);
    }
    dst += run * o->size;
    n -= run;
    at[last] += run;
    for (int g = last; g >= 0 && at[g] == o->dim[g]; g--) {
      offset -= at[g] * o->stride[g];
      at[g] = 0;
      if (g > 0) {
        at[g - 1]++;
        offset += o->stride[g - 1];
      }
    }
  }
}

/* Operand elements [start, start + n) as the loop wants them. */
static const void *fetch(const operand *o, const char *src, int64_t start,
                         int64_t n, buffer *b) {
  bool whole = o->ngroup == 1 && o->stride[0];
  bool same = o->dtype == o->want;
  if (b->filled) return same ? b->raw : b->converted;
  const char *p = src + start * o->size;
  int64_t row = repeated_row(o), in_row = row ? start % row : 0;
  if (row && in_row + n <= row) {
    whole = true; /* this part of it */
    p = src + in_row * o->size;
  }
  if (!whole) {
    fill(o, src, start, n, b->raw);
    p = b->raw;
  } else if ((uintptr_t)p % (uintptr_t)(o->size > 8 ? 8 : o->size)) {
    memcpy(b->raw, p, (size_t)(n * o->size)); /* a weight mapped from a file */
    p = b->raw;
  }
  if (!same) {
    gs_convert(o->want, b->converted, o->dtype, p, n, NULL);
    p = b->converted;
  }
  return p;
}

/* One block of the result into dst, in the loop's type. */
static void block(const gs_kctx *k, const plan *p, int64_t at, int64_t n,
                  char *dst, buffer *b, char *acc) {
  const gs_pw_spec *s = &p->s;
  const void *in[GS_PW_OPERANDS];
  if (!s->chain) {
    for (int i = 0; i < p->nop; i++) {
      bool one = p->single && i > 0;
      in[i] = fetch(&p->op[i], k->in[p->op[i].index].data, one ? 0 : at,
                    one ? 1 : n, &b[i]);
      /* What does not change from block to block. */
      int64_t row = repeated_row(&p->op[i]);
      bool fixed = is_single(&p->op[i]) ||
                   (row && row < p->block && p->block % row == 0 &&
                    !k->out[0].pitch);
      b[i].filled = b[i].filled || one || (fixed && n == p->block);
    }
    s->loop(dst, in, n, s->param);
    return;
  }
  /* Partial results stay out of dst, which operands may share. */
  in[0] = fetch(&p->op[0], k->in[0].data, at, n, &b[0]);
  for (int i = 1; i < p->nop; i++) {
    bool end = i + 1 == p->nop;
    b[1].filled = false;
    in[1] = fetch(&p->op[i], k->in[i].data, at, n, &b[1]);
    s->loop(end ? dst : acc, in, n, s->param);
    in[0] = end ? dst : acc;
  }
  if (s->last) s->last(dst, in, n, s->param);
}

typedef struct job {
  const gs_kctx *k;
  const plan *p;
  int64_t step;
} job;

static void range(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  const plan *p = j->p;
  const gs_view *out = &j->k->out[0];
  buffer b[GS_PW_OPERANDS];
  _Alignas(64) char acc[BUFFER], made[BUFFER];
  int size = size_of(out->dtype);
  for (int i = 0; i < GS_PW_OPERANDS; i++) b[i].filled = false;
  for (int64_t at = lo, n; at < hi; at += n) {
    n = gs_part_run(out, at, gs_min(j->step, hi - at));
    char *dst = (char *)out->data + gs_part_place(out, at) * size;
    if (p->s.made == out->dtype) {
      block(j->k, p, at, n, dst, b, acc);
    } else {
      block(j->k, p, at, n, made, b, acc);
      gs_convert(out->dtype, dst, p->s.made, made, n, NULL);
    }
  }
}

/* Whether nothing needs a buffer. */
static bool plain(const gs_kctx *k, const plan *p) {
  if (p->s.made != k->out[0].dtype || p->s.chain) return false;
  for (int i = 0; i < p->nop; i++) {
    const operand *o = &p->op[i];
    if (p->single && i > 0) continue;
    if (o->ngroup != 1 || !o->stride[0] || o->dtype != o->want ||
        (uintptr_t)k->in[o->index].data %
            (uintptr_t)(o->size > 8 ? 8 : o->size))
      return false;
  }
  return true;
}

gs_status gs_pw_run(gs_kctx *k) {
  const plan *p = k->state;
  const gs_view *out = &k->out[0];
  if (out->n == 0) return GS_OK;
  if (!p->s.loop) {
    if (out->data != k->in[0].data)
      gs_part_put(out, (size_t)size_of(out->dtype), 0, out->n,
                  k->in[0].data);
    return GS_OK;
  }
  job j = {k, p, plain(k, p) ? out->n : p->block};
  gs_parallel(k->threads, out->n, p->cost, range, &j);
  return GS_OK;
}
