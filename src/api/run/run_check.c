#include "api/run/run_check.h"

#include <math.h>

#include "base/text.h"

void gs_check_tolerances(gs_arena *a, const gs_graph *g, gs_tolerance *tol) {
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

gs_status gs_check_outputs(gs_buf *b, const char *what, int n,
                           gs_dyn *const *got, gs_dyn *const *want,
                           const gs_tolerance *tol, bool *same, gs_err *e) {
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
