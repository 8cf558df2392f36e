/* Operators that create tensors: constants, ranges, random numbers, and the
 * shapes of other tensors as data. */
#include <math.h>

#include "base/data/hash.h"
#include "base/math.h"
#include "op/core/number.h"
#include "op/rows/tensor/movement.h"

/* ---- rules ---- */

/* ---- Constant, ConstantOfShape, Range ---- */

gs_status gs_shape_constant(gs_graph *g, gs_node *n, gs_err *e) {
  static const struct {
    const char *name;
    gs_attr_kind kind;
    gs_dtype dtype; /* GS_UNDEFINED: a tensor */
    int rank;
  } form[] = {
      {"value", GS_ATTR_TENSOR, GS_UNDEFINED, 0},
      {"value_float", GS_ATTR_FLOAT, GS_FLOAT, 0},
      {"value_floats", GS_ATTR_FLOATS, GS_FLOAT, 1},
      {"value_int", GS_ATTR_INT, GS_INT64, 0},
      {"value_ints", GS_ATTR_INTS, GS_INT64, 1},
      {"value_string", GS_ATTR_STRING, GS_STRING, 0},
      {"value_strings", GS_ATTR_STRINGS, GS_STRING, 1},
  };
  for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
    const gs_attr *at = gs_node_attr(n, form[i].name);
    int64_t count;
    if (!at) continue;
    if (at->kind != form[i].kind)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "attribute '%s' is of the wrong kind", at->name);
    if (at->kind == GS_ATTR_TENSOR)
      return gs_shape_set(g, n, 0, at->t->dtype, at->t->rank, at->t->dims, e);
    count = at->n;
    return gs_shape_set(g, n, 0, form[i].dtype, form[i].rank, &count, e);
  }
  return gs_fail(e,
                 gs_node_attr(n, "sparse_value") ? GS_UNSUPPORTED : GS_DATA,
                 gs_node_place(g->arena, n),
                 gs_node_attr(n, "sparse_value")
                     ? "a sparse constant"
                     : "none of the attributes that hold a value");
}

gs_status gs_shape_constant_of_shape(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_attr *at = gs_node_attr(n, "value");
  gs_dtype dtype = at && at->t ? at->t->dtype : GS_FLOAT;
  const int64_t *dims;
  int rank;
  if (at && (!at->t || gs_tensor_count(at->t) != 1))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'value' must be a tensor of one element");
  if (gs_move_open(n, 0))
    return gs_shape_set(g, n, 0, dtype, n->out[0]->rank, n->out[0]->dims, e);
  GS_TRY(gs_shape_const_ints(g->arena, n, 0, &dims, &rank, e));
  if (rank > GS_MAX_RANK)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "a shape of rank %d (limit %d)", rank, GS_MAX_RANK);
  for (int d = 0; d < rank; d++)
    if (dims[d] < 0)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "shape[%d] is negative", d);
  return gs_shape_set(g, n, 0, dtype, rank, dims, e);
}

/* ceil((limit - start) / delta) in integers, at least 0; -1: too many. */
static int64_t range_ints(int64_t start, int64_t limit, int64_t delta) {
  __int128 span = (__int128)limit - start, step = delta, count;
  if (step < 0) {
    span = -span;
    step = -step;
  }
  if (span <= 0) return 0;
  count = (span + step - 1) / step;
  return count > INT64_MAX ? -1 : (int64_t)count;
}

/* The same in doubles; -1: not finite, or too many to count. */
static int64_t range_floats(double start, double limit, double delta) {
  double count = ceil((limit - start) / delta);
  if (isnan(count) || count > 0x1p53) return -1;
  return count > 0 ? (int64_t)count : 0;
}

static bool float_scalar(const gs_tensor *t, double *f) {
  return t && gs_tensor_count(t) == 1 && gs_number_at(t, 0, f);
}

gs_status gs_shape_range(gs_graph *g, gs_node *n, gs_err *e) {
  gs_dtype t = n->in[0]->dtype;
  double f[3] = {0};
  int64_t v[3] = {0}, count = -1;
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 1, e));
  GS_TRY(gs_shape_same_type(g->arena, n, 0, 2, e));
  for (int i = 0; i < 3; i++)
    if (gs_move_open(n, i) && n->out[0]->rank == 1)
      return gs_move_keep(g, n, e);
  for (int i = 0; i < 3; i++) {
    const gs_tensor *c = n->in[i]->constant;
    if (!c)
      return gs_shape_not_constant(g->arena, n, i, e);
    if (gs_tensor_ints(c, &v[i], 1) != 1 && !float_scalar(c, &f[i]))
      return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                     "operand '%s' is not a float of 16 to 64 bits or an "
                     "integer",
                     n->in[i]->name);
  }
  if (v[2] == 0 && !(f[2] < 0 || f[2] > 0))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "delta is 0 or not a number");
  count = gs_dtype_get(t)->cls == 'f' ? range_floats(f[0], f[1], f[2])
                                      : range_ints(v[0], v[1], v[2]);
  if (count < 0)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "the range is not finite");
  return gs_shape_set(g, n, 0, t, 1, &count, e);
}

/* ---- random numbers ---- */

static gs_status random_type(gs_graph *g, const gs_node *n, int64_t dtype,
                             gs_err *e) {
  if (dtype == GS_FLOAT || dtype == GS_DOUBLE || dtype == GS_FLOAT16 ||
      dtype == GS_BFLOAT16)
    return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "dtype %lld is not a floating-point type", (long long)dtype);
}

/* With the attribute `split` (ai.gshard) the result is one device's block. */
gs_status gs_shape_random(gs_graph *g, gs_node *n, gs_err *e) {
  int64_t dtype = gs_node_int(n, "dtype", GS_FLOAT), dims[GS_MAX_RANK];
  const gs_sharding *split = gs_node_sharding(n, "split");
  int rank;
  const int64_t *shape = gs_node_ints(n, "shape", &rank);
  GS_TRY(random_type(g, n, dtype, e));
  if (!gs_node_attr(n, "shape") || rank > GS_MAX_RANK)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "needs the attribute 'shape' (rank at most %d)",
                   GS_MAX_RANK);
  for (int d = 0; d < rank; d++) {
    dims[d] = shape[d];
    if (shape[d] < 0)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "shape[%d] is negative", d);
  }
  if (gs_node_attr(n, "split")) {
    if (!g->mesh)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "needs a mesh, and the graph has none");
    if (!split)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "'%s' is not a sharding over this mesh",
                     gs_node_string(n, "split", "?"));
    GS_TRY(gs_sharding_check(g->mesh, split, rank,
                             gs_node_place(g->arena, n), e));
    gs_sharding_local(g->mesh, split, shape, dims);
  }
  return gs_shape_set(g, n, 0, (gs_dtype)dtype, rank, dims, e);
}

/* The block of the numbers that the whole tensor has: the global shape, how
 * it is split, and the key (the seed, or a stream that depends on the name of
 * the result) decide every element. */
static gs_status draw_block(gs_local *l, const char *op_type) {
  const gs_value *y = l->node->out[0];
  gs_graph *g = l->program;
  gs_sharding *split = gs_sharding_new(g->arena, y->rank, false);
  const gs_attr *seed = gs_node_attr(l->node, "seed");
  gs_node *n = gs_local_emit(l, "ai.gshard", op_type, NULL, 0, y->dtype,
                             y->rank, l->out_dims[0]);
  for (int d = 0; d < y->rank; d++)
    split->dim[d].axes = l->out_sharding[0]->dim[d].axes;
  gs_node_set_int(g, n, "dtype", y->dtype);
  for (int i = 0; i < l->node->nattr; i++) {
    const gs_attr *at = &l->node->attr[i];
    if (at == seed || at->kind == GS_ATTR_FLOAT) gs_node_set(g, n, at);
  }
  if (!seed)
    gs_node_set_int(g, n, "stream",
                    (int64_t)gs_stream_key(y->name, 0));
  gs_node_set_ints(g, n, "shape", y->dims, y->rank);
  gs_node_set_sharding(g, n, "split", split);
  l->out[0] = n->out[0];
  return GS_OK;
}

gs_status gs_local_random(gs_local *l, gs_err *e) {
  (void)e;
  return draw_block(l, "RandomUniform");
}

gs_status gs_local_random_normal(gs_local *l, gs_err *e) {
  (void)e;
  return draw_block(l, "RandomNormal");
}

/* ---- Shape, Size ---- */

gs_status gs_shape_shape(gs_graph *g, gs_node *n, gs_err *e) {
  int64_t rank = n->in[0]->rank;
  int64_t start = gs_node_int(n, "start", 0);
  int64_t end = gs_node_int(n, "end", rank), count;
  if (start < 0) start += rank;
  if (end < 0) end += rank;
  start = gs_min(gs_max(start, 0), rank);
  end = gs_min(gs_max(end, 0), rank);
  count = gs_max(end - start, 0);
  return gs_shape_set(g, n, 0, GS_INT64, 1, &count, e);
}

