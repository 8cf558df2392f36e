/* plan.yaml: what is written reads back, and what is wrong is refused. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "io/plan/plan_io.h"

static void ok(gs_status s) {
  ck_assert_msg(s == GS_OK, "%s", err.n ? err.diag[0].text : "?");
}

static gs_plan_io io(const gs_mesh *m, const char *name, gs_dtype dtype,
                     const char *sharding) {
  static const int64_t dims[] = {8, 6};
  gs_plan_io out = {.name = name, .dtype = dtype, .rank = 2, .dims = dims};
  ok(gs_sharding_parse(&arena, m, sharding, &out.sharding, &err));
  return out;
}

static const int64_t pieces[] = {1, 0, 7, -1, 4, 0, 2, 0, 0, 1, 1, 4};

static gs_plan *sample(gs_plan_kind kind) {
  gs_plan_exchange *exchanges = GS_NEWS(&arena, 12, gs_plan_exchange);
  for (int i = 0; i < 12; i++)
    exchanges[i] = (gs_plan_exchange){gs_sprintf(&arena, "e.%d", i), 6, 12,
                                      pieces, pieces};
  exchanges[1].ngive = 0;
  gs_plan *p = GS_NEW(&arena, gs_plan);
  p->producer = "gshard 0.1";
  p->kind = kind;
  ok(gs_mesh_add(&p->mesh, "dp", 1, &err));
  ok(gs_mesh_add(&p->mesh, "tp", 12, &err));
  static const int64_t zigzag[] = {0, 11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6};
  ok(gs_mesh_add_order(&p->mesh, &arena, "z", zigzag, &err));
  ok(gs_mesh_cut(&p->mesh, 1, 3, &err));
  ok(gs_mesh_cut(&p->mesh, 2, 4, &err));
  ok(gs_mesh_finish(&p->mesh, &err));
  int64_t *ids = GS_NEWS(&arena, 12, int64_t);
  for (int i = 0; i < 12; i++) ids[i] = 11 - i;
  p->mesh.device_ids = ids;
  for (int i = 0; i < (kind == GS_PLAN_SPMD ? 1 : 12); i++)
    *gs_push(&arena, &p->file) = (gs_plan_file){
        .name = kind == GS_PLAN_SPMD
                    ? "program.onnx"
                    : gs_sprintf(&arena, "device%04d.onnx", i),
        .size = (uint64_t)i << 40,
        .hash = UINT64_MAX - (uint64_t)i,
        .nexchange = kind == GS_PLAN_SPMD ? 0 : i,
        .exchange = exchanges};
  *gs_push(&arena, &p->input) = io(&p->mesh, "x \"1\"", GS_FLOAT, "{tp,~}");
  *gs_push(&arena, &p->input) = io(&p->mesh, "", GS_INT64, "{tp:(1)3,tp:(3)4}");
  *gs_push(&arena, &p->input) = io(&p->mesh, "z", GS_FLOAT, "{z:(4)3,z:(1)4}");
  *gs_push(&arena, &p->output) = io(&p->mesh, "y", GS_BFLOAT16, "{~,?}");
  *gs_push(&arena, &p->weights) = (gs_plan_weights){
      "weights.data", 1 << 20, "weights.xxh3", UINT64_MAX, 12};
  gs_plan_collective *c = gs_push(&arena, &p->collective);
  *c = (gs_plan_collective){.op = "AllReduce", .tensor = "h.1",
                            .bytes = 4096, .origin = "s.yaml:5:5"};
  c->axes = gs_axes_named(&p->mesh, 1);
  return p;
}

static const char *text_of(gs_plan *p, size_t *n) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_plan_write(&b, p);
  *n = b.n;
  return b.at;
}

static void round_trip(gs_plan_kind kind) {
  gs_plan *p = sample(kind), *q;
  size_t n, m;
  const char *text = text_of(p, &n);
  gs_status s = gs_plan_parse(&arena, "plan.yaml", text, n, true, &q,
                              &err);
  ck_assert_msg(s == GS_OK, "%s in\n%s", err.n ? err.diag[0].text : "?", text);
  ck_assert_str_eq(text_of(q, &m), text);
  ck_assert(q->hash == p->hash);
  ck_assert_int_eq(q->kind, p->kind);
  ck_assert_int_eq(q->file.n, p->file.n);
  for (int i = 0; i < q->file.n; i++) {
    const gs_plan_file *f = &q->file.at[i];
    ck_assert_int_eq(f->nexchange, p->file.at[i].nexchange);
    for (int k = 0; k < f->nexchange; k++) {
      ck_assert_int_eq(f->exchange[k].ngive, k == 1 ? 0 : 6);
      ck_assert_int_eq(f->exchange[k].ntake, 12);
      ck_assert(!memcmp(f->exchange[k].takes, pieces, sizeof pieces));
    }
  }
  ck_assert_int_eq(q->mesh.nsub, p->mesh.nsub);
  ck_assert_int_eq((int)q->mesh.device_ids[0], 11);
  ck_assert_int_eq((int)q->mesh.order[1].position[1], 11);
  ck_assert_str_eq(q->input.at[0].name, "x \"1\"");
  ck_assert(gs_sharding_equal(q->input.at[1].sharding,
                              p->input.at[1].sharding));
  ck_assert_int_eq(q->weights.n, 1);
  ck_assert(q->weights.at[0].hash == UINT64_MAX);
  ck_assert_str_eq(q->weights.at[0].hashes, "weights.xxh3");
  ck_assert_int_eq((int)q->weights.at[0].devices, 12);
  ck_assert(q->file.at[0].hash == UINT64_MAX);
  ck_assert_int_eq((int)q->collective.at[0].bytes, 4096);
}

START_TEST(test_round_trip) {
  round_trip(GS_PLAN_SPMD);
  round_trip(GS_PLAN_DEVICE);
}
END_TEST

/* A plan with files of weights for 8 and for 4 of its devices. */
static gs_plan *with_files(gs_plan_kind kind) {
  gs_plan *p = sample(kind);
  p->weights.n = 0;
  *gs_push(&arena, &p->weights) =
      (gs_plan_weights){"weights0.data", 1 << 20, "weights0.xxh3", 5, 8};
  *gs_push(&arena, &p->weights) =
      (gs_plan_weights){"weights1.data", 1 << 19, "weights1.xxh3", 6, 4};
  return p;
}

START_TEST(test_weights_files) {
  gs_plan *p = with_files(GS_PLAN_DEVICE), *q;
  size_t n, m;
  const char *text = text_of(p, &n);
  ok(gs_plan_parse(&arena, "plan.yaml", text, n, true, &q, &err));
  ck_assert_str_eq(text_of(q, &m), text);
  ck_assert_int_eq(q->weights.n, 2);
  ck_assert_str_eq(q->weights.at[1].file, "weights1.data");
  ck_assert_int_eq((int)q->weights.at[1].devices, 4);
}
END_TEST

START_TEST(test_empty) {
  gs_plan p = {.producer = "", .kind = GS_PLAN_SPMD}, *q;
  size_t n;
  *gs_push(&arena, &p.file) = (gs_plan_file){.name = "a.onnx"};
  ok(gs_mesh_finish(&p.mesh, &err));
  const char *text = text_of(&p, &n);
  ok(gs_plan_parse(&arena, "plan.yaml", text, n, true, &q, &err));
  ck_assert_int_eq(q->weights.n, 0);
  ck_assert_int_eq((int)q->mesh.ndevice, 1);
}
END_TEST

/* Replaces a text in the sample; expects this code and message. */
static void refuse_in(gs_plan *p, const char *from, const char *to,
                      gs_status code, const char *message) {
  size_t n;
  gs_plan *q;
  const char *text = text_of(p, &n);
  const char *at = strstr(text, from);
  ck_assert_msg(at != NULL, "no '%s'", from);
  char *changed = gs_sprintf(&arena, "%.*s%s%s", (int)(at - text), text, to,
                             at + strlen(from));
  gs_err_clear(&err);
  gs_status s = gs_plan_parse(&arena, "plan.yaml", changed, strlen(changed),
                              true, &q, &err);
  ck_assert_msg(s == code, "%s -> %s: %d", from, to, (int)s);
  ck_assert_msg(strstr(err.diag[0].text, message), "%s", err.diag[0].text);
  ck_assert_msg(!strncmp(err.diag[0].place, "plan.yaml:", 10), "no place");
}

static void refuse_of(gs_plan_kind kind, const char *from, const char *to,
                      gs_status code, const char *message) {
  refuse_in(sample(kind), from, to, code, message);
}

static void refuse(const char *from, const char *to, gs_status code,
                   const char *message) {
  refuse_of(GS_PLAN_SPMD, from, to, code, message);
}

START_TEST(test_pieces_refused) {
  gs_plan_kind kind = GS_PLAN_DEVICE;
  refuse_of(kind, "7, -1, 4, 0]", "7, -1, 4]", GS_DATA, "each piece has 6");
  refuse_of(kind, "7, -1, 4, 0]", "7, -1, 4, x]", GS_DATA, "integer");
  refuse_of(kind, "tensor: \"e.0\", ", "", GS_DATA, "needs the key");
  refuse_of(kind, "gives: [1", "gives: [2", GS_MISMATCH, "hash");
}
END_TEST

START_TEST(test_weights_files_refused) {
  gs_plan *p = with_files(GS_PLAN_DEVICE);
  refuse_in(p, "devices: 4", "devices: 5", GS_DATA, "4 are left");
  refuse_in(p, "devices: 4", "devices: 3", GS_DATA, "leaves out devices");
  refuse_in(p, "devices: 4", "devices: 0", GS_DATA, "weights of 0 devices");
  refuse_in(p, ", devices: 4", "", GS_DATA, "needs the key");
  refuse_in(p, "\"weights1.data\"", "\"a/b\"", GS_DATA, "not the name");
  refuse_in(with_files(GS_PLAN_SPMD), "devices: 8", "devices: 8", GS_DATA,
            "device form");
  refuse_in(p, "weights_files:",
            "weights: {file: \"a\", hashes: \"b\", size: 1, "
            "hash: \"0000000000000000\"}\nweights_files:", GS_DATA,
            "not both");
}
END_TEST

START_TEST(test_refused) {
  refuse("4096", "4097", GS_MISMATCH, "hash");
  refuse("version: 2", "version: 1", GS_UNSUPPORTED, "plan version 1");
  ck_assert_int_eq(err.n, 1); /* nothing of keys that it does not have */
  refuse("version: 2", "version: 3", GS_UNSUPPORTED, "plan version 3");
  refuse("kind: spmd", "kind: spdm", GS_DATA, "expected kind");
  refuse("kind: spmd", "kind: device", GS_DATA, "has 12");
  refuse("\"program.onnx\"", "\"../program.onnx\"", GS_DATA, "not the name");
  refuse("\"program.onnx\"", "\"..\"", GS_DATA, "not the name");
  refuse("\"program.onnx\"", "\"\"", GS_DATA, "not the name");
  refuse("\"weights.data\"", "\"/etc/passwd\"", GS_DATA, "not the name");
  refuse("\"weights.xxh3\"", "\"../weights.xxh3\"", GS_DATA, "not the name");
  refuse("size: 0, ", "size: -1, ", GS_DATA, "integer");
  refuse(", hash: \"ffffffffffffffff\"}", "}", GS_DATA, "needs the key");
  refuse("\"{tp,~}\"", "\"{tp}\"", GS_DATA, "rank 2");
  refuse("\"{tp,~}\"", "\"{tp,tp}\"", GS_DATA, "twice");
  refuse("\"{tp,~}\"", "\"{xp,~}\"", GS_DATA, "no axis");
  refuse("dtype: f32", "dtype: f33", GS_DATA, "element type");
  refuse("\"{tp,~}\"}", "\"{tp,~}\", state: \"q\"}", GS_DATA,
         "no output 'q'");
  refuse("\"{tp,~}\"}", "\"{tp,~}\", state: 3}", GS_DATA, "no output '3'");
  refuse("\"{tp,~}\"}", "\"{tp,~}\", filled: -1}", GS_DATA, "integer");
  refuse("dims: [8, 6]", "dims: [8, -6]", GS_DATA, "integer");
  refuse("name: \"\"", "name: \"x \\\"1\\\"\"", GS_DATA, "twice");
  refuse("size: 12}", "size: 70000}", GS_DATA, "65536");
  refuse("at: 3", "at: 5", GS_DATA, "boundary");
  refuse("[11, 10", "[11, 11", GS_DATA, "permutation");
  refuse("[11, 10, ", "[11, ", GS_DATA, "lists 11");
  refuse("axes: \"tp\"", "axes: \"tp]\"", GS_DATA, "unexpected");
  refuse("bytes_per_device", "bytes", GS_DATA, "unknown key");
  refuse("hash: \"ffff", "hash: \"FFFF", GS_DATA, "hexadecimal");
  refuse("producer:", "product:", GS_DATA, "unknown key");
}
END_TEST

/* A changed plan can be run on purpose; its hash is then its own. */
START_TEST(test_unverified) {
  size_t n;
  gs_plan *p = sample(GS_PLAN_SPMD), *q;
  char *text = gs_strdup(&arena, text_of(p, &n));
  memcpy(strstr(text, "4096"), "4097", 4);
  ok(gs_plan_parse(&arena, "plan.yaml", text, n, false, &q, &err));
  ck_assert_int_eq((int)q->collective.at[0].bytes, 4097);
  ck_assert(q->hash != p->hash);
}
END_TEST

static const char *source(const char *path) {
  const char *dir = getenv("srcdir");
  return gs_sprintf(&arena, "%s/%s", dir ? dir : ".", path);
}

static char *slurp(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  gs_buf b;
  char chunk[4096];
  gs_buf_init(&b, &arena);
  for (size_t k; (k = fread(chunk, 1, sizeof chunk, f)) > 0;)
    gs_buf_add(&b, chunk, k);
  fclose(f);
  return b.at;
}

static void same_as(const char *path, const char *text) {
  if (suite_updates) {
    FILE *f = fopen(source(path), "wb");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
  }
  char *file = slurp(source(path));
  ck_assert_msg(file && !strcmp(file, text),
                "%s is old: run tests/gen/spec.sh", path);
}

START_TEST(test_schema) {
  char *text = NULL;
  size_t n;
  FILE *f = open_memstream(&text, &n);
  gs_plan_schema(f);
  fclose(f);
  char *copy = gs_strndup(&arena, text, n);
  free(text);
  same_as("schemas/gshard-plan.schema.json", copy);
}
END_TEST

START_TEST(test_manual) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  gs_plan_manual(&b);
  static const char begin[] = ".\\\" keys: begin\n";
  static const char end[] = ".\\\" keys: end\n";
  char *page = slurp(source("man/gshard-plan.5"));
  ck_assert_ptr_nonnull(page);
  char *from = strstr(page, begin), *to = strstr(page, end);
  ck_assert(from && to);
  from += strlen(begin);
  same_as("man/gshard-plan.5", gs_sprintf(&arena, "%.*s%s%s",
                                          (int)(from - page), page, b.at, to));
}
END_TEST

int main(int argc, char **argv) {
  suite_arguments(argc, argv);
  TCase *t = tcase_create("plan");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, test_round_trip);
  tcase_add_test(t, test_empty);
  tcase_add_test(t, test_refused);
  tcase_add_test(t, test_pieces_refused);
  tcase_add_test(t, test_weights_files);
  tcase_add_test(t, test_weights_files_refused);
  tcase_add_test(t, test_unverified);
  tcase_add_test(t, test_schema);
  tcase_add_test(t, test_manual);
  return suite_run("plan", t);
}
