#include "exec/compile/fuse.h"

#include "base/assert.h"
#include "exec/compile/blocks.h"
#include "kernel/core/fusion.h"

static bool fixed(const void *ctx, const gs_value *v) {
  return gs_program_buffer(ctx, v)->fixed;
}

/* The step that makes operand i of n, which nobody else reads, in every run and
 * nothing else; or NULL. */
static gs_step *step_before(gs_program *p, const gs_node *n, int i) {
  const gs_value *x = n->in[i];
  int s = x && p->uses[x->id] == 1 ? p->producer[x->id] : -1;
  gs_step *before = s < 0 ? NULL : &p->step.at[s];
  if (!before || !gs_step_runs_kernel(before) || before->node->nout != 1)
    return NULL;
  gs_assert(before->node && before->node->out[0] == x);
  return before;
}

static void drop(gs_program *p, gs_step *s) {
  p->buffer[s->node->out[0]->id].storage = GS_STORAGE_NONE;
  s->node = NULL;
}

/* x * Sigmoid(x) as one node, which reads x once. */
static const gs_node *fuse_gate(gs_program *p, gs_arena *a, const gs_node *n) {
  for (int i = 0; i < n->nin && i < 2; i++) {
    gs_step *before = step_before(p, n, i);
    const gs_node *both =
        before ? gs_kernel_fuse_gate(a, before->node, n, i) : NULL;
    if (!both) continue;
    drop(p, before);
    p->uses[both->in[0]->id]--;
    return both;
  }
  return n;
}

const gs_node *gs_program_fuse(gs_program *p, gs_arena *a, const gs_node *n) {
  gs_fuse_facts facts = {p, fixed};
  if (p->apart) return n;
  n = fuse_gate(p, a, n);
  for (int i = 0; i < n->nin && i < 2; i++) {
    gs_step *before = step_before(p, n, i);
    const gs_node *both =
        before ? gs_kernel_fuse(a, before->node, n, i, &facts) : NULL;
    if (!both) continue;
    drop(p, before);
    return both;
  }
  return n;
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
  for (int i = 0; i < p->step.n; i++)
    if (p->step.at[i].node) p->step.at[to++] = p->step.at[i];
  p->step.n = to;
  number_producers(p);
  gs_program_blocks(a, p);
}
