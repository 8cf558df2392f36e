/* The order of summation: a result of a reduction has the same bytes whatever
 * the kept dims and the number of threads are; and numbers drawn. */
#include "kernel/random/random.h"
#include "kernel_harness.h"
#include "suite.h"

static const char *const ops[] = {"ReduceSum", "ReduceMean", "ReduceL1",
                                  "ReduceL2", "ReduceSumSquare", "ReduceProd",
                                  "ReduceLogSumExp"};
enum { NOP = sizeof ops / sizeof *ops };

/* op over the dims of x[a, b, c, d] that are set, on x's elements with
 * b in [b0, b0 + nb) and d in [d0, d0 + nd); dims of the whole in `dims`. */
typedef struct cut {
  int64_t b0, nb, d0, nd;
} cut;

static double element(int64_t i) {
  uint64_t state = (uint64_t)i * 2654435761u + 12345;
  h_random(&state);
  return 0.5 + h_random(&state); /* products stay in range */
}

/* Results [nb, nd] of the operator over dims 0 and 2, as bytes. */
static void reduce(const char *op, gs_dtype t, const int64_t *dims,
                   const cut *c, int threads, void *out) {
  harness h;
  h_init(&h);
  h.k.threads = threads;
  const int64_t in[] = {dims[0], c->nb, dims[2], c->nd}, two[] = {2};
  const int64_t kept[] = {1, c->nb, 1, c->nd}, axes[] = {0, 2};
  gs_view *x = h_in(&h, t, 4, in), *a = h_in(&h, GS_INT64, 1, two);
  gs_view *y = h_out(&h, t, 4, kept);
  memcpy(a->data, axes, sizeof axes);
  int64_t at = 0;
  for (int64_t i = 0; i < dims[0]; i++)
    for (int64_t j = c->b0; j < c->b0 + c->nb; j++)
      for (int64_t k = 0; k < dims[2]; k++)
        for (int64_t l = c->d0; l < c->d0 + c->nd; l++)
          h_put(x, at++,
                element(((i * dims[1] + j) * dims[2] + k) * dims[3] + l));
  h_ok(&h, gs_kernel_of(gs_op_find("", op)));
  memcpy(out, y->data, (size_t)gs_dtype_bytes((int)t, y->n));
  h_drop(&h);
  h_free(&h);
}

static const int64_t shapes[][4] = {
    {5, 3, 7, 4},  {40, 2, 50, 3},  {1, 2, 3000, 5}, {70000, 2, 1, 2},
    {3, 2, 9, 70}, {2, 2, 40, 300}, {1, 1, 33, 1100}, {1, 70, 9, 2},
    {1, 70, 9, 1},  {1, 130, 32, 1}};
enum { NSHAPE = sizeof shapes / sizeof *shapes };

START_TEST(any_kept_dims) {
  const int64_t *d = shapes[_i % NSHAPE];
  const char *op = ops[_i / NSHAPE];
  gs_dtype types[] = {GS_FLOAT, GS_DOUBLE, GS_BFLOAT16};
  for (int t = 0; t < 3; t++) {
    size_t size = (size_t)gs_dtype_bytes((int)types[t], 1);
    char *whole = malloc((size_t)(d[1] * d[3]) * size);
    char *part = malloc((size_t)(d[1] * d[3]) * size);
    reduce(op, types[t], d, &(cut){0, d[1], 0, d[3]}, 1, whole);
    for (int64_t b = 0; b < d[1]; b++)
      for (int64_t c = 0; c < d[3]; c += d[3] > 10 ? 37 : 1)
        for (int64_t n = 1; c + n <= d[3] && n <= 2; n++) {
          reduce(op, types[t], d, &(cut){b, 1, c, n}, 1 + (int)n, part);
          ck_assert_msg(!memcmp(whole + (size_t)(b * d[3] + c) * size, part,
                                (size_t)n * size),
                        "%s of [%d,%d,%d,%d]: %d, %d + %d", op, (int)d[0],
                        (int)d[1], (int)d[2], (int)d[3], (int)b, (int)c,
                        (int)n);
        }
    free(whole);
    free(part);
  }
}
END_TEST

/* Infinities do not become NaN, large numbers do not overflow; as rows and as
 * columns. */
START_TEST(powers) {
  const double inf = (double)INFINITY, x[6][2] = {
      {inf, 1}, {-inf, -inf}, {(double)NAN, 1}, {1000, 1000}, {-1000, -inf},
      {-inf, 3}};
  const double want[6] = {inf, -inf, (double)NAN, 1000.6931471805599, -1000, 3};
  const int64_t dims[2][2] = {{6, 2}, {2, 6}}, one[] = {1}, kept[] = {6};
  for (int axis = 0; axis < 2; axis++)
    for (int wide = 0; wide < 2; wide++) {
      harness h;
      h_init(&h);
      gs_dtype t = wide ? GS_DOUBLE : GS_FLOAT;
      gs_view *v = h_in(&h, t, 2, dims[1 - axis]);
      gs_view *a = h_in(&h, GS_INT64, 1, one), *y = h_out(&h, t, 1, kept);
      h_put(a, 0, axis);
      for (int i = 0; i < 6; i++)
        for (int j = 0; j < 2; j++)
          h_put(v, axis ? 2 * i + j : 6 * j + i, x[i][j]);
      gs_node_set_int(h.graph, h.node, "keepdims", 0);
      h_ok(&h, gs_kernel_of(gs_op_find("", "ReduceLogSumExp")));
      for (int i = 0; i < 6; i++) {
        double got = h_get(y, i);
        ck_assert_msg(got == want[i] || fabs(got - want[i]) < 1e-4 ||
                          (isnan(got) && isnan(want[i])),
                      "%d: %g, not %g", i, got, want[i]);
      }
      h_drop(&h);
      h_free(&h);
    }
}
END_TEST

/* A fill of any part gives the numbers of the whole; their moments. */
START_TEST(normal) {
  enum { N = 100000 };
  gs_normal u = {.dtype = GS_DOUBLE, .mean = 3, .scale = 2, .key = 7};
  double *x = malloc(N * sizeof *x), part[20], sum = 0, squares = 0;
  gs_normal_fill(&u, 0, N, x);
  for (int from = 0; from < 7; from++)
    for (int n = 1; n < 20; n++) {
      gs_normal_fill(&u, from, n, part);
      ck_assert(!memcmp(part, x + from, (size_t)n * sizeof *x));
    }
  for (int i = 0; i < N; i++) sum += x[i];
  for (int i = 0; i < N; i++) squares += (x[i] - 3) * (x[i] - 3);
  ck_assert(fabs(sum / N - 3) < 0.03);
  ck_assert(fabs(squares / N - 4) < 0.06);
  free(x);
}
END_TEST

/* Classes are drawn as often as their probabilities say. */
START_TEST(multinomial) {
  enum { N = 40000 };
  const double p[] = {0.1, 0.6, 0.0, 0.3};
  harness h;
  h_init(&h);
  gs_attr seed = {.name = "seed", .kind = GS_ATTR_FLOAT, .f = 5};
  gs_node_set(h.graph, h.node, &seed);
  const int64_t in[] = {1, 4}, out[] = {1, N};
  gs_view *x = h_in(&h, GS_FLOAT, 2, in), *y = h_out(&h, GS_INT32, 2, out);
  for (int i = 0; i < 4; i++) h_put(x, i, log(p[i]) + 100);
  h_ok(&h, gs_kernel_of(gs_op_find("", "Multinomial")));
  double n[4] = {0};
  for (int i = 0; i < N; i++) n[(int)h_get(y, i)]++;
  for (int i = 0; i < 4; i++) ck_assert(fabs(n[i] / N - p[i]) < 0.01);
  ck_assert(n[2] == 0);
  h_drop(&h);
  h_free(&h);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("kernel_reduce");
  tcase_add_loop_test(t, any_kept_dims, 0, NOP * NSHAPE);
  tcase_add_test(t, powers);
  tcase_add_test(t, normal);
  tcase_add_test(t, multinomial);
  return suite_run("kernel_reduce", t);
}
