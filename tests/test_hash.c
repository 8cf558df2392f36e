/* Hashes that stand in files are the same everywhere, in one or in pieces. */
#include <stdlib.h>
#include <string.h>

#include "base/data/hash.h"
#include "suite.h"

/* The value of the empty input stands in the specification of XXH3; the bytes
 * of a plan depend on the others, with and without the library's choice of an
 * instruction set. */
START_TEST(values) {
  ck_assert_uint_eq(gs_hash("", 0, 0), UINT64_C(0x2d06800538d394c2));
  ck_assert_uint_eq(gs_hash(NULL, 0, 0), UINT64_C(0x2d06800538d394c2));
  ck_assert_uint_eq(gs_hash("gshard", 6, 0), UINT64_C(0x54244586491b7e7e));
  unsigned char ramp[1000];
  for (int i = 0; i < 1000; i++) ramp[i] = (unsigned char)i;
  ck_assert_uint_eq(gs_hash(ramp, 1000, 0), UINT64_C(0xd33dd80b46f60e50));
  ck_assert_uint_eq(gs_hash(ramp, 1000, 7), UINT64_C(0xfb6e8de2c753ce8b));
}
END_TEST

/* Pieces of all sizes, empty ones too, and a look in between. */
START_TEST(pieces) {
  enum { N = 100000 };
  unsigned char *p = malloc(N);
  for (size_t i = 0; i < N; i++) p[i] = (unsigned char)(i * 31 >> 3);
  for (size_t step = 1; step < N; step = step * 5 + 1) {
    gs_hasher *h = gs_hasher_new();
    for (size_t at = 0; at < N; at += step) {
      gs_hasher_add(h, p + at, at + step < N ? step : N - at);
      gs_hasher_add(h, NULL, 0);
      if (at == 0)
        ck_assert_uint_eq(gs_hasher_value(h),
                          gs_hash(p, step < N ? step : N, 0));
    }
    ck_assert_uint_eq(gs_hasher_value(h), gs_hash(p, N, 0));
    gs_hasher_free(h);
  }
  free(p);
}
END_TEST

/* No bit of the input, and none of the seed, is without effect. */
START_TEST(every_bit) {
  unsigned char p[300] = {0};
  uint64_t h = gs_hash(p, sizeof p, 0);
  for (size_t i = 0; i < 8 * sizeof p; i++) {
    p[i / 8] ^= (unsigned char)(1 << i % 8);
    ck_assert_uint_ne(gs_hash(p, sizeof p, 0), h);
    p[i / 8] ^= (unsigned char)(1 << i % 8);
  }
  for (int i = 0; i < 64; i++)
    ck_assert_uint_ne(gs_hash(p, sizeof p, UINT64_C(1) << i), h);
}
END_TEST

/* What models draw hangs on these: they never change. */
START_TEST(stream_keys) {
  ck_assert_int_eq((int64_t)gs_stream_key("y", 0),
                   INT64_C(-8910532744537195189));
  ck_assert_uint_ne(gs_stream_key("y", 0), gs_stream_key("y", 1));
  ck_assert_uint_ne(gs_stream_key("12345678", 0),
                    gs_stream_key("123456789", 0));
}
END_TEST

int main(void) {
  TCase *t = tcase_create("hash");
  tcase_add_test(t, values);
  tcase_add_test(t, pieces);
  tcase_add_test(t, every_bit);
  tcase_add_test(t, stream_keys);
  return suite_run("hash", t);
}
