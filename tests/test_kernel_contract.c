/* MatMul, Gemm and Einsum against sums written out. Data are small whole
 * numbers, for which every order of summation gives the same result. */
#include "kernel/core/share.h"
#include "kernel_run.h"

extern const gs_kernel gs_kernel_matmul, gs_kernel_gemm, gs_kernel_einsum;

static const gs_dtype types[] = {
    GS_FLOAT, GS_DOUBLE, GS_FLOAT16, GS_BFLOAT16, GS_INT8,   GS_INT16,
    GS_INT32, GS_INT64,  GS_UINT8,   GS_UINT16,   GS_UINT32, GS_UINT64};
enum { NTYPE = sizeof types / sizeof *types };

static int64_t low_of(gs_dtype t) {
  return gs_dtype_get((int)t)->cls == 'u' ? 0 : -2;
}

/* d as an element of type t: integers wrap, floats round. */
static double wrapped(gs_dtype t, double d) {
  uint64_t raw = 0;
  double r;
  int64_t i = (int64_t)d;
  if (gs_dtype_get((int)t)->cls == 'f')
    gs_convert(t, &raw, GS_DOUBLE, &d, 1, NULL);
  else gs_convert(t, &raw, GS_INT64, &i, 1, NULL);
  gs_convert(GS_DOUBLE, &r, t, &raw, 1, NULL);
  return r;
}

/* ---- MatMul ---- */

/* Offset of the matrix of batch index i (over `dims`) in v. */
static int64_t batch_offset(const gs_view *v, int nb, const int64_t *dims,
                            int64_t i) {
  int have = v->rank > 2 ? v->rank - 2 : 0;
  int64_t at = 0, stride = 0;
  if (v->rank >= 2) stride = v->dims[v->rank - 1] * v->dims[v->rank - 2];
  for (int d = nb - 1; d >= 0; d--) {
    int64_t j = i % dims[d];
    int e = d - nb + have;
    i /= dims[d];
    if (e < 0) continue;
    at += (v->dims[e] == 1 ? 0 : j) * stride;
    stride *= v->dims[e];
  }
  return at;
}

static void check_matmul(gs_dtype t, int ra, const int64_t *da, int rb,
                         const int64_t *db, int nb, const int64_t *batch,
                         int threads, uint64_t *seed) {
  kr r;
  kr_begin(&r);
  kr_in(&r, t, ra, da);
  kr_in(&r, t, rb, db);
  kr_fill(&r.in[0], seed, low_of(t), 3);
  kr_fill(&r.in[1], seed, low_of(t), 3);
  int64_t m = ra == 1 ? 1 : da[ra - 2], k = da[ra - 1];
  int64_t n = rb == 1 ? 1 : db[rb - 1], dims[GS_MAX_RANK];
  int rank = nb;
  for (int d = 0; d < nb; d++) dims[d] = batch[d];
  if (ra > 1) dims[rank++] = m;
  if (rb > 1) dims[rank++] = n;
  kr_out(&r, t, rank, dims);
  kr_ok(&r, &gs_kernel_matmul, threads);
  for (int64_t i = 0; i < r.out[0].n; i++) {
    int64_t b = i / (m * n), row = i / n % m, col = i % n;
    int64_t oa = batch_offset(&r.in[0], nb, batch, b) + row * k;
    int64_t ob = batch_offset(&r.in[1], nb, batch, b) + col;
    double s = 0;
    for (int64_t j = 0; j < k; j++)
      s += kr_get(&r.in[0], oa + j) * kr_get(&r.in[1], ob + j * n);
    ck_assert_double_eq(kr_get(&r.out[0], i), wrapped(t, s));
  }
  kr_end(&r);
}

START_TEST(matmul_ranks) {
  gs_dtype t = types[_i];
  uint64_t s = (uint64_t)_i;
  for (int nt = 1; nt < 4; nt += 2) {
    check_matmul(t, DIMS(5, 7), DIMS(7, 3), SCALAR, nt, &s);
    check_matmul(t, DIMS(7), DIMS(7), SCALAR, nt, &s);
    check_matmul(t, DIMS(7), DIMS(7, 3), SCALAR, nt, &s);
    check_matmul(t, DIMS(5, 7), DIMS(7), SCALAR, nt, &s);
    check_matmul(t, DIMS(4, 5, 7), DIMS(7), DIMS(4), nt, &s);
    check_matmul(t, DIMS(7), DIMS(4, 7, 3), DIMS(4), nt, &s);
    check_matmul(t, DIMS(4, 5, 7), DIMS(7, 3), DIMS(4), nt, &s);
    check_matmul(t, DIMS(5, 7), DIMS(4, 7, 3), DIMS(4), nt, &s);
    check_matmul(t, DIMS(2, 1, 5, 7), DIMS(3, 7, 2), DIMS(2, 3), nt, &s);
    check_matmul(t, DIMS(2, 3, 1, 7), DIMS(2, 1, 7, 2), DIMS(2, 3), nt, &s);
    check_matmul(t, DIMS(2, 3, 4, 5), DIMS(2, 3, 5, 1), DIMS(2, 3), nt, &s);
    check_matmul(t, DIMS(1, 1), DIMS(1, 1), SCALAR, nt, &s);
    check_matmul(t, DIMS(3, 0), DIMS(0, 2), SCALAR, nt, &s);
    check_matmul(t, DIMS(0, 3), DIMS(3, 2), SCALAR, nt, &s);
    check_matmul(t, DIMS(0, 2, 3), DIMS(3, 2), DIMS(0), nt, &s);
  }
}
END_TEST

START_TEST(matmul_random) {
  uint64_t s = 7;
  for (int i = 0; i < 60; i++) {
    gs_dtype t = types[i % NTYPE];
    int64_t m = kr_range(&s, 1, 90), n = kr_range(&s, 1, 90);
    int64_t k = kr_range(&s, 1, 150), b = kr_range(&s, 1, 4);
    check_matmul(t, DIMS(b, m, k), DIMS(b, k, n), DIMS(b), 2, &s);
  }
}
END_TEST

/* The bits do not depend on the number of threads. */
START_TEST(matmul_threads) {
  kr r;
  uint64_t s = 3;
  kr_begin(&r);
  kr_in(&r, GS_FLOAT, DIMS(300, 517));
  kr_in(&r, GS_FLOAT, DIMS(517, 700));
  for (int j = 0; j < 2; j++)
    for (int64_t i = 0; i < r.in[j].n; i++)
      ((float *)r.in[j].data)[i] = (float)kr_random(&s) * 0x1p-64f - 0.5f;
  kr_out(&r, GS_FLOAT, DIMS(300, 700));
  kr_ok(&r, &gs_kernel_matmul, 1);
  size_t bytes = (size_t)r.out[0].n * 4;
  void *one = malloc(bytes);
  memcpy(one, r.out[0].data, bytes);
  for (int nt = 2; nt < 8; nt++) {
    memset(r.out[0].data, 0, bytes);
    kr_ok(&r, &gs_kernel_matmul, nt);
    ck_assert_int_eq(memcmp(one, r.out[0].data, bytes), 0);
  }
  free(one);
  kr_end(&r);
}
END_TEST

/* A constant matrix is packed when it is prepared, once for devices that share:
 * of f32 or 16 bits.  The product is the one of the same matrix
 * as a variable. */
START_TEST(packed) {
  static const gs_dtype floats[] = {GS_FLOAT, GS_FLOAT16, GS_BFLOAT16};
  static const int64_t width[] = {127, 128, 1300, 2049};
  gs_dtype t = floats[_i / 4 % 3];
  bool gemm = _i >= 12;
  int64_t n = width[_i % 4];
  const gs_kernel *kernel = gemm ? &gs_kernel_gemm : &gs_kernel_matmul;
  kr r;
  uint64_t s = 3;
  kr_begin(&r);
  kr_in(&r, t, DIMS(70, 65));
  if (gemm) kr_in(&r, t, DIMS(n, 65));
  else kr_in(&r, t, DIMS(65, n));
  gs_node_set_int(r.g, r.n, "transB", gemm);
  for (int j = 0; j < 2; j++)
    for (int64_t i = 0; i < r.in[j].n; i++)
      kr_put(&r.in[j], i, (double)kr_range(&s, -2, 2));
  kr_out(&r, t, DIMS(70, n));
  r.variable[1] = true;
  kr_ok(&r, kernel, 1);
  size_t bytes = (size_t)gs_dtype_bytes((int)t, r.out[0].n);
  void *want = malloc(bytes);
  memcpy(want, r.out[0].data, bytes);
  r.variable[1] = false;
  gs_kshare share;
  gs_kshare_init(&share, true);
  for (int nt = 1; nt < 4; nt++) {
    memset(r.out[0].data, 0, bytes);
    r.share = nt == 1 ? NULL : &share;
    kr_ok(&r, kernel, nt);
    ck_assert_int_eq(memcmp(want, r.out[0].data, bytes), 0);
  }
  ck_assert_int_eq(share.n, 1);
  gs_kshare_free(&share);
  free(want);
  kr_end(&r);
}
END_TEST

/* f16 sums in f32: 2048 + 1 + 1 is not lost. */
START_TEST(matmul_half) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_FLOAT16, DIMS(1, 3));
  kr_in(&r, GS_FLOAT16, DIMS(3, 1));
  kr_put(&r.in[0], 0, 2048);
  kr_put(&r.in[0], 1, 1);
  kr_put(&r.in[0], 2, 1);
  for (int i = 0; i < 3; i++) kr_put(&r.in[1], i, 1);
  kr_out(&r, GS_FLOAT16, DIMS(1, 1));
  kr_ok(&r, &gs_kernel_matmul, 1);
  EXPECT(&r.out[0], 2050);
  kr_end(&r);
}
END_TEST

START_TEST(matmul_wraps) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_INT8, DIMS(1, 2));
  kr_in(&r, GS_INT8, DIMS(2, 1));
  for (int i = 0; i < 2; i++) {
    kr_put(&r.in[0], i, 100);
    kr_put(&r.in[1], i, 1);
  }
  kr_out(&r, GS_INT8, DIMS(1, 1));
  kr_ok(&r, &gs_kernel_matmul, 1);
  EXPECT(&r.out[0], -56);
  kr_end(&r);
}
END_TEST

START_TEST(matmul_bad) {
  kr r;
  kr_begin(&r);
  kr_in(&r, GS_FLOAT, DIMS(1, 2));
  kr_in(&r, GS_FLOAT, DIMS(3, 1));
  kr_out(&r, GS_FLOAT, DIMS(1, 1));
  ck_assert_int_eq(kr_run(&r, &gs_kernel_matmul, 1), GS_DATA);
  kr_end(&r);
  kr_begin(&r);
  kr_in(&r, GS_BOOL, DIMS(1, 2));
  kr_in(&r, GS_BOOL, DIMS(2, 1));
  kr_out(&r, GS_BOOL, DIMS(1, 1));
  ck_assert_int_eq(kr_run(&r, &gs_kernel_matmul, 1), GS_UNSUPPORTED);
  kr_end(&r);
}
END_TEST

/* ---- Gemm ---- */

static void set_float(kr *r, const char *name, double f) {
  gs_attr a = {.name = name, .kind = GS_ATTR_FLOAT, .f = f};
  gs_node_set(r->g, r->n, &a);
}

static void check_gemm(gs_dtype t, bool ta, bool tb, double alpha, double beta,
                       int rc, const int64_t *dc, uint64_t *seed) {
  const int64_t m = 4, n = 5, k = 6;
  kr r;
  kr_begin(&r);
  kr_in(&r, t, 2, ta ? (int64_t[]){k, m} : (int64_t[]){m, k});
  kr_in(&r, t, 2, tb ? (int64_t[]){n, k} : (int64_t[]){k, n});
  if (rc >= 0) kr_in(&r, t, rc, dc);
  for (int i = 0; i < r.nin; i++) kr_fill(&r.in[i], seed, low_of(t), 3);
  kr_out(&r, t, DIMS(m, n));
  gs_node_set_int(r.g, r.n, "transA", ta);
  gs_node_set_int(r.g, r.n, "transB", tb);
  set_float(&r, "alpha", alpha);
  set_float(&r, "beta", beta);
  kr_ok(&r, &gs_kernel_gemm, 2);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double s = 0;
      for (int64_t l = 0; l < k; l++)
        s += kr_get(&r.in[0], ta ? l * m + i : i * k + l) *
             kr_get(&r.in[1], tb ? j * k + l : l * n + j);
      s *= alpha;
      if (rc >= 0) {
        int64_t cols = rc > 0 ? dc[rc - 1] : 1, rows = rc > 1 ? dc[0] : 1;
        s += beta * kr_get(&r.in[2],
                           (rows == 1 ? 0 : i * cols) + (cols == 1 ? 0 : j));
      }
      ck_assert_double_eq(kr_get(&r.out[0], i * n + j), wrapped(t, s));
    }
  kr_end(&r);
}

START_TEST(gemm_forms) {
  gs_dtype t = types[_i];
  uint64_t s = 11 + (uint64_t)_i;
  bool u = gs_dtype_get((int)t)->cls == 'u';
  for (int trans = 0; trans < 4; trans++)
    for (int scale = 0; scale < 3; scale++) {
      bool ta = trans & 1, tb = trans & 2;
      double al = (double[]){1, 2, u ? 3 : -1}[scale];
      double be = (double[]){1, 0, 2}[scale];
      check_gemm(t, ta, tb, al, be, -1, NULL, &s);
      check_gemm(t, ta, tb, al, be, SCALAR, &s);
      check_gemm(t, ta, tb, al, be, DIMS(5), &s);
      check_gemm(t, ta, tb, al, be, DIMS(1), &s);
      check_gemm(t, ta, tb, al, be, DIMS(1, 5), &s);
      check_gemm(t, ta, tb, al, be, DIMS(4, 1), &s);
      check_gemm(t, ta, tb, al, be, DIMS(4, 5), &s);
    }
}
END_TEST

/* ---- Einsum ---- */

typedef struct ein_case {
  const char *equation; /* as given to the kernel */
  const char *plain;    /* the same with letters only, spelled out */
  int n;
  int rank[4];
  int64_t dims[4][6];
  int out_rank;
  int64_t out[6];
} ein_case;

static const ein_case eins[] = {
    {"ij,jk->ik", "ij,jk->ik", 2, {2, 2}, {{3, 4}, {4, 5}}, 2, {3, 5}},
    {"ij,jk->ki", "ij,jk->ki", 2, {2, 2}, {{3, 4}, {4, 5}}, 2, {5, 3}},
    {" i j , k j -> i k ", "ij,kj->ik", 2, {2, 2}, {{3, 4}, {5, 4}}, 2, {3, 5}},
    {"ji,jk", "ji,jk->ik", 2, {2, 2}, {{3, 4}, {3, 5}}, 2, {4, 5}},
    {"ij->ji", "ij->ji", 1, {2}, {{3, 4}}, 2, {4, 3}},
    {"ij->", "ij->", 1, {2}, {{3, 4}}, 0, {0}},
    {"ij->j", "ij->j", 1, {2}, {{3, 4}}, 1, {4}},
    {"ii->i", "ii->i", 1, {2}, {{4, 4}}, 1, {4}},
    {"ii", "ii->", 1, {2}, {{4, 4}}, 0, {0}},
    {"ii,i->i", "ii,i->i", 2, {2, 1}, {{4, 4}, {4}}, 1, {4}},
    {"i,j->ij", "i,j->ij", 2, {1, 1}, {{3}, {4}}, 2, {3, 4}},
    {"i,j->ji", "i,j->ji", 2, {1, 1}, {{3}, {4}}, 2, {4, 3}},
    {"i,i->", "i,i->", 2, {1, 1}, {{5}, {5}}, 0, {0}},
    {"i,i->i", "i,i->i", 2, {1, 1}, {{5}, {5}}, 1, {5}},
    {"i,->i", "i,->i", 2, {1, 0}, {{5}}, 1, {5}},
    {"...ij,...jk->...ik", "abij,abjk->abik", 2, {4, 4},
     {{2, 3, 4, 5}, {2, 3, 5, 2}}, 4, {2, 3, 4, 2}},
    {"...ij,jk->...ik", "abij,jk->abik", 2, {4, 2}, {{2, 3, 4, 5}, {5, 2}}, 4,
     {2, 3, 4, 2}},
    {"...ii->...i", "aii->ai", 1, {3}, {{2, 3, 3}}, 2, {2, 3}},
    {"i...->...", "iab->ab", 1, {3}, {{4, 2, 3}}, 2, {2, 3}},
    {"...,...", "ab,b->ab", 2, {2, 1}, {{2, 3}, {3}}, 2, {2, 3}},
    {"gsm,me->gse", "gsm,me->gse", 2, {3, 2}, {{2, 3, 4}, {4, 5}}, 3,
     {2, 3, 5}},
    {"gsec,gsm->egcm", "gsec,gsm->egcm", 2, {4, 3},
     {{2, 5, 3, 4}, {2, 5, 6}}, 4, {3, 2, 4, 6}},
    {"egcm,emh->egch", "egcm,emh->egch", 2, {4, 3},
     {{3, 2, 4, 5}, {3, 5, 2}}, 4, {3, 2, 4, 2}},
    {"gsec,egcm->gsm", "gsec,egcm->gsm", 2, {4, 4},
     {{2, 5, 3, 4}, {3, 2, 4, 6}}, 3, {2, 5, 6}},
    {"bthd,bshd->bhts", "bthd,bshd->bhts", 2, {4, 4},
     {{2, 3, 4, 5}, {2, 6, 4, 5}}, 4, {2, 4, 3, 6}},
    {"bhts,bshd->bthd", "bhts,bshd->bthd", 2, {4, 4},
     {{2, 4, 3, 6}, {2, 6, 4, 5}}, 4, {2, 3, 4, 5}},
    {"ijk,jkl->il", "ijk,jkl->il", 2, {3, 3}, {{2, 3, 4}, {3, 4, 5}}, 2,
     {2, 5}},
    {"ikj,jkl->li", "ikj,jkl->li", 2, {3, 3}, {{2, 3, 4}, {4, 3, 5}}, 2,
     {5, 2}},
    {"ijx,jk->ik", "ijx,jk->ik", 2, {3, 2}, {{2, 3, 4}, {3, 5}}, 2, {2, 5}},
    {"ij,jk,kl->il", "ij,jk,kl->il", 3, {2, 2, 2}, {{2, 3}, {3, 4}, {4, 5}}, 2,
     {2, 5}},
    {"ij,kl,jk->il", "ij,kl,jk->il", 3, {2, 2, 2}, {{2, 3}, {4, 5}, {3, 4}}, 2,
     {2, 5}},
    {"a,b,c,d->dbca", "a,b,c,d->dbca", 4, {1, 1, 1, 1}, {{2}, {3}, {4}, {5}},
     4, {5, 3, 4, 2}},
    {"bA,Ab->", "bA,Ab->", 2, {2, 2}, {{2, 3}, {3, 2}}, 0, {0}},
    {"aB,Ba", "aB,Ba->", 2, {2, 2}, {{2, 3}, {3, 2}}, 0, {0}},
    {"bA", "bA->Ab", 1, {2}, {{2, 3}}, 2, {3, 2}},
    {"ij,jk->ik", "ij,jk->ik", 2, {2, 2}, {{1, 4}, {4, 1}}, 2, {1, 1}},
    {"ij,jk->ik", "ij,jk->ik", 2, {2, 2}, {{3, 1}, {1, 2}}, 2, {3, 2}},
    {"ij,jk->ik", "ij,jk->ik", 2, {2, 2}, {{3, 0}, {0, 2}}, 2, {3, 2}},
    {"ij,jk->ik", "ij,jk->ik", 2, {2, 2}, {{0, 3}, {3, 2}}, 2, {0, 2}},
    {"ij->j", "ij->j", 1, {2}, {{0, 3}}, 1, {3}},
    {"a,a,ab->b", "a,a,ab->b", 3, {1, 1, 2}, {{0}, {0}, {0, 2}}, 1, {2}},
    {"bij,bjk->bik", "bij,bjk->bik", 2, {3, 3}, {{1, 3, 4}, {2, 4, 2}}, 3,
     {2, 3, 2}},
};
enum { NEIN = sizeof eins / sizeof *eins };

/* The sum over all values of all letters. */
static void naive(const kr *r, const ein_case *c, double *out) {
  int64_t size[128] = {0}, at[128] = {0};
  char letters[64] = "";
  int n = 0, op = 0, d = 0;
  for (const char *p = c->plain; strncmp(p, "->", 2) != 0; p++) {
    if (*p == ',') { op++; d = 0; continue; }
    int l = *p;
    int64_t s = c->dims[op][d++];
    if (!strchr(letters, l)) letters[n++] = (char)l;
    if (size[l] == 0 || s > 1) size[l] = s;
  }
  int64_t total = 1;
  for (int i = 0; i < n; i++) total *= size[(int)letters[i]];
  memset(out, 0, (size_t)r->out[0].n * sizeof *out);
  for (int64_t i = 0; i < total; i++) {
    int64_t rest = i, to = 0;
    for (int j = 0; j < n; j++) {
      at[(int)letters[j]] = rest % size[(int)letters[j]];
      rest /= size[(int)letters[j]];
    }
    double v = 1;
    const char *p = c->plain;
    for (op = 0; op < c->n; op++, p++) {
      int64_t from = 0;
      for (d = 0; d < c->rank[op]; d++, p++)
        from = from * c->dims[op][d] + (c->dims[op][d] == 1 ? 0 : at[(int)*p]);
      v *= kr_get(&r->in[op], from);
    }
    for (p++; *p; p++) to = to * size[(int)*p] + at[(int)*p];
    out[to] += v;
  }
}

START_TEST(einsum_cases) {
  const ein_case *c = &eins[_i];
  uint64_t s = (uint64_t)_i;
  for (int t = 0; t < NTYPE; t++) {
    kr r;
    kr_begin(&r);
    for (int i = 0; i < c->n; i++) {
      kr_in(&r, types[t], c->rank[i], c->dims[i]);
      kr_fill(&r.in[i], &s, low_of(types[t]), 3);
    }
    kr_out(&r, types[t], c->out_rank, c->out);
    gs_node_set_string(r.g, r.n, "equation", c->equation);
    kr_ok(&r, &gs_kernel_einsum, 1 + t % 2);
    double *want = calloc((size_t)r.out[0].n + 1, sizeof *want);
    naive(&r, c, want);
    for (int64_t i = 0; i < r.out[0].n; i++)
      ck_assert_msg(kr_get(&r.out[0], i) == wrapped(types[t], want[i]),
                    "%s: element %d is %g, not %g", c->equation, (int)i,
                    kr_get(&r.out[0], i), want[i]);
    free(want);
    kr_end(&r);
  }
}
END_TEST

START_TEST(einsum_bad) {
  static const char *const bad[] = {
      "ij",      "ij,jk,kl->il", "ij,kl->im",  "ijk,jk->i", "ij,jk->ii",
      "i.j,jk->ik", "ij,jk->ik,", "ij;jk->ik", "....,jk->k", "ij,jk->ij->k"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    kr r;
    kr_begin(&r);
    kr_in(&r, GS_FLOAT, DIMS(2, 3));
    kr_in(&r, GS_FLOAT, DIMS(3, 4));
    kr_out(&r, GS_FLOAT, DIMS(2, 4));
    gs_node_set_string(r.g, r.n, "equation", bad[i]);
    ck_assert_msg(kr_run(&r, &gs_kernel_einsum, 1) == GS_DATA, "%s", bad[i]);
    kr_end(&r);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("kernel_contract");
  TCase *c = tcase_create("all");
  tcase_set_timeout(c, 1200);
  tcase_add_loop_test(c, matmul_ranks, 0, NTYPE);
  tcase_add_test(c, matmul_random);
  tcase_add_test(c, matmul_threads);
  tcase_add_loop_test(c, packed, 0, 24);
  tcase_add_test(c, matmul_half);
  tcase_add_test(c, matmul_wraps);
  tcase_add_test(c, matmul_bad);
  tcase_add_loop_test(c, gemm_forms, 0, NTYPE);
  tcase_add_loop_test(c, einsum_cases, 0, NEIN);
  tcase_add_test(c, einsum_bad);
  suite_add_tcase(s, c);
  return kr_main(s);
}
