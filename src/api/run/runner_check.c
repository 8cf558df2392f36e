/* gs_runner of gshard.h: comparing outputs. */
#include "api/run/run_check.h"
#include "api/run/runner.h"

static void set_tolerance(const gs_tolerances *t, gs_tolerance *tol) {
  if (!t) return;
  if (t->atol) {
    tol->scale = 0;
    tol->atol = *t->atol;
  }
  if (t->rtol) tol->rtol = *t->rtol;
}

/* ---- with test data ---- */

/* ONNX's own tolerances, looser for 16-bit floats. */
static gs_status compare_folder(gs_runner *r, const char *dir,
                                const gs_tolerances *t, gs_err *e) {
  gs_status result = GS_OK;
  GS_TRY(gs_runner_results(r, e));
  for (int i = 0; gs_runner_first(r) && i < gs_runner_outputs(r); i++) {
    gs_dyn *want;
    gs_dtype type = r->output[i]->t.dtype;
    const gs_value *v = r->source.graph->output.at[i];
    GS_TRY(gs_run_test_data(&r->in, dir, "output", i, v->kind, type, &want,
                            e));
    gs_tolerance tol = {.rtol = 1e-3, .atol = 1e-7};
    if (type == GS_FLOAT16) tol = (gs_tolerance){.rtol = 1e-2, .atol = 1e-3};
    if (type == GS_BFLOAT16) tol = (gs_tolerance){.rtol = 2e-2, .atol = 1e-2};
    set_tolerance(t, &tol);
    gs_status s = gs_check_outputs(&r->text, "test data", 1, &r->output[i],
                                   &want, &tol, NULL, e);
    if (s && s != GS_NO) return s;
    if (s) result = s;
  }
  return result;
}

gs_status gs_runner_compare_folder(gs_runner *r, const char *dir,
                                   const gs_tolerances *t, gs_err *e) {
  GS_CALL(r->blocks, e, compare_folder(r, dir, t, e));
}

/* ---- with the whole model ---- */

/* Runs the whole model on rank 0 with the program's inputs. */
static gs_status run_whole(gs_runner *r, gs_source *whole, gs_dyn ***out,
                           gs_err *e) {
  gs_exec *x = NULL;
  gs_status s = gs_runner_exec(r, whole, NULL, &x, e);
  if (!s) s = gs_exec_run(x, e);
  if (!s) s = gs_runner_collect(x, &r->arena, whole->graph, out, e);
  gs_exec_free(x);
  return s;
}

static gs_status open_whole(gs_runner *r, const char *path, gs_source *whole,
                            gs_err *e) {
  GS_TRY(gs_source_open(&r->arena, NULL, gs_strdup(&r->arena, path), false,
                        whole, e));
  const gs_graph *g = r->source.graph;
  if (whole->ndevice != 1)
    return gs_fail(e, GS_USAGE, whole->path,
                   "--check needs the model before it was partitioned");
  if (whole->graph->output.n != g->output.n ||
      whole->graph->input.n != g->input.n)
    return gs_fail(e, GS_NO, whole->path,
                   "has %d inputs and %d outputs, the program %d and %d",
                   whole->graph->input.n, whole->graph->output.n, g->input.n,
                   g->output.n);
  for (int i = 0; i < g->input.n; i++)
    GS_TRY(gs_source_give(whole, g->input.at[i]->name, r->source.input[i],
                          e));
  GS_TRY(gs_source_infer(&r->arena, whole, &r->bind, e));
  return gs_model_need_data(whole->model, whole->graph, e);
}

/* Runs both on whole numbers: where all that is computed are sums of products
 * of them, nothing rounds and the bytes are the same.  It is judged by the
 * same tolerances, for other operators round. */
static gs_status check_integers(gs_runner *r, gs_source *whole,
                                const gs_tolerance *tol, bool *exact,
                                gs_err *e) {
  gs_source *s = &r->source;
  int n = s->graph->input.n;
  for (int i = 0; i < n; i++) {
    if (gs_dtype_get((int)s->graph->input.at[i]->dtype)->cls != 'f') continue;
    gs_dyn *b;
    if (gs_value_dynamic(s->graph->input.at[i])) continue;
    GS_TRY(gs_run_make_up(&r->in, i, true, &b, e));
    GS_TRY(gs_exec_give(r->exec, s->graph->input.at[i]->name, b, e));
    if (whole) GS_TRY(gs_source_give(whole, s->graph->input.at[i]->name, b, e));
  }
  GS_TRY(gs_runner_once(r, NULL, e));
  gs_dyn **got, **want;
  GS_TRY(gs_runner_collect(r->exec, &r->arena, s->graph, &got, e));
  if (!whole) return GS_OK;
  GS_TRY(run_whole(r, whole, &want, e));
  return gs_check_outputs(&r->text, "check, integer-valued data",
                          s->graph->output.n, got, want, tol, exact, e);
}

/* What is no more than a difference becomes *result. */
static gs_status judged(gs_status s, gs_status *result, const gs_err *e) {
  if (s != GS_NO || e->n) return s;
  *result = s;
  return GS_OK;
}

static gs_status compare_model(gs_runner *r, const char *path,
                               const gs_tolerances *t, gs_err *e) {
  gs_source whole, *w = gs_runner_first(r) ? &whole : NULL;
  gs_status s = GS_OK, result = GS_OK;
  bool same = false, exact = false;
  GS_TRY(gs_runner_results(r, e));
  if (w) s = open_whole(r, path, w, e);
  GS_AGREE(r, s);
  int n = gs_runner_outputs(r);
  gs_tolerance *tol = GS_NEWS(&r->arena, n + 1, gs_tolerance);
  if (w) {
    gs_dyn **want;
    gs_check_tolerances(&r->arena, w->graph, tol);
    for (int i = 0; i < n; i++) set_tolerance(t, &tol[i]);
    s = run_whole(r, w, &want, e);
    if (!s)
      s = gs_check_outputs(&r->text, "check", n, r->output, want, tol, &same,
                           e);
    s = judged(s, &result, e);
  }
  GS_AGREE(r, s);
  GS_AGREE(r, judged(check_integers(r, w, tol, &exact, e), &result, e));
  gs_buf_printf(&r->json,
                ", \"check\": {\"equal\": %s, \"same_bytes\": %s, "
                "\"integers_exact\": %s}",
                result ? "false" : "true", same ? "true" : "false",
                exact ? "true" : "false");
  return result;
}

gs_status gs_runner_compare_model(gs_runner *r, const char *path,
                                  const gs_tolerances *t, gs_err *e) {
  GS_CALL(r->blocks, e, compare_model(r, path, t, e));
}
