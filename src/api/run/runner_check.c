/* gs_runner of gshard.h: comparing outputs. */
#include "api/run/runner.h"
#include "base/text.h"
#include "check/compare.h"

/* tol[i]: the tolerance of output i of g, by the coarsest type of floats that
 * it is computed through.  O(operands). */
static void find_tolerances(gs_arena *a, const gs_graph *g,
                            gs_tolerance *tol) {
  gs_tolerance *of = GS_NEWS(a, g->value.n + 1, gs_tolerance);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    gs_tolerance max = {0};
    for (int k = 0; k < n->nin; k++)
      if (n->in[k] && of[n->in[k]->id].rtol > max.rtol)
        max = of[n->in[k]->id];
    for (int k = 0; k < n->nout; k++) {
      if (!n->out[k]) continue;
      gs_tolerance own = gs_tolerance_of(n->out[k]->dtype);
      of[n->out[k]->id] = own.rtol > max.rtol ? own : max;
    }
  }
  for (int i = 0; i < g->output.n; i++) {
    const gs_value *v = g->output.at[i];
    tol[i] = v->def ? of[v->id] : gs_tolerance_of(v->dtype);
  }
}

/* Compares n outputs with what was expected and adds a line for each that
 * differs, or one for all ("4 outputs equal: largest distance 1e-7"), each
 * after `what`.  *same (may be NULL): all bytes are the same.  GS_NO when one
 * is out of its tolerance, tol[i]. */
static gs_status check_outputs(gs_buf *b, const char *what, int n,
                               gs_dyn *const *got, gs_dyn *const *want,
                               const gs_tolerance *tol, bool *same,
                               gs_err *e) {
  gs_status result = GS_OK;
  bool bytes = true;
  double max = 0;
  int bad = 0;
  for (int i = 0; i < n; i++) {
    gs_comparison c;
    const gs_tensor *worst = NULL;
    const char *name =
        gs_text(b->arena, got[i]->t.name ? got[i]->t.name : "");
    GS_TRY(gs_compare_dyn(got[i], want[i], &tol[i], &c, &worst, e));
    if (!c.same_bytes) bytes = false;
    if (c.worst >= 0 && c.distance > max) max = c.distance;
    if (c.equal) continue;
    bad++;
    result = GS_NO;
    gs_buf_printf(b, "%s: output '%s': %lld of %lld elements differ; ", what,
                  name, (long long)c.bad, (long long)c.n);
    gs_comparison_print(b, worst, &c);
    gs_buf_char(b, '\n');
  }
  if (same) *same = bytes;
  if (bad) return result;
  const char *s = n == 1 ? "" : "s";
  if (bytes) gs_buf_printf(b, "%s: %d output%s, the same bytes\n", what, n, s);
  else
    gs_buf_printf(b, "%s: %d output%s equal within tolerance, worst distance "
                  "%.3g\n", what, n, s, max);
  return GS_OK;
}

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
    gs_status s = check_outputs(&r->text, "test data", 1, &r->output[i], &want,
                                &tol, NULL, e);
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
  return check_outputs(&r->text, "check, integer-valued data",
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
    find_tolerances(&r->arena, w->graph, tol);
    for (int i = 0; i < n; i++) set_tolerance(t, &tol[i]);
    s = run_whole(r, w, &want, e);
    if (!s)
      s = check_outputs(&r->text, "check", n, r->output, want, tol, &same,
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
