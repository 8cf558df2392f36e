/* Packed codes, products of bytes and of weights of few bits, against loops
 * over single elements. */
#include <stdlib.h>
#include <string.h>

#include "exec/data/subarray.h"
#include "ir/packed.h"
#include "kernel/gemm/igemm.h"
#include "kernel/gemm/nbits.h"
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
  tcase_add_test(t, requantised);
  return suite_run("kernel_quant", t);
}
