/* Bernoulli and Multinomial: shapes and local forms. */
#include <string.h>

#include "base/data/hash.h"
#include "op/core/local.h"
#include "op/rule/rule.h"
#include "op/core/shape.h"

gs_shape_fn gs_shape_multinomial;
gs_local_fn gs_local_bernoulli, gs_local_multinomial;

static gs_status want_float(gs_graph *g, const gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  if (gs_dtype_get((int)x->dtype)->cls == 'f') return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                 "operand 0 '%s' is %s, but must be of a floating-point type",
                 x->name, gs_dtype_get((int)x->dtype)->text);
}

gs_status gs_shape_multinomial(gs_graph *g, gs_node *n, gs_err *e) {
  const gs_value *x = n->in[0];
  int64_t to = gs_node_int(n, "dtype", GS_INT32);
  int64_t count = gs_node_int(n, "sample_size", 1);
  GS_TRY(want_float(g, n, e));
  if (x->rank != 2 || (x->dims[1] == 0 && x->dims[0] && count))
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "operand 0 '%s' must be [batch, classes], not %s", x->name,
                   gs_shape_text(g->arena, x->dtype, x->rank, x->dims));
  if (to != GS_INT32 && to != GS_INT64)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'dtype' is %lld, neither %d (i32) nor %d (i64)",
                   (long long)to, GS_INT32, GS_INT64);
  if (count < 0)
    return gs_fail(e, GS_DATA, gs_node_place(g->arena, n),
                   "attribute 'sample_size' is %lld", (long long)count);
  int64_t dims[2] = {x->dims[0], count};
  return gs_shape_set(g, n, 0, (gs_dtype)to, 2, dims, e);
}

double gs_node_seed(const gs_node *n) {
  const gs_attr *seed = gs_node_attr(n, "seed");
  if (seed && seed->kind == GS_ATTR_FLOAT) return seed->f;
  const char *name = n->nout && n->out[0] ? n->out[0]->name : "";
  return (double)(gs_stream_key(name, 0) >> 40); /* exact in f32 */
}

/* What the draws of this device's rows depend on. */
static void set_draw(gs_local *l, gs_node *n) {
  const gs_value *y = l->node->out[0];
  gs_graph *g = l->program;
  gs_node_set(g, n, &(gs_attr){.name = "seed", .kind = GS_ATTR_FLOAT,
                               .f = gs_node_seed(l->node)});
  gs_node_set_ints(g, n, "shape", y->dims, y->rank);
  gs_node_set_sharding(g, n, "split", l->out_sharding[0]);
}

gs_status gs_local_multinomial(gs_local *l, gs_err *e) {
  const gs_value *y = l->node->out[0];
  gs_node *n = gs_local_emit(l, "ai.gshard", "Multinomial", l->in, 1, y->dtype,
                             y->rank, l->out_dims[0]);
  (void)e;
  gs_node_set_int(l->program, n, "dtype", y->dtype);
  gs_node_set_int(l->program, n, "sample_size", y->dims[1]);
  set_draw(l, n);
  l->out[0] = n->out[0];
  return GS_OK;
}

/* 1 where a number in [0, 1) of the whole tensor's index is below x. */
gs_status gs_local_bernoulli(gs_local *l, gs_err *e) {
  const gs_value *y = l->node->out[0];
  gs_dtype t = l->in[0]->dtype == GS_DOUBLE ? GS_DOUBLE : GS_FLOAT;
  gs_node *u = gs_local_emit(l, "ai.gshard", "RandomUniform", NULL, 0, t,
                             y->rank, l->out_dims[0]);
  (void)e;
  gs_node_set_int(l->program, u, "dtype", t);
  set_draw(l, u);
  gs_value *pair[2] = {u->out[0], gs_local_cast(l, l->in[0], t)};
  gs_value *one = gs_local_emit(l, "", "Less", pair, 2, GS_BOOL, y->rank,
                                l->out_dims[0])->out[0];
  l->out[0] = gs_local_cast(l, one, y->dtype);
  return GS_OK;
}
