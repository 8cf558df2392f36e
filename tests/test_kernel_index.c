/* Gathers, scatters, scans, and the kernels of ai.gshard. */
#include <math.h>

#include "base/data/hash.h"
#include "kernel_run.h"

extern const gs_kernel gs_kernel_gather, gs_kernel_gather_elements,
    gs_kernel_gather_nd, gs_kernel_scatter_elements, gs_kernel_scatter_nd,
    gs_kernel_one_hot, gs_kernel_topk, gs_kernel_argmax, gs_kernel_argmin,
    gs_kernel_cumsum, gs_kernel_g_shard, gs_kernel_g_mask,
    gs_kernel_g_partial, gs_kernel_g_cut, gs_kernel_g_gather,
    gs_kernel_g_random_uniform,
    gs_kernel_g_coordinate, gs_kernel_random_uniform;

static const gs_dtype types[] = {
    GS_FLOAT, GS_DOUBLE, GS_FLOAT16, GS_BFLOAT16, GS_INT8,   GS_INT16,
    GS_INT32, GS_INT64,  GS_UINT8,   GS_UINT16,   GS_UINT32, GS_UINT64};
enum { NTYPE = sizeof types / sizeof *types };

static void count_up(gs_view *v) {
  for (int64_t i = 0; i < v->n; i++) kr_put(v, i, (double)(i + 1));
}

static void put_all(gs_view *v, const double *d) {
  for (int64_t i = 0; i < v->n; i++) kr_put(v, i, d[i]);
}
#define PUT(v, ...) put_all(v, (double[]){__VA_ARGS__})

/* ---- Gather and its kin ---- */

START_TEST(gather) {
  gs_dtype t = types[_i];
  for (int axis = -3; axis < 3; axis++)
    for (int wide = 0; wide < 2; wide++) {
      int64_t dims[] = {4, 3, 5}, out[4];
      int at = axis < 0 ? axis + 3 : axis, n = 0;
      int64_t idx[] = {1, -1, 0, 2, -3, 2};
      kr r;
      kr_begin(&r);
      kr_in(&r, t, 3, dims);
      count_up(&r.in[0]);
      kr_in(&r, wide ? GS_INT64 : GS_INT32, DIMS(2, 3));
      for (int i = 0; i < 6; i++) kr_put(&r.in[1], i, (double)idx[i]);
      for (int d = 0; d < 3; d++)
        if (d == at) {
          out[n++] = 2;
          out[n++] = 3;
        } else {
          out[n++] = dims[d];
        }
      kr_out(&r, t, n, out);
      gs_node_set_int(r.g, r.n, "axis", axis);
      kr_ok(&r, &gs_kernel_gather, 2);
      int64_t inner = gs_product(dims + at + 1, 2 - at);
      for (int64_t i = 0; i < r.out[0].n; i++) {
        int64_t v = idx[i / inner % 6];
        if (v < 0) v += dims[at];
        int64_t from = (i / inner / 6 * dims[at] + v) * inner + i % inner;
        ck_assert_double_eq(kr_get(&r.out[0], i), kr_get(&r.in[0], from));
      }
      kr_end(&r);
    }
}
END_TEST

START_TEST(gather_bad) {
  for (int64_t v = -5; v < 6; v++) {
    kr r;
    kr_begin(&r);
    kr_in(&r, GS_FLOAT, DIMS(4, 2));
    count_up(&r.in[0]);
    kr_ints(&r, INTS(v));
    kr_out(&r, GS_FLOAT, DIMS(1, 2));
    gs_status want = v < -4 || v > 3 ? GS_DATA : GS_OK;
    ck_assert_int_eq(kr_run(&r, &gs_kernel_gather, 1), want);
    if (want) {
      ck_assert_ptr_nonnull(strstr(r.e.diag[0].place, "node"));
      ck_assert_ptr_nonnull(strstr(r.e.diag[0].text, "index"));
    }
    kr_end(&r);
  }
}
END_TEST

START_TEST(gather_elements) {
  kr r;
  kr_begin(&r);
  kr_in(&r, types[_i], DIMS(3, 3));
  count_up(&r.in[0]);
  kr_ints(&r, DIMS(2, 3), (int64_t[]){1, 2, 0, -1, 0, 0});
  kr_out(&r, types[_i], DIMS(2, 3));
  gs_node_set_int(r.g, r.n, "axis", 0);
  kr_ok(&r, &gs_kernel_gather_elements, 1);
  EXPECT(&r.out[0], 4, 8, 3, 7, 2, 3);
  gs_node_set_int(r.g, r.n, "axis", -1);
  kr_ok(&r, &gs_kernel_gather_elements, 1);
  EXPECT(&r.out[0], 2, 3, 1, 6, 4, 4);
  ((int64_t *)r.in[1].data)[3] = 3;
  ck_assert_int_eq(kr_run(&r, &gs_kernel_gather_elements, 1), GS_DATA);
  kr_end(&r);
}
END_TEST

START_TEST(gather_nd) {
  kr r;
  kr_begin(&r);
  kr_in(&r, types[_i], DIMS(2, 2, 2));
  count_up(&r.in[0]);
  kr_ints(&r, DIMS(2, 2), (int64_t[]){0, 1, 1, -2});
  kr_out(&r, types[_i], DIMS(2, 2));
  kr_ok(&r, &gs_kernel_gather_nd, 1);
  EXPECT(&r.out[0], 3, 4, 5, 6);
  gs_node_set_int(r.g, r.n, "batch_dims", 1);
  r.nin = 1;
  kr_ints(&r, DIMS(2, 1), (int64_t[]){1, 0});
  kr_ok(&r, &gs_kernel_gather_nd, 1);
  EXPECT(&r.out[0], 3, 4, 5, 6);
  ((int64_t *)r.in[1].data)[1] = 2;
  ck_assert_int_eq(kr_run(&r, &gs_kernel_gather_nd, 1), GS_DATA);
  kr_end(&r);
}
END_TEST

/* ---- Scatter ---- */

typedef struct scatter_case {
  const char *reduction;
  double want[4];
} scatter_case;

/* data 1 2 3 4; 5 goes to 1, then 3 to 1 and 2 to 2. */
static const scatter_case scatters[] = {{"none", {1, 3, 2, 4}},
                                        {"add", {1, 10, 5, 4}},
                                        {"mul", {1, 30, 6, 4}},
                                        {"max", {1, 5, 3, 4}},
                                        {"min", {1, 2, 2, 4}}};

START_TEST(scatter) {
  for (int i = 0; i < 5; i++)
    for (int nd = 0; nd < 2; nd++) {
      kr r;
      kr_begin(&r);
      kr_in(&r, types[_i], DIMS(4));
      count_up(&r.in[0]);
      if (nd) kr_ints(&r, DIMS(3, 1), (int64_t[]){1, 1, -2});
      else kr_ints(&r, DIMS(3), (int64_t[]){1, -3, 2});
      kr_in(&r, types[_i], DIMS(3));
      PUT(&r.in[2], 5, 3, 2);
      kr_out(&r, types[_i], DIMS(4));
      gs_node_set_string(r.g, r.n, "reduction", scatters[i].reduction);
      kr_ok(&r, nd ? &gs_kernel_scatter_nd : &gs_kernel_scatter_elements, 2);
      kr_expect(&r.out[0], 4, scatters[i].want);
      kr_end(&r);
    }
}
END_TEST

START_TEST(scatter_axis) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_FLOAT, DIMS(2, 3));
  count_up(&r.in[0]);
  kr_ints(&r, DIMS(2, 2), (int64_t[]){2, 0, 1, -1});
  kr_in(&r, GS_FLOAT, DIMS(2, 2));
  PUT(&r.in[2], 10, 20, 30, 40);
  kr_out(&r, GS_FLOAT, DIMS(2, 3));
  gs_node_set_int(r.g, r.n, "axis", 1);
  kr_ok(&r, &gs_kernel_scatter_elements, 1);
  EXPECT(&r.out[0], 20, 2, 10, 4, 30, 40);
  ((int64_t *)r.in[1].data)[0] = 3;
  ck_assert_int_eq(kr_run(&r, &gs_kernel_scatter_elements, 1), GS_DATA);
  kr_end(&r);
}
END_TEST

START_TEST(scatter_slices) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_BFLOAT16, DIMS(3, 2));
  count_up(&r.in[0]);
  kr_ints(&r, DIMS(3, 1), (int64_t[]){2, 0, 2});
  kr_in(&r, GS_BFLOAT16, DIMS(3, 2));
  PUT(&r.in[2], 256, 1, 2, 2, 1, 1);
  kr_out(&r, GS_BFLOAT16, DIMS(3, 2));
  gs_node_set_string(r.g, r.n, "reduction", "add");
  kr_ok(&r, &gs_kernel_scatter_nd, 1);
  /* 5 + 256 + 1 is rounded once. */
  EXPECT(&r.out[0], 3, 4, 3, 4, 262, 8);
  ((int64_t *)r.in[1].data)[0] = -4;
  ck_assert_int_eq(kr_run(&r, &gs_kernel_scatter_nd, 1), GS_DATA);
  kr_end(&r);
}
END_TEST

/* ---- OneHot ---- */

START_TEST(one_hot) {
  gs_dtype t = types[_i];
  bool u = gs_dtype_get((int)t)->cls == 'u';
  kr r;
  kr_begin(&r);
  kr_in(&r, t, DIMS(2, 2));
  PUT(&r.in[0], 0, u ? 2 : -1, 3, 1);
  kr_ints(&r, SCALAR, (int64_t[]){3});
  kr_in(&r, GS_INT16, DIMS(2));
  PUT(&r.in[2], 7, 9);
  kr_out(&r, GS_INT16, DIMS(2, 2, 3));
  kr_ok(&r, &gs_kernel_one_hot, 1);
  EXPECT(&r.out[0], 9, 7, 7, 7, 7, 9, 7, 7, 7, 7, 9, 7);
  gs_node_set_int(r.g, r.n, "axis", 0);
  r.nout = 0;
  kr_out(&r, GS_INT16, DIMS(3, 2, 2));
  kr_ok(&r, &gs_kernel_one_hot, 1);
  EXPECT(&r.out[0], 9, 7, 7, 7, 7, 7, 7, 9, 7, 9, 7, 7);
  kr_end(&r);
}
END_TEST

/* ---- scans ---- */

START_TEST(cumsum) {
  for (int mode = 0; mode < 4; mode++)
    for (int64_t axis = -3; axis < 3; axis++) {
      bool exclusive = mode & 1, reverse = mode & 2;
      uint64_t s = (uint64_t)(mode + _i);
      int64_t dims[] = {3, 4, 5};
      int at = (int)(axis < 0 ? axis + 3 : axis);
      kr r;
      kr_begin(&r);
      kr_in(&r, types[_i], 3, dims);
      kr_fill(&r.in[0], &s, 0, 4);
      kr_ints(&r, SCALAR, &axis);
      kr_out(&r, types[_i], 3, dims);
      gs_node_set_int(r.g, r.n, "exclusive", exclusive);
      gs_node_set_int(r.g, r.n, "reverse", reverse);
      kr_ok(&r, &gs_kernel_cumsum, 2);
      int64_t inner = gs_product(dims + at + 1, 2 - at), n = dims[at];
      for (int64_t i = 0; i < 60; i++) {
        int64_t j = i / inner % n;
        double sum = 0;
        for (int64_t l = 0; l < n; l++) {
          bool in = reverse ? l > j : l < j;
          if (in || (l == j && !exclusive))
            sum += kr_get(&r.in[0], i + (l - j) * inner);
        }
        ck_assert_double_eq(kr_get(&r.out[0], i), sum);
      }
      kr_end(&r);
    }
}
END_TEST

/* Whether a stands before b, by value and then by place. */
static bool before(double a, int64_t i, double b, int64_t j, bool largest) {
  return a != b ? (largest ? a > b : a < b) : i < j;
}

START_TEST(topk_arg) {
  gs_dtype t = types[_i];
  uint64_t s = 50 + (uint64_t)_i;
  for (int round = 0; round < 24; round++) {
    int64_t dims[] = {3, 1 + kr_range(&s, 0, 30), 2};
    int64_t n = dims[1], k = kr_range(&s, 0, n + 1);
    bool largest = round % 2, last = round % 3 == 0;
    kr r;
    kr_begin(&r);
    kr_in(&r, t, 3, dims);
    kr_fill(&r.in[0], &s, gs_dtype_get((int)t)->cls == 'u' ? 0 : -5, 6);
    kr_ints(&r, INTS(k));
    kr_out(&r, t, DIMS(3, k, 2));
    kr_out(&r, GS_INT64, DIMS(3, k, 2));
    gs_node_set_int(r.g, r.n, "axis", round % 4 ? 1 : -2);
    gs_node_set_int(r.g, r.n, "largest", largest);
    gs_node_set_int(r.g, r.n, "select_last_index", last);
    kr_ok(&r, &gs_kernel_topk, 2);
    for (int64_t i = 0; i < r.out[0].n; i++) {
      int64_t o = i / 2 / k, e = i / 2 % k, j = i % 2;
      int64_t idx = (int64_t)kr_get(&r.out[1], i), rank = 0;
      double v = kr_get(&r.out[0], i);
      ck_assert_double_eq(v, kr_get(&r.in[0], (o * n + idx) * 2 + j));
      for (int64_t l = 0; l < n; l++)
        rank += before(kr_get(&r.in[0], (o * n + l) * 2 + j), l, v, idx,
                       largest);
      ck_assert_int_eq(rank, e);
    }
    r.nin = 1;
    r.nout = 0;
    kr_out(&r, GS_INT64, DIMS(3, 2));
    kr_ok(&r, largest ? &gs_kernel_argmax : &gs_kernel_argmin, 2);
    for (int64_t i = 0; i < 6; i++) {
      int64_t best = 0;
#define AT(l) kr_get(&r.in[0], (i / 2 * n + (l)) * 2 + i % 2)
      for (int64_t l = 1; l < n; l++)
        if (largest ? AT(l) > AT(best) : AT(l) < AT(best)) best = l;
        else if (last && AT(l) == AT(best)) best = l;
#undef AT
      ck_assert_int_eq((int64_t)kr_get(&r.out[0], i), best);
    }
    kr_end(&r);
  }
}
END_TEST

START_TEST(arg_extremes) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_INT64, DIMS(3));
  int64_t v[] = {INT64_MAX, INT64_MIN, 0};
  memcpy(r.in[0].data, v, sizeof v);
  kr_out(&r, GS_INT64, DIMS(1));
  kr_ok(&r, &gs_kernel_argmin, 1);
  EXPECT(&r.out[0], 1);
  kr_ok(&r, &gs_kernel_argmax, 1);
  EXPECT(&r.out[0], 0);
  kr_view(&r, &r.in[0], GS_FLOAT, DIMS(4));
  PUT(&r.in[0], -0.0, 0.0, NAN, INFINITY);
  kr_ok(&r, &gs_kernel_argmin, 1);
  EXPECT(&r.out[0], 2);
  kr_ok(&r, &gs_kernel_argmax, 1);
  EXPECT(&r.out[0], 2);
  PUT(&r.in[0], 0.0, -0.0, 5, 7);
  kr_ok(&r, &gs_kernel_argmin, 1);
  EXPECT(&r.out[0], 0);
  kr_end(&r);
}
END_TEST

/* ---- ai.gshard ---- */

/* Text in the node's attributes is read over this mesh. */
static void on_mesh(kr *r, const gs_mesh *m) {
  r->g->mesh = m;
  r->n->domain = "ai.gshard";
}

static void mesh_2x3(gs_mesh *m, gs_err *e) {
  *m = (gs_mesh){0};
  ck_assert_int_eq(gs_mesh_add(m, "x", 2, e), GS_OK);
  ck_assert_int_eq(gs_mesh_add(m, "y", 3, e), GS_OK);
  ck_assert_int_eq(gs_mesh_finish(m, e), GS_OK);
}

START_TEST(g_shard) {
  gs_mesh m;
  for (int64_t p = 0; p < 6; p++)
    for (int fixed = 0; fixed < 2; fixed++) {
      kr r;
      kr_begin(&r);
      mesh_2x3(&m, &r.e);
      int64_t idx[] = {p % 3, p / 3};
      kr_in(&r, GS_INT32, DIMS(7, 3));
      count_up(&r.in[0]);
      kr_out(&r, GS_INT32, DIMS(3, 2));
      on_mesh(&r, &m);
      gs_node_set_string(r.g, r.n, "split", "{y,x}");
      if (fixed) {
        gs_node_set_ints(r.g, r.n, "index", idx, 2);
      } else {
        r.mesh = &m;
        r.position = p;
      }
      kr_ok(&r, &gs_kernel_g_shard, 1);
      for (int64_t i = 0; i < 6; i++) {
        int64_t row = idx[0] * 3 + i / 2, col = idx[1] * 2 + i % 2;
        bool in = row < 7 && col < 3;
        ck_assert_double_eq(kr_get(&r.out[0], i),
                            in ? (double)(row * 3 + col + 1) : 0);
      }
      kr_end(&r);
    }
}
END_TEST

START_TEST(g_mask) {
  static const double values[] = {0, 1, -INFINITY, INFINITY};
  static const struct {
    gs_dtype t;
    double low, high;
  } ends[] = {{GS_FLOAT, -INFINITY, INFINITY}, {GS_DOUBLE, -INFINITY, INFINITY},
              {GS_FLOAT16, -INFINITY, INFINITY}, {GS_INT8, -128, 127},
              {GS_UINT16, 0, 65535}, {GS_INT32, INT32_MIN, INT32_MAX},
              {GS_BOOL, 0, 1}};
  for (int t = 0; t < 7; t++)
    for (int v = 0; v < 4; v++)
      for (int64_t idx = 0; idx < 4; idx++) {
        kr r;
        kr_begin(&r);
        kr_in(&r, ends[t].t, DIMS(2, 3, 2));
        for (int i = 0; i < 12; i++) kr_put(&r.in[0], i, 1);
        kr_out(&r, ends[t].t, DIMS(2, 3, 2));
        gs_attr a = {.name = "value", .kind = GS_ATTR_FLOAT, .f = values[v]};
        gs_node_set(r.g, r.n, &a);
        gs_node_set_int(r.g, r.n, "index", idx);
        gs_node_set_int(r.g, r.n, "dim", 1);
        gs_node_set_int(r.g, r.n, "size", 7);
        if (idx == 3) { /* in place */
          free(r.out[0].data);
          r.out[0].data = r.in[0].data;
        }
        kr_ok(&r, &gs_kernel_g_mask, 1);
        double w = v == 2 ? ends[t].low : v == 3 ? ends[t].high : values[v];
        for (int64_t i = 0; i < 12; i++)
          ck_assert_double_eq(kr_get(&r.out[0], i),
                              idx * 3 + i / 2 % 3 < 7 ? 1 : w);
        if (idx == 3) r.out[0].data = NULL;
        kr_end(&r);
      }
}
END_TEST

/* Of 2i-1 .. 2i+4 the places floor((3i+1)/2) and the next. */
START_TEST(g_cut) {
  static const int64_t at[] = {1, 1, 0};
  int64_t have[] = {1, 2, 0, 1, -1, 6}, want[] = {1, 3, 1, 2, 0, 2};
  int64_t far[] = {1, 4, 0, 1, 0, 2}, index = 0;
  gs_mesh m;
  for (int64_t p = 0; p < 8; p++) {
    kr r;
    kr_begin(&r);
    mesh_2x3(&m, &r.e);
    r.mesh = &m;
    on_mesh(&r, &m);
    r.position = p % 6;
    index = p % 3;
    if (p == 6) gs_node_set_int(r.g, r.n, "index", index = 1);
    else gs_node_set_string(r.g, r.n, "axes", "y");
    gs_node_set_int(r.g, r.n, "dim", 1);
    gs_node_set_ints(r.g, r.n, "have", have, 6);
    gs_node_set_ints(r.g, r.n, "want", p == 7 ? far : want, 6);
    kr_in(&r, GS_FLOAT, DIMS(2, 6, 2));
    count_up(&r.in[0]);
    kr_out(&r, GS_FLOAT, DIMS(2, 2, 2));
    r.position = p == 7 ? 2 : r.position;
    if (p == 7) ck_assert_int_eq(kr_run(&r, &gs_kernel_g_cut, 1), GS_DATA);
    else kr_ok(&r, &gs_kernel_g_cut, 1);
    for (int64_t i = 0; i < 8 && p < 7; i++)
      ck_assert_double_eq(kr_get(&r.out[0], i),
                          (double)(i / 4 * 12 + at[index] * 2 + i % 4 + 1));
    kr_end(&r);
  }
}
END_TEST

START_TEST(g_partial_coordinate) {
  gs_mesh m;
  for (int64_t p = 0; p < 6; p++) {
    kr r;
    kr_begin(&r);
    mesh_2x3(&m, &r.e);
    r.mesh = &m;
    r.position = p;
    on_mesh(&r, &m);
    gs_node_set_string(r.g, r.n, "axes", "y");
    kr_in(&r, GS_FLOAT, DIMS(2));
    count_up(&r.in[0]);
    kr_out(&r, GS_FLOAT, DIMS(2));
    kr_ok(&r, &gs_kernel_g_partial, 1);
    if (p % 3) EXPECT(&r.out[0], 0, 0);
    else EXPECT(&r.out[0], 1, 2);
    r.nin = r.nout = 0;
    kr_out(&r, GS_INT64, SCALAR);
    kr_ok(&r, &gs_kernel_g_coordinate, 1);
    EXPECT(&r.out[0], (double)(p % 3));
    gs_node_set_string(r.g, r.n, "axes", "[y,x]");
    kr_ok(&r, &gs_kernel_g_coordinate, 1);
    EXPECT(&r.out[0], (double)(p % 3 * 2 + p / 3));
    kr_end(&r);
  }
}
END_TEST

/* The sum over devices of a Gather on split data is the Gather on all. */
START_TEST(g_gather) {
  int64_t idx[] = {0, 6, -1, 3, 4, -7};
  double sum[12] = {0};
  for (int64_t d = 0; d < 4; d++) {
    kr r;
    kr_begin(&r);
    kr_in(&r, GS_FLOAT, DIMS(2, 2)); /* 7 rows over 4 devices */
    for (int64_t i = 0; i < 4; i++)
      kr_put(&r.in[0], i, (double)(d * 4 + i + 1));
    kr_ints(&r, INTS(0, 6, -1, 3, 4, -7));
    kr_out(&r, GS_FLOAT, DIMS(6, 2));
    gs_node_set_int(r.g, r.n, "index", d);
    gs_node_set_int(r.g, r.n, "size", 7);
    kr_ok(&r, &gs_kernel_g_gather, 1);
    for (int64_t i = 0; i < 12; i++) sum[i] += kr_get(&r.out[0], i);
    ((int64_t *)r.in[1].data)[0] = 7;
    ck_assert_int_eq(kr_run(&r, &gs_kernel_g_gather, 1), GS_DATA);
    kr_end(&r);
  }
  for (int i = 0; i < 12; i++) {
    int64_t row = idx[i / 2] < 0 ? idx[i / 2] + 7 : idx[i / 2];
    ck_assert_double_eq(sum[i], (double)(row * 2 + i % 2 + 1));
  }
}
END_TEST

/* A shard draws the numbers of its place. */
START_TEST(g_random) {
  static const gs_dtype floats[] = {GS_FLOAT, GS_DOUBLE, GS_FLOAT16,
                                    GS_BFLOAT16};
  gs_mesh m;
  for (int t = 0; t < 4; t++)
    for (int seeded = 0; seeded < 2; seeded++) {
      kr whole;
      kr_begin(&whole);
      mesh_2x3(&m, &whole.e);
      kr_out(&whole, floats[t], DIMS(5, 2, 7));
      gs_attr seed = {.name = "seed", .kind = GS_ATTR_FLOAT, .f = 42};
      if (seeded) gs_node_set(whole.g, whole.n, &seed);
      kr_ok(&whole, &gs_kernel_random_uniform, 1);
      const char *name = whole.n->out[0]->name;
      for (int64_t p = 0; p < 6; p++) {
        kr r;
        kr_begin(&r);
        r.mesh = &m;
        r.position = p;
        kr_out(&r, floats[t], DIMS(2, 2, 4));
        on_mesh(&r, &m);
        gs_node_set_string(r.g, r.n, "split", "{y,~,x}");
        gs_node_set_ints(r.g, r.n, "shape", (int64_t[]){5, 2, 7}, 3);
        if (seeded) gs_node_set(r.g, r.n, &seed);
        gs_node_set_int(r.g, r.n, "stream",
                        (int64_t)gs_stream_key(name, 0));
        kr_ok(&r, &gs_kernel_g_random_uniform, 1);
        for (int64_t i = 0; i < 16; i++) {
          int64_t a = p % 3 * 2 + i / 8, c = p / 3 * 4 + i % 4;
          if (a < 5 && c < 7)
            ck_assert_double_eq(
                kr_get(&r.out[0], i),
                kr_get(&whole.out[0], (a * 2 + i / 4 % 2) * 7 + c));
        }
        kr_end(&r);
      }
      kr_end(&whole);
    }
}
END_TEST

int main(void) {
  Suite *s = suite_create("kernel_index");
  TCase *c = tcase_create("all");
  tcase_set_timeout(c, 1200);
  tcase_add_loop_test(c, gather, 0, NTYPE);
  tcase_add_test(c, gather_bad);
  tcase_add_loop_test(c, gather_elements, 0, NTYPE);
  tcase_add_loop_test(c, gather_nd, 0, NTYPE);
  tcase_add_loop_test(c, scatter, 0, NTYPE);
  tcase_add_test(c, scatter_axis);
  tcase_add_test(c, scatter_slices);
  tcase_add_loop_test(c, one_hot, 0, NTYPE);
  tcase_add_loop_test(c, cumsum, 0, NTYPE);
  tcase_add_loop_test(c, topk_arg, 0, NTYPE);
  tcase_add_test(c, arg_extremes);
  tcase_add_test(c, g_shard);
  tcase_add_test(c, g_mask);
  tcase_add_test(c, g_cut);
  tcase_add_test(c, g_partial_coordinate);
  tcase_add_test(c, g_gather);
  tcase_add_test(c, g_random);
  suite_add_tcase(s, c);
  return kr_main(s);
}
