/* JSON Schema: type, const, enum, minimum, required, properties,
 * additionalProperties, items, and $ref into $defs. */
#include "json.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NODES = 200000, MAX_DEPTH = 64 };

typedef struct json {
  char type;        /* { [ " 0 t f n */
  const char *text; /* of a string or number */
  size_t n;
  const char *key;  /* of a member of an object */
  size_t nkey;
  struct json *first, *next;
} json;

typedef struct reader {
  const char *at, *end;
  char *file; /* the whole text */
  json *node;
  int used, depth;
} reader;

static void space(reader *r) {
  while (r->at < r->end && isspace((unsigned char)*r->at)) r->at++;
}

static bool eat(reader *r, char c) {
  space(r);
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

/* The text between quotes, escapes as they stand. */
static bool quoted(reader *r, const char **text, size_t *n) {
  if (!eat(r, '"')) return false;
  *text = r->at;
  while (r->at < r->end && *r->at != '"') {
    if ((unsigned char)*r->at < ' ') return false;
    r->at += *r->at == '\\' ? 2 : 1;
  }
  if (r->at >= r->end) return false;
  *n = (size_t)(r->at++ - *text);
  return true;
}

static json *value(reader *r);

static bool members(reader *r, json *j, char close) {
  json **last = &j->first;
  if (eat(r, close)) return true;
  do {
    const char *key = NULL;
    size_t n = 0;
    if (close == '}' && (!quoted(r, &key, &n) || !eat(r, ':'))) return false;
    json *x = value(r);
    if (!x) return false;
    x->key = key;
    x->nkey = n;
    *last = x;
    last = &x->next;
  } while (eat(r, ','));
  return eat(r, close);
}

static bool word(reader *r, const char *s) {
  size_t n = strlen(s);
  if ((size_t)(r->end - r->at) < n || memcmp(r->at, s, n)) return false;
  r->at += n;
  return true;
}

static json *value(reader *r) {
  space(r);
  if (r->at == r->end || r->used == MAX_NODES || r->depth == MAX_DEPTH)
    return NULL;
  json *j = &r->node[r->used++];
  j->type = *r->at;
  j->text = r->at;
  bool good = false;
  r->depth++;
  if (eat(r, '{')) good = members(r, j, '}');
  else if (eat(r, '[')) good = members(r, j, ']');
  else if (*r->at == '"') good = quoted(r, &j->text, &j->n);
  else if (word(r, "true") || word(r, "false") || word(r, "null")) good = true;
  else {
    char *end;
    j->type = '0';
    strtod(r->at, &end);
    j->n = (size_t)(end - r->at);
    good = j->n > 0 && (isdigit((unsigned char)*r->at) || *r->at == '-');
    r->at = end;
  }
  r->depth--;
  return good ? j : NULL;
}

static json *member(const json *j, const char *key) {
  for (json *x = j->type == '{' ? j->first : NULL; x; x = x->next)
    if (strlen(key) == x->nkey && !memcmp(x->key, key, x->nkey)) return x;
  return NULL;
}

static bool equal(const json *a, const json *b) {
  return a->type == b->type && a->n == b->n && !memcmp(a->text, b->text, a->n);
}

static bool is_a(const json *j, const json *type) {
  if (type->type == '[') { /* one of them */
    const json *x = type->first;
    while (x && !is_a(j, x)) x = x->next;
    return x != NULL;
  }
  static const char *const names[] = {"object", "array", "string", "integer",
                                      "number", "boolean", "boolean", "null"};
  static const char first[] = "{[\"00tfn";
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (type->n != strlen(names[i]) || memcmp(type->text, names[i], type->n) ||
        j->type != first[i])
      continue;
    return strcmp(names[i], "integer") || !memchr(j->text, '.', j->n);
  }
  return false;
}

static bool wrong(const char *place, const char *what) {
  printf("%s: %s\n", place, what);
  return false;
}

static bool fits(const json *root, const json *s, const json *j,
                 const char *place);

static bool fits_object(const json *root, const json *s, const json *j,
                        const char *place) {
  char name[512];
  const json *known = member(s, "properties");
  const json *others = member(s, "additionalProperties");
  const json *need = member(s, "required");
  for (const json *x = need ? need->first : NULL; x; x = x->next) {
    snprintf(name, sizeof name, "%.*s", (int)x->n, x->text);
    if (j->type == '{' && !member(j, name)) {
      printf("%s: no %s\n", place, name);
      return false;
    }
  }
  for (const json *x = j->type == '{' ? j->first : NULL; x; x = x->next) {
    char key[256];
    snprintf(key, sizeof key, "%.*s", (int)x->nkey, x->key);
    snprintf(name, sizeof name, "%s.%s", place, key);
    const json *is = known ? member(known, key) : NULL;
    if (!is && others && others->type == 'f')
      return wrong(name, "not in the schema");
    if (!is && others && others->type == '{') is = others;
    if (is && !fits(root, is, x, name)) return false;
  }
  return true;
}

/* The schema that s stands for. */
static const json *resolve(const json *root, const json *s) {
  static const char start[] = "#/$defs/";
  const json *ref = member(s, "$ref"), *defs = member(root, "$defs");
  char name[128];
  if (!ref || !defs || ref->n < sizeof start) return s;
  snprintf(name, sizeof name, "%.*s", (int)(ref->n - sizeof start + 1),
           ref->text + sizeof start - 1);
  const json *to = member(defs, name);
  return to ? to : s;
}

static bool fits(const json *root, const json *s, const json *j,
                 const char *place) {
  s = resolve(root, s);
  const json *type = member(s, "type"), *one = member(s, "const");
  const json *list = member(s, "enum"), *min = member(s, "minimum");
  const json *items = member(s, "items");
  if (type && !is_a(j, type)) return wrong(place, "of another type");
  if (one && !equal(one, j)) return wrong(place, "not the constant");
  const json *x = list ? list->first : NULL;
  while (x && !equal(x, j)) x = x->next;
  if (list && !x) return wrong(place, "none of the enumeration");
  if (min && j->type == '0' && atof(j->text) < atof(min->text))
    return wrong(place, "less than the minimum");
  for (x = items && j->type == '[' ? j->first : NULL; x; x = x->next) {
    char name[512];
    snprintf(name, sizeof name, "%.500s[]", place);
    if (!fits(root, items, x, name)) return false;
  }
  return fits_object(root, s, j, place);
}

static json *load(const char *path, reader *r) {
  static const size_t max = 16 << 20;
  FILE *f = fopen(path, "rb");
  char *text = f ? malloc(max) : NULL;
  *r = (reader){.node = calloc(MAX_NODES, sizeof(json))};
  if (!text || !r->node) {
    perror(path);
    exit(66);
  }
  size_t n = fread(text, 1, max - 1, f);
  fclose(f);
  text[n] = 0;
  r->file = text;
  r->at = text;
  r->end = text + n;
  json *j = value(r);
  space(r);
  if (j && r->at == r->end) return j;
  printf("%s: no JSON after %zu bytes\n", path, (size_t)(r->at - text));
  return NULL;
}

int json_check(const char *schema, const char *path) {
  reader a, b;
  const json *s = load(schema, &a), *j = load(path, &b);
  bool good = s && j && fits(s, s, j, path);
  free(a.node);
  free(a.file);
  free(b.node);
  free(b.file);
  return good ? 0 : 1;
}
