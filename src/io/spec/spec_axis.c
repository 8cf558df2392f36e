/* Axes and sub-axes by their names: "tp", "tp:(1)2"; and device orders, which
 * name axes too. */
#include <ctype.h>
#include <string.h>

#include "base/math.h"
#include "io/spec/spec_read.h"

bool gs_spec_names_axis(const char *s) {
  size_t n = strspn(s, GS_SPEC_LETTERS "0123456789.-");
  return *s && strchr(GS_SPEC_LETTERS, *s) && !s[n] && n < 64 &&
         strcmp(s, "open") && strcmp(s, "null") && strcmp(s, "none");
}

gs_status gs_spec_axis_name(gs_reader *r, const gs_yaml *name) {
  if (gs_spec_names_axis(name->text)) return GS_OK;
  gs_fail_at(r->err, GS_DATA, &name->at,
             "'%.60s' cannot name an axis: a letter, then letters, "
             "digits, '_', '-' or '.'; not open, null or none", name->text);
  if (strchr(name->text, ':'))
    gs_err_hint(r->err, "a space is missing after ':'");
  return GS_DATA;
}

static bool name_char(char c) {
  return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* A positive number without leading zero; -1 if there is none. */
static int64_t positive(const char **s) {
  int64_t v = 0;
  if (**s < '1' || **s > '9') return -1;
  for (; isdigit((unsigned char)**s); ++*s)
    if (!gs_mul(v, 10, &v) || !gs_add(v, **s - '0', &v)) return -1;
  return v;
}

gs_status gs_spec_axis_parse(gs_reader *r, const gs_yaml *y, const char **s,
                             gs_spec_axis *out) {
  const char *start = *s;
  *out = (gs_spec_axis){.at = y->at, .pre = 1};
  while (name_char(**s)) ++*s;
  size_t n = (size_t)(*s - start);
  if (!n || isdigit((unsigned char)*start) || *start == '.' || *start == '-')
    return gs_fail_at(r->err, GS_DATA, &y->at,
                      "expected the name of an axis at '%.40s'", start);
  out->name = gs_strndup(r->arena, start, n);
  if (**s != ':') return GS_OK;
  if ((*s)[1] == '(') {
    *s += 2;
    out->pre = positive(s);
    if (out->pre > 0 && *(*s) == ')') {
      ++*s;
      out->size = positive(s);
      if (out->size > 0) return GS_OK;
    }
  }
  gs_fail_at(r->err, GS_DATA, &y->at, "malformed sub-axis '%.40s'", start);
  gs_err_hint(r->err, "a sub-axis is written %s:(M)K: of size K, after major "
                      "parts of size M", out->name);
  return GS_DATA;
}

gs_status gs_spec_axis_read(gs_reader *r, const gs_yaml *y,
                            gs_spec_axis *out) {
  const char *s;
  GS_TRY(gs_yaml_string(y, &s, r->err));
  GS_TRY(gs_spec_axis_parse(r, y, &s, out));
  if (*s)
    return gs_fail_at(r->err, GS_DATA, &y->at, "unexpected '%.40s' after the "
                      "axis '%s'", s, out->name);
  return GS_OK;
}

gs_status gs_spec_axes_read(gs_reader *r, const gs_yaml *y,
                            gs_spec_axes *out) {
  int n = y->kind == GS_YAML_LIST ? y->item.n : 1;
  *out = (gs_spec_axes){0, GS_NEWS(r->arena, n, gs_spec_axis)};
  for (int i = 0; i < n; i++) {
    const gs_yaml *one = y->kind == GS_YAML_LIST ? y->item.at[i] : y;
    GS_TRY(gs_spec_axis_read(r, one, &out->at[out->n++]));
  }
  return GS_OK;
}

/* "orders": a list of devices for each name.  Whether they are all the devices
 * of the mesh is looked at when that is known. */
gs_status gs_spec_orders_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                             void *into) {
  (void)k;
  gs_spec *s = into;
  static const gs_key list_key = {.name = "order"};
  GS_TRY(gs_yaml_map(v, r->err));
  for (int i = 0; i < v->key.n; i++) {
    gs_int_list list;
    GS_TRY(gs_spec_axis_name(r, v->key.at[i]));
    GS_TRY(gs_key_ints(r, v->item.at[i], &list_key, &list));
    *gs_push(s->arena, &s->order) = (gs_spec_order){
        v->key.at[i]->text, list.n, list.at, v->key.at[i]->at};
  }
  return GS_OK;
}
