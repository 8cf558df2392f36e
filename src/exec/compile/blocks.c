#include "exec/compile/blocks.h"

#include "base/assert.h"
#include "base/math.h"
#include "kernel/core/fusion.h"
#include "kernel/core/layout.h"
#include "kernel/onednn/onednn.h"
#include "op/core/exchange_node.h"

/* What an element costs to reorder, in products that convolutions lose by
 * blocks of 8 in place of 16: measured with AVX-512 (bench/README.md). */
enum { REORDER = 1000 };

/* Classes of values: `tied` lie in the same blocks, `joined` have convolutions
 * between them. */
typedef struct classes {
  gs_program *p;
  int *tied, *joined; /* [values] another of the class, at last its first */
  int *widest;        /* [values] of the tied: what the first says */
  double *narrow;     /* [values] of the joined: what blocks of 8 cost, less
                         what the widest do */
} classes;

static int find(int *of, int i) {
  while (of[i] != i) i = of[i] = of[of[i]];
  return i;
}

static void merge(int *of, int i, int k) { of[find(of, i)] = find(of, k); }

/* Whether s reads operand k, which is there, also in blocks of channels; of the
 * readers of its result that is known. */
static bool takes_blocks(const gs_program *p, const gs_step *s, int k) {
  const gs_value *y = s->node->out[0];
  if (s->kind == GS_STEP_COLLECTIVE)
    return gs_exchange_takes_blocks(s->node) && p->any[y->id];
  return gs_step_runs_kernel(s) && gs_kernel_takes_blocks(s->node, k) &&
         (!gs_kernel_blind(s->node) || p->any[y->id]);
}

/* Readers before what they read: some hand blocks on.  False: no value may lie
 * in blocks. */
static bool find_values(gs_arena *a, gs_program *p) {
  bool found = false;
  int *many = GS_NEWS(a, p->g->value.n, int); /* readers that take blocks */
  for (int i = p->step.n - 1; i >= 0; i--) {
    const gs_node *n = p->step.at[i].node;
    for (int k = 0; k < n->nout; k++) {
      const gs_value *v = n->out[k];
      if (v && p->uses[v->id] && many[v->id] == p->uses[v->id] &&
          p->buffer[v->id].storage == GS_STORAGE_ARENA && v->rank > 2 &&
          v->dims[1] % 8 == 0) {
        p->any[v->id] = 8;
        found = true;
      }
    }
    for (int k = 0; k < n->nin; k++)
      if (n->in[k] && takes_blocks(p, &p->step.at[i], k))
        many[n->in[k]->id]++;
  }
  return found;
}

static bool is_conv(const gs_node *n) {
  gs_fuse f = gs_fuse_of(n->op);
  return f == GS_FUSE_CONV || f == GS_FUSE_FUSED_CONV;
}

static void classify(classes *c) {
  const gs_program *p = c->p;
  for (int v = 0; v < p->g->value.n; v++) c->tied[v] = c->joined[v] = v;
  for (int i = 0; i < p->step.n; i++) {
    const gs_node *n = p->step.at[i].node;
    const gs_value *y = gs_node_out(n, 0);
    for (int k = 0; k < n->nin && y && p->any[y->id]; k++) {
      if (!n->in[k] || !p->any[n->in[k]->id]) continue;
      merge(c->joined, n->in[k]->id, y->id);
      if (k > 0 || !is_conv(n)) merge(c->tied, n->in[k]->id, y->id);
    }
  }
  for (int v = 0; v < p->g->value.n; v++) c->widest[v] = 16;
  for (int v = 0; v < p->g->value.n; v++)
    if (p->any[v] && p->g->value.at[v]->dims[1] % 16)
      c->widest[find(c->tied, v)] = 8;
}

/* Elements of the smaller of a convolution's operand and result. */
static double smaller(const gs_value *x, const gs_value *y) {
  return (double)gs_min(gs_product(x->dims, x->rank),
                        gs_product(y->dims, y->rank));
}

/* What the convolution n costs more with blocks of 8. */
static void add_cost(classes *c, const gs_node *n) {
  const gs_program *p = c->p;
  const gs_value *x = n->in[0], *w = n->in[1], *y = n->out[0];
  bool in = p->any[x->id], out = p->any[y->id];
  int from = c->widest[find(c->tied, x->id)];
  int to = c->widest[find(c->tied, y->id)];
  double *cost = &c->narrow[find(c->joined, out ? y->id : x->id)];
  if (in && out && from != to) *cost -= REORDER * smaller(x, y);
  else if ((in && from == 16) || (out && to == 16))
    *cost += (double)gs_product(y->dims, y->rank) *
             (double)gs_product(w->dims + 1, w->rank - 1);
}

void gs_program_blocks(gs_arena *a, gs_program *p) {
  int n = p->g->value.n;
  p->any = GS_NEWS(a, n, int);
  if (p->apart) return;
  if (!find_values(a, p) || gs_onednn_block() == 8) return;
  classes c = {p, GS_NEWS(a, n, int), GS_NEWS(a, n, int), GS_NEWS(a, n, int),
               GS_NEWS(a, n, double)};
  classify(&c);
  for (int i = 0; i < p->step.n; i++) {
    const gs_node *s = p->step.at[i].node;
    if (gs_step_runs_kernel(&p->step.at[i]) && is_conv(s) &&
        (p->any[s->in[0]->id] || p->any[s->out[0]->id]))
      add_cost(&c, s);
  }
  for (int v = 0; v < n; v++)
    if (p->any[v] && c.narrow[find(c.joined, v)] > 0)
      p->any[v] = c.widest[find(c.tied, v)];
}
