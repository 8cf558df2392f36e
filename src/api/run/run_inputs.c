#include "api/run/run_inputs.h"

#include "base/assert.h"

#include <string.h>

#include "io/file/npy.h"

gs_status gs_run_input_file(gs_run_inputs *in, const char *name,
                            const char *file, gs_err *e) {
  gs_dyn *b;
  int at;
  GS_TRY(gs_source_find(in->source, name, &at, e));
  gs_assert(at >= 0 && at < in->source->graph->input.n);
  if (in->many && !strcmp(file, "-"))
    return gs_fail(e, GS_UNSUPPORTED, NULL,
                   "-i %s%s-: the launcher gives standard input to one rank "
                   "only; name a file", name ? name : "", name ? "=" : "");
  GS_TRY(gs_dyn_load(in->a, file, in->source->graph->input.at[at]->kind, &b,
                     e));
  in->source->input[at] = b;
  return GS_OK;
}

/* Test data of some releases of ONNX hold bfloat16 as the integers of its
 * bits, for NumPy has no such type. */
gs_status gs_run_test_data(gs_run_inputs *in, const char *dir,
                           const char *prefix, int i, gs_kind kind,
                           gs_dtype dtype, gs_dyn **out, gs_err *e) {
  const char *path = gs_sprintf(in->a, "%s/%s_%d.pb", dir, prefix, i);
  GS_TRY(gs_dyn_load(in->a, path, kind, out, e));
  gs_tensor *t = &(*out)->t;
  if ((*out)->kind == GS_TENSOR && t->dtype == GS_UINT16 &&
      dtype == GS_BFLOAT16)
    t->dtype = dtype;
  return GS_OK;
}

gs_status gs_run_input_folder(gs_run_inputs *in, const char *dir, gs_err *e) {
  for (int i = 0; i < in->source->graph->input.n; i++) {
    const gs_value *v = in->source->graph->input.at[i];
    gs_dyn *b;
    GS_TRY(gs_run_test_data(in, dir, "input", i, v->kind, v->dtype, &b, e));
    in->source->input[i] = b;
  }
  return GS_OK;
}

/* The range of a made-up input: what was asked for, the input's metadata, or
 * that of the indices for which a plain model uses it. */
static gs_status range_of(gs_run_inputs *in, int at, gs_random *r, gs_err *e) {
  gs_assert(at >= 0 && at < in->source->graph->input.n);
  const char *name = in->source->graph->input.at[at]->name;
  const char *text =
      gs_model_input_meta(in->source->model, name, "gshard.range");
  if (!text) /* programs keep it in the model's metadata */
    text = gs_model_meta(in->source->model,
                         gs_sprintf(in->a, "gshard.range:%s", name));
  for (int i = 0; i < in->nrange; i++)
    if (!strcmp(in->range[i].name, name)) text = in->range[i].value;
  if (text) return gs_random_range(r, text, e);
  if (in->source->graph->mesh) return GS_OK; /* a program's sizes are local */
  if (!in->indexed) in->indexed = gs_pass_ranges(in->a, in->source->graph);
  if (in->indexed[at].high) {
    r->ranged = true;
    r->low = in->indexed[at].low;
    r->high = in->indexed[at].high;
  }
  return GS_OK;
}

gs_status gs_run_check_ranges(gs_run_inputs *in, gs_err *e) {
  for (int i = 0; i < in->nrange; i++) {
    const char *name = in->range[i].name;
    const gs_value *v = gs_graph_find(in->source->graph, name);
    if (!v || !v->is_input)
      return gs_fail(e, GS_USAGE, NULL, "--range %s: no such input", name);
  }
  return GS_OK;
}

gs_status gs_run_make_up(gs_run_inputs *in, int i, bool integers, gs_dyn **out,
                         gs_err *e) {
  const gs_value *v = in->source->graph->input.at[i];
  gs_tensor *t;
  if (gs_value_dynamic(v))
    return gs_fail(e, GS_UNSUPPORTED, v->name,
                   "%s of %s without a fixed size cannot be made up",
                   gs_kind_text(v->kind), gs_dtype_get((int)v->dtype)->text);
  gs_random r = in->random;
  r.integers = integers;
  GS_TRY(range_of(in, i, &r, e));
  GS_TRY(gs_random_tensor(in->a, v->name, v->dtype, v->rank, v->dims, &r, &t,
                          e));
  *out = gs_dyn_of(in->a, t);
  return GS_OK;
}

gs_status gs_run_make_missing(gs_run_inputs *in, gs_err *e) {
  gs_source *s = in->source;
  for (int i = 0; i < s->graph->input.n; i++) {
    if (s->input[i] || s->made[i]) continue;
    const char *name = s->graph->input.at[i]->name;
    if (!in->made_up) {
      gs_fail(e, GS_NOINPUT, NULL, "input '%s' is not given", name);
      gs_err_hint(e, "give it with -i %s=FILE, or use --random SEED", name);
      return GS_NOINPUT;
    }
    gs_dyn *b;
    GS_TRY(gs_run_make_up(in, i, false, &b, e));
    s->input[i] = b;
  }
  return GS_OK;
}
