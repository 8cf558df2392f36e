/* Records, one after another: forms that NumPy writes, ends, what is cut. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "io/file/records.h"

static bool never_ask(void *user) {
  (void)user;
  return false;
}
static bool ask(void *user) { return *(const bool *)user; }
static const gs_stop never = {never_ask, NULL};

/* Appends a record with this dictionary to a file of the folder. */
static const char *add(const char *name, int version, const char *text,
                       const void *data, size_t n) {
  const char *path = in_dir(name);
  size_t length = strlen(text);
  FILE *f = fopen(path, "ab");
  ck_assert_ptr_nonnull(f);
  fwrite("\x93NUMPY", 1, 6, f);
  fputc(version, f);
  fputc(0, f);
  for (int i = 0; i < (version == 1 ? 2 : 4); i++)
    fputc((int)(length >> (8 * i) & 0xff), f);
  fwrite(text, 1, length, f);
  fwrite(data, 1, n, f);
  ck_assert_int_eq(fclose(f), 0);
  return path;
}

static gs_records *open_path(const char *path) {
  gs_records *r;
  ck_assert_msg(!gs_records_open(&arena, path, &never, &r, &err), "%s",
                messages());
  return r;
}

/* The next record, which there is. */
static const void *next(gs_records *r, gs_npy_head *h, size_t *n) {
  bool end;
  uint64_t bytes;
  void *data = NULL;
  ck_assert_msg(!gs_records_next(r, h, &end, &err) && !end, "%s", messages());
  ck_assert_int_eq(gs_npy_head_bytes("r", h, &bytes, &err), GS_OK);
  ck_assert_msg(!gs_records_first(r, h, &arena, bytes, &data, &end, &err) &&
                    !end,
                "%s", messages());
  *n = bytes;
  return data;
}

static void ends(gs_records *r) {
  gs_npy_head h;
  bool end;
  ck_assert_int_eq(gs_records_next(r, &h, &end, &err), GS_OK);
  ck_assert(end);
}

START_TEST(forms) {
  const int32_t columns[] = {1, 4, 2, 5, 3, 6}, rows[] = {1, 2, 3, 4, 5, 6};
  const uint8_t big[] = {0, 1, 0, 2}, truth[] = {0, 7, 255};
  const char *path =
      add("r", 1, "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }",
          columns, sizeof columns);
  add("r", 2, "{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", big,
      sizeof big);
  add("r", 3, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }",
      truth, sizeof truth);
  add("r", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }", "",
      0);
  add("r", 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }",
      "\1\0\0\0\0\0\0\0", 8);
  gs_records *r = open_path(path);
  gs_npy_head h;
  size_t n;
  ck_assert_mem_eq(next(r, &h, &n), rows, sizeof rows);
  ck_assert_int_eq(h.rank, 2);
  ck_assert_mem_eq(next(r, &h, &n), "\1\0\2\0", 4);
  ck_assert_mem_eq(next(r, &h, &n), "\0\1\1", 3);
  next(r, &h, &n);
  ck_assert(n == 0 && h.rank == 2 && h.dims[1] == 4);
  ck_assert_int_eq(*(const int64_t *)next(r, &h, &n), 1);
  bool up;
  ck_assert_int_eq(gs_records_used_up(r, &up, &err), GS_OK);
  ck_assert(up);
  ends(r);
  ends(r);
}
END_TEST

/* A Fortran record goes through memory that stays, the rest into the caller's.
 */
START_TEST(into_the_same_memory) {
  const int16_t columns[] = {1, 3, 2, 4}, rows[] = {1, 2, 3, 4};
  const char *path = NULL;
  for (int i = 0; i < 3; i++)
    path = add("r", 1,
               i == 1 ? "{'descr': '<i2', 'fortran_order': True, "
                        "'shape': (2, 2), }"
                      : "{'descr': '<i2', 'fortran_order': False, "
                        "'shape': (2, 2), }",
               i == 1 ? columns : rows, sizeof rows);
  gs_records *r = open_path(path);
  for (int i = 0; i < 3; i++) {
    gs_npy_head h;
    bool end;
    int16_t to[4] = {0};
    ck_assert_int_eq(gs_records_next(r, &h, &end, &err), GS_OK);
    ck_assert_int_eq(gs_records_elements(r, &h, to, sizeof to, &end, &err),
                     GS_OK);
    ck_assert_mem_eq(to, rows, sizeof rows);
  }
  ends(r);
}
END_TEST

/* Larger than what is read ahead. */
START_TEST(large) {
  enum { N = 300000 };
  int64_t *x = gs_calloc(&arena, N, sizeof *x);
  for (int i = 0; i < N; i++) x[i] = i;
  const char *text =
      "{'descr': '<i8', 'fortran_order': False, 'shape': (300000,), }";
  add("r", 1, text, x, N * sizeof *x);
  gs_records *r = open_path(add("r", 1, text, x, N * sizeof *x));
  for (int i = 0; i < 2; i++) {
    gs_npy_head h;
    size_t n;
    const void *p = next(r, &h, &n);
    ck_assert_uint_eq(n, N * sizeof *x);
    ck_assert_int_eq(memcmp(p, x, n), 0);
  }
  ends(r);
}
END_TEST

/* Every prefix of two records: one is read, the other is cut. */
START_TEST(every_cut) {
  const int32_t x[] = {1, 2, 3, 4, 5};
  const char *text = "{'descr': '<i4', 'fortran_order': False, 'shape': (5,), "
                     "}";
  size_t all, one;
  get_file(add("r", 1, text, x, sizeof x), &one);
  const uint8_t *p = get_file(add("r", 1, text, x, sizeof x), &all);
  ck_assert_uint_eq(all, 2 * one);
  for (size_t n = one; n <= all; n++) {
    gs_npy_head h;
    bool end;
    size_t got;
    void *to;
    const char *cut = in_dir("cut");
    FILE *f = fopen(cut, "wb");
    fwrite(p, 1, n, f);
    ck_assert_int_eq(fclose(f), 0);
    gs_records *r = open_path(cut);
    ck_assert_mem_eq(next(r, &h, &got), x, sizeof x);
    gs_status s = gs_records_next(r, &h, &end, &err);
    if (!s && !end)
      s = gs_records_first(r, &h, &arena, sizeof x, &to, &end, &err);
    ck_assert_int_eq(s, n == one || n == all ? GS_OK : GS_DATA);
    ck_assert_int_eq(end, n == one);
    if (s) ck_assert_ptr_nonnull(strstr(messages(), "cut short"));
    gs_err_clear(&err);
  }
}
END_TEST

/* A header that promises more than there is costs little. */
START_TEST(promises) {
  gs_records *r = open_path(
      add("r", 1, "{'descr': '<f8', 'fortran_order': False, "
                  "'shape': (100000000000,), }", "abc", 3));
  gs_npy_head h;
  bool end;
  uint64_t n;
  void *to;
  ck_assert_int_eq(gs_records_next(r, &h, &end, &err), GS_OK);
  ck_assert_int_eq(gs_npy_head_bytes("r", &h, &n, &err), GS_OK);
  ck_assert_int_eq(gs_records_first(r, &h, &arena, n, &to, &end, &err),
                   GS_DATA);
}
END_TEST

START_TEST(headers) {
  static const struct {
    const char *text, *says;
  } bad[] = {
      {"{'descr': '<f4'}", "is missing"},
      {"{'descr': '<U5', 'fortran_order': False, 'shape': (1,), }",
       "no element type"},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "pickled"},
      {"[]", "not a dictionary"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    gs_npy_head h;
    bool end;
    const char *name = i ? i == 1 ? "b" : i == 2 ? "c" : "d" : "a";
    gs_records *r = open_path(add(name, 1, bad[i].text, "", 0));
    ck_assert_int_ne(gs_records_next(r, &h, &end, &err), GS_OK);
    ck_assert_msg(strstr(messages(), bad[i].says) != NULL, "%s", messages());
    gs_err_clear(&err);
  }
}
END_TEST

/* Files of a directory in the order of their numbers, each with any number of
 * records. */
START_TEST(directories) {
  const char *text = "{'descr': '|u1', 'fortran_order': False, 'shape': (), }";
  const char *dir = in_dir("many");
  ck_assert_int_eq(mkdir(dir, 0700), 0);
  add("many/10.npy", 1, text, "\3", 1);
  add("many/9.npy", 1, text, "\1", 1);
  add("many/9.npy", 1, text, "\2", 1);
  add("many/note.txt", 1, text, "\7", 1);
  gs_records *r = open_path(dir);
  for (uint8_t k = 1; k <= 3; k++) {
    gs_npy_head h;
    size_t n;
    ck_assert_uint_eq(*(const uint8_t *)next(r, &h, &n), k);
    bool up;
    ck_assert(!gs_records_used_up(r, &up, &err) && !up);
  }
  ends(r);
  ck_assert_int_eq(mkdir(in_dir("none"), 0700), 0);
  ck_assert_int_eq(gs_records_open(&arena, in_dir("none"), &never, &r, &err),
                   GS_NOINPUT);
}
END_TEST

/* A pipe without a writer is waited for until someone asks to stop. */
START_TEST(stops) {
  bool stop = true, end;
  const gs_stop asked = {ask, &stop};
  gs_records *r;
  gs_npy_head h;
  ck_assert_int_eq(mkfifo(in_dir("pipe"), 0600), 0);
  ck_assert_int_eq(gs_records_open(&arena, in_dir("pipe"), &asked, &r, &err),
                   GS_OK);
  ck_assert_int_eq(gs_records_next(r, &h, &end, &err), GS_OK);
  ck_assert(end);
}
END_TEST

/* What is written reads back, also when the shape changes. */
START_TEST(written) {
  gs_out_set files;
  gs_out *out;
  gs_record_out w;
  const float x[] = {1, 2, 3, 4, 5, 6};
  gs_out_set_init(&files, &arena, false);
  ck_assert_int_eq(gs_out_set_open(&files, in_dir("w"), &out, &err), GS_OK);
  gs_record_out_init(&w, &arena, out);
  for (int64_t k = 1; k <= 3; k++) {
    const int64_t dims[] = {k, 2};
    gs_tensor t = {.dtype = GS_FLOAT, .rank = 2, .dims = dims, .data = x,
                   .nbytes = (uint64_t)k * 8};
    ck_assert_int_eq(gs_record_out_put(&w, &t, &err), GS_OK);
  }
  ck_assert_int_eq(gs_out_set_commit(&files, &err), GS_OK);
  gs_records *r = open_path(in_dir("w"));
  for (int64_t k = 1; k <= 3; k++) {
    gs_npy_head h;
    size_t n;
    const void *p = next(r, &h, &n);
    ck_assert(h.rank == 2 && h.dims[0] == k && h.dims[1] == 2);
    ck_assert_mem_eq(p, x, n);
  }
  ends(r);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("records");
  tcase_add_checked_fixture(t, setup_dir, teardown_dir);
  tcase_add_test(t, forms);
  tcase_add_test(t, into_the_same_memory);
  tcase_add_test(t, large);
  tcase_add_test(t, every_cut);
  tcase_add_test(t, promises);
  tcase_add_test(t, headers);
  tcase_add_test(t, directories);
  tcase_add_test(t, stops);
  tcase_add_test(t, written);
  return suite_run("records", t);
}
