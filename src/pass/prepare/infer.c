#include "pass/prepare/infer_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/math.h"
#include "kernel/core/kernel.h"
#include "op/core/shape.h"
#include "pass/prepare/upgrade.h"

/* ---- bindings ---- */

void gs_bindings_init(gs_bindings *b, gs_arena *a) { gs_map_init(&b->map, a); }

gs_status gs_bindings_put(gs_bindings *b, const char *name, int64_t n,
                          gs_err *e) {
  if (n < 0)
    return gs_fail(e, GS_USAGE, NULL, "%s=%lld: a dim cannot be negative",
                   name, (long long)n);
  gs_map_put(&b->map, name, gs_memdup(b->map.arena, &n, sizeof n));
  return GS_OK;
}

gs_status gs_bindings_parse(gs_bindings *b, const char *text, gs_err *e) {
  const char *eq = strrchr(text, '=');
  char *end = NULL;
  errno = 0;
  long long n = eq ? strtoll(eq + 1, &end, 10) : 0;
  if (!eq || eq == text || eq[1] < '0' || eq[1] > '9' || *end || errno)
    return gs_fail(e, GS_USAGE, "--bind", "'%s' is not of the form NAME=N",
                   text);
  char *name = gs_strndup(b->map.arena, text, (size_t)(eq - text));
  return gs_bindings_put(b, name, n, e);
}

bool gs_bindings_get(const gs_bindings *b, const char *name, int64_t *n) {
  const int64_t *at = b && b->map.arena ? gs_map_get(&b->map, name) : NULL;
  if (at) *n = *at;
  return at != NULL;
}

/* ---- binding ---- */

/* The name that dim d of v is bound by. */
static const char *dim_name(gs_arena *a, const gs_value *v, int d) {
  if (v->dim_names && v->dim_names[d] && *v->dim_names[d])
    return v->dim_names[d];
  return gs_sprintf(a, "%s:%d", v->name, d);
}

/* Sets the dims of v that have a binding; those of an input that have none
 * are added to missing (name -> the value). */
static void bind_value(gs_arena *a, gs_value *v, const gs_bindings *b,
                       gs_map *used, gs_map *missing) {
  for (int d = 0; d < v->rank; d++) {
    if (v->dims[d] >= 0) continue;
    const char *name = dim_name(a, v, d);
    if (gs_bindings_get(b, name, &v->dims[d])) gs_map_put(used, name, v);
    else if (v->is_input && !gs_map_has(missing, name))
      gs_map_put(missing, name, v);
  }
}

static gs_status report_missing(gs_arena *a, const gs_map *missing,
                                gs_err *e) {
  gs_buf what, hint;
  gs_buf_init(&what, a);
  gs_buf_init(&hint, a);
  for (int i = 0; i < missing->n; i++) {
    const gs_value *v = missing->entry[i].value;
    gs_buf_printf(&what, "%s'%s' (of input '%s')", i ? ", " : "",
                  missing->entry[i].key, v->name);
    gs_buf_printf(&hint, "%s--bind %s=N", i ? " " : "", missing->entry[i].key);
  }
  gs_fail(e, GS_SPEC, NULL, "%s no size: %s",
          missing->n == 1 ? "a symbolic dim has" : "symbolic dims have",
          what.at);
  gs_err_hint(e, "%s", hint.at);
  return GS_SPEC;
}

static gs_status bind_all(gs_arena *a, gs_graph *g, const gs_bindings *b,
                          gs_err *e) {
  gs_map used, missing;
  gs_map_init(&used, a);
  gs_map_init(&missing, a);
  for (int i = 0; i < g->value.n; i++) {
    gs_value *v = g->value.at[i];
    if (v->is_input && v->dtype == GS_UNDEFINED)
      return gs_fail(e, GS_UNSUPPORTED, NULL,
                     "input '%s' has no declared element type", v->name);
    if (v->rank > GS_MAX_RANK)
      return gs_fail(e, GS_UNSUPPORTED, NULL, "'%s' has rank %d, more than %d",
                     v->name, v->rank, GS_MAX_RANK);
    bind_value(a, v, b, &used, &missing);
  }
  if (missing.n) return report_missing(a, &missing, e);
  for (int i = 0; i < g->input.n; i++) {
    const gs_value *v = g->input.at[i];
    if (v->rank >= 0 && gs_product(v->dims, v->rank) < 0)
      return gs_fail(e, GS_DATA, NULL, "input '%s' is too large: %s", v->name,
                     gs_shape_text(a, v->dtype, v->rank, v->dims));
  }
  for (int i = 0; b && i < b->map.n; i++)
    if (!gs_map_has(&used, b->map.entry[i].key))
      gs_warn(e, NULL, "binding '%s': the model has no such symbolic dim",
              b->map.entry[i].key);
  return GS_OK;
}

/* ---- folding ---- */

static bool is_weight(const gs_value *v) {
  return gs_dtype_get((int)v->dtype)->cls == 'f' && v->rank > 0 &&
         !v->computed;
}

/* All operands are constants in memory, small, and no weights; a result may
 * have a size that only running it tells. */
static bool may_fold(const gs_node *n) {
  const gs_op *op = n->op;
  if (!op || (op->flags & (GS_OP_RANDOM | GS_OP_COLLECTIVE | GS_OP_MESH)) ||
      gs_node_attr(n, "place") || gs_node_has_region(n))
    return false;
  int64_t total = 0;
  for (int i = 0; i < n->nin + n->nout; i++) {
    const gs_value *v = i < n->nin ? n->in[i] : n->out[i - n->nin];
    if (!v) continue;
    if (v->kind != GS_TENSOR || (i < n->nin && !gs_value_shaped(v)))
      return false;
    if (i < n->nin && !gs_op_reads(op, i)) continue;
    if (v->dtype == GS_STRING) return false;
    int64_t count = v->rank < 0 ? 0 : gs_product(v->dims, v->rank);
    if (count < 0 || count > GS_MAX_FOLD) return false;
    total += count;
    if (i >= n->nin) continue;
    if (!v->constant || (!(op->flags & GS_OP_PLACES) && is_weight(v)))
      return false;
    if (count && !gs_tensor_bytes(v->constant)) return false;
  }
  return total <= GS_MAX_FOLD;
}

/* The tensor of a node that only carries one (its `value`), or NULL. */
static const gs_tensor *carried(const gs_node *n) {
  const gs_attr *at = n->nin ? NULL : gs_node_attr(n, "value");
  if (!n->op || !at || at->kind != GS_ATTR_TENSOR || n->nout != 1) return NULL;
  return at->t;
}

/* An operand whose data is not read, which may not be there, stands in
 * without it. */
static gs_status eval(gs_graph *g, gs_node *n, gs_err *e) {
  for (int i = 0; i < n->nin && i < 2; i++) {
    gs_value *x = n->in[i];
    if (!x || !x->constant || gs_op_reads(n->op, i)) continue;
    if (i && n->in[0] == x) continue;
    const gs_tensor *before = x->constant;
    x->constant = NULL;
    gs_status s = gs_kernel_eval(g, n, e);
    x->constant = before;
    return s;
  }
  return gs_kernel_eval(g, n, e);
}

/* Replaces n by the constants that it computes: its results lose their
 * producer, so that pruning drops it. */
static gs_status fold(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_tensor *t = carried(n);
  if (t) n->out[0]->constant = t;
  else GS_TRY(eval(g, n, e));
  for (int i = 0; i < n->nout; i++) {
    gs_value *v = n->out[i];
    if (!v) continue;
    if (!v->constant)
      return gs_fail(e, GS_INTERNAL, gs_node_place(g->arena, n),
                     "'%s' has no value after folding", v->name);
    v->def = NULL;
    v->computed = !t;
  }
  return GS_OK;
}

/* ---- declared shapes ---- */

/* A result as the model declares it. */
typedef struct said {
  bool there;
  int rank;
  const int64_t *dims;
} said;

/* What is declared of the results of n; NULL: nothing. */
static said *declared(gs_infer *f, const gs_node *n) {
  said *s = NULL;
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v || v->rank < 0) continue;
    if (!s) s = GS_NEWS(f->a, n->nout, said);
    s[i] = (said){true, v->rank, v->dims};
  }
  return s;
}

static bool differs(const gs_value *v, const said *s) {
  bool other = v->rank != s->rank;
  for (int d = 0; d < s->rank && !other; d++)
    other = s->dims[d] >= 0 && s->dims[d] != v->dims[d];
  return other;
}

/* Notes results that have another shape than the model declares.  An operator
 * that was read by a declared rank cannot be read again here. */
static gs_status note_stale(gs_infer *f, const gs_node *n, const said *s) {
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v || !s[i].there || v->rank < 0 || !differs(v, &s[i])) continue;
    const char *place = gs_node_place(f->a, n);
    const char *now = gs_shape_text(f->a, v->dtype, v->rank, v->dims);
    const char *then = gs_shape_text(f->a, v->dtype, s[i].rank, s[i].dims);
    if (v->relied && v->rank != s[i].rank) {
      gs_fail(f->e, GS_DATA, place, "result '%s' is %s, but the model declares "
              "%s, and how an older operator is to be read depends on it",
              v->name, now, then);
      gs_err_hint(f->e, "remove or correct the declared shape");
      return GS_DATA;
    }
    if (!f->stale.n) {
      f->where = place;
      f->what = gs_sprintf(f->a, "result '%s' is %s, but the model declares %s",
                           v->name, now, then);
    }
    gs_map_put(&f->stale, v->name, f);
  }
  return GS_OK;
}

/* One warning for all of them. */
static void warn_stale(const gs_infer *f) {
  int others = f->stale.n - 1;
  gs_assert(others < 0 || (f->where && f->what));
  if (others < 0) return;
  if (!others) gs_warn(f->e, f->where, "%s, which is ignored", f->what);
  else
    gs_warn(f->e, f->where,
            "%s, which is ignored; so are the declared shapes of %d other "
            "tensor%s", f->what, others, others == 1 ? "" : "s");
}

/* ---- nodes ---- */

/* Declared shapes of what depends on data are often those of an example: they
 * are not relied on, but for single elements. */
static void forget_results(gs_node *n) {
  for (int i = 0; i < n->nout; i++) {
    gs_value *v = n->out[i];
    if (v && v->kind == GS_TENSOR && v->rank > 0) gs_value_forget_shape(v);
  }
}

/* The row's shape function; sets n->dynamic when a run alone knows the shapes,
 * which is not an error.  Inside a graph that may never run (the other branch
 * of an If) what cannot be is an error only when it does. */
static gs_status shapes(const gs_infer *f, gs_graph *g, gs_node *n) {
  gs_err *e = f->e;
  n->dynamic = false;
  bool takes = n->op && (n->op->flags & GS_OP_DYNAMIC);
  for (int i = 0; i < n->nin && !takes; i++)
    if (n->in[i] && (n->in[i]->dtype == GS_UNDEFINED ||
                     !gs_value_shaped(n->in[i])))
      n->dynamic = true;
  if (n->dynamic && n->op) {
    forget_results(n);
    return GS_OK;
  }
  if (n->dynamic)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "an unknown operator of domain '%s' reads a value whose "
                   "size depends on data", *n->domain ? n->domain : "ai.onnx");
  gs_err mine;
  gs_err_init(&mine);
  gs_status s = gs_shape_try(g, n, &mine);
  if (s == GS_UNKNOWN || (s == GS_DATA && f->depth)) {
    n->dynamic = true;
    s = GS_OK;
  } else {
    gs_err_move(e, &mine);
  }
  gs_err_free(&mine);
  return s;
}

/* An old operator over all dims from its axis on, which was read as one over
 * one dim: a declared shape said that there is only one. */
static gs_status infer_flattened(gs_infer *f, gs_graph *g, gs_node *n) {
  int from = g->node.n;
  gs_upgrade_flatten(g, n, *n->coerced);
  gs_assert(g->node.n == from + 3);
  n->coerced = NULL;
  gs_node *made[] = {g->node.at[from], g->node.at[from + 1], n,
                     g->node.at[from + 2]};
  g->node.n = from;
  for (int i = 0; i < 4; i++) GS_TRY(f->node(f, g, made[i]));
  return GS_OK;
}

static gs_status infer_node(gs_infer *f, gs_graph *g, gs_node *n) {
  bool taken = false;
  said *s = declared(f, n);
  const gs_dynamic *b = n->op ? gs_dynamic_of(n->op) : NULL;
  if (b && b->enter) GS_TRY(gs_infer_bodies(f, g, n, b, &taken));
  if (taken) return GS_OK;
  if (n->coerced && !gs_upgrade_one_dim(n->in[0], *n->coerced))
    return infer_flattened(f, g, n);
  n->coerced = NULL;
  GS_TRY(shapes(f, g, n));
  if (!n->dynamic && (carried(n) || may_fold(n))) GS_TRY(fold(g, n, f->e));
  for (int i = 0; i < n->nout; i++) {
    gs_value *v = n->out[i];
    if (v && !gs_value_shaped(v)) gs_value_forget_shape(v);
  }
  if (s) GS_TRY(note_stale(f, n, s));
  *gs_push(g->arena, &g->node) = n;
  return GS_OK;
}

gs_status gs_infer_next(gs_arena *a, gs_graph *g, gs_node *n, gs_err *e) {
  gs_infer f = {.a = a, .node = infer_node, .e = e};
  gs_map_init(&f.stale, g->arena);
  return infer_node(&f, g, n);
}

/* What the pass ensures of values and nodes: those of bodies too. */
static gs_status check_inferred(const gs_graph *g, gs_err *e) {
  for (int i = 0; i < g->value.n; i++) {
    const gs_value *v = g->value.at[i];
    if (!gs_value_shaped(v) && v->rank != -1)
      return gs_fail(e, GS_INTERNAL, v->name,
                     "the value has a rank and no shape");
  }
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nattr; k++)
      if (n->attr[k].kind == GS_ATTR_GRAPH)
        GS_TRY(check_inferred(n->attr[k].g, e));
  }
  return GS_OK;
}

gs_status gs_pass_infer(gs_arena *a, gs_graph *g, const gs_bindings *b,
                        gs_err *e) {
  gs_infer f = {.a = a, .node = infer_node, .e = e};
  gs_map_init(&f.stale, g->arena);
  GS_TRY(bind_all(a, g, b, e));
  gs_status s = gs_infer_graph(&f, g);
  g->stale = gs_memdup(g->arena, &f.stale, sizeof f.stale);
  warn_stale(&f);
  GS_TRY(s);
  GS_TRY(gs_graph_check(g, e));
  return check_inferred(g, e);
}
