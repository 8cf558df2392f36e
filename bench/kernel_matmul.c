/* Speed of the MatMul and Einsum kernels.
 *
 * Method: every case runs once unmeasured (oneDNN generates its code in the
 * first call), then until half a second or 200 runs have passed; the fastest
 * run counts.  2 * batch * m * n * k operations in each.  Operands are random
 * numbers in [-0.5, 0.5), the same for all runs, so that small cases measure a
 * warm cache.  The number of threads is the first argument (1).
 *
 *   kernel_matmul [threads]
 *
 * Seen (one core of a shared AVX2 machine, CPU time, so as not to count the
 * neighbours): f32 products 23-38 GFLOP/s, 1 x 1024 x 4096 6-7 (memory), i32
 * about 8, f64 about 3.  oneDNN's matmul primitive with weights in its own
 * layout was within 3 % of dnnl_sgemm there (35.6/34.9, 34.4/34.2, 37.7/37.4)
 * and slower for 64 x 2048 x 512 (23-28 against 33): weights are not packed. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernel/core/kernel.h"

extern const gs_kernel gs_kernel_matmul, gs_kernel_einsum;

typedef struct bench_case {
  const char *name, *equation; /* equation NULL: MatMul */
  gs_dtype t;
  int rank[3];
  int64_t dims[3][4]; /* a, b, result */
  double products;    /* multiplications in one run */
} bench_case;

static const bench_case cases[] = {
    {"square 1024", NULL, GS_FLOAT, {2, 2, 2},
     {{1024, 1024}, {1024, 1024}, {1024, 1024}}, 1024. * 1024 * 1024},
    {"ffn 512x768x3072", NULL, GS_FLOAT, {3, 2, 3},
     {{4, 128, 768}, {768, 3072}, {4, 128, 3072}}, 512. * 768 * 3072},
    {"heads 48x128x64x128", NULL, GS_FLOAT, {3, 3, 3},
     {{48, 128, 64}, {48, 64, 128}, {48, 128, 128}}, 48. * 128 * 64 * 128},
    {"decode 1x1024x4096", NULL, GS_FLOAT, {2, 2, 2},
     {{1, 1024}, {1024, 4096}, {1, 4096}}, 1024. * 4096},
    {"square 384 f64", NULL, GS_DOUBLE, {2, 2, 2},
     {{384, 384}, {384, 384}, {384, 384}}, 384. * 384 * 384},
    {"square 384 bf16", NULL, GS_BFLOAT16, {2, 2, 2},
     {{384, 384}, {384, 384}, {384, 384}}, 384. * 384 * 384},
    {"square 384 i32", NULL, GS_INT32, {2, 2, 2},
     {{384, 384}, {384, 384}, {384, 384}}, 384. * 384 * 384},
    {"dispatch gsec,gsm->egcm", "gsec,gsm->egcm", GS_FLOAT, {4, 3, 4},
     {{4, 256, 8, 64}, {4, 256, 512}, {8, 4, 64, 512}},
     4. * 256 * 8 * 64 * 512},
    {"expert egcm,emh->egch", "egcm,emh->egch", GS_FLOAT, {4, 3, 4},
     {{8, 4, 64, 512}, {8, 512, 2048}, {8, 4, 64, 2048}},
     8. * 4 * 64 * 512 * 2048},
    {"scores bthd,bshd->bhts", "bthd,bshd->bhts", GS_FLOAT, {4, 4, 4},
     {{4, 128, 12, 64}, {4, 128, 12, 64}, {4, 12, 128, 128}},
     4. * 12 * 128 * 128 * 64}};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void make(gs_arena *a, gs_view *v, const bench_case *c, int i) {
  v->dtype = c->t;
  v->rank = c->rank[i];
  v->dims = c->dims[i];
  v->n = 1;
  for (int d = 0; d < v->rank; d++) v->n *= v->dims[d];
  v->data = gs_alloc(a, (size_t)gs_dtype_bytes((int)c->t, v->n));
  for (int64_t j = 0; i < 2 && j < v->n; j++) {
    double r = (double)rand() / RAND_MAX - 0.5;
    if (c->t == GS_FLOAT) ((float *)v->data)[j] = (float)r;
    else if (c->t == GS_DOUBLE) ((double *)v->data)[j] = r;
    else if (c->t == GS_INT32) ((int32_t *)v->data)[j] = (int32_t)(r * 20);
    else ((uint16_t *)v->data)[j] = (uint16_t)(0x3f00 + (int)(r * 100));
  }
}

static double best_time(gs_kctx *k, const gs_kernel *kernel) {
  double best = 1e9, start = now();
  for (int run = 0; run < 200 && now() - start < 0.5; run++) {
    double t = now();
    if (kernel->run(k) != GS_OK) return -1;
    t = now() - t;
    if (run && t < best) best = t;
  }
  return best;
}

static int measure(const bench_case *c, int threads) {
  gs_arena a;
  gs_err e;
  gs_view in[2] = {{.rank = -1}}, out[1] = {{.rank = -1}};
  gs_arena_init(&a);
  gs_err_init(&e);
  gs_graph *g = gs_graph_new(&a, "bench");
  gs_node *n = gs_node_new(g, "", c->equation ? "Einsum" : "MatMul", "n", 2, 1);
  if (c->equation) gs_node_set_string(g, n, "equation", c->equation);
  make(&a, &in[0], c, 0);
  make(&a, &in[1], c, 1);
  make(&a, &out[0], c, 2);
  gs_kctx k = {.node = n, .nin = 2, .nout = 1, .in = in, .out = out,
               .arena = &a, .threads = threads, .err = &e};
  const gs_kernel *kernel =
      c->equation ? &gs_kernel_einsum : &gs_kernel_matmul;
  gs_status s = kernel->prep(&k);
  if (s == GS_OK) {
    uintptr_t p = (uintptr_t)gs_alloc(&a, k.scratch_size + 63);
    k.scratch = (void *)((p + 63) & ~(uintptr_t)63);
    double t = best_time(&k, kernel);
    printf("%-26s %10.3f ms %9.1f GFLOP/s\n", c->name, t * 1e3,
           2 * c->products / t * 1e-9);
  } else {
    gs_err_print(&e, stderr, "kernel_matmul", false);
  }
  gs_err_free(&e);
  gs_arena_free(&a);
  return s != GS_OK;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1, bad = 0;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    bad |= measure(&cases[i], threads);
  return bad;
}
