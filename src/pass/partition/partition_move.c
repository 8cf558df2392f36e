/* The nodes that move values from one form to another. */
#include <string.h>

#include "base/assert.h"
#include "op/core/exchange_node.h"
#include "op/core/schema.h"
#include "pass/partition/partition_impl.h"

/* Of v, which has these dims here. */
static gs_value *emit_as(gs_partitioner *p, const gs_value *v,
                         const int64_t *whole, gs_move_kind kind,
                         gs_value *const *in, int nin, const gs_form *after,
                         gs_node **node) {
  const char *name = gs_moves[kind].name;
  gs_assert(v->rank >= 0 && after->sharding->rank == v->rank);
  int64_t dims[GS_MAX_RANK];
  gs_form_local(p->m, after, whole, dims);
  gs_node *n = gs_node_new(p->program, "ai.gshard", name, "", nin, 1);
  n->op = gs_op_find("ai.gshard", name);
  n->opset = 1;
  n->origin = gs_strdup(p->program->arena, v->name);
  for (int i = 0; i < nin; i++) n->in[i] = in[i];
  gs_value *out =
      gs_value_new(p->program, v->name, in[0]->dtype, v->rank, dims);
  gs_node_output(n, 0, out);
  *node = n;
  return out;
}

static gs_value *emit(gs_partitioner *p, const gs_value *v, gs_move_kind kind,
                      gs_value *in, const gs_form *after, gs_node **node) {
  return emit_as(p, v, v->dims, kind, &in, 1, after, node);
}

/* The axes that each dim has after `before`. */
static const gs_sharding *added(gs_partitioner *p, const gs_sharding *before,
                                const gs_sharding *after) {
  gs_sharding *s = gs_sharding_new(p->a, after->rank, false);
  for (int d = 0; d < after->rank; d++)
    s->dim[d].axes = gs_axes_tail(&after->dim[d].axes, before->dim[d].axes.n);
  return s;
}

/* Sets the attribute of that name; those of graphs for one device are set by
 * gs_pass_specialise. */
static void set_attribute(gs_partitioner *p, const gs_value *v, gs_node *n,
                          gs_string name, const gs_sharding *before,
                          const gs_move *mv) {
  gs_graph *g = p->program;
  const char *s = gs_strndup(p->a, name.at, name.n);
  if (!strcmp(s, "axes")) gs_node_set_axes(g, n, s, &mv->axes);
  if (!strcmp(s, "split"))
    gs_node_set_sharding(g, n, s, added(p, before, mv->after));
  if (!strcmp(s, "from")) gs_node_set_sharding(g, n, s, before);
  if (!strcmp(s, "to")) gs_node_set_sharding(g, n, s, mv->after);
  if (!strcmp(s, "reduce"))
    gs_node_set_string(g, n, s, gs_reduce_text(before->reduce));
  if (!strcmp(s, "dim") || !strcmp(s, "concat_dim"))
    gs_node_set_int(g, n, s, mv->dim);
  if (!strcmp(s, "split_dim")) gs_node_set_int(g, n, s, mv->to);
  if (!strcmp(s, "dims")) gs_node_set_ints(g, n, s, v->dims, v->rank);
  if (!strcmp(s, "size")) gs_node_set_int(g, n, s, n->out[0]->dims[mv->dim]);
}

/* Without what the padding holds. */
static const char *elements_text(gs_partitioner *p, const gs_form *f) {
  gs_form elements = *f;
  elements.padding = (gs_padding){0};
  return gs_form_text(p->a, p->m, &elements);
}

static void record(gs_partitioner *p, const gs_value *v, const gs_move *mv,
                   const gs_form *before, const gs_value *result) {
  p->out->seconds += mv->seconds;
  if (mv->exchange && mv->bytes <= 0) return; /* a local copy */
  const gs_form after = mv->form ? *mv->form : gs_form_of(mv->after);
  gs_collective *c = gs_push(p->a, &p->out->collective);
  *c = (gs_collective){.op = gs_moves[mv->kind].name,
                       .axes = mv->axes,
                       .value = gs_partitioner_told(p, v),
                       .node = p->node,
                       .result = result->name,
                       .from = elements_text(p, before),
                       .to = elements_text(p, &after),
                       .bytes = mv->bytes,
                       .seconds = mv->seconds};
}

static gs_value *emit_move(gs_partitioner *p, const gs_value *v, gs_value *in,
                           const gs_form *before, const gs_move *mv) {
  const gs_move_info *row = &gs_moves[mv->kind];
  const gs_form after = mv->form ? *mv->form : gs_form_of(mv->after);
  const char *rest = row->attributes;
  gs_string name;
  gs_node *n;
  gs_value *out = emit(p, v, mv->kind, in, &after, &n);
  while (!mv->exchange && gs_schema_next(&rest, &name))
    set_attribute(p, v, n, name, before->sharding, mv);
  if (mv->exchange) gs_node_set_exchange(p->program, n, mv->dim, mv->exchange);
  if (row->flags & GS_OP_COLLECTIVE) record(p, v, mv, before, out);
  return out;
}

/* One node does all the splits that follow one another from path->move[i] on;
 * the last of them. */
static int last_split(const gs_path *path, int i) {
  int kind = path->move[i].kind;
  if (gs_moves[kind].effect == GS_EFFECT_SPLIT)
    while (i + 1 < path->n && (int)path->move[i + 1].kind == kind) i++;
  return i;
}

/* Whether combining copies of x gives x. */
static bool absorbs(gs_reduce r, double x) {
  switch (r) {
    case GS_REDUCE_SUM: return x == 0;
    case GS_REDUCE_PROD: return x == 0 || x == 1;
    case GS_REDUCE_MAX:
    case GS_REDUCE_MIN: return true;
    case GS_NREDUCE: break;
  }
  return false;
}

/* What the padding holds after a move: what it held, and zeros past the end of
 * what is cut. */
static gs_padding padding_after(gs_partitioner *p, const gs_value *v,
                                const gs_move *mv, const gs_form *before) {
  if (mv->form) return mv->form->padding;
  gs_effect effect = gs_moves[mv->kind].effect;
  double value = before->padding.dims ? before->padding.value : 0;
  uint64_t padded = gs_form_padded(p->m, before, v->dims);
  uint64_t known = ~padded | before->padding.dims;
  if (gs_effect_combines(effect) && !absorbs(before->sharding->reduce, value))
    known = ~padded;
  gs_padding after = {.value = value};
  for (int d = 0; d < v->rank; d++) {
    int had = before->sharding->dim[d].axes.n;
    bool cut = gs_effect_cuts(effect) && mv->after->dim[d].axes.n > had;
    bool filled = effect == GS_EFFECT_EXCHANGE && d == mv->dim; /* zeros */
    if (filled ? value == 0 : (known >> d & 1) && (!cut || value == 0))
      after.dims |= (uint64_t)1 << d;
  }
  if (!after.dims) after.value = 0;
  return after;
}

/* Where no move is left between two device orders, since each device holds the
 * blocks of `want` already, they are held under its name as well. */
static gs_held_form *renamed(gs_partitioner *p, const gs_value *v,
                             const gs_form *now, gs_value *local,
                             const gs_form *want, gs_held_form *made) {
  gs_subset have = gs_sharding_used(now->sharding);
  gs_subset wanted = gs_sharding_used(want->sharding);
  if (gs_mesh_order_of(p->m, have) == gs_mesh_order_of(p->m, wanted))
    return made;
  gs_form form = *now;
  form.sharding = gs_sharding_copy(p->a, want->sharding);
  gs_assert(!form.sharding->partial && !now->sharding->partial);
  gs_sharding *own = local->sharding; /* as its node says it */
  made = gs_partitioner_add(p, v, &form, local);
  local->sharding = own;
  return made;
}

gs_held_form *gs_partitioner_move(gs_partitioner *p, const gs_value *v,
                                  const gs_held_form *x, const gs_form *want) {
  const gs_path *path =
      gs_reshard_forms(p->resharder, x->local->dtype, v->rank, v->dims,
                       &x->form, want);
  gs_value *at = x->local;
  gs_form now = x->form;
  gs_held_form *made = NULL;
  for (int i = 0; i < path->n; i++) {
    i = last_split(path, i);
    const gs_move *mv = &path->move[i];
    at = emit_move(p, v, at, &now, mv);
    gs_sharding *after = gs_sharding_copy(p->a, mv->after);
    after->reduce = x->form.sharding->reduce;
    gs_form form = mv->form ? *mv->form : (gs_form){0};
    form.sharding = after;
    form.padding = padding_after(p, v, mv, &now);
    made = gs_partitioner_add(p, v, &form, at);
    now = made->form;
  }
  return renamed(p, v, &now, at, want, made);
}

gs_value *gs_partitioner_read(gs_partitioner *p, const gs_value *v,
                              gs_value *whole, const gs_sharding *want) {
  gs_form none = gs_form_of(gs_sharding_new(p->a, v->rank, false));
  gs_move mv = {.kind = GS_MOVE_SHARD, .after = gs_sharding_copy(p->a, want)};
  return emit_move(p, v, whole, &none, &mv);
}

double gs_partitioner_latency(const gs_partitioner *p, const gs_move *mv) {
  return gs_cost_move(p->m, mv->kind, &mv->axes, 0);
}

gs_value *gs_partitioner_exchange(gs_partitioner *p, const gs_value *v,
                                  const int64_t *dims, gs_value *const *in,
                                  int nin, const gs_exchange *x, int d,
                                  const gs_form *before, const gs_form *after,
                                  int *sends) {
  gs_move mv =
      gs_reshard_exchange(p->resharder, v->dtype, dims, before, d, x, after);
  if (mv.bytes > 0 && (*sends)++) mv.seconds -= gs_partitioner_latency(p, &mv);
  gs_node *n;
  gs_value *out = emit_as(p, v, dims, mv.kind, in, nin, after, &n);
  gs_node_set_exchange(p->program, n, d, x);
  out->sharding = gs_sharding_copy(p->a, after->sharding);
  out->global_dims = gs_memdup(p->a, dims, (size_t)v->rank * sizeof *dims);
  record(p, v, &mv, before, out);
  return out;
}

gs_value *gs_partitioner_spread(gs_partitioner *p, const gs_value *v,
                                const gs_held_form *x, gs_subset axes) {
  gs_sharding *after = gs_sharding_copy(p->a, x->form.sharding);
  after->partial = axes;
  after->reduce = GS_REDUCE_SUM;
  gs_node *n;
  gs_form form = x->form;
  form.sharding = after;
  gs_value *out = emit(p, v, GS_MOVE_PARTIAL, x->local, &form, &n);
  out->sharding = after;
  out->global_dims = x->local->global_dims;
  gs_axes list = gs_axes_of(axes);
  gs_node_set_axes(p->program, n, "axes", &list);
  return out;
}

/* Whether an exchange has filled the padding of dim d so. */
static bool is_filled(const gs_form *f, int d, const gs_padding *padding) {
  return (gs_form_windows(f) & f->padding.dims) >> d & 1 &&
         f->padding.value == padding->value;
}

/* Whether what device i holds of dim d begins at i times as many elements: all
 * padding is past the end. */
static bool is_tail(const gs_mesh *m, const gs_form *f, int d, int64_t n) {
  gs_held_range r = gs_form_range(m, f, d, n);
  return gs_held_range_tiles(&r);
}

gs_held_form *gs_partitioner_fill(gs_partitioner *p, const gs_value *v,
                                  gs_held_form *x, const gs_padding *padding) {
  gs_form form = x->form;
  gs_value *at = x->local;
  form.padding = *padding;
  form.padding.dims &= gs_form_padded(p->m, &x->form, v->dims);
  gs_assert(form.padding.dims);
  for (int d = 0; d < v->rank; d++) {
    if (!(form.padding.dims >> d & 1) || is_filled(&x->form, d, padding))
      continue;
    gs_assert(is_tail(p->m, &x->form, d, v->dims[d]));
    gs_node *n;
    at = emit(p, v, GS_MOVE_MASK, at, &x->form, &n);
    at->sharding = x->local->sharding;
    at->global_dims = x->local->global_dims;
    at->form = x->local->form;
    gs_node_set_axes(p->program, n, "axes", &x->form.sharding->dim[d].axes);
    gs_node_set_int(p->program, n, "dim", d);
    gs_node_set_int(p->program, n, "size", v->dims[d]);
    gs_node_set(
        p->program, n,
        &(gs_attr){
            .name = "value", .kind = GS_ATTR_FLOAT, .f = padding->value});
  }
  return gs_partitioner_add_filled(p, v, x, &form, at);
}
