/* Row and pointwise kernels: time per run and the memory traffic that it
 * means, to set against ONNX Runtime's times and the machine's bandwidth.
 *
 * Method: operands are allocated and touched once, each kernel is run twice
 * to warm up, then repeatedly for at least 0.3 s; the best run counts.  The
 * bandwidth line is out[i] = a[i] + b[i] over 64 MiB arrays, which no cache
 * holds.  GB/s counts operands and results once.
 * usage: kernel_rows [THREADS]                                            */
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
  int64_t rows, n;
  int nin; /* operand 0 whole; operands 1, 2: one row, or whole for Add */
} task;

static void view(gs_arena *a, gs_view *v, gs_dtype t, int64_t rows,
                 int64_t n) {
  int64_t *dims = GS_NEWS(a, 2, int64_t);
  dims[0] = rows;
  dims[1] = n;
  *v = (gs_view){.dtype = t, .rank = 2, .dims = dims, .n = rows * n};
  size_t bytes = (size_t)gs_dtype_bytes((int)t, v->n);
  v->data = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!v->data) gs_out_of_memory(bytes);
  for (int64_t i = 0; i < v->n; i += 1024) {
    float x[1024];
    int64_t m = gs_min(1024, v->n - i);
    for (int64_t j = 0; j < m; j++) x[j] = (float)((i + j) % 997) / 100 - 5;
    gs_convert(t, (char *)v->data + gs_dtype_bytes((int)t, i), GS_FLOAT, x, m,
               NULL);
  }
}

static gs_status measure(const task *c, int threads, gs_err *e) {
  gs_arena a;
  gs_arena_init(&a);
  gs_graph *g = gs_graph_new(&a, "bench");
  gs_node *n = gs_node_new(g, "", c->op, c->text, 0, 0);
  n->op = gs_op_find("", c->op);
  gs_view in[3], out[1];
  gs_kctx k = {.node = n,
               .nin = c->nin,
               .nout = 1,
               .in = in,
               .out = out,
               .arena = &a,
               .threads = threads,
               .err = e};
  double bytes = 0;
  for (int i = 0; i < c->nin; i++) {
    bool whole = i == 0 || !strcmp(c->op, "Add");
    view(&a, &in[i], c->dtype, whole ? c->rows : 1, c->n);
    bytes += (double)gs_dtype_bytes((int)c->dtype, in[i].n);
  }
  view(&a, &out[0], c->dtype, c->rows, c->n);
  bytes += (double)gs_dtype_bytes((int)c->dtype, out[0].n);
  const gs_kernel *kernel = gs_kernel_of(n->op);
  GS_TRY(kernel->prep(&k));
  k.scratch = aligned_alloc(64, (k.scratch_size + 64) / 64 * 64);
  double best = 1e9, end = now() + 0.3;
  for (int i = 0; i < 5 || now() < end; i++) {
    double t = now();
    GS_TRY(kernel->run(&k));
    t = now() - t;
    if (i >= 2 && t < best) best = t;
  }
  printf("%-28s %8.3f ms %8.2f GB/s\n", c->text, best * 1e3,
         bytes / best * 1e-9);
  for (int i = 0; i < c->nin; i++) free(in[i].data);
  free(out[0].data);
  free(k.scratch);
  gs_arena_free(&a);
  return GS_OK;
}

int main(int argc, char **argv) {
  static const task tasks[] = {
      {"bandwidth (add, 64 MiB)", "Add", GS_FLOAT, 4096, 4096, 2},
      {"softmax 4096x1024", "Softmax", GS_FLOAT, 4096, 1024, 1},
      {"softmax 4096x1024 f16", "Softmax", GS_FLOAT16, 4096, 1024, 1},
      {"layer norm 4096x768", "LayerNormalization", GS_FLOAT, 4096, 768, 3},
      {"rms norm 4096x768", "RMSNormalization", GS_FLOAT, 4096, 768, 2},
      {"gelu 512x3072", "Gelu", GS_FLOAT, 512, 3072, 1},
      {"tanh 512x3072", "Tanh", GS_FLOAT, 512, 3072, 1},
      {"exp 512x3072", "Exp", GS_FLOAT, 512, 3072, 1},
      {"add 512x768", "Add", GS_FLOAT, 512, 768, 2},
      {"sub, one row 512x768", "Sub", GS_FLOAT, 512, 768, 2},
      {"add 512x768 f16", "Add", GS_FLOAT16, 512, 768, 2}};
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  if (threads < 1) {
    fprintf(stderr, "usage: kernel_rows [THREADS]\n");
    return GS_USAGE;
  }
  gs_err e;
  gs_err_init(&e);
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
    gs_status s = measure(&tasks[i], threads, &e);
    if (s != GS_OK) {
      gs_err_print(&e, stderr, "kernel_rows", false);
      return (int)s;
    }
  }
  gs_err_free(&e);
  return GS_OK;
}
