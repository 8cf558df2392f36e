#include "pass/specialise.h"

#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "op/core/exchange_node.h"
#include "op/core/moves.h"

/* ---- what all devices share ---- */

/* How an ENTRY or EXIT node splits. */
static gs_status split_of(gs_arena *a, const gs_node *n,
                          const gs_sharding **out, gs_err *e) {
  *out = gs_node_sharding(n, "split");
  if (*out) return GS_OK;
  return gs_fail(e, GS_DATA, gs_node_place(a, n),
                 "'split' is not a sharding over the mesh");
}

/* The one ENTRY node that reads v, NULL when others read it as well. */
static const gs_node *only_entry(const gs_uses *u, const gs_value *v) {
  int first = u->first[v->id];
  gs_assert(u->first[v->id + 1] >= first);
  if (u->first[v->id + 1] - first != 1 || v->is_output) return NULL;
  const gs_node *n = u->use[first].node;
  return n->op && (n->op->flags & GS_OP_ENTRY) ? n : NULL;
}

/* Whether n joins blocks; what a run sizes comes from the node that made it. */
static bool is_exit(const gs_node *n) {
  return n && n->op && (n->op->flags & GS_OP_EXIT);
}

gs_status gs_pass_device_form(gs_arena *a, const gs_graph *program,
                              gs_device_form *out, gs_err *e) {
  *out = (gs_device_form){.program = program};
  gs_uses uses = gs_graph_uses(a, program);
  for (int i = 0; i < program->input.n; i++) {
    const gs_value *v = program->input.at[i];
    const gs_node *entry = only_entry(&uses, v);
    const gs_sharding *s = gs_sharding_new(a, v->rank, false);
    if (entry) GS_TRY(split_of(a, entry, &s, e));
    *gs_push(a, &out->input) = (gs_border){v, s};
  }
  for (int i = 0; i < program->node.n; i++) {
    const gs_node *n = program->node.at[i];
    if (!n->op || !(n->op->flags & GS_OP_ENTRY) || !n->in[0]->constant)
      continue;
    const gs_sharding *s;
    GS_TRY(split_of(a, n, &s, e));
    *gs_push(a, &out->block) = (gs_block_use){n->in[0], n->out[0], s};
  }
  for (int i = 0; i < program->output.n; i++) {
    const gs_value *v = program->output.at[i];
    const gs_sharding *s = gs_sharding_new(a, v->rank, false);
    if (is_exit(v->def)) GS_TRY(split_of(a, v->def, &s, e));
    *gs_push(a, &out->output) = (gs_border){v, s};
  }
  return GS_OK;
}

/* ---- one device ---- */

typedef struct builder {
  gs_arena *a;
  const gs_device_form *f;
  const gs_mesh *m;
  int64_t p;
  gs_graph *to;
  gs_value **map; /* by value id of the program */
  gs_err *e;
} builder;

static gs_value *copy_value(builder *k, const gs_value *v, const char *name) {
  gs_value *c = gs_value_new(k->to, name, v->dtype, v->rank, v->dims);
  c->kind = v->kind;
  c->constant = v->constant;
  c->sharding = v->sharding;
  c->global_dims = v->global_dims;
  return c;
}

/* The program's value in the device graph; constants come along when they are
 * first used. */
static gs_value *mapped(builder *k, const gs_value *v) {
  if (!v) return NULL;
  if (!k->map[v->id]) k->map[v->id] = copy_value(k, v, v->name);
  return k->map[v->id];
}

static gs_node *copy_node(builder *k, const gs_node *n) {
  gs_node *c = gs_node_like(k->to, n, n->name);
  for (int i = 0; i < n->nin; i++) c->in[i] = mapped(k, n->in[i]);
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) gs_node_output(c, i, mapped(k, n->out[i]));
  gs_node_set_all(k->to, c, n);
  return c;
}

static void set_group(builder *k, const gs_axes *axes, gs_node *c) {
  int64_t size = gs_axes_size(k->m, axes);
  int64_t *group = GS_NEWS(k->a, size, int64_t);
  for (int64_t i = 0; i < size; i++)
    group[i] = gs_axes_peer(k->m, axes, k->p, i);
  gs_node_set_ints(k->to, c, "group", group, (int)size);
}

/* What each member of the group along `axes` has over `to`. */
static void set_indices(builder *k, const gs_axes *axes, const gs_axes *to,
                        gs_node *c) {
  int64_t size = gs_axes_size(k->m, axes);
  int64_t *index = GS_NEWS(k->a, size, int64_t);
  for (int64_t i = 0; i < size; i++)
    index[i] = gs_axes_index(k->m, to, gs_axes_peer(k->m, axes, k->p, i));
  gs_node_set_ints(k->to, c, "indices", index, (int)size);
}

/* The pieces that the device gives and takes, for those who do not work them
 * out from the numbers. */
static gs_status set_pieces(builder *k, const gs_node *n, gs_node *c) {
  gs_exchange x;
  int dim;
  GS_TRY(gs_node_exchange(k->a, n, k->m, &x, &dim, k->e));
  const gs_exchange_plan *plan = gs_exchange_plan_of(k->a, k->m, &x, k->p);
  gs_exchange_lists l = gs_exchange_lists_of(k->a, k->m, &x, plan, k->p);
  gs_node_set_ints(k->to, c, "gives", l.gives, l.ngive);
  gs_node_set_ints(k->to, c, "takes", l.takes, l.ntake);
  return GS_OK;
}

/* True when the mask clears nothing on this device. */
static bool mask_is_idle(builder *k, const gs_node *n, const gs_axes *axes) {
  int64_t d = gs_node_int(n, "dim", 0);
  gs_assert(d >= 0 && d < n->in[0]->rank);
  int64_t block = n->in[0]->dims[d];
  int64_t index = gs_axes_index(k->m, axes, k->p);
  return (index + 1) * block <= gs_node_int(n, "size", 0);
}

/* An ENTRY node of the program: a block of an input, of a weight, or of a
 * value computed whole. */
static gs_status make_entry(builder *k, const gs_node *n) {
  const gs_value *v = n->in[0], *block = n->out[0];
  if (v->constant) {
    gs_value *c = gs_value_new(k->to, block->name, block->dtype, block->rank,
                               block->dims);
    gs_tensor *t = gs_memdup(k->a, v->constant, sizeof *v->constant);
    t->name = c->name;
    t->dims = c->dims;
    t->data = NULL;
    t->file = NULL;
    t->whole = NULL;
    t->strings = NULL;
    t->nbytes = (uint64_t)gs_dtype_bytes(
        t->dtype, gs_product(block->dims, block->rank));
    c->constant = t;
    c->sharding = block->sharding;
    c->global_dims = block->global_dims;
    k->map[block->id] = c;
    return GS_OK;
  }
  for (int i = 0; v->is_input && i < k->f->input.n; i++)
    if (k->f->input.at[i].value == v &&
        !gs_sharding_is_replicated(k->f->input.at[i].sharding)) {
      k->map[block->id] = k->map[v->id]; /* the input is the block */
      return GS_OK;
    }
  copy_node(k, n);
  return GS_OK;
}

static gs_status make_node(builder *k, const gs_node *n) {
  unsigned flags = n->op ? n->op->flags : 0;
  if (flags & GS_OP_ENTRY) return make_entry(k, n);
  if (flags & GS_OP_EXIT) return GS_OK;
  const gs_move_info *move = gs_move_of(n->op);
  const gs_axes *axes = gs_node_axes(n, "axes");
  if (move && move->effect == GS_EFFECT_FILL && axes &&
      mask_is_idle(k, n, axes)) {
    k->map[n->out[0]->id] = mapped(k, n->in[0]);
    return GS_OK;
  }
  gs_node *c = copy_node(k, n);
  const gs_placement *pl = gs_node_placement(n);
  if (pl)
    gs_node_set_placement(k->to, c, gs_placement_fold(k->a, k->m, pl, k->p));
  if (!axes) return GS_OK;
  if (flags & GS_OP_COLLECTIVE) set_group(k, axes, c);
  gs_node_set_int(k->to, c, "index", gs_axes_index(k->m, axes, k->p));
  const gs_axes *to = gs_node_axes(n, "to_axes");
  if (to) set_indices(k, axes, to, c);
  bool exchange = move && move->effect == GS_EFFECT_EXCHANGE;
  return exchange ? set_pieces(k, n, c) : GS_OK;
}

static void make_inputs(builder *k) {
  for (int i = 0; i < k->f->input.n; i++) {
    const gs_border *b = &k->f->input.at[i];
    gs_value *v = copy_value(k, b->value, b->value->name);
    gs_assert(b->sharding->rank <= GS_MAX_RANK && v->rank == b->value->rank);
    gs_sharding_local(k->m, b->sharding, b->value->dims, v->dims);
    v->sharding = (gs_sharding *)b->sharding;
    v->global_dims = b->value->dims;
    v->is_input = true;
    *gs_push(k->a, &k->to->input) = v;
    k->map[b->value->id] = v;
  }
}

/* Outputs keep their names: an Identity gives the block the name. */
static void make_outputs(builder *k) {
  for (int i = 0; i < k->f->output.n; i++) {
    const gs_value *v = k->f->output.at[i].value;
    if (!is_exit(v->def)) { /* an input, or made whole by every device */
      k->map[v->id]->is_output = true;
      *gs_push(k->a, &k->to->output) = k->map[v->id];
      continue;
    }
    gs_value *block = mapped(k, v->def->in[0]);
    gs_assert(k->map[v->id]);
    gs_node *n = gs_node_new(k->to, "", "Identity", "", 1, 1);
    n->op = gs_op_find("", "Identity");
    n->opset = n->op->since;
    n->origin = v->def->origin;
    n->in[0] = block;
    gs_node_output(n, 0, k->map[v->id]);
    k->map[v->id]->is_output = true;
    *gs_push(k->a, &k->to->output) = k->map[v->id];
  }
}

gs_status gs_pass_specialise(gs_arena *a, const gs_device_form *f, int64_t p,
                             gs_graph **out, gs_err *e) {
  builder k = {.a = a, .f = f, .m = f->program->mesh, .p = p, .e = e};
  k.to = gs_graph_new(a, f->program->name);
  gs_assert(k.m && p >= 0 && p < k.m->ndevice);
  k.to->mesh = k.m;
  k.map = GS_NEWS(a, f->program->value.n + 1, gs_value *);
  make_inputs(&k);
  for (int i = 0; i < f->output.n; i++) { /* the names of outputs come first */
    const gs_value *v = f->output.at[i].value;
    if (!v->def) continue;
    const gs_value *block = is_exit(v->def) ? v->def->in[0] : v;
    k.map[v->id] = gs_value_new(k.to, v->name, block->dtype, block->rank,
                                block->dims);
    k.map[v->id]->kind = v->kind;
    k.map[v->id]->sharding = block->sharding;
    k.map[v->id]->global_dims = v->dims;
  }
  for (int i = 0; i < f->program->node.n; i++)
    GS_TRY(make_node(&k, f->program->node.at[i]));
  make_outputs(&k);
  gs_graph_prune(k.to);
  *out = k.to;
  return gs_graph_check(k.to, e);
}

/* ---- whole values at the borders again ---- */

static gs_node *border_node(gs_graph *g, gs_move_kind kind,
                            const gs_sharding *split, gs_value *in,
                            gs_value *out) {
  const char *op = gs_moves[kind].name;
  gs_node *n = gs_node_new(g, "ai.gshard", op, "", 1, 1);
  n->op = gs_op_find("ai.gshard", op);
  n->opset = 1;
  n->in[0] = in;
  gs_node_output(n, 0, out);
  gs_node_set_sharding(g, n, "split", split);
  return n;
}

/* Gives v another name and returns a new value with its old one. */
static gs_value *take_name(gs_graph *g, gs_value *v, int rank,
                           const int64_t *dims) {
  const char *name = v->name;
  gs_value *whole = gs_value_new(g, NULL, v->dtype, rank, dims);
  v->name = whole->name;
  whole->name = name;
  gs_map_put(&g->by_name, v->name, v);
  gs_map_put(&g->by_name, name, whole);
  return whole;
}

gs_status gs_pass_border(gs_graph *g, const gs_sharding *const *in_split,
                         const int64_t *const *in_dims,
                         const gs_sharding *const *out_split,
                         const int64_t *const *out_dims, gs_err *e) {
  int first = g->node.n;
  for (int i = 0; i < g->input.n; i++) {
    if (!in_split[i]) continue;
    gs_value *block = g->input.at[i];
    gs_value *whole = take_name(g, block, block->rank, in_dims[i]);
    block->is_input = false;
    whole->is_input = true;
    g->input.at[i] = whole;
    border_node(g, GS_MOVE_SHARD, in_split[i], whole, block);
  }
  /* The entries go before everything that reads them. */
  int entries = g->node.n - first;
  gs_node **moved = GS_NEWS(g->arena, entries + 1, gs_node *);
  if (entries)
    memcpy(moved, g->node.at + first, (size_t)entries * sizeof *moved);
  memmove(g->node.at + entries, g->node.at, (size_t)first * sizeof *moved);
  memcpy(g->node.at, moved, (size_t)entries * sizeof *moved);
  for (int i = 0; i < g->node.n; i++) g->node.at[i]->id = i;
  for (int i = 0; i < g->output.n; i++) {
    if (!out_split[i]) continue;
    gs_value *block = g->output.at[i];
    gs_value *whole = take_name(g, block, block->rank, out_dims[i]);
    block->is_output = false;
    whole->is_output = true;
    g->output.at[i] = whole;
    gs_node *n = border_node(g, GS_MOVE_UNSHARD, out_split[i], block, whole);
    gs_node_set_ints(g, n, "dims", out_dims[i], block->rank);
  }
  return gs_graph_check(g, e);
}
