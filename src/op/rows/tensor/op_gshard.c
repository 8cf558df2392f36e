/* Shapes of the domain ai.gshard: operators on one device's blocks.  Their
 * attributes are described in gshard-ops(7). */
#include "base/math.h"
#include "op/core/exchange_node.h"
#include "op/core/moves.h"
#include "op/rows/tensor/movement.h"

static gs_status bad(gs_graph *g, const gs_node *n, const char *why,
                     gs_err *e) {
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n), "%s", why);
}

static gs_status missing(gs_graph *g, const gs_node *n, const char *name,
                         gs_err *e) {
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "needs the attribute '%s'", name);
}

static gs_status need_mesh(gs_graph *g, const gs_node *n, gs_err *e) {
  return g->mesh ? GS_OK
                 : bad(g, n, "needs a mesh, and the graph has none", e);
}

/* The number of devices over which the attribute `axes` goes. */
static gs_status axes_size(gs_graph *g, const gs_node *n, int64_t *m,
                           gs_err *e) {
  const gs_axes *axes = gs_node_axes(n, "axes");
  if (!gs_node_attr(n, "axes")) return missing(g, n, "axes", e);
  GS_TRY(need_mesh(g, n, e));
  if (!axes)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "'%s' names no axes of the mesh",
                   gs_node_string(n, "axes", "?"));
  *m = gs_axes_size(g->mesh, axes);
  return GS_OK;
}

/* A sharding in an attribute, for a value of that rank. */
static gs_status split_attr(gs_graph *g, const gs_node *n, const char *name,
                            int rank, const gs_sharding **s, gs_err *e) {
  const gs_attr *a = gs_node_attr(n, name);
  gs_buf text;
  if (!a) return missing(g, n, name, e);
  GS_TRY(need_mesh(g, n, e));
  *s = gs_node_sharding(n, name);
  if (*s && gs_sharding_check(g->mesh, *s, rank, name, NULL) == GS_OK)
    return GS_OK;
  gs_buf_init(&text, g->arena);
  gs_attr_print_text(&text, g->mesh, a);
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "'%s' is not a sharding of rank %d over this mesh", text.at,
                 rank);
}

/* An attribute that is a dim of operand 0. */
static gs_status dim_attr(gs_graph *g, const gs_node *n, const char *name,
                          int *d, gs_err *e) {
  int64_t at = gs_node_int(n, name, 0);
  if (!gs_node_attr(n, name)) return missing(g, n, name, e);
  if (at < 0 || at >= n->in[0]->rank)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "%s %lld is out of range for '%s' of rank %d", name,
                   (long long)at, n->in[0]->name, n->in[0]->rank);
  *d = (int)at;
  return GS_OK;
}

/* Attribute `size`: the length of a dim joined from m blocks of `block`. */
static gs_status size_attr(gs_graph *g, const gs_node *n, int64_t block,
                           int64_t m, int64_t *size, gs_err *e) {
  int64_t all;
  *size = gs_node_int(n, "size", 0);
  if (!gs_node_attr(n, "size")) return missing(g, n, "size", e);
  if (gs_mul(block, m, &all) && *size >= 0 && *size <= all) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "size %lld cannot be joined from %lld blocks of %lld",
                 (long long)*size, (long long)m, (long long)block);
}

static gs_status reduce_attr(gs_graph *g, const gs_node *n, gs_err *e) {
  const char *text = gs_node_string(n, "reduce", NULL);
  gs_reduce reduce;
  if (!gs_node_attr(n, "reduce")) return GS_OK;
  if (text && gs_reduce_parse(text, &reduce)) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "'%s' is not a reduction", text ? text : "?");
}

/* The shape of a block of operand 0, as `split` cuts it. */
static gs_status shape_split(gs_graph *g, const gs_node *n, int64_t *dims,
                             gs_err *e) {
  const gs_value *x = n->in[0];
  const gs_sharding *s;
  GS_TRY(split_attr(g, n, "split", x->rank, &s, e));
  gs_sharding_local(g->mesh, s, x->dims, dims);
  return GS_OK;
}

/* Operand 0 has the shape of a block under s of a value of these dims. */
static gs_status is_block(gs_graph *g, const gs_node *n, const gs_sharding *s,
                          const int64_t *dims, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t local[GS_MAX_RANK];
  gs_sharding_local(g->mesh, s, dims, local);
  for (int d = 0; d < x->rank; d++)
    if (local[d] != x->dims[d])
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "blocks of dim %d are %lld long, but '%s' has %lld", d,
                     (long long)local[d], x->name, (long long)x->dims[d]);
  return GS_OK;
}

/* The global shape in the attributes, of which operand 0 is a block. */
static gs_status shape_leave(gs_graph *g, const gs_node *n, int64_t *out,
                             gs_err *e) {
  const gs_value *x = n->in[0];
  const gs_sharding *s;
  int rank;
  const int64_t *dims = gs_node_ints(n, "dims", &rank);
  if (!gs_node_attr(n, "dims")) return missing(g, n, "dims", e);
  GS_TRY(split_attr(g, n, "split", x->rank, &s, e));
  if (rank != x->rank) return bad(g, n, "dims and operand differ in rank", e);
  for (int d = 0; d < rank; d++)
    if (dims[d] < 0) return bad(g, n, "a negative dim in 'dims'", e);
  for (int d = 0; d < rank; d++) out[d] = dims[d];
  return is_block(g, n, s, dims, e);
}

static gs_status shape_permute(gs_graph *g, const gs_node *n, gs_err *e) {
  const gs_sharding *s;
  GS_TRY(split_attr(g, n, "from", n->in[0]->rank, &s, e));
  return split_attr(g, n, "to", n->in[0]->rank, &s, e);
}

static gs_status shape_transfer(gs_graph *g, const gs_node *n, int64_t m,
                                int64_t *dims, gs_err *e) {
  int from, to;
  GS_TRY(dim_attr(g, n, "split_dim", &from, e));
  GS_TRY(dim_attr(g, n, "concat_dim", &to, e));
  if (from == to) return bad(g, n, "split_dim and concat_dim are one", e);
  dims[from] = gs_ceil_div(dims[from], m);
  return size_attr(g, n, dims[to], m, &dims[to], e);
}

static gs_status shape_exchange(gs_graph *g, const gs_node *n, int64_t *dims,
                                gs_err *e) {
  gs_exchange x;
  int dim;
  GS_TRY(gs_node_exchange(g->arena, n, g->mesh, &x, &dim, e));
  dims[dim] = x.range.length;
  return GS_OK;
}

/* A range within another that is held; where it lies follows from the place of
 * the device (the kernel sees to it). */
static gs_status shape_narrow(gs_graph *g, const gs_node *n, int64_t *dims,
                              gs_err *e) {
  gs_held_range have, want;
  int d;
  GS_TRY(dim_attr(g, n, "dim", &d, e));
  GS_TRY(gs_node_range(g->arena, n, "have", &have, e));
  GS_TRY(gs_node_range(g->arena, n, "want", &want, e));
  if (have.length != dims[d] || want.length > have.length)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "%lld of %lld places of dim %d, of which '%s' has %lld",
                   (long long)want.length, (long long)have.length, d,
                   n->in[0]->name, (long long)dims[d]);
  dims[d] = want.length;
  return GS_OK;
}

/* The axes of a set that split no dim of s but as its minor ones. */
static gs_subset minor_axes(const gs_sharding *s, gs_subset set) {
  gs_subset minor = 0;
  for (int d = 0; d < s->rank; d++) {
    const gs_axes *a = &s->dim[d].axes;
    for (int i = a->n; i-- > 0 && (set >> a->at[i] & 1);)
      minor |= (gs_subset)1 << a->at[i];
  }
  return minor;
}

/* Whether dim d of n elements differs by minor axes of the set alone, in one
 * of two shardings, and blocks nest. */
static bool regroups(const gs_mesh *m, const gs_sharding *x,
                     const gs_sharding *y, gs_subset set, int d, int64_t n) {
  const gs_axes *a = &x->dim[d].axes, *b = &y->dim[d].axes;
  const gs_axes *less = a->n < b->n ? a : b, *more = a->n < b->n ? b : a;
  gs_axes head = gs_axes_head(more, less->n);
  gs_axes tail = gs_axes_tail(more, less->n);
  return gs_axes_equal(&head, less) && !(gs_axes_set(less) & set) &&
         !(gs_axes_set(&tail) & ~set) &&
         gs_blocks_nest(n, gs_axes_size(m, less), gs_axes_size(m, &tail));
}

static gs_status shape_regroup(gs_graph *g, const gs_node *n, int64_t *out,
                               gs_err *e) {
  const gs_value *x = n->in[0];
  const gs_sharding *from, *to;
  int rank;
  const int64_t *dims = gs_node_ints(n, "dims", &rank);
  if (!gs_node_attr(n, "dims")) return missing(g, n, "dims", e);
  if (rank != x->rank) return bad(g, n, "dims and operand differ in rank", e);
  GS_TRY(split_attr(g, n, "from", rank, &from, e));
  GS_TRY(split_attr(g, n, "to", rank, &to, e));
  gs_subset set = gs_axes_set(gs_node_axes(n, "axes"));
  if (minor_axes(from, set) != set || minor_axes(to, set) != set)
    return bad(g, n, "'axes' are not minor axes of 'from' and of 'to'", e);
  for (int d = 0; d < rank; d++)
    if (dims[d] < 0 || !regroups(g->mesh, from, to, set, d, dims[d]))
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "dim %d of %lld elements cannot go from 'from' to 'to' "
                     "over 'axes'",
                     d, (long long)dims[d]);
  GS_TRY(is_block(g, n, from, dims, e));
  gs_sharding_local(g->mesh, to, dims, out);
  return GS_OK;
}

/* Moves over the attribute `axes`, by what they do to these. */
static gs_status shape_axes(gs_graph *g, const gs_node *n, gs_effect effect,
                            int64_t *dims, gs_err *e) {
  int64_t m, size;
  int d;
  GS_TRY(axes_size(g, n, &m, e));
  GS_TRY(reduce_attr(g, n, e));
  switch (effect) {
    case GS_EFFECT_JOIN:
      GS_TRY(dim_attr(g, n, "dim", &d, e));
      return size_attr(g, n, dims[d], m, &dims[d], e);
    case GS_EFFECT_SCATTER:
      GS_TRY(dim_attr(g, n, "dim", &d, e));
      dims[d] = gs_ceil_div(dims[d], m);
      return GS_OK;
    case GS_EFFECT_FILL:
      GS_TRY(dim_attr(g, n, "dim", &d, e));
      return size_attr(g, n, dims[d], m, &size, e);
    case GS_EFFECT_NARROW: return shape_narrow(g, n, dims, e);
    case GS_EFFECT_TRANSFER: return shape_transfer(g, n, m, dims, e);
    case GS_EFFECT_REGROUP: return shape_regroup(g, n, dims, e);
    default: return GS_OK;
  }
}

/* The shape of a move follows from its effect. */
gs_status gs_shape_move(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  gs_effect effect = gs_move_of(n->op)->effect;
  int64_t dims[GS_MAX_RANK];
  for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d];
  if (effect == GS_EFFECT_SPLIT) GS_TRY(shape_split(g, n, dims, e));
  else if (effect == GS_EFFECT_LEAVE) GS_TRY(shape_leave(g, n, dims, e));
  else if (effect == GS_EFFECT_PERMUTE) GS_TRY(shape_permute(g, n, e));
  else if (effect == GS_EFFECT_EXCHANGE) GS_TRY(shape_exchange(g, n, dims, e));
  else GS_TRY(shape_axes(g, n, effect, dims, e));
  return gs_shape_set(g, n, 0, x->dtype, x->rank, dims, e);
}

gs_status gs_shape_g_coordinate(gs_graph *g, gs_node *n, gs_err *e) {
  int64_t m;
  GS_TRY(axes_size(g, n, &m, e));
  return gs_shape_set(g, n, 0, GS_INT64, 0, NULL, e);
}
