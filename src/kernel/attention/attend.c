#include "kernel/attention/attend.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "kernel/gemm/tiles.h"
#include "kernel/core/convert.h"
#include "kernel/gemm/gemm.h"
#include "kernel/core/par.h"
#include "kernel/reduce/rowloops.h"
#include "kernel/pointwise/vmath.h"

enum {
  ROWS = 128,      /* of a block */
  KEYS = 512,     /* of a chunk: rows of scores are short enough for a fold */
  FEW = 9,        /* rows below which the products are done here */
  SPLIT_ITEMS = 16, /* with fewer blocks than that, chunks are work too */
  SPLIT_ROWS = 16,
  DOT_LANES = 16
};

typedef struct attend_loops {
  void (*dots)(void *s, const void *q, int64_t m, const void *k, int64_t ldk,
               int64_t n, int64_t d);
  void (*mix)(void *o, const void *p, int64_t m, const void *v, int64_t ldv,
              int64_t n, int64_t d);
  void (*cap)(void *x, double by, int64_t n);
  void (*bias)(void *x, const void *b, int64_t n);
  void (*keep)(void *x, const uint8_t *b, int64_t n);
  void (*merge)(void *o, double a, const void *x, double b, int64_t n);
} attend_loops;

#define GS_STAMP "kernel/attention/attend.inc"
#include "kernel/core/stamp.h"

/* Maximum, sum and weighted values of a block's rows over some keys: m[rows],
 * l[rows], o[rows, vhead] in the computed type. */
typedef struct part {
  char *m, *l, *o;
} part;

typedef struct job {
  const gs_attend *p;
  const gs_attend_data *d;
  int wide; /* bytes of a number */
  const attend_loops *loop;
  const gs_row_loops *row;
  const gs_fold *max, *sum;
  int64_t rows, blocks, chunks; /* rows of a kv head, blocks of these */
  bool failed;
} job;

/* One block of rows: [first, first + n) of batch b, kv head h. */
typedef struct block {
  int64_t b, h, first, n;
} block;

/* One thread's memory. */
typedef struct buffers {
  char *q;     /* [ROWS, head] */
  char *tile;  /* [ROWS, KEYS] */
  char *wide;  /* [KEYS, max(head, vhead)]: keys or values widened */
  char *line;  /* [KEYS]: a mask's row */
  char *panel; /* of gs_tiles */
  part each, all;
  int64_t loaded; /* the block whose queries q has; -1: none, or not known */
} buffers;

/* ---- sizes ---- */

static int64_t block_rows(const job *j) { return gs_min(ROWS, j->rows); }

/* The rows that products write. */
static int64_t tile_rows(const job *j) {
  return gs_max(block_rows(j), GS_TILE_ROWS);
}

static size_t part_bytes(const job *j) {
  return (size_t)(tile_rows(j) * (j->p->vhead + 2) * j->wide + 63) / 64 * 64;
}

static void part_at(const job *j, part *t, char *at) {
  int64_t n = tile_rows(j) * j->wide;
  *t = (part){at + n * j->p->vhead, at + n * (j->p->vhead + 1), at};
}

static void job_init(job *j, const gs_attend *p) {
  bool wide = p->type == GS_DOUBLE;
  *j = (job){.p = p, .wide = wide ? 8 : 4};
  j->loop = wide ? GS_PICK(&attend_f64) : GS_PICK(&attend_f32);
  j->row = gs_row_loops_get(p->type);
  j->max = gs_fold_get(GS_FOLD_MAX, p->type);
  j->sum = gs_fold_get(GS_FOLD_SUM, p->type);
  gs_assert(p->type == GS_FLOAT || p->type == GS_DOUBLE);
  gs_assert(p->nmask >= 0 && p->nmask <= GS_ATTEND_MASKS);
  j->rows = p->group * p->queries;
  j->blocks = gs_ceil_div(j->rows, ROWS);
  j->chunks = gs_ceil_div(p->keys, KEYS);
}

/* Whether the keys are split (split-K): chunks of them are computed on their
 * own and merged later, for a few rows against many keys. */
static bool split_keys(const job *j) {
  return j->p->batch * j->p->kv * j->blocks < SPLIT_ITEMS &&
         j->rows <= SPLIT_ROWS && j->chunks > 1;
}

size_t gs_attend_scratch(const gs_attend *p) {
  job j;
  job_init(&j, p);
  int64_t items = p->batch * p->kv * j.blocks;
  return split_keys(&j) ? (size_t)(items * j.chunks) * part_bytes(&j) : 0;
}

static void buffers_init(const job *j, buffers *r, gs_arena *a) {
  const gs_attend *p = j->p;
  size_t n = (size_t)tile_rows(j), w = (size_t)j->wide;
  size_t keys = (size_t)gs_min(KEYS, gs_max(p->keys, 1));
  size_t q = n * (size_t)p->head * w, tile = n * keys * w;
  size_t wide = keys * (size_t)gs_max(p->head, p->vhead) * w;
  bool narrow = p->k.type != p->type || p->v.type != p->type;
  size_t panel = (size_t)gs_tiles_panel(gs_max((int64_t)keys, p->head)) * w;
  size_t size[7] = {q, tile, narrow ? wide : 0, keys * w, part_bytes(j),
                    part_bytes(j), panel};
  size_t total = 64;
  for (int i = 0; i < 7; i++) total += size[i] = (size[i] + 63) / 64 * 64;
  uintptr_t at = ((uintptr_t)gs_alloc(a, total) + 63) / 64 * 64;
  char *base = (char *)at;
  r->q = base;
  r->loaded = -1;
  r->tile = r->q + size[0];
  r->wide = r->tile + size[1];
  r->line = r->wide + size[2];
  part_at(j, &r->each, r->line + size[3]);
  part_at(j, &r->all, r->line + size[3] + size[4]);
  r->panel = r->line + size[3] + size[4] + size[5];
  memset(r->q, 0, size[0]); /* rows of tiles that no block has */
  memset(r->tile, 0, size[1]);
}

/* ---- numbers of the computed type ---- */

static double get(const job *j, const char *x, int64_t i) {
  return j->wide == 8 ? ((const double *)(const void *)x)[i]
                      : (double)((const float *)(const void *)x)[i];
}
static void put(const job *j, char *x, int64_t i, double v) {
  if (j->wide == 8) ((double *)(void *)x)[i] = v;
  else ((float *)(void *)x)[i] = (float)v;
}
static void fill(const job *j, char *x, int64_t n, double v) {
  for (int64_t i = 0; i < n; i++) put(j, x, i, v);
}

/* ---- what a row sees ---- */

static int64_t length_of(const job *j, int64_t b) {
  const gs_attend_data *d = j->d;
  return d->lengths ? gs_min(gs_max(d->lengths[b], 0), j->p->keys)
                    : j->p->keys;
}

/* Keys [*lo, *hi) are seen by query s of batch b, masks apart. */
static void range_of(const job *j, int64_t b, int64_t s, int64_t *lo,
                     int64_t *hi) {
  const gs_attend *p = j->p;
  int64_t at = s + (j->d->offsets ? j->d->offsets[b] : j->d->offset);
  *lo = 0;
  *hi = length_of(j, b);
  if (p->causal) *hi = gs_min(*hi, at + 1);
  if (p->right >= 0) *hi = gs_min(*hi, at + p->right + 1);
  if (p->left >= 0) *lo = gs_max(0, at - p->left);
  for (int i = 0; i < p->nmask; i++) *hi = gs_min(*hi, p->mask[i].keys);
  if (*hi < *lo) *hi = *lo;
}

/* The same for all rows of a block together. */
static void range_of_block(const job *j, const block *k, int64_t *lo,
                           int64_t *hi) {
  *lo = INT64_MAX;
  *hi = 0;
  for (int64_t r = k->first; r < k->first + k->n; r++) {
    int64_t a, b;
    range_of(j, k->b, r % j->p->queries, &a, &b);
    if (a == b) continue;
    *lo = gs_min(*lo, a);
    *hi = gs_max(*hi, b);
  }
  if (*lo > *hi) *lo = *hi;
}

static const char *at(const void *data, gs_dtype t, int64_t i) {
  return (const char *)data + i * (gs_dtype_get((int)t)->bits / 8);
}

/* ---- a chunk of keys ---- */

/* n rows of `length` elements as numbers of the computed type; *ld is the
 * distance of rows. */
static const void *widened(const job *j, const gs_attend_side *s,
                           const char *from, int64_t n, int64_t length,
                           char *to, int64_t *ld) {
  if (s->type == j->p->type) {
    *ld = s->row;
    return from;
  }
  *ld = length;
  if (s->row == length) {
    gs_convert(j->p->type, to, s->type, from, n * length, NULL);
    return to;
  }
  for (int64_t i = 0; i < n; i++)
    gs_convert(j->p->type, to + i * length * j->wide, s->type,
               at(from, s->type, i * s->row), length, NULL);
  return to;
}

/* c[m,n] = scale * (a[m,k] b[k,n]); b[n,k] when tb. */
static bool multiply(const job *j, bool tb, int64_t m, int64_t n, int64_t k,
                     const void *a, const void *b, int64_t ldb, void *c,
                     double scale, char *panel) {
  if (j->wide == 4) {
    gs_tiles t = {m, n, k, tb, k, ldb, n, (float)scale};
    gs_tiles_run(&t, a, b, c, (float *)(void *)panel);
    return true;
  }
  gs_gemm g = {.dtype = j->p->type, .m = m, .n = n, .k = k, .tb = tb,
               .lda = k, .ldb = ldb, .batch = 1};
  bool ok = gs_gemm_run(&g, a, b, c, 1);
  if (scale != 1) j->row->scale(c, c, &scale, m * n);
  return ok;
}

/* tile[r][i] = scale * q[r] . k[from + i] */
static bool products(const job *j, const block *k, const buffers *r,
                     int64_t from, int64_t n) {
  const gs_attend *p = j->p;
  int64_t ld, first = k->b * p->k.batch + k->h * p->k.head;
  if (p->across) { /* from is a column */
    return multiply(j, false, k->n, n, p->head, r->q,
                    at(j->d->k, p->k.type, first + from), p->k.row, r->tile,
                    p->scale, r->panel);
  }
  const void *keys = widened(j, &p->k,
                             at(j->d->k, p->k.type, first + from * p->k.row),
                             n, p->head, r->wide, &ld);
  if (k->n >= FEW)
    return multiply(j, true, k->n, n, p->head, r->q, keys, ld, r->tile,
                    p->scale, r->panel);
  float f = (float)p->scale;
  j->loop->dots(r->tile, r->q, k->n, keys, ld, n, p->head);
  j->row->scale(r->tile, r->tile,
                j->wide == 8 ? (const void *)&p->scale : &f, k->n * n);
  return true;
}

/* Adds mask i for keys [from, from + n) of a row. */
static void add_mask(const job *j, const buffers *r, int i, int64_t b,
                     int64_t head, int64_t s, int64_t from, int64_t n,
                     char *x) {
  const gs_attend_mask *m = &j->p->mask[i];
  const char *data = at(j->d->mask[i], m->type,
                        b * m->batch + head * m->head + s * m->query + from);
  if (m->type == GS_BOOL) {
    j->loop->keep(x, (const uint8_t *)data, n);
    return;
  }
  const void *line = data;
  if (m->type != j->p->type) {
    gs_convert(j->p->type, r->line, m->type, data, n, NULL);
    line = r->line;
  }
  j->loop->bias(x, line, n);
}

/* Row i of the block: masks, and minus infinity outside of what it sees. */
static void bias_row(const job *j, const block *k, const buffers *r, int64_t i,
                     int64_t from, int64_t n, int64_t *lo, int64_t *hi) {
  const gs_attend *p = j->p;
  int64_t row = k->first + i, s = row % p->queries;
  int64_t head = k->h * p->group + row / p->queries;
  char *x = r->tile + i * n * j->wide;
  range_of(j, k->b, s, lo, hi);
  *lo = gs_min(gs_max(*lo - from, 0), n);
  *hi = gs_max(gs_min(*hi - from, n), *lo);
  for (int m = 0; m < p->nmask && *lo < *hi; m++)
    add_mask(j, r, m, k->b, head, s, from + *lo, *hi - *lo,
             x + *lo * j->wide);
}

/* e^(x - max) in place, with zeros outside of [lo, hi). */
static void exp_row(const job *j, char *x, const void *max, int64_t lo,
                    int64_t hi, int64_t n) {
  memset(x, 0, (size_t)(lo * j->wide));
  j->row->exp_less(x + lo * j->wide, x + lo * j->wide, max, hi - lo);
  memset(x + hi * j->wide, 0, (size_t)((n - hi) * j->wide));
}

/* The tile's scores -> weights; m and l of every row. */
static void weights(const job *j, const block *k, const buffers *r, part *t,
                    int64_t from, int64_t n) {
  for (int64_t i = 0; i < k->n; i++) {
    char *x = r->tile + i * n * j->wide;
    char *m = t->m + i * j->wide, *l = t->l + i * j->wide;
    int64_t lo, hi;
    bias_row(j, k, r, i, from, n, &lo, &hi);
    put(j, m, 0, (double)-INFINITY);
    put(j, l, 0, 0);
    if (lo == 0 && hi > 0) {
      j->row->powers(x, x, m, l, hi);
      memset(x + hi * j->wide, 0, (size_t)((n - hi) * j->wide));
    } else {
      j->max->row(m, x + lo * j->wide, hi - lo);
    }
    if (get(j, m, 0) == (double)-INFINITY) {
      put(j, l, 0, 0);
      memset(x, 0, (size_t)(n * j->wide));
    } else if (lo > 0) {
      exp_row(j, x, m, lo, hi, n);
      j->sum->row(l, x, hi);
    }
  }
}

static bool chunk(const job *j, const block *k, const buffers *r, part *t,
                  int64_t from, int64_t n) {
  const gs_attend *p = j->p;
  int64_t ld;
  if (!products(j, k, r, from, n)) return false;
  if (p->cap > 0) j->loop->cap(r->tile, p->cap, k->n * n);
  weights(j, k, r, t, from, n);
  const void *values =
      widened(j, &p->v,
              at(j->d->v, p->v.type,
                 k->b * p->v.batch + k->h * p->v.head + from * p->v.row),
              n, p->vhead, r->wide, &ld);
  if (k->n >= FEW)
    return multiply(j, false, k->n, p->vhead, n, r->tile, values, ld, t->o, 1,
                    r->panel);
  j->loop->mix(t->o, r->tile, k->n, values, ld, n, p->vhead);
  return true;
}

/* ---- a block of rows ---- */

static block block_of(const job *j, int64_t item) {
  int64_t i = item % j->blocks, bh = item / j->blocks;
  block k = {bh / j->p->kv, bh % j->p->kv, i * ROWS, 0};
  k.n = gs_min(ROWS, j->rows - k.first);
  return k;
}

/* The block's queries, one after the other, in the computed type. */
static void load_queries(const job *j, const block *k, const buffers *r) {
  const gs_attend *p = j->p;
  for (int64_t i = 0; i < k->n; i++) {
    int64_t row = k->first + i, head = k->h * p->group + row / p->queries;
    gs_convert(p->type, r->q + i * p->head * j->wide, p->q.type,
               at(j->d->q, p->q.type,
                  k->b * p->q.batch + head * p->q.head +
                      row % p->queries * p->q.row),
               p->head, NULL);
  }
}

static void part_clear(const job *j, const part *t, int64_t rows) {
  fill(j, t->m, rows, (double)-INFINITY);
  fill(j, t->l, rows, 0);
  fill(j, t->o, rows * j->p->vhead, 0);
}

/* No value for a row that has seen no key: 0 times infinity is NaN. */
static void hide(const job *j, const part *all, int64_t i) {
  int64_t n = j->p->vhead * j->wide;
  memset(all->o + i * n, 0, (size_t)n);
}

/* Adds what other keys gave. */
static void merge(const job *j, part *all, const part *t, int64_t rows) {
  int64_t n = j->p->vhead;
  for (int64_t i = 0; i < rows; i++) {
    double a = get(j, all->m, i), b = get(j, t->m, i);
    if (b == (double)-INFINITY) continue;
    if (a == (double)-INFINITY) hide(j, all, i);
    double m = a > b || a != a ? a : b;
    double fa = j->wide == 8 ? exp(a - m) : (double)expf((float)(a - m));
    double fb = j->wide == 8 ? exp(b - m) : (double)expf((float)(b - m));
    put(j, all->m, i, m);
    put(j, all->l, i, get(j, all->l, i) * fa + get(j, t->l, i) * fb);
    j->loop->merge(all->o + i * n * j->wide, fa, t->o + i * n * j->wide, fb,
                   n);
  }
}

/* One more key of that score and no value. */
static void add_sink(const job *j, const part *all, int64_t i, double sink) {
  double m = get(j, all->m, i), l = get(j, all->l, i);
  double top = sink > m ? sink : m;
  double old = m == (double)-INFINITY ? 0 : exp(m - top);
  int64_t n = j->p->vhead;
  char *o = all->o + i * n * j->wide;
  put(j, all->m, i, top);
  put(j, all->l, i, l * old + exp(sink - top));
  j->loop->merge(o, old, o, 0, n);
}

/* Results of a block: o / l, zeros where no key was seen; or all three, for
 * who has other keys too. */
static void finish(const job *j, const block *k, const part *all) {
  const gs_attend *p = j->p;
  const gs_attend_side *y = &p->y, *s = &p->each;
  for (int64_t i = 0; i < k->n; i++) {
    int64_t row = k->first + i, head = k->h * p->group + row / p->queries;
    int64_t query = row % p->queries;
    char *o = all->o + i * p->vhead * j->wide;
    if (get(j, all->m, i) == (double)-INFINITY) hide(j, all, i);
    if (j->d->sink) add_sink(j, all, i, j->d->sink[head]);
    double m = get(j, all->m, i), l = get(j, all->l, i);
    double none = p->plain ? (double)NAN : 0;
    double d = m == (double)-INFINITY ? none : 1 / l;
    float f = m == (double)-INFINITY ? (float)none : 1 / (float)l;
    int64_t to = k->b * y->batch + head * y->head + query * y->row;
    if (j->d->max) {
      int64_t at = k->b * s->batch + head * s->head + query * s->row;
      put(j, j->d->max, at, m);
      put(j, j->d->sum, at, l);
    } else {
      j->row->scale(o, o, j->wide == 8 ? (void *)&d : (void *)&f, p->vhead);
    }
    gs_convert(y->type,
               (char *)j->d->y + gs_dtype_bytes((int)y->type, to), p->type,
               o, p->vhead, NULL);
  }
}

/* ---- scores as a result ---- */

static void write_row(const job *j, const block *k, const buffers *r, part *all,
                      int64_t i, int64_t from, int64_t n) {
  const gs_attend *p = j->p;
  char *x = r->tile + i * n * j->wide;
  int64_t row = k->first + i, lo, hi;
  if (p->scores >= GS_SCORES_BIASED) {
    bias_row(j, k, r, i, from, n, &lo, &hi);
    double hidden = p->scores == GS_SCORES_SEEN ? 0 : (double)-INFINITY;
    fill(j, x, lo, hidden);
    fill(j, x + hi * j->wide, n - hi, hidden);
  }
  if (p->scores == GS_SCORES_SOFTMAX) {
    const char *m = all->m + i * j->wide;
    double l = get(j, all->l, i);
    float f = 1 / (float)l;
    double d = 1 / l;
    if (get(j, m, 0) == (double)-INFINITY) {
      memset(x, 0, (size_t)(n * j->wide));
    } else {
      exp_row(j, x, m, lo, hi, n);
      j->row->scale(x, x, j->wide == 8 ? (void *)&d : (void *)&f, n);
    }
  }
  int64_t head = k->h * p->group + row / p->queries;
  int64_t to = ((k->b * p->kv * p->group + head) * p->queries +
                row % p->queries) * p->keys + from;
  gs_convert(p->scores_type,
             (char *)j->d->scores + gs_dtype_bytes((int)p->scores_type, to),
             p->type, x, n, NULL);
}

static bool write_scores(const job *j, const block *k, const buffers *r,
                         part *all) {
  const gs_attend *p = j->p;
  for (int64_t from = 0; from < p->keys; from += KEYS) {
    int64_t n = gs_min(KEYS, p->keys - from);
    if (!products(j, k, r, from, n)) return false;
    if (p->cap > 0 && p->scores > GS_SCORES_RAW)
      j->loop->cap(r->tile, p->cap, k->n * n);
    for (int64_t i = 0; i < k->n; i++) write_row(j, k, r, all, i, from, n);
  }
  return true;
}

/* ---- work ---- */

/* The chunk's keys that any row of the block sees: from *from on; the count,
 * which may be 0. */
static int64_t seen(int64_t c, int64_t lo, int64_t hi, int64_t *from) {
  *from = c * KEYS;
  if (*from + KEYS <= lo) return 0;
  return gs_max(0, gs_min(KEYS, hi - *from));
}

static bool one_block(job *j, buffers *r, int64_t item) {
  block k = block_of(j, item);
  part each = r->each, all = r->all;
  int64_t lo, hi, from;
  load_queries(j, &k, r);
  range_of_block(j, &k, &lo, &hi);
  bool any = false;
  for (int64_t c = lo / KEYS; c * KEYS < hi; c++) {
    int64_t n = seen(c, lo, hi, &from);
    if (!n) continue;
    if (!chunk(j, &k, r, any ? &each : &all, from, n)) return false;
    if (any) merge(j, &all, &each, k.n);
    any = true;
  }
  if (!any) part_clear(j, &all, k.n);
  finish(j, &k, &all);
  return !j->d->scores || write_scores(j, &k, r, &all);
}

/* Chunk item % chunks of block item / chunks. */
static bool one_chunk(job *j, buffers *r, int64_t item) {
  int64_t lo, hi, from, at = item / j->chunks;
  block k = block_of(j, at);
  part t;
  part_at(j, &t, (char *)j->d->scratch + (size_t)item * part_bytes(j));
  range_of_block(j, &k, &lo, &hi);
  int64_t n = seen(item % j->chunks, lo, hi, &from);
  if (r->loaded != at) load_queries(j, &k, r);
  r->loaded = at;
  if (n) return chunk(j, &k, r, &t, from, n);
  part_clear(j, &t, k.n);
  return true;
}

/* The chunks of a block together. */
static bool join_block(job *j, buffers *r, int64_t item) {
  block k = block_of(j, item);
  part_clear(j, &r->all, k.n);
  for (int64_t c = 0; c < j->chunks; c++) {
    part t;
    part_at(j, &t, (char *)j->d->scratch +
                       (size_t)(item * j->chunks + c) * part_bytes(j));
    merge(j, &r->all, &t, k.n);
  }
  finish(j, &k, &r->all);
  load_queries(j, &k, r);
  return !j->d->scores || write_scores(j, &k, r, &r->all);
}

/* Items [first, last), with buffers of their own. */
static void each_item(job *j, int64_t first, int64_t last,
                      bool (*one)(job *j, buffers *r, int64_t item)) {
  gs_arena a;
  buffers r;
  gs_arena_init(&a);
  buffers_init(j, &r, &a);
  bool ok = true;
  for (int64_t i = first; i < last && ok; i++) ok = one(j, &r, i);
  if (!ok) {
#pragma omp atomic write
    j->failed = true;
  }
  gs_arena_free(&a);
}

static void blocks(void *ctx, int64_t first, int64_t last) {
  each_item(ctx, first, last, one_block);
}

static void chunks(void *ctx, int64_t first, int64_t last) {
  each_item(ctx, first, last, one_chunk);
}

static void join(void *ctx, int64_t first, int64_t last) {
  each_item(ctx, first, last, join_block);
}

bool gs_attend_run(const gs_attend *p, const gs_attend_data *d) {
  job j;
  job_init(&j, p);
  j.d = d;
  int64_t items = p->batch * p->kv * j.blocks;
  int64_t cost = block_rows(&j) * (p->head + p->vhead);
  if (!items) return true;
  if (split_keys(&j)) {
    gs_parallel(d->threads, items * j.chunks, cost * KEYS / 4, chunks, &j);
    if (!j.failed) gs_parallel(d->threads, items, cost * j.chunks, join, &j);
  } else {
    gs_parallel(d->threads, items, gs_max(1, cost / 4) * (p->keys + 1),
                blocks, &j);
  }
  return !j.failed;
}
