/* Movement, creation and random kernels. */
#include <math.h>

#include "kernel/random/random.h"
#include "kernel_run.h"

extern const gs_kernel gs_kernel_expand, gs_kernel_reshape,
    gs_kernel_transpose, gs_kernel_concat, gs_kernel_split, gs_kernel_slice,
    gs_kernel_pad, gs_kernel_tile, gs_kernel_trilu, gs_kernel_constant,
    gs_kernel_constant_of_shape, gs_kernel_range, gs_kernel_shape,
    gs_kernel_size, gs_kernel_random_uniform;

/* Types of every element size. */
static const gs_dtype sizes[] = {GS_INT8,   GS_BOOL,   GS_FLOAT16,
                                 GS_FLOAT,  GS_INT64,  GS_COMPLEX128,
                                 GS_UINT16, GS_DOUBLE};
enum { NSIZE = sizeof sizes / sizeof *sizes };

static size_t size_of(gs_dtype t) {
  return (size_t)gs_dtype_get((int)t)->bits / 8;
}

/* Any bytes. */
static void fill_bytes(gs_view *v, uint64_t *s) {
  unsigned char *p = v->data;
  for (size_t i = 0; i < (size_t)v->n * size_of(v->dtype); i++)
    p[i] = (unsigned char)kr_random(s);
}

static void same(const gs_view *y, int64_t i, const gs_view *x, int64_t j) {
  size_t size = size_of(x->dtype);
  ck_assert_msg(!memcmp((char *)y->data + (size_t)i * size,
                        (char *)x->data + (size_t)j * size, size),
                "element %lld is not operand element %lld", (long long)i,
                (long long)j);
}

static int random_dims(uint64_t *s, int max, int64_t low, int64_t *dims) {
  int rank = (int)kr_range(s, 1, max + 1);
  for (int d = 0; d < rank; d++) dims[d] = kr_range(s, low, 8);
  return rank;
}

/* Coordinates of element i and back. */
static void coords(const gs_view *v, int64_t i, int64_t *at) {
  for (int d = v->rank - 1; d >= 0; d--) {
    at[d] = i % v->dims[d];
    i /= v->dims[d];
  }
}
static int64_t element(const gs_view *v, const int64_t *at) {
  int64_t i = 0;
  for (int d = 0; d < v->rank; d++) i = i * v->dims[d] + at[d];
  return i;
}

START_TEST(transpose) {
  uint64_t s = (uint64_t)_i;
  for (int round = 0; round < 60; round++) {
    int64_t dims[6], out[6], perm[6], a[6], b[6];
    int rank = random_dims(&s, 5, round % 10 ? 1 : 0, dims);
    if (round % 7 == 0) dims[0] = 70;
    for (int d = 0; d < rank; d++) perm[d] = d;
    for (int d = rank - 1; d > 0; d--) {
      int64_t e = kr_range(&s, 0, d + 1), x = perm[d];
      perm[d] = perm[e];
      perm[e] = x;
    }
    for (int d = 0; d < rank; d++) out[d] = dims[perm[d]];
    kr r;
    kr_begin(&r);
    kr_in(&r, sizes[_i], rank, dims);
    fill_bytes(&r.in[0], &s);
    kr_out(&r, sizes[_i], rank, out);
    gs_node_set_ints(r.g, r.n, "perm", perm, rank);
    kr_ok(&r, &gs_kernel_transpose, 1 + round % 3);
    for (int64_t i = 0; i < r.out[0].n; i++) {
      coords(&r.out[0], i, a);
      for (int d = 0; d < rank; d++) b[perm[d]] = a[d];
      same(&r.out[0], i, &r.in[0], element(&r.in[0], b));
    }
    kr_end(&r);
  }
}
END_TEST

START_TEST(transpose_large) {
  kr r;
  uint64_t s = 5;
  kr_begin(&r);
  kr_in(&r, GS_FLOAT, DIMS(3, 257, 131));
  fill_bytes(&r.in[0], &s);
  kr_out(&r, GS_FLOAT, DIMS(131, 257, 3));
  kr_ok(&r, &gs_kernel_transpose, 3);
  for (int64_t i = 0; i < 131; i++)
    for (int64_t j = 0; j < 257; j++)
      for (int64_t k = 0; k < 3; k++)
        same(&r.out[0], (i * 257 + j) * 3 + k, &r.in[0],
             (k * 257 + j) * 131 + i);
  kr_end(&r);
}
END_TEST

START_TEST(expand_tile) {
  uint64_t s = (uint64_t)_i + 100;
  for (int round = 0; round < 40; round++) {
    int64_t dims[6], out[6], a[6], tiled[6], reps[6];
    int rank = random_dims(&s, 4, round % 10 ? 1 : 0, dims);
    int lead = (int)kr_range(&s, 0, 3);
    for (int d = 0; d < lead; d++) out[d] = kr_range(&s, 1, 4);
    for (int d = 0; d < rank; d++) {
      reps[d] = kr_range(&s, round % 8 ? 1 : 0, 4);
      tiled[d] = dims[d] * reps[d];
      if (kr_range(&s, 0, 2)) dims[d] = 1;
      tiled[d] = dims[d] * reps[d];
      out[lead + d] = dims[d] == 1 ? kr_range(&s, 1, 6) : dims[d];
    }
    kr r;
    kr_begin(&r);
    kr_in(&r, sizes[_i], rank, dims);
    fill_bytes(&r.in[0], &s);
    kr_out(&r, sizes[_i], lead + rank, out);
    kr_ok(&r, &gs_kernel_expand, 2);
    for (int64_t i = 0; i < r.out[0].n; i++) {
      coords(&r.out[0], i, a);
      for (int d = 0; d < rank; d++)
        if (dims[d] == 1) a[lead + d] = 0;
      same(&r.out[0], i, &r.in[0], element(&r.in[0], a + lead));
    }
    r.nout = 0;
    kr_out(&r, sizes[_i], rank, tiled);
    kr_ok(&r, &gs_kernel_tile, 2);
    for (int64_t i = 0; i < r.out[0].n; i++) {
      coords(&r.out[0], i, a);
      for (int d = 0; d < rank; d++) a[d] %= dims[d];
      same(&r.out[0], i, &r.in[0], element(&r.in[0], a));
    }
    kr_end(&r);
  }
}
END_TEST

START_TEST(concat_split) {
  uint64_t s = (uint64_t)_i + 200;
  for (int round = 0; round < 30; round++) {
    int64_t dims[6], part[6], a[6], total = 0;
    int rank = random_dims(&s, 4, 1, dims);
    int axis = (int)kr_range(&s, 0, rank), n = (int)kr_range(&s, 1, 6);
    kr r, q;
    kr_begin(&r);
    kr_begin(&q);
    memcpy(part, dims, sizeof part);
    for (int i = 0; i < n; i++) {
      part[axis] = kr_range(&s, 0, 5);
      total += part[axis];
      kr_in(&r, sizes[_i], rank, part);
      fill_bytes(&r.in[i], &s);
      kr_out(&q, sizes[_i], rank, part);
    }
    dims[axis] = total;
    kr_out(&r, sizes[_i], rank, dims);
    kr_in(&q, sizes[_i], rank, dims);
    gs_node_set_int(r.g, r.n, "axis", axis - (round % 2 ? rank : 0));
    gs_node_set_int(q.g, q.n, "axis", axis);
    kr_ok(&r, &gs_kernel_concat, 2);
    for (int64_t i = 0; i < r.out[0].n; i++) {
      coords(&r.out[0], i, a);
      int p = 0;
      while (a[axis] >= r.in[p].dims[axis]) a[axis] -= r.in[p++].dims[axis];
      same(&r.out[0], i, &r.in[p], element(&r.in[p], a));
    }
    if (r.out[0].n)
      memcpy(q.in[0].data, r.out[0].data,
             (size_t)r.out[0].n * size_of(sizes[_i]));
    kr_ok(&q, &gs_kernel_split, 2);
    for (int p = 0; p < n; p++)
      for (int64_t i = 0; i < q.out[p].n; i++)
        same(&q.out[p], i, &r.in[p], i);
    kr_end(&r);
    kr_end(&q);
  }
}
END_TEST

/* x = 0 .. n-1, y = x[start:end:step] along the axes. */
static void slice(gs_dtype t, bool late, int64_t n, int64_t start, int64_t end,
                  int64_t step, int count, const double *want) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_FLOAT, DIMS(2, n));
  for (int64_t i = 0; i < 2 * n; i++) kr_put(&r.in[0], i, (double)i);
  int64_t v[] = {start, end, 1, step};
  for (int i = 0; i < 4; i++) {
    int j = kr_in(&r, t, DIMS(1));
    if (t == GS_INT64) *(int64_t *)r.in[j].data = v[i];
    else *(int32_t *)r.in[j].data = (int32_t)v[i];
    r.variable[j] = late;
  }
  kr_out(&r, GS_FLOAT, DIMS(2, count));
  kr_ok(&r, &gs_kernel_slice, 1);
  for (int i = 0; i < count; i++) {
    ck_assert_double_eq(kr_get(&r.out[0], i), want[i]);
    ck_assert_double_eq(kr_get(&r.out[0], count + i), want[i] + (double)n);
  }
  kr_end(&r);
}
#define SLICE(n, start, end, step, ...)                                        \
  for (int how = 0; how < 4; how++)                                            \
  slice(how & 1 ? GS_INT32 : GS_INT64, how & 2, n, start, end, step,           \
        (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)),               \
        (double[]){__VA_ARGS__})

START_TEST(slices) {
  SLICE(6, 1, 4, 1, 1, 2, 3);
  SLICE(6, -2, 100, 1, 4, 5);
  SLICE(6, 0, 6, 2, 0, 2, 4);
  SLICE(6, 1, 6, 3, 1, 4);
  SLICE(6, 5, 0, -1, 5, 4, 3, 2, 1);
  SLICE(6, -1, -100, -1, 5, 4, 3, 2, 1, 0);
  SLICE(6, 100, -100, -2, 5, 3, 1);
  SLICE(6, -100, 2, 1, 0, 1);
  SLICE(6, 0, INT32_MAX, INT32_MAX, 0);
  slice(GS_INT64, false, 6, 4, 2, 1, 0, NULL);
  slice(GS_INT64, false, 6, 0, INT64_MAX, INT64_MAX, 1, (double[]){0});
  slice(GS_INT64, false, 6, INT64_MIN, INT64_MAX, 3, 2, (double[]){0, 3});
}
END_TEST

START_TEST(slice_bad) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_FLOAT, DIMS(4));
  kr_ints(&r, INTS(1));
  kr_ints(&r, INTS(4));
  kr_out(&r, GS_FLOAT, DIMS(4)); /* three elements are left */
  ck_assert_int_eq(kr_run(&r, &gs_kernel_slice, 1), GS_DATA);
  kr_end(&r);
}
END_TEST

static void pad(const char *mode, int64_t n, int64_t before, int64_t after,
                const double *want) {
  for (int late = 0; late < 2; late++) {
    kr r;
    kr_begin(&r);
    kr_in(&r, GS_FLOAT, DIMS(2, n, 1));
    for (int64_t i = 0; i < 2 * n; i++) kr_put(&r.in[0], i, (double)(i + 1));
    kr_ints(&r, INTS(before, after));
    kr_in(&r, GS_FLOAT, SCALAR);
    kr_put(&r.in[2], 0, 99);
    kr_ints(&r, INTS(-2));
    r.variable[1] = late;
    int64_t m = n + before + after;
    kr_out(&r, GS_FLOAT, DIMS(2, m, 1));
    gs_node_set_string(r.g, r.n, "mode", mode);
    kr_ok(&r, &gs_kernel_pad, 1);
    for (int64_t i = 0; i < 2 * m; i++) {
      double w = want[i % m];
      if (i >= m && w != 99) w += (double)n;
      ck_assert_double_eq(kr_get(&r.out[0], i), w);
    }
    kr_end(&r);
  }
}
#define PAD(mode, n, before, after, ...)                                       \
  pad(mode, n, before, after, (double[]){__VA_ARGS__})

START_TEST(pads) {
  PAD("constant", 3, 2, 1, 99, 99, 1, 2, 3, 99);
  PAD("constant", 3, -1, 2, 2, 3, 99, 99);
  PAD("constant", 3, -1, -1, 2);
  PAD("reflect", 3, 2, 2, 3, 2, 1, 2, 3, 2, 1);
  PAD("reflect", 3, 4, 0, 1, 2, 3, 2, 1, 2, 3);
  PAD("reflect", 1, 2, 1, 1, 1, 1, 1);
  PAD("edge", 3, 2, 2, 1, 1, 1, 2, 3, 3, 3);
  PAD("edge", 3, -1, 1, 2, 3, 3);
  PAD("wrap", 3, 2, 2, 2, 3, 1, 2, 3, 1, 2);
  PAD("wrap", 3, 5, 0, 2, 3, 1, 2, 3, 1, 2, 3);
  PAD("constant", 0, 1, 1, 99, 99);
}
END_TEST

START_TEST(pad_2d) {
  uint64_t s = (uint64_t)_i;
  kr r;
  kr_begin(&r);
  kr_in(&r, sizes[_i], DIMS(3, 4));
  fill_bytes(&r.in[0], &s);
  kr_ints(&r, INTS(1, 2, 0, 1));
  kr_in(&r, sizes[_i], SCALAR);
  fill_bytes(&r.in[2], &s);
  kr_out(&r, sizes[_i], DIMS(4, 7));
  kr_ok(&r, &gs_kernel_pad, 2);
  for (int64_t i = 0; i < 4; i++)
    for (int64_t j = 0; j < 7; j++) {
      bool in = i >= 1 && j >= 2 && j < 6;
      same(&r.out[0], i * 7 + j, &r.in[in ? 0 : 2],
           in ? (i - 1) * 4 + j - 2 : 0);
    }
  kr_end(&r);
}
END_TEST

START_TEST(trilu) {
  for (int64_t k = -6; k <= 6; k++)
    for (int upper = 0; upper < 2; upper++) {
      kr r;
      kr_begin(&r);
      kr_in(&r, GS_INT32, DIMS(2, 3, 4));
      for (int64_t i = 0; i < 24; i++) kr_put(&r.in[0], i, (double)(i + 1));
      kr_ints(&r, SCALAR, &k);
      kr_out(&r, GS_INT32, DIMS(2, 3, 4));
      gs_node_set_int(r.g, r.n, "upper", upper);
      kr_ok(&r, &gs_kernel_trilu, 1);
      for (int64_t i = 0; i < 24; i++) {
        int64_t row = i / 4 % 3, col = i % 4;
        bool keep = upper ? col >= row + k : col <= row + k;
        ck_assert_double_eq(kr_get(&r.out[0], i), keep ? (double)(i + 1) : 0);
      }
      kr_end(&r);
    }
}
END_TEST

START_TEST(creation) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_FLOAT, DIMS(2, 3, 4));
  kr_out(&r, GS_INT64, DIMS(3));
  kr_ok(&r, &gs_kernel_shape, 1);
  EXPECT(&r.out[0], 2, 3, 4);
  gs_node_set_int(r.g, r.n, "start", -2);
  gs_node_set_int(r.g, r.n, "end", 10);
  r.nout = 0;
  kr_out(&r, GS_INT64, DIMS(2));
  kr_ok(&r, &gs_kernel_shape, 1);
  EXPECT(&r.out[0], 3, 4);
  r.nout = 0;
  kr_out(&r, GS_INT64, SCALAR);
  kr_ok(&r, &gs_kernel_size, 1);
  EXPECT(&r.out[0], 24);
  r.nout = r.nin = 0;
  kr_ints(&r, INTS(2, 2));
  kr_out(&r, GS_FLOAT, DIMS(2, 2));
  kr_ok(&r, &gs_kernel_constant_of_shape, 1);
  EXPECT(&r.out[0], 0, 0, 0, 0);
  gs_tensor *t;
  ck_assert_int_eq(gs_tensor_new(&r.a, GS_INT16, DIMS(1), &t, &r.e), GS_OK);
  memcpy((void *)t->data, &(int16_t){-7}, 2);
  gs_attr a = {.name = "value", .kind = GS_ATTR_TENSOR, .t = t};
  gs_node_set(r.g, r.n, &a);
  r.nout = 0;
  kr_out(&r, GS_INT16, DIMS(2, 2));
  kr_ok(&r, &gs_kernel_constant_of_shape, 1);
  EXPECT(&r.out[0], -7, -7, -7, -7);
  r.nout = r.nin = 0;
  kr_out(&r, GS_INT16, DIMS(1));
  kr_ok(&r, &gs_kernel_constant, 1);
  EXPECT(&r.out[0], -7);
  kr_end(&r);
}
END_TEST

START_TEST(ranges) {
  static const gs_dtype types[] = {GS_FLOAT, GS_DOUBLE, GS_FLOAT16,
                                   GS_BFLOAT16, GS_INT8, GS_INT16, GS_INT32,
                                   GS_INT64};
  for (int t = 0; t < 8; t++) {
    kr r;
    kr_begin(&r);
    for (int i = 0; i < 3; i++) {
      kr_in(&r, types[t], SCALAR);
      kr_put(&r.in[i], 0, (double[]){10, 0, -3}[i]);
    }
    kr_out(&r, types[t], DIMS(4));
    kr_ok(&r, &gs_kernel_range, 1);
    EXPECT(&r.out[0], 10, 7, 4, 1);
    kr_end(&r);
  }
}
END_TEST

START_TEST(reshape) {
  kr r;
  uint64_t s = 1;
  kr_begin(&r);
  kr_in(&r, GS_INT4, DIMS(3, 5));
  for (int i = 0; i < 8; i++)
    ((unsigned char *)r.in[0].data)[i] = (unsigned char)kr_random(&s);
  kr_out(&r, GS_INT4, DIMS(15));
  kr_ok(&r, &gs_kernel_reshape, 1);
  ck_assert_int_eq(memcmp(r.in[0].data, r.out[0].data, 8), 0);
  kr_end(&r);
}
END_TEST

START_TEST(packed_types) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_INT4, DIMS(4, 2));
  kr_out(&r, GS_INT4, DIMS(2, 4));
  ck_assert_int_eq(kr_run(&r, &gs_kernel_transpose, 1), GS_UNSUPPORTED);
  kr_end(&r);
}
END_TEST

/* ---- random numbers ---- */

START_TEST(philox) {
  /* The known answers that Random123 publishes. */
  static const uint32_t counter[3][4] = {
      {0, 0, 0, 0},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
  static const uint32_t key[3][2] = {
      {0, 0}, {0xffffffff, 0xffffffff}, {0xa4093822, 0x299f31d0}};
  static const uint32_t want[3][4] = {
      {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (int i = 0; i < 3; i++) {
    uint32_t out[4];
    gs_philox(counter[i], key[i], out);
    for (int j = 0; j < 4; j++) ck_assert_uint_eq(out[j], want[i][j]);
  }
}
END_TEST

START_TEST(uniform) {
  static const gs_dtype types[] = {GS_FLOAT, GS_DOUBLE, GS_FLOAT16,
                                   GS_BFLOAT16};
  for (int t = 0; t < 4; t++) {
    kr r;
    kr_begin(&r);
    kr_out(&r, types[t], DIMS(100, 200));
    gs_attr low = {.name = "low", .kind = GS_ATTR_FLOAT, .f = -1};
    gs_attr high = {.name = "high", .kind = GS_ATTR_FLOAT, .f = 3};
    gs_attr seed = {.name = "seed", .kind = GS_ATTR_FLOAT, .f = 1.5};
    gs_node_set(r.g, r.n, &low);
    gs_node_set(r.g, r.n, &high);
    gs_node_set(r.g, r.n, &seed);
    kr_ok(&r, &gs_kernel_random_uniform, 2);
    double sum = 0, square = 0;
    for (int64_t i = 0; i < r.out[0].n; i++) {
      double v = kr_get(&r.out[0], i);
      ck_assert(v >= -1 && v < 3);
      sum += v;
      square += v * v;
    }
    double mean = sum / 20000, var = square / 20000 - mean * mean;
    ck_assert(fabs(mean - 1) < 0.03 && fabs(var - 16.0 / 12) < 0.03);
    void *first = malloc((size_t)r.out[0].n * size_of(types[t]));
    memcpy(first, r.out[0].data, (size_t)r.out[0].n * size_of(types[t]));
    kr_ok(&r, &gs_kernel_random_uniform, 1);
    ck_assert_int_eq(memcmp(first, r.out[0].data,
                            (size_t)r.out[0].n * size_of(types[t])), 0);
    free(first);
    kr_end(&r);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("kernel_move");
  TCase *c = tcase_create("all");
  tcase_set_timeout(c, 1200);
  tcase_add_loop_test(c, transpose, 0, NSIZE);
  tcase_add_test(c, transpose_large);
  tcase_add_loop_test(c, expand_tile, 0, NSIZE);
  tcase_add_loop_test(c, concat_split, 0, NSIZE);
  tcase_add_test(c, slices);
  tcase_add_test(c, slice_bad);
  tcase_add_test(c, pads);
  tcase_add_loop_test(c, pad_2d, 0, NSIZE);
  tcase_add_test(c, trilu);
  tcase_add_test(c, creation);
  tcase_add_test(c, ranges);
  tcase_add_test(c, reshape);
  tcase_add_test(c, packed_types);
  tcase_add_test(c, philox);
  tcase_add_test(c, uniform);
  suite_add_tcase(s, c);
  return kr_main(s);
}
