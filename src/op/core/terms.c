#include "op/core/terms.h"

#include <string.h>

#include "base/math.h"

int gs_terms_label(gs_terms *t, const char *name, size_t n) {
  for (int i = 0; i < t->nlabel; i++)
    if (strlen(t->label[i].name) == n && !memcmp(t->label[i].name, name, n))
      return i;
  if (t->nlabel == GS_MAX_FACTORS || n >= sizeof t->label[0].name) return -1;
  gs_label *l = &t->label[t->nlabel];
  *l = (gs_label){.size = -1, .factor = -1};
  memcpy(l->name, name, n);
  return t->nlabel++;
}

gs_status gs_terms_fail(const gs_terms *t, gs_err *e, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *why = gs_vsprintf(t->arena, fmt, ap);
  va_end(ap);
  return gs_fail(e, t->code, gs_node_place(t->arena, t->node),
                 "rule '%s': %s", t->text, why);
}

/* Operand or result i, counted through; NULL when it is left out or its shape
 * is not to be looked at. */
static const gs_value *shaped(const gs_terms *t, int i) {
  const gs_node *n = t->node;
  if (i < n->nin) return n->in[i];
  return t->free_results ? NULL : n->out[i - n->nin];
}

static gs_rule_term *term_at(const gs_terms *t, int i) {
  return i < t->nin ? &t->in[i] : &t->out[i - t->nin];
}

/* ---- "..." ---- */

static int written(const gs_rule_term *w) {
  int n = 0;
  for (int i = 0; i < w->n; i++) n += !w->at[i].dots;
  return n;
}

/* Replaces "..." by batch labels, the last `count` of `batch`. */
static void spell_dots(gs_terms *t, gs_rule_term *w, int count,
                       const int *batch, int nbatch) {
  gs_rule_term out = {0};
  for (int i = 0; i < w->n; i++) {
    if (!w->at[i].dots) {
      *gs_push(t->arena, &out) = w->at[i];
      continue;
    }
    for (int b = nbatch - count; b < nbatch; b++)
      *gs_push(t->arena, &out) =
          (gs_rule_term_dim){.n = 1, .label = {batch[b]}};
  }
  *w = out;
}

static bool has_dots(const gs_rule_term *w) { return written(w) != w->n; }

/* Matches ranks with terms and spells out every "...". */
static gs_status spell(gs_terms *t, gs_err *e) {
  const gs_node *n = t->node;
  if (t->nin != n->nin || t->nout != n->nout)
    return gs_terms_fail(t, e, "it has %d operands and %d results, the node "
                         "has %d and %d", t->nin, t->nout, n->nin, n->nout);
  int nbatch = 0;
  for (int i = 0; i < t->nin + t->nout; i++) {
    const gs_rule_term *w = term_at(t, i);
    const gs_value *v = shaped(t, i);
    if (!v) continue;
    int more = v->rank - written(w);
    if (more < 0 || (more > 0 && !has_dots(w)))
      return gs_terms_fail(t, e, "'%s' has rank %d, %d dims are written",
                           v->name, v->rank, written(w));
    if (more > nbatch) nbatch = more;
  }
  int batch[GS_MAX_RANK];
  for (int b = 0; b < nbatch; b++) {
    char name[16];
    snprintf(name, sizeof name, ".%d", b); /* no text can say this */
    batch[b] = gs_terms_label(t, name, strlen(name));
    if (batch[b] < 0) return gs_terms_fail(t, e, "too many factors");
  }
  for (int i = 0; i < t->nin + t->nout; i++) {
    gs_rule_term *w = term_at(t, i);
    const gs_value *v = shaped(t, i);
    spell_dots(t, w, v ? v->rank - written(w) : nbatch, batch, nbatch);
  }
  return GS_OK;
}

/* ---- sizes ---- */

static bool may_stretch(const gs_terms *t, const gs_label *l, bool result) {
  return !result && (t->stretch || l->name[0] == '.');
}

/* Sizes of labels that stand alone in a dim. */
static gs_status size_single(gs_terms *t, const gs_rule_term *w,
                             const gs_value *v, bool result, gs_err *e) {
  for (int d = 0; d < w->n; d++) {
    if (w->at[d].n == 0 && v->dims[d] != 1)
      return gs_terms_fail(t, e, "dim %d of '%s' is %lld, not 1", d, v->name,
                           (long long)v->dims[d]);
    if (w->at[d].n != 1) continue;
    gs_label *l = &t->label[w->at[d].label[0]];
    int64_t n = v->dims[d];
    if (l->size == n) continue;
    bool stretch = may_stretch(t, l, result);
    if (l->size < 0 || (l->size == 1 && stretch)) l->size = n;
    else if (n != 1 || !stretch)
      return gs_terms_fail(
          t, e, "%s%s is %lld in dim %d of '%s' %s, but %lld elsewhere",
          l->name[0] == '.' ? "a dim of ..." : "factor ",
          l->name[0] == '.' ? "" : l->name, (long long)n, d, v->name,
          gs_shape_text(t->arena, v->dtype, v->rank, v->dims),
          (long long)l->size);
  }
  return GS_OK;
}

/* Dims of several factors: one unknown size follows from the others. */
static gs_status size_several(gs_terms *t, const gs_rule_term *w,
                              const gs_value *v, gs_err *e) {
  for (int d = 0; d < w->n; d++) {
    if (w->at[d].n < 2) continue;
    gs_label *unknown = NULL;
    int64_t p = 1;
    for (int i = 0; i < w->at[d].n; i++) {
      gs_label *l = &t->label[w->at[d].label[i]];
      if (l->size >= 0) {
        if (!gs_mul(p, l->size, &p))
          return gs_terms_fail(t, e, "sizes are too large");
      } else if (unknown) {
        return gs_terms_fail(t, e, "the sizes of factors %s and %s must be "
                             "given", unknown->name, l->name);
      } else {
        unknown = l;
      }
    }
    int64_t n = v->dims[d];
    if (unknown && p == 0 && n == 0) unknown->size = 1;
    else if (unknown && p && n % p == 0) unknown->size = n / p;
    else if (unknown || p != n)
      return gs_terms_fail(t, e, "the factors of dim %d of '%s' do not make "
                           "%lld", d, v->name, (long long)n);
  }
  return GS_OK;
}

static gs_status sizes(gs_terms *t, gs_err *e) {
  const gs_node *n = t->node;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < n->nin + n->nout; i++) {
      const gs_rule_term *w = term_at(t, i);
      const gs_value *v = shaped(t, i);
      if (!v) continue;
      if (pass == 0) GS_TRY(size_single(t, w, v, i >= n->nin, e));
      else GS_TRY(size_several(t, w, v, e));
    }
  return GS_OK;
}

/* ---- factors ---- */

/* The factor of a label that appears for the first time. */
static gs_status make_factor(gs_terms *t, gs_rule *r, gs_label *l,
                             bool result, gs_err *e) {
  if (l->size < 0)
    return gs_terms_fail(t, e, "the size of factor %s is not known", l->name);
  bool listed = l->summed || l->whole || l->blocked;
  if (!result && t->listed && !listed)
    return gs_terms_fail(t, e, "factor %s is in no result: it must be listed "
                         "in reduction={}, need_replication={} or "
                         "blocked_propagation={}", l->name);
  bool summed = l->summed || (!result && !t->listed);
  l->factor = gs_rule_factor(r, l->size, summed ? GS_SUMMED : GS_PASS);
  gs_factor *f = &r->factor[l->factor];
  f->reduce = l->reduce;
  f->blocked = l->blocked;
  if (l->whole) f->kind = GS_WHOLE;
  return GS_OK;
}

static gs_status make_factors(gs_terms *t, gs_rule *r, const gs_rule_term *w,
                              bool result, gs_err *e) {
  bool here[GS_MAX_FACTORS] = {false};
  for (int d = 0; d < w->n; d++)
    for (int i = 0; i < w->at[d].n; i++) {
      int at = w->at[d].label[i];
      gs_label *l = &t->label[at];
      if (l->factor < 0) GS_TRY(make_factor(t, r, l, result, e));
      if (here[at]) r->factor[l->factor].kind = GS_WHOLE;
      if (result && r->factor[l->factor].kind == GS_SUMMED)
        return gs_terms_fail(t, e, "summed factor %s is in a result", l->name);
      here[at] = true;
    }
  return GS_OK;
}

/* dims NULL: a result, in which nothing is stretched. */
static void put_factors(const gs_terms *t, const gs_rule_term *w,
                        const int64_t *dims, gs_tensor_map *map) {
  map->rank = w->n;
  map->dim = GS_NEWS(t->arena, w->n, gs_dim_map);
  for (int d = 0; d < w->n; d++) {
    const gs_rule_term_dim *from = &w->at[d];
    bool stretched = dims && from->n == 1 && dims[d] == 1 &&
                     t->label[from->label[0]].size != 1;
    for (int i = 0; i < from->n && !stretched; i++)
      gs_rule_put(map, d, t->label[from->label[i]].factor);
  }
}

gs_status gs_terms_rule(gs_terms *t, gs_rule *r, gs_err *e) {
  const gs_node *n = t->node;
  gs_rule_begin(t->arena, n, r);
  GS_TRY(spell(t, e));
  GS_TRY(sizes(t, e));
  for (int i = 0; i < n->nout; i++)
    if (n->out[i]) GS_TRY(make_factors(t, r, &t->out[i], true, e));
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) GS_TRY(make_factors(t, r, &t->in[i], false, e));
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) put_factors(t, &t->in[i], n->in[i]->dims, &r->in[i]);
  for (int i = 0; i < n->nout; i++) {
    if (n->out[i]) put_factors(t, &t->out[i], NULL, &r->out[i]);
  }
  return GS_OK;
}

/* ---- Einsum ---- */

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads one term; *s stops at ',', '-' or the end. */
static gs_status einsum_term(gs_terms *t, const char **s, gs_rule_term *w,
                             gs_err *e) {
  bool dots = false;
  for (; **s && **s != ',' && **s != '-'; ++*s) {
    if (**s == ' ') continue;
    gs_rule_term_dim d = {0};
    if (!strncmp(*s, "...", 3)) {
      if (dots) return gs_terms_fail(t, e, "'...' twice in one term");
      d.dots = dots = true;
      *s += 2;
    } else if (is_letter(**s)) {
      d.n = 1;
      d.label[0] = gs_terms_label(t, *s, 1);
    } else {
      return gs_terms_fail(t, e, "'%c' is neither a letter nor '...'", **s);
    }
    if (w->n == GS_MAX_TERM_DIMS) return gs_terms_fail(t, e, "too many dims");
    *gs_push(t->arena, w) = d;
  }
  return GS_OK;
}

/* Without "->": "..." then the letters that occur once, in ASCII order. */
static void einsum_implicit(gs_terms *t) {
  int times[128] = {0};
  bool dots = false;
  for (int i = 0; i < t->nin; i++)
    for (int d = 0; d < t->in[i].n; d++) {
      const gs_rule_term_dim *w = &t->in[i].at[d];
      if (w->dots) dots = true;
      else times[(int)t->label[w->label[0]].name[0]]++;
    }
  if (dots) *gs_push(t->arena, &t->out[0]) = (gs_rule_term_dim){.dots = true};
  for (int c = 'A'; c <= 'z'; c++) {
    char name = (char)c;
    if (times[c] != 1) continue;
    *gs_push(t->arena, &t->out[0]) =
        (gs_rule_term_dim){.n = 1, .label = {gs_terms_label(t, &name, 1)}};
  }
}

/* Labels of the result stand in an operand, once; "..." is kept. */
static gs_status einsum_check(gs_terms *t, int nlabel, gs_err *e) {
  bool seen[GS_MAX_FACTORS] = {false};
  for (int d = 0; d < t->out[0].n; d++) {
    const gs_rule_term_dim *w = &t->out[0].at[d];
    if (w->dots) continue;
    const char *name = t->label[w->label[0]].name;
    if (w->label[0] >= nlabel)
      return gs_terms_fail(t, e, "'%s' is in no operand", name);
    if (seen[w->label[0]])
      return gs_terms_fail(t, e, "'%s' twice in the result", name);
    seen[w->label[0]] = true;
  }
  for (int i = 0; i < t->nin; i++) {
    const gs_value *v = gs_node_in(t->node, i);
    if (v && has_dots(&t->in[i]) && v->rank > written(&t->in[i]) &&
        !has_dots(&t->out[0]))
      return gs_terms_fail(t, e, "'...' is not in the result");
  }
  return GS_OK;
}

gs_status gs_terms_einsum(gs_terms *t, gs_arena *a, const gs_node *n,
                          gs_err *e) {
  const char *s = gs_node_string(n, "equation", NULL);
  *t = (gs_terms){.arena = a, .node = n, .text = s, .code = GS_DATA,
                  .stretch = true, .nout = 1};
  if (!s)
    return gs_fail(e, GS_DATA, gs_node_place(a, n),
                   "attribute 'equation' is missing");
  GS_VEC(gs_rule_term) in = {0};
  t->out = GS_NEW(a, gs_rule_term);
  for (;;) {
    gs_rule_term w = {0};
    GS_TRY(einsum_term(t, &s, &w, e));
    *gs_push(a, &in) = w;
    if (*s != ',') break;
    s++;
  }
  t->in = in.at;
  t->nin = in.n;
  if (!*s) {
    einsum_implicit(t);
    return GS_OK;
  }
  if (strncmp(s, "->", 2)) return gs_terms_fail(t, e, "'-' without '>'");
  s += 2;
  int nlabel = t->nlabel;
  GS_TRY(einsum_term(t, &s, &t->out[0], e));
  if (*s) return gs_terms_fail(t, e, "'%c' after the result", *s);
  return einsum_check(t, nlabel, e);
}
