/* Writes into a turned tensor become writes into the tensor itself. */
#include "pass/prepare/turned.h"

#include <string.h>

#include "base/assert.h"

/* The permutation by which n turns its operand; NULL: it does not. */
static const int64_t *turn_of(const gs_node *n) {
  int count = 0;
  if (!n || !n->op || n->nin != 1 || !(n->op->flags & GS_OP_VALUES) ||
      gs_node_dynamic(n))
    return NULL;
  const int64_t *perm = gs_node_ints(n, "perm", &count);
  return perm && count == n->in[0]->rank ? perm : NULL;
}

/* Whether n writes slices of operand 0 at tuples of one number. */
static bool writes_slices(const gs_node *n) {
  return n->op && n->op->index.kind == GS_INDEX_TUPLE && n->nin == 3 &&
         !gs_node_dynamic(n) && n->in[1]->rank == 2 && n->in[1]->dims[1] == 1 &&
         n->in[2]->rank == n->in[0]->rank;
}

/* The only reader of v, which is no output; else NULL. */
static gs_node *reader_of(const gs_uses *u, const gs_value *v) {
  int first = u->first[v->id];
  return !v->is_output && u->first[v->id + 1] == first + 1 ? u->use[first].node
                                                           : NULL;
}

static gs_node *new_node(gs_graph *g, const gs_node *of, const char *type,
                         int nin) {
  gs_node *n = gs_node_new(g, "", type, "", nin, 1);
  n->op = gs_op_find("", type);
  gs_assert(n->op);
  n->opset = n->op->since;
  n->origin = of->origin;
  n->module = of->module;
  n->stage = of->stage;
  return n;
}

static gs_value *result(gs_graph *g, gs_node *n, const char *name,
                        gs_dtype dtype, int rank, const int64_t *dims) {
  gs_node_output(n, 0, gs_value_new(g, name, dtype, rank, dims));
  return n->out[0];
}

/* The updates of s as they lie in x; `back` turns them. */
static gs_value *updates(gs_graph *g, const gs_node *s, const int64_t *perm,
                         const int64_t *back) {
  gs_value *u = s->in[2];
  int64_t dims[GS_MAX_RANK];
  const int64_t *as = turn_of(u->def);
  if (as && !memcmp(as, perm, (size_t)u->rank * sizeof *as))
    return u->def->in[0];
  for (int d = 0; d < u->rank; d++) dims[d] = u->dims[back[d]];
  gs_node *t = new_node(g, s, "Transpose", 1);
  t->in[0] = u;
  gs_node_set_ints(g, t, "perm", back, u->rank);
  return result(g, t, u->name, u->dtype, u->rank, dims);
}

/* The places of s along dim d, for each element of u. */
static gs_value *places(gs_graph *g, const gs_node *s, int d,
                        const gs_value *u) {
  gs_value *i = s->in[1];
  int64_t dims[GS_MAX_RANK];
  for (int k = 0; k < u->rank; k++) dims[k] = k == d ? i->dims[0] : 1;
  gs_node *r = new_node(g, s, "Reshape", 2);
  r->in[0] = i;
  r->in[1] = gs_value_ints(g, NULL, dims, u->rank);
  gs_value *row = result(g, r, i->name, i->dtype, u->rank, dims);
  gs_node *n = new_node(g, s, "Expand", 2);
  n->in[0] = row;
  n->in[1] = gs_value_ints(g, NULL, u->dims, u->rank);
  return result(g, n, i->name, i->dtype, u->rank, u->dims);
}

/* s between two turns of its data, of which `last` turns it back. */
static void write_along(gs_graph *g, gs_node *s, gs_node *last,
                        const int64_t *perm, const int64_t *back) {
  int from = g->node.n, d = (int)perm[0];
  gs_value *u = updates(g, s, perm, back);
  gs_value *i = places(g, s, d, u);
  gs_node *n = new_node(g, s, "ScatterElements", 3);
  n->name = s->name;
  n->in[0] = s->in[0]->def->in[0];
  n->in[1] = i;
  n->in[2] = u;
  gs_node_set_all(g, n, s);
  gs_node_set_int(g, n, "axis", d);
  gs_node_output(n, 0, last->out[0]);
  gs_graph_move_nodes(g, from, last->id);
}

gs_status gs_pass_turned(gs_graph *g, int *count, gs_err *e) {
  gs_arena tmp;
  int found = 0;
  gs_arena_init(&tmp);
  gs_uses uses = gs_graph_uses(&tmp, g);
  int n = g->node.n;
  gs_node **node = gs_memdup(&tmp, g->node.at, (size_t)n * sizeof *node);
  for (int i = 0; i < n; i++) {
    gs_node *s = node[i], *last;
    if (!writes_slices(s)) continue;
    const int64_t *perm = turn_of(s->in[0]->def), *back = NULL;
    last = reader_of(&uses, s->out[0]);
    if (perm) back = turn_of(last);
    bool inverse = back && perm[0] > 0;
    for (int d = 0; inverse && d < s->in[0]->rank; d++)
      inverse = back[perm[d]] == d;
    if (!inverse) continue;
    write_along(g, s, last, perm, back);
    found++;
  }
  gs_arena_free(&tmp);
  *count += found;
  if (!found) return GS_OK;
  gs_graph_prune(g);
  return gs_graph_check(g, e);
}
