/* gs_rule_parse: both text forms of factor rules. */
#include <stdlib.h>
#include <string.h>

#include "op/core/terms.h"

typedef struct parser {
  gs_terms t;
  const char *s;
  gs_err *e;
} parser;

static gs_status expected(const parser *p, const char *what) {
  return gs_terms_fail(&p->t, p->e, "%s expected at '%.20s'", what, p->s);
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
  *label = gs_terms_label(&p->t, s, n);
  if (*label < 0)
    return gs_terms_fail(&p->t, p->e, "more than %d factors, or a long name",
                         GS_MAX_FACTORS);
  p->s += n;
  return GS_OK;
}

static gs_status add_dim(parser *p, gs_rule_term *w,
                         const gs_rule_term_dim *d) {
  for (int i = 0; d->dots && i < w->n; i++)
    if (w->at[i].dots)
      return gs_terms_fail(&p->t, p->e, "'...' twice in one tensor");
  if (w->n == GS_MAX_TERM_DIMS)
    return gs_terms_fail(&p->t, p->e, "too many dims");
  *gs_push(p->t.arena, w) = *d;
  return GS_OK;
}

/* ---- "...mk,...kn -> ...mn" ---- */

static gs_status row_term(parser *p, gs_rule_term *w) {
  for (;;) {
    gs_rule_term_dim d = {0};
    bool found = false;
    if (take(p, "...")) {
      d.dots = true;
    } else {
      GS_TRY(take_label(p, &d.label[0], &found));
      if (!found) return GS_OK;
      p->t.label[d.label[0]].used = true;
      d.n = 1;
    }
    GS_TRY(add_dim(p, w, &d));
  }
}

static gs_status row_side(parser *p, gs_rule_term **out, int *n) {
  GS_VEC(gs_rule_term) v = {0};
  do {
    gs_rule_term w = {0};
    GS_TRY(row_term(p, &w));
    *gs_push(p->t.arena, &v) = w;
  } while (take(p, ","));
  *out = v.at;
  *n = v.n;
  return GS_OK;
}

/* ---- "([i,kl],[1,...])->([])" ---- */

static gs_status set_dim(parser *p, gs_rule_term *w) {
  gs_rule_term_dim d = {0};
  if (take(p, "...")) {
    d.dots = true;
  } else if (!take(p, "1")) {
    for (;;) {
      int label = 0;
      bool found = false;
      GS_TRY(take_label(p, &label, &found));
      if (!found) break;
      if (d.n == GS_MAX_DIM_FACTORS)
        return gs_terms_fail(&p->t, p->e, "too many factors in one dim");
      p->t.label[label].used = true;
      d.label[d.n++] = label;
    }
    if (!d.n) return expected(p, "a factor, '1' or '...'");
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
    *gs_push(p->t.arena, &v) = w;
  }
  *out = v.at;
  *n = v.n;
  return GS_OK;
}

/* ---- what follows: {i=8} reduction={k} ... ---- */

static gs_status take_size(parser *p, gs_label *l) {
  blanks(p);
  if (!take(p, "=") || *p->s < '0' || *p->s > '9')
    return expected(p, "'=' and a size");
  char *end;
  l->size = strtoll(p->s, &end, 10);
  if (l->size > INT64_MAX / 4)
    return gs_terms_fail(&p->t, p->e, "the size of %s is too large", l->name);
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
    gs_label *l = &p->t.label[at];
    if (!l->used)
      return gs_terms_fail(&p->t, p->e, "factor %s is in no tensor", l->name);
    if (o == SIZES) GS_TRY(take_size(p, l));
    if (o == WHOLE) l->whole = true;
    if (o == BLOCKED) l->blocked = true;
    if (o == REDUCTION) {
      l->summed = true;
      l->reduce = reduce;
    }
  }
  return GS_OK;
}

static gs_status take_options(parser *p) {
  for (;;) {
    blanks(p);
    if (!*p->s) return GS_OK;
    gs_reduce reduce = GS_REDUCE_SUM;
    if (*p->s == '{') {
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
      return expected(p, "the end, '{', 'reduction=', 'need_replication=' or "
                      "'blocked_propagation='");
    }
  }
}

static gs_status parse(gs_arena *a, const char *text, const gs_node *n,
                       bool free_results, gs_rule *r, gs_err *e) {
  parser p = {.t = {.arena = a, .node = n, .text = text, .code = GS_SPEC,
                    .free_results = free_results},
              .s = text,
              .e = e};
  blanks(&p);
  bool sets = p.t.listed = *p.s == '(';
  if (sets) GS_TRY(set_side(&p, &p.t.in, &p.t.nin));
  else GS_TRY(row_side(&p, &p.t.in, &p.t.nin));
  if (!take(&p, "->")) return expected(&p, "'->'");
  if (sets) GS_TRY(set_side(&p, &p.t.out, &p.t.nout));
  else GS_TRY(row_side(&p, &p.t.out, &p.t.nout));
  GS_TRY(take_options(&p));
  if (!sets && !n->nin && p.t.nin == 1 && !p.t.in[0].n) p.t.nin = 0;
  return gs_terms_rule(&p.t, r, e);
}

gs_status gs_rule_parse(gs_arena *a, const char *text, const gs_node *n,
                        gs_rule *r, gs_err *e) {
  return parse(a, text, n, false, r, e);
}

gs_status gs_rule_parse_results(gs_arena *a, const char *text,
                                const gs_node *n, gs_rule *r, gs_err *e) {
  return parse(a, text, n, true, r, e);
}
