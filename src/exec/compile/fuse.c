/* Steps that one kernel can do are made one. */
#include "kernel/core/fusion.h"

#include "exec/compile/program.h"

void gs_program_uses(gs_arena *a, gs_program *p) {
  const gs_graph *g = p->g;
  p->uses = GS_NEWS(a, g->value.n, int);
  p->producer = GS_NEWS(a, g->value.n, int);
  for (int i = 0; i < g->value.n; i++) p->producer[i] = -1;
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = g->node.at[i];
    for (int k = 0; k < n->nin; k++)
      if (n->in[k]) p->uses[n->in[k]->id]++;
  }
  for (int i = 0; i < g->output.n; i++) p->uses[g->output.at[i]->id]++;
}

static bool fixed(const void *ctx, const gs_value *v) {
  return gs_program_buffer(ctx, v)->fixed;
}

const gs_node *gs_program_fuse(gs_program *p, gs_arena *a, const gs_node *n) {
  gs_fuse_facts facts = {p, fixed};
  for (int i = 0; i < n->nin && i < 2; i++) {
    const gs_value *x = n->in[i];
    int s = x && p->uses[x->id] == 1 ? p->producer[x->id] : -1;
    gs_step *before = s < 0 ? NULL : &p->step.at[s];
    if (!before || before->role || before->once || before->dynamic ||
        before->node->nout != 1)
      continue;
    const gs_node *both = gs_kernel_fuse(a, before->node, n, i, &facts);
    if (!both) continue;
    before->node = NULL;
    p->buffer[x->id].storage = GS_STORAGE_NONE;
    return both;
  }
  return n;
}

void gs_program_close(gs_arena *a, gs_program *p) {
  int to = 0;
  int *takes = GS_NEWS(a, p->g->value.n, int);
  for (int i = 0; i < p->step.n; i++)
    if (p->step.at[i].node) p->step.at[to++] = p->step.at[i];
  p->step.n = to;
  for (int i = 0; i < to; i++) {
    const gs_step *s = &p->step.at[i];
    bool kernel = !s->role && !s->once && !s->dynamic;
    for (int k = 0; k < s->node->nin && kernel; k++)
      if (s->node->in[k] && gs_kernel_takes_blocks(s->node, k))
        takes[s->node->in[k]->id]++;
  }
  p->any = GS_NEWS(a, p->g->value.n, bool);
  for (int i = 0; i < p->g->value.n; i++)
    p->any[i] = p->uses[i] && takes[i] == p->uses[i] &&
                p->buffer[i].storage == GS_STORAGE_ARENA;
}
