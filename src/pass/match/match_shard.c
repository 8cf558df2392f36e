/* What one rule says of one tensor. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "op/core/op.h"
#include "pass/match/match_state.h"

static char *axes_text(gs_matching *m, const gs_axes *a) {
  gs_buf b;
  gs_buf_init(&b, m->arena);
  gs_axes_print(&b, m->mesh, a);
  return b.at;
}

static bool divides(const gs_mesh *mesh, const gs_axes *a, int64_t n) {
  return n < 0 || n % gs_axes_size(mesh, a) == 0;
}

/* Splits dim i of a tensor over axes, if the rule allows it; of so many heads
 * (0: any) between these. */
static gs_status set_axes(gs_matching *m, const gs_spec_rule *r,
                          const gs_place *at, const gs_axes *given,
                          int64_t heads, const gs_value *v, int i,
                          gs_sharding *s) {
  gs_axes fitting = *given;
  const gs_axes *axes = &fitting;
  GS_TRY(gs_match_fit_heads(m, r, at, v, i, heads, &fitting));
  int uneven = r->uneven >= 0 ? r->uneven : m->spec->options.uneven;
  if (uneven == GS_UNEVEN_ERROR && !divides(m->mesh, axes, v->dims[i]))
    return gs_fail_at(m->err, GS_SPEC, at,
                      "axis '%s' (%lld) does not divide dim %d (%lld) of '%s'",
                      axes_text(m, axes),
                      (long long)gs_axes_size(m->mesh, axes), i,
                      (long long)v->dims[i], v->name);
  s->dim[i].axes = *axes;
  return GS_OK;
}

/* Takes the first alternative that divides the dim, else the last. */
static gs_status set_dim(gs_matching *m, const gs_spec_rule *r,
                         const gs_spec_dim *d, const gs_value *v, int i,
                         gs_sharding *s) {
  gs_assert(i >= 0 && i < s->rank);
  gs_axes axes = gs_match_axes(m->mesh, &d->axes);
  while (d->other && !divides(m->mesh, &axes, v->dims[i])) {
    d = d->other;
    axes = gs_match_axes(m->mesh, &d->axes);
  }
  GS_TRY(set_axes(m, r, &d->at, &axes, r->heads, v, i, s));
  s->dim[i].open = d->open;
  if (axes.n || d->open)
    s->dim[i].priority = d->priority >= 0 ? d->priority : (int)r->priority;
  return GS_OK;
}

static gs_status wrong_rank(gs_matching *m, const gs_spec_rule *r, int n,
                            const gs_value *v) {
  return gs_fail_at(m->err, GS_SPEC, &r->act,
                    "%d dims are given, but '%s' has rank %d", n, v->name,
                    v->rank);
}

/* "..." may stand for no dim at all: find the entry of dim i. */
static const gs_spec_dim *entry(const gs_rule_dims *from, int rest, int rank,
                                int i) {
  if (rest < 0 || i < rest) return &from->dim[i];
  int after = from->n - 1 - rest; /* entries behind it */
  gs_assert(rest < from->n && i >= 0 && i < rank);
  if (i >= rank - after) return &from->dim[from->n - (rank - i)];
  return &from->dim[rest];
}

/* shard and assign: an entry per dim, "..." for the rest. */
static gs_status set_dims(gs_matching *m, const gs_spec_rule *r,
                          const gs_rule_dims *from, const gs_value *v,
                          gs_sharding *s) {
  int rest = -1;
  for (int i = 0; i < from->n; i++)
    if (from->dim[i].rest) rest = i;
  int listed = from->n - (rest >= 0);
  if (rest < 0 ? listed != v->rank : listed > v->rank)
    return wrong_rank(m, r, listed, v);
  for (int i = 0; i < v->rank; i++)
    GS_TRY(set_dim(m, r, entry(from, rest, v->rank, i), v, i, s));
  return GS_OK;
}

/* ---- styles: from the factor rule of the weight's operator ---- */

static bool in_dim(const gs_dim_map *d, int f) {
  for (int i = 0; i < d->n; i++)
    if (d->f[i] == f) return true;
  return false;
}

static bool in_map(const gs_tensor_map *t, int f) {
  for (int d = 0; d < t->rank; d++)
    if (in_dim(&t->dim[d], f)) return true;
  return false;
}

/* Whether operands i and k are summed together over some factor. */
static bool summed_with(const gs_rule *r, int i, int k) {
  for (int f = 0; f < r->nfactor; f++)
    if (r->factor[f].kind == GS_SUMMED && in_map(&r->in[i], f) &&
        in_map(&r->in[k], f))
      return true;
  return false;
}

/* Whether a factor is of operand k itself: where k is summed with others, not
 * in one of these at least (in the scales of a weight it is, in what the weight
 * is multiplied with not), else in no other. */
static bool own(const gs_rule *r, int k, int f) {
  bool sums = summed_with(r, k, k), without = false;
  for (int i = 0; i < r->nin; i++) {
    bool in = i != k && in_map(&r->in[i], f);
    if (in && !sums) return false;
    if (i != k && !in && summed_with(r, i, k)) without = true;
  }
  return in_map(&r->in[k], f) && (without || !sums);
}

/* Whether factor f counts equal weights that lie in one tensor, such as those
 * of experts: dim 0 of k and of another operand, and in no result. */
static bool stacks(const gs_rule *r, int k, int f) {
  bool other = false;
  if (r->in[k].rank < 2 || !in_dim(&r->in[k].dim[0], f)) return false;
  for (int i = 1; i < r->nin; i++)
    other = other || (i != k && r->in[i].rank > 2 &&
                      in_dim(&r->in[i].dim[0], f));
  return other && r->factor[f].kind == GS_SUMMED;
}

/* The first summed factor in the order of the weight's dims, of those within
 * one of its stack. */
static int summed_factor(const gs_rule *r, int k) {
  for (int d = 0; d < r->in[k].rank; d++)
    for (int i = 0; i < r->in[k].dim[d].n; i++) {
      int f = r->in[k].dim[d].f[i];
      if (r->factor[f].kind == GS_SUMMED && !stacks(r, k, f)) return f;
    }
  return -1;
}

/* Whether operand k is what operand 0 is first multiplied with, in a node of
 * several layers: it has the last dim of operand 0, which is whole, and what
 * the next layer sums is its columns. */
static bool first_layer(const gs_rule *r, int k) {
  int f = k > 0 ? summed_factor(r, k) : -1;
  const gs_tensor_map *x = &r->in[0];
  if (f < 0 || in_map(x, f) || x->rank < 1) return false;
  const gs_dim_map *last = &x->dim[x->rank - 1];
  const gs_tensor_map *w = &r->in[k];
  return last->n && gs_factor_whole(r->factor[last->f[0]].kind) &&
         in_map(w, last->f[0]);
}

/* The factor before f in the order of the weight's dims; -1: none. */
static int factor_before(const gs_tensor_map *t, int f) {
  int before = -1;
  for (int d = 0; d < t->rank; d++)
    for (int i = 0; i < t->dim[d].n; i++) {
      if (t->dim[d].f[i] == f) return before;
      before = t->dim[d].f[i];
    }
  return -1;
}

/* Operand k's own factors at the end of the result, as far as they lie together
 * in it too ("dhk" of "bsd,dhk->bshk": h and k).  Of these the most major.
 * -1: none. */
static int result_factor(const gs_rule *r, int k) {
  gs_assert(r->nout > 0 && k < r->nin);
  const gs_tensor_map *out = &r->out[0];
  int found = -1;
  for (int d = out->rank - 1; d >= 0; d--)
    for (int i = out->dim[d].n - 1; i >= 0; i--) {
      int f = out->dim[d].f[i];
      bool column = r->factor[f].kind == GS_PASS && own(r, k, f);
      bool next = found < 0 || factor_before(&r->in[k], found) == f;
      if (column && next) found = f;
      else if (found >= 0) return found;
    }
  return found;
}

/* Of what the first of several layers in a node reads, its weight, bias and
 * scales: the columns of that layer, which the next one sums.  -1: k is of no
 * such. */
static int hidden_factor(const gs_rule *r, int k) {
  for (int i = 1; i < r->nin; i++) {
    int f = first_layer(r, i) ? summed_factor(r, i) : -1;
    if (f >= 0 && in_map(&r->in[k], f) && result_factor(r, k) < 0) return f;
  }
  return -1;
}

/* What the weight computes. */
static int column_factor(const gs_rule *r, int k) {
  int f = result_factor(r, k);
  return f < 0 ? hidden_factor(r, k) : f;
}

/* What the weight is summed over with what comes in. */
static int row_factor(const gs_rule *r, int k) {
  return hidden_factor(r, k) >= 0 ? -1 : summed_factor(r, k);
}

/* Of a style: no dim fits, or the tensor is whole. */
enum { NO_DIM = -1, WHOLE = -2 };

/* The major factor of a tensor's last dim; -1: none. */
static int last_factor(const gs_tensor_map *t) {
  return t->rank > 0 && t->dim[t->rank - 1].n ? t->dim[t->rank - 1].f[0] : -1;
}

/* Whether operand k is a vector, or a stack of such. */
static bool is_vector(const gs_rule *r, int k, const gs_value *v) {
  for (int d = 0; d < v->rank - 1; d++) {
    const gs_dim_map *m = &r->in[k].dim[d];
    bool stacked = !d && m->n == 1 && stacks(r, k, m->f[0]);
    if (v->dims[d] != 1 && !stacked) return false;
  }
  return v->rank > 0;
}

/* Whether n is a product with the columns of a matrix along its last dim. */
static gs_status has_columns(gs_matching *m, const gs_node *n, bool *out) {
  gs_rule *r = GS_NEW(m->arena, gs_rule);
  GS_TRY(gs_rule_of(m->arena, n, r, m->err));
  *out = false;
  for (int k = 0; k < r->nin && r->nout; k++) {
    int f = row_factor(r, k) < 0 ? -1 : column_factor(r, k);
    if (f >= 0 && f == last_factor(&r->out[0])) *out = true;
  }
  return GS_OK;
}

/* Whether operand k of n, of rule r, is a vector along the columns of a matrix
 * weight: the bias in the operator of the weight, or added to its result. */
static gs_status is_bias(gs_matching *m, const gs_node *n, const gs_rule *r,
                         int k, bool *out) {
  *out = false;
  int f = last_factor(&r->in[k]);
  if (f < 0 || !is_vector(r, k, n->in[k])) return GS_OK;
  bool sum = n->op && n->op->flags & GS_OP_POINTWISE &&
             n->op->flags & GS_OP_ADDITIVE;
  for (int i = 0; i < r->nin && !*out; i++) {
    if (i == k || !n->in[i]) continue;
    if (row_factor(r, i) >= 0) *out = column_factor(r, i) == f;
    else if (sum && n->in[i]->def && last_factor(&r->in[i]) == f)
      GS_TRY(has_columns(m, n->in[i]->def, out));
  }
  return GS_OK;
}

/* Whether n makes a weight of constants, or of such a weight: dequantises,
 * transposes or scales it. */
static bool makes_weight(const gs_node *n, int depth) {
  enum { MAX_DEPTH = 4 };
  bool all = n && n->op && n->nout == 1 && n->out[0] && depth < MAX_DEPTH;
  for (int i = 0; all && i < n->nin; i++)
    all = !n->in[i] || n->in[i]->constant ||
          makes_weight(n->in[i]->def, depth + 1);
  return all;
}

static gs_status style_dim(gs_matching *m, int style, const gs_node *n, int k,
                           int *out);

/* Of a node that makes a weight: the dim of operand k that is what the readers
 * of the weight split; NO_DIM where they split none, or it has none such. */
static gs_status dim_of_weight(gs_matching *m, int style, const gs_node *n,
                               int k, int *out) {
  gs_rule *r = GS_NEW(m->arena, gs_rule);
  GS_TRY(gs_rule_of(m->arena, n, r, m->err));
  const gs_value *w = n->out[0];
  for (int u = m->uses.first[w->id];
       u < m->uses.first[w->id + 1] && *out < 0 && k < r->nin; u++) {
    int d;
    GS_TRY(style_dim(m, style, m->uses.use[u].node, m->uses.use[u].index, &d));
    int f = d >= 0 && r->out[0].dim[d].n ? r->out[0].dim[d].f[0] : -1;
    for (int i = 0; i < r->in[k].rank && f >= 0; i++)
      if (r->in[k].dim[i].n && r->in[k].dim[i].f[0] == f) *out = i;
    if (d == WHOLE) *out = WHOLE;
  }
  return GS_OK;
}

/* The dim of operand k that the style splits, NO_DIM or WHOLE. */
static gs_status style_dim(gs_matching *m, int style, const gs_node *n, int k,
                           int *out) {
  *out = NO_DIM;
  int rank = n->in[k]->rank;
  if (style == GS_STYLE_HEADS) style = GS_STYLE_COLWISE;
  if (style != GS_STYLE_EXPERT && makes_weight(n, 0))
    return dim_of_weight(m, style, n, k, out);
  if (style == GS_STYLE_EXPERT) {
    *out = rank > 0 ? 0 : NO_DIM;
    return GS_OK;
  }
  bool indexed = n->op && (n->op->flags & GS_OP_INDEX1) && k == 0;
  if (style == GS_STYLE_VOCAB && !indexed) return GS_OK;
  gs_rule *r = GS_NEW(m->arena, gs_rule);
  GS_TRY(gs_rule_of(m->arena, n, r, m->err));
  if (k >= r->nin || !r->nout) return GS_OK;
  bool bias = false;
  if (style != GS_STYLE_VOCAB) GS_TRY(is_bias(m, n, r, k, &bias));
  if (bias) *out = style == GS_STYLE_COLWISE ? rank - 1 : WHOLE;
  if (bias || (style == GS_STYLE_COLWISE && rank < 2)) return GS_OK;
  int f = style == GS_STYLE_COLWISE ? column_factor(r, k) : row_factor(r, k);
  for (int d = 0; f >= 0 && d < r->in[k].rank; d++)
    if (r->in[k].dim[d].n && r->in[k].dim[d].f[0] == f) *out = d;
  return GS_OK;
}

static const char *const style_text[] = {"colwise", "rowwise", "vocab",
                                         "expert", "replicate", "heads"};

/* The dim on which all uses of a value agree. */
static gs_status style_of_uses(gs_matching *m, const gs_spec_rule *r,
                               const gs_value *v, int *out) {
  const gs_node *first = NULL;
  *out = NO_DIM;
  for (int u = m->uses.first[v->id]; u < m->uses.first[v->id + 1]; u++) {
    int d;
    const gs_use *use = &m->uses.use[u];
    GS_TRY(style_dim(m, r->style, use->node, use->index, &d));
    if (d == WHOLE && !first) *out = WHOLE;
    if (d < 0) continue;
    if (first && d != *out)
      return gs_fail_at(m->err, GS_SPEC, &r->act,
                        "style %s means dim %d of '%s' to %s, but dim %d to %s",
                        style_text[r->style], *out, v->name,
                        gs_node_place(m->arena, first), d,
                        gs_node_place(m->arena, use->node));
    first = use->node;
    *out = d;
  }
  return GS_OK;
}

static gs_status no_style_dim(gs_matching *m, const gs_spec_rule *r,
                              const gs_value *v, const gs_node *node) {
  bool matrix = r->style == GS_STYLE_COLWISE ||
                r->style == GS_STYLE_ROWWISE || r->style == GS_STYLE_HEADS;
  if (matrix && v->rank < 2) {
    gs_fail_at(m->err, GS_SPEC, &r->act,
               "style %s is for matrix weights and their biases; '%s' has rank "
               "%d and is neither", style_text[r->style], v->name, v->rank);
  } else {
    gs_fail_at(m->err, GS_SPEC, &r->act,
               "style %s does not fit '%s'%s%s: its operators have no such dim",
               style_text[r->style], v->name, node ? " in " : "",
               node ? gs_node_place(m->arena, node) : "");
  }
  gs_err_hint(m->err, "give the dims with shard: [...]");
  return GS_SPEC;
}

/* Of style heads: how many heads dim d of v stands for. */
static gs_status count_heads(gs_matching *m, const gs_spec_rule *r,
                             const gs_value *v, const gs_node *node,
                             int operand, int d, int64_t *heads) {
  int first = m->uses.first[v->id], end = m->uses.first[v->id + 1];
  *heads = r->heads;
  if (*heads || r->style != GS_STYLE_HEADS) return GS_OK;
  if (!v->constant) *heads = v->dims[d];
  else if (node) *heads = gs_match_heads(m, node, operand, d);
  for (int u = first; u < end && !*heads && !node; u++)
    *heads = gs_match_heads(m, m->uses.use[u].node, m->uses.use[u].index, d);
  if (*heads > 0) return GS_OK;
  gs_fail_at(m->err, GS_SPEC, &r->act, "nothing that reads what '%s' makes "
             "says of how many heads it is", v->name);
  gs_err_hint(m->err, "give their number with heads:");
  return GS_SPEC;
}

static gs_status set_style(gs_matching *m, const gs_spec_rule *r, gs_value *v,
                           gs_node *node, int operand, gs_sharding *s) {
  int d = NO_DIM;
  if (r->style == GS_STYLE_REPLICATE) return GS_OK;
  int64_t heads;
  bool cache = r->style == GS_STYLE_HEADS && !v->constant && v->rank == 4;
  if (cache) d = 1;
  else if (node) GS_TRY(style_dim(m, r->style, node, operand, &d));
  else if (r->style == GS_STYLE_EXPERT) d = v->rank > 0 ? 0 : NO_DIM;
  else GS_TRY(style_of_uses(m, r, v, &d));
  if (d == NO_DIM) return no_style_dim(m, r, v, node);
  if (d == WHOLE) return GS_OK;
  gs_axes axes;
  GS_TRY(gs_match_style_axis(m, r, &axes));
  GS_TRY(count_heads(m, r, v, node, operand, d, &heads));
  GS_TRY(set_axes(m, r, &r->act, &axes, heads, v, d, s));
  if (axes.n) s->dim[d].priority = (int)r->priority;
  return GS_OK;
}

int gs_match_weight(const gs_node *n) {
  int best = -1;
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] && n->in[i]->constant &&
        (best < 0 || n->in[i]->rank > n->in[best]->rank))
      best = i;
  return best;
}

/* ---- all ---- */

/* Every sub-axis once; told at the rule. */
static gs_status check_once(gs_matching *m, const gs_spec_rule *r,
                            const gs_value *v, const gs_sharding *s) {
  gs_subset seen = 0, twice = 0;
  for (int d = 0; d < s->rank; d++)
    for (int i = 0; i < s->dim[d].axes.n; i++) {
      gs_subset bit = (gs_subset)1 << s->dim[d].axes.at[i];
      twice |= seen & bit;
      seen |= bit;
    }
  twice |= (seen & (s->replicated | s->partial)) |
           (s->replicated & s->partial);
  if (!twice)
    return gs_sharding_check(m->mesh, s, -1, gs_place_text(m->arena, &r->act),
                             m->err);
  gs_axes a = gs_axes_of(twice);
  return gs_fail_at(m->err, GS_SPEC, &r->act,
                    "axis '%s' is used twice in the sharding of '%s'",
                    axes_text(m, &a), v->name);
}

/* What rule number `rule`, which says as r, says of a value. */
static gs_status sharding_of(gs_matching *m, int rule, const gs_spec_rule *r,
                             gs_value *v, gs_node *node, int operand,
                             gs_sharding **out) {
  const gs_rule_dims *from = &m->dims[rule];
  bool split = r->action != GS_ACTION_NONE && r->action != GS_ACTION_REPLICATE;
  if (split && gs_value_dynamic(v))
    return gs_fail_at(m->err, GS_SPEC, &r->act, "'%s' cannot be sharded: its "
                      "size is not known before it is computed, or its "
                      "elements have no fixed size", v->name);
  gs_sharding *s = gs_sharding_new(m->graph->arena, v->rank, false);
  *out = s;
  switch (r->action) {
  case GS_ACTION_NONE:
  case GS_ACTION_REPLICATE:
    break;
  case GS_ACTION_SHARD:
  case GS_ACTION_ASSIGN:
    GS_TRY(set_dims(m, r, from, v, s));
    break;
  case GS_ACTION_SPLIT:
    if (from->only >= v->rank)
      return gs_fail_at(m->err, GS_SPEC, &r->act, "'%s' has no dim %lld",
                        v->name, (long long)r->split_dim);
    GS_TRY(set_dim(m, r, from->dim, v, from->only, s));
    break;
  case GS_ACTION_STYLE:
    GS_TRY(set_style(m, r, v, node, operand, s));
    break;
  }
  gs_axes replicated = gs_match_axes(m->mesh, &r->replicated);
  gs_axes partial = gs_match_axes(m->mesh, &r->partial);
  s->replicated = gs_axes_set(&replicated);
  s->partial = gs_axes_set(&partial);
  s->reduce = r->reduce;
  return check_once(m, r, v, s);
}

gs_status gs_match_sharding(gs_matching *m, int rule, gs_value *v,
                            gs_node *node, int operand, gs_sharding **out) {
  return sharding_of(m, rule, &m->spec->rule.at[rule], v, node, operand, out);
}

gs_status gs_match_dims(gs_matching *m, int rule, gs_value *v, gs_node *node,
                        int operand, gs_sharding **out) {
  gs_spec_rule r = m->spec->rule.at[rule];
  r.heads = r.interleave = 0;
  r.uneven = GS_UNEVEN_PAD;
  if (r.style == GS_STYLE_HEADS) r.style = GS_STYLE_COLWISE;
  return sharding_of(m, rule, &r, v, node, operand, out);
}
