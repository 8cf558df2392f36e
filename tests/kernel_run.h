/* Running one kernel on operands made by a test.  Results lie in blocks of
 * exactly their size, so that the address sanitizer sees every overrun. */
#ifndef TESTS_KERNEL_RUN_H
#define TESTS_KERNEL_RUN_H

#include <stdlib.h>

#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"
#include "suite.h"

enum { KR_MAX = 8 };

typedef struct kr {
  gs_arena a;
  gs_err e;
  gs_graph *g;
  gs_node *n;
  gs_view in[KR_MAX], out[KR_MAX];
  int nin, nout;
  bool variable[KR_MAX]; /* operand whose data prep may not see */
  const gs_mesh *mesh;
  int64_t position;
  gs_kshare *share;
} kr;

static inline void kr_begin(kr *t) {
  *t = (kr){0};
  gs_arena_init(&t->a);
  gs_err_init(&t->e);
  t->g = gs_graph_new(&t->a, "g");
  t->n = gs_node_new(t->g, "", "Op", "node", KR_MAX, KR_MAX);
  for (int i = 0; i < KR_MAX; i++) {
    t->in[i].rank = t->out[i].rank = -1;
    gs_node_output(t->n, i, gs_value_new(t->g, NULL, GS_FLOAT, -1, NULL));
  }
}

static inline void kr_end(kr *t) {
  for (int i = 0; i < KR_MAX; i++) {
    free(t->in[i].data);
    free(t->out[i].data);
  }
  gs_err_free(&t->e);
  gs_arena_free(&t->a);
}

static inline void kr_view(kr *t, gs_view *v, gs_dtype dtype, int rank,
                           const int64_t *dims) {
  v->dtype = dtype;
  v->rank = rank;
  v->dims = gs_memdup(&t->a, dims, (size_t)rank * sizeof *dims);
  v->n = gs_product(dims, rank);
  size_t bytes = (size_t)gs_dtype_bytes((int)dtype, v->n);
  free(v->data);
  v->data = malloc(bytes ? bytes : 1);
  memset(v->data, 0xa5, bytes);
}

#define DIMS(...)                                                              \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) { __VA_ARGS__ }
#define SCALAR 0, NULL

/* The next operand or result; returns its number. */
static inline int kr_in(kr *t, gs_dtype dtype, int rank, const int64_t *dims) {
  kr_view(t, &t->in[t->nin], dtype, rank, dims);
  return t->nin++;
}
static inline int kr_out(kr *t, gs_dtype dtype, int rank,
                         const int64_t *dims) {
  kr_view(t, &t->out[t->nout], dtype, rank, dims);
  return t->nout++;
}
static inline void kr_skip(kr *t) { t->nin++; }

/* An operand of 64-bit integers, [n] or a scalar. */
static inline void kr_ints(kr *t, int rank, const int64_t *dims,
                           const int64_t *v) {
  int i = kr_in(t, GS_INT64, rank, dims);
  if (t->in[i].n)
    memcpy(t->in[i].data, v, (size_t)t->in[i].n * sizeof *v);
}
#define INTS(...) DIMS(sizeof((int64_t[]){__VA_ARGS__}) / 8),                  \
    (int64_t[]) { __VA_ARGS__ }

static inline double kr_get(const gs_view *v, int64_t i) {
  double d = 0;
  int bits = gs_dtype_get((int)v->dtype)->bits;
  gs_convert(GS_DOUBLE, &d, v->dtype, (const char *)v->data + i * bits / 8, 1,
             NULL);
  return d;
}
static inline void kr_put(gs_view *v, int64_t i, double d) {
  int bits = gs_dtype_get((int)v->dtype)->bits;
  gs_convert(v->dtype, (char *)v->data + i * bits / 8, GS_DOUBLE, &d, 1, NULL);
}

/* Numbers that repeat from run to run. */
static inline uint64_t kr_random(uint64_t *s) {
  *s += 0x9e3779b97f4a7c15u;
  uint64_t z = *s;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static inline int64_t kr_range(uint64_t *s, int64_t low, int64_t end) {
  return low + (int64_t)(kr_random(s) % (uint64_t)(end - low));
}
/* Whole numbers in [low, end). */
static inline void kr_fill(gs_view *v, uint64_t *s, int64_t low, int64_t end) {
  for (int64_t i = 0; i < v->n; i++)
    kr_put(v, i, (double)kr_range(s, low, end));
}

static inline gs_status kr_run(kr *t, const gs_kernel *kernel, int threads) {
  gs_view in[KR_MAX];
  memcpy(in, t->in, sizeof in);
  gs_kctx k = {.node = t->n, .nin = t->nin, .nout = t->nout, .in = in,
               .out = t->out, .mesh = t->mesh, .position = t->position,
               .arena = &t->a, .threads = threads, .share = t->share,
               .err = &t->e};
  for (int i = 0; i < t->nin; i++) {
    if (t->variable[i]) in[i].data = NULL;
    in[i].fixed = in[i].data;
  }
  if (kernel->prep) GS_TRY(kernel->prep(&k));
  memcpy(in, t->in, sizeof in);
  if (k.scratch_size) {
    size_t n = (k.scratch_size + 63) & ~(size_t)63;
    k.scratch = aligned_alloc(64, n);
    memset(k.scratch, 0x5a, n);
  }
  gs_status s = kernel->run(&k);
  free(k.scratch);
  return s;
}

static inline void kr_ok(kr *t, const gs_kernel *kernel, int threads) {
  gs_status s = kr_run(t, kernel, threads);
  if (s != GS_OK) gs_err_print(&t->e, stderr, "test", false);
  ck_assert_int_eq(s, GS_OK);
}

/* The elements of a view, as numbers. */
static inline void kr_expect(const gs_view *v, int64_t n, const double *want) {
  ck_assert_int_eq(v->n, n);
  for (int64_t i = 0; i < n; i++)
    ck_assert_msg(kr_get(v, i) == want[i], "element %lld is %g, not %g",
                  (long long)i, kr_get(v, i), want[i]);
}
#define EXPECT(v, ...)                                                         \
  kr_expect(v, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)),    \
            (double[]){__VA_ARGS__})

static inline int kr_main(Suite *s) {
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}

#endif
