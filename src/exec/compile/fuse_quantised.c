#include "exec/compile/fuse_quantised.h"

#include "base/assert.h"
#include "kernel/quant/fuse_bytes.h"

typedef struct where {
  int *maker, *reader; /* [values] 1 + a node that makes it, reads it; 0 */
} where;

static where find(const gs_program *p, gs_arena *a) {
  const gs_graph *g = p->g;
  where w = {GS_NEWS(a, g->value.n, int), GS_NEWS(a, g->value.n, int)};
  for (int i = 0; i < g->node.n; i++) {
    const gs_node *n = p->node[i];
    for (int k = 0; k < n->nin; k++)
      if (n->in[k]) w.reader[n->in[k]->id] = i + 1;
    for (int k = 0; k < n->nout; k++)
      if (n->out[k]) w.maker[n->out[k]->id] = i + 1;
  }
  return w;
}

/* Node i - 1, where it can be fused at all. */
static const gs_node *plain(const gs_program *p, int i) {
  const gs_node *n = i ? p->node[i - 1] : NULL;
  return n && n->op && !gs_node_dynamic(n) && n->nout == 1 ? n : NULL;
}

/* Takes one reader from what node i - 1 makes. */
static void leave(gs_program *p, int i) {
  const gs_node *n = p->node[i - 1];
  gs_assert(p->uses[n->out[0]->id] > 0);
  if (!--p->uses[n->out[0]->id]) {
    p->node[i - 1] = NULL; /* the fused node reads its operands instead */
    return;
  }
  for (int k = 0; k < n->nin; k++)
    if (n->in[k]) p->uses[n->in[k]->id]++;
}

/* The product that is node i, with what makes its operands. */
static const gs_node *product(gs_program *p, gs_arena *a, const where *w,
                              int i) {
  const gs_node *n = plain(p, i + 1);
  if (!n || n->nin < 2 || !n->in[0] || !n->in[1]) return NULL;
  int at[2];
  const gs_node *by[2];
  for (int k = 0; k < 2; k++) {
    at[k] = w->maker[n->in[k]->id];
    by[k] = plain(p, at[k]);
    if (!by[k]) return NULL;
  }
  const gs_node *f = gs_bytes_fuse(a, n, by[0], by[1]);
  for (int k = 0; f && k < 2; k++) leave(p, at[k]);
  return f;
}

void gs_program_fuse_quantised(gs_program *p, gs_arena *a) {
  where w = find(p, a);
  for (int i = 0; i < p->g->node.n; i++) {
    const gs_node *f = product(p, a, &w, i);
    int at = i;
    while (f) {
      p->node[at] = f;
      const gs_value *y = f->out[0];
      int r = p->uses[y->id] == 1 ? w.reader[y->id] : 0;
      const gs_node *next = plain(p, r);
      f = next ? gs_bytes_fuse_next(a, f, next) : NULL;
      if (!f) break;
      gs_assert(r - 1 > at);
      p->node[at] = NULL;
      at = r - 1;
    }
  }
}
