/* .npy files: types, orders, round trips.  Malformed ones: test_onnx.c. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file/npy.h"
#include "suite.h"

static gs_arena arena;
static gs_err err;
static char path[64];

static void setup(void) {
  gs_arena_init(&arena);
  gs_err_init(&err);
  strcpy(path, "/tmp/gshard-npy-XXXXXX");
  int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  close(fd);
}

static void teardown(void) {
  unlink(path);
  gs_arena_free(&arena);
  gs_err_free(&err);
}

static gs_status write_npy(const char *to, const gs_tensor *t) {
  gs_out_set files;
  gs_out_set_init(&files, &arena, true);
  gs_status s = gs_npy_write(&files, to, t, &err);
  if (!s) return gs_out_set_commit(&files, &err);
  gs_out_set_abort(&files);
  return s;
}

/* A version-1 file with this header and these elements, read back. */
static gs_tensor *read_npy(const char *header, const void *data, size_t n) {
  size_t length = strlen(header);
  FILE *f = fopen(path, "wb");
  ck_assert_ptr_nonnull(f);
  fwrite("\x93NUMPY\x01\x00", 1, 8, f);
  fputc((int)(length & 0xff), f);
  fputc((int)(length >> 8), f);
  fwrite(header, 1, length, f);
  fwrite(data, 1, n, f);
  ck_assert_int_eq(fclose(f), 0);
  gs_tensor *t = NULL;
  gs_status st = gs_npy_read(&arena, path, &t, &err);
  ck_assert_msg(!st, "%s", err.n ? err.diag[0].text : "");
  return t;
}

START_TEST(fortran) {
  const int32_t columns[] = {1, 4, 2, 5, 3, 6};
  const int32_t rows[] = {1, 2, 3, 4, 5, 6};
  gs_tensor *t = read_npy("{'descr': '<i4', 'fortran_order': True, "
                          "'shape': (2, 3), }", columns, sizeof columns);
  ck_assert_int_eq(t->rank, 2);
  ck_assert_mem_eq(gs_tensor_bytes(t), rows, sizeof rows);
}
END_TEST

START_TEST(big_endian) {
  gs_tensor *t = read_npy("{'descr': '>i2', 'fortran_order': False, "
                          "'shape': (2,), }", "\x01\x02\x03\x04", 4);
  const int16_t want[] = {0x0102, 0x0304};
  ck_assert_int_eq(t->dtype, GS_INT16);
  ck_assert_mem_eq(gs_tensor_bytes(t), want, 4);
  t = read_npy("{'descr': '>c8', 'fortran_order': False, 'shape': (), }",
               "\x3f\x80\0\0\x40\0\0\0", 8);
  const float pair[] = {1, 2};
  ck_assert_mem_eq(gs_tensor_bytes(t), pair, 8);
}
END_TEST

/* Every byte but 0 is true, whether the elements are mapped or copied. */
START_TEST(bools) {
  const uint8_t bytes[] = {0, 1, 85, 255}, want[] = {0, 1, 1, 1};
  const uint8_t turned[] = {0, 1, 1, 1};
  gs_tensor *t = read_npy("{'descr': '|b1', 'fortran_order': False, "
                          "'shape': (4,), }                       "
                          "                              \n", bytes, 4);
  ck_assert_int_eq(t->dtype, GS_BOOL);
  ck_assert_mem_eq(gs_tensor_bytes(t), want, 4);
  t = read_npy("{'descr': '|b1', 'fortran_order': True, 'shape': (2, 2), }",
               bytes, 4);
  ck_assert_mem_eq(gs_tensor_bytes(t), turned, 4);
  t = read_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }",
               bytes, 4);
  ck_assert_mem_eq(gs_tensor_bytes(t), bytes, 4);
}
END_TEST

START_TEST(round_trips) {
  const int64_t shapes[4][3] = {{2, 3, 4}, {5, 0, 1}, {7, 1, 1}, {0, 0, 0}};
  for (int type = 1; type < GS_NDTYPE; type++)
    for (int rank = 0; rank <= 3; rank++) {
      gs_tensor *t, *back = NULL;
      if (type == GS_STRING) continue;
      ck_assert_int_eq(gs_tensor_new(&arena, (gs_dtype)type, rank,
                                     shapes[rank % 4], &t, &err), 0);
      for (uint64_t i = 0; i < t->nbytes; i++)
        ((uint8_t *)(uintptr_t)t->data)[i] = (uint8_t)(i & 1);
      gs_status st = write_npy(path, t);
      if (!gs_dtype_get(type)->npy) {
        ck_assert_int_eq(st, GS_UNSUPPORTED);
        continue;
      }
      ck_assert_int_eq(st, 0);
      ck_assert_int_eq(gs_npy_read(&arena, path, &back, &err), 0);
      ck_assert_int_eq(back->dtype, type);
      ck_assert_int_eq(back->rank, rank);
      ck_assert_uint_eq(back->nbytes, t->nbytes);
      if (t->nbytes)
        ck_assert_mem_eq(gs_tensor_bytes(back), t->data, t->nbytes);
      gs_file_close(back->file);
    }
}
END_TEST

/* The header that NumPy itself writes, to the byte. */
START_TEST(exact_bytes) {
  gs_tensor *t;
  const int64_t dims[1] = {2};
  ck_assert_int_eq(gs_tensor_new(&arena, GS_FLOAT, 1, dims, &t, &err), 0);
  ck_assert_int_eq(write_npy(path, t), 0);
  const uint8_t *p;
  size_t n;
  ck_assert_int_eq(gs_slurp(&arena, path, 1000, &p, &n, &err), 0);
  ck_assert_uint_eq(n, 128 + 8);
  ck_assert_mem_eq(p, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', "
                      "'fortran_order': False, 'shape': (2,), }  ", 69);
  ck_assert_int_eq(p[127], '\n');
}
END_TEST

START_TEST(full_disk) {
  gs_tensor *t;
  const int64_t dims[1] = {100000};
  ck_assert_int_eq(gs_tensor_new(&arena, GS_FLOAT, 1, dims, &t, &err), 0);
  ck_assert_int_eq(write_npy("/dev/full", t), GS_IO);
  ck_assert_int_eq(write_npy("/nowhere/x.npy", t), GS_CANTCREATE);
  ck_assert_int_eq(gs_npy_read(&arena, "/nowhere.npy", &t, &err), GS_NOINPUT);
  ck_assert_int_eq(gs_npy_read(&arena, "/tmp", &t, &err), GS_DATA);
}
END_TEST

int main(void) {
  TCase *t = tcase_create("npy");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, fortran);
  tcase_add_test(t, big_endian);
  tcase_add_test(t, bools);
  tcase_add_test(t, round_trips);
  tcase_add_test(t, exact_bytes);
  tcase_add_test(t, full_disk);
  return suite_run("npy", t);
}
