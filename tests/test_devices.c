/* Lists of devices that stay in the model's file while the shardings are
 * there as metadata. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edit_model.h"
#include "fixture.h"
#include "io/onnx/onnx_model.h"

static const char *const large_mesh = "mesh {dp=8, tp=16}";

/* The base model annotated for 128 devices, as bytes. */
static uint8_t *large_annotated(bool standard_only, size_t *n) {
  gs_model *m;
  gs_graph *g = annotated(&m, large_mesh, "{tp,dp}");
  gs_annotate_options opt = {.standard_only = standard_only,
                             .fields = GS_FIELDS_YES};
  ck_assert_msg(!gs_model_annotate(m, g, &opt, &err), "%s", messages());
  ck_assert_int_eq(gs_model_write(m, in_dir("large.onnx"), &err), 0);
  gs_model_close(m);
  const uint8_t *p = get_file(in_dir("large.onnx"), n);
  return gs_memdup(&arena, p, *n);
}

static Onnx__ShardingSpecProto *first_spec(const gs_model *m) {
  return m->proto->graph->node[0]->device_configurations[0]->sharding_spec[0];
}

static gs_status shardings_of(gs_model *m, const char *configuration,
                              const char **mesh_text) {
  gs_graph *g = import(m);
  gs_mesh *mesh;
  for (int i = 0; i < g->value.n; i++)
    gs_value_shape(g, g->value.at[i], 2, (const int64_t[]){2, 2});
  gs_status st = gs_model_shardings(m, g, &arena, configuration, &mesh, NULL,
                                    &err);
  gs_buf b;
  gs_buf_init(&b, &arena);
  if (!st) gs_mesh_print(&b, mesh);
  if (!st) gs_sharding_print(&b, mesh, gs_graph_find(g, "x")->sharding);
  if (mesh_text) *mesh_text = b.at;
  return st;
}

static gs_status shardings(gs_model *m, const char **mesh_text) {
  return shardings_of(m, NULL, mesh_text);
}

static void check_written(gs_model *m, const uint8_t *p, size_t n) {
  size_t size;
  ck_assert_int_eq(gs_model_write(m, in_dir("again.onnx"), &err), 0);
  const uint8_t *q = get_file(in_dir("again.onnx"), &size);
  ck_assert_uint_eq(size, n);
  ck_assert_mem_eq(q, p, n);
}

/* With metadata the lists are not unpacked, and written as they were. */
START_TEST(specs_left) {
  size_t n;
  const char *text;
  const uint8_t *p = large_annotated(false, &n);
  gs_model *m = read_bytes(p, n);
  ck_assert(first_spec(m)->has_raw_ref_length);
  ck_assert_uint_gt(first_spec(m)->raw_ref_length, 128);
  ck_assert_uint_eq(first_spec(m)->n_device, 0);
  ck_assert_int_eq(shardings(m, &text), 0);
  ck_assert_str_eq(text, "mesh {dp=8, tp=16}{tp,dp}");
  check_written(m, p, n);
  gs_model *again = NULL;
  ck_assert_int_eq(gs_model_read(&arena, in_dir("large.onnx"), NULL, &again,
                                 &err), 0);
  check_written(again, p, n);
  gs_model_close(again);
}
END_TEST

/* Without metadata they are, at once or when they are asked for. */
START_TEST(specs_read) {
  size_t n;
  const char *text, *inferred = "mesh {d0=8, d1=16}{d1,d0}";
  const uint8_t *p = large_annotated(true, &n);
  gs_model *m = read_bytes(p, n);
  ck_assert_uint_eq(first_spec(m)->n_device, 128);
  ck_assert_int_eq(shardings(m, &text), 0);
  ck_assert_str_eq(text, inferred);
  check_written(m, p, n);
  p = large_annotated(false, &n);
  m = read_bytes(p, n);
  gs_model_meta_set(m, "gshard.mesh", NULL);
  ck_assert_int_eq(shardings(m, &text), 0);
  ck_assert_str_eq(text, inferred);
  ck_assert_uint_eq(first_spec(m)->n_device, 128);
  const char *count = gs_model_meta(m, "gshard.annotated");
  gs_model_meta_set(m, "gshard.annotated", NULL); /* it comes after */
  gs_model_meta_set(m, "gshard.mesh", large_mesh);
  gs_model_meta_set(m, "gshard.annotated", count);
  check_written(m, p, n);
  m = read_bytes(p, n);
  gs_model_meta_set(m, "gshard.mesh", NULL);
  m->limit.memory_factor = 1;
  m->limit.memory_base = 3000;
  ck_assert_int_eq(shardings(m, NULL), GS_DATA);
  ck_assert_msg(strstr(messages(), "memory") != NULL, "%s", messages());
}
END_TEST

/* What is not looked at may be malformed; it is an error once it is read. */
START_TEST(specs_malformed) {
  size_t n;
  uint8_t *p = large_annotated(false, &n);
  size_t at = first_spec(read_bytes(p, n))->raw_ref_offset;
  p[at] |= 7; /* no wire type of protobuf */
  gs_model *m = read_bytes(p, n);
  ck_assert_int_eq(shardings(m, NULL), 0);
  check_written(m, p, n);
  gs_model_meta_set(m, "gshard.mesh", NULL);
  ck_assert_int_eq(shardings(m, NULL), GS_DATA);
  ck_assert_msg(strstr(messages(), "sharding_spec[0]: byte 0") != NULL, "%s",
                messages());
  uint8_t *key = memmem(p, n, "gshard.mesh", 11);
  ck_assert_ptr_nonnull(key);
  key[10] = 'p'; /* gshard.mesp: no metadata of ours */
  gs_err_clear(&err);
  ck_assert_int_eq(gs_model_parse(&arena, "m", p, n, NULL, &m, &err), GS_DATA);
  ck_assert_msg(strstr(messages(), "sharding_spec[0]") != NULL, "%s",
                messages());
}
END_TEST

/* A later annotation replaces lists that were never read; those of another
 * configuration stay. */
START_TEST(specs_replaced) {
  size_t n, size;
  const char *text;
  const uint8_t *p = large_annotated(false, &n);
  gs_model *m = read_bytes(p, n), *fresh;
  gs_graph *g = annotated(&fresh, "mesh {a=4}", "{~,a}");
  ck_assert_int_eq(gs_model_annotate(m, g, NULL, &err), 0);
  ck_assert_int_eq(gs_model_annotate(fresh, g, NULL, &err), 0);
  ck_assert_int_eq(gs_model_write(fresh, in_dir("fresh.onnx"), &err), 0);
  const uint8_t *q = get_file(in_dir("fresh.onnx"), &size);
  check_written(m, q, size);
  m = read_bytes(p, n);
  gs_annotate_options opt = {.configuration = "c", .standard_only = true};
  ck_assert_int_eq(gs_model_annotate(m, g, &opt, &err), 0);
  ck_assert_int_eq(shardings(m, &text), 0); /* the first configuration */
  ck_assert_str_eq(text, "mesh {d0=8, d1=16}{d1,d0}");
}
END_TEST

/* A list that no mesh explains is a device order; a mesh that is known is asked
 * for one first. */
START_TEST(orders_read) {
  static const struct {
    const char *mesh, *sharding, *inferred;
  } list[] = {
      {"mesh {d=4, z=[0,1,3,2]}", "{z,~}",
       "mesh {d0=4, order1=[0,1,3,2]}{order1,~}"},
      {"mesh {d=6, z=[5,0,4,1,3,2]:3}", "{z:(3)2,z:(1)3}",
       "mesh {d0=6, order1=[5,4,3,0,1,2]}{order1:(1)2,order1:(2)3}"},
      {"mesh {a=2, b=4, z=[0,7,1,6,2,5,3,4]}", "{~,z:(1)4}",
       "mesh {d0=8, order1=[0,7,1,6,2,5,3,4]}{~,order1:(1)4}"},
  };
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    gs_model *m;
    const char *text;
    gs_graph *g = annotated(&m, list[i].mesh, list[i].sharding);
    gs_annotate_options opt = {.fields = GS_FIELDS_YES};
    ck_assert_int_eq(gs_model_annotate(m, g, &opt, &err), 0);
    const char *same = gs_sprintf(&arena, "%s%s", list[i].mesh,
                                  list[i].sharding);
    ck_assert_int_eq(shardings_of(m, GS_CONFIGURATION, &text), 0);
    ck_assert_str_eq(text, same);
    opt.standard_only = true;
    ck_assert_int_eq(gs_model_annotate(m, g, &opt, &err), 0);
    ck_assert_msg(!shardings(m, &text), "%s", messages());
    ck_assert_str_eq(text, list[i].inferred);
  }
}
END_TEST

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "--edit"))
    return edit_model(argv[2], argv[3], argv[4]);
  TCase *t = tcase_create("devices");
  tcase_add_checked_fixture(t, setup_dir, teardown_dir);
  tcase_add_test(t, specs_left);
  tcase_add_test(t, specs_read);
  tcase_add_test(t, specs_malformed);
  tcase_add_test(t, specs_replaced);
  tcase_add_test(t, orders_read);
  return suite_run("devices", t);
}
