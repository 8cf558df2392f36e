/* Rules, shapes and local forms of the rows from "pointwise" on. */
#include <string.h>

#include "base/data/hash.h"
#include "base/math.h"
#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

/* ---- rules ---- */

gs_rule_fn gs_rule_broadcast, gs_rule_dropout, gs_rule_expand;

gs_status gs_rule_broadcast(gs_arena *a, const gs_node *n, gs_rule *r,
                            gs_err *e) {
  (void)e;
  gs_rule_begin(a, n, r);
  gs_rule_tie(n, r, 0, n->nin);
  return GS_OK;
}

/* The shape operand is read when the program is made. */
gs_status gs_rule_expand(gs_arena *a, const gs_node *n, gs_rule *r,
                         gs_err *e) {
  (void)e;
  gs_rule_begin(a, n, r);
  gs_rule_tie(n, r, 0, 1);
  gs_rule_in_whole(r, n, 1);
  return GS_OK;
}

/* Whether a Dropout node draws numbers: training_mode is operand 2. */
typedef enum mode { INFERENCE, TRAINING, UNKNOWN } mode;

static mode dropout_mode(const gs_node *n) {
  const gs_value *v = gs_node_in(n, 2);
  if (!v) return INFERENCE;
  int64_t on;
  if (!v->constant || gs_tensor_ints(v->constant, &on, 1) != 1) return UNKNOWN;
  return on ? TRAINING : INFERENCE;
}

/* With a mode that is known only when it runs, all is whole: the kernel draws
 * by the index in what it sees. */
gs_status gs_rule_dropout(gs_arena *a, const gs_node *n, gs_rule *r,
                          gs_err *e) {
  (void)e;
  gs_rule_begin(a, n, r);
  gs_rule_tie(n, r, 0, 1);
  const gs_value *mask = gs_node_out(n, 1);
  for (int d = 0; d < n->out[0]->rank; d++) {
    int f = r->out[0].dim[d].f[0];
    if (mask) gs_rule_put(&r->out[1], d, f);
    if (dropout_mode(n) == UNKNOWN && f < r->nfactor)
      r->factor[f].kind = GS_WHOLE;
  }
  gs_rule_in_whole(r, n, 1);
  gs_rule_in_whole(r, n, 2);
  return GS_OK;
}

/* ---- shapes ---- */

gs_shape_fn gs_shape_expand;

gs_status gs_shape_expand(gs_graph *g, gs_node *n, gs_err *e) {
  gs_arena *a = g->arena;
  const gs_value *x = n->in[0];
  const int64_t *shape;
  int count, rank = x->rank;
  GS_TRY(gs_shape_const_ints(a, n, 1, &shape, &count, e));
  int64_t dims[GS_MAX_RANK];
  if (x->rank) memcpy(dims, x->dims, (size_t)rank * sizeof *dims);
  if (count > GS_MAX_RANK)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "'%s' gives rank %d, more than %d", n->in[1]->name,
                   count, GS_MAX_RANK);
  for (int d = 0; d < count; d++)
    if (shape[d] < 0)
      return gs_fail(e, GS_DATA, gs_node_place(a, n),
                     "'%s' gives a dim of %lld", n->in[1]->name,
                     (long long)shape[d]);
  if (!gs_shape_merge(&rank, dims, count, shape))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "'%s' %s does not broadcast to %s", x->name,
                   gs_shape_text(a, x->dtype, x->rank, x->dims),
                   gs_shape_text(a, x->dtype, count, shape));
  return gs_shape_set(g, n, 0, x->dtype, rank, dims, e);
}

/* ---- local forms ---- */

gs_local_fn gs_local_dropout;

/* Numbers in [0, 1) of the whole tensor's index, this device's block. */
static gs_value *draw(gs_local *l) {
  const gs_value *y = l->node->out[0];
  gs_graph *g = l->program;
  gs_node *u = gs_local_emit(l, "ai.gshard", "RandomUniform", NULL, 0,
                             GS_FLOAT, y->rank, l->out_dims[0]);
  const gs_attr *seed = gs_node_attr(l->node, "seed");
  gs_node_set_int(g, u, "stream",
                  seed && seed->kind == GS_ATTR_INT
                      ? seed->i
                      : (int64_t)gs_stream_key(y->name, 0));
  gs_node_set_int(g, u, "dtype", GS_FLOAT);
  gs_node_set(g, u, &(gs_attr){.name = "low", .kind = GS_ATTR_FLOAT, .f = 0});
  gs_node_set(g, u, &(gs_attr){.name = "high", .kind = GS_ATTR_FLOAT, .f = 1});
  gs_node_set_ints(g, u, "shape", y->dims, y->rank);
  gs_node_set_sharding(g, u, "split", l->out_sharding[0]);
  return u->out[0];
}

/* Keeps x where u >= ratio, scaled by 1 / (1 - ratio); computed in f32, for
 * f64 in f64, and rounded once. */
static void train(gs_local *l) {
  gs_value *x = l->in[0];
  gs_dtype t = x->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  gs_value *given = gs_node_in(l->node, 1) ? l->in[1] : NULL;
  gs_value *ratio = given ? gs_local_cast(l, given, GS_FLOAT)
                          : gs_local_scalar(l, GS_FLOAT, 0.5);
  if (ratio->rank > x->rank) {
    /* [1] would broadcast a scalar. */
    gs_value *flat[2] = {ratio, gs_value_ints(l->program, NULL, NULL, 0)};
    ratio = gs_local_emit(l, "", "Reshape", flat, 2, GS_FLOAT, 0,
                          NULL)->out[0];
  }
  gs_value *pair[2] = {draw(l), ratio};
  gs_value *keep = gs_local_emit(l, "", "GreaterOrEqual", pair, 2, GS_BOOL,
                                 x->rank, l->out_dims[0])->out[0];
  gs_value *left[2] = {gs_local_scalar(l, t, 1), gs_local_cast(l, ratio, t)};
  gs_value *rest = gs_local_emit(l, "", "Sub", left, 2, t, ratio->rank,
                                 ratio->dims)->out[0];
  gs_value *scale = gs_local_like(l, "Reciprocal", &rest, 1)->out[0];
  gs_value *factors[2] = {gs_local_cast(l, x, t), scale};
  gs_value *scaled = gs_local_like(l, "Mul", factors, 2)->out[0];
  gs_value *choice[3] = {keep, scaled, gs_local_scalar(l, t, 0)};
  gs_value *y = gs_local_emit(l, "", "Where", choice, 3, t, x->rank,
                              l->out_dims[0])->out[0];
  l->out[0] = gs_local_cast(l, y, x->dtype);
  if (gs_node_out(l->node, 1)) l->out[1] = keep;
}

/* Without training the data passes and the mask is all true. */
gs_status gs_local_dropout(gs_local *l, gs_err *e) {
  (void)e;
  mode m = dropout_mode(l->node);
  if (m == TRAINING) {
    train(l);
    return GS_OK;
  }
  if (m == UNKNOWN) {
    /* The kernel draws by the name of its result, which is another here. */
    gs_node *n = gs_local_same(l);
    const char *name = l->node->out[0]->name;
    const gs_attr *seed = gs_node_attr(n, "seed");
    if (!seed || seed->kind != GS_ATTR_INT)
      gs_node_set_int(l->program, n, "seed",
                      (int64_t)gs_stream_key(name, 0));
    return GS_OK;
  }
  l->out[0] = gs_local_like(l, "Identity", l->in, 1)->out[0];
  if (!gs_node_out(l->node, 1)) return GS_OK;
  gs_graph *g = l->program;
  int rank = l->node->out[1]->rank;
  gs_value *shape = gs_value_ints(g, NULL, l->out_dims[1], rank);
  gs_node *mask = gs_local_emit(l, "", "ConstantOfShape", &shape, 1, GS_BOOL,
                                rank, l->out_dims[1]);
  static const uint8_t yes = 1;
  static const int64_t one = 1;
  gs_tensor *t = GS_NEW(g->arena, gs_tensor);
  *t = (gs_tensor){.dtype = GS_BOOL, .rank = 1, .dims = &one, .nbytes = 1,
                   .data = &yes};
  gs_node_set(g, mask,
              &(gs_attr){.name = "value", .kind = GS_ATTR_TENSOR, .t = t});
  l->out[1] = mask->out[0];
  return GS_OK;
}
