/* Comparing tensors: integers to the last one, floats by their type. */
#include <stdlib.h>
#include <string.h>

#include "check/compare.h"
#include "suite.h"

static gs_comparison of(gs_dtype type, const void *x, const void *y,
                        int64_t n, size_t size, char *text, size_t room) {
  gs_arena a;
  gs_err e;
  gs_arena_init(&a);
  gs_err_init(&e);
  gs_tensor got = {.dtype = type, .rank = 1, .dims = &n, .data = x,
                   .nbytes = (size_t)n * size};
  gs_tensor want = got;
  want.data = y;
  gs_comparison c;
  gs_tolerance tol = gs_tolerance_of(type);
  ck_assert_int_eq(gs_compare(&got, &want, &tol, &c, &e), 0);
  gs_buf b;
  gs_buf_init(&b, &a);
  gs_comparison_print(&b, &want, &c);
  snprintf(text, room, "%s", b.at);
  gs_arena_free(&a);
  gs_err_free(&e);
  return c;
}

/* Neighbours that a double cannot tell apart. */
START_TEST(integers) {
  char text[200];
  const int64_t x[] = {INT64_MAX - 1, INT64_MIN, 3};
  const int64_t y[] = {INT64_MAX, INT64_MIN, 3};
  gs_comparison c = of(GS_INT64, x, y, 3, sizeof *x, text, sizeof text);
  ck_assert_int_eq(c.bad, 1);
  ck_assert(!c.equal);
  ck_assert_int_eq(c.worst, 0);
  ck_assert_str_eq(text, "element [0] is 9223372036854775806, expected "
                         "9223372036854775807");
  const uint64_t u[] = {1, UINT64_MAX - 1}, v[] = {1, UINT64_MAX};
  c = of(GS_UINT64, u, v, 2, sizeof *u, text, sizeof text);
  ck_assert_int_eq(c.bad, 1);
  ck_assert_str_eq(text, "element [1] is 18446744073709551614, expected "
                         "18446744073709551615");
  const int8_t p[] = {-128, 5, 7}, q[] = {127, 6, 7};
  c = of(GS_INT8, p, q, 3, 1, text, sizeof text);
  ck_assert_int_eq(c.bad, 2);
  ck_assert_str_eq(text, "element [0] is -128, expected 127");
  c = of(GS_INT64, x, x, 3, sizeof *x, text, sizeof text);
  ck_assert(c.equal && c.same_bytes);
}
END_TEST

/* One unit in the last place is within the tolerance of every type, and a
 * number of twice the size is not, but for the coarsest. */
START_TEST(tolerances) {
  char text[200];
  const uint16_t one = 0x3c00, next = 0x3c01, two = 0x4000; /* f16 */
  ck_assert(of(GS_FLOAT16, &next, &one, 1, 2, text, sizeof text).equal);
  ck_assert(!of(GS_FLOAT16, &two, &one, 1, 2, text, sizeof text).equal);
  const uint16_t bone = 0x3f80, bnext = 0x3f81, btwo = 0x4000; /* bf16 */
  ck_assert(of(GS_BFLOAT16, &bnext, &bone, 1, 2, text, sizeof text).equal);
  ck_assert(!of(GS_BFLOAT16, &btwo, &bone, 1, 2, text, sizeof text).equal);
  const uint8_t eone = 0x38, enext = 0x39; /* f8e4m3fn */
  ck_assert(of(GS_FLOAT8E4M3FN, &enext, &eone, 1, 1, text, sizeof text).equal);
  const float fone = 1, fnext = 1.01f;
  ck_assert(!of(GS_FLOAT, &fnext, &fone, 1, 4, text, sizeof text).equal);
  ck_assert(gs_tolerance_of(GS_FLOAT).rtol < gs_tolerance_of(GS_FLOAT16).rtol);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("compare");
  tcase_add_test(t, integers);
  tcase_add_test(t, tolerances);
  return suite_run("compare", t);
}
