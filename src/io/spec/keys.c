#include "io/spec/keys.h"

#include <string.h>

#include "base/data/bytes.h"
#include "base/data/map.h"

gs_status gs_unknown_word(gs_reader *r, const gs_yaml *v, const char *what,
                          const char *const *words) {
  gs_buf b;
  gs_buf_init(&b, r->arena);
  gs_nearest near = gs_nearest_to(v->kind == GS_YAML_SCALAR ? v->text : "");
  for (int i = 0; words[i]; i++) {
    gs_buf_printf(&b, "%s%s", i ? ", " : "", words[i]);
    if (v->kind == GS_YAML_SCALAR) gs_nearest_try(&near, words[i]);
  }
  gs_fail_at(r->err, GS_DATA, &v->at, "expected %s (one of %s), not %s", what,
             b.at, gs_yaml_what(r->arena, v));
  if (near.best) gs_err_hint(r->err, "did you mean '%s'?", near.best);
  return GS_DATA;
}

static const gs_key *find(const gs_keys *t, const char *name) {
  for (int i = 0; i < t->n; i++)
    if (!strcmp(t->key[i].name, name)) return &t->key[i];
  return NULL;
}

static gs_status unknown(gs_reader *r, const gs_yaml *key,
                         const gs_yaml *value, const gs_keys *t) {
  gs_fail_at(r->err, GS_DATA, &key->at, "unknown key '%.60s' in %s", key->text,
             t->what);
  const char *colon = strchr(key->text, ':');
  if (colon && !key->quoted && gs_yaml_is_word(value, "")) {
    gs_err_hint(r->err, "a space is missing after ':': write \"%.*s: %s\"",
                (int)(colon - key->text), key->text, colon + 1);
    return GS_DATA;
  }
  if (!strcmp(key->text, "<<")) {
    gs_err_hint(r->err, "merge keys are not supported");
    return GS_DATA;
  }
  gs_nearest near = gs_nearest_to(key->text);
  for (int i = 0; i < t->n; i++) gs_nearest_try(&near, t->key[i].name);
  if (near.best) gs_err_hint(r->err, "did you mean '%s'?", near.best);
  return GS_DATA;
}

static gs_status read_key(gs_reader *r, const gs_yaml *key,
                          const gs_yaml *value, const gs_keys *t, void *into) {
  const gs_key *k = find(t, key->text);
  if (!k) return unknown(r, key, value, t);
  if (!k->fn)
    return gs_fail_at(r->err, GS_UNSUPPORTED, &key->at,
                      "the key '%s' of %s is not supported by this version",
                      k->name, t->what);
  return k->fn(r, value, k, into);
}

gs_status gs_keys_read(gs_reader *r, const gs_yaml *v, const gs_keys *t,
                       void *into) {
  gs_status first = GS_OK;
  GS_TRY(gs_yaml_map(v, r->err));
  for (int i = 0; i < v->key.n; i++) {
    gs_status s = read_key(r, v->key.at[i], v->item.at[i], t, into);
    if (first == GS_OK) first = s;
  }
  for (int i = 0; i < t->n; i++) {
    if (!t->key[i].required || gs_yaml_get(v, t->key[i].name)) continue;
    gs_fail_at(r->err, GS_DATA, &v->at, "%s needs the key '%s'", t->what,
               t->key[i].name);
    if (first == GS_OK) first = GS_DATA;
  }
  return first;
}

#define FIELD(type) ((type *)(void *)((char *)into + k->offset))

gs_status gs_key_bool(gs_reader *r, const gs_yaml *v, const gs_key *k,
                      void *into) {
  return gs_yaml_bool(v, FIELD(bool), r->err);
}

gs_status gs_key_int(gs_reader *r, const gs_yaml *v, const gs_key *k,
                     void *into) {
  return gs_yaml_int(v, 0, INT64_MAX, FIELD(int64_t), r->err);
}

gs_status gs_key_count(gs_reader *r, const gs_yaml *v, const gs_key *k,
                       void *into) {
  return gs_yaml_int(v, 1, INT64_MAX, FIELD(int64_t), r->err);
}

gs_status gs_key_bytes(gs_reader *r, const gs_yaml *v, const gs_key *k,
                       void *into) {
  if (v->kind == GS_YAML_SCALAR && gs_bytes_parse(v->text, FIELD(int64_t)))
    return GS_OK;
  gs_fail_at(r->err, GS_DATA, &v->at, "%s must be a number of bytes", k->name);
  gs_err_hint(r->err, "such as 1000000, 512MiB or 16GiB");
  return GS_DATA;
}

gs_status gs_key_text(gs_reader *r, const gs_yaml *v, const gs_key *k,
                      void *into) {
  return gs_yaml_string(v, FIELD(const char *), r->err);
}

gs_status gs_key_number(gs_reader *r, const gs_yaml *v, const gs_key *k,
                        void *into) {
  GS_TRY(gs_yaml_number(v, FIELD(double), r->err));
  if (*FIELD(double) > 0) return GS_OK;
  return gs_fail_at(r->err, GS_DATA, &v->at, "%s must be more than 0",
                    k->name);
}

gs_status gs_key_word(gs_reader *r, const gs_yaml *v, const gs_key *k,
                      void *into) {
  const char *const *words = k->arg;
  for (int i = 0; words[i]; i++)
    if (v->kind == GS_YAML_SCALAR && !strcmp(v->text, words[i])) {
      *FIELD(int) = i;
      return GS_OK;
    }
  return gs_unknown_word(r, v, k->name, words);
}

gs_status gs_key_ints(gs_reader *r, const gs_yaml *v, const gs_key *k,
                      void *into) {
  gs_int_list *l = FIELD(gs_int_list);
  GS_TRY(gs_yaml_list(v, r->err));
  l->at = GS_NEWS(r->arena, v->item.n, int64_t);
  for (l->n = 0; l->n < v->item.n; l->n++)
    GS_TRY(gs_yaml_int(v->item.at[l->n], 0, INT64_MAX, &l->at[l->n], r->err));
  return GS_OK;
}

/* Elements grow at the end of the list; all vectors are laid out alike. */
static void *push(gs_reader *r, void *list, size_t size) {
  typedef GS_VEC(char) vec;
  vec *v = list;
  if (v->n == v->cap) v->at = gs_vec_grow(r->arena, v->at, v->n, &v->cap, size);
  return memset(v->at + (size_t)v->n++ * size, 0, size);
}

gs_status gs_key_tables(gs_reader *r, const gs_yaml *v, const gs_key *k,
                        void *into) {
  const gs_key_list *l = k->arg;
  gs_status first = GS_OK;
  GS_TRY(gs_yaml_list(v, r->err));
  for (int i = 0; i < v->item.n; i++) {
    char *element = push(r, FIELD(void), l->size);
    if (l->place >= 0)
      memcpy(element + l->place, &v->item.at[i]->at, sizeof(gs_place));
    gs_status one = gs_keys_read(r, v->item.at[i], l->keys, element);
    if (one == GS_OK && l->check) one = l->check(r, element);
    if (first == GS_OK) first = one;
  }
  return first;
}

/* ---- the schema and the manual ---- */

static void value_schema(gs_buf *b, const gs_key *k) {
  if (k->schema) {
    gs_buf_str(b, k->schema);
  } else if (k->fn == gs_key_bool) {
    gs_buf_str(b, "{\"type\": \"boolean\"}");
  } else if (k->fn == gs_key_int) {
    gs_buf_str(b, "{\"type\": \"integer\", \"minimum\": 0}");
  } else if (k->fn == gs_key_count) {
    gs_buf_str(b, "{\"type\": \"integer\", \"minimum\": 1}");
  } else if (k->fn == gs_key_number) {
    gs_buf_str(b, "{\"type\": \"number\", \"exclusiveMinimum\": 0}");
  } else if (k->fn == gs_key_ints) {
    gs_buf_str(b, "{\"type\": \"array\", "
                  "\"items\": {\"type\": \"integer\", \"minimum\": 0}}");
  } else if (k->fn == gs_key_word) {
    gs_buf_str(b, "{\"enum\": [");
    const char *const *words = k->arg;
    for (int i = 0; words[i]; i++)
      gs_buf_printf(b, "%s\"%s\"", i ? ", " : "", words[i]);
    gs_buf_str(b, "]}");
  } else if (k->fn == gs_key_tables) {
    const gs_key_list *l = k->arg;
    gs_buf_printf(b, "{\"type\": \"array\", "
                     "\"items\": {\"$ref\": \"#/$defs/%s\"}}",
                  l->keys->name);
  } else if (k->arg && k->fn != gs_key_text) {
    const gs_keys *t = k->arg;
    gs_buf_printf(b, "{\"$ref\": \"#/$defs/%s\"}", t->name);
  } else {
    gs_buf_str(b, "{\"type\": \"string\"}");
  }
}

/* The body of an object schema, indented by `in` spaces. */
static void table_schema(gs_buf *b, const gs_keys *t, int in) {
  gs_buf_printf(b, "%*s\"type\": \"object\",\n", in, "");
  gs_buf_printf(b, "%*s\"additionalProperties\": false,\n", in, "");
  bool any = false;
  for (int i = 0; i < t->n; i++) {
    if (!t->key[i].required) continue;
    if (any) gs_buf_str(b, ", ");
    else gs_buf_printf(b, "%*s\"required\": [", in, "");
    any = true;
    gs_buf_json(b, t->key[i].name);
  }
  if (any) gs_buf_str(b, "],\n");
  gs_buf_printf(b, "%*s\"properties\": {", in, "");
  any = false;
  for (int i = 0; i < t->n; i++) {
    const gs_key *k = &t->key[i];
    if (!k->fn) continue;
    gs_buf_printf(b, "%s\n%*s\"%s\": {\n%*s\"description\": ",
                  any ? "," : "", in + 2, "", k->name, in + 4, "");
    any = true;
    gs_buf_json(b, k->doc);
    gs_buf_printf(b, ",\n%*s\"allOf\": [", in + 4, "");
    value_schema(b, k);
    gs_buf_printf(b, "]\n%*s}", in + 2, "");
  }
  gs_buf_printf(b, "\n%*s}\n", in, "");
}

void gs_keys_schema(gs_buf *b, const char *id, const char *title,
                    const gs_keys *const *t, int n, const char *more) {
  gs_buf_str(b, "{\n  \"$schema\": "
                "\"https://json-schema.org/draft/2020-12/schema\",\n");
  gs_buf_printf(b, "  \"$id\": \"%s\",\n  \"title\": ", id);
  gs_buf_json(b, title);
  gs_buf_str(b, ",\n  \"$defs\": {\n");
  if (more) gs_buf_printf(b, "%s,\n", more);
  for (int i = 1; i < n; i++) {
    gs_buf_printf(b, "    \"%s\": {\n", t[i]->name);
    table_schema(b, t[i], 6);
    gs_buf_printf(b, "    }%s\n", i + 1 < n ? "," : "");
  }
  gs_buf_str(b, "  },\n");
  table_schema(b, t[0], 2);
  gs_buf_str(b, "}\n");
}

static void mdoc_text(gs_buf *b, const char *s) {
  if (*s == '.' || *s == '\'') gs_buf_str(b, "\\&");
  for (; *s; s++) {
    if (*s == '\\') gs_buf_str(b, "\\e");
    else gs_buf_char(b, *s);
  }
}

void gs_keys_mdoc(gs_buf *b, const gs_keys *const *t, int n) {
  for (int i = 0; i < n; i++) {
    gs_buf_printf(b, ".Ss Keys of %s\n.Bl -tag -width Ds\n", t[i]->what);
    for (int j = 0; j < t[i]->n; j++) {
      const gs_key *k = &t[i]->key[j];
      if (!k->fn) continue;
      gs_buf_printf(b, ".It Cm %s\n", k->name);
      mdoc_text(b, k->doc);
      gs_buf_str(b, "\n");
    }
    gs_buf_str(b, ".El\n");
  }
}
