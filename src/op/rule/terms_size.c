/* Sizes of labels: from the shapes, and from what the clauses say. */
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "op/rule/terms.h"

/* ---- from the shapes ---- */

/* A dim of one label that may be 1 where the label is not. */
static bool may_stretch(const gs_terms *t, const gs_rule_term_dim *d,
                        bool result) {
  return !result && (t->stretch || d->maybe ||
                     t->label[d->label[0]].name[0] == '.');
}

/* Whether a clause gives the size of the label. */
static bool is_given(const gs_terms *t, int label) {
  for (int i = 0; i < t->nclause; i++)
    if (t->clause[i].size && t->clause[i].label == label) return true;
  return false;
}

static gs_status size_one(gs_terms *t, const gs_rule_term *w, int d,
                          const gs_value *v, bool result, gs_err *e) {
  gs_label *l = &t->label[w->at[d].label[0]];
  int64_t n = v->dims[d];
  if (l->joined) { /* as long as all operands together */
    if (!result && !gs_add(gs_max(l->size, 0), n, &l->size))
      return gs_terms_fail(t, e, "sizes are too large");
    return GS_OK;
  }
  bool stretch = may_stretch(t, &w->at[d], result);
  if (l->size == n) return GS_OK;
  /* A dim of 1 that broadcasts tells nothing of a size that is given. */
  if (l->size < 0 && n == 1 && w->at[d].maybe &&
      is_given(t, w->at[d].label[0]))
    return GS_OK;
  bool grows = l->size == 1 && stretch && !w->at[d].maybe;
  if (l->size < 0 || grows) l->size = n;
  else if (n != 1 || !stretch)
    return gs_terms_fail(
        t, e, "%s%s is %lld in dim %d of '%s' %s, but %lld elsewhere",
        l->name[0] == '.' ? "a dim of ..."
        : l->name[1] == '.' ? "a dim of "
                            : "factor ",
        l->name[0] == '.' ? "" : l->name, (long long)n, d, v->name,
        gs_shape_text(t->arena, v->dtype, v->rank, v->dims),
        (long long)l->size);
  return GS_OK;
}

/* Dims of one label; first those that cannot be missing. */
static gs_status size_single(gs_terms *t, const gs_rule_term *w,
                             const gs_value *v, bool result, bool maybe,
                             gs_err *e) {
  for (int d = 0; d < w->n; d++) {
    const gs_rule_term_dim *x = &w->at[d];
    if (x->maybe != maybe) continue;
    if (x->n == 0 && v->dims[d] != 1)
      return gs_terms_fail(t, e, "dim %d of '%s' is %lld, not 1", d, v->name,
                           (long long)v->dims[d]);
    if (x->n == 1 && x->label[0] >= 0 && !x->grown)
      GS_TRY(size_one(t, w, d, v, result, e));
  }
  return GS_OK;
}

/* A dim of several factors: one unknown size follows from the others; that of
 * '_' is left over. */
static gs_status size_dim(gs_terms *t, gs_rule_term_dim *x, const gs_value *v,
                          int d, gs_err *e) {
  gs_label *unknown = NULL;
  bool rest = false;
  int64_t p = 1, n = v->dims[d];
  for (int i = 0; i < x->n; i++) {
    if (x->label[i] < 0) {
      rest = true;
      continue;
    }
    gs_label *l = &t->label[x->label[i]];
    if (x->doubtful[i] && p == n) continue; /* the dim does not have it */
    x->doubtful[i] = false;
    if (l->size >= 0) {
      if (!gs_mul(p, l->size, &p))
        return gs_terms_fail(t, e, "sizes are too large");
    } else if (unknown || rest) {
      return gs_terms_fail(t, e, "the sizes of factors %s and %s must be "
                           "given", unknown ? unknown->name : "_", l->name);
    } else {
      unknown = l;
    }
  }
  if (unknown && p == 0 && n == 0) unknown->size = 1;
  else if (unknown && p && n % p == 0) unknown->size = n / p;
  else if (unknown || (rest ? (p ? n % p : n) != 0 : p != n))
    return gs_terms_fail(t, e, "the factors of dim %d of '%s' do not make "
                         "%lld", d, v->name, (long long)n);
  return GS_OK;
}

static gs_status size_several(gs_terms *t, gs_rule_term *w,
                              const gs_value *v, gs_err *e) {
  for (int d = 0; d < w->n; d++)
    if (w->at[d].n > 1 && !(w->at[d].maybe && v->dims[d] == 1))
      GS_TRY(size_dim(t, &w->at[d], v, d, e));
  return GS_OK;
}

/* ---- what the clauses say ---- */

/* From left to right; false when it cannot be worked out (yet). */
static bool evaluate(const gs_terms *t, const char *s, int64_t *out) {
  if (!gs_terms_atom(t, &s, out)) return false;
  while (*s) {
    char op = *s++;
    int64_t x;
    if (!gs_terms_atom(t, &s, &x)) return false;
    if (op == '+') *out += x;
    else if (op == '/' && x) *out /= x;
    else if (op != '*' || !gs_mul(*out, x, out)) return false;
  }
  return *out >= 0;
}

static void size_by_clauses(gs_terms *t) {
  for (int i = 0; i < t->nclause; i++) {
    const gs_rule_clause *c = &t->clause[i];
    int64_t n;
    if (!c->size || t->label[c->label].size >= 0 ||
        (c->condition && !gs_terms_hold(t, c->condition)))
      continue;
    if (evaluate(t, c->size, &n))
      t->label[c->label].size = n;
  }
}

/* Kinds of labels and of groups of labels; the last clause that holds wins. */
static void kinds(gs_terms *t) {
  for (int i = 0; i < t->nclause; i++) {
    const gs_rule_clause *c = &t->clause[i];
    if (c->size || (c->condition && !gs_terms_hold(t, c->condition))) continue;
    for (int k = 0; k < t->nlabel; k++) {
      gs_label *l = &t->label[k];
      bool hit = c->label >= 0 ? k == c->label
                               : l->name[0] == c->group && l->name[1] == '.';
      if (!hit) continue;
      l->said = true;
      l->kind = c->kind;
      l->fixed = c->fixed;
      l->common = c->common;
    }
  }
}

gs_status gs_terms_sizes(gs_terms *t, gs_err *e) {
  const gs_node *n = t->node;
  for (int pass = 0; pass < 3; pass++) {
    if (pass == 2) size_by_clauses(t);
    for (int i = 0; i < n->nin + n->nout; i++) {
      gs_rule_term *w = gs_terms_at(t, i);
      const gs_value *v = gs_terms_value(t, i);
      if (!v) continue;
      if (pass < 2) GS_TRY(size_single(t, w, v, i >= n->nin, pass == 1, e));
      else GS_TRY(size_several(t, w, v, e));
    }
  }
  size_by_clauses(t);
  kinds(t);
  return GS_OK;
}
