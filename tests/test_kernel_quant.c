/* Packed codes, products of bytes and of weights of few bits, against loops
 * over single elements. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/data/subarray.h"
#include "ir/packed.h"
#include "kernel/core/convert.h"
#include "kernel/gemm/igemm.h"
#include "kernel/narrow/narrow.h"
#include "kernel/quant/quant.h"
#include "suite.h"

static uint32_t state = 1;
static uint32_t draw(void) {
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

static void *aligned(size_t n) {
  void *p = aligned_alloc(64, (n + 64) / 64 * 64);
  ck_assert(p != NULL);
  memset(p, 0xa5, (n + 64) / 64 * 64);
  return p;
}

START_TEST(codes) {
  for (int bits = 2; bits <= 4; bits += 2)
    for (int n = 0; n < 40; n++)
      for (int first = 0; first < 7; first++) {
        uint8_t in[64], packed[64], out[64];
        for (int i = 0; i < 64; i++) in[i] = (uint8_t)draw();
        gs_codes_pack(bits, packed, in, first + n);
        gs_codes_unpack(bits, true, out, packed, first, n);
        for (int i = 0; i < n; i++) {
          int code = in[first + i] & ((1 << bits) - 1);
          int sign = code >> (bits - 1) ? code - (1 << bits) : code;
          ck_assert_uint_eq(gs_code_get(bits, packed, first + i),
                            (unsigned)code);
          ck_assert_int_eq((int8_t)out[i], sign);
        }
      }
}
END_TEST

/* Dynamic values that begin and end at any element, as if of one byte each. */
START_TEST(dynamic) {
  for (int round = 0; round < 400; round++) {
    int bits = round & 1 ? 2 : 4;
    int64_t s[3], d[3], n[3], sf[3], df[3], ns = 1, nd = 1;
    for (int i = 0; i < 3; i++) {
      s[i] = 1 + draw() % 7;
      d[i] = 1 + draw() % 7;
      n[i] = draw() % (1 + (uint32_t)(s[i] < d[i] ? s[i] : d[i]));
      sf[i] = draw() % (uint32_t)(s[i] - n[i] + 1);
      df[i] = draw() % (uint32_t)(d[i] - n[i] + 1);
      ns *= s[i];
      nd *= d[i];
    }
    uint8_t src[343], dst[343], ps[200], pd[200], got[343];
    for (int i = 0; i < 343; i++) src[i] = (uint8_t)(draw() % (1u << bits));
    for (int i = 0; i < 343; i++) dst[i] = (uint8_t)(draw() % (1u << bits));
    gs_codes_pack(bits, ps, src, ns);
    gs_codes_pack(bits, pd, dst, nd);
    gs_subarray_copy(1, 3, n, src, s, sf, dst, d, df);
    gs_subarray_move(bits == 4 ? GS_UINT4 : GS_INT2, 3, n, ps, s, sf, pd, d,
                     df);
    gs_codes_unpack(bits, false, got, pd, 0, nd);
    ck_assert_mem_eq(got, dst, (size_t)nd);
  }
}
END_TEST

static int byte_at(const void *p, bool sign, int64_t i) {
  return sign ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

START_TEST(bytes) {
  static const int sizes[][3] = {{1, 1, 1},   {1, 40, 33},   {4, 16, 2},
                                 {5, 17, 7},  {13, 3, 1030}, {2, 35, 2100},
                                 {70, 70, 5}, {3, 4, 0},     {9, 1, 64}};
  for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++)
    for (int kind = 0; kind < 8; kind++) {
      int64_t m = sizes[c][0], n = sizes[c][1], k = sizes[c][2];
      bool sa = kind & 1, sb = kind & 2, per = kind & 4;
      uint8_t *a = aligned((size_t)(m * k)), *b = aligned((size_t)(k * n));
      int32_t *za = aligned((size_t)m * 4), *zb = aligned((size_t)n * 4);
      int32_t *y = aligned((size_t)(m * n) * 4);
      void *pa = aligned(gs_igemm_a_size(m, k));
      void *pb = aligned(gs_igemm_b_size(n, k));
      for (int64_t i = 0; i < m * k; i++)
        a[i] = i % 5 ? (uint8_t)draw() : (uint8_t)(sa ? 0x80 : 0xff);
      for (int64_t i = 0; i < k * n; i++)
        b[i] = i % 7 ? (uint8_t)draw() : (uint8_t)(sb ? 0x80 : 0xff);
      for (int64_t i = 0; i < m; i++) za[i] = (int)(draw() % 256) - 128 * sa;
      for (int64_t i = 0; i < n; i++) zb[i] = (int)(draw() % 256) - 128 * sb;
      gs_bytes xa = {a, sa, k, 1, za, per}, xb = {b, sb, n, 1, zb, per};
      gs_igemm_pack_a(&xa, m, k, pa, 2);
      gs_igemm_pack_b(&xb, n, k, pb, 1);
      gs_igemm(m, n, k, pa, pb, y, n, 2);
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
          int32_t sum = 0;
          for (int64_t l = 0; l < k; l++)
            sum += (byte_at(a, sa, i * k + l) - za[per ? i : 0]) *
                   (byte_at(b, sb, l * n + j) - zb[per ? j : 0]);
          ck_assert_int_eq(y[i * n + j], sum);
        }
      void *all[] = {a, b, za, zb, y, pa, pb};
      for (int i = 0; i < 7; i++) free(all[i]);
    }
}
END_TEST

/* Integer-valued, so that sums are exact in any order. */
static void check_nbits(int bits, int64_t m, int64_t n, int64_t k,
                        int64_t block, int zeros, bool group) {
  int64_t blocks = (k + block - 1) / block, blob = block * bits / 8;
  int64_t zrow = (blocks * bits + 7) / 8;
  uint8_t *q = aligned((size_t)(n * blocks * blob));
  uint8_t *pz = aligned((size_t)(n * zrow));
  float *s = aligned((size_t)(n * blocks) * 4);
  float *fz = aligned((size_t)(n * blocks) * 4);
  float *a = aligned((size_t)(m * k) * 4), *y = aligned((size_t)(m * n) * 4);
  float *w = aligned((size_t)k * 4);
  int32_t *g = aligned((size_t)k * 4);
  void *scratch = aligned(gs_nbits_scratch(k, m, 2));
  for (int64_t i = 0; i < n * blocks * blob; i++) q[i] = (uint8_t)draw();
  for (int64_t i = 0; i < n * zrow; i++) pz[i] = (uint8_t)draw();
  for (int64_t i = 0; i < n * blocks; i++) s[i] = (float)(1 + draw() % 3);
  for (int64_t i = 0; i < n * blocks; i++) fz[i] = (float)(draw() % 9);
  for (int64_t i = 0; i < m * k; i++) a[i] = (float)(draw() % 7) - 3;
  for (int64_t i = 0; i < k; i++) g[i] = (int32_t)(draw() % (uint32_t)blocks);
  gs_nbits x = {.bits = bits, .n = n, .k = k, .block = block,
                .blocks = blocks, .codes = q, .type = GS_FLOAT, .scales = s,
                .zeros = zeros == 1 ? (void *)pz : zeros == 2 ? fz : NULL,
                .packed = zeros == 1, .group = group ? g : NULL};
  ck_assert(gs_nbits_product(&x, m, a, k, y, n, scratch, 2));
  for (int64_t j = 0; j < n; j++) {
    gs_nbits_row(&x, j, w);
    for (int64_t l = 0; l < k; l++) {
      int64_t b = group ? g[l] : l / block;
      const uint8_t *row = q + j * blocks * blob;
      unsigned c = bits == 8 ? row[l] : gs_code_get(bits, row, l);
      float z = zeros == 1 ? (float)(bits == 8 ? pz[j * zrow + b]
                                               : gs_code_get(bits,
                                                             pz + j * zrow,
                                                             b))
                : zeros == 2 ? fz[j * blocks + b]
                             : (float)(1 << (bits - 1));
      ck_assert(w[l] == ((float)c - z) * s[j * blocks + b]);
    }
    for (int64_t i = 0; i < m; i++) {
      float sum = 0;
      for (int64_t l = 0; l < k; l++) sum += a[i * k + l] * w[l];
      ck_assert(y[i * n + j] == sum);
    }
  }
  void *all[] = {q, pz, s, fz, a, y, w, g, scratch};
  for (int i = 0; i < 9; i++) free(all[i]);
}

/* Products with w, packed: those of all columns and rows at once, of each row
 * alone and of the columns from `first` on, to y[m][n]. */
static void product_of(const gs_nbits *w, bool ints, int64_t first, int64_t m,
                       const float *a, float *y, int threads) {
  gs_nbits part = *w;
  int64_t blob = w->block * w->bits / 8;
  int64_t size = w->type == GS_FLOAT ? 4 : 2;
  int64_t zrow = w->packed ? (w->blocks * w->bits + 7) / 8 : w->blocks * size;
  part.n -= first;
  part.codes += first * w->blocks * blob;
  part.scales = (const char *)w->scales + first * w->blocks * size;
  if (w->zeros) part.zeros = (const char *)w->zeros + first * zrow;
  gs_arena arena;
  gs_arena_init(&arena);
  gs_view in[3] = {{.data = (void *)(uintptr_t)part.codes, .fixed = w->codes},
                   {.data = (void *)(uintptr_t)part.scales, .fixed = &arena},
                   {.data = (void *)(uintptr_t)part.zeros, .fixed = &in}};
  gs_kctx k = {.nin = 3, .in = in, .arena = &arena};
  gs_narrow packed;
  gs_narrow_keep_codes(&packed, &k, (gs_narrow_from){0, 1, w->zeros ? 2 : -1},
                       first, &part);
  ck_assert(packed.packed);
  void *scratch = aligned(gs_narrow_scratch(&packed, ints, m));
  gs_narrow_product(&packed, ints, m, a, w->k, y + first, w->n, scratch,
                    threads);
  free(scratch);
  gs_arena_free(&arena);
}

/* The order of sums does not depend on what else is computed. */
static void check_alone(const gs_nbits *w, bool ints, int64_t m,
                        const float *a, const float *y) {
  size_t size = (size_t)(m * w->n) * sizeof *y;
  float *z = aligned(size);
  memcpy(z, y, size);
  product_of(w, ints, w->n / 2, m, a, z, 2);
  ck_assert(!memcmp(y, z, size));
  for (int64_t i = 0; i < m; i++)
    product_of(w, ints, 0, 1, a + i * w->k, z + i * w->n, 1);
  ck_assert(!memcmp(y, z, size));
  free(z);
}

/* Against sums in f64: in f32 within a few ulp of sum |a w|, with integers
 * also within what narrow.h promises of the rounding of rows. */
static void check_narrow(const gs_nbits *w, int64_t m) {
  float *a = aligned((size_t)(m * w->k) * 4), *row = aligned((size_t)w->k * 4);
  float *y = aligned((size_t)(m * w->n) * 4);
  for (int64_t i = 0; i < m * w->k; i++)
    a[i] = (float)draw() / 0x1p24f - 0.4f + (i % 37 == 0 ? 3 : 0);
  for (int ints = 0; ints < 2; ints++) {
    product_of(w, ints, 0, m, a, y, 2);
    check_alone(w, ints, m, a, y);
    for (int64_t j = 0; j < w->n; j++) {
      gs_nbits_row(w, j, row);
      for (int64_t i = 0; i < m; i++) {
        double sum = 0, all = 0, rounding = 0;
        const float *x = a + i * w->k;
        for (int64_t l = 0; l < w->k; l += 32) {
          double most = 0, weights = 0;
          for (int64_t c = l; c < w->k && c < l + 32; c++) {
            sum += (double)x[c] * row[c];
            all += fabs((double)x[c] * row[c]);
            most = fmax(most, fabs((double)x[c]));
            weights += fabs((double)row[c]);
          }
          rounding += most * weights / 254;
        }
        double off = fabs(sum - (double)y[i * w->n + j]);
        ck_assert(off <= 1e-5 * all + (ints ? rounding * 1.001 : 0));
      }
    }
  }
  free(a);
  free(row);
  free(y);
}

/* Scales of all types; columns and elements that fill no tile. */
static void check_codes(int bits, int64_t n, int64_t k, int64_t block,
                        int zeros, gs_dtype type) {
  int64_t blocks = (k + block - 1) / block, blob = block * bits / 8;
  int64_t zrow = (blocks * bits + 7) / 8;
  size_t many = (size_t)(n * blocks);
  uint8_t *q = aligned(many * (size_t)blob), *pz = aligned((size_t)(n * zrow));
  float *f = aligned(many * 4);
  void *s = aligned(many * 4), *fz = aligned(many * 4);
  for (int64_t i = 0; i < n * blocks * blob; i++) q[i] = (uint8_t)draw();
  for (int64_t i = 0; i < n * zrow; i++) pz[i] = (uint8_t)draw();
  for (size_t i = 0; i < many; i++) f[i] = (float)(1 + draw() % 100) / 128;
  gs_convert(type, s, GS_FLOAT, f, n * blocks, NULL);
  for (size_t i = 0; i < many; i++) f[i] = (float)(draw() % 40) / 4;
  gs_convert(type, fz, GS_FLOAT, f, n * blocks, NULL);
  gs_nbits w = {.bits = bits, .n = n, .k = k, .block = block,
                .blocks = blocks, .codes = q, .type = type, .scales = s,
                .zeros = zeros == 1 ? (void *)pz : zeros == 2 ? fz : NULL,
                .packed = zeros == 1};
  for (int64_t m = 1; m <= 7; m += m < 5 ? 1 : 2) check_narrow(&w, m);
  void *all[] = {q, pz, f, s, fz};
  for (int i = 0; i < 5; i++) free(all[i]);
}

START_TEST(narrow_codes) {
  for (int bits = 2; bits <= 8; bits *= 2)
    for (int zeros = 0; zeros < 3; zeros++) {
      check_codes(bits, 50, 96, 32, zeros, GS_FLOAT);
      check_codes(bits, 33, 75, 16, zeros, GS_FLOAT16);
      check_codes(bits, 64, 300, 128, zeros, GS_BFLOAT16);
      check_codes(bits, 16, 48, 48, zeros, GS_FLOAT);
    }
}
END_TEST

/* A row that has an infinity or a NaN gives no numbers; tiny ones give 0. */
START_TEST(narrow_extremes) {
  enum { K = 64, N = 20 };
  uint8_t q[N * K / 2];
  float s[N * K / 32], y[3 * N], a[3 * K] = {0};
  for (size_t i = 0; i < sizeof q; i++) q[i] = (uint8_t)(draw() | 1);
  for (size_t i = 0; i < sizeof s / sizeof *s; i++) s[i] = 1;
  gs_nbits w = {.bits = 4, .n = N, .k = K, .block = 32, .blocks = 2,
                .codes = q, .type = GS_FLOAT, .scales = s};
  a[3] = INFINITY;
  a[K + 40] = NAN;
  a[2 * K + 7] = 1e-43f;
  product_of(&w, true, 0, 3, a, y, 1);
  for (int j = 0; j < 2 * N; j++) ck_assert(isnan(y[j]));
  for (int j = 2 * N; j < 3 * N; j++) ck_assert(fabsf(y[j]) < 1e-41f);
}
END_TEST

START_TEST(few_bits) {
  static const int64_t rows[] = {1, 2, 3, 4, 6, 13, 20};
  for (int bits = 2; bits <= 8; bits *= 2)
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
      for (int zeros = 0; zeros < 3; zeros++) {
        check_nbits(bits, rows[r], 5, 96, 32, zeros, false);
        check_nbits(bits, rows[r], 3, 75, 16, zeros, false);
        check_nbits(bits, rows[r], 2, 1100, 16, zeros, false);
      }
  check_nbits(4, 2, 70, 24, 24, 0, false);
  check_nbits(4, 15, 130, 32, 32, 1, false);
  check_nbits(4, 2, 3, 64, 16, 1, true);
  check_nbits(8, 2, 3, 64, 16, 0, true);
}
END_TEST

START_TEST(requantised) {
  int32_t x[] = {0, 1, 2, 3, 5, -1, -3, 255, 1000, -1000, 1 << 30, -(1 << 30)};
  float half = 0.5f;
  uint8_t u[12];
  int8_t s[12];
  gs_requantise(GS_UINT8, u, x, 12, &half, 0, 3);
  const uint8_t want[] = {3, 3, 4, 5, 5, 3, 1, 131, 255, 0, 255, 0};
  ck_assert_mem_eq(u, want, 12);
  gs_requantise(GS_INT8, s, x, 12, &half, 0, -1);
  const int8_t with[] = {-1, -1, 0, 1, 1, -1, -3, 127, 127, -128, 127, -128};
  ck_assert_mem_eq(s, with, 12);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("all");
  tcase_add_test(t, codes);
  tcase_add_test(t, dynamic);
  tcase_add_test(t, bytes);
  tcase_add_test(t, few_bits);
  tcase_add_test(t, narrow_codes);
  tcase_add_test(t, narrow_extremes);
  tcase_add_test(t, requantised);
  return suite_run("kernel_quant", t);
}
