#include "load.h"

#include "pass/upgrade.h"

static gs_status put_all(gs_bindings *to, const gs_bindings *from,
                         gs_err *e) {
  for (int i = 0; from && i < from->map.n; i++) {
    int64_t n = 0;
    gs_bindings_get(from, from->map.entry[i].key, &n);
    GS_TRY(gs_bindings_put(to, from->map.entry[i].key, n, e));
  }
  return GS_OK;
}

gs_status gs_load(gs_arena *a, const char *path, const gs_bindings *more,
                  gs_loaded *out, gs_err *e) {
  *out = (gs_loaded){0};
  GS_TRY(gs_model_read(a, path, NULL, &out->model, e));
  if (gs_model_meta(out->model, "gshard.program") ||
      gs_model_meta(out->model, "gshard.position")) {
    gs_fail(e, GS_DATA, path, "is a program, which was partitioned already");
    gs_err_hint(e, "gshard-run runs it");
    return GS_DATA;
  }
  GS_TRY(gs_model_import(out->model, &out->graph, e));
  GS_TRY(gs_pass_upgrade(out->graph, e));
  gs_bindings_init(&out->bind, a);
  const char *const *names;
  const int64_t *values;
  int n;
  GS_TRY(gs_model_binds(out->model, a, &names, &values, &n, e));
  for (int i = 0; i < n; i++)
    GS_TRY(gs_bindings_put(&out->bind, names[i], values[i], e));
  GS_TRY(put_all(&out->bind, more, e));
  return gs_pass_infer(a, out->graph, &out->bind, e);
}

gs_status gs_load_shardings(gs_arena *a, gs_loaded *l, gs_err *e) {
  GS_TRY(gs_model_shardings(l->model, l->graph, a, &l->mesh, e));
  if (l->mesh) l->graph->mesh = l->mesh;
  return GS_OK;
}

gs_status gs_load_binds(const gs_cli *c, gs_bindings *b, gs_err *e) {
  for (int i = 0; i < gs_cli_count(c, "bind"); i++)
    GS_TRY(gs_bindings_parse(b, gs_cli_at(c, "bind", i), e));
  return GS_OK;
}
