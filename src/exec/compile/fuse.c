#include "exec/compile/fuse.h"

#include "base/assert.h"
#include "exec/compile/blocks.h"
#include "kernel/core/fusion.h"

static bool fixed(const void *ctx, const gs_value *v) {
  return gs_program_buffer(ctx, v)->fixed;
}

/* The step that makes v for one reader, in every run and nothing else; or
 * NULL. */
static gs_step *step_before(const gs_program *p, const gs_value *v) {
  int s = v && p->uses[v->id] == 1 ? p->producer[v->id] : -1;
  gs_step *before = s < 0 ? NULL : &p->step.at[s];
  if (!before || !before->node || !gs_step_runs_kernel(before) ||
      before->node->nout != 1)
    return NULL;
  gs_assert(before->node->out[0] == v);
  return before;
}

static const gs_node *before(const void *ctx, const gs_value *v) {
  const gs_step *s = step_before(ctx, v);
  return s ? s->node : NULL;
}

/* Another step does what the one does that makes x. */
static void drop_step(gs_program *p, const gs_value *x) {
  gs_step *s = &p->step.at[p->producer[x->id]];
  gs_assert(p->kept_bytes >= s->kept);
  p->kept_bytes -= s->kept;
  s->node = NULL;
  p->buffer[x->id].storage = GS_STORAGE_NONE;
}

/* Attention that ends in n, as one node; or NULL. */
static const gs_node *fuse_attention(gs_program *p, gs_arena *a,
                                     const gs_node *n,
                                     const gs_fuse_facts *facts) {
  const gs_node *gone[GS_FUSE_MOST];
  int ngone;
  const gs_node *all = gs_kernel_fuse_attention(a, n, facts, gone, &ngone);
  for (int i = 0; all && i < ngone; i++) drop_step(p, gone[i]->out[0]);
  return all;
}

/* x * Sigmoid(x) as one node, which reads x once. */
static const gs_node *fuse_gate(gs_program *p, gs_arena *a, const gs_node *n) {
  for (int i = 0; i < n->nin && i < 2; i++) {
    const gs_step *s = step_before(p, n->in[i]);
    const gs_node *both = s ? gs_kernel_fuse_gate(a, s->node, n, i) : NULL;
    if (!both) continue;
    drop_step(p, n->in[i]);
    p->uses[both->in[0]->id]--;
    return both;
  }
  return n;
}

/* The step that makes v, if a reader of v may do for itself what it does: for
 * some operators others may read v too, and it may be a step that runs once. */
static gs_step *repeatable_before(const gs_program *p, const gs_value *v) {
  int s = v ? p->producer[v->id] : -1;
  gs_step *before = s < 0 ? NULL : &p->step.at[s];
  if (!before || before->kind != GS_STEP_KERNEL || !before->node ||
      before->node->nout != 1 || !gs_kernel_repeats(before->node))
    return step_before(p, v);
  return before;
}

/* What makes x is done by a reader of it too; where nobody else wants x it is
 * not made. */
static void take_over(gs_program *p, const gs_step *s, const gs_value *x) {
  if (!--p->uses[x->id]) {
    drop_step(p, x);
    return;
  }
  for (int k = 0; k < s->node->nin; k++)
    if (s->node->in[k]) p->uses[s->node->in[k]->id]++;
}

const gs_node *gs_program_fuse(gs_program *p, gs_arena *a, const gs_node *n) {
  gs_fuse_facts facts = {p, fixed, before};
  if (p->apart) return n;
  const gs_node *all = fuse_attention(p, a, n, &facts);
  if (all) return all;
  n = fuse_gate(p, a, n);
  for (int i = 0; i < n->nin && i < 2; i++) {
    const gs_step *s = repeatable_before(p, n->in[i]);
    const gs_node *both = s ? gs_kernel_fuse(a, s->node, n, i, &facts) : NULL;
    if (!both) continue;
    take_over(p, s, n->in[i]);
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
