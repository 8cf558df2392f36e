/* The rule that terms make of a node's shapes. */
#include "base/math.h"
#include "op/rule/terms.h"

/* The factor of a label that is needed for the first time; `result`: some
 * result has it. */
static gs_status make_factor(gs_terms *t, gs_rule *r, gs_label *l,
                             bool result, gs_err *e) {
  if (l->size < 0)
    return gs_terms_fail(t, e, "the size of factor %s is not known", l->name);
  if (!result && t->listed && !l->said && !l->blocked)
    return gs_terms_fail(t, e, "factor %s is in no result: it must be listed "
                         "in reduction={}, need_replication={} or "
                         "blocked_propagation={}", l->name);
  gs_factor_kind kind = l->joined                ? GS_WINDOW
                        : l->said                ? l->kind
                        : !result && !t->listed ? GS_SUMMED
                                                : GS_PASS;
  l->factor = l->fixed    ? gs_rule_fixed(r, l->size)
              : l->common ? gs_rule_whole(r, l->size)
                          : gs_rule_factor(r, l->size, kind);
  if (l->fixed || l->common) return GS_OK;
  r->factor[l->factor].reduce = l->reduce;
  r->factor[l->factor].blocked = l->blocked;
  return GS_OK;
}

/* A label of size 1 that makes no factor. */
static bool left_out(const gs_terms *t, const gs_label *l) {
  return l->size == 1 && (t->compact || l->fixed);
}

/* The size that is left of a dim for its '_'. */
static int64_t rest_of(const gs_terms *t, const gs_rule_term_dim *x,
                       int64_t n) {
  for (int i = 0; i < x->n; i++)
    if (x->label[i] >= 0 && t->label[x->label[i]].size > 0)
      n /= t->label[x->label[i]].size;
  return n;
}

/* A dim of a size 1 that broadcasts to larger ones. */
static bool stretched(const gs_terms *t, const gs_rule_term_dim *x,
                      int64_t n) {
  if (n != 1 || (x->n > 1 && !x->maybe)) return false;
  for (int i = 0; i < x->n; i++)
    if (x->label[i] >= 0 && t->label[x->label[i]].size != 1 &&
        !t->label[x->label[i]].joined)
      return true;
  return false;
}

static bool grown(const gs_terms *t, int label) {
  const gs_label *l = label >= 0 ? &t->label[label] : NULL;
  const gs_label *as = l && l->grown ? &t->label[l->as] : NULL;
  return as && (as->operand || as->result) && !left_out(t, as);
}

/* The factor of label `at` in a dim x of size n; -1: none. */
static gs_status factor_of(gs_terms *t, gs_rule *r, const gs_rule_term_dim *x,
                           int at, int64_t n, bool result, int *f,
                           gs_err *e) {
  *f = -1;
  if (at == GS_TERM_WHOLE) {
    int64_t size = rest_of(t, x, n);
    if (size != 1 || !t->compact) *f = gs_rule_whole(r, size);
    return GS_OK;
  }
  if (at == GS_TERM_IGNORED) {
    *f = gs_rule_factor(r, n, GS_PASS);
    r->factor[*f].blocked = true;
    return GS_OK;
  }
  gs_label *l = &t->label[grown(t, at) ? t->label[at].as : at];
  if (left_out(t, l)) return GS_OK;
  if (l->factor < 0) GS_TRY(make_factor(t, r, l, result || l->result, e));
  *f = l->factor;
  return GS_OK;
}

/* dims NULL: a result whose shape is to follow. */
static gs_status put_term(gs_terms *t, gs_rule *r, const gs_rule_term *w,
                          const int64_t *dims, bool result,
                          gs_tensor_map *map, gs_err *e) {
  bool here[GS_MAX_FACTORS] = {false};
  map->rank = w->n;
  map->dim = GS_NEWS(r->arena, w->n, gs_dim_map);
  for (int d = 0; d < w->n; d++) {
    const gs_rule_term_dim *x = &w->at[d];
    bool broadcast = dims && !result && stretched(t, x, dims[d]);
    for (int i = 0; i < x->n; i++) {
      int f;
      if (x->doubtful[i]) continue;
      if (x->label[i] < 0 && !dims)
        return gs_terms_fail(t, e, "dim %d of a result is not known", d);
      GS_TRY(factor_of(t, r, x, x->label[i], dims ? dims[d] : 0, result, &f,
                       e));
      if (f < 0 || f >= GS_MAX_FACTORS) continue;
      bool whole = gs_factor_whole(r->factor[f].kind);
      if (here[f] && !whole) r->factor[f].kind = GS_WHOLE;
      if (result && r->factor[f].kind == GS_SUMMED)
        return gs_terms_fail(t, e, "summed factor %s is in a result",
                             t->label[x->label[i]].name);
      here[f] = true;
      if (!broadcast) gs_rule_put(map, d, f);
      bool other = dims && !broadcast && dims[d] != r->factor[f].size;
      map->dim[d].grown = other && (x->grown || grown(t, x->label[i]));
    }
  }
  return GS_OK;
}

/* Factors of the labels that an `order` clause lists. */
static gs_status make_ordered(gs_terms *t, gs_rule *r, gs_err *e) {
  for (int i = 0; i < t->norder; i++)
    for (int k = 0; k < t->nlabel; k++) {
      gs_label *l = &t->label[k];
      bool hit = t->order[i].label >= 0
                     ? k == t->order[i].label
                     : l->name[0] == t->order[i].group && l->name[1] == '.';
      if (!hit || !(l->operand || l->result) || left_out(t, l) || grown(t, k))
        continue;
      GS_TRY(make_factor(t, r, l, l->result, e));
    }
  return GS_OK;
}

/* ---- dims that are laid end to end ---- */

/* The dim that carries factor f alone, or -1. */
static int dim_of(const gs_tensor_map *map, int f) {
  for (int d = 0; d < map->rank; d++)
    if (map->dim[d].n == 1 && map->dim[d].f[0] == f) return d;
  return -1;
}

/* What result `out`, of the elements from `at` on, takes of the operands. */
static void use_joined(gs_rule *r, const gs_node *n, int f, int out,
                       int64_t at) {
  int d = dim_of(&r->out[out], f);
  int64_t count = n->out[out]->dims[d], from = 0, size;
  for (int i = 0; i < n->nin; i++, from += size) {
    size = 0;
    int x = n->in[i] ? dim_of(&r->in[i], f) : -1;
    if (x < 0) continue;
    size = n->in[i]->dims[x];
    bool meets = from < at + count && at < from + size;
    if (!meets && count) continue;
    gs_window_use u = {.factor = f, .in = i, .dim = x, .out = out,
                       .out_dim = d, .copies = true};
    u.reach = (gs_reach){count, 1, 1, at - from, at - from, 0};
    gs_rule_use(r, &u);
    if (!count) return;
  }
}

static void use_label(gs_rule *r, const gs_node *n, int f) {
  int64_t at = 0;
  for (int o = 0; o < n->nout; o++) {
    int d = n->out[o] ? dim_of(&r->out[o], f) : -1;
    if (d < 0) continue;
    use_joined(r, n, f, o, at);
    at += n->out[o]->dims[d];
  }
}

gs_status gs_terms_rule(gs_terms *t, gs_arena *a, gs_rule *r, gs_err *e) {
  const gs_node *n = t->node;
  gs_rule_begin(a, n, r);
  r->uneven = t->uneven;
  GS_TRY(gs_terms_spell(t, e));
  GS_TRY(gs_terms_sizes(t, e));
  GS_TRY(make_ordered(t, r, e));
  /* Whether results make factors before operands. */
  bool first = t->norder == 0 && !t->operands_first;
  for (int side = 0; side < 2; side++) {
    bool results = (side == 0) == first;
    for (int i = 0; i < (results ? n->nout : n->nin); i++) {
      const gs_value *v = results ? n->out[i] : n->in[i];
      if (!v) continue;
      GS_TRY(put_term(t, r, results ? &t->out[i] : &t->in[i],
                      results && t->free_results ? NULL : v->dims, results,
                      results ? &r->out[i] : &r->in[i], e));
    }
  }
  for (int k = 0; k < t->nlabel; k++)
    if (t->label[k].joined && t->label[k].factor >= 0)
      use_label(r, n, t->label[k].factor);
  return GS_OK;
}
