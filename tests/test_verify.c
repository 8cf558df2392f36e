/* Hashes of the blocks of a file: written, read, and compared with the file
 * beside other work. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/data/hash.h"
#include "io/file/io.h"
#include "io/file/verify.h"
#include "suite.h"

enum { B = GS_SUMS_BLOCK, N = 5 * B + 1234 };

static gs_arena arena;
static gs_err err;
static char *path;
static int fd;

static void setup(void) {
  gs_arena_init(&arena);
  gs_err_init(&err);
  const char *dir = getenv("TMPDIR");
  path = gs_sprintf(&arena, "%s/gshard-verify-XXXXXX", dir ? dir : "/tmp");
  fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  unsigned char *p = malloc(N);
  for (size_t i = 0; i < N; i++) p[i] = (unsigned char)(i * 7 >> 5);
  ck_assert_int_eq(write(fd, p, N), N);
  free(p);
}

static void teardown(void) {
  close(fd);
  unlink(path);
  gs_err_free(&err);
  gs_arena_free(&arena);
}

static void ok(gs_status s) {
  ck_assert_msg(s == GS_OK, "%s", err.n ? err.diag[0].text : "?");
}

static void flip(off_t at) {
  unsigned char c;
  ck_assert_int_eq(pread(fd, &c, 1, at), 1);
  c ^= 1;
  ck_assert_int_eq(pwrite(fd, &c, 1, at), 1);
}

static gs_file *opened(void) {
  gs_file *f;
  ok(gs_file_open(&arena, path, &f, &err));
  return f;
}

/* Verifies bytes [at, at + n) of a file that has these hashes. */
static gs_status verify(const gs_sums *s, uint64_t at, uint64_t n) {
  gs_file *f = opened();
  gs_err_clear(&err);
  gs_verify *v = gs_verify_new(&arena);
  ok(gs_verify_file(v, f, s, &err));
  gs_verify_range(v, f, at, n);
  gs_verify_start(v);
  gs_status status = gs_verify_wait(v, &err);
  gs_err again;
  gs_err_init(&again);
  ck_assert_int_eq(gs_verify_wait(v, &again), status);
  gs_err_free(&again);
  gs_verify_end(v);
  gs_file_close(f);
  return status;
}

START_TEST(counts) {
  ck_assert_int_eq(gs_sums_count(0), 0);
  ck_assert_int_eq(gs_sums_count(1), 1);
  ck_assert_int_eq(gs_sums_count(B), 1);
  ck_assert_int_eq(gs_sums_count(B + 1), 2);
  ck_assert_int_eq(gs_sums_count(UINT64_MAX) > 0, 1);
}
END_TEST

/* Each byte belongs to one block, and a range reads no others. */
START_TEST(ranges) {
  gs_sums s;
  gs_file *f = opened();
  ok(gs_sums_of(&arena, f, false, NULL, &s, &err));
  gs_file_close(f);
  ck_assert_int_eq(verify(&s, 0, N), GS_OK);
  flip(3 * B);
  ck_assert_int_eq(verify(&s, 0, 3 * B), GS_OK);
  ck_assert_int_eq(verify(&s, 0, 3 * B + 1), GS_MISMATCH);
  ck_assert_int_eq(verify(&s, 4 * B, N - 4 * B), GS_OK);
  ck_assert_int_eq(verify(&s, 4 * B - 1, 1), GS_MISMATCH);
  ck_assert_int_eq(verify(&s, 3 * B, 0), GS_OK); /* no byte, no block */
  ck_assert_int_eq(verify(&s, 0, N), GS_MISMATCH);
  ck_assert_str_eq(err.diag[0].place, path);
  ck_assert_msg(strstr(err.diag[0].text, "block 3, bytes 3145728 to 4194303,"),
                "%s", err.diag[0].text);
  flip(N - 1);
  flip(B + 77); /* the first of three is told */
  ck_assert_int_eq(verify(&s, 0, N), GS_MISMATCH);
  ck_assert_msg(strstr(err.diag[0].text, "block 1, "), "%s", err.diag[0].text);
  ck_assert_int_eq(verify(&s, N - 1, 1), GS_MISMATCH);
  ck_assert_msg(strstr(err.diag[0].text, "bytes 5242880 to 5244113,"), "%s",
                err.diag[0].text);
}
END_TEST

START_TEST(ends) {
  gs_sums s;
  gs_file *f = opened();
  ok(gs_sums_of(&arena, f, true, NULL, &s, &err));
  gs_file_close(f);
  flip(2 * B);
  ck_assert_int_eq(verify(&s, 0, N), GS_OK); /* has no hash */
  flip(B - 1);
  ck_assert_int_eq(verify(&s, 0, N), GS_MISMATCH);
  flip(B - 1);
  flip(5 * B);
  ck_assert_int_eq(verify(&s, 0, N), GS_MISMATCH);
}
END_TEST

/* Files that are open twice are one; a file of another size is refused. */
START_TEST(files) {
  gs_sums s;
  gs_file *f = opened(), *g = opened();
  ok(gs_sums_of(&arena, f, false, NULL, &s, &err));
  gs_verify *v = gs_verify_new(&arena);
  ok(gs_verify_file(v, f, &s, &err));
  ok(gs_verify_file(v, g, &s, &err));
  flip(B);
  gs_verify_range(v, g, B, 1);
  gs_verify_range(v, opened(), 0, N); /* not added: of no account */
  gs_verify_start(v);
  ck_assert_int_eq(gs_verify_wait(v, &err), GS_MISMATCH);
  gs_verify_end(v);
  gs_verify_end(NULL);
  s.size--;
  ck_assert_int_eq(gs_verify_file(v, f, &s, &err), GS_MISMATCH);
}
END_TEST

/* A file that becomes shorter after it was opened; giving up early. */
START_TEST(shorter) {
  gs_sums s;
  gs_file *f = opened();
  ok(gs_sums_of(&arena, f, false, NULL, &s, &err));
  gs_verify *v = gs_verify_new(&arena);
  ok(gs_verify_file(v, f, &s, &err));
  gs_verify_range(v, f, 0, N);
  ck_assert_int_eq(ftruncate(fd, 2 * B + 5), 0);
  gs_verify_start(v);
  ck_assert_int_eq(gs_verify_wait(v, &err), GS_IO);
  ck_assert_msg(strstr(err.diag[0].text, "shorter"), "%s", err.diag[0].text);
  gs_verify_end(v);
  v = gs_verify_new(&arena);
  ok(gs_verify_file(v, f, &s, &err));
  gs_verify_range(v, f, 0, N);
  gs_verify_start(v);
  gs_verify_end(v);
}
END_TEST

static const char *text_of(const gs_sums *s) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_sums_print(&b, s);
  return b.at;
}

START_TEST(text) {
  gs_file *f = opened();
  for (int only_ends = 0; only_ends < 2; only_ends++) {
    gs_sums s, t;
    ok(gs_sums_of(&arena, f, only_ends, NULL, &s, &err));
    ck_assert(gs_sums_parse(&arena, text_of(&s), &t));
    ck_assert_str_eq(text_of(&t), text_of(&s));
    ck_assert_int_eq(t.ends, only_ends);
  }
  gs_sums s;
  ck_assert(gs_sums_parse(&arena, "0 all", &s));
  static const char *const bad[] = {
      "", "0", "0 some", "all", " 0 all", "1 all", "-1 all",
      "18446744073709551616 all", "1 all 123", "1 all 0123456789abcdeg",
      "1 all 0123456789abcdef 0123456789abcdef",
      "1 ends 0123456789abcdef0", "99999999999999 all 0123456789abcdef"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!gs_sums_parse(&arena, bad[i], &s), "'%s'", bad[i]);
}
END_TEST

START_TEST(table) {
  gs_sums s, t;
  uint64_t hash;
  ok(gs_sums_of(&arena, opened(), false, NULL, &s, &err));
  const char *file = gs_sprintf(&arena, "%s.xxh3", path);
  ok(gs_sums_write(&arena, file, &s, &hash, &err));
  ok(gs_sums_read(&arena, file, N, hash, &t, &err));
  ck_assert_str_eq(text_of(&t), text_of(&s));
  ck_assert_int_eq(gs_sums_read(&arena, file, N, hash + 1, &t, &err),
                   GS_MISMATCH);
  ck_assert_int_eq(gs_sums_read(&arena, file, N + B, hash, &t, &err),
                   GS_MISMATCH);
  unlink(file);
  ck_assert_int_eq(gs_sums_read(&arena, file, N, hash, &t, &err), GS_NOINPUT);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("verify");
  tcase_set_timeout(t, 300);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, counts);
  tcase_add_test(t, ranges);
  tcase_add_test(t, ends);
  tcase_add_test(t, files);
  tcase_add_test(t, shorter);
  tcase_add_test(t, text);
  tcase_add_test(t, table);
  return suite_run("verify", t);
}
