#include "exec/compile/keep.h"

const gs_value *gs_program_held(const gs_program *p, const gs_value *in,
                                const gs_sharding *split) {
  const gs_value *to = NULL;
  for (int i = p->sliced[in->id]; i; i = p->slice.at[i - 1].next) {
    const gs_slice *l = &p->slice.at[i - 1];
    if (to || !split || !gs_sharding_equal(l->split, split)) return NULL;
    to = l->to;
  }
  if (!to) return !split || gs_sharding_is_replicated(split) ? in : NULL;
  return p->uses[in->id] == 1 ? to : NULL; /* the Shard alone reads it */
}

static bool has_padding(const gs_program *p, const gs_gather *x) {
  int64_t shards, dim;
  for (int d = 0; x->split && d < x->value->rank; d++) {
    dim = x->value->dims[d];
    shards = gs_axes_size(p->g->mesh, &x->split->dim[d].axes);
    if (x->block->dims[d] * shards != dim) return true;
  }
  return false;
}

void gs_program_keep(gs_arena *a, gs_program *p, const gs_compile *how) {
  p->over = GS_NEWS(a, p->g->value.n, const gs_value *);
  for (int i = 0; i < how->ntie; i++) {
    const gs_gather *x = &p->gather[how->tie[i].out];
    const gs_value *in = p->g->input.at[how->tie[i].in], *to;
    if (gs_value_dynamic(in) || gs_value_dynamic(x->value)) continue;
    gs_buffer *b = gs_program_buffer(p, x->block);
    to = gs_program_held(p, in, x->split);
    if (!to || b->storage != GS_STORAGE_ARENA || has_padding(p, x)) continue;
    b->storage = GS_STORAGE_KEPT;
    p->over[b->root] = to;
  }
}

bool gs_step_allows(const gs_step *s, int i, int k) {
  unsigned flags = s->node->op->flags;
  if (i < GS_MAX_OVER && k && s->node->op->over[i] == k) return true;
  return i == 0 && s->inplace && (k == 0 || (flags & GS_OP_POINTWISE));
}

bool gs_program_over(const gs_program *p, const gs_step *s, int i) {
  const gs_node *n = s->node;
  const gs_value *y = n->out[i], *to = p->over[y->id];
  if (!to || s->kind != GS_STEP_KERNEL) return false;
  const gs_buffer *b = gs_program_buffer(p, to);
  bool found = false;
  if (b->last != s->wait || b->root != to->id || to->dtype != y->dtype ||
      b->bytes != gs_value_bytes(y))
    return false;
  for (int k = 0; k < n->nin; k++) {
    if (!n->in[k] || gs_program_buffer(p, n->in[k]) != b) continue;
    if (!gs_step_allows(s, i, k)) return false;
    if (found && !(n->op->flags & GS_OP_POINTWISE)) return false;
    found = true;
  }
  return found;
}
