/* Reductions.  f16 and bf16 are accumulated in f32, integers in 64 bits
 * (wrapping), squares of integers for the norm in double.
 *
 * The operand's dims are merged into groups, alternately kept and reduced.
 * When the last group is reduced, each result is a sum over contiguous rows,
 * in chunks of GS_CHUNK; when it is kept, blocks of columns are summed row by
 * row, LEVEL rows to a partial sum.  A reduction to one element is cut into
 * parts of PART elements.  All these sizes are fixed, so the order of
 * summation does not depend on the number of threads. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "kernel/convert.h"
#include "kernel/kernel.h"
#include "kernel/par.h"
#include "kernel/rowloops.h"

enum { COLUMNS = 512, LEVEL = 64, PART = 65536 };

typedef enum finish { FINISH_NONE, FINISH_MEAN, FINISH_ROOT } finish;

typedef union number {
  float f32;
  double f64;
  int64_t i64;
  uint64_t u64;
} number;

typedef struct plan { /* prep */
  const gs_fold *fold;
  finish last;
  gs_dtype type; /* of the accumulator */
  int size;      /* of an operand element */
  number first;  /* the identity */
} plan;

typedef struct group {
  int n; /* groups */
  int64_t dim[GS_MAX_RANK], stride[GS_MAX_RANK];
} group;

typedef struct job { /* run */
  const gs_kctx *k;
  const plan *p;
  group kept, reduced; /* without the last group */
  bool rows;           /* the last group is reduced */
  int64_t inner;       /* size of the last group */
  int64_t nreduced;    /* product of reduced */
  int64_t count;       /* elements per result */
  number *part;
} job;

static number identity(gs_fold_op op, gs_dtype t) {
  number v = {.u64 = 0};
  bool max = op == GS_FOLD_MAX;
  if (op == GS_FOLD_MAX || op == GS_FOLD_MIN) {
    if (t == GS_FLOAT) v.f32 = max ? -INFINITY : INFINITY;
    else if (t == GS_DOUBLE) v.f64 = max ? (double)-INFINITY : (double)INFINITY;
    else if (t == GS_INT64) v.i64 = max ? INT64_MIN : INT64_MAX;
    else v.u64 = max ? 0 : UINT64_MAX;
  } else if (op == GS_FOLD_PROD) {
    if (t == GS_FLOAT) v.f32 = 1;
    else if (t == GS_DOUBLE) v.f64 = 1;
    else v.u64 = 1;
  }
  return v;
}

/* The extreme of an integer type narrower than 64 bits, for empty
 * reductions. */
static number narrow_identity(gs_fold_op op, gs_dtype t, number v) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  if ((op != GS_FOLD_MAX && op != GS_FOLD_MIN) || d->bits >= 64) return v;
  bool max = op == GS_FOLD_MAX;
  int64_t top = (int64_t)1 << (d->bits - (d->cls == 'i'));
  if (d->cls == 'b') v.i64 = !max;
  else if (d->cls == 'u') v.i64 = max ? 0 : top - 1;
  else if (d->cls == 'i') v.i64 = max ? -top : top - 1;
  return v;
}

static gs_status prep(gs_kctx *k, gs_fold_op op, finish last) {
  gs_dtype t = k->in[0].dtype;
  const gs_dtype_info *d = gs_dtype_get((int)t);
  bool number_type = d->bits >= 8 && (d->cls == 'f' || d->cls == 'i' ||
                                      d->cls == 'u');
  bool boolean = d->cls == 'b' && (op == GS_FOLD_MAX || op == GS_FOLD_MIN);
  if (!number_type && !boolean) return gs_kernel_no_type(k, t);
  plan *p = GS_NEW(k->arena, plan);
  k->state = p;
  p->last = last;
  p->size = d->bits / 8;
  p->type = t == GS_DOUBLE     ? GS_DOUBLE
            : d->cls == 'f'    ? GS_FLOAT
            : last == FINISH_ROOT ? GS_DOUBLE
            : t == GS_UINT64   ? GS_UINT64
                               : GS_INT64;
  p->fold = gs_fold_get(op, p->type);
  p->first = narrow_identity(op, t, identity(op, p->type));
  if (k->out[0].n == 1)
    k->scratch_size =
        (size_t)(gs_ceil_div(k->in[0].n, PART) + 1) * sizeof(number);
  return GS_OK;
}

/* Which dims are reduced. */
static gs_status axes(const gs_kctx *k, bool *reduced) {
  int rank = k->in[0].rank;
  const gs_view *a = k->nin > 1 ? &k->in[1] : NULL;
  int64_t n = a && a->rank >= 0 ? a->n : 0;
  bool all = n == 0 && !gs_node_int(k->node, "noop_with_empty_axes", 0);
  for (int d = 0; d < rank; d++) reduced[d] = all;
  for (int64_t i = 0; i < n; i++) {
    int64_t d = ((const int64_t *)a->data)[i];
    if (d < -rank || d >= rank)
      return gs_fail(k->err, GS_DATA, NULL, "axis %lld of a rank %d tensor",
                     (long long)d, rank);
    reduced[d < 0 ? d + rank : d] = true;
  }
  return GS_OK;
}

/* Merges the dims into j's groups. */
static void merge(job *j, const bool *reduced) {
  const gs_view *in = &j->k->in[0];
  int64_t dim[GS_MAX_RANK];
  bool is[GS_MAX_RANK];
  int n = 0;
  j->count = 1;
  for (int d = 0; d < in->rank; d++) {
    if (reduced[d]) j->count *= in->dims[d];
    if (in->dims[d] == 1) continue;
    if (n == 0 || is[n - 1] != reduced[d]) {
      is[n] = reduced[d];
      dim[n++] = 1;
    }
    dim[n - 1] *= in->dims[d];
  }
  j->inner = n ? dim[n - 1] : 1;
  j->rows = n && is[n - 1];
  j->nreduced = 1;
  j->kept.n = j->reduced.n = 0;
  int64_t stride[GS_MAX_RANK], s = j->inner;
  for (int i = n - 1; i-- > 0; s *= dim[i]) stride[i] = s;
  for (int i = 0; i + 1 < n; i++) {
    group *g = is[i] ? &j->reduced : &j->kept;
    g->dim[g->n] = dim[i];
    g->stride[g->n++] = stride[i];
    if (is[i]) j->nreduced *= dim[i];
  }
}

/* Offset of element i of the group's index space. */
static int64_t offset_of(const group *g, int64_t i) {
  int64_t off = 0;
  for (int d = g->n; d-- > 0;) {
    if (d == 0) return off + i * g->stride[0];
    off += i % g->dim[d] * g->stride[d];
    i /= g->dim[d];
  }
  return off;
}

/* n <= GS_CHUNK operand elements from `at` as accumulator type. */
static const void *load(const job *j, int64_t at, int64_t n, void *buffer) {
  const gs_view *in = &j->k->in[0];
  const char *p = (const char *)in->data + at * j->p->size;
  if (in->dtype != j->p->type || (uintptr_t)p % (uintptr_t)j->p->size) {
    gs_convert(j->p->type, buffer, in->dtype, p, n, NULL);
    return buffer;
  }
  return p;
}

static void row(const job *j, number *acc, int64_t at, int64_t n) {
  _Alignas(64) char buffer[GS_CHUNK * sizeof(number)];
  for (int64_t i = 0; i < n; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, n - i);
    j->p->fold->row(acc, load(j, at + i, m, buffer), m);
  }
}

/* Finishes n results in acc and stores them at index `at`. */
static void store(const job *j, void *acc, int64_t at, int64_t n) {
  const gs_view *out = &j->k->out[0];
  float *f = acc;
  double *d = acc;
  int64_t *s = acc;
  uint64_t *u = acc;
  finish last = j->p->last;
  for (int64_t i = 0; i < n && last != FINISH_NONE; i++) {
    if (j->p->type == GS_FLOAT)
      f[i] = last == FINISH_ROOT ? sqrtf(f[i]) : f[i] / (float)j->count;
    else if (j->p->type == GS_DOUBLE)
      d[i] = last == FINISH_ROOT ? sqrt(d[i]) : d[i] / (double)j->count;
    else if (j->count == 0)
      u[i] = 0;
    else if (j->p->type == GS_INT64)
      s[i] /= j->count;
    else
      u[i] /= (uint64_t)j->count;
  }
  gs_convert(out->dtype,
             (char *)out->data + gs_dtype_bytes((int)out->dtype, at),
             j->p->type, acc, n, NULL);
}

static int width(const job *j) { return j->p->type == GS_FLOAT ? 4 : 8; }

/* Results [lo, hi), each from rows. */
static void by_rows(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  for (int64_t o = lo; o < hi; o++) {
    number acc = j->p->first;
    int64_t at = offset_of(&j->kept, o);
    for (int64_t r = 0; r < j->nreduced; r++)
      row(j, &acc, at + offset_of(&j->reduced, r), j->inner);
    store(j, &acc, o, 1);
  }
}

static void by_parts(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  for (int64_t i = lo; i < hi; i++) {
    j->part[i] = j->p->first;
    row(j, &j->part[i], i * PART, gs_min(PART, j->inner - i * PART));
  }
}

static void set(const job *j, char *acc, int64_t n) {
  int w = width(j);
  for (int64_t i = 0; i < n; i++)
    memcpy(acc + i * w, &j->p->first, (size_t)w);
}

/* Blocks of columns [lo, hi). */
static void by_columns(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  _Alignas(64) char total[COLUMNS * sizeof(number)];
  _Alignas(64) char part[COLUMNS * sizeof(number)];
  _Alignas(64) char buffer[COLUMNS * sizeof(number)];
  int64_t blocks = gs_ceil_div(j->inner, COLUMNS);
  for (int64_t b = lo; b < hi; b++) {
    int64_t o = b / blocks, c = b % blocks * COLUMNS;
    int64_t n = gs_min(COLUMNS, j->inner - c);
    int64_t at = offset_of(&j->kept, o) + c;
    set(j, total, n);
    for (int64_t r = 0; r < j->nreduced; r += LEVEL) {
      int64_t end = gs_min(j->nreduced, r + LEVEL);
      set(j, part, n);
      for (int64_t i = r; i < end; i++)
        j->p->fold->col(
            part, load(j, at + offset_of(&j->reduced, i), n, buffer), n);
      j->p->fold->join(total, part, n);
    }
    store(j, total, o * j->inner + c, n);
  }
}

static gs_status run(gs_kctx *k) {
  job j = {.k = k, .p = k->state, .part = k->scratch};
  bool reduced[GS_MAX_RANK];
  if (k->out[0].n == 0) return GS_OK;
  GS_TRY(axes(k, reduced));
  merge(&j, reduced);
  if (!j.rows) {
    int64_t blocks = gs_ceil_div(j.inner, COLUMNS);
    gs_parallel(k->threads, k->out[0].n / j.inner * blocks,
                j.nreduced * gs_min(j.inner, COLUMNS), by_columns, &j);
    return GS_OK;
  }
  if (k->out[0].n > 1 || j.nreduced != 1) {
    gs_parallel(k->threads, k->out[0].n, j.nreduced * j.inner, by_rows, &j);
    return GS_OK;
  }
  int64_t parts = gs_ceil_div(j.inner, PART);
  gs_parallel(k->threads, parts, PART, by_parts, &j);
  number acc = j.p->first;
  for (int64_t i = 0; i < parts; i++) j.p->fold->join(&acc, &j.part[i], 1);
  store(&j, &acc, 0, 1);
  return GS_OK;
}

#define REDUCE(name, OP, LAST)                                                 \
  static gs_status prep_##name(gs_kctx *k) {                                   \
    return prep(k, GS_FOLD_##OP, FINISH_##LAST);                               \
  }                                                                            \
  extern const gs_kernel gs_kernel_##name;                                     \
  const gs_kernel gs_kernel_##name = {prep_##name, run};
REDUCE(reduce_sum, SUM, NONE)
REDUCE(reduce_mean, SUM, MEAN)
REDUCE(reduce_max, MAX, NONE)
REDUCE(reduce_min, MIN, NONE)
REDUCE(reduce_prod, PROD, NONE)
REDUCE(reduce_sum_square, SQUARES, NONE)
REDUCE(reduce_l2, SQUARES, ROOT)
