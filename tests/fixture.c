#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "malformed.h"

gs_arena arena;
gs_err err;
static char dir[64];

void setup(void) {
  gs_arena_init(&arena);
  gs_err_init(&err);
}

void teardown(void) {
  gs_err_free(&err);
  gs_arena_free(&arena);
}

void setup_dir(void) {
  setup();
  strcpy(dir, "/tmp/gshard-test-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(dir));
}

void teardown_dir(void) {
  char command[96];
  teardown();
  snprintf(command, sizeof command, "rm -rf %s", dir);
  ck_assert_int_eq(system(command), 0);
}

const char *in_dir(const char *name) {
  return gs_sprintf(&arena, "%s/%s", dir, name);
}

const uint8_t *get_file(const char *path, size_t *n) {
  const uint8_t *p;
  ck_assert_int_eq(gs_slurp(&arena, path, SIZE_MAX / 4, &p, n, &err), 0);
  return p;
}

const char *messages(void) {
  gs_buf b;
  gs_buf_init(&b, &arena);
  for (int i = 0; i < err.n; i++)
    gs_buf_printf(&b, "%s: %s\n", err.diag[i].place ? err.diag[i].place : "",
                  err.diag[i].text);
  return b.at;
}

gs_model *read_bytes(const void *p, size_t n) {
  gs_model *m = NULL;
  gs_status st = gs_model_parse(&arena, "m.onnx", p, n, NULL, &m, &err);
  ck_assert_msg(st == GS_OK, "%s", messages());
  return m;
}

gs_graph *import(gs_model *m) {
  gs_graph *g = NULL;
  gs_status st = gs_model_import(m, &g, &err);
  ck_assert_msg(st == GS_OK, "%s", messages());
  st = gs_graph_check(g, &err);
  ck_assert_msg(st == GS_OK, "%s", messages());
  return g;
}

gs_graph *open_graph(const char *path, gs_model **m) {
  gs_status st = gs_model_read(&arena, path, NULL, m, &err);
  ck_assert_msg(st == GS_OK, "%s", messages());
  return import(*m);
}

gs_graph *annotated(gs_model **m, const char *mesh_text, const char *sharding) {
  wire w = base_model();
  uint8_t *copy = gs_memdup(&arena, w.at, w.n);
  *m = read_bytes(copy, w.n);
  wire_free(&w);
  gs_graph *g = import(*m);
  gs_mesh *mesh = GS_NEW(&arena, gs_mesh);
  ck_assert_int_eq(gs_mesh_parse(mesh_text, &arena, mesh, &err), 0);
  g->mesh = mesh;
  for (int i = 0; i < g->value.n; i++)
    ck_assert_int_eq(gs_sharding_parse(&arena, mesh, sharding,
                                       &g->value.at[i]->sharding, &err), 0);
  return g;
}
