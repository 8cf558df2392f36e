/* Shape inference of graphs in attributes. */
#include <string.h>

#include "base/assert.h"
#include "op/core/shape.h"
#include "pass/prepare/infer_impl.h"

/* A captured constant of at most this many elements is one in the graph too,
 * for it may decide shapes; larger ones are read where they are. */
enum { MAX_INNER_CONSTANT = 64 };

/* Gives the captured values of n's graph b what is known of them. */
static void enter_captures(const gs_node *n, gs_graph *b) {
  for (int i = 0; i < b->capture.n; i++) {
    gs_value *v = b->capture.at[i];
    const gs_value *outer = n->in[gs_node_formal(n) + i];
    if (!v) continue;
    v->kind = outer->kind;
    v->dtype = outer->dtype;
    gs_value_forget_shape(v);
    if (outer->rank >= 0) gs_value_shape(b, v, outer->rank, outer->dims);
    if (!outer->constant ||
        gs_tensor_count(outer->constant) > MAX_INNER_CONSTANT)
      continue;
    v->constant = outer->constant;
    v->computed = outer->computed;
    v->is_input = false;
    b->capture.at[i] = NULL;
  }
}

/* What the model says of the results of an inner graph is often the shape of
 * one example: it is not relied on. */
static void forget_outputs(gs_graph *b) {
  for (int i = 0; i < b->output.n; i++) {
    gs_value *v = b->output.at[i];
    if (v->def && v->def->op) gs_value_forget_shape(v);
  }
}

/* Forgets the captured values that b reads no more, now that nodes were
 * folded. */
static void drop_unread(gs_infer *f, gs_graph *b) {
  bool *read = GS_NEWS(f->a, b->value.n + 1, bool);
  for (int i = 0; i < b->node.n; i++)
    for (int k = 0; k < b->node.at[i]->nin; k++)
      if (b->node.at[i]->in[k]) read[b->node.at[i]->in[k]->id] = true;
  for (int i = 0; i < b->capture.n; i++) {
    const gs_value *v = b->capture.at[i];
    if (v && !read[v->id] && !v->is_output) b->capture.at[i] = NULL;
  }
  gs_graph_prune(b);
}

/* A node made of m, which stands in graph b, with values of g: map[id]. */
static void take_node(gs_graph *g, const gs_node *m, gs_value **map,
                      gs_node **out) {
  gs_node *c = GS_NEW(g->arena, gs_node);
  *c = *m;
  c->in = GS_NEWS(g->arena, m->nin, gs_value *);
  c->out = GS_NEWS(g->arena, m->nout, gs_value *);
  for (int i = 0; i < m->nin; i++)
    if (m->in[i]) c->in[i] = map[m->in[i]->id];
  for (int i = 0; i < m->nout; i++)
    if (m->out[i]) gs_node_output(c, i, map[m->out[i]->id]);
  *out = c;
}

/* Values of g that stand for those of b, which n holds. */
static gs_value **take_values(gs_infer *f, gs_graph *g, const gs_node *n,
                              const gs_graph *b) {
  gs_value **map = GS_NEWS(f->a, b->value.n + 1, gs_value *);
  gs_assert(b->capture.n <= n->ncapture);
  for (int i = 0; i < b->capture.n; i++)
    if (b->capture.at[i])
      map[b->capture.at[i]->id] = n->in[gs_node_formal(n) + i];
  for (int i = 0; i < b->value.n; i++) {
    const gs_value *v = b->value.at[i];
    if (map[i]) continue;
    map[i] = gs_value_new(g, v->name, v->dtype, v->rank, v->dims);
    map[i]->kind = v->kind;
    map[i]->constant = v->constant;
    map[i]->computed = v->computed;
  }
  return map;
}

/* Puts the nodes of b, which has no inputs, in the place of n. */
static gs_status take_apart(gs_infer *f, gs_graph *g, gs_node *n,
                            gs_graph *b) {
  gs_assert(b->input.n == 0 && b->output.n >= n->nout);
  gs_value **map = take_values(f, g, n, b);
  gs_node *c;
  for (int i = 0; i < b->node.n; i++) {
    take_node(g, b->node.at[i], map, &c);
    GS_TRY(f->node(f, g, c));
  }
  const char *identity = "Identity";
  for (int i = 0; i < n->nout; i++) {
    if (!n->out[i]) continue;
    c = GS_NEW(g->arena, gs_node);
    *c = *n;
    c->op_type = identity;
    c->op = gs_op_find("", identity);
    c->nattr = c->ncapture = 0;
    c->nin = c->nout = 1;
    c->in = GS_NEWS(g->arena, 1, gs_value *);
    c->out = GS_NEWS(g->arena, 1, gs_value *);
    c->in[0] = map[b->output.at[i]->id];
    gs_node_output(c, 0, n->out[i]);
    if (n->out[i]->rank < 0) n->out[i]->kind = c->in[0]->kind;
    if (n->out[i]->dtype == GS_UNDEFINED) n->out[i]->dtype = c->in[0]->dtype;
    GS_TRY(f->node(f, g, c));
  }
  return GS_OK;
}

gs_status gs_infer_graph(gs_infer *f, gs_graph *g) {
  int count = g->node.n;
  gs_node **old = g->node.at;
  g->node.at = NULL; /* nodes of a graph that is taken apart come between */
  g->node.n = g->node.cap = 0;
  for (int i = 0; i < count; i++) GS_TRY(f->node(f, g, old[i]));
  for (int i = 0; i < g->node.n; i++) g->node.at[i]->id = i;
  gs_graph_prune(g);
  return GS_OK;
}

gs_status gs_infer_bodies(gs_infer *f, gs_graph *g, gs_node *n,
                          const gs_dynamic *b, bool *taken) {
  gs_graph **first = GS_NEWS(f->a, n->nattr + 1, gs_graph *);
  gs_graph **before = GS_NEWS(f->a, n->nattr + 1, gs_graph *);
  gs_assert(b->enter && f->node);
  n->attr = gs_memdup(g->arena, n->attr, (size_t)n->nattr * sizeof *n->attr);
  for (int i = 0; i < n->nattr; i++)
    if (n->attr[i].kind == GS_ATTR_GRAPH) first[i] = n->attr[i].g;
  f->depth++;
  for (int round = 0;; round++) {
    bool again = false;
    int pick = -1;
    for (int i = 0; i < n->nattr; i++) {
      if (!first[i]) continue;
      n->attr[i].g = gs_graph_copy(g->arena, first[i]);
      enter_captures(n, n->attr[i].g);
      forget_outputs(n->attr[i].g);
    }
    /* Deep inside, shapes that change are not searched for one by one: every
     * search repeats those within. */
    int as = round || f->depth <= 3 ? round : 1;
    GS_TRY(b->enter(g, n, as, before, &again, &pick, f->e));
    if (pick >= 0) {
      *taken = true;
      f->depth--;
      gs_assert(n->attr[pick].kind == GS_ATTR_GRAPH);
      return take_apart(f, g, n, n->attr[pick].g);
    }
    if (!again && round) break;
    for (int i = 0; i < n->nattr; i++) {
      if (!first[i]) continue;
      GS_TRY(gs_infer_graph(f, n->attr[i].g));
      before[i] = n->attr[i].g;
    }
  }
  for (int i = 0; i < n->nattr; i++)
    if (first[i]) drop_unread(f, n->attr[i].g = before[i]);
  gs_node_trim_captures(n);
  f->depth--;
  return GS_OK;
}
