/* Reductions.  f16 and bf16 are accumulated in f32, integers in 64 bits
 * (wrapping), in double where a root or a logarithm is taken.
 *
 * The operand's dims are merged into groups, alternately kept and reduced.
 * When the last group is reduced, each result comes from a row at a time; when
 * it is kept, from up to WIDE columns side by side.  Both add in the same
 * order, so that a result depends on its own elements only, and not on how
 * long the kept dims are: those, numbered as they lie in memory, are cut into
 * parts of PART elements, these into chunks of GS_CHUNK, and these go to
 * GS_LANES lanes in turn, which are folded pairwise (rowloops.h).  A reduction
 * to one element is split over threads by parts.
 *
 * The logarithm of a sum of powers takes a pass for the maximum, which the
 * powers are divided by. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include <float.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/pointwise/activations.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"
#include "kernel/core/par.h"
#include "kernel/reduce/rowloops.h"

enum { NARROW = 256, WIDE = 512, RESULTS = 64, SHORT = 32, PART = 65536 };

typedef enum finish {
  FINISH_NONE,
  FINISH_MEAN,
  FINISH_ROOT,
  FINISH_LOG,
  FINISH_LOG_EXP /* the elements are powers; see above */
} finish;

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
  const gs_fold *fold;
  number first;
  group kept, reduced; /* without the last group */
  bool rows;           /* the last group is reduced */
  int64_t inner;       /* size of the last group */
  int64_t nreduced;    /* product of reduced */
  int64_t count;       /* elements per result */
  number *part;
  char *into;          /* where unfinished results go, NULL: to the output */
  const char *shift;   /* maxima of the results, NULL: elements as they are */
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

/* Numbers that the parts of a reduction to one element take. */
static int64_t parts_of(const gs_kctx *k) {
  return gs_ceil_div(k->in[0].n, PART) + 1;
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
            : last >= FINISH_ROOT ? GS_DOUBLE
            : t == GS_UINT64   ? GS_UINT64
                               : GS_INT64;
  p->fold = gs_fold_get(op, p->type);
  p->first = narrow_identity(op, t, identity(op, p->type));
  int64_t need = k->out[0].n == 1 ? parts_of(k) : 0;
  if (last == FINISH_LOG_EXP) need += k->out[0].n;
  k->scratch_size = (size_t)need * sizeof(number);
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
  gs_assert(n <= GS_MAX_RANK);
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

static int width(const job *j) { return j->p->type == GS_FLOAT ? 4 : 8; }

/* Operand elements [at, at + n) in the accumulator's type. */
static const void *load(const job *j, int64_t at, int64_t n, void *buffer) {
  const gs_view *in = &j->k->in[0];
  const char *p = (const char *)in->data + at * j->p->size;
  if (in->dtype != j->p->type || (uintptr_t)p % (uintptr_t)j->p->size) {
    gs_convert(j->p->type, buffer, in->dtype, p, n, NULL);
    return buffer;
  }
  return p;
}

/* The same for elements [r, r + n) of those that are reduced, n <= GS_CHUNK,
 * where rows are `inner` long and this one begins at `at`. */
static const void *gather(const job *j, int64_t at, int64_t r, int64_t n,
                          void *buffer) {
  _Alignas(64) char raw[GS_CHUNK * sizeof(number)];
  int64_t size = j->p->size, row = r / j->inner, in = r % j->inner;
  gs_assert(n <= GS_CHUNK);
  const char *data = j->k->in[0].data;
  if (in + n <= j->inner)
    return load(j, at + offset_of(&j->reduced, row) + in, n, buffer);
  for (int64_t i = 0; i < n; row++, in = 0) {
    int64_t m = gs_min(n - i, j->inner - in);
    memcpy(raw + i * size,
           data + (at + offset_of(&j->reduced, row) + in) * size,
           (size_t)(m * size));
    i += m;
  }
  gs_convert(j->p->type, buffer, j->k->in[0].dtype, raw, n, NULL);
  return buffer;
}

/* n > 0 finished results in acc; `at` is the index of the first. */
static void finish_all(const job *j, void *acc, int64_t at, int64_t n) {
  float *f = acc;
  double *d = acc;
  int64_t *s = acc;
  uint64_t *u = acc;
  finish last = j->p->last;
  gs_dtype t = j->p->type;
  if (last == FINISH_LOG || last == FINISH_LOG_EXP) {
    const void *in[2] = {acc, j->shift ? j->shift + at * width(j) : NULL};
    const double none[2] = {0, 0};
    if (j->shift) gs_act_get(GS_ACT_LOG_OF_SUM, t)(acc, in, n, none);
    else gs_loop_get(GS_LOOP_LOG, t)(acc, in, n, none);
    /* Infinity less itself is no number. */
    for (int64_t i = 0; j->shift && i < n; i++) {
      if (t == GS_FLOAT && ((const float *)in[1])[i] == INFINITY)
        f[i] = INFINITY;
      if (t == GS_DOUBLE && ((const double *)in[1])[i] == (double)INFINITY)
        d[i] = (double)INFINITY;
    }
    return;
  }
  for (int64_t i = 0; i < n && last != FINISH_NONE; i++) {
    if (t == GS_FLOAT)
      f[i] = last == FINISH_ROOT ? sqrtf(f[i]) : f[i] / (float)j->count;
    else if (t == GS_DOUBLE)
      d[i] = last == FINISH_ROOT ? sqrt(d[i]) : d[i] / (double)j->count;
    else if (j->count == 0)
      u[i] = 0;
    else if (t == GS_INT64)
      s[i] /= j->count;
    else
      u[i] /= (uint64_t)j->count;
  }
}

/* Finishes n results in acc and stores them at index `at`. */
static void store(const job *j, void *acc, int64_t at, int64_t n) {
  const gs_view *out = &j->k->out[0];
  if (j->into) {
    memcpy(j->into + at * width(j), acc, (size_t)(n * width(j)));
    return;
  }
  finish_all(j, acc, at, n);
  gs_convert(out->dtype,
             (char *)out->data + gs_dtype_bytes((int)out->dtype, at),
             j->p->type, acc, n, NULL);
}

/* ---- lanes ---- */

static void set(const job *j, char *acc, int64_t n) {
  float *f = (float *)(void *)acc;
  uint64_t *u = (uint64_t *)(void *)acc;
  if (width(j) == 4)
    for (int64_t i = 0; i < n; i++) f[i] = j->first.f32;
  else
    for (int64_t i = 0; i < n; i++) u[i] = j->first.u64;
}

/* Joins `used` lanes of n results, one after another, and then acc. */
static void fold_lanes(const job *j, char *acc, char *lane, int64_t used,
                       int64_t n) {
  for (int64_t half = GS_LANES / 2; half > 0; half /= 2) {
    if (used <= half) continue;
    j->fold->join(lane, lane + half * width(j) * n, (used - half) * n);
    used = half;
  }
  j->fold->join(acc, lane, n);
}

/* ---- rows ---- */

/* *acc of the reduced elements [r, r + n), a part of result o. */
static void row(const job *j, number *acc, int64_t o, int64_t r, int64_t n) {
  _Alignas(64) char buffer[GS_CHUNK * sizeof(number)];
  int64_t at = offset_of(&j->kept, o);
  const gs_row_loops *loops = gs_row_loops_get(j->p->type);
  *acc = j->first;
  for (int64_t i = 0; i < n; i += GS_CHUNK) {
    int64_t m = gs_min(GS_CHUNK, n - i);
    const void *x = gather(j, at, r + i, m, buffer);
    if (j->shift) {
      loops->exp_less(buffer, x, j->shift + o * width(j), m);
      x = buffer;
    }
    j->fold->row(acc, x, m);
  }
}

/* to[c][r] = from[r][c] for elements of w bytes. */
static void transpose(const char *from, char *to, int64_t rows, int64_t cols,
                      int w) {
  const uint32_t *f = (const uint32_t *)(const void *)from;
  const uint64_t *d = (const uint64_t *)(const void *)from;
  uint32_t *tf = (uint32_t *)(void *)to;
  uint64_t *td = (uint64_t *)(void *)to;
  for (int64_t c = 0; c < cols; c++)
    for (int64_t r = 0; r < rows; r++) {
      if (w == 4) tf[c * rows + r] = f[r * cols + c];
      else td[c * rows + r] = d[r * cols + c];
    }
}

/* n <= RESULTS results from o on, each from `count` <= SHORT elements, which
 * lie one after another: as columns, for the lanes of one are few. */
static void short_rows(const job *j, int64_t o, int64_t n) {
  _Alignas(64) char buffer[RESULTS * SHORT * sizeof(number)];
  _Alignas(64) char column[RESULTS * SHORT * sizeof(number)];
  _Alignas(64) char lane[GS_LANES * RESULTS * sizeof(number)];
  _Alignas(64) char part[RESULTS * sizeof(number)];
  _Alignas(64) char total[RESULTS * sizeof(number)];
  gs_assert(n <= RESULTS && j->count <= SHORT);
  int64_t used = gs_min(GS_LANES, j->count), wide = width(j) * n;
  transpose(load(j, o * j->count, n * j->count, buffer), column, n, j->count,
            width(j));
  set(j, lane, used * n);
  set(j, part, n);
  set(j, total, n);
  for (int64_t i = 0; i < j->count; i++) {
    char *x = column + i * wide;
    if (j->shift)
      gs_row_loops_get(j->p->type)
          ->exp_less_each(x, x, j->shift + o * width(j), n);
    j->fold->col(lane + i % GS_LANES * wide, x, n);
  }
  fold_lanes(j, part, lane, used, n);
  j->fold->join(total, part, n);
  store(j, total, o, n);
}

/* Whether the rows are short, and lie one after another. */
static bool are_short(const job *j) {
  return j->count && j->count <= SHORT && j->reduced.n == 0 &&
         (j->kept.n == 0 || (j->kept.n == 1 && j->kept.stride[0] == j->inner));
}

/* Results [lo, hi), each from rows. */
static void by_rows(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  _Alignas(64) char done[RESULTS * sizeof(number)];
  int64_t n = 0;
  for (int64_t o = lo; o < hi && are_short(j); o += RESULTS)
    short_rows(j, o, gs_min(RESULTS, hi - o));
  for (int64_t o = lo; o < hi && !are_short(j); o++) {
    number acc = j->first, part;
    for (int64_t r = 0; r < j->count; r += PART) {
      row(j, &part, o, r, gs_min(PART, j->count - r));
      j->fold->join(&acc, &part, 1);
    }
    memcpy(done + n++ * width(j), &acc, (size_t)width(j));
    if (n < RESULTS && o + 1 < hi) continue;
    store(j, done, o + 1 - n, n);
    n = 0;
  }
}

static void by_parts(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  for (int64_t i = lo; i < hi; i++)
    row(j, &j->part[i], 0, i * PART, gs_min(PART, j->count - i * PART));
}

/* ---- columns ---- */

enum { MANY = GS_LANES * NARROW * sizeof(number) }; /* all lanes of a block */

/* What a block of columns is computed from: n columns of result o and its
 * neighbours that begin at `at`, rows [r, r + m) of them, m <= GS_CHUNK. */
typedef struct block {
  const job *j;
  int64_t o, at, r, m, n;
  char *buffer, *lane; /* MANY bytes each */
} block;

/* `count` rows from row i of b on, which follow one another in memory. */
static void add_rows(const block *b, char *acc, int64_t i, int64_t count) {
  const job *j = b->j;
  const void *x = load(j, b->at + offset_of(&j->reduced, b->r + i),
                       count * b->n, b->buffer);
  if (j->shift) {
    gs_row_loops_get(j->p->type)
        ->exp_less_each(b->buffer, x, j->shift + b->o * width(j), b->n);
    x = b->buffer;
  }
  j->fold->col(acc, x, count * b->n);
}

/* acc = acc op the rows, all lanes side by side; n <= NARROW. */
static void narrow(const block *b, char *acc) {
  const job *j = b->j;
  char *lane = b->lane;
  int64_t used = gs_min(GS_LANES, b->m), wide = width(j) * b->n;
  gs_assert(b->n <= NARROW && b->m <= GS_CHUNK);
  /* Rows that follow one another are taken together. */
  bool dense = b->n == j->inner && j->reduced.n == 1 &&
               j->reduced.stride[0] == b->n && !j->shift;
  set(j, lane, used * b->n);
  for (int64_t i = 0; i < b->m;) {
    int64_t count = dense ? gs_min(GS_LANES, b->m - i) : 1;
    add_rows(b, lane + i % GS_LANES * wide, i, count);
    i += count;
  }
  fold_lanes(j, acc, lane, used, b->n);
}

/* The same lane by lane: too many columns for all lanes to stay in the nearest
 * cache.  Lanes come in the order in which they are joined (bits reversed), so
 * that one partial result waits on each level of the tree. */
static void wide(const block *b, char *acc) {
  enum { LEVELS = 6 };
  _Alignas(64) char room[LEVELS + 1][WIDE * sizeof(number)];
  char *spare[LEVELS + 1], *waiting[LEVELS] = {NULL};
  const job *j = b->j;
  int free_rooms = LEVELS + 1;
  for (int i = 0; i < free_rooms; i++) spare[i] = room[i];
  for (int k = 0; k < GS_LANES; k++) {
    int lane = (k & 1) << 4 | (k & 2) << 2 | (k & 4) | (k & 8) >> 2 | k >> 4;
    char *now = NULL;
    int level = 0;
    if (lane < b->m) {
      now = spare[--free_rooms];
      set(j, now, b->n);
      for (int64_t i = lane; i < b->m; i += GS_LANES) add_rows(b, now, i, 1);
    }
    for (; k >> level & 1; level++) {
      char *left = waiting[level]; /* has lanes wherever `now` has */
      waiting[level] = NULL;
      if (now) {
        j->fold->join(left, now, b->n);
        spare[free_rooms++] = now;
      }
      now = left;
    }
    waiting[level] = now;
  }
  j->fold->join(acc, waiting[LEVELS - 1], b->n);
}

static int64_t block_width(const job *j) {
  return j->inner <= NARROW ? j->inner : WIDE;
}

/* Blocks of columns [lo, hi). */
static void by_columns(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  _Alignas(64) char total[WIDE * sizeof(number)];
  _Alignas(64) char part[WIDE * sizeof(number)];
  _Alignas(64) char buffer[MANY], lane[MANY];
  int64_t width_of = block_width(j), blocks = gs_ceil_div(j->inner, width_of);
  for (int64_t i = lo; i < hi; i++) {
    int64_t kept = i / blocks, c = i % blocks * width_of;
    block b = {.j = j, .o = kept * j->inner + c, .buffer = buffer,
               .lane = lane};
    b.at = offset_of(&j->kept, kept) + c;
    b.n = gs_min(width_of, j->inner - c);
    set(j, total, b.n);
    for (int64_t p = 0; p < j->count; p += PART) {
      int64_t end = gs_min(j->count, p + PART);
      set(j, part, b.n);
      for (b.r = p; b.r < end; b.r += GS_CHUNK) {
        b.m = gs_min(GS_CHUNK, end - b.r);
        if (b.n <= NARROW) narrow(&b, part);
        else wide(&b, part);
      }
      j->fold->join(total, part, b.n);
    }
    store(j, total, b.o, b.n);
  }
}

/* ---- the kernel ---- */

static void reduce(job *j) {
  const gs_kctx *k = j->k;
  if (!j->rows) {
    int64_t blocks = gs_ceil_div(j->inner, block_width(j));
    gs_parallel(k->threads, k->out[0].n / j->inner * blocks,
                j->count * gs_min(j->inner, WIDE), by_columns, j);
    return;
  }
  if (k->out[0].n > 1) {
    gs_parallel(k->threads, k->out[0].n, j->count, by_rows, j);
    return;
  }
  int64_t parts = gs_ceil_div(j->count, PART);
  gs_parallel(k->threads, parts, PART, by_parts, j);
  number acc = j->first;
  for (int64_t i = 0; i < parts; i++) j->fold->join(&acc, &j->part[i], 1);
  store(j, &acc, 0, 1);
}

/* The maxima of j's results; the least number for -inf, so that nothing is
 * subtracted from itself there. */
static void maxima(const job *j, char *into) {
  job m = *j;
  float *f = (float *)(void *)into;
  double *d = (double *)(void *)into;
  m.fold = gs_fold_get(GS_FOLD_MAX, j->p->type);
  m.first = identity(GS_FOLD_MAX, j->p->type);
  m.into = into;
  reduce(&m);
  for (int64_t i = 0; i < j->k->out[0].n; i++) {
    if (j->p->type == GS_FLOAT && f[i] < -FLT_MAX) f[i] = -FLT_MAX;
    if (j->p->type == GS_DOUBLE && d[i] < -DBL_MAX) d[i] = -DBL_MAX;
  }
}

static gs_status run(gs_kctx *k) {
  const plan *p = k->state;
  job j = {.k = k, .p = p, .fold = p->fold, .first = p->first,
           .part = k->scratch};
  bool reduced[GS_MAX_RANK];
  if (k->out[0].n == 0) return GS_OK;
  GS_TRY(axes(k, reduced));
  merge(&j, reduced);
  if (p->last == FINISH_LOG_EXP) {
    char *shift = k->scratch;
    if (k->out[0].n == 1) shift += parts_of(k) * (int64_t)sizeof(number);
    maxima(&j, shift);
    j.shift = shift;
  }
  reduce(&j);
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
REDUCE(reduce_l1, ABS, NONE)
REDUCE(reduce_log_sum, SUM, LOG)
REDUCE(reduce_log_sum_exp, SUM, LOG_EXP)
