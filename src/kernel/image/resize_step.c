/* The work of Resize: rows are picked from along dim b, then mixed along dim
 * a (or mixed first, where the result has fewer rows than the operand). */
#include "kernel/core/layout.h"
#include "kernel/core/par.h"
#include "kernel/image/resample.h"
#include "kernel/image/resize.h"
#include "kernel/core/support.h"

void gs_resize_step_widen(gs_arena *a, gs_resize_step *s) {
  const gs_resize_table *b = s->b;
  int64_t m = s->inner, n = b->out * m;
  s->at = b->at;
  s->w = b->w;
  if (m == 1 || s->blocks) return;
  int wide = s->type == GS_DOUBLE ? 8 : 4;
  int32_t *at = GS_NEWS(a, b->taps * n, int32_t);
  char *w = gs_calloc(a, (size_t)(b->taps * n), (size_t)wide);
  for (int64_t e = 0; e < b->taps * b->out; e++)
    for (int64_t i = 0; i < m; i++) {
      at[e * m + i] = (int32_t)(b->at[e] * m + i);
      memcpy(w + (e * m + i) * wide, (const char *)b->w + e * wide,
             (size_t)wide);
    }
  s->at = at;
  s->w = w;
}

typedef struct job {
  const gs_resize_step *s;
  const gs_resample *loop;
  const char *in;
  gs_view y; /* of which data, run and pitch are set */
  int64_t a_in, a_out, in_row, out_row; /* rows, and elements of one */
  int in_size, out_size, wide;          /* bytes */
  bool mix_first;
} job;

/* What one thread holds: rows that are converted or picked, and of which row
 * of the operand they are. */
typedef struct held {
  char *row;
  int64_t *of; /* [taps] */
  char *mixed, *result, *plain, *stored; /* stored: in the result's type */
  const void **from; /* [taps] rows that are mixed along a */
  const void **block; /* [taps of b] parts of a row that are mixed along b */
} held;

/* Row r of the operand in the computed type. */
static const void *plain_row(const job *j, int64_t r, void *buf) {
  const char *x = j->in + r * j->in_row * j->in_size;
  if (j->s->in_t == j->s->type) return x;
  gs_convert(j->s->type, buf, j->s->in_t, x, j->in_row, NULL);
  return buf;
}

/* A row of the operand to one of the result, along b. */
static void pick_row(const job *j, held *h, const void *x, void *o) {
  const gs_resize_step *s = j->s;
  const gs_resize_table *b = s->b;
  if (!s->blocks) {
    j->loop->pick(o, x, s->at, s->w, b->taps, j->out_row);
    return;
  }
  int64_t size = s->inner * j->wide;
  for (int64_t i = 0; i < b->out; i++) {
    for (int t = 0; t < b->taps; t++)
      h->block[t] = (const char *)x + b->at[t * b->out + i] * size;
    j->loop->mix((char *)o + i * size, h->block,
                 (const char *)b->w + i * j->wide, b->out, b->taps, s->inner);
  }
}

/* Row r in the form that is mixed along a, kept for the next results: the
 * rows of one result follow each other, so that none takes another's slot. */
static const void *held_row(const job *j, held *h, int64_t r, int slot) {
  bool pick = j->s->b && !j->mix_first;
  if (!pick && j->s->in_t == j->s->type) return plain_row(j, r, NULL);
  int64_t n = pick ? j->out_row : j->in_row;
  char *to = h->row + slot * n * j->wide;
  if (h->of[slot] == r) return to;
  h->of[slot] = r;
  if (pick) pick_row(j, h, plain_row(j, r, h->plain), to);
  else plain_row(j, r, to);
  return to;
}

static void one_row(const job *j, held *h, int64_t u) {
  const gs_resize_step *s = j->s;
  int64_t o = u / j->a_out, y = u % j->a_out;
  int64_t at = u * j->out_row, run = gs_part_run(&j->y, at, j->out_row);
  bool same = s->out_t == s->type, whole = run == j->out_row;
  char *place = (char *)j->y.data + gs_part_place(&j->y, at) * j->out_size;
  char *out = whole ? place : h->stored;
  void *to = same ? out : h->result;
  if (!s->a) {
    pick_row(j, h, plain_row(j, o, h->plain), to);
  } else {
    int taps = s->a->taps;
    for (int t = 0; t < taps; t++) {
      int64_t r = s->a->at[t * j->a_out + y];
      h->from[t] = held_row(j, h, o * j->a_in + r, (int)(r % taps));
    }
    const char *w = (const char *)s->a->w + y * j->wide;
    bool pick = s->b && j->mix_first;
    j->loop->mix(pick ? h->mixed : to, h->from, w, j->a_out, taps,
                 pick ? j->in_row : j->out_row);
    if (pick) pick_row(j, h, h->mixed, to);
  }
  if (!same) gs_resample_store(s->out_t, out, s->type, to, j->out_row, false);
  if (!whole) gs_part_put(&j->y, (size_t)j->out_size, at, j->out_row, out);
}

static void rows(void *ctx, int64_t lo, int64_t hi) {
  const job *j = ctx;
  int taps = j->s->a ? j->s->a->taps : 1;
  size_t in = (size_t)(j->in_row * j->wide);
  size_t out = (size_t)(j->out_row * j->wide);
  gs_arena a;
  gs_arena_init(&a);
  held h = {.of = GS_NEWS(&a, taps, int64_t),
            .from = GS_NEWS(&a, taps, const void *),
            .block = GS_NEWS(&a, j->s->b ? j->s->b->taps : 1, const void *)};
  for (int t = 0; t < taps; t++) h.of[t] = -1;
  h.row = gs_calloc(&a, (size_t)taps, in > out ? in : out);
  h.plain = gs_alloc(&a, in);
  h.mixed = gs_alloc(&a, in);
  h.result = gs_alloc(&a, out);
  h.stored = gs_alloc(&a, (size_t)(j->out_row * j->out_size));
  for (int64_t u = lo; u < hi; u++) one_row(j, &h, u);
  gs_arena_free(&a);
}

void gs_resize_step_run(const gs_resize_step *s, const void *in, void *out,
                        const gs_view *part, int threads) {
  job j = {.s = s, .loop = gs_resample_get(s->type), .in = in};
  if (part) j.y = *part;
  j.y.data = out;
  j.a_in = s->a ? s->a->in : 1;
  j.a_out = s->a ? s->a->out : 1;
  j.in_row = (s->b ? s->b->in : 1) * s->inner;
  j.out_row = (s->b ? s->b->out : 1) * s->inner;
  j.in_size = gs_dtype_get((int)s->in_t)->bits / 8;
  j.out_size = gs_dtype_get((int)s->out_t)->bits / 8;
  j.wide = s->type == GS_DOUBLE ? 8 : 4;
  j.mix_first = s->a && s->a->shrinks;
  int taps = (s->a ? s->a->taps : 1) + (s->b ? s->b->taps : 0);
  gs_parallel(threads, s->outer * j.a_out, taps * j.out_row, rows, &j);
}

/* ---- nearest ---- */

typedef struct copy_job {
  const gs_resize_table *t;
  int rank, last; /* last dim that is not taken whole; -1: none */
  size_t size;
  int64_t inner; /* bytes of what follows it */
  const char *in;
  const gs_view *y;
} copy_job;

/* Elements of `bytes` bytes along the last table. */
static void copy_row(const gs_resize_table *t, int64_t bytes,
                     const char *restrict x, char *restrict o) {
  const int32_t *at = t->at;
  int64_t n = t->out;
#define COPY(T)                                                                \
  {                                                                            \
    const T *e = (const void *)x;                                              \
    T *to = (void *)o;                                                         \
    if (t->doubled)                                                            \
      for (int64_t i = 0; i < t->in; i++) to[2 * i] = to[2 * i + 1] = e[i];    \
    else                                                                       \
      for (int64_t i = 0; i < n; i++) to[i] = e[at[i]];                        \
    return;                                                                    \
  }
  if (bytes == 1) COPY(uint8_t)
  if (bytes == 2) COPY(uint16_t)
  if (bytes == 4) COPY(uint32_t)
  if (bytes == 8) COPY(uint64_t)
#undef COPY
  for (int64_t i = 0; i < n; i++)
    memcpy(o + i * bytes, x + at[i] * bytes, (size_t)bytes);
}

/* The row of the operand that row u of the result is made of. */
static int64_t source_row(const copy_job *j, int64_t u) {
  int64_t from = 0, stride = 1;
  for (int d = j->last - 1; d >= 0; d--) {
    const gs_resize_table *t = &j->t[d];
    int64_t i = u % t->out;
    u /= t->out;
    from += (t->at ? t->at[i] : i) * stride;
    stride *= t->in;
  }
  return from;
}

static void copy_rows(void *ctx, int64_t lo, int64_t hi) {
  const copy_job *j = ctx;
  const gs_resize_table *t = &j->t[j->last];
  int64_t in = t->in * j->inner, out = t->out * j->inner, before = -1;
  int64_t block = j->inner / (int64_t)j->size, n = t->out * block;
  const char *last = NULL;
  for (int64_t u = lo; u < hi; u++) {
    int64_t from = source_row(j, u);
    const char *x = j->in + from * in;
    if (gs_part_run(j->y, u * n, n) < n) { /* more than one run */
      for (int64_t i = 0; i < t->out; i++)
        gs_part_put(j->y, j->size, u * n + i * block, block,
                    x + t->at[i] * j->inner);
      continue;
    }
    char *to = (char *)j->y->data +
               (size_t)gs_part_place(j->y, u * n) * j->size;
    if (from == before) memcpy(to, last, (size_t)out);
    else copy_row(t, j->inner, x, to);
    before = from;
    last = to;
  }
}

void gs_resize_nearest(const gs_resize_table *t, int rank, size_t size,
                       const void *in, const gs_view *y, int threads) {
  copy_job j = {.t = t, .rank = rank, .size = size, .in = in, .y = y};
  j.inner = (int64_t)size;
  for (j.last = rank - 1; j.last >= 0 && !t[j.last].at; j.last--)
    j.inner *= t[j.last].in;
  if (j.last < 0) {
    gs_part_put(y, size, 0, j.inner / (int64_t)size, in);
    return;
  }
  int64_t rows = 1;
  for (int d = 0; d < j.last; d++) rows *= t[d].out;
  gs_parallel(threads, rows, t[j.last].out * j.inner / 4, copy_rows, &j);
}
