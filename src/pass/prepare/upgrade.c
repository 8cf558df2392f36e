#include "pass/prepare/upgrade.h"

#include <string.h>

#include "base/assert.h"
#include "op/core/schema.h"
#include "pass/prepare/gradient.h"
#include "pass/prepare/upgrade_scan.h"

/* One row of upgrade.def for a node. */
typedef struct change {
  const char *op_type;
  int before;
  gs_status (*apply)(gs_graph *g, gs_node *n, const struct change *c,
                     gs_err *e);
  const char *name;
  int at;
} change;

/* ---- operands and nodes ---- */

/* Makes v operand `at`, appending left-out operands as needed. */
static void set_operand(gs_graph *g, gs_node *n, int at, gs_value *v) {
  if (at >= n->nin) {
    gs_value **in = GS_NEWS(g->arena, at + 1, gs_value *);
    if (n->nin) memcpy(in, n->in, (size_t)n->nin * sizeof *in);
    n->in = in;
    n->nin = at + 1;
  }
  gs_assert(at >= 0 && at < n->nin && v);
  n->in[at] = v;
}

/* "node/attribute", or after the first result of a node without a name. */
static char *new_name(gs_graph *g, const gs_node *n, const char *what) {
  const char *base = n->name;
  for (int i = 0; !*base && i < n->nout; i++)
    if (n->out[i]) base = n->out[i]->name;
  return gs_sprintf(g->arena, "%s/%s", base, what);
}

/* A node of the newest opset that stands for a part of `from`. */
static gs_node *new_node(gs_graph *g, const gs_node *from,
                         const char *op_type, gs_value *a, gs_value *b,
                         const char *what) {
  gs_node *n = gs_node_new(g, "", op_type, new_name(g, from, what), b ? 2 : 1,
                           1);
  n->op = gs_op_find("", op_type);
  n->opset = gs_domain_find("")->newest;
  n->origin = from->origin;
  n->stage = from->stage;
  n->in[0] = a;
  if (b) n->in[1] = b;
  return n;
}

static gs_value *new_result(gs_graph *g, gs_node *n, gs_dtype dtype) {
  gs_value *v = gs_value_new(g, n->name, dtype, -1, NULL);
  gs_node_output(n, 0, v);
  return v;
}

static gs_value *new_scalar(gs_graph *g, const gs_node *n, const char *what,
                            double f, bool wide) {
  gs_tensor *t = GS_NEW(g->arena, gs_tensor);
  float narrow = (float)f;
  t->dtype = wide ? GS_DOUBLE : GS_FLOAT;
  t->nbytes = wide ? sizeof f : sizeof narrow;
  t->dims = GS_NEWS(g->arena, 1, int64_t);
  t->data = gs_memdup(g->arena, wide ? (void *)&f : (void *)&narrow,
                      (size_t)t->nbytes);
  return gs_value_constant(g, new_name(g, n, what), t);
}

/* ---- changes ---- */

static gs_status upgrade_rename(gs_graph *g, gs_node *n, const change *c,
                                gs_err *e) {
  (void)g;
  (void)e;
  n->op_type = c->name;
  return GS_OK;
}

static gs_status wrong_kind(gs_graph *g, const gs_node *n, const change *c,
                            gs_err *e) {
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "attribute '%s' is of the wrong kind", c->name);
}

/* An integer or a list of integers becomes a 1-D operand. */
static gs_status upgrade_ints(gs_graph *g, gs_node *n, const change *c,
                              gs_err *e) {
  const gs_attr *at = gs_node_attr(n, c->name);
  const int64_t *list;
  int count = 1;
  if (!at) return GS_OK;
  if (at->kind != GS_ATTR_INTS && at->kind != GS_ATTR_INT)
    return wrong_kind(g, n, c, e);
  list = at->kind == GS_ATTR_INT ? &at->i : gs_node_ints(n, c->name, &count);
  set_operand(g, n, c->at,
              gs_value_ints(g, new_name(g, n, c->name), list, count));
  gs_node_drop(n, c->name);
  return GS_OK;
}

/* A float becomes a scalar f32 operand. */
static gs_status upgrade_scalar(gs_graph *g, gs_node *n, const change *c,
                                gs_err *e) {
  const gs_attr *at = gs_node_attr(n, c->name);
  if (!at) return GS_OK;
  if (at->kind != GS_ATTR_FLOAT) return wrong_kind(g, n, c, e);
  set_operand(g, n, c->at, new_scalar(g, n, c->name, at->f, false));
  gs_node_drop(n, c->name);
  return GS_OK;
}

/* A float becomes a scalar operand of the type of operand 0, by a conversion
 * in the graph where that type is not known here. */
static gs_status upgrade_scalar_like(gs_graph *g, gs_node *n, const change *c,
                                     gs_err *e) {
  const gs_attr *at = gs_node_attr(n, c->name);
  gs_value *x = gs_node_in(n, 0), *v;
  gs_dtype type = x ? x->dtype : GS_FLOAT;
  if (!at) return GS_OK;
  if (at->kind != GS_ATTR_FLOAT) return wrong_kind(g, n, c, e);
  v = new_scalar(g, n, c->name, at->f, type == GS_DOUBLE);
  if (type != GS_FLOAT && type != GS_DOUBLE)
    v = new_result(g, new_node(g, n, "CastLike", v, x, c->name), type);
  set_operand(g, n, c->at, v);
  gs_node_drop(n, c->name);
  return GS_OK;
}

/* Split without sizes: into as many equal parts as there are results. */
static gs_status upgrade_equal_parts(gs_graph *g, gs_node *n, const change *c,
                                     gs_err *e) {
  (void)e;
  if (!gs_node_in(n, 1)) gs_node_set_int(g, n, c->name, n->nout);
  return GS_OK;
}

/* A further result that had the type of operand 0 then and is bool now. */
static gs_status upgrade_bool_result(gs_graph *g, gs_node *n, const change *c,
                                     gs_err *e) {
  gs_value *y = gs_node_out(n, c->at), *x = gs_node_in(n, 0);
  (void)e;
  if (!y || !x) return GS_OK;
  char *name = new_name(g, n, c->name);
  gs_value *now = gs_value_new(g, name, GS_BOOL, y->rank, y->dims);
  gs_node_output(n, c->at, now);
  gs_node_output(new_node(g, n, "CastLike", now, x, c->name), 0, y);
  return GS_OK;
}

bool gs_upgrade_one_dim(const gs_value *x, int64_t axis) {
  if (axis == -1) return true;
  if (x->rank < 0 || axis < -x->rank || axis >= x->rank) return false;
  if (axis < 0) axis += x->rank;
  for (int64_t d = axis + 1; d < x->rank; d++)
    if (x->dims[d] != 1) return false;
  return true;
}

void gs_upgrade_flatten(gs_graph *g, gs_node *n, int64_t axis) {
  gs_value *x = n->in[0], *y = n->out[0];
  gs_assert(n->nin >= 1 && n->nout >= 1 && x && y);
  gs_node *flat = new_node(g, n, "Flatten", x, NULL, "flat");
  gs_node_set_int(g, flat, "axis", axis);
  n->in[0] = new_result(g, flat, x->dtype);
  gs_node_set_int(g, n, "axis", -1);
  gs_node_output(n, 0, gs_value_new(g, new_name(g, n, "rows"), x->dtype, -1,
                                    NULL));
  gs_node *shape = new_node(g, n, "Shape", x, NULL, "shape");
  gs_node *back = new_node(g, n, "Reshape", n->out[0],
                           new_result(g, shape, GS_INT64), "back");
  gs_node_output(back, 0, y);
}

/* Softmax was over all dims from `axis` (default 1) on, taken as one.  Where
 * that is one dim alone, only the default differs; else the operand is
 * flattened before and its shape restored after.  What the model declares of a
 * result may be missing or stale: inference decides. */
static gs_status upgrade_coerced(gs_graph *g, gs_node *n, const change *c,
                                 gs_err *e) {
  int64_t axis = gs_node_int(n, c->name, 1);
  const gs_value *x = gs_node_in(n, 0);
  if (!x || !gs_node_out(n, 0)) return GS_OK; /* arity: with the shapes */
  bool known = x->rank >= 0 && !x->def;
  if (known && (axis < -x->rank || axis > x->rank))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "axis %lld is out of range for '%s' of rank %d",
                   (long long)axis, x->name, x->rank);
  if (!x->def && !gs_upgrade_one_dim(x, axis)) {
    gs_upgrade_flatten(g, n, axis);
    return GS_OK;
  }
  if (axis != -1 && x->def)
    n->coerced = gs_memdup(g->arena, &axis, sizeof axis);
  gs_node_set_int(g, n, c->name, axis == x->rank - 1 ? -1 : axis);
  return GS_OK;
}

/* Binary operators broadcast only on demand: operand 1 to a part of operand 0
 * that starts at `axis`, or ends with it.  The former needs dims of size 1
 * after it now. */
static gs_status upgrade_one_way(gs_graph *g, gs_node *n, const change *c,
                                 gs_err *e) {
  const gs_attr *at = gs_node_attr(n, c->name);
  gs_value *x = gs_node_in(n, 0), *y = gs_node_in(n, c->at);
  int64_t add[GS_MAX_RANK], axis = at ? at->i : 0;
  bool on = gs_node_int(n, "broadcast", 0);
  gs_node_drop(n, "broadcast");
  gs_node_drop(n, "consumed_inputs");
  gs_node_drop(n, c->name);
  if (!at || !on || !x || !y) return GS_OK;
  if (x->rank < 0 || y->rank < 0)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "'%s' of opset %d, with operands of unknown rank", c->name,
                   n->opset);
  x->relied = y->relied = true;
  if (axis < 0) axis += x->rank;
  if (at->kind != GS_ATTR_INT || axis < 0 || axis + y->rank > x->rank)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "axis %lld is out of range for '%s' of rank %d and '%s' "
                   "of rank %d", (long long)at->i, x->name, x->rank, y->name,
                   y->rank);
  int count = x->rank - y->rank - (int)axis;
  if (!count) return GS_OK;
  gs_assert(count > 0 && count <= GS_MAX_RANK);
  for (int i = 0; i < count; i++) add[i] = y->rank + i;
  gs_value *axes = gs_value_ints(g, new_name(g, n, c->name), add, count);
  n->in[c->at] = new_result(
      g, new_node(g, n, "Unsqueeze", y, axes, "broadcast"), y->dtype);
  return GS_OK;
}

/* BatchNormalization said whether it trains before it was seen from how many
 * results there are. */
static gs_status upgrade_is_test(gs_graph *g, gs_node *n, const change *c,
                                 gs_err *e) {
  bool test = gs_node_int(n, c->name, 0) != 0;
  gs_node_drop(n, c->name);
  gs_node_drop(n, "consumed_inputs");
  if (test) return GS_OK;
  return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                 "the training mode of opset %d", n->opset);
}

/* ... and from then on it trained when it had further results. */
static gs_status upgrade_no_training(gs_graph *g, gs_node *n, const change *c,
                                     gs_err *e) {
  const gs_value *more = gs_node_out(n, c->at);
  if (more)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "the result '%s' (%s) of opset %d", more->name, c->name,
                   n->opset);
  n->nout = c->at;
  return GS_OK;
}

/* RoiAlign had another frame of coordinates, and no attribute for it. */
static gs_status upgrade_roi_frame(gs_graph *g, gs_node *n, const change *c,
                                   gs_err *e) {
  (void)e;
  if (!gs_node_attr(n, c->name))
    gs_node_set_string(g, n, c->name, "output_half_pixel");
  return GS_OK;
}

/* A slope of rank 1 was one number for all, or one for each channel (dim 1),
 * which needs dims of size 1 after it now. */
static gs_status upgrade_channel_slope(gs_graph *g, gs_node *n,
                                       const change *c, gs_err *e) {
  gs_value *x = gs_node_in(n, 0), *y = gs_node_in(n, c->at);
  int64_t add[GS_MAX_RANK];
  if (!x || !y) return GS_OK; /* arity is checked with the shapes */
  y->relied = true;
  if (y->rank == 0 || (y->rank == 1 && y->dims[0] == 1)) return GS_OK;
  if (x->rank < 0 || y->rank < 0)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "'%s' of opset %d, with operands of unknown rank", c->name,
                   n->opset);
  x->relied = y->relied = true;
  int count = x->rank - 1 - y->rank;
  if (y->rank != 1 || count <= 0) return GS_OK;
  gs_assert(count > 0 && count <= GS_MAX_RANK);
  for (int i = 0; i < count; i++) add[i] = i + 1;
  gs_value *axes = gs_value_ints(g, new_name(g, n, c->name), add, count);
  n->in[c->at] = new_result(
      g, new_node(g, n, "Unsqueeze", y, axes, "channels"), y->dtype);
  return GS_OK;
}

/* An operand with one element for each of num_groups groups of channels gets
 * one for each channel (dim 1 of operand 0). */
static gs_status upgrade_per_channel(gs_graph *g, gs_node *n, const change *c,
                                     gs_err *e) {
  static const int64_t column = 1, all = -1;
  gs_value *x = gs_node_in(n, 0), *v = gs_node_in(n, c->at);
  int64_t groups = gs_node_int(n, "num_groups", 0);
  (void)e;
  if (!x || !v || groups < 1) return GS_OK; /* checked with the shapes */
  gs_node *count = new_node(g, n, "Shape", x, NULL, c->name);
  gs_node_set_int(g, count, "start", 1);
  gs_node_set_int(g, count, "end", 2);
  gs_value *number = gs_value_ints(g, new_name(g, n, c->name), &groups, 1);
  gs_node *each = new_node(g, n, "Div", new_result(g, count, GS_INT64), number,
                           c->name);
  gs_node *shape = new_node(g, n, "Concat", number,
                            new_result(g, each, GS_INT64), c->name);
  gs_node_set_int(g, shape, "axis", 0);
  gs_value *to = new_result(g, shape, GS_INT64);
  gs_node *tall =
      new_node(g, n, "Unsqueeze", v,
               gs_value_ints(g, new_name(g, n, c->name), &column, 1), c->name);
  gs_node *wide = new_node(g, n, "Expand", new_result(g, tall, v->dtype), to,
                           c->name);
  gs_node *flat =
      new_node(g, n, "Reshape", new_result(g, wide, v->dtype),
               gs_value_ints(g, new_name(g, n, c->name), &all, 1), c->name);
  n->in[c->at] = new_result(g, flat, v->dtype);
  return GS_OK;
}

/* A list of floats becomes a 1-D f32 operand. */
static gs_status upgrade_floats(gs_graph *g, gs_node *n, const change *c,
                                gs_err *e) {
  const gs_attr *at = gs_node_attr(n, c->name);
  gs_tensor *t;
  if (!at) return GS_OK;
  if (at->kind != GS_ATTR_FLOATS) return wrong_kind(g, n, c, e);
  int64_t count = at->n;
  GS_TRY(gs_tensor_new(g->arena, GS_FLOAT, 1, &count, &t, e));
  t->data = gs_memdup(g->arena, at->floats, (size_t)t->nbytes);
  set_operand(g, n, c->at, gs_value_constant(g, new_name(g, n, c->name), t));
  gs_node_drop(n, c->name);
  return GS_OK;
}

/* An integer that was 1 by default becomes a scalar operand. */
static gs_status upgrade_int_or_1(gs_graph *g, gs_node *n, const change *c,
                                  gs_err *e) {
  const gs_attr *at = gs_node_attr(n, c->name);
  gs_tensor *t;
  if (at && at->kind != GS_ATTR_INT) return wrong_kind(g, n, c, e);
  int64_t value = at ? at->i : 1;
  GS_TRY(gs_tensor_new(g->arena, GS_INT64, 0, &value, &t, e));
  t->data = gs_memdup(g->arena, &value, sizeof value);
  set_operand(g, n, c->at, gs_value_constant(g, new_name(g, n, c->name), t));
  gs_node_drop(n, c->name);
  return GS_OK;
}

/* GridSample's modes were named after two dims. */
static gs_status upgrade_sample_mode(gs_graph *g, gs_node *n, const change *c,
                                     gs_err *e) {
  const char *mode = gs_node_string(n, c->name, "bilinear");
  (void)e;
  if (!strcmp(mode, "bilinear")) mode = "linear";
  if (!strcmp(mode, "bicubic")) mode = "cubic";
  gs_node_set_string(g, n, c->name, mode);
  return GS_OK;
}

/* Which of the constant scales are below 1, or above it, as the axes of a
 * node; NULL when none is, or when they are not known here. */
static const int64_t *scaled_axes(gs_graph *g, const gs_value *scales,
                                  bool below, int *count) {
  const gs_attr *at =
      scales->def ? gs_node_attr(scales->def, "value") : NULL;
  const gs_tensor *t = scales->constant ? scales->constant : at ? at->t : NULL;
  const char *bytes = t && t->dtype == GS_FLOAT ? gs_tensor_bytes(t) : NULL;
  int64_t n = bytes ? gs_tensor_count(t) : 0;
  int64_t *axes = GS_NEWS(g->arena, n + 1, int64_t);
  *count = 0;
  for (int64_t i = 0; i < n; i++) {
    float scale;
    memcpy(&scale, bytes + i * 4, sizeof scale);
    if (below ? scale < 1 : scale > 1) axes[(*count)++] = i;
  }
  return *count ? axes : NULL;
}

static gs_value *scales_of(gs_graph *g, gs_node *n, const gs_value *scales,
                           const int64_t *axes, int count) {
  const gs_tensor *from =
      scales->constant ? scales->constant
                       : gs_node_attr(scales->def, "value")->t;
  gs_tensor *t;
  int64_t dims = count;
  float *list = GS_NEWS(g->arena, count, float);
  const char *bytes = gs_tensor_bytes(from);
  for (int i = 0; i < count; i++)
    memcpy(&list[i], bytes + axes[i] * 4, sizeof *list);
  if (gs_tensor_new(g->arena, GS_FLOAT, 1, &dims, &t, NULL)) return NULL;
  t->data = list;
  gs_node_set_ints(g, n, "axes", axes, count);
  return gs_value_constant(g, new_name(g, n, "scales"), t);
}

/* Resize without a region took elements at x / scale, the one before where a
 * dim grows and the one after where it shrinks: dims that do the other are
 * resized by a node of their own. */
static gs_status upgrade_asymmetric(gs_graph *g, gs_node *n, const change *c,
                                    gs_err *e) {
  gs_value *scales = gs_node_in(n, 1);
  const char *mode = gs_node_string(n, "mode", "nearest");
  int nless, nmore;
  (void)e;
  if (!scales) return GS_OK; /* arity is checked with the shapes */
  set_operand(g, n, c->at, scales);
  n->in[1] = NULL;
  gs_node_set_string(g, n, "coordinate_transformation_mode", "asymmetric");
  if (strcmp(mode, "nearest")) return GS_OK;
  const int64_t *less = scaled_axes(g, scales, true, &nless);
  const int64_t *more = scaled_axes(g, scales, false, &nmore);
  gs_node_set_string(g, n, "nearest_mode", less ? "ceil" : "floor");
  if (!less || !more) return GS_OK;
  gs_node *up = new_node(g, n, n->op_type, n->in[0], NULL, "up");
  gs_node_set_all(g, up, n);
  gs_node_set_string(g, up, "nearest_mode", "floor");
  set_operand(g, up, c->at, scales_of(g, up, scales, more, nmore));
  n->in[c->at] = scales_of(g, n, scales, less, nless);
  n->in[0] = new_result(g, up, n->in[0]->dtype);
  return GS_OK;
}

/* Scan had a batch dim. */
static gs_status upgrade_batched(gs_graph *g, gs_node *n, const change *c,
                                 gs_err *e) {
  (void)c;
  return gs_upgrade_batched_scan(g, n, e);
}

/* A flat constant gets the rows of operand 1: [16] beside [8,2,..] is [8,2]. It
 * can be split along both then. */
static gs_status upgrade_rows(gs_graph *g, gs_node *n, const change *c,
                              gs_err *e) {
  const gs_value *v = gs_node_in(n, c->at), *by = gs_node_in(n, 1);
  (void)e;
  if (!v || !v->constant || v->rank != 1 || !by || by->rank < 1) return GS_OK;
  int64_t dims[2] = {by->dims[0], 0};
  if (dims[0] < 1 || v->dims[0] % dims[0]) return GS_OK; /* checked later */
  dims[1] = v->dims[0] / dims[0];
  gs_tensor *t = gs_memdup(g->arena, v->constant, sizeof *t);
  t->rank = 2;
  t->dims = gs_memdup(g->arena, dims, sizeof dims);
  t->part_of = v->name;
  t->name = gs_sprintf(g->arena, "%s:rows", v->name);
  while (gs_graph_find(g, t->name))
    t->name = gs_sprintf(g->arena, "%s'", t->name);
  n->in[c->at] = gs_value_constant(g, t->name, t);
  return GS_OK;
}

static const change changes[] = {
#define UP(op_type, before, how, name, at)                                    \
  {op_type, before, upgrade_##how, name, at},
#define MS(op_type, how, name, at)
#define FROM(op_type, since)
#include "pass/prepare/upgrade.def"
#undef UP
#undef MS
};

static const change forms[] = { /* of com.microsoft, whose only version is 1 */
#define UP(op_type, before, how, name, at)
#define MS(op_type, how, name, at) {op_type, 2, upgrade_##how, name, at},
#include "pass/prepare/upgrade.def"
#undef UP
#undef MS
#undef FROM
};

static const struct {
  const char *op_type;
  int since;
} older_forms[] = {
#define UP(op_type, before, how, name, at)
#define MS(op_type, how, name, at)
#define FROM(op_type, since) {op_type, since},
#include "pass/prepare/upgrade.def"
#undef UP
#undef MS
#undef FROM
};

/* ---- the pass ---- */

/* The oldest version of which the operator is understood. */
static int oldest_version(const gs_node *n, const gs_domain *d) {
  for (size_t i = 0; !*d->name && i < sizeof older_forms / sizeof *older_forms;
       i++)
    if (!strcmp(n->op_type, older_forms[i].op_type))
      return older_forms[i].since;
  return d->oldest;
}

static gs_status check_version(gs_graph *g, const gs_node *n,
                               const gs_domain *d, gs_err *e) {
  int oldest = oldest_version(n, d);
  if (n->opset >= oldest && n->opset <= d->newest) return GS_OK;
  bool old = n->opset < oldest;
  return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                 "version %d of domain '%s' is %s than %d, the %s supported",
                 n->opset, *d->name ? d->name : "ai.onnx",
                 old ? "older" : "newer", old ? oldest : d->newest,
                 old ? "oldest" : "newest");
}

static gs_status upgrade_node(gs_graph *g, gs_node *n, gs_err *e) {
  int version = n->opset;
  bool own = !*n->domain;
  if (!own && strcmp(n->domain, "com.microsoft")) return GS_OK;
  size_t count = own ? sizeof changes / sizeof *changes
                     : sizeof forms / sizeof *forms;
  for (size_t i = 0; i < count; i++) {
    const change *c = own ? &changes[i] : &forms[i];
    if (version < c->before && !strcmp(n->op_type, c->op_type))
      GS_TRY(c->apply(g, n, c, e));
  }
  return GS_OK;
}

/* Where n goes among the nodes from `from` on: before the first that uses a
 * result of it. */
static int node_place(const gs_graph *g, const gs_node *n, int from) {
  for (int at = from; at < g->node.n; at++)
    for (int i = 0; i < g->node.at[at]->nin; i++)
      if (g->node.at[at]->in[i] && g->node.at[at]->in[i]->def == n) return at;
  return g->node.n;
}

static void insert_node(gs_graph *g, gs_node *n, int at) {
  int after = g->node.n - at;
  *gs_push(g->arena, &g->node) = n;
  for (int i = g->node.n - 1; after > 0; i--, after--)
    g->node.at[i] = g->node.at[i - 1];
  g->node.at[at] = n;
}

/* What the pass ensures of nodes: those of bodies too. */
static gs_status check_nodes(const gs_graph *g, gs_err *e) {
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    const gs_domain *d = gs_domain_find(n->domain);
    if (n->op != gs_op_find(n->domain, n->op_type) ||
        (n->op && n->opset != d->newest))
      return gs_fail(e, GS_INTERNAL, gs_node_place(g->arena, n),
                     "the node is not in its newest form");
    for (int k = 0; k < n->nattr; k++)
      if (n->attr[k].kind == GS_ATTR_GRAPH)
        GS_TRY(check_nodes(n->attr[k].g, e));
  }
  return GS_OK;
}

static gs_status upgrade_graph(gs_graph *g, gs_err *e) {
  int count = g->node.n;
  gs_node **old = g->node.at;
  gs_expander functions = {.derive = gs_gradient_expand};
  g->node.at = NULL;
  g->node.n = g->node.cap = 0;
  for (int i = 0; i < count; i++) {
    gs_node *n = old[i];
    int from = g->node.n;
    const gs_domain *d = gs_domain_find(n->domain);
    if (d) GS_TRY(check_version(g, n, d, e));
    GS_TRY(gs_schema_check(g, n, e));
    GS_TRY(upgrade_node(g, n, e));
    n->op = gs_op_find(n->domain, n->op_type);
    if (n->op) n->opset = d->newest;
    for (int k = 0; k < n->nattr; k++)
      if (n->attr[k].kind == GS_ATTR_GRAPH)
        GS_TRY(upgrade_graph(n->attr[k].g, e));
    bool expanded = false;
    if (d && !n->op) GS_TRY(gs_expand_node(&functions, g, n, &expanded, e));
    if (expanded) continue;
    insert_node(g, n, node_place(g, n, from));
  }
  for (int i = 0; i < g->node.n; i++) g->node.at[i]->id = i;
  return GS_OK;
}

gs_status gs_pass_upgrade(gs_graph *g, gs_err *e) {
  GS_TRY(upgrade_graph(g, e));
  GS_TRY(gs_graph_check(g, e));
  return check_nodes(g, e);
}
