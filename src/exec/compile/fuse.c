#include "exec/compile/fuse.h"

#include "base/assert.h"
#include "kernel/core/fusion.h"
#include "op/core/exchange_node.h"

static bool fixed(const void *ctx, const gs_value *v) {
  return gs_program_buffer(ctx, v)->fixed;
}

/* Whether s runs a kernel in every run. */
static bool runs_kernel(const gs_step *s) {
  return s->kind == GS_STEP_KERNEL && !s->once;
}

const gs_node *gs_program_fuse(gs_program *p, gs_arena *a, const gs_node *n) {
  gs_fuse_facts facts = {p, fixed};
  for (int i = 0; i < n->nin && i < 2; i++) {
    const gs_value *x = n->in[i];
    int s = x && p->uses[x->id] == 1 ? p->producer[x->id] : -1;
    gs_step *before = s < 0 ? NULL : &p->step.at[s];
    if (!before || !runs_kernel(before) || before->node->nout != 1) continue;
    gs_assert(before->node && before->node->out[0] == x);
    const gs_node *both = gs_kernel_fuse(a, before->node, n, i, &facts);
    if (!both) continue;
    before->node = NULL;
    p->buffer[x->id].storage = GS_STORAGE_NONE;
    return both;
  }
  return n;
}

/* Whether s reads operand k, which is there, also in blocks of channels; of the
 * readers of its result that is known. */
static bool takes_blocks(const gs_program *p, const gs_step *s, int k) {
  if (s->kind == GS_STEP_COLLECTIVE)
    return gs_exchange_takes_blocks(s->node) && p->any[s->node->out[0]->id];
  return runs_kernel(s) && gs_kernel_takes_blocks(s->node, k);
}

/* The steps have other numbers now. */
static void number_producers(gs_program *p) {
  for (int i = 0; i < p->g->value.n; i++) p->producer[i] = -1;
  for (int i = 0; i < p->step.n; i++) {
    const gs_node *n = p->step.at[i].node;
    for (int k = 0; k < n->nout; k++)
      if (n->out[k]) p->producer[n->out[k]->id] = i;
  }
}

void gs_program_close(gs_arena *a, gs_program *p) {
  int to = 0;
  int *many = GS_NEWS(a, p->g->value.n, int); /* readers that take blocks */
  for (int i = 0; i < p->step.n; i++)
    if (p->step.at[i].node) p->step.at[to++] = p->step.at[i];
  p->step.n = to;
  number_producers(p);
  p->any = GS_NEWS(a, p->g->value.n, bool);
  /* Readers before what they read: an exchange hands blocks on. */
  for (int i = to - 1; i >= 0; i--) {
    const gs_node *n = p->step.at[i].node;
    for (int k = 0; k < n->nout; k++) {
      const gs_value *v = n->out[k];
      if (v)
        p->any[v->id] = p->uses[v->id] && many[v->id] == p->uses[v->id] &&
                        p->buffer[v->id].storage == GS_STORAGE_ARENA;
    }
    for (int k = 0; k < n->nin; k++)
      if (n->in[k] && takes_blocks(p, &p->step.at[i], k))
        many[n->in[k]->id]++;
  }
}
