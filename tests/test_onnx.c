/* Reading and writing ONNX models. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "io/file/npy.h"
#include "io/onnx/onnx_build.h"
#include "io/onnx/onnx_model.h"
#include "json.h"
#include "malformed.h"
#include "samples.h"

static void put_file(const char *path, const void *p, size_t n) {
  FILE *f = fopen(path, "wb");
  ck_assert_ptr_nonnull(f);
  if (n) ck_assert_uint_eq(fwrite(p, 1, n, f), n);
  ck_assert_int_eq(fclose(f), 0);
}

/* ---- malformed input ---- */

static gs_status open_model(const char *path) {
  gs_model *m;
  gs_graph *g;
  gs_mesh *mesh;
  gs_status st = gs_model_read(&arena, path, NULL, &m, &err);
  if (st) return st;
  st = gs_model_import(m, &g, &err);
  if (!st) st = gs_model_shardings(m, g, &arena, NULL, &mesh, NULL, &err);
  const char *const *names;
  const int64_t *values;
  int n;
  if (!st) st = gs_model_binds(m, &arena, &names, &values, &n, &err);
  gs_model_close(m);
  return st;
}

static gs_status open_tensor(const char *path) {
  gs_tensor *t;
  gs_status st = gs_tensor_load(&arena, path, &t, &err);
  if (!st) gs_file_close(t->file);
  return st;
}

static void check_malformed(const malformed *list, int n,
                            gs_status (*open_it)(const char *)) {
  ck_assert_int_eq(malformed_setup(in_dir(".")), 0);
  for (int i = 0; i < n; i++) {
    wire w = {0};
    const char *path = in_dir(list[i].name);
    list[i].make(&w);
    put_file(path, w.at, w.n);
    wire_free(&w);
    gs_err_clear(&err);
    gs_status st = open_it(path);
    ck_assert_msg((int)st == list[i].code, "%s: status %d instead of %d: %s",
                  list[i].name, (int)st, list[i].code, messages());
    ck_assert_msg(!st || strstr(messages(), list[i].fragment),
                  "%s: no '%s' in: %s", list[i].name, list[i].fragment,
                  messages());
  }
}

START_TEST(malformed_models_test) {
  ck_assert_int_ge(malformed_nbytes + malformed_nmodels, 60);
  check_malformed(malformed_bytes, malformed_nbytes, open_model);
  check_malformed(malformed_models, malformed_nmodels, open_model);
  check_malformed(malformed_devices, malformed_ndevices, open_model);
}
END_TEST

START_TEST(malformed_tensors_test) {
  ck_assert_int_ge(malformed_ntensors, 20);
  check_malformed(malformed_tensors, malformed_ntensors, open_tensor);
}
END_TEST

/* Cut at every byte: nothing but the whole is accepted. */
START_TEST(truncation) {
  wire w = base_model();
  for (size_t n = 0; n < w.n; n++) {
    gs_model *m = NULL;
    gs_err_clear(&err);
    uint8_t *exact = malloc(n ? n : 1); /* so that overreads are seen */
    memcpy(exact, w.at, n);
    gs_status st = gs_model_parse(&arena, "cut", exact, n, NULL, &m, &err);
    ck_assert_msg(st == GS_DATA, "%zu bytes: status %d", n, (int)st);
    free(exact);
  }
  import(read_bytes(w.at, w.n));
  wire_free(&w);
}
END_TEST

/* Every byte changed in every way: no crash (run under sanitizers). */
START_TEST(bit_flips) {
  wire w = base_model();
  for (size_t i = 0; i < w.n; i++)
    for (int bit = 0; bit < 8; bit++) {
      gs_arena a;
      gs_err e;
      gs_model *m = NULL;
      gs_graph *g = NULL;
      gs_arena_init(&a);
      gs_err_init(&e);
      w.at[i] ^= (uint8_t)(1u << bit);
      gs_status st = gs_model_parse(&a, "m", w.at, w.n, NULL, &m, &e);
      if (!st) st = gs_model_import(m, &g, &e);
      if (!st) ck_assert_int_eq(gs_graph_check(g, &e), GS_OK);
      else ck_assert_int_gt(e.n, 0);
      w.at[i] ^= (uint8_t)(1u << bit);
      gs_model_close(m);
      gs_err_free(&e);
      gs_arena_free(&a);
    }
  wire_free(&w);
}
END_TEST

/* ---- round trips ---- */

static bool no_raw(void *user, const ProtobufCMessage *msg, gs_tensor *out) {
  (void)user;
  (void)msg;
  (void)out;
  return false;
}

/* The bytes of a model as protobuf-c itself writes them. */
static const uint8_t *canonical(const uint8_t *p, size_t n, size_t *size) {
  Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, n, p);
  ck_assert_ptr_nonnull(m);
  *size = onnx__model_proto__get_packed_size(m);
  uint8_t *out = gs_alloc(&arena, *size + 1);
  onnx__model_proto__pack(m, out);
  ck_assert_uint_eq(gs_pack_size(&m->base, no_raw, NULL), *size);
  onnx__model_proto__free_unpacked(m, NULL);
  return out;
}

static void check_round_trip(const char *path, const char *copy) {
  gs_model *m = NULL;
  gs_err_clear(&err);
  gs_status st = gs_model_read(&arena, path, NULL, &m, &err);
  ck_assert_msg(st == GS_OK, "%s", messages());
  st = gs_model_write(m, copy, &err);
  ck_assert_msg(st == GS_OK, "%s", messages());
  gs_graph *g = NULL;
  st = gs_model_import(m, &g, &err);
  ck_assert_msg(!st || st == GS_UNSUPPORTED, "%s: %s", path, messages());
  if (!st) ck_assert_int_eq(gs_graph_check(g, &err), GS_OK);
  gs_model_close(m);
  size_t n1, n2, c1, c2;
  const uint8_t *p1 = get_file(path, &n1), *p2 = get_file(copy, &n2);
  const uint8_t *a = canonical(p1, n1, &c1), *b = canonical(p2, n2, &c2);
  ck_assert_msg(c1 == c2 && !memcmp(a, b, c1), "%s: differs", path);
}

/* Models of ONNX's own backend tests, where they are installed. */
START_TEST(corpus) {
  const char *root = "/usr/include/onnx/backend/test/data/node";
  DIR *d = opendir(root);
  if (!d) return;
  int n = 0;
  for (struct dirent *x; (x = readdir(d));) {
    const char *path = gs_sprintf(&arena, "%s/%s/model.onnx", root, x->d_name);
    if (x->d_name[0] == '.' || access(path, R_OK)) continue;
    check_round_trip(path, in_dir("copy.onnx"));
    n++;
  }
  closedir(d);
  printf("%d models read, written and compared\n", n);
  ck_assert_int_gt(n, 300);
}
END_TEST

/* Unknown fields at every level survive, also next to raw_data in the file. */
START_TEST(unknown_kept) {
  wire out = {0}, g = {0}, t = {0};
  float data[4096];
  for (int i = 0; i < 4096; i++) data[i] = (float)i;
  wire_int(&t, 1, 4096);
  wire_int(&t, 2, 1);
  wire_str(&t, 8, "big");
  wire_blob(&t, 9, data, sizeof data);
  wire_str(&t, 77, "tensor extra");
  wire_msg(&g, 5, &t);
  wire_int(&g, 200, -1);
  wire_int(&out, 1, 8);
  wire_msg(&out, 7, &g);
  wire_tag(&out, 99, 5);
  wire_bytes(&out, "abcd", 4);
  wire o = {0};
  wire_int(&o, 2, 18);
  wire_msg(&out, 8, &o);
  const char *path = in_dir("a.onnx");
  put_file(path, out.at, out.n);
  wire_free(&out);
  check_round_trip(path, in_dir("b.onnx"));
  ck_assert_int_eq(err.n, 1); /* the warning about unknown fields */
}
END_TEST

/* ---- import ---- */

static void opset(wire *w, uint32_t field, const char *domain, int64_t v) {
  wire o = {0};
  wire_str(&o, 1, domain);
  wire_int(&o, 2, v);
  wire_msg(w, field, &o);
}

static void graph_node(wire *g, uint32_t field, const char *domain,
                       const char *op, const char *in, const char *out,
                       wire *attr) {
  wire n = {0};
  if (in) wire_str(&n, 1, in);
  wire_str(&n, 2, out);
  wire_str(&n, 4, op);
  if (attr) wire_msg(&n, 5, attr);
  if (*domain) wire_str(&n, 7, domain);
  wire_msg(g, field, &n);
}

static void port(wire *g, uint32_t field, const char *name) {
  wire v = {0}, t = {0}, x = {0}, s = {0}, d = {0};
  wire_str(&d, 2, "n");
  wire_msg(&s, 1, &d);
  wire_int(&x, 1, 1);
  wire_msg(&x, 2, &s);
  wire_msg(&t, 1, &x);
  wire_str(&v, 1, name);
  wire_msg(&v, 2, &t);
  wire_msg(g, field, &v);
}

/* A function with an attribute, called twice; its inner name "h" clashes with
 * a name of the main graph. */
START_TEST(functions) {
  wire out = {0}, g = {0}, f = {0}, a = {0}, b = {0};
  wire_str(&a, 1, "alpha");
  wire_str(&a, 21, "slope");
  wire_int(&a, 20, 1);
  graph_node(&f, 7, "", "LeakyRelu", "p", "h", &a);
  graph_node(&f, 7, "", "Abs", "h", "q", NULL);
  wire_str(&f, 1, "F");
  wire_str(&f, 4, "p");
  wire_str(&f, 5, "q");
  wire_str(&f, 6, "slope");
  opset(&f, 9, "", 16);
  wire_str(&f, 10, "my");
  wire_str(&b, 1, "slope");
  wire_tag(&b, 2, 5);
  wire_bytes(&b, "\0\0\0\x3f", 4); /* 0.5 */
  wire_int(&b, 20, 1);
  graph_node(&g, 1, "my", "F", "x", "h", &b);
  graph_node(&g, 1, "my", "F", "h", "F/h", NULL);
  graph_node(&g, 1, "", "Neg", "F/h", "y", NULL);
  port(&g, 11, "x");
  port(&g, 12, "y");
  wire_int(&out, 1, 8);
  wire_msg(&out, 7, &g);
  opset(&out, 8, "", 18);
  opset(&out, 8, "my", 1);
  wire_msg(&out, 25, &f);
  gs_graph *r = import(read_bytes(out.at, out.n));
  wire_free(&out);
  ck_assert_int_eq(r->node.n, 5);
  ck_assert_str_eq(r->node.at[0]->op_type, "LeakyRelu");
  ck_assert_int_eq(r->node.at[0]->opset, 16);
  ck_assert_int_eq(r->node.at[4]->opset, 18);
  ck_assert(gs_node_float(r->node.at[0], "alpha", 9) == 0.5);
  ck_assert(gs_node_float(r->node.at[2], "alpha", 9) == 9);
  ck_assert_str_eq(r->node.at[1]->out[0]->name, "h");
  ck_assert_str_eq(r->node.at[3]->out[0]->name, "F/h");
  ck_assert_str_eq(r->output.at[0]->name, "y");
  ck_assert_str_eq(r->input.at[0]->dim_names[0], "n");
  ck_assert_int_eq(r->input.at[0]->dims[0], -1);
}
END_TEST

/* A function that returns its input, and one output twice. */
START_TEST(passing_function) {
  wire out = {0}, g = {0}, f = {0}, n = {0};
  wire_str(&f, 1, "F");
  wire_str(&f, 4, "p");
  wire_str(&f, 5, "p");
  wire_str(&f, 10, "my");
  wire_str(&n, 1, "x");
  wire_str(&n, 2, "y");
  wire_str(&n, 4, "F");
  wire_str(&n, 7, "my");
  wire_msg(&g, 1, &n);
  port(&g, 11, "x");
  port(&g, 12, "y");
  wire_int(&out, 1, 8);
  wire_msg(&out, 7, &g);
  opset(&out, 8, "", 18);
  opset(&out, 8, "my", 1);
  wire_msg(&out, 25, &f);
  gs_graph *r = import(read_bytes(out.at, out.n));
  wire_free(&out);
  ck_assert_int_eq(r->node.n, 1);
  ck_assert_str_eq(r->output.at[0]->name, "y");
  ck_assert_ptr_eq(r->output.at[0]->def->in[0], r->input.at[0]);
}
END_TEST

/* Every element type, by raw_data and by its typed field. */
START_TEST(all_types) {
  for (int t = 1; t < GS_NDTYPE; t++) {
    int64_t dims[1] = {4};
    gs_tensor *made = NULL, *back = NULL;
    if (t == GS_STRING) {
      made = GS_NEW(&arena, gs_tensor);
      static const gs_string s[4] = {
          {"a", 1}, {"", 0}, {"b\0c", 3}, {"\xff", 1}};
      *made = (gs_tensor){.dtype = GS_STRING, .rank = 1, .dims = dims,
                          .strings = s};
    } else {
      ck_assert_int_eq(gs_tensor_new(&arena, (gs_dtype)t, 1, dims, &made,
                                     &err), 0);
      for (uint64_t i = 0; i < made->nbytes; i++)
        ((uint8_t *)(uintptr_t)made->data)[i] =
            (uint8_t)(t == GS_BOOL ? i & 1 : i * 7 + 1);
    }
    const char *path = in_dir("t.pb");
    ck_assert_int_eq(gs_pb_write(path, made, &err), 0);
    ck_assert_msg(!gs_pb_read(&arena, path, &back, &err), "%s", messages());
    ck_assert_int_eq(back->dtype, t);
    ck_assert_uint_eq(back->nbytes, made->nbytes);
    if (t != GS_STRING)
      ck_assert_mem_eq(gs_tensor_bytes(back), made->data, made->nbytes);
    else ck_assert_mem_eq(back->strings[2].at, "b\0c", 3);
  }
}
END_TEST

/* int32_data of one type, as given entries. */
static const uint8_t *typed(int type, int64_t n, int entries,
                            const int64_t *v) {
  wire w = {0}, packed = {0};
  wire_int(&w, 1, n);
  wire_int(&w, 2, type);
  for (int i = 0; i < entries; i++) wire_varint(&packed, (uint64_t)v[i]);
  wire_msg(&w, 5, &packed);
  const char *path = in_dir("typed.pb");
  put_file(path, w.at, w.n);
  wire_free(&w);
  gs_tensor *t = NULL;
  ck_assert_msg(!gs_pb_read(&arena, path, &t, &err), "%s", messages());
  return gs_tensor_bytes(t);
}

START_TEST(int32_data) {
  const int64_t v[] = {-1, 2, 3};
  ck_assert_mem_eq(typed(GS_INT8, 3, 3, v), "\xff\2\3", 3);
  ck_assert_mem_eq(typed(GS_INT16, 3, 3, v), "\xff\xff\2\0\3\0", 6);
  ck_assert_mem_eq(typed(GS_FLOAT16, 1, 1, (const int64_t[]){0x3c00}),
                   "\0\x3c", 2);
  ck_assert_mem_eq(typed(GS_INT4, 3, 2, (const int64_t[]){0x21, 0x3}),
                   "\x21\3", 2);
  ck_assert_mem_eq(typed(GS_UINT2, 5, 2, (const int64_t[]){0xe4, 1}),
                   "\xe4\1", 2);
  ck_assert_mem_eq(typed(GS_BOOL, 4, 4, (const int64_t[]){0, 1, 85, 255}),
                   "\0\1\1\1", 4);
}
END_TEST

static void bool_weight(wire *graph, const char *name, const uint8_t *bytes,
                        size_t n, const char *location) {
  wire t = {0}, x = {0};
  wire_int(&t, 1, (int64_t)n);
  wire_int(&t, 2, GS_BOOL);
  wire_str(&t, 8, name);
  if (location) {
    wire_str(&x, 1, "location");
    wire_str(&x, 2, location);
    wire_msg(&t, 13, &x);
    wire_int(&t, 14, 1);
  } else {
    wire_blob(&t, 9, bytes, n);
  }
  wire_msg(graph, 5, &t);
}

/* Bytes of bool, wherever they lie: in the message, in the model's file, in
 * external data. */
START_TEST(bool_bytes) {
  enum { LARGE = 10000 };
  static uint8_t bytes[LARGE];
  static const char *const names[] = {"small", "large", "external"};
  wire out = {0}, g = {0};
  for (int i = 0; i < LARGE; i++) bytes[i] = (uint8_t)(i % 3 * 100);
  put_file(in_dir("w.bin"), bytes, LARGE);
  bool_weight(&g, names[0], bytes, 10, NULL);
  bool_weight(&g, names[1], bytes, LARGE, NULL);
  bool_weight(&g, names[2], NULL, LARGE, "w.bin");
  wire_int(&out, 1, 8);
  wire_msg(&out, 7, &g);
  opset(&out, 8, "", 18);
  put_file(in_dir("b.onnx"), out.at, out.n);
  wire_free(&out);
  gs_model *m;
  gs_status st = gs_model_read(&arena, in_dir("b.onnx"), NULL, &m, &err);
  ck_assert_msg(!st, "%s", messages());
  const gs_graph *graph = import(m);
  for (int k = 0; k < 3; k++) {
    const gs_tensor *t = gs_graph_find(graph, names[k])->constant;
    const uint8_t *p = gs_tensor_bytes(t);
    for (uint64_t i = 0; i < t->nbytes; i++) ck_assert_int_eq(p[i], i % 3 > 0);
  }
  gs_model_close(m);
}
END_TEST

/* ---- external data ---- */

static void external_model(const char *path, const char *location) {
  wire out = {0}, g = {0}, t = {0}, x = {0};
  wire_int(&t, 1, 16);
  wire_int(&t, 2, 2);
  wire_str(&t, 8, "w");
  wire_str(&x, 1, "location");
  wire_str(&x, 2, location);
  wire_msg(&t, 13, &x);
  wire_int(&t, 14, 1);
  wire_msg(&g, 5, &t);
  graph_node(&g, 1, "", "Relu", "w", "y", NULL);
  port(&g, 12, "y");
  wire_int(&out, 1, 8);
  wire_msg(&out, 7, &g);
  opset(&out, 8, "", 18);
  put_file(path, out.at, out.n);
  wire_free(&out);
}

static const char bytes16[] = "0123456789abcdef";

/* Hugging Face's cache: the model and its data are links into a store. */
START_TEST(linked_store) {
  mkdir(in_dir("blobs"), 0777);
  mkdir(in_dir("snapshot"), 0777);
  external_model(in_dir("blobs/m"), "w.bin");
  put_file(in_dir("blobs/d"), bytes16, 16);
  ck_assert_int_eq(symlink("../blobs/m", in_dir("snapshot/m.onnx")), 0);
  ck_assert_int_eq(symlink("../blobs/d", in_dir("snapshot/w.bin")), 0);
  gs_model *m;
  gs_graph *g = open_graph(in_dir("snapshot/m.onnx"), &m);
  const gs_tensor *t = gs_graph_find(g, "w")->constant;
  ck_assert_mem_eq(gs_tensor_bytes(t), bytes16, 16);
  gs_model_close(m);
}
END_TEST

/* External data follows a model that is written elsewhere: kept by a new
 * relative name below the output, copied in otherwise. */
START_TEST(relocation) {
  mkdir(in_dir("sub"), 0777);
  mkdir(in_dir("other"), 0777);
  external_model(in_dir("sub/m.onnx"), "w.bin");
  put_file(in_dir("sub/w.bin"), bytes16, 16);
  gs_model *m, *m2;
  open_graph(in_dir("sub/m.onnx"), &m);
  const char *const to[] = {"sub/n.onnx", "n.onnx", "other/n.onnx"};
  for (int i = 0; i < 3; i++) {
    ck_assert_msg(!gs_model_write(m, in_dir(to[i]), &err), "%s", messages());
    gs_graph *g = open_graph(in_dir(to[i]), &m2);
    const gs_tensor *t = gs_graph_find(g, "w")->constant;
    ck_assert_mem_eq(gs_tensor_bytes(t), bytes16, 16);
    const gs_external *x = gs_model_external(m2, t);
    if (i == 2) ck_assert_ptr_null(x);
    else ck_assert_str_eq(x->location, i ? "sub/w.bin" : "w.bin");
    gs_model_close(m2);
  }
  gs_model_close(m);
}
END_TEST

START_TEST(missing_data) {
  external_model(in_dir("m.onnx"), "gone.bin");
  gs_model *m, *m2;
  gs_graph *g = open_graph(in_dir("m.onnx"), &m);
  const gs_tensor *t = gs_graph_find(g, "w")->constant;
  ck_assert_uint_eq(t->nbytes, 16);
  ck_assert_ptr_null(gs_tensor_bytes(t));
  ck_assert_int_eq(gs_model_need_data(m, g, &err), GS_NOINPUT);
  ck_assert_ptr_nonnull(strstr(messages(), "gone.bin"));
  /* A program made from it refers to the same place. */
  const char *domain = "";
  const int64_t version = 18;
  gs_model_info info = {.nopset = 1, .opset_domain = &domain,
                        .opset_version = &version, .source = m};
  ck_assert_int_eq(gs_model_from_graph(&arena, g, &info, &m2, &err), 0);
  ck_assert_int_eq(gs_model_write(m2, in_dir("p.onnx"), &err), 0);
  g = open_graph(in_dir("p.onnx"), &m2);
  t = gs_graph_find(g, "w")->constant;
  ck_assert_str_eq(gs_model_external(m2, t)->location, "gone.bin");
  gs_model_close(m2);
  gs_model_close(m);
}
END_TEST

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "--malformed"))
    return malformed_write(argv[2]);
  if (argc == 3 && !strcmp(argv[1], "--samples"))
    return samples_write(argv[2]);
  if (argc == 4 && !strcmp(argv[1], "--same"))
    return samples_same(argv[2], argv[3]);
  if (argc == 4 && !strcmp(argv[1], "--json"))
    return json_check(argv[2], argv[3]);
  TCase *t = tcase_create("onnx");
  tcase_add_checked_fixture(t, setup_dir, teardown_dir);
  tcase_add_test(t, malformed_models_test);
  tcase_add_test(t, malformed_tensors_test);
  tcase_add_test(t, truncation);
  tcase_add_test(t, bit_flips);
  tcase_add_test(t, corpus);
  tcase_add_test(t, unknown_kept);
  tcase_add_test(t, functions);
  tcase_add_test(t, passing_function);
  tcase_add_test(t, all_types);
  tcase_add_test(t, int32_data);
  tcase_add_test(t, bool_bytes);
  tcase_add_test(t, linked_store);
  tcase_add_test(t, relocation);
  tcase_add_test(t, missing_data);
  return suite_run("onnx", t);
}
