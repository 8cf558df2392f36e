/* Reductions: time per run and the bandwidth at which the operand is read.
 *
 * Method: the operand is allocated and touched once, each kernel is run twice
 * to warm up, then repeatedly for at least 0.3 s; the best run counts.
 * usage: kernel_reduce [THREADS]                                          */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/math.h"
#include "kernel/core/convert.h"
#include "kernel/core/kernel.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

typedef struct task {
  const char *text, *op;
  gs_dtype dtype;
  int64_t dims[4], axes[4]; /* dims end with 0 */
  int naxes;
} task;

static gs_view view(gs_dtype t, int rank, const int64_t *dims) {
  gs_view v = {.dtype = t, .rank = rank, .dims = dims, .n = 1};
  for (int d = 0; d < rank; d++) v.n *= dims[d];
  size_t bytes = (size_t)gs_dtype_bytes((int)t, v.n);
  v.data = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!v.data) gs_out_of_memory(bytes);
  memset(v.data, 0, bytes);
  return v;
}

static gs_status measure(const task *c, int threads, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_graph *g = gs_graph_new(&a, "bench");
  gs_node *n = gs_node_new(g, "", c->op, c->text, 0, 0);
  n->op = gs_op_find("", c->op);
  int64_t out_dims[4], count = c->naxes;
  int rank = 0;
  while (rank < 4 && c->dims[rank]) {
    out_dims[rank] = c->dims[rank];
    rank++;
  }
  for (int i = 0; i < c->naxes; i++) out_dims[c->axes[i]] = 1;
  gs_view in[2] = {view(c->dtype, rank, c->dims),
                   {.dtype = GS_INT64, .rank = 1, .dims = &count, .n = count}};
  in[1].data = (void *)(uintptr_t)c->axes;
  gs_view out = view(c->dtype, rank, out_dims);
  gs_kctx k = {.node = n,
               .nin = 2,
               .nout = 1,
               .in = in,
               .out = &out,
               .arena = &a,
               .threads = threads,
               .err = e};
  const gs_kernel *kernel = gs_kernel_of(n->op);
  GS_TRY(kernel->prep(&k));
  k.scratch = aligned_alloc(64, (k.scratch_size + 128) / 64 * 64);
  double best = 1e9, end = now() + 0.3;
  for (int i = 0; i < 5 || now() < end; i++) {
    double t = now();
    GS_TRY(kernel->run(&k));
    t = now() - t;
    if (i >= 2 && t < best) best = t;
  }
  double bytes = (double)gs_dtype_bytes((int)c->dtype, in[0].n);
  printf("%-40s %8.3f ms %8.2f GB/s\n", c->text, best * 1e3,
         bytes / best * 1e-9);
  free(in[0].data);
  free(out.data);
  free(k.scratch);
  gs_arena_free(&a);
  return GS_OK;
}

int main(int argc, char **argv) {
  static const task tasks[] = {
      {"sum [4096,1024] over 1", "ReduceSum", GS_FLOAT, {4096, 1024}, {1}, 1},
      {"sum [4096,1024] over 0", "ReduceSum", GS_FLOAT, {4096, 1024}, {0}, 1},
      {"sum [4096,1024] over all", "ReduceSum", GS_FLOAT, {4096, 1024},
       {0, 1}, 2},
      {"sum [65536,64] over 0", "ReduceSum", GS_FLOAT, {65536, 64}, {0}, 1},
      {"sum [1000000,4] over 0", "ReduceSum", GS_FLOAT, {1000000, 4}, {0}, 1},
      {"sum [1000000,4] over 1", "ReduceSum", GS_FLOAT, {1000000, 4}, {1}, 1},
      {"sum [100000,32] over 1", "ReduceSum", GS_FLOAT, {100000, 32}, {1}, 1},
      {"sum [50000,64] over 1", "ReduceSum", GS_FLOAT, {50000, 64}, {1}, 1},
      {"sum [4,1000000] over 0", "ReduceSum", GS_FLOAT, {4, 1000000}, {0}, 1},
      {"sum [32,256,32,32] over 0,2,3", "ReduceSum", GS_FLOAT,
       {32, 256, 32, 32}, {0, 2, 3}, 3},
      {"sum [256,256,7,7] over 0,2,3", "ReduceSum", GS_FLOAT,
       {256, 256, 7, 7}, {0, 2, 3}, 3},
      {"sum [64,256,256] over 1", "ReduceSum", GS_FLOAT, {64, 256, 256}, {1},
       1},
      {"sum [4096,1024] over 0, f16", "ReduceSum", GS_FLOAT16, {4096, 1024},
       {0}, 1},
      {"sum [4096,1024] over 1, f16", "ReduceSum", GS_FLOAT16, {4096, 1024},
       {1}, 1},
      {"sum [4096,1024] over 0, i32", "ReduceSum", GS_INT32, {4096, 1024}, {0},
       1},
      {"max [4096,1024] over 0", "ReduceMax", GS_FLOAT, {4096, 1024}, {0}, 1},
      {"sum [4096,1024] over 0, f64", "ReduceSum", GS_DOUBLE, {4096, 1024},
       {0}, 1}};
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  if (threads < 1) {
    fprintf(stderr, "usage: kernel_reduce [THREADS]\n");
    return GS_USAGE;
  }
  gs_err e;
  gs_err_init(&e);
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
    gs_status s = measure(&tasks[i], threads, &e);
    if (s != GS_OK) {
      gs_err_print(&e, stderr, "kernel_reduce", false);
      return (int)s;
    }
  }
  gs_err_free(&e);
  return GS_OK;
}
