#include "op/core/terms.h"

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
