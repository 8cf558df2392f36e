/* Forms of values: what is at hand, what it costs to get another, and the
 * nodes that make it. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "op/core/schema.h"
#include "pass/partition/partition_impl.h"

const gs_sharding *gs_part_home(part *p, const gs_value *v) {
  if (p->home[v->id]) return p->home[v->id];
  gs_sharding *s = p->home[v->id] = gs_sharding_copy(p->a, v->sharding);
  s->partial = 0;
  for (int d = 0; d < s->rank; d++) {
    s->dim[d].open = false;
    s->dim[d].priority = 0;
  }
  s->replicated = 0;
  return s;
}

version *gs_part_add(part *p, const gs_value *v, gs_sharding *s,
                     gs_value *local, bool zero_tail) {
  version *x = GS_NEW(p->a, version);
  *x = (version){.sharding = s,
                 .local = local,
                 .zero_tail = zero_tail,
                 .next = p->versions[v->id]};
  p->versions[v->id] = x;
  local->sharding = s;
  if (!local->global_dims && v->rank >= 0)
    local->global_dims =
        gs_memdup(p->a, v->dims, (size_t)v->rank * sizeof *v->dims);
  return x;
}

/* Is each dim's list in `fine` the one in `coarse` or longer? */
static bool refines(const part *p, const gs_value *v, const gs_sharding *fine,
                    const gs_sharding *coarse) {
  for (int d = 0; d < fine->rank; d++) {
    const gs_axes *f = &fine->dim[d].axes, *c = &coarse->dim[d].axes;
    if (c->n > f->n || memcmp(c->at, f->at, c->n)) return false;
    gs_axes rest = gs_axes_tail(f, c->n);
    if (!gs_reshard_nests(v->dims[d], gs_axes_size(p->m, c),
                          gs_axes_size(p->m, &rest)))
      return false;
  }
  return true;
}

/* Inputs and constants lie outside the devices; every device can read the
 * part that its sharding in the model gives it, and parts of that. */
static bool readable(part *p, const gs_value *v, const gs_sharding *want) {
  if (v->def || want->partial) return false;
  if (v->constant && v->constant->nbytes <= GS_SMALL_CONSTANT) return true;
  return refines(p, v, want, v->sharding);
}

double gs_part_price(part *p, const gs_value *v, const gs_sharding *want,
                     version **from) {
  double best = INFINITY;
  if (from) *from = NULL;
  if (readable(p, v, want) || gs_value_dynamic(v)) return 0;
  for (version *x = p->versions[v->id]; x; x = x->next) {
    if (!v->def && gs_sharding_is_replicated(x->sharding) &&
        !readable(p, v, x->sharding))
      continue;
    double s = gs_reshard(&p->resharder, v->dtype, v->rank, v->dims,
                          x->sharding, want)
                   ->seconds;
    if (s < best) {
      best = s;
      if (from) *from = x;
    }
  }
  if (v->def || isfinite(best)) return best;
  /* An input or a weight not read yet: its block, then a path from there. */
  return gs_reshard(&p->resharder, v->dtype, v->rank, v->dims,
                    gs_part_home(p, v), want)
      ->seconds;
}

static gs_value *emit(part *p, const gs_value *v, gs_move_kind kind,
                      gs_value *in, const gs_sharding *after, gs_node **node) {
  const char *name = gs_moves[kind].name;
  int64_t dims[GS_MAX_RANK];
  gs_sharding_local(p->m, after, v->dims, dims);
  gs_node *n = gs_node_new(p->program, "ai.gshard", name, "", 1, 1);
  n->op = gs_op_find("ai.gshard", name);
  n->opset = 1;
  n->origin = gs_strdup(p->program->arena, v->name);
  n->in[0] = in;
  gs_value *out = gs_value_new(p->program, v->name, in->dtype, v->rank, dims);
  gs_node_output(n, 0, out);
  *node = n;
  return out;
}

static void set_axes(part *p, gs_node *n, const gs_axes *axes) {
  gs_buf b;
  gs_buf_init(&b, p->a);
  gs_axes_print(&b, p->m, axes);
  gs_node_set_string(p->program, n, "axes", b.at);
}

static void set_sharding(part *p, gs_node *n, const char *name,
                         const gs_sharding *s) {
  gs_node_set_string(p->program, n, name, gs_sharding_text(p->a, p->m, s));
}

/* The axes that each dim has after `before`. */
static const gs_sharding *added(part *p, const gs_sharding *before,
                                const gs_sharding *after) {
  gs_sharding *s = gs_sharding_new(p->a, after->rank, false);
  for (int d = 0; d < after->rank; d++)
    s->dim[d].axes = gs_axes_tail(&after->dim[d].axes, before->dim[d].axes.n);
  return s;
}

/* Sets the attribute of that name; those of graphs for one device are set by
 * gs_pass_specialise. */
static void set_attribute(part *p, gs_node *n, gs_string name,
                          const gs_sharding *before, const gs_move *mv) {
  gs_graph *g = p->program;
  const char *s = gs_strndup(p->a, name.at, name.n);
  if (!strcmp(s, "axes")) set_axes(p, n, &mv->axes);
  if (!strcmp(s, "split")) set_sharding(p, n, s, added(p, before, mv->after));
  if (!strcmp(s, "from")) set_sharding(p, n, s, before);
  if (!strcmp(s, "to")) set_sharding(p, n, s, mv->after);
  if (!strcmp(s, "reduce"))
    gs_node_set_string(g, n, s, gs_reduce_text(before->reduce));
  if (!strcmp(s, "dim") || !strcmp(s, "concat_dim"))
    gs_node_set_int(g, n, s, mv->dim);
  if (!strcmp(s, "split_dim")) gs_node_set_int(g, n, s, mv->to);
  if (!strcmp(s, "size")) gs_node_set_int(g, n, s, n->out[0]->dims[mv->dim]);
}

static void record(part *p, const gs_value *v, const gs_move *mv,
                   const gs_sharding *before, const gs_value *result) {
  gs_collective *c = gs_push(p->a, &p->out->collective);
  *c = (gs_collective){.op = gs_moves[mv->kind].name,
                       .axes = mv->axes,
                       .value = v,
                       .node = p->node,
                       .result = result->name,
                       .from = gs_sharding_text(p->a, p->m, before),
                       .to = gs_sharding_text(p->a, p->m, mv->after),
                       .bytes = mv->bytes,
                       .seconds = mv->seconds};
  p->out->seconds += mv->seconds;
}

static gs_value *emit_move(part *p, const gs_value *v, gs_value *in,
                           const gs_sharding *before, const gs_move *mv) {
  const gs_move_info *row = &gs_moves[mv->kind];
  const char *rest = row->attributes;
  gs_string name;
  gs_node *n;
  gs_value *out = emit(p, v, mv->kind, in, mv->after, &n);
  while (gs_schema_next(&rest, &name)) set_attribute(p, n, name, before, mv);
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

version *gs_part_move(part *p, const gs_value *v, const version *x,
                      const gs_sharding *want) {
  const gs_path *path = gs_reshard(&p->resharder, x->local->dtype, v->rank,
                                   v->dims, x->sharding, want);
  gs_value *at = x->local;
  const gs_sharding *now = x->sharding;
  bool zero_tail = x->zero_tail;
  version *made = NULL;
  for (int i = 0; i < path->n; i++) {
    i = last_split(path, i);
    const gs_move *mv = &path->move[i];
    bool split = gs_moves[mv->kind].effect == GS_EFFECT_SPLIT;
    at = emit_move(p, v, at, now, mv);
    zero_tail = split && (zero_tail || gs_sharding_is_replicated(now));
    gs_sharding *after = gs_sharding_copy(p->a, mv->after);
    after->reduce = x->sharding->reduce;
    made = gs_part_add(p, v, after, at, zero_tail);
    now = after;
  }
  return made;
}

/* The whole value in the program: an input, or a constant on first use. */
static gs_value *whole(part *p, const gs_value *v) {
  for (const version *x = p->versions[v->id]; x; x = x->next)
    if (!x->local->def) return x->local;
  gs_value *c = gs_value_constant(p->program, v->name, v->constant);
  gs_part_add(p, v, gs_sharding_new(p->a, v->rank, false), c, true);
  return c;
}

static version *find(part *p, const gs_value *v, const gs_sharding *want) {
  for (version *x = p->versions[v->id]; x; x = x->next)
    if (gs_sharding_equal(x->sharding, want)) return x;
  return NULL;
}

/* Reads a block of an input or a constant. */
static version *read_block(part *p, const gs_value *v,
                           const gs_sharding *want) {
  gs_value *all = whole(p, v);
  version *x = find(p, v, want);
  if (x) return x;
  gs_sharding *none = gs_sharding_new(p->a, v->rank, false);
  gs_move mv = {.kind = GS_MOVE_SHARD, .after = (gs_sharding *)want};
  gs_value *out = emit_move(p, v, all, none, &mv);
  return gs_part_add(p, v, gs_sharding_copy(p->a, want), out, true);
}

version *gs_part_need(part *p, const gs_value *v, const gs_sharding *want) {
  if (readable(p, v, want)) return read_block(p, v, want);
  version *x = find(p, v, want);
  bool reads_whole = x && !v->def && !x->local->def;
  if (x && !reads_whole) return x;
  version *from = NULL;
  gs_part_price(p, v, want, &from);
  if (!from) from = read_block(p, v, gs_part_home(p, v));
  version *made = gs_part_move(p, v, from, want);
  return made ? made : from;
}

gs_value *gs_part_spread(part *p, const gs_value *v, gs_value *x,
                         const gs_sharding *s, gs_subset axes) {
  gs_sharding *after = gs_sharding_copy(p->a, s);
  after->partial = axes;
  after->reduce = GS_REDUCE_SUM;
  gs_node *n;
  gs_value *out = emit(p, v, GS_MOVE_PARTIAL, x, after, &n);
  out->sharding = after;
  out->global_dims = x->global_dims;
  gs_axes list = gs_axes_of(axes);
  set_axes(p, n, &list);
  return out;
}

gs_value *gs_part_masked(part *p, const gs_value *v, version *x,
                         uint64_t dims, double fill) {
  for (int d = 0; d < v->rank && d < 64; d++) {
    const gs_axes *axes = &x->sharding->dim[d].axes;
    if (v->dims[d] % gs_axes_size(p->m, axes) == 0)
      dims &= ~((uint64_t)1 << d);
  }
  if (!dims || (x->zero_tail && fill == 0)) return x->local;
  for (const mask *k = x->masks; k; k = k->next)
    if (k->dims == dims && k->fill == fill) return k->masked;
  gs_value *at = x->local;
  for (int d = 0; d < v->rank && d < 64; d++) {
    if (!(dims >> d & 1)) continue;
    gs_node *n;
    at = emit(p, v, GS_MOVE_MASK, at, x->sharding, &n);
    at->sharding = x->sharding;
    at->global_dims = x->local->global_dims;
    set_axes(p, n, &x->sharding->dim[d].axes);
    gs_node_set_int(p->program, n, "dim", d);
    gs_node_set_int(p->program, n, "size", v->dims[d]);
    gs_node_set(p->program, n,
                &(gs_attr){
                    .name = "value", .kind = GS_ATTR_FLOAT, .f = fill});
  }
  mask *k = GS_NEW(p->a, mask);
  *k = (mask){dims, fill, at, x->masks};
  x->masks = k;
  return at;
}
