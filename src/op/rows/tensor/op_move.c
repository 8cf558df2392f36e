/* Reshaping, and Trilu: operators that keep every element in its place. */
#include "base/assert.h"
#include "base/math.h"
#include "op/core/local.h"
#include "op/core/shape.h"
#include "op/rows/tensor/movement.h"

bool gs_move_open(const gs_node *n, int i) {
  const gs_value *v = gs_node_in(n, i);
  if (!v || v->constant) return false;
  for (int o = 0; o < n->nout; o++)
    if (n->out[o] && !gs_value_shaped(n->out[o])) return false;
  return true;
}

gs_status gs_move_keep(gs_graph *g, gs_node *n, gs_err *e) {
  for (int o = 0; o < n->nout; o++)
    if (n->out[o])
      GS_TRY(gs_shape_set(g, n, o, n->in[0]->dtype, n->out[o]->rank,
                          n->out[o]->dims, e));
  return GS_OK;
}

int gs_move_axis(int64_t axis, int rank) {
  return (int)(axis < 0 ? axis + rank : axis);
}

void gs_move_dims(gs_rule *r, const gs_node *n, const bool *touched) {
  const gs_value *x = n->in[0], *y = n->out[0];
  for (int d = 0; d < x->rank; d++) {
    if (touched[d]) {
      gs_rule_put(&r->in[0], d, gs_rule_whole(r, x->dims[d]));
      gs_rule_put(&r->out[0], d, gs_rule_whole(r, y->dims[d]));
    } else {
      int f = gs_rule_factor(r, x->dims[d], GS_PASS);
      gs_rule_put(&r->in[0], d, f);
      gs_rule_put(&r->out[0], d, f);
    }
  }
}

/* ---- the reshape family ---- */

/* One side of a reshape while its dims are walked from major to minor. */
typedef struct side {
  gs_tensor_map *map;
  const gs_value *v;
  int next;     /* dims begun */
  int64_t rest; /* what of dim next-1 has no factor yet */
} side;

static void side_fill(side *s) {
  while (s->rest == 1 && s->next < s->v->rank)
    s->rest = s->v->dims[s->next++];
}

static void side_put(side *s, int f, int64_t size) {
  gs_rule_put(s->map, s->next - 1, f);
  s->rest /= size;
}

/* Room for one that is whole, and for the flat one, must be left. */
static bool side_full(const side *s) {
  return s->map->dim[s->next - 1].n >= GS_MAX_DIM_FACTORS - 2;
}

/* Dims of one element at the same place are one factor: which device has it
 * does not change. */
static void sides_ones(gs_rule *r, side *x, side *y) {
  while (x->next < x->v->rank && y->next < y->v->rank &&
         x->v->dims[x->next] == 1 && y->v->dims[y->next] == 1) {
    int f = gs_rule_factor(r, 1, GS_PASS);
    gs_rule_put(x->map, x->next++, f);
    gs_rule_put(y->map, y->next++, f);
  }
}

/* From here on the two sides share no boundary until their products meet
 * again, where both are at the end of a dim: everything up to there must be
 * whole. */
static void sides_unrelated(gs_rule *r, side *x, side *y) {
  int64_t px = x->rest, py = y->rest;
  side_put(x, gs_rule_whole(r, px), px);
  side_put(y, gs_rule_whole(r, py), py);
  while (px != py) {
    side *s = px < py ? x : y;
    int64_t size;
    side_fill(s);
    size = s->rest;
    if (size == 1) return; /* cannot be: the products are equal */
    side_put(s, gs_rule_whole(r, size), size);
    if (s == x) px *= size;
    else py *= size;
  }
}

/* Takes dims off both shapes, as few as it takes for the same number of
 * elements, *size. */
static void next_run(const int64_t *a, int n, int *end_a, const int64_t *b,
                     int m, int *end_b, int64_t *size) {
  int64_t p = *end_a < n ? a[(*end_a)++] : 1;
  int64_t q = *end_b < m ? b[(*end_b)++] : 1;
  while (p != q) {
    bool left = p < q;
    gs_assert(left ? *end_a < n : *end_b < m);
    if (left) p *= a[(*end_a)++];
    else q *= b[(*end_b)++];
  }
  *size = p;
}

int gs_shape_merged(const int64_t *a, int n, const int64_t *b, int m,
                    int64_t *dims) {
  int rank = 0, i = 0, j = 0;
  while (i < n || j < m) {
    int64_t size;
    next_run(a, n, &i, b, m, &j, &size);
    if (size != 1) dims[rank++] = size;
  }
  return rank;
}

/* Factors common to input and output, by the greatest common divisor of what
 * is left of the two current dims, major first: where the elements before are
 * equally many on both sides, a common major factor has the same stride on
 * both.  8x4x5 -> 2x16x5 is ([ij,k,l])->([i,jk,l]) with i=2 j=4 k=4 l=5.  (The
 * scheme of Shardy's reshape rule.)  Where rows do not fit together, as in
 * 9x4 -> 4x9, the first dims of what has the same elements on both sides get a
 * flat factor as well. */
gs_status gs_rule_reshape(gs_arena *a, const gs_node *n, gs_rule *r,
                          gs_err *e) {
  side x = {.v = n->in[0], .rest = 1}, y = {.v = n->out[0], .rest = 1};
  (void)e;
  gs_rule_begin(a, n, r);
  gs_rule_in_whole(r, n, 1);
  r->uneven = true;
  x.map = &r->in[0];
  y.map = &r->out[0];
  if (gs_product(x.v->dims, x.v->rank) == 0) {
    gs_rule_put_whole(r, x.map, x.v->dims);
    gs_rule_put_whole(r, y.map, y.v->dims);
    return GS_OK;
  }
  for (int first_x = 0, first_y = 0;;) {
    int64_t common;
    bool begins = x.rest == 1 && y.rest == 1;
    if (begins) sides_ones(r, &x, &y);
    side_fill(&x);
    side_fill(&y);
    if (x.rest == 1 || y.rest == 1) return GS_OK; /* both at the end */
    if (begins) {
      first_x = x.next - 1;
      first_y = y.next - 1;
    }
    common = gs_gcd(x.rest, y.rest);
    if (common == 1 || side_full(&x) || side_full(&y)) {
      sides_unrelated(r, &x, &y);
      int f = gs_rule_factor(r, 1, GS_FLAT);
      gs_rule_put(x.map, first_x, f);
      gs_rule_put(y.map, first_y, f);
    } else {
      int f = gs_rule_factor(r, common, GS_PASS);
      side_put(&x, f, common);
      side_put(&y, f, common);
    }
  }
}

/* Replaces the -1 of dims by what is left of count elements. */
static gs_status fill_dim(gs_graph *g, const gs_node *n, int rank,
                          int64_t *dims, int fill, int64_t count, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t p;
  if (fill >= 0) dims[fill] = 1;
  p = gs_product(dims, rank);
  if (fill >= 0 && p > 0 && count % p == 0) {
    dims[fill] = count / p;
    return GS_OK;
  }
  if (fill < 0 && p == count) return GS_OK;
  if (fill >= 0) dims[fill] = -1;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "'%s' of shape %s cannot take the shape %s", x->name,
                 gs_shape_text(g->arena, x->dtype, x->rank, x->dims),
                 gs_shape_text(g->arena, x->dtype, rank, dims));
}

gs_status gs_shape_reshape(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  const int64_t *want;
  int64_t dims[GS_MAX_RANK];
  int rank, fill = -1;
  bool keep_zero = gs_node_int(n, "allowzero", 0) != 0;
  if (gs_move_open(n, 1)) return gs_move_keep(g, n, e);
  GS_TRY(gs_shape_const_ints(g->arena, n, 1, &want, &rank, e));
  if (rank > GS_MAX_RANK)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "a shape of rank %d (limit %d)", rank, GS_MAX_RANK);
  for (int d = 0; d < rank; d++) {
    dims[d] = want[d];
    if (want[d] == 0 && !keep_zero) {
      if (d >= x->rank)
        return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                       "shape[%d] is 0 (copied), but '%s' has rank %d", d,
                       x->name, x->rank);
      dims[d] = x->dims[d];
    } else if (want[d] < -1 || (want[d] == -1 && fill >= 0)) {
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     want[d] < -1 ? "shape[%d] is negative"
                                  : "shape[%d] is a second -1",
                     d);
    } else if (want[d] == -1) {
      fill = d;
    }
  }
  GS_TRY(fill_dim(g, n, rank, dims, fill, gs_product(x->dims, x->rank), e));
  return gs_shape_set(g, n, 0, x->dtype, rank, dims, e);
}

/* The local dims are given; a 0 among them is meant. */
gs_status gs_local_reshape(gs_local *l, gs_err *e) {
  gs_node *n = gs_local_same(l);
  (void)e;
  n->in[1] = gs_value_ints(l->program, "shape", l->out_dims[0],
                           l->node->out[0]->rank);
  gs_node_set_int(l->program, n, "allowzero", 1);
  return GS_OK;
}

gs_status gs_shape_flatten(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t axis = gs_node_int(n, "axis", 1), dims[2];
  if (axis < -x->rank || axis > x->rank)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "axis %lld is out of range for '%s' of rank %d",
                   (long long)axis, x->name, x->rank);
  if (axis < 0) axis += x->rank;
  dims[0] = gs_product(x->dims, (int)axis);
  dims[1] = gs_product(x->dims + axis, x->rank - (int)axis);
  return gs_shape_set(g, n, 0, x->dtype, 2, dims, e);
}

gs_status gs_shape_squeeze(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  const int64_t *axes;
  int64_t dims[GS_MAX_RANK];
  bool drop[GS_MAX_RANK] = {false};
  int count, rank = 0;
  if (gs_move_open(n, 1)) return gs_move_keep(g, n, e);
  GS_TRY(gs_shape_const_ints(g->arena, n, 1, &axes, &count, e));
  if (axes)
    GS_TRY(gs_shape_axis_set(g->arena, n, x, x->rank, axes, count, drop, e));
  for (int d = 0; d < x->rank; d++) {
    if (!axes) drop[d] = x->dims[d] == 1;
    if (!drop[d]) dims[rank++] = x->dims[d];
    else if (x->dims[d] != 1)
      return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                     "dim %d of '%s' is %lld and cannot be squeezed", d,
                     x->name, (long long)x->dims[d]);
  }
  return gs_shape_set(g, n, 0, x->dtype, rank, dims, e);
}

/* Without axes the dims to drop are those of global size 1; a dim that only
 * the local block has of size 1 must stay. */
gs_status gs_local_squeeze(gs_local *l, gs_err *e) {
  const gs_value *x = l->node->in[0];
  int64_t axes[GS_MAX_RANK];
  gs_value *in[2];
  int count = 0;
  (void)e;
  if (gs_node_in(l->node, 1)) {
    gs_local_same(l);
    return GS_OK;
  }
  for (int d = 0; d < x->rank; d++)
    if (x->dims[d] == 1) axes[count++] = d;
  in[0] = l->in[0];
  in[1] = gs_value_ints(l->program, "axes", axes, count);
  l->out[0] = gs_local_emit(l, "", l->node->op_type, in, 2, x->dtype,
                            l->node->out[0]->rank, l->out_dims[0])
                  ->out[0];
  return GS_OK;
}

gs_status gs_shape_unsqueeze(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  const int64_t *axes;
  int64_t dims[GS_MAX_RANK];
  bool fresh[GS_MAX_RANK] = {false};
  int count, rank, from = 0;
  if (gs_move_open(n, 1)) return gs_move_keep(g, n, e);
  GS_TRY(gs_shape_const_ints(g->arena, n, 1, &axes, &count, e));
  if (count > GS_MAX_RANK - x->rank)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(g->arena, n),
                   "a result of rank %lld (limit %d)",
                   (long long)count + x->rank, GS_MAX_RANK);
  rank = x->rank + count;
  GS_TRY(gs_shape_axis_set(g->arena, n, n->out[0], rank, axes, count, fresh,
                           e));
  for (int d = 0; d < rank; d++) dims[d] = fresh[d] ? 1 : x->dims[from++];
  return gs_shape_set(g, n, 0, x->dtype, rank, dims, e);
}


/* ---- Trilu ---- */

gs_local_fn gs_local_trilu;

/* What a matrix keeps depends on where its rows and columns lie. */
gs_status gs_local_trilu(gs_local *l, gs_err *e) {
  int rank = l->node->in[0]->rank;
  (void)e;
  if (gs_local_splits(l, rank - 2, rank)) gs_local_placed(l);
  else gs_local_same(l);
  return GS_OK;
}
