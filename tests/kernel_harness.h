/* Runs one kernel on tensors given as doubles; shared by the kernel tests. */
#ifndef GS_TESTS_KERNEL_HARNESS_H
#define GS_TESTS_KERNEL_HARNESS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"
#include "suite.h"

enum { H_MAX = 8 }; /* operands and results */

typedef struct harness {
  gs_arena arena;
  gs_err err;
  gs_graph *graph;
  gs_node *node;
  gs_kctx k;
  gs_view in[H_MAX], out[H_MAX];
} harness;

static inline void h_init(harness *h) {
  memset(h, 0, sizeof *h);
  gs_arena_init(&h->arena);
  gs_err_init(&h->err);
  h->graph = gs_graph_new(&h->arena, "test");
  h->node = gs_node_new(h->graph, "", "Test", "node", 0, 0);
  h->k.node = h->node;
  h->k.in = h->in;
  h->k.out = h->out;
  h->k.arena = &h->arena;
  h->k.err = &h->err;
  h->k.threads = 1;
}

static inline void h_free(harness *h) {
  gs_err_free(&h->err);
  gs_arena_free(&h->arena);
}

static inline gs_view h_view(harness *h, gs_dtype t, int rank,
                             const int64_t *dims) {
  gs_view v = {.dtype = t, .rank = rank};
  int64_t *copy = GS_NEWS(&h->arena, rank + 1, int64_t);
  if (rank > 0) memcpy(copy, dims, (size_t)rank * sizeof *dims);
  v.dims = copy;
  v.n = gs_product(dims, rank);
  /* Of the exact size, so that a sanitizer sees a step past the end. */
  size_t bytes = (size_t)gs_dtype_bytes((int)t, v.n);
  v.data = malloc(bytes ? bytes : 1);
  ck_assert_ptr_nonnull(v.data);
  memset(v.data, 0xa5, bytes ? bytes : 1);
  return v;
}

static inline gs_view *h_in(harness *h, gs_dtype t, int rank,
                            const int64_t *dims) {
  h->in[h->k.nin] = h_view(h, t, rank, dims);
  return &h->in[h->k.nin++];
}
static inline gs_view *h_out(harness *h, gs_dtype t, int rank,
                             const int64_t *dims) {
  h->out[h->k.nout] = h_view(h, t, rank, dims);
  return &h->out[h->k.nout++];
}
static inline void h_absent(harness *h) {
  h->in[h->k.nin++] = (gs_view){.rank = -1};
}

/* Byte-wide types and wider only. */
static inline void h_put(const gs_view *v, int64_t i, double x) {
  int size = gs_dtype_get((int)v->dtype)->bits / 8;
  gs_convert(v->dtype, (char *)v->data + i * size, GS_DOUBLE, &x, 1, NULL);
}
static inline double h_get(const gs_view *v, int64_t i) {
  int size = gs_dtype_get((int)v->dtype)->bits / 8;
  double x;
  gs_convert(GS_DOUBLE, &x, v->dtype, (char *)v->data + i * size, 1, NULL);
  return x;
}

static inline gs_status h_prep(harness *h, const gs_kernel *kernel) {
  h->k.scratch_size = 0;
  h->k.state = NULL;
  if (kernel->prep) GS_TRY(kernel->prep(&h->k));
  size_t n = (h->k.scratch_size + 63) / 64 * 64;
  h->k.scratch = n ? aligned_alloc(64, n) : NULL;
  return GS_OK;
}
static inline gs_status h_run(harness *h, const gs_kernel *kernel) {
  GS_TRY(h_prep(h, kernel));
  gs_status s = kernel->run(&h->k);
  free(h->k.scratch);
  h->k.scratch = NULL;
  return s;
}
static inline void h_ok(harness *h, const gs_kernel *kernel) {
  gs_status s = h_run(h, kernel);
  if (s != GS_OK) gs_err_print(&h->err, stderr, "test", false);
  ck_assert_int_eq(s, GS_OK);
}
/* Frees the tensors (not the arena). */
static inline void h_drop(harness *h) {
  for (int i = 0; i < h->k.nout; i++)
    if (h->out[i].data != h->in[0].data) free(h->out[i].data);
  for (int i = 0; i < h->k.nin; i++) free(h->in[i].data);
  h->k.nin = h->k.nout = 0;
}

/* A number in [0, 1) from a counter, the same on every machine. */
static inline double h_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 40) / 16777216.0;
}

#endif
