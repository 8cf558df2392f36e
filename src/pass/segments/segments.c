#include "pass/segments/segments.h"

#include "base/assert.h"
#include "ir/packed.h"
#include "pass/segments/segments_impl.h"

enum { MAX_CUTS = 8 /* nodes that make a product of its constants */ };

/* ---- what can be cut ---- */

static bool sums(const gs_rule *r, int k) {
  for (int d = 0; d < r->in[k].rank; d++)
    for (int i = 0; i < r->in[k].dim[d].n; i++)
      if (r->factor[r->in[k].dim[d].f[i]].kind == GS_SUMMED) return true;
  return false;
}

/* Whether dim d of y can be cut where it is made; *product: of a node on the
 * way a constant is cut that is multiplied with what comes in. */
static bool can_cut(gs_cutter *c, const gs_value *y, int d, int depth,
                    bool *product) {
  if (y->constant)
    return !gs_dtype_packed(y->dtype) && y->dtype != GS_STRING;
  const gs_node *n = y->def;
  int readers = c->uses.first[y->id + 1] - c->uses.first[y->id];
  gs_rule r;
  if (!n || depth == MAX_CUTS || !gs_segments_may_repeat(n) || y->is_output ||
      (depth && readers != 1) || gs_rule_of(&c->rules, n, &r, NULL) || r.nuse)
    return false;
  int f = gs_segments_passing(&r, d), cuts = 0;
  for (int i = 0; i < r.nin && f >= 0; i++) {
    int at = gs_node_in(n, i) ? gs_segments_dim(&r.in[i], f) : -1;
    if (at == -1) continue;
    if (at == -2 || (r.in[i].dim[at].n > 1 && !n->in[i]->constant) ||
        !can_cut(c, n->in[i], at, depth + 1, product))
      return false;
    cuts++;
    if (n->in[i]->constant && sums(&r, i)) *product = true;
  }
  return f >= 0 && cuts;
}

/* ---- cutting ---- */

/* The columns of s of dim d of y, made by nodes as those that make y. */
static gs_status cut(gs_cutter *c, gs_value *y, int d, const gs_segment *s,
                     gs_value **out) {
  if (y->constant) {
    *out = gs_segments_part(c, y, d, s);
    return GS_OK;
  }
  const gs_node *n = y->def;
  gs_rule r;
  GS_TRY(gs_rule_of(c->tmp, n, &r, c->e));
  int f = gs_segments_passing(&r, d);
  gs_assert(f >= 0);
  gs_value **in = GS_NEWS(c->tmp, n->nin + 1, gs_value *);
  for (int i = 0; i < n->nin; i++) {
    int at = n->in[i] ? gs_segments_dim(&r.in[i], f) : -1;
    if (at < 0) continue;
    int64_t inner = n->in[i]->dims[at] / y->dims[d]; /* of flat scales */
    gs_segment of = *s;
    of.first *= inner;
    of.count *= inner;
    GS_TRY(cut(c, n->in[i], at, &of, &in[i]));
  }
  GS_TRY(gs_segments_make(c, n, &r, in, d, s->count, out));
  (*out)->name = gs_segments_name(c, y->name, s->index);
  return GS_OK;
}

/* The columns y of s, after the nodes between product and reader. */
static gs_status follow(gs_cutter *c, const gs_segment *s, gs_value **y) {
  for (int i = 0; i < s->nvia; i++) {
    const gs_via *v = &s->via[i];
    const gs_node *n = v->node;
    gs_rule r;
    GS_TRY(gs_rule_of(c->tmp, n, &r, c->e));
    gs_value **in = GS_NEWS(c->tmp, n->nin + 1, gs_value *);
    in[0] = *y;
    GS_TRY(gs_segments_make(c, n, &r, in, v->dim, s->count / v->unit, y));
    (*y)->name = gs_segments_name(c, n->out[0]->name, s->index);
  }
  return GS_OK;
}

/* Gives what is cut to who takes it; what nobody reads is pruned. */
static gs_status give(gs_cutter *c, const gs_segment *s, gs_value *y) {
  if (s->how == GS_TAKEN_COPY) {
    gs_value *was = s->node->out[s->at];
    s->node->out[s->at] = NULL;
    gs_node_output(y->def, 0, was);
    return GS_OK;
  }
  s->node->in[s->at] = y;
  return s->how == GS_TAKEN_INDEX ? gs_segments_take_first(c, s->node) : GS_OK;
}

/* Cuts dim d of the result of node number `at` where that is possible; true: it
 * was. */
static gs_status cut_dim(gs_cutter *c, int at, int d, bool *done) {
  gs_value *y = c->g->node.at[at]->out[0];
  bool product = false;
  gs_arena_reset(&c->rules);
  if (!can_cut(c, y, d, 0, &product) || !product ||
      !gs_segments_find(c->tmp, &c->uses, y, d, &c->segment))
    return GS_OK;
  int first = c->g->node.n;
  gs_value *part[GS_MAX_SEGMENTS];
  for (int i = 0; i < c->segment.n; i++) {
    GS_TRY(cut(c, y, d, &c->segment.at[i], &part[i]));
    GS_TRY(follow(c, &c->segment.at[i], &part[i]));
  }
  for (int i = 0; i < c->segment.n; i++)
    GS_TRY(give(c, &c->segment.at[i], part[i]));
  gs_segments_move(c->g, first, at, c->tmp);
  *done = true;
  return GS_OK;
}

/* Cuts the result of node number `at` where that is possible; true: it was. */
static gs_status cut_product(gs_cutter *c, int at, bool *done) {
  const gs_node *n = c->g->node.at[at];
  const gs_value *y = gs_node_out(n, 0);
  *done = false;
  if (!n->op || !y || n->nout != 1 || gs_value_dynamic(y)) return GS_OK;
  for (int d = y->rank - 1; d >= 0 && !*done; d--)
    GS_TRY(cut_dim(c, at, d, done));
  return GS_OK;
}

gs_status gs_pass_segments(gs_graph *g, int *count, gs_err *e) {
  gs_arena tmp;
  gs_arena_init(&tmp);
  gs_cutter *c = GS_NEW(&tmp, gs_cutter);
  *c = (gs_cutter){.g = g, .tmp = &tmp, .e = e, .uses = gs_graph_uses(&tmp, g)};
  gs_map_init(&c->part, &tmp);
  gs_status status = GS_OK;
  *count = 0;
  int n = g->node.n;
  gs_node **all = gs_memdup(&tmp, g->node.at, (size_t)n * sizeof *all);
  for (int i = 0, at = 0; i < n && !status; i++) {
    bool done;
    while (g->node.at[at] != all[i]) at++;
    status = cut_product(c, at, &done);
    *count += !status && done;
  }
  gs_arena_free(&c->rules);
  gs_arena_free(&tmp);
  GS_TRY(status);
  if (!*count) return GS_OK;
  gs_graph_prune(g);
  return gs_graph_check(g, e);
}
