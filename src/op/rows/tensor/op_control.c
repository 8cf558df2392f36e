/* Control flow: the types of inner graphs' inputs, and of results. */
#include "op/rows/tensor/bodies.h"

#include <string.h>

#include "base/math.h"
#include "op/rule/rule.h"

/* ---- helpers ---- */

gs_status gs_control_graph(gs_graph *g, const gs_node *n, const char *name,
                           gs_graph **out, gs_err *e) {
  const gs_attr *at = gs_node_attr(n, name);
  if (!at || at->kind != GS_ATTR_GRAPH)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute '%s' holds no graph", name);
  *out = at->g;
  return GS_OK;
}

gs_status gs_control_arity(gs_graph *g, const gs_node *n, const gs_graph *body,
                           int in, int out, int skip, gs_err *e) {
  if (body->input.n != in)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "graph '%s' has %d inputs where %d are given", body->name,
                   body->input.n, in);
  if (body->output.n < out || body->output.n - skip < n->nout)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "graph '%s' has %d outputs where %d are needed", body->name,
                   body->output.n, (int)gs_max(out, n->nout + skip));
  return GS_OK;
}

/* Nothing is known of v, not even whether it is a tensor. */
static bool is_mystery(const gs_value *v) {
  return v->kind == GS_TENSOR && v->dtype == GS_UNDEFINED && v->rank < 0;
}

void gs_control_enter(gs_graph *b, gs_value *v, const gs_value *from) {
  gs_value_forget_shape(v);
  if (is_mystery(from)) return;
  v->kind = from->kind;
  if (from->dtype != GS_UNDEFINED) v->dtype = from->dtype;
  if (gs_value_shaped(from)) gs_value_shape(b, v, from->rank, from->dims);
}

static void enter_scalar(gs_graph *b, gs_value *v, gs_dtype t) {
  v->kind = GS_TENSOR;
  v->dtype = t;
  v->dim_names = NULL;
  gs_value_shape(b, v, 0, NULL);
}

gs_status gs_control_result(gs_graph *g, gs_node *n, int i,
                            const gs_value *from, gs_err *e) {
  if (is_mystery(from) || (n->out[i] && n->out[i]->kind != GS_TENSOR))
    return GS_OK;
  if (gs_value_shaped(from) && from->dtype != GS_UNDEFINED)
    return gs_shape_set(g, n, i, from->dtype, from->rank, from->dims, e);
  return gs_shape_dynamic(g, n, i, from->kind, from->dtype, e);
}

static bool same_shape(const gs_value *a, const gs_value *b) {
  return gs_value_shaped(a) && gs_value_shaped(b) && a->rank == b->rank &&
         gs_same_dims(a->dims, b->dims, a->rank);
}

static gs_status other_type(gs_graph *g, const gs_node *n, const gs_value *a,
                            const gs_value *b, gs_err *e) {
  if (a->dtype == b->dtype || a->dtype == GS_UNDEFINED ||
      b->dtype == GS_UNDEFINED)
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "'%s' is of type %s, but '%s' of type %s", a->name,
                 gs_dtype_get((int)a->dtype)->text, b->name,
                 gs_dtype_get((int)b->dtype)->text);
}

/* The graph of attribute `name` in the last round. */
static const gs_graph *last_round(const gs_node *n, gs_graph **before,
                                  const char *name) {
  for (int i = 0; i < n->nattr; i++)
    if (!strcmp(n->attr[i].name, name)) return before[i];
  return NULL;
}

/* ---- If ---- */

gs_status gs_enter_if(gs_graph *g, gs_node *n, int round, gs_graph **before,
                      bool *again, int *pick, gs_err *e) {
  (void)before;
  static const char *const names[] = {"else_branch", "then_branch"};
  gs_graph *b[2];
  for (int i = 0; i < 2; i++) {
    GS_TRY(gs_control_graph(g, n, names[i], &b[i], e));
    GS_TRY(gs_control_arity(g, n, b[i], 0, n->nout, 0, e));
  }
  *again = round == 0;
  const gs_value *c = gs_node_in(n, 0);
  int64_t on;
  if (!c || !c->constant || gs_tensor_ints(c->constant, &on, 1) != 1)
    return GS_OK;
  for (int i = 0; i < n->nattr; i++)
    if (!strcmp(n->attr[i].name, names[on != 0])) *pick = i;
  return GS_OK;
}

gs_status gs_shape_if(gs_graph *g, gs_node *n, gs_err *e) {
  gs_graph *yes, *no;
  GS_TRY(gs_control_graph(g, n, "then_branch", &yes, e));
  GS_TRY(gs_control_graph(g, n, "else_branch", &no, e));
  for (int i = 0; i < n->nout; i++) {
    const gs_value *a = yes->output.at[i], *b = no->output.at[i];
    GS_TRY(other_type(g, n, a, b, e));
    gs_value joined = *a;
    if (is_mystery(a)) joined = *b;
    if (!same_shape(a, b)) gs_value_forget_shape(&joined);
    GS_TRY(gs_control_result(g, n, i, &joined, e));
  }
  return GS_OK;
}

/* ---- Loop ---- */

gs_status gs_enter_loop(gs_graph *g, gs_node *n, int round, gs_graph **before,
                        bool *again, int *pick, gs_err *e) {
  gs_graph *b;
  int states = gs_node_formal(n) - 2;
  (void)pick;
  GS_TRY(gs_control_graph(g, n, "body", &b, e));
  if (states < 0)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "%d operands given, at least 2 expected", states + 2);
  GS_TRY(gs_control_arity(g, n, b, states + 2, states + 1, 1, e));
  enter_scalar(b, b->input.at[0], GS_INT64);
  enter_scalar(b, b->input.at[1], GS_BOOL);
  *again = round == 0;
  const gs_graph *last = last_round(n, before, "body");
  bool changed = false;
  for (int i = 0; i < states; i++) {
    const gs_value *given = n->in[2 + i];
    gs_value *v = b->input.at[2 + i];
    if (!given)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "operand %d must not be left out", 2 + i);
    gs_control_enter(b, v, given);
    if (!last) {
      if (round) gs_value_forget_shape(v);
      continue;
    }
    const gs_value *was = last->input.at[2 + i];
    const gs_value *now = last->output.at[1 + i];
    GS_TRY(other_type(g, n, was, now, e));
    if (!gs_value_shaped(was)) gs_value_forget_shape(v);
    else if (!same_shape(was, now)) {
      gs_value_forget_shape(v);
      changed = *again = true;
    }
  }
  for (int i = 0; changed && round > 1 && i < states; i++)
    gs_value_forget_shape(b->input.at[2 + i]);
  return GS_OK;
}

/* Whether the body leaves its condition as it is, or true. */
static bool keeps_going(const gs_graph *b) {
  const gs_value *v = b->output.at[0];
  int64_t on = 0;
  while (v->def && v->def->op && v->def->nin == 1 &&
         (v->def->op->flags & GS_OP_VIEW))
    v = v->def->in[0];
  if (v == b->input.at[1]) return true;
  return v->constant && gs_tensor_ints(v->constant, &on, 1) == 1 && on;
}

/* How often the body runs; -1 when only a run knows. */
static int64_t trip_count(const gs_node *n, const gs_graph *b) {
  const gs_value *m = n->in[0], *c = n->in[1];
  int64_t trips, on = 1;
  if (c && (!c->constant || gs_tensor_ints(c->constant, &on, 1) != 1))
    return -1;
  if (!on) return 0;
  if (!m || !m->constant || gs_tensor_ints(m->constant, &trips, 1) != 1 ||
      !keeps_going(b))
    return -1;
  return gs_max(trips, 0);
}

/* The results of all iterations, joined along a new axis. */
static gs_status joined(gs_graph *g, gs_node *n, int i, const gs_value *each,
                        int axis, int64_t count, gs_err *e) {
  int64_t dims[GS_MAX_RANK + 1];
  if (!gs_value_shaped(each) || each->dtype == GS_UNDEFINED || count < 0 ||
      axis < 0)
    return gs_shape_dynamic(g, n, i, GS_TENSOR, each->dtype, e);
  for (int d = 0; d <= each->rank; d++)
    dims[d] = d == axis ? count : each->dims[d - (d > axis)];
  return gs_shape_set(g, n, i, each->dtype, each->rank + 1, dims, e);
}

gs_status gs_shape_loop(gs_graph *g, gs_node *n, gs_err *e) {
  gs_graph *b;
  GS_TRY(gs_control_graph(g, n, "body", &b, e));
  int states = gs_node_formal(n) - 2;
  int64_t trips = trip_count(n, b);
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = b->output.at[i + 1];
    if (i >= states) {
      GS_TRY(joined(g, n, i, v, 0, trips, e));
      continue;
    }
    gs_value end = *v; /* what the body gives, or what it began with */
    if (!same_shape(v, n->in[2 + i])) gs_value_forget_shape(&end);
    GS_TRY(gs_control_result(g, n, i, &end, e));
  }
  return GS_OK;
}

/* ---- Scan ---- */

gs_status gs_control_scan(gs_graph *g, const gs_node *n, gs_graph **body,
                          int *states, int *scanned, gs_err *e) {
  int64_t m = gs_node_int(n, "num_scan_inputs", 0);
  int formal = gs_node_formal(n);
  GS_TRY(gs_control_graph(g, n, "body", body, e));
  if (m < 1 || m > formal)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "num_scan_inputs is %lld, with %d operands", (long long)m,
                   formal);
  *scanned = (int)m;
  *states = formal - *scanned;
  for (int i = 0; i < formal; i++)
    if (!n->in[i])
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "operand %d must not be left out", i);
  static const char *const lists[] = {
      "scan_input_axes", "scan_input_directions", "scan_output_axes",
      "scan_output_directions"};
  for (int i = 0; i < 4; i++) {
    int count, want = i < 2 ? *scanned : (*body)->output.n - *states;
    if (gs_node_ints(n, lists[i], &count) && count != want)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "%s has %d elements, not %d", lists[i], count, want);
  }
  return gs_control_arity(g, n, *body, formal, *states, 0, e);
}

int gs_control_axis(const gs_node *n, const char *axes, int i, int rank) {
  int count;
  const int64_t *list = gs_node_ints(n, axes, &count);
  int64_t at = list && i < count ? list[i] : 0;
  if (at < -rank || at >= rank) return -1;
  return (int)(at < 0 ? at + rank : at);
}

gs_status gs_enter_scan(gs_graph *g, gs_node *n, int round, gs_graph **before,
                        bool *again, int *pick, gs_err *e) {
  gs_graph *b;
  int states, scanned;
  (void)before;
  (void)pick;
  GS_TRY(gs_control_scan(g, n, &b, &states, &scanned, e));
  *again = round == 0;
  for (int i = 0; i < states + scanned; i++) {
    gs_value part = *n->in[i];
    int64_t dims[GS_MAX_RANK];
    if (i >= states && gs_value_shaped(&part)) {
      int axis = gs_control_axis(n, "scan_input_axes", i - states, part.rank);
      if (axis < 0)
        return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                       "operand '%s' %s has no axis to be scanned along",
                       part.name, gs_shape_text(g->arena, part.dtype,
                                                part.rank, part.dims));
      for (int d = 0; d + 1 < part.rank; d++)
        dims[d] = part.dims[d + (d >= axis)];
      part.dims = dims;
      part.rank--;
    }
    gs_control_enter(b, b->input.at[i], &part);
  }
  return GS_OK;
}

/* The length that the scanned operands have; -1: only a run knows. */
static gs_status scan_length(gs_graph *g, const gs_node *n, int states,
                             int64_t *length, gs_err *e) {
  *length = -1;
  for (int i = states; i < gs_node_formal(n); i++) {
    const gs_value *v = n->in[i];
    if (!gs_value_shaped(v)) continue;
    int64_t m = v->dims[gs_control_axis(n, "scan_input_axes", i - states,
                                        v->rank)];
    if (*length >= 0 && *length != m)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "operand '%s' has %lld elements to scan, those before it "
                     "%lld", v->name, (long long)m, (long long)*length);
    *length = m;
  }
  return GS_OK;
}

gs_status gs_shape_scan(gs_graph *g, gs_node *n, gs_err *e) {
  gs_graph *b;
  int states, scanned;
  int64_t length;
  GS_TRY(gs_control_scan(g, n, &b, &states, &scanned, e));
  GS_TRY(scan_length(g, n, states, &length, e));
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = b->output.at[i];
    if (i >= states) {
      int axis = gs_value_shaped(v)
                     ? gs_control_axis(n, "scan_output_axes", i - states,
                                       v->rank + 1)
                     : 0;
      if (axis < 0)
        return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                       "scan_output_axes[%d] is out of range", i - states);
      GS_TRY(joined(g, n, i, v, axis, length, e));
      continue;
    }
    GS_TRY(other_type(g, n, n->in[i], v, e));
    if (gs_value_shaped(v) && gs_value_shaped(n->in[i]) &&
        !same_shape(v, n->in[i]))
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "state '%s' is %s at first and then %s", v->name,
                     gs_shape_text(g->arena, n->in[i]->dtype, n->in[i]->rank,
                                   n->in[i]->dims),
                     gs_shape_text(g->arena, v->dtype, v->rank, v->dims));
    GS_TRY(gs_control_result(g, n, i, n->in[i], e));
  }
  return GS_OK;
}

/* ---- SequenceMap ---- */

gs_status gs_enter_sequence_map(gs_graph *g, gs_node *n, int round,
                                gs_graph **before, bool *again, int *pick,
                                gs_err *e) {
  gs_graph *b;
  int formal = gs_node_formal(n);
  (void)before;
  (void)pick;
  GS_TRY(gs_control_graph(g, n, "body", &b, e));
  GS_TRY(gs_control_arity(g, n, b, formal, n->nout, 0, e));
  *again = round == 0;
  for (int i = 0; i < formal; i++) {
    if (!n->in[i])
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "operand %d must not be left out", i);
    gs_value each = *n->in[i];
    if (each.kind != GS_TENSOR) {
      each.kind = GS_TENSOR;
      gs_value_forget_shape(&each);
    }
    gs_control_enter(b, b->input.at[i], &each);
  }
  return GS_OK;
}

gs_status gs_shape_sequence_map(gs_graph *g, gs_node *n, gs_err *e) {
  gs_graph *b;
  GS_TRY(gs_control_graph(g, n, "body", &b, e));
  for (int i = 0; i < n->nout; i++)
    GS_TRY(gs_shape_dynamic(g, n, i, GS_SEQUENCE, b->output.at[i]->dtype, e));
  return GS_OK;
}
