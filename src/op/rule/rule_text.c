/* gs_terms_parse: both text forms of factor rules. */
#include <stdlib.h>
#include <string.h>

#include "op/rule/terms.h"

typedef struct parser {
  gs_terms *t;
  const char *s;
  gs_err *e;
} parser;

static gs_status expected(const parser *p, const char *what) {
  return gs_terms_fail(p->t, p->e, "%s expected at '%.20s'", what, p->s);
}

static void blanks(parser *p) {
  while (*p->s == ' ' || *p->s == '\t') p->s++;
}

static bool take(parser *p, const char *token) {
  blanks(p);
  size_t n = strlen(token);
  if (strncmp(p->s, token, n)) return false;
  p->s += n;
  return true;
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A label "k" or "z_12" into *label; false when there is none here. */
static gs_status take_label(parser *p, int *label, bool *found) {
  blanks(p);
  const char *s = p->s;
  *found = is_letter(*s);
  if (!*found) return GS_OK;
  size_t n = 1;
  if (s[1] == '_')
    for (n = 2; s[n] >= '0' && s[n] <= '9'; n++) {}
  if (n == 2) n = 1; /* '_' is a factor of its own */
  *label = gs_terms_label(p->t, s, n);
  if (*label < 0)
    return gs_terms_fail(p->t, p->e, "more than %d factors, or a long name",
                         GS_MAX_FACTORS);
  p->s += n;
  return GS_OK;
}

static gs_status add_dim(parser *p, gs_rule_term *w,
                         const gs_rule_term_dim *d) {
  for (int i = 0; d->many && i < w->n; i++)
    if (w->at[i].many == d->many)
      return gs_terms_fail(p->t, p->e, "'%s' twice in one tensor",
                           d->many == '.' ? "..."
                                          : (char[]){d->many, '*', 0});
  if (w->n == GS_MAX_TERM_DIMS)
    return gs_terms_fail(p->t, p->e, "too many dims");
  *gs_push(p->t->arena, w) = *d;
  return GS_OK;
}

/* ---- "...mk,...kn -> ...mn" ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The name of an attribute. */
static gs_status take_name(parser *p, const char **name) {
  size_t n = 0;
  while (is_letter(p->s[n]) || is_digit(p->s[n]) || p->s[n] == '_') n++;
  if (!n) return expected(p, "the name of an attribute");
  *name = gs_strndup(p->t->arena, p->s, n);
  p->s += n;
  return GS_OK;
}

/* "@axis", "@axis=-1" */
static gs_status take_place(parser *p, gs_rule_term_dim *d) {
  GS_TRY(take_name(p, &d->attr));
  if (*p->s != '=') return GS_OK;
  p->s++;
  char *end;
  d->otherwise = strtoll(p->s, &end, 10);
  if (end == p->s) return expected(p, "a number");
  p->s = end;
  return GS_OK;
}

/* A label or '_'. */
static gs_status take_factor(parser *p, gs_rule_term_dim *d, bool *found) {
  int label = GS_TERM_WHOLE;
  *found = take(p, "_");
  if (!*found) {
    GS_TRY(take_label(p, &label, found));
    if (!*found) return GS_OK;
    p->t->label[label].used = true;
  }
  if (d->n == GS_MAX_DIM_FACTORS)
    return gs_terms_fail(p->t, p->e, "too many factors in one dim");
  d->label[d->n++] = label;
  return GS_OK;
}

/* What stands for any number of dims; d->many 0 when there is none here. */
static gs_status take_many(parser *p, gs_rule_term_dim *d) {
  if (take(p, "...")) {
    d->many = '.';
    return GS_OK;
  }
  blanks(p);
  char c = *p->s;
  if (!c || p->s[1] != '*' || (!is_letter(c) && !strchr("_!1", c)))
    return GS_OK;
  d->many = c;
  p->s += 2;
  if (*p->s != '%') return GS_OK;
  p->s++;
  return take_name(p, &d->attr);
}

static gs_status row_dim(parser *p, gs_rule_term_dim *d, bool *found) {
  *d = (gs_rule_term_dim){.n = 0};
  GS_TRY(take_many(p, d));
  *found = d->many != 0;
  if (*found) return GS_OK;
  if (take(p, "1")) {
    *found = true;
  } else if (take(p, "(")) {
    while (!take(p, ")")) {
      GS_TRY(take_factor(p, d, found));
      if (!*found) return expected(p, "a factor or ')'");
      d->doubtful[d->n - 1] = take(p, "?");
    }
    if (!d->n) return expected(p, "a factor");
  } else {
    GS_TRY(take_factor(p, d, found));
    if (!*found) return GS_OK;
  }
  if (*p->s == '?') {
    d->maybe = true;
    p->s++;
  }
  if (*p->s != '@') return GS_OK;
  p->s++;
  return take_place(p, d);
}

static gs_status row_term(parser *p, gs_rule_term *w) {
  w->maybe = take(p, "?");
  for (;;) {
    gs_rule_term_dim d;
    bool found;
    GS_TRY(row_dim(p, &d, &found));
    if (!found) break;
    GS_TRY(add_dim(p, w, &d));
  }
  if (take(p, "^")) GS_TRY(take_name(p, &w->turned));
  w->repeated = take(p, "&");
  return GS_OK;
}

static gs_status row_side(parser *p, gs_rule_term **out, int *n) {
  GS_VEC(gs_rule_term) v = {0};
  do {
    gs_rule_term w = {0};
    GS_TRY(row_term(p, &w));
    *gs_push(p->t->arena, &v) = w;
  } while (take(p, ","));
  *out = v.at;
  *n = v.n;
  return GS_OK;
}

/* ---- "; stats k; whole q if is_causal; h = heads / g; order b h q" ---- */

/* A label, or the group of "A*". */
static gs_status take_target(parser *p, int *label, char *group,
                             bool *found) {
  blanks(p);
  *label = -1;
  *group = 0;
  if (is_letter(*p->s) && p->s[1] == '*') {
    *group = *p->s;
    *found = true;
    p->s += 2;
    return GS_OK;
  }
  GS_TRY(take_label(p, label, found));
  if (*found && !p->t->label[*label].used)
    return gs_terms_fail(p->t, p->e, "factor %s is in no tensor",
                         p->t->label[*label].name);
  return GS_OK;
}

/* What stands up to the next ';', without blanks at its ends. */
static char *take_words(parser *p) {
  blanks(p);
  size_t n = strcspn(p->s, ";");
  const char *from = p->s;
  p->s += n;
  while (n && from[n - 1] == ' ') n--;
  return gs_strndup(p->t->arena, from, n);
}

static gs_status add_clause(parser *p, const gs_rule_clause *c) {
  if (p->t->nclause == GS_MAX_CLAUSES)
    return gs_terms_fail(p->t, p->e, "more than %d clauses", GS_MAX_CLAUSES);
  p->t->clause[p->t->nclause++] = *c;
  return GS_OK;
}

/* "whole q k if is_causal" behind its first word. */
static gs_status take_kind(parser *p, gs_rule_clause c) {
  int first = p->t->nclause;
  for (;;) {
    bool found = false;
    blanks(p);
    if (!strncmp(p->s, "if ", 3)) break;
    GS_TRY(take_target(p, &c.label, &c.group, &found));
    if (!found) break;
    GS_TRY(add_clause(p, &c));
  }
  if (p->t->nclause == first) return expected(p, "a factor");
  if (!take(p, "if ")) return GS_OK;
  char *condition = take_words(p);
  for (int i = first; i < p->t->nclause; i++)
    p->t->clause[i].condition = condition;
  return GS_OK;
}

static gs_status take_order(parser *p) {
  for (;;) {
    int label;
    char group;
    bool found;
    GS_TRY(take_target(p, &label, &group, &found));
    if (!found) return GS_OK;
    if (p->t->norder == (int)(sizeof p->t->order / sizeof *p->t->order))
      return gs_terms_fail(p->t, p->e, "too many factors are ordered");
    p->t->order[p->t->norder].label = label;
    p->t->order[p->t->norder++].group = group;
  }
}

/* Takes a whole word. */
static bool take_word(parser *p, const char *word) {
  blanks(p);
  size_t n = strlen(word);
  if (strncmp(p->s, word, n) || is_letter(p->s[n])) return false;
  p->s += n;
  return true;
}

static gs_status take_joined(parser *p) {
  int label;
  char group;
  bool found;
  GS_TRY(take_target(p, &label, &group, &found));
  if (!found || label < 0) return expected(p, "a factor");
  p->t->label[label].joined = true;
  return GS_OK;
}

static gs_status take_grown(parser *p) {
  int label[2];
  for (int i = 0; i < 2; i++) {
    char group;
    bool found;
    GS_TRY(take_target(p, &label[i], &group, &found));
    if (!found || label[i] < 0) return expected(p, "a factor");
  }
  p->t->label[label[0]].grown = true;
  p->t->label[label[0]].as = label[1];
  return GS_OK;
}

static gs_status take_clause(parser *p) {
  gs_rule_clause c = {.label = -1};
  if (take_word(p, "order")) return take_order(p);
  if (take_word(p, "operands")) {
    p->t->operands_first = true;
    return take_word(p, "first") ? GS_OK : expected(p, "'first'");
  }
  if (take_word(p, "compact")) {
    p->t->compact = true;
    return GS_OK;
  }
  if (take_word(p, "alike")) {
    p->t->alike = true;
    return GS_OK;
  }
  if (take_word(p, "uneven")) {
    p->t->uneven = true;
    return GS_OK;
  }
  if (take_word(p, "joined")) return take_joined(p);
  if (take_word(p, "grown")) return take_grown(p);
  c.kind = GS_WHOLE;
  c.fixed = take_word(p, "fixed");
  c.common = !c.fixed && take_word(p, "common");
  if (c.fixed || c.common) return take_kind(p, c);
  for (int k = 0; k < GS_NKIND; k++)
    if (take_word(p, gs_factor_text((gs_factor_kind)k))) {
      c.kind = (gs_factor_kind)k;
      return take_kind(p, c);
    }
  bool found;
  GS_TRY(take_target(p, &c.label, &c.group, &found));
  if (!found || c.label < 0 || !take(p, "="))
    return expected(p, "a kind of factor and factors, 'order', 'operands "
                    "first', 'compact', 'alike', 'uneven', 'joined', 'grown', "
                    "or a factor and '='");
  char *size = take_words(p), *at = strstr(size, " if ");
  if (at) {
    c.condition = at + 4;
    *at = 0;
  }
  c.size = size;
  return *c.size ? add_clause(p, &c) : expected(p, "a size");
}

/* ---- "([i,kl],[1,...])->([])" ---- */

static gs_status set_dim(parser *p, gs_rule_term *w) {
  gs_rule_term_dim d = {0};
  if (take(p, "...")) {
    d.many = '.';
  } else if (!take(p, "1")) {
    for (;;) {
      int label = 0;
      bool found = false;
      GS_TRY(take_label(p, &label, &found));
      if (!found) break;
      if (d.n == GS_MAX_DIM_FACTORS)
        return gs_terms_fail(p->t, p->e, "too many factors in one dim");
      p->t->label[label].used = true;
      d.label[d.n++] = label;
    }
    if (!d.n) return expected(p, "a factor, '1' or '...'");
    d.grown = d.n == 1 && take(p, "+");
  }
  return add_dim(p, w, &d);
}

static gs_status set_side(parser *p, gs_rule_term **out, int *n) {
  GS_VEC(gs_rule_term) v = {0};
  if (!take(p, "(")) return expected(p, "'('");
  while (!take(p, ")")) {
    gs_rule_term w = {0};
    if (v.n && !take(p, ",")) return expected(p, "',' or ')'");
    if (!take(p, "[")) return expected(p, "'['");
    while (!take(p, "]")) {
      if (w.n && !take(p, ",")) return expected(p, "',' or ']'");
      GS_TRY(set_dim(p, &w));
    }
    *gs_push(p->t->arena, &v) = w;
  }
  *out = v.at;
  *n = v.n;
  return GS_OK;
}

/* "([..." and "()" are sets, "(hd)q" is a row whose first dim has two
 * factors. */
static bool sets_follow(const char *s) {
  s++;
  while (*s == ' ') s++;
  return *s == '[' || *s == ')' || !is_letter(*s);
}

/* ---- what follows: {i=8} reduction={k} ... ---- */

static gs_status take_size(parser *p, gs_label *l) {
  blanks(p);
  if (!take(p, "=") || *p->s < '0' || *p->s > '9')
    return expected(p, "'=' and a size");
  char *end;
  l->size = strtoll(p->s, &end, 10);
  if (l->size > INT64_MAX / 4)
    return gs_terms_fail(p->t, p->e, "the size of %s is too large", l->name);
  p->s = end;
  return GS_OK;
}

typedef enum option { SIZES, REDUCTION, WHOLE, BLOCKED } option;

static gs_status take_set(parser *p, option o, gs_reduce reduce) {
  if (!take(p, "{")) return expected(p, "'{'");
  for (int i = 0; !take(p, "}"); i++) {
    if (i && !take(p, ",")) return expected(p, "',' or '}'");
    int at = 0;
    bool found = false;
    GS_TRY(take_label(p, &at, &found));
    if (!found) return expected(p, "a factor");
    gs_label *l = &p->t->label[at];
    if (!l->used)
      return gs_terms_fail(p->t, p->e, "factor %s is in no tensor", l->name);
    if (o == SIZES) GS_TRY(take_size(p, l));
    if (o == BLOCKED) l->blocked = true;
    if (o == REDUCTION) l->reduce = reduce;
    if (o != REDUCTION && o != WHOLE) continue;
    l->kind = o == WHOLE || (l->said && l->kind == GS_WHOLE) ? GS_WHOLE
                                                             : GS_SUMMED;
    l->said = true;
  }
  return GS_OK;
}

static gs_status take_options(parser *p) {
  for (;;) {
    blanks(p);
    if (!*p->s) return GS_OK;
    gs_reduce reduce = GS_REDUCE_SUM;
    if (take(p, ";")) {
      GS_TRY(take_clause(p));
    } else if (*p->s == '{') {
      GS_TRY(take_set(p, SIZES, reduce));
    } else if (take(p, "need_replication=")) {
      GS_TRY(take_set(p, WHOLE, reduce));
    } else if (take(p, "blocked_propagation=")) {
      GS_TRY(take_set(p, BLOCKED, reduce));
    } else if (take(p, "reduction")) {
      if (take(p, "(")) {
        char name[8] = "";
        for (size_t n = 0; is_letter(*p->s) && n + 1 < sizeof name; n++)
          name[n] = *p->s++;
        if (!gs_reduce_parse(name, &reduce) || !take(p, ")"))
          return expected(p, "sum, prod, max or min and ')'");
      }
      if (!take(p, "=")) return expected(p, "'='");
      GS_TRY(take_set(p, REDUCTION, reduce));
    } else {
      return expected(p, "the end, ';', '{', 'reduction=', "
                      "'need_replication=' or "
                      "'blocked_propagation='");
    }
  }
}

/* ---- which of "a -> b | c -> d" ---- */

/* One form of a row: operands and results. */
typedef struct form {
  const char *condition; /* "[c] a -> b"; NULL: none */
  gs_rule_term *in, *out;
  int nin, nout;
} form;

/* Whether term w may stand for v, by rank alone. */
static bool term_fits(const gs_rule_term *w, const gs_value *v) {
  int written = 0, maybe = 0;
  bool many = false;
  if (!v) return w->maybe;
  for (int i = 0; i < w->n; i++) {
    many = many || w->at[i].many;
    written += !w->at[i].many;
    maybe += w->at[i].maybe;
  }
  return v->rank >= written - maybe && (many || v->rank <= written);
}

static bool form_fits(const parser *p, const form *f) {
  const gs_node *n = p->t->node;
  if (f->condition && !gs_terms_hold(p->t, f->condition)) return false;
  for (int i = 0; i < n->nin || i < f->nin; i++) {
    const gs_value *v = gs_node_in(n, i);
    bool repeated = f->nin && f->in[f->nin - 1].repeated;
    if (i < f->nin && !term_fits(&f->in[i], v)) return false;
    if (i >= f->nin && v && !repeated) return false;
  }
  return true;
}

/* "[c]" at the head of a form. */
static gs_status take_condition(parser *p, const char **condition) {
  *condition = NULL;
  if (!take(p, "[")) return GS_OK;
  size_t n = strcspn(p->s, "]");
  if (!p->s[n]) return expected(p, "']'");
  *condition = gs_strndup(p->t->arena, p->s, n);
  p->s += n + 1;
  return GS_OK;
}

/* The first form that fits, else the last one. */
static gs_status take_forms(parser *p) {
  gs_terms *t = p->t;
  bool found = false;
  do {
    form f;
    GS_TRY(take_condition(p, &f.condition));
    GS_TRY(row_side(p, &f.in, &f.nin));
    if (!take(p, "->")) return expected(p, "'->'");
    GS_TRY(row_side(p, &f.out, &f.nout));
    /* "->mn": an empty side is no operand, or one scalar. */
    if (!t->node->nin && f.nin == 1 && !f.in[0].n) f.nin = 0;
    if (found) continue;
    found = form_fits(p, &f);
    t->in = f.in;
    t->nin = f.nin;
    t->out = f.out;
    t->nout = f.nout;
  } while (take(p, "|"));
  return GS_OK;
}

gs_status gs_terms_parse(gs_terms *t, gs_arena *a, const gs_node *n,
                         const char *text, gs_status code, gs_err *e) {
  parser p = {.t = t, .s = text, .e = e};
  *t = (gs_terms){.arena = a, .node = n, .text = text, .code = code};
  blanks(&p);
  t->listed = *p.s == '(' && sets_follow(p.s);
  if (t->listed) {
    GS_TRY(set_side(&p, &t->in, &t->nin));
    if (!take(&p, "->")) return expected(&p, "'->'");
    GS_TRY(set_side(&p, &t->out, &t->nout));
  } else {
    GS_TRY(take_forms(&p));
  }
  return take_options(&p);
}
