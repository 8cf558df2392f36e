#include "op/rule/terms.h"

#include <stdlib.h>
#include <string.h>

int gs_terms_label(gs_terms *t, const char *name, size_t n) {
  for (int i = 0; i < t->nlabel; i++)
    if (!strncmp(t->label[i].name, name, n) && !t->label[i].name[n]) return i;
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
                 "rule '%.*s': %s", (int)strcspn(t->text, ";"), t->text, why);
}

const gs_value *gs_terms_value(const gs_terms *t, int i) {
  const gs_node *n = t->node;
  if (i < n->nin) return n->in[i];
  return t->free_results ? NULL : n->out[i - n->nin];
}

gs_rule_term *gs_terms_at(const gs_terms *t, int i) {
  return i < t->nin ? &t->in[i] : &t->out[i - t->nin];
}

/* ---- expressions and conditions of clauses ---- */

bool gs_terms_atom(const gs_terms *t, const char **s, int64_t *out) {
  size_t n = strcspn(*s, "+*/ :>=");
  char name[32] = "";
  if (n < sizeof name) memcpy(name, *s, n);
  *s += n;
  int64_t otherwise = 0;
  bool given = **s == ':';
  if (given) otherwise = strtoll(*s + 1, (char **)s, 10);
  if (name[0] >= '0' && name[0] <= '9') {
    *out = strtoll(name, NULL, 10);
    return true;
  }
  if (n > 1) {
    *out = gs_node_int(t->node, name, otherwise);
    return given || gs_node_attr(t->node, name);
  }
  for (int i = 0; i < t->nlabel; i++)
    if (!strcmp(t->label[i].name, name)) {
      /* What is in no operand given has size 0. */
      *out = t->label[i].size < 0 && !t->label[i].operand ? 0
                                                          : t->label[i].size;
      return *out >= 0;
    }
  return false;
}

bool gs_rule_adds(gs_dtype t) {
  const gs_dtype_info *d = gs_dtype_get((int)t);
  if (d->cls == 'f') return d->bits >= 16;
  return t == GS_BOOL ||
         ((d->cls == 'i' || d->cls == 'u') && d->bits >= 8);
}

/* "mode=CRD" */
static bool equals(const gs_terms *t, const char *s) {
  size_t n = strcspn(s, "=");
  const char *is = gs_node_string(t->node, gs_strndup(t->arena, s, n), "");
  return !strcmp(is, s + n + 1);
}

static bool condition(const gs_terms *t, const char *s) {
  int64_t x = 0;
  if (!strcmp(s, "%adds")) {
    const gs_value *v = gs_node_in(t->node, 0);
    return v && gs_rule_adds(v->dtype);
  }
  if (*s == '#') return gs_node_in(t->node, atoi(s + 1)) != NULL;
  const char *least = strstr(s, ">=");
  if (!least && strchr(s, '=')) return equals(t, s);
  bool known = gs_terms_atom(t, &s, &x);
  return known && (least ? x >= strtoll(least + 2, NULL, 10) : x != 0);
}

bool gs_terms_hold(const gs_terms *t, const char *text) {
  return *text == '!' ? !condition(t, text + 1) : condition(t, text);
}
