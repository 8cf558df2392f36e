/* The equations of Einsum as terms. */
#include <string.h>

#include "op/rule/terms.h"

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
      d.many = '.';
      dots = true;
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
      if (w->many) dots = true;
      else times[(int)t->label[w->label[0]].name[0]]++;
    }
  if (dots) *gs_push(t->arena, &t->out[0]) = (gs_rule_term_dim){.many = '.'};
  for (int c = 'A'; c <= 'z'; c++) {
    char name = (char)c;
    if (times[c] != 1) continue;
    *gs_push(t->arena, &t->out[0]) =
        (gs_rule_term_dim){.n = 1, .label = {gs_terms_label(t, &name, 1)}};
  }
}

static bool has_dots(const gs_rule_term *w) {
  for (int i = 0; i < w->n; i++)
    if (w->at[i].many) return true;
  return false;
}

/* Labels of the result stand in an operand, once; "..." is kept. */
static gs_status einsum_check(gs_terms *t, int nlabel, gs_err *e) {
  bool seen[GS_MAX_FACTORS] = {false};
  for (int d = 0; d < t->out[0].n; d++) {
    const gs_rule_term_dim *w = &t->out[0].at[d];
    if (w->many) continue;
    const char *name = t->label[w->label[0]].name;
    if (w->label[0] >= nlabel)
      return gs_terms_fail(t, e, "'%s' is in no operand", name);
    if (seen[w->label[0]])
      return gs_terms_fail(t, e, "'%s' twice in the result", name);
    seen[w->label[0]] = true;
  }
  for (int i = 0; i < t->nin; i++) {
    const gs_value *v = gs_node_in(t->node, i);
    if (v && has_dots(&t->in[i]) && v->rank >= t->in[i].n &&
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
