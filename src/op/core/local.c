#include "op/core/local.h"

#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "op/core/exchange_node.h"
#include "op/core/moves.h"

gs_node *gs_local_same(gs_local *l) {
  const gs_node *from = l->node;
  gs_graph *g = l->program;
  gs_assert(from && g);
  gs_node *n = gs_node_like(g, from, from->name);
  gs_node_set_all(g, n, from);
  for (int i = 0; i < n->nin; i++) n->in[i] = l->in[i];
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = from->out[i];
    if (!v) continue;
    gs_node_output(n, i, gs_value_new(g, v->name, v->dtype, v->rank,
                                      l->out_dims[i]));
    n->out[i]->kind = v->kind;
    l->out[i] = n->out[i];
  }
  return n;
}

gs_node *gs_local_emit(gs_local *l, const char *domain, const char *op_type,
                       gs_value *const *in, int nin, gs_dtype dtype, int rank,
                       const int64_t *dims) {
  gs_graph *g = l->program;
  gs_node *n = gs_node_new(g, domain, op_type, l->node->name, nin, 1);
  n->op = gs_op_find(domain, op_type);
  n->opset = *domain ? 1 : l->node->opset;
  n->stage = l->node->stage;
  n->origin = l->node->origin;
  for (int i = 0; i < nin; i++) n->in[i] = in[i];
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK);
  gs_assert(nin == 0 || in);
  const gs_value *v = gs_node_out(l->node, 0);
  gs_node_output(n, 0, gs_value_new(g, v ? v->name : NULL, dtype, rank, dims));
  return n;
}

gs_node *gs_local_like(gs_local *l, const char *op_type, gs_value *const *in,
                       int nin) {
  return gs_local_emit(l, "", op_type, in, nin, in[0]->dtype, in[0]->rank,
                       in[0]->dims);
}

gs_value *gs_local_cast(gs_local *l, gs_value *x, gs_dtype t) {
  gs_assert(x && x->dtype != GS_UNDEFINED);
  if (x->dtype == t) return x;
  gs_node *n = gs_local_emit(l, "", "Cast", &x, 1, t, x->rank, x->dims);
  gs_node_set_int(l->program, n, "to", t);
  return n->out[0];
}

gs_value *gs_local_scalar(gs_local *l, gs_dtype t, double value) {
  gs_arena *a = l->program->arena;
  gs_tensor *c = GS_NEW(a, gs_tensor);
  c->dims = GS_NEWS(a, 1, int64_t); /* rank 0, but not NULL */
  bool real = gs_dtype_get(t)->cls == 'f';
  c->dtype = real ? GS_DOUBLE : GS_INT64;
  c->nbytes = 8;
  int64_t i = real ? 0 : (int64_t)value;
  c->data = real ? gs_memdup(a, &value, 8) : gs_memdup(a, &i, 8);
  if (t == GS_FLOAT) {
    float f = (float)value;
    c->dtype = t;
    c->nbytes = sizeof f;
    c->data = gs_memdup(a, &f, sizeof f);
  }
  return gs_local_cast(l, gs_value_constant(l->program, NULL, c), t);
}

void gs_local_copy(gs_local *l, gs_node *to, const char *name) {
  const gs_attr *a = gs_node_attr(l->node, name);
  if (a) gs_node_set(l->program, to, a);
}

void gs_local_mask(gs_local *l, int i) {
  const gs_value *v = gs_node_in(l->node, i);
  if (!v) return;
  const gs_tensor_map *t = &l->rule->in[i];
  gs_assert(t->rank == v->rank);
  for (int d = 0; d < v->rank; d++) {
    if (t->dim[d].n != 1) continue;
    const gs_axes *axes = &l->factor[t->dim[d].f[0]];
    if (!axes->n || v->dims[d] % gs_axes_size(l->mesh, axes) == 0) continue;
    gs_value *x = l->in[i];
    gs_node *n = gs_local_emit(l, "ai.gshard", "Mask", &x, 1, x->dtype,
                               x->rank, x->dims);
    gs_node_set_axes(l->program, n, "axes", axes);
    gs_node_set_int(l->program, n, "dim", d);
    gs_node_set_int(l->program, n, "size", v->dims[d]);
    gs_node_set(l->program, n,
                &(gs_attr){.name = "value", .kind = GS_ATTR_FLOAT, .f = 0});
    l->in[i] = n->out[0];
  }
}

void gs_local_once(gs_local *l, int i, const gs_axes *axes) {
  if (!axes->n || !gs_node_in(l->node, i)) return;
  gs_value *x = l->in[i];
  gs_node *n = gs_local_emit(l, "ai.gshard", "Partial", &x, 1, x->dtype,
                             x->rank, x->dims);
  gs_node_set_axes(l->program, n, "axes", axes);
  l->in[i] = n->out[0];
}

gs_value *gs_local_cut(gs_local *l, gs_value *x, int d, const gs_axes *axes,
                       const gs_held_range *have, const gs_held_range *want) {
  int64_t dims[GS_MAX_RANK];
  gs_assert(d < x->rank && x->dims[d] == have->length);
  memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  dims[d] = want->length;
  gs_node *n = gs_local_emit(l, "ai.gshard", gs_moves[GS_MOVE_CUT].name, &x, 1,
                             x->dtype, x->rank, dims);
  gs_node_set_axes(l->program, n, "axes", axes);
  gs_node_set_int(l->program, n, "dim", d);
  gs_node_set_range(l->program, n, "have", have);
  gs_node_set_range(l->program, n, "want", want);
  return n->out[0];
}

gs_value *gs_local_extend(gs_local *l, gs_value *x, int d, int64_t n) {
  int64_t pads[2 * GS_MAX_RANK] = {0}, dims[GS_MAX_RANK];
  gs_assert(d < x->rank && n >= 0);
  memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  dims[d] += n;
  pads[x->rank + d] = n;
  gs_value *in[2] = {x, gs_value_ints(l->program, "pads", pads, 2 * x->rank)};
  return gs_local_emit(l, "", "Pad", in, 2, x->dtype, x->rank, dims)->out[0];
}

gs_node *gs_local_meshed(gs_local *l) {
  const gs_node *from = l->node;
  const gs_value *y = from->out[0];
  gs_assert(y);
  gs_node *n = gs_local_emit(l, "ai.gshard", from->op_type, l->in, from->nin,
                             y->dtype, y->rank, l->out_dims[0]);
  for (int i = 0; i < from->nattr; i++)
    gs_node_set(l->program, n, &from->attr[i]);
  l->out[0] = n->out[0];
  return n;
}

/* ---- nodes that know their place ---- */

/* What a device holds of operand i: the partitioner says, else the rule. */
static gs_form form_of(gs_local *l, int i) {
  gs_arena *a = l->program->arena;
  const gs_value *v = l->node->in[i];
  const gs_tensor_map *map = &l->rule->in[i];
  if (l->held && l->held[i].sharding) return *gs_form_copy(a, &l->held[i]);
  gs_sharding *s = gs_sharding_new(a, v->rank, false);
  for (int d = 0; d < v->rank && d < map->rank; d++)
    for (int f = 0; f < map->dim[d].n; f++)
      s->dim[d].axes =
          gs_axes_cat(&s->dim[d].axes, &l->factor[map->dim[d].f[f]]);
  return gs_form_of(s);
}

/* Left out where all of it is held; a term of a partial value lies as the
 * value does. */
static gs_extent extent_of(gs_local *l, const gs_value *whole, gs_form form) {
  gs_arena *a = l->program->arena;
  gs_sharding *s = gs_sharding_copy(a, form.sharding);
  s->partial = 0;
  form.sharding = s;
  if (gs_form_is_blocks(&form) && gs_sharding_is_replicated(s))
    return (gs_extent){0};
  size_t size = (size_t)whole->rank * sizeof *whole->dims;
  form.padding = (gs_padding){0};
  return (gs_extent){whole->rank, gs_memdup(a, whole->dims, size),
                     gs_memdup(a, &form, sizeof form)};
}

static gs_placement *placement_of(gs_local *l, bool *split) {
  const gs_node *n = l->node;
  gs_placement *pl = gs_placement_new(l->program->arena, n->nin, n->nout);
  *split = false;
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i] || !l->in[i]) continue;
    pl->in[i] = extent_of(l, n->in[i], form_of(l, i));
    *split |= pl->in[i].form != NULL;
  }
  for (int i = 0; i < n->nout; i++) {
    if (!n->out[i]) continue;
    pl->out[i] = extent_of(l, n->out[i], gs_form_of(l->out_sharding[i]));
    *split |= pl->out[i].form != NULL;
  }
  return pl;
}

gs_node *gs_local_placed(gs_local *l) {
  bool split;
  gs_node *n = gs_local_same(l);
  gs_placement *pl = placement_of(l, &split);
  if (!split) return n;
  n->domain = "ai.gshard";
  n->op = gs_op_find(n->domain, n->op_type);
  n->opset = 1;
  gs_assert(n->op && (n->op->flags & GS_OP_PLACED));
  gs_node_set_placement(l->program, n, pl);
  return n;
}

bool gs_local_splits(const gs_local *l, int from, int to) {
  const gs_tensor_map *y = &l->rule->out[0];
  gs_assert(from >= 0 && to <= y->rank);
  for (int d = from; d < to; d++)
    for (int i = 0; i < y->dim[d].n; i++)
      if (l->factor[y->dim[d].f[i]].n) return true;
  return false;
}

gs_status gs_local_place(gs_local *l, gs_err *e) {
  (void)e;
  gs_local_placed(l);
  return GS_OK;
}

static gs_status reshaped(gs_local *l, int operand) {
  gs_assert(operand < l->node->nin && l->node->nout > 0);
  gs_node *n = gs_local_same(l);
  n->in[operand] = gs_value_ints(l->program, NULL, l->out_dims[0],
                                 l->node->out[0]->rank);
  return GS_OK;
}

gs_status gs_local_shape0(gs_local *l, gs_err *e) {
  (void)e;
  return reshaped(l, 0);
}

gs_status gs_local_shape1(gs_local *l, gs_err *e) {
  (void)e;
  return reshaped(l, 1);
}
