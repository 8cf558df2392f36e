/* Attention over many keys: chunks that are merged, blocks of rows, and parts
 * that are computed apart, against sums in f64. */
#include <math.h>
#include <stdlib.h>

#include "kernel/attention/attend.h"
#include "kernel/core/convert.h"
#include "suite.h"

enum { BATCH = 2, HEAD = 20, VHEAD = 12 };

typedef struct sample {
  gs_attend p;
  gs_attend_data d;
  double *q, *k, *v, *bias; /* bias: [queries, keys] */
  uint8_t *keep;            /* [batch, heads, queries, keys] */
  gs_arena a;
} sample;

static double number(unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  return (double)(*state >> 8) / (1 << 23) - 1;
}

/* n numbers of type t, and the same as f64. */
static void *fill(sample *s, gs_dtype t, int64_t n, double **wide,
                  unsigned seed) {
  *wide = GS_NEWS(&s->a, n, double);
  void *x = gs_alloc(&s->a, (size_t)n * 8);
  for (int64_t i = 0; i < n; i++) (*wide)[i] = number(&seed);
  gs_convert(t, x, GS_DOUBLE, *wide, n, NULL);
  gs_convert(GS_DOUBLE, *wide, t, x, n, NULL);
  return x;
}

static void begin(sample *s, gs_dtype t, int64_t kv, int64_t group,
                  int64_t queries, int64_t keys) {
  *s = (sample){0};
  gs_arena_init(&s->a);
  gs_attend *p = &s->p;
  *p = (gs_attend){.type = t == GS_DOUBLE ? t : GS_FLOAT, .batch = BATCH,
                   .kv = kv, .group = group, .queries = queries,
                   .keys = keys, .head = HEAD, .vhead = VHEAD, .scale = 0.7,
                   .left = -1, .right = -1};
  p->q = gs_attend_dense(t, true, kv * group, queries, HEAD);
  p->k = gs_attend_dense(t, false, kv, keys, HEAD);
  p->v = gs_attend_dense(t, true, kv, keys, VHEAD);
  p->y = gs_attend_dense(t, false, kv * group, queries, VHEAD);
  int64_t rows = BATCH * kv * group * queries;
  s->d.q = fill(s, t, rows * HEAD, &s->q, 1);
  s->d.k = fill(s, t, BATCH * kv * keys * HEAD, &s->k, 2);
  s->d.v = fill(s, t, BATCH * kv * keys * VHEAD, &s->v, 3);
}

/* Adds a bias of the queries and a mask of everything. */
static void masks(sample *s) {
  gs_attend *p = &s->p;
  int64_t each = p->queries * p->keys, heads = p->kv * p->group;
  unsigned seed = 4;
  s->d.mask[0] = fill(s, GS_FLOAT, each, &s->bias, 5);
  p->mask[0] = (gs_attend_mask){.type = GS_FLOAT, .query = p->keys,
                                .keys = p->keys};
  s->keep = gs_alloc(&s->a, (size_t)(BATCH * heads * each));
  for (int64_t i = 0; i < BATCH * heads * each; i++)
    s->keep[i] = number(&seed) > -0.5;
  s->d.mask[1] = s->keep;
  p->mask[1] = (gs_attend_mask){.type = GS_BOOL, .batch = heads * each,
                                .head = each, .query = p->keys,
                                .keys = p->keys};
  p->nmask = 2;
}

static double score(const sample *s, int64_t b, int64_t h, int64_t i,
                    int64_t j) {
  const gs_attend *p = &s->p;
  int64_t heads = p->kv * p->group, at = i + s->d.offset;
  if (s->d.offsets) at = i + s->d.offsets[b];
  bool seen = !(s->d.lengths && j >= s->d.lengths[b]) &&
              !(p->causal && j > at) && !(p->left >= 0 && j < at - p->left) &&
              !(p->right >= 0 && j > at + p->right);
  int64_t place = ((b * heads + h) * p->queries + i) * p->keys + j;
  if (!seen || (s->keep && !s->keep[place])) return (double)-INFINITY;
  double x = 0;
  const double *q = s->q + b * p->q.batch + h * p->q.head + i * p->q.row;
  const double *k =
      s->k + b * p->k.batch + h / p->group * p->k.head + j * p->k.row;
  for (int64_t c = 0; c < p->head; c++) x += q[c] * k[c];
  x *= p->scale;
  if (p->cap > 0) x = p->cap * tanh(x / p->cap);
  return s->bias ? x + s->bias[i * p->keys + j] : x;
}

static void row(const sample *s, int64_t b, int64_t h, int64_t i,
                double *y) {
  const gs_attend *p = &s->p;
  double *x = calloc((size_t)p->keys, sizeof *x), m = (double)-INFINITY;
  double l = s->d.sink ? exp(s->d.sink[h]) : 0;
  ck_assert_ptr_nonnull(x);
  for (int64_t j = 0; j < p->keys; j++) {
    x[j] = score(s, b, h, i, j);
    if (x[j] > m) m = x[j];
  }
  for (int64_t c = 0; c < VHEAD; c++) y[c] = 0;
  for (int64_t j = 0; j < p->keys && m > (double)-INFINITY; j++) {
    const double *v =
        s->v + b * p->v.batch + h / p->group * p->v.head + j * p->v.row;
    l += exp(x[j]);
    for (int64_t c = 0; c < VHEAD; c++) y[c] += exp(x[j]) * v[c];
  }
  for (int64_t c = 0; c < VHEAD && l > 0; c++) y[c] /= l;
  free(x);
}

/* The result, with one thread and three: the same bits. */
static void *result(sample *s, size_t bytes) {
  void *y[2];
  s->d.scratch = gs_alloc(&s->a, gs_attend_scratch(&s->p) + 64);
  for (int i = 0; i < 2; i++) {
    s->d.y = y[i] = gs_alloc(&s->a, bytes + 1);
    s->d.threads = 1 + 2 * i;
    ck_assert(gs_attend_run(&s->p, &s->d));
  }
  ck_assert(!memcmp(y[0], y[1], bytes));
  return y[0];
}

static void finish(sample *s, double allowed) {
  const gs_attend *p = &s->p;
  int64_t heads = p->kv * p->group, n = BATCH * heads * p->queries * VHEAD;
  double *got = GS_NEWS(&s->a, n, double), want[VHEAD];
  void *y = result(s, (size_t)gs_dtype_bytes((int)p->y.type, n));
  gs_convert(GS_DOUBLE, got, p->y.type, y, n, NULL);
  for (int64_t b = 0; b < BATCH; b++)
    for (int64_t h = 0; h < heads; h++)
      for (int64_t i = 0; i < p->queries; i++) {
        row(s, b, h, i, want);
        const double *at =
            got + b * p->y.batch + h * p->y.head + i * p->y.row;
        for (int c = 0; c < VHEAD; c++)
          ck_assert_msg(fabs(at[c] - want[c]) <= allowed,
                        "[%d,%d,%d,%d]: %g, not %g", (int)b, (int)h, (int)i,
                        c, at[c], want[c]);
      }
  gs_arena_free(&s->a);
}

START_TEST(few_rows) { /* chunks apart */
  sample s;
  begin(&s, GS_FLOAT, 2, 3, 1, 1300);
  ck_assert_uint_gt(gs_attend_scratch(&s.p), 0);
  finish(&s, 1e-5);
  begin(&s, GS_DOUBLE, 2, 1, 5, 700);
  masks(&s);
  finish(&s, 1e-12);
}
END_TEST

START_TEST(many_rows) { /* several blocks */
  sample s;
  begin(&s, GS_FLOAT, 2, 2, 75, 1100);
  s.p.cap = 1.5;
  finish(&s, 1e-5);
  begin(&s, GS_BFLOAT16, 1, 1, 20, 600);
  masks(&s);
  finish(&s, 1e-2);
}
END_TEST

START_TEST(places) {
  sample s;
  int64_t lengths[BATCH] = {900, 30}, offsets[BATCH] = {860, -10};
  begin(&s, GS_FLOAT, 1, 2, 40, 1025);
  s.p.causal = true;
  s.p.left = 600;
  s.d.lengths = lengths; /* the first rows of batch 1 see nothing */
  s.d.offsets = offsets;
  finish(&s, 1e-5);
  begin(&s, GS_FLOAT, 1, 1, 530, 530);
  s.p.causal = true;
  masks(&s);
  finish(&s, 1e-5);
  begin(&s, GS_FLOAT, 1, 1, 9, 1500);
  s.p.left = 3;
  s.p.right = 2;
  s.d.offset = 1000;
  finish(&s, 1e-5);
}
END_TEST

START_TEST(sinks) {
  sample s;
  double sink[4] = {0, 1.5, -2, 9};
  int64_t none[BATCH] = {0, 7};
  begin(&s, GS_FLOAT, 2, 2, 3, 700);
  s.d.sink = sink;
  finish(&s, 1e-5);
  begin(&s, GS_FLOAT, 2, 2, 3, 20);
  s.d.sink = sink;
  s.d.lengths = none;
  finish(&s, 1e-5);
}
END_TEST

/* y, maximum and sum of each row over keys [from, from + n). */
static double *some_keys(sample *s, int64_t from, int64_t n) {
  gs_attend p = s->p;
  gs_attend_data d = s->d;
  int64_t heads = p.kv * p.group, rows = BATCH * heads * p.queries;
  double *to = GS_NEWS(&s->a, rows * (VHEAD + 2), double);
  p.keys = n;
  p.each = gs_attend_dense(GS_DOUBLE, false, heads, p.queries, 1);
  d.k = s->k + from * p.k.row;
  d.v = s->v + from * p.v.row;
  d.offset -= from;
  d.y = to;
  d.max = to + rows * VHEAD;
  d.sum = to + rows * (VHEAD + 1);
  d.scratch = gs_alloc(&s->a, gs_attend_scratch(&p) + 64);
  d.threads = 1;
  ck_assert(gs_attend_run(&p, &d));
  return to;
}

START_TEST(parts) { /* of the keys, with what joins them */
  enum { QUERIES = 5, KEYS = 1100, CUT = 700, ROWS = BATCH * 4 * QUERIES };
  sample s;
  begin(&s, GS_DOUBLE, 2, 2, QUERIES, KEYS);
  s.p.causal = true; /* the last rows alone see keys behind the cut */
  s.d.offset = CUT - 3;
  const double *a = some_keys(&s, 0, CUT), *b = some_keys(&s, CUT, KEYS - CUT);
  for (int64_t r = 0; r < ROWS; r++) {
    double want[VHEAD], ma = a[ROWS * VHEAD + r], mb = b[ROWS * VHEAD + r];
    double m = fmax(ma, mb), fa = exp(ma - m), fb = exp(mb - m);
    double l = a[ROWS * (VHEAD + 1) + r] * fa + b[ROWS * (VHEAD + 1) + r] * fb;
    row(&s, r / (4 * QUERIES), r / QUERIES % 4, r % QUERIES, want);
    ck_assert_int_eq(r % QUERIES < 3, mb == (double)-INFINITY);
    for (int64_t c = r * VHEAD; c < (r + 1) * VHEAD; c++)
      ck_assert(fabs((a[c] * fa + b[c] * fb) / l - want[c % VHEAD]) <= 1e-12);
  }
  gs_arena_free(&s.a);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("attend");
  tcase_add_test(t, parts);
  tcase_add_test(t, few_rows);
  tcase_add_test(t, many_rows);
  tcase_add_test(t, places);
  tcase_add_test(t, sinks);
  return suite_run("kernel_attend", t);
}
