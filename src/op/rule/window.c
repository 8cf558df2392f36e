#include "op/rule/window.h"

#include <string.h>

#include "base/math.h"

typedef enum padding { PAD_GIVEN, PAD_UPPER, PAD_LOWER, PAD_NONE } padding;

int64_t gs_window_span(const gs_window *w, int d) {
  return (w->size[d] - 1) * w->dilation[d] + 1;
}

bool gs_window_trivial(const gs_window *w, int d) {
  return w->size[d] == 1 && w->stride[d] == 1 && !w->begin[d] && !w->end[d] &&
         w->in[d] == w->out[d];
}

/* What gs_reach wants to know of the dilation. */
static int64_t apart(const gs_window *w, int d) {
  return w->size[d] > 1 && w->dilation[d] > 1 ? w->dilation[d] : 0;
}

static void put_pass(gs_rule *r, const gs_window *w, int in, int d) {
  int f = gs_rule_factor(r, w->out[d], GS_PASS);
  gs_rule_put(&r->in[in], d + 2, f);
  gs_rule_put(&r->out[0], d + 2, f);
}

void gs_window_put(gs_rule *r, const gs_window *w, int in, int d,
                   const double *value) {
  if (gs_window_trivial(w, d)) {
    put_pass(r, w, in, d);
    return;
  }
  int64_t last = gs_window_span(w, d) - 1 - w->begin[d];
  gs_window_use use = {
      .reach = {w->out[d], w->stride[d], 1, -w->begin[d], last, apart(w, d)},
      .fill = value ? GS_FILL_VALUE : GS_FILL_ANY,
      .value = value ? *value : 0};
  gs_rule_window(r, in, d + 2, 0, d + 2, w->out[d], &use);
}

/* Output o meets element i where 0 <= o + begin - stride*i < span.  A stride
 * beyond the span leaves outputs that meet none; they are given the element
 * before them. */
void gs_window_put_transposed(gs_rule *r, const gs_window *w, int in, int d) {
  if (gs_window_trivial(w, d)) {
    put_pass(r, w, in, d);
    return;
  }
  int64_t stride = w->stride[d], span = gs_max(gs_window_span(w, d), stride);
  gs_window_use use = {.reach = {w->out[d], 1, stride,
                                 w->begin[d] - span + stride, w->begin[d],
                                 apart(w, d)},
                       .fill = GS_FILL_VALUE};
  gs_rule_window(r, in, d + 2, 0, d + 2, w->out[d], &use);
}

void gs_window_put_whole(gs_rule *r, const gs_window *w, int in, int d) {
  int f = gs_rule_factor(r, w->in[d], GS_WHOLE);
  r->factor[f].blocked = true;
  gs_rule_put(&r->in[in], d + 2, f);
  gs_rule_put(&r->out[0], d + 2, gs_rule_factor(r, w->out[d], GS_WHOLE));
}

int gs_window_split(gs_rule *r, const gs_window *w, int in, int d,
                    double value) {
  int f = gs_rule_factor(r, w->size[d], GS_SUMMED);
  int64_t last = (w->out[d] - 1) * w->stride[d] - w->begin[d];
  gs_window_use use = {
      .factor = f,
      .in = in,
      .dim = d + 2,
      .out = -1,
      .reach = {w->size[d], w->dilation[d], 1, -w->begin[d], last,
                w->out[d] > 1 && w->stride[d] > 1 ? w->stride[d] : 0},
      .fill = GS_FILL_VALUE,
      .value = value};
  gs_rule_use(r, &use);
  return f;
}

uint64_t gs_window_held(const gs_local *l, int in) {
  uint64_t dims = 0;
  for (int k = 0; k < l->rule->nuse; k++) {
    const gs_window_use *u = &l->rule->use[k];
    if (u->in != in || u->copies || !l->factor[u->factor].n) continue;
    gs_assert(u->dim >= 2);
    dims |= (uint64_t)1 << (u->dim - 2);
  }
  return dims;
}

void gs_window_set_pads(gs_graph *g, gs_node *n, const gs_window *w,
                        uint64_t held) {
  int64_t pads[2 * GS_MAX_RANK] = {0};
  for (int d = 0; d < w->n; d++) {
    if (held >> d & 1) continue;
    pads[d] = w->begin[d];
    pads[w->n + d] = w->end[d];
  }
  gs_node_set_ints(g, n, "pads", pads, 2 * w->n);
  gs_node_set_string(g, n, "auto_pad", "NOTSET");
}

gs_status gs_window_list(gs_arena *a, const gs_node *n, const char *name,
                         int count, int64_t min, int64_t otherwise,
                         int64_t *out, gs_err *e) {
  int given;
  const int64_t *list = gs_node_ints(n, name, &given);
  for (int i = 0; i < count; i++) out[i] = otherwise;
  if (!list || !given) return GS_OK;
  if (given != count)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute '%s' has %d numbers, %d expected", name, given,
                   count);
  for (int i = 0; i < count; i++) {
    /* Products of two of them, and sums of such, stay far below 2^63. */
    if (list[i] < min || list[i] > INT32_MAX)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "attribute '%s' holds %lld, out of range", name,
                     (long long)list[i]);
    out[i] = list[i];
  }
  return GS_OK;
}

static gs_status read_auto_pad(gs_arena *a, const gs_node *n, padding *p,
                               gs_err *e) {
  static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER",
                                      "VALID"};
  const char *s = gs_node_string(n, "auto_pad", "NOTSET");
  for (int i = 0; i < 4; i++)
    if (!strcmp(s, names[i])) {
      *p = (padding)i;
      return GS_OK;
    }
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "attribute 'auto_pad' is '%s', which is not one of ONNX's", s);
}

/* Everything but the sizes that follow. */
static gs_status read_attributes(gs_arena *a, const gs_node *n,
                                 const gs_value *x, const int64_t *size,
                                 gs_window *w, padding *p, gs_err *e) {
  if (x->rank < 3)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' %s has no spatial dims after batch and channels",
                   x->name, gs_shape_text(a, x->dtype, x->rank, x->dims));
  w->n = x->rank - 2;
  memcpy(w->in, x->dims + 2, (size_t)w->n * sizeof *w->in);
  if (!size && !gs_node_attr(n, "kernel_shape"))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'kernel_shape' is missing");
  GS_TRY(gs_window_list(a, n, "kernel_shape", w->n, 1, 1, w->size, e));
  for (int d = 0; size && d < w->n; d++) {
    if (gs_node_attr(n, "kernel_shape") && w->size[d] != size[d])
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "attribute 'kernel_shape' is %lld for spatial dim %d, but "
                     "the weights have %lld", (long long)w->size[d], d,
                     (long long)size[d]);
    if (size[d] < 1 || size[d] > INT32_MAX)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "a window of %lld elements along spatial dim %d",
                     (long long)size[d], d);
    w->size[d] = size[d];
  }
  int64_t pads[2 * GS_MAX_RANK];
  GS_TRY(gs_window_list(a, n, "strides", w->n, 1, 1, w->stride, e));
  GS_TRY(gs_window_list(a, n, "dilations", w->n, 1, 1, w->dilation, e));
  GS_TRY(gs_window_list(a, n, "pads", 2 * w->n, 0, 0, pads, e));
  GS_TRY(read_auto_pad(a, n, p, e));
  for (int d = 0; d < w->n; d++) {
    w->begin[d] = *p == PAD_GIVEN ? pads[d] : 0;
    w->end[d] = *p == PAD_GIVEN ? pads[w->n + d] : 0;
    if (w->in[d] > INT64_MAX / 4)
      return gs_fail(e, GS_DATA, gs_node_place(a, n), "'%s' is too large",
                     x->name);
  }
  return GS_OK;
}

/* Divides `total` elements of padding; a negative total is none. */
static void share_padding(gs_window *w, int d, int64_t total, padding p) {
  int64_t less = total / 2, more = total - less;
  w->begin[d] = p == PAD_LOWER ? more : less;
  w->end[d] = p == PAD_LOWER ? less : more;
}

gs_status gs_window_read(gs_arena *a, const gs_node *n, const gs_value *x,
                         const int64_t *size, gs_window *w, gs_err *e) {
  padding p;
  GS_TRY(read_attributes(a, n, x, size, w, &p, e));
  bool ceil = gs_node_int(n, "ceil_mode", 0) != 0;
  for (int d = 0; d < w->n; d++) {
    int64_t span = gs_window_span(w, d), s = w->stride[d];
    if (p == PAD_UPPER || p == PAD_LOWER) {
      w->out[d] = gs_ceil_div(w->in[d], s);
      share_padding(w, d,
                    gs_max(0, (w->out[d] - 1) * s + span - w->in[d]), p);
      continue;
    }
    int64_t room = w->in[d] + w->begin[d] + w->end[d] - span;
    if (room < 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "a window of %lld elements is larger than dim %d of "
                     "'%s' %s with its padding", (long long)span, d + 2,
                     x->name, gs_shape_text(a, x->dtype, x->rank, x->dims));
    w->out[d] = (ceil ? gs_ceil_div(room, s) : room / s) + 1;
    /* No window starts in the padding after the operand. */
    if (ceil && (w->out[d] - 1) * s >= w->in[d] + w->begin[d]) w->out[d]--;
  }
  return GS_OK;
}

gs_status gs_window_read_transposed(gs_arena *a, const gs_node *n,
                                    const gs_value *x, const int64_t *size,
                                    gs_window *w, gs_err *e) {
  padding p;
  int64_t more[GS_MAX_RANK], want[GS_MAX_RANK];
  int given;
  GS_TRY(read_attributes(a, n, x, size, w, &p, e));
  GS_TRY(gs_window_list(a, n, "output_padding", w->n, 0, 0, more, e));
  gs_node_ints(n, "output_shape", &given);
  if (given == w->n + 2 && given) { /* some exporters write all dims */
    int64_t all[GS_MAX_RANK];
    GS_TRY(gs_window_list(a, n, "output_shape", given, 0, 0, all, e));
    memcpy(want, all + 2, (size_t)w->n * sizeof *want);
  } else {
    GS_TRY(gs_window_list(a, n, "output_shape", w->n, 0, 0, want, e));
  }
  for (int d = 0; d < w->n; d++) {
    int64_t s = w->stride[d];
    int64_t full = (w->in[d] - 1) * s + more[d] + gs_window_span(w, d);
    bool same = p == PAD_UPPER || p == PAD_LOWER;
    if (w->in[d] == 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n), "'%s' is empty",
                     x->name);
    if (given || same) {
      w->out[d] = given ? want[d] : w->in[d] * s;
      /* A negative total grows the result after its last element. */
      int64_t total = full - w->out[d];
      if (total < 0) w->begin[d] = 0, w->end[d] = total;
      else share_padding(w, d, total, p == PAD_UPPER ? p : PAD_LOWER);
    } else {
      w->out[d] = full - w->begin[d] - w->end[d];
    }
    if (w->out[d] < 1)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "spatial dim %d of the result has no elements", d);
  }
  return GS_OK;
}
