#include "exec/compile/program.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/math.h"
#include "exec/compile/fuse.h"
#include "exec/compile/fuse_quantised.h"
#include "exec/compile/keep.h"
#include "exec/compile/lay.h"
#include "op/core/exchange_node.h"
#include "op/core/moves.h"

enum { SMALL = 65536 }; /* bytes that are always kept */
/* Bytes of a program that may be kept without being as many before. */
#define BUDGET ((size_t)1 << 30)

/* Rows that give operand 0 another shape: their result is the operand. */
static bool is_view(const gs_node *n) {
  return n->op && (n->op->flags & GS_OP_VIEW) &&
         gs_value_bytes(n->in[0]) == gs_value_bytes(n->out[0]);
}

/* Rows that give operand 0 back as it is. */
static bool is_copy(const gs_node *n) {
  if (!n->op || !(n->op->flags & GS_OP_VIEW)) return false;
  const gs_value *x = gs_node_in(n, 0), *y = n->out[0];
  return x && y && !gs_value_dynamic(x) && !gs_value_dynamic(y) &&
         x->dtype == y->dtype && x->rank == y->rank &&
         (!x->rank ||
          !memcmp(x->dims, y->dims, (size_t)x->rank * sizeof *x->dims));
}

/* Of which v is a copy, or v itself. */
static gs_value *original(gs_value *v) {
  while (v && v->def && is_copy(v->def)) v = v->def->in[0];
  return v;
}

/* n on what its operands are copies of, so that these do not stand between
 * nodes that can be fused, agree on blocks of channels or share memory. */
static const gs_node *on_originals(gs_arena *a, const gs_node *n) {
  gs_node *m = NULL;
  for (int i = 0; i < n->nin; i++) {
    gs_value *x = original(n->in[i]);
    if (x == n->in[i]) continue;
    if (!m) {
      m = gs_memdup(a, n, sizeof *n);
      m->in = gs_memdup(a, n->in, (size_t)n->nin * sizeof(gs_value *));
    }
    m->in[i] = x;
  }
  return m ? m : n;
}

static gs_status check_value(gs_program *p, gs_arena *a, const gs_value *v,
                             gs_err *e) {
  gs_buffer *buffer = &p->buffer[v->id];
  buffer->root = v->id;
  buffer->last = -1;
  if (gs_value_dynamic(v)) {
    p->dynamic = true;
    buffer->storage =
        v->constant || v->is_input ? GS_STORAGE_DYNAMIC : GS_STORAGE_NONE;
    return GS_OK;
  }
  int64_t n = gs_product(v->dims, v->rank);
  int64_t bytes = n < 0 ? -1 : gs_dtype_bytes((int)v->dtype, n);
  if (bytes < 0 || bytes > INT64_MAX / 4)
    return gs_fail(e, n < 0 ? GS_INTERNAL : GS_RESOURCE, v->name,
                   "%s is too large",
                   gs_shape_text(a, v->dtype, v->rank, v->dims));
  buffer->bytes = (size_t)bytes;
  buffer->fixed = v->constant && !v->is_input;
  if (v->constant) buffer->storage = GS_STORAGE_CONSTANT;
  else if (v->is_input) buffer->storage = GS_STORAGE_INPUT;
  return GS_OK;
}

/* How a Shard or Unshard is split. */
static gs_status split_of(gs_program *p, gs_arena *a, const gs_node *n,
                          int rank, const gs_sharding **out, gs_err *e) {
  bool given = gs_node_attr(n, "split") != NULL;
  *out = gs_node_sharding(n, "split");
  if (*out && p->g->mesh)
    return gs_sharding_check(p->g->mesh, *out, rank, gs_node_place(a, n), e);
  return gs_fail(e, GS_DATA, gs_node_place(a, n), "%s",
                 !given         ? "no attribute 'split'"
                 : !p->g->mesh ? "the program has no mesh"
                               : "'split' is not a sharding over the mesh");
}

static gs_status add_slice(gs_program *p, gs_arena *a, const gs_node *n,
                           gs_err *e) {
  gs_slice *l = gs_push(a, &p->slice);
  int *first = &p->sliced[n->in[0]->id];
  *l = (gs_slice){
      .node = n, .from = n->in[0], .to = n->out[0], .next = *first};
  gs_assert(*first < p->slice.n);
  *first = p->slice.n;
  GS_TRY(split_of(p, a, n, l->from->rank, &l->split, e));
  for (int d = 0; d < l->from->rank; d++)
    if (l->to->rank != l->from->rank ||
        l->to->dims[d] != gs_sharding_block(p->g->mesh, l->split, d,
                                            l->from->dims[d]))
      return gs_fail(e, GS_INTERNAL, gs_node_place(a, n),
                     "the result does not have the shape of a block");
  p->buffer[l->to->id].storage = GS_STORAGE_SLICE;
  p->buffer[l->to->id].fixed =
      l->from->constant && !l->from->is_input;
  return GS_OK;
}

/* Whether a kernel's results are kept from one run to the next: they depend on
 * constants alone.  Their memory is not shared with other values, so those
 * that are much larger than these count, and are kept while there are not too
 * many: *kept is what counts. */
static bool runs_once(gs_program *p, const gs_node *n, size_t *kept) {
  size_t in = 0, out = 0;
  bool any = false;
  *kept = 0;
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i]) continue;
    const gs_buffer *buffer = gs_program_buffer(p, n->in[i]);
    if (!buffer->fixed) return false;
    in += buffer->bytes;
    any = true;
  }
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) out += p->buffer[n->out[i]->id].bytes;
  if (!any || out <= SMALL || out / 2 <= in) return any;
  if (out > BUDGET - p->kept_bytes) return false;
  *kept = out;
  p->kept_bytes += out;
  return true;
}

/* The step that makes the results of n, in this storage. */
static gs_step *add_step(gs_program *p, gs_arena *a, const gs_node *n,
                         gs_step_kind kind, gs_storage storage) {
  gs_step *s = gs_push(a, &p->step);
  *s = (gs_step){.node = n, .kind = kind};
  for (int i = 0; i < n->nout; i++) {
    const gs_value *v = n->out[i];
    if (!v) continue;
    gs_assert(p->producer[v->id] < 0);
    p->producer[v->id] = p->step.n - 1;
    p->buffer[v->id].storage =
        gs_value_dynamic(v) ? GS_STORAGE_DYNAMIC : storage;
  }
  return s;
}

static gs_status add_kernel(gs_program *p, gs_arena *a, const gs_node *n,
                            gs_err *e) {
  const gs_kernel *k = gs_kernel_of(n->op);
  if (!k->run)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "this operator has no kernel");
  size_t kept;
  bool once = runs_once(p, n, &kept);
  if (!once) n = gs_program_fuse(p, a, n);
  gs_step *s = add_step(p, a, n, GS_STEP_KERNEL,
                        once ? GS_STORAGE_ONCE : GS_STORAGE_ARENA);
  s->kept = kept;
  s->kernel = gs_kernel_of(n->op);
  s->once = once;
  s->inplace = n->op->flags & GS_OP_INPLACE;
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) p->buffer[n->out[i]->id].fixed = once;
  return GS_OK;
}

static gs_status add_collective(gs_program *p, gs_arena *a,
                                const gs_node *n) {
  size_t kept = 0;
  bool once = gs_exchange_is_local(n) && runs_once(p, n, &kept);
  gs_step *s = add_step(p, a, n, GS_STEP_COLLECTIVE,
                        once ? GS_STORAGE_ONCE : GS_STORAGE_ARENA);
  s->kept = kept;
  s->once = once;
  s->inplace = n->op->flags & GS_OP_INPLACE;
  p->buffer[n->out[0]->id].fixed = once;
  return GS_OK;
}

/* A kernel that gathers blocks of other devices while it runs. */
static gs_status add_group(gs_program *p, gs_arena *a, const gs_node *n) {
  gs_step *s = add_step(p, a, n, GS_STEP_GROUP, GS_STORAGE_ARENA);
  s->kernel = gs_kernel_of(n->op);
  return GS_OK;
}

/* A step on dynamic values, or a region. */
static gs_status add_dynamic(gs_program *p, gs_arena *a, const gs_node *n,
                             const gs_compile *how, gs_err *e) {
  bool region = gs_node_has_region(n);
  if (n->op->flags & (GS_OP_ENTRY | GS_OP_EXIT | GS_OP_COLLECTIVE))
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "a value without a fixed size cannot be split");
  gs_step *s = add_step(p, a, n, region ? GS_STEP_REGION : GS_STEP_DYNAMIC,
                        GS_STORAGE_ARENA);
  p->dynamic = true;
  if (!region) return GS_OK;
  gs_compile within = *how;
  within.ntie = 0;
  s->region = GS_NEWS(a, n->nattr, gs_program *);
  for (int i = 0; i < n->nattr; i++)
    if (n->attr[i].kind == GS_ATTR_GRAPH)
      GS_TRY(gs_program_new(a, n->attr[i].g, &within, &s->region[i], e));
  return GS_OK;
}

size_t gs_program_size(const gs_program *p) {
  size_t size = p->arena_size;
  for (int i = 0; i < p->step.n; i++) {
    const gs_step *s = &p->step.at[i];
    size_t max = 0;
    for (int k = 0; s->region && k < s->node->nattr; k++)
      if (s->region[k] && gs_program_size(s->region[k]) > max)
        max = gs_program_size(s->region[k]);
    size += max;
  }
  return size;
}

/* Whether n runs on dynamic values: by what it reads and makes, or because its
 * row has nothing else. */
static bool runs_dynamic(const gs_node *n) {
  const gs_dynamic *b = gs_dynamic_of(n->op);
  return gs_node_dynamic(n) || gs_node_has_region(n) ||
         (b && b->run && !gs_kernel_of(n->op)->run);
}

static gs_status add_node(gs_program *p, gs_arena *a, const gs_node *n,
                          const gs_compile *how, gs_err *e) {
  if (!n->op)
    return gs_fail(e, GS_UNSUPPORTED, gs_node_place(a, n),
                   "operator '%s%s%s' cannot be run", n->domain,
                   *n->domain ? "." : "", n->op_type);
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] && gs_program_buffer(p, n->in[i])->storage == GS_STORAGE_NONE)
      return gs_fail(e, GS_INTERNAL, gs_node_place(a, n),
                     "operand '%s' is not computed before it is read",
                     n->in[i]->name);
  if (runs_dynamic(n)) return add_dynamic(p, a, n, how, e);
  unsigned flags = n->op->flags;
  const gs_value *x = gs_node_in(n, 0);
  bool gathers = n->op->gathers != NULL;
  if ((flags & (GS_OP_ENTRY | GS_OP_EXIT | GS_OP_COLLECTIVE)) && !gathers &&
      (!x || n->nout < 1 || !n->out[0]))
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "an operand or result is missing");
  if ((flags & GS_OP_EXIT) || (x && is_view(n))) {
    gs_assert(x->id != n->out[0]->id);
    p->buffer[n->out[0]->id].root = x->id;
    return GS_OK;
  }
  if ((flags & GS_OP_ENTRY) && (x->constant || x->is_input))
    return add_slice(p, a, n, e);
  if (gathers && gs_node_communicates(n)) return add_group(p, a, n);
  if (flags & GS_OP_COLLECTIVE && !gathers) return add_collective(p, a, n);
  return add_kernel(p, a, n, e);
}

static gs_status add_gather(gs_program *p, gs_arena *a, int i, gs_err *e) {
  const gs_value *v = p->g->output.at[i];
  gs_gather *x = &p->gather[i];
  *x = (gs_gather){.value = v, .block = v};
  gs_buffer *buffer = gs_program_buffer(p, v);
  if (buffer->storage == GS_STORAGE_NONE)
    return gs_fail(e, GS_INTERNAL, v->name, "this output is not computed");
  buffer->last = INT_MAX;
  const gs_node *n = v->def;
  if (!n || !n->op || !(n->op->flags & GS_OP_EXIT)) return GS_OK;
  x->block = n->in[0];
  GS_TRY(split_of(p, a, n, v->rank, &x->split, e));
  if (x->split->partial)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "a partial value cannot leave the program");
  if (x->block->rank != v->rank)
    return gs_fail(e, GS_INTERNAL, gs_node_place(a, n),
                   "blocks of rank %d cannot be joined to rank %d",
                   x->block->rank, v->rank);
  for (int d = 0; d < v->rank; d++)
    if (x->block->dims[d] !=
        gs_sharding_block(p->g->mesh, x->split, d, v->dims[d]))
      return gs_fail(e, GS_INTERNAL, gs_node_place(a, n),
                     "the operand does not have the shape of a block");
  return GS_OK;
}

/* Fills in p->uses; nothing is produced yet. */
static void count_uses(gs_arena *a, gs_program *p) {
  const gs_graph *g = p->g;
  p->uses = GS_NEWS(a, g->value.n, int);
  p->producer = GS_NEWS(a, g->value.n, int);
  for (int i = 0; i < g->value.n; i++) p->producer[i] = -1;
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    if (is_copy(n)) continue;
    for (int k = 0; k < n->nin; k++)
      if (n->in[k]) p->uses[original(n->in[k])->id]++;
  }
  for (int i = 0; i < g->output.n; i++)
    p->uses[original(g->output.at[i])->id]++;
}

static void count_readers(gs_arena *a, gs_program *p) {
  p->readers = GS_NEWS(a, p->g->value.n, int);
  for (int s = 0; s < p->step.n; s++) {
    const gs_node *n = p->step.at[s].node;
    for (int i = 0; i < n->nin; i++)
      if (n->in[i]) p->readers[gs_program_buffer(p, n->in[i])->root]++;
  }
  for (int i = 0; i < p->g->output.n; i++)
    p->readers[gs_program_buffer(p, p->gather[i].block)->root]++;
}

gs_status gs_program_new(gs_arena *a, const gs_graph *g, const gs_compile *how,
                         gs_program **out, gs_err *e) {
  gs_program *p = GS_NEW(a, gs_program);
  p->g = g;
  p->kinds = how->kinds;
  p->one_memory = how->one_memory;
  p->apart = how->apart;
  p->buffer = GS_NEWS(a, g->value.n, gs_buffer);
  p->sliced = GS_NEWS(a, g->value.n, int);
  p->gather = GS_NEWS(a, g->output.n, gs_gather);
  for (int i = 0; i < g->value.n; i++)
    GS_TRY(check_value(p, a, g->value.at[i], e));
  count_uses(a, p);
  p->node = GS_NEWS(a, g->node.n, const gs_node *);
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    p->node[i] = n->op && !runs_dynamic(n) ? on_originals(a, n) : n;
  }
  if (!p->apart) gs_program_fuse_quantised(p, a);
  for (int i = 0; i < g->node.n; i++)
    if (p->node[i]) GS_TRY(add_node(p, a, p->node[i], how, e));
  gs_program_close(a, p);
  for (int i = 0; i < g->output.n; i++) GS_TRY(add_gather(p, a, i, e));
  gs_program_keep(a, p, how);
  count_readers(a, p);
  GS_TRY(gs_program_lay(a, p, how, e));
  gs_assert(p->turn.n <= 2 * p->step.n);
  *out = p;
  return GS_OK;
}
