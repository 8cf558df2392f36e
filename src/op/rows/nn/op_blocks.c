/* Rules and shapes of the statistics of blocks, and of what is computed with
 * them: for split forms (op/functions/split.txt).
 *
 * Along each dim of `dims` the elements lie in as many consecutive blocks as
 * `blocks` says, of ceil(n / blocks) elements; the last ones may be shorter, or
 * empty.  So a dim that is split over as many devices needs nothing of the
 * others. */
#include "base/math.h"
#include "op/core/shape.h"
#include "op/rule/rule.h"

gs_rule_fn gs_rule_blocks;
gs_shape_fn gs_shape_softmax_blocks, gs_shape_moment_blocks,
    gs_shape_softmax_apply, gs_shape_normalize;
extern gs_shape_fn gs_shape_placed;

enum { MAX_BLOCKS = 1 << 30, WEIGHT = 2 };

/* count[d]: blocks of dim d of operand 0; 0: each element stays. */
static gs_status read_blocks(gs_arena *a, const gs_node *n, int64_t *count,
                             gs_err *e) {
  const gs_value *x = n->in[0];
  const char *place = gs_node_place(a, n);
  bool set[GS_MAX_RANK] = {false};
  int ndim, nblock;
  const int64_t *dims = gs_node_ints(n, "dims", &ndim);
  const int64_t *blocks = gs_node_ints(n, "blocks", &nblock);
  GS_TRY(gs_shape_axis_set(a, n, x, x->rank, dims, ndim, set, e));
  if (ndim != nblock)
    return gs_fail(e, GS_DATA, place, "'blocks' has %d elements, 'dims' %d",
                   nblock, ndim);
  for (int d = 0; d < x->rank; d++) count[d] = 0;
  for (int i = 0; i < ndim; i++) {
    if (blocks[i] < 1 || blocks[i] > MAX_BLOCKS)
      return gs_fail(e, GS_DATA, place, "'blocks' has %lld, which is not from "
                     "1 to %d", (long long)blocks[i], MAX_BLOCKS);
    count[dims[i] < 0 ? dims[i] + x->rank : dims[i]] = blocks[i];
  }
  return GS_OK;
}

/* ---- the rule: a block is a window of the dim ---- */

/* Factor f for dim d of results [0, n). */
static void put_results(gs_rule *r, const gs_node *n, int count, int d, int f) {
  for (int i = 0; i < count && i < n->nout; i++)
    if (n->out[i]) gs_rule_put(&r->out[i], d, f);
}

static void put_blocks(gs_rule *r, const gs_node *n, int d, int64_t count) {
  int64_t size = n->in[0]->dims[d];
  if (!size) {
    gs_rule_put(&r->in[0], d, gs_rule_whole(r, size));
    put_results(r, n, n->nout, d, gs_rule_whole(r, count));
    return;
  }
  int64_t block = gs_ceil_div(size, count);
  gs_window_use use = {.in = 0, .dim = d, .out = -1, .out_dim = d,
                       .reach = {count, block, 1, 0, block - 1, 0}};
  use.factor = gs_rule_factor(r, count, GS_WINDOW);
  gs_rule_put(&r->in[0], d, use.factor);
  put_results(r, n, n->nout, d, use.factor);
  gs_rule_use(r, &use);
}

gs_status gs_rule_blocks(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  int64_t count[GS_MAX_RANK];
  const gs_value *x = n->in[0];
  GS_TRY(read_blocks(a, n, count, e));
  gs_rule_begin(a, n, r);
  for (int d = 0; d < x->rank; d++) {
    if (count[d] > 1) {
      put_blocks(r, n, d, count[d]);
    } else if (count[d]) {
      gs_rule_put(&r->in[0], d, gs_rule_factor(r, x->dims[d], GS_WHOLE));
    } else {
      int f = gs_rule_factor(r, x->dims[d], GS_PASS);
      gs_rule_put(&r->in[0], d, f);
      put_results(r, n, WEIGHT, d, f);
    }
  }
  return GS_OK;
}

/* ---- shapes ---- */

static gs_status check_float(gs_arena *a, const gs_node *n, int i, gs_err *e) {
  const gs_value *v = gs_node_in(n, i);
  if (!v || gs_dtype_get((int)v->dtype)->cls == 'f') return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' is of type %s, which is not a floating-point "
                 "type", i, v->name, gs_dtype_get((int)v->dtype)->text);
}

/* What the results are computed in. */
static gs_dtype computed(const gs_node *n, int64_t stash) {
  return n->in[0]->dtype == GS_DOUBLE || stash == GS_DOUBLE ? GS_DOUBLE
                                                            : GS_FLOAT;
}

static gs_status shape_blocks(gs_graph *g, gs_node *n, gs_dtype t, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t count[GS_MAX_RANK], dims[GS_MAX_RANK], weight[GS_MAX_RANK];
  GS_TRY(check_float(g->arena, n, 0, e));
  GS_TRY(read_blocks(g->arena, n, count, e));
  for (int d = 0; d < x->rank; d++) {
    dims[d] = count[d] ? count[d] : x->dims[d];
    weight[d] = gs_max(count[d], 1);
  }
  for (int i = 0; i < n->nout; i++)
    GS_TRY(gs_shape_set(g, n, i, t, x->rank, i == WEIGHT ? weight : dims, e));
  return GS_OK;
}

gs_status gs_shape_softmax_blocks(gs_graph *g, gs_node *n, gs_err *e) {
  if (gs_node_attr(n, "place")) return gs_shape_placed(g, n, e);
  return shape_blocks(g, n, computed(n, GS_FLOAT), e);
}

gs_status gs_shape_moment_blocks(gs_graph *g, gs_node *n, gs_err *e) {
  if (gs_node_attr(n, "place")) return gs_shape_placed(g, n, e);
  int64_t stash = gs_node_int(n, "stash_type", GS_FLOAT);
  if (stash != GS_FLOAT && stash != GS_DOUBLE)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'stash_type' is %lld, neither %d (f32) nor %d "
                   "(f64)", (long long)stash, GS_FLOAT, GS_DOUBLE);
  return shape_blocks(g, n, computed(n, stash), e);
}

/* Operand i broadcasts to operand 0, without making it larger; t: of this
 * type, GS_UNDEFINED: of any that is a floating-point one. */
static gs_status check_spread(gs_graph *g, const gs_node *n, int i, gs_dtype t,
                              gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0], *v = gs_node_in(n, i);
  if (!v) return GS_OK;
  GS_TRY(check_float(a, n, i, e));
  bool fits = v->rank <= x->rank && (t == GS_UNDEFINED || v->dtype == t);
  for (int d = 0; fits && d < v->rank; d++)
    fits = v->dims[d] == 1 || v->dims[d] == x->dims[x->rank - v->rank + d];
  if (fits) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "operand %d '%s' %s does not broadcast to '%s' %s%s%s", i,
                 v->name, gs_shape_text(a, v->dtype, v->rank, v->dims),
                 x->name, gs_shape_text(a, x->dtype, x->rank, x->dims),
                 t == GS_UNDEFINED ? "" : " in type ",
                 t == GS_UNDEFINED ? "" : gs_dtype_get((int)t)->text);
}

gs_status gs_shape_softmax_apply(gs_graph *g, gs_node *n, gs_err *e) {
  gs_dtype t = computed(n, GS_FLOAT);
  GS_TRY(check_float(g->arena, n, 0, e));
  for (int i = 1; i < 3; i++) GS_TRY(check_spread(g, n, i, t, e));
  return gs_shape_set_like(g, n, 0, e);
}

/* The reciprocal deviation is of the type that is computed in, and so is the
 * mean, or it is f64. */
gs_status gs_shape_normalize(gs_graph *g, gs_node *n, gs_err *e) {
  gs_dtype t = n->in[1]->dtype;
  GS_TRY(check_float(g->arena, n, 0, e));
  if (t != GS_DOUBLE && (t != GS_FLOAT || n->in[0]->dtype == GS_DOUBLE))
    t = computed(n, GS_FLOAT);
  const gs_value *mean = gs_node_in(n, 2);
  bool wide = mean && mean->dtype == GS_DOUBLE;
  for (int i = 1; i < 5; i++)
    GS_TRY(check_spread(g, n, i,
                        i == 1 || (i == 2 && !wide) ? t : GS_UNDEFINED, e));
  return gs_shape_set_like(g, n, 0, e);
}
