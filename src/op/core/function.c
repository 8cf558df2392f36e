/* Reads the texts of op/functions. */
#include "op/core/function.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
  gs_arena *a;
  gs_functions *out;
  gs_function *fn;    /* the last one, or NULL */
  gs_fn_block *block; /* the last one of fn, or NULL */
  const char *file, *line, *s;
  int number; /* of the line in its file */
  gs_err *e;
} reader;

int gs_function_in(const gs_function *f, const char *name) {
  for (int i = 0; i < f->in.n; i++)
    if (!strcmp(f->in.at[i].name, name)) return i;
  return -1;
}

int gs_function_out(const gs_function *f, const char *name) {
  for (int i = 0; i < f->out.n; i++)
    if (!strcmp(f->out.at[i].name, name)) return i;
  return -1;
}

int gs_function_attr(const gs_function *f, const char *name) {
  for (int i = 0; i < f->attr.n; i++)
    if (!strcmp(f->attr.at[i].name, name)) return i;
  return -1;
}

static gs_status bad(reader *r, const char *what) {
  char place[128];
  int col = (int)(r->s - r->line) + 1;
  snprintf(place, sizeof place, "%.90s:%d:%d", r->file, r->number, col);
  gs_fail(r->e, GS_INTERNAL, place, "%s", what);
  gs_err_caret(r->e, r->line, strlen(r->line), col, 1);
  return GS_INTERNAL;
}

/* ---- words ---- */

static void space(reader *r) {
  while (*r->s == ' ') r->s++;
  if (*r->s == '#') r->s += strlen(r->s);
}

static bool eat(reader *r, const char *mark) {
  space(r);
  size_t n = strlen(mark);
  if (strncmp(r->s, mark, n)) return false;
  r->s += n;
  return true;
}

static bool in_word(char c) {
  return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static bool eat_word(reader *r, const char *word) {
  space(r);
  size_t n = strlen(word);
  if (strncmp(r->s, word, n) || in_word(r->s[n])) return false;
  r->s += n;
  return true;
}

static gs_status word(reader *r, const char **out) {
  space(r);
  const char *start = r->s;
  if (!isalpha((unsigned char)*start) && *start != '_')
    return bad(r, "a name is expected");
  while (in_word(*r->s)) r->s++;
  *out = gs_strndup(r->a, start, (size_t)(r->s - start));
  return GS_OK;
}

/* "_" is NULL. */
static gs_status value_name(reader *r, const char **name, bool *each) {
  GS_TRY(word(r, name));
  *each = *r->s == '*';
  if (*each) r->s++;
  if (!strcmp(*name, "_")) *name = NULL;
  return GS_OK;
}

static gs_status attr_name(reader *r, const char **name) {
  GS_TRY(word(r, name));
  if (gs_function_attr(r->fn, *name) < 0)
    return bad(r, "the function has no such attribute");
  return GS_OK;
}

/* 3, 0.5, -inf, "text", [1,2], f32. */
static gs_status literal(reader *r, gs_attr *v) {
  space(r);
  if (*r->s == '"') {
    size_t n = strcspn(++r->s, "\"");
    if (!r->s[n]) return bad(r, "a string is not closed");
    v->kind = GS_ATTR_STRING;
    v->s = (gs_string){gs_strndup(r->a, r->s, n), n};
    r->s += n + 1;
    return GS_OK;
  }
  if (eat(r, "[")) {
    GS_VEC(int64_t) list = {0};
    while (!eat(r, "]")) {
      gs_attr one = {0};
      GS_TRY(literal(r, &one));
      if (one.kind != GS_ATTR_INT) return bad(r, "a list of integers");
      *gs_push(r->a, &list) = one.i;
      if (!eat(r, ",") && *r->s != ']') return bad(r, "',' or ']'");
    }
    v->kind = GS_ATTR_INTS;
    v->n = list.n;
    v->ints = list.at;
    return GS_OK;
  }
  if (isalpha((unsigned char)*r->s)) {
    const char *name;
    GS_TRY(word(r, &name));
    v->kind = GS_ATTR_INT;
    v->i = gs_dtype_parse(name);
    return v->i ? GS_OK : bad(r, "a value is expected");
  }
  char *end;
  v->kind = GS_ATTR_FLOAT;
  v->f = strtod(r->s, &end);
  if (end == r->s) return bad(r, "a value is expected");
  if (strspn(r->s, "-0123456789") >= (size_t)(end - r->s)) {
    v->kind = GS_ATTR_INT;
    v->i = strtoll(r->s, &end, 10);
  }
  r->s = end;
  return GS_OK;
}

/* ---- heads ---- */

static gs_status number(reader *r, int *n) {
  gs_attr v = {0};
  GS_TRY(literal(r, &v));
  if (v.kind != GS_ATTR_INT) return bad(r, "an integer is expected");
  *n = (int)v.i;
  return GS_OK;
}

/* "$list[1]+2" past its $; *index = -1 and *add = 0 without them. */
static gs_status reference(reader *r, const char **name, int *index,
                           int *add) {
  GS_TRY(attr_name(r, name));
  gs_attr_kind kind = r->fn->attr.at[gs_function_attr(r->fn, *name)].kind;
  *index = -1;
  *add = 0;
  if (eat(r, "[")) {
    if (kind != GS_ATTR_INTS && kind != GS_ATTR_FLOATS)
      return bad(r, "the attribute is not a list");
    GS_TRY(number(r, index));
    if (!eat(r, "]")) return bad(r, "']' is expected");
  }
  if (!eat(r, "+")) return GS_OK;
  if (kind != GS_ATTR_INTS && kind != GS_ATTR_INT)
    return bad(r, "the attribute is not of integers");
  return number(r, add);
}

static gs_status signature(reader *r, bool results) {
  gs_function *f = r->fn;
  bool late = false, each = false;
  if (!eat(r, "(")) return bad(r, "'(' is expected");
  while (!eat(r, ")")) {
    gs_fn_value v = {0};
    GS_TRY(value_name(r, &v.name, &v.each));
    v.optional = eat(r, "?");
    if (!v.name || gs_function_in(f, v.name) >= 0 ||
        gs_function_out(f, v.name) >= 0)
      return bad(r, "a name of its own is expected");
    if (each && !v.each) return bad(r, "all that follow must end in '*'");
    if (late && !v.optional && !results)
      return bad(r, "all that follow may be left out");
    each = v.each;
    late = v.optional;
    if (results) *gs_push(r->a, &f->out) = v;
    else *gs_push(r->a, &f->in) = v;
    if (!eat(r, ",") && *r->s != ')') return bad(r, "',' or ')'");
  }
  return GS_OK;
}

/* "(OPERANDS) -> (RESULTS)". */
static gs_status ends(reader *r) {
  GS_TRY(signature(r, false));
  if (!eat(r, "->")) return bad(r, "'->' is expected");
  return signature(r, true);
}

static void split_name(const char *name, gs_arena *a, const char **domain,
                       const char **last) {
  const char *dot = strrchr(name, '.');
  *domain = dot ? gs_strndup(a, name, (size_t)(dot - name)) : "";
  *last = dot ? dot + 1 : name;
}

/* Operands and results of the operator become those of its gradient. */
static void differentiate(reader *r) {
  gs_function *f = r->fn, op = *f;
  f->in.at = f->out.at = NULL;
  f->in.n = f->in.cap = f->out.n = f->out.cap = 0;
  for (int i = 0; i < op.out.n; i++) {
    gs_fn_value y = op.out.at[i];
    *gs_push(r->a, &f->in) = y;
    y.name = gs_sprintf(r->a, "d.%s", y.name);
    *gs_push(r->a, &f->in) = y;
  }
  for (int i = 0; i < op.in.n; i++) {
    gs_fn_value x = op.in.at[i];
    *gs_push(r->a, &f->in) = x;
    x.name = gs_sprintf(r->a, "d.%s", x.name);
    x.optional = true;
    *gs_push(r->a, &f->out) = x;
  }
}

static gs_status gradient(reader *r) {
  const char *name;
  gs_function *f = r->fn = gs_push(r->a, &r->out->gradient);
  *f = (gs_function){0};
  r->block = NULL;
  GS_TRY(word(r, &name));
  split_name(name, r->a, &f->domain, &f->name);
  GS_TRY(ends(r));
  for (int i = 0; i < f->out.n; i++)
    if (f->out.at[i].each) return bad(r, "any number of results");
  differentiate(r);
  return GS_OK;
}

static gs_status helper(reader *r) {
  gs_function *f = r->fn = gs_push(r->a, &r->out->helper);
  *f = (gs_function){.domain = "helper"};
  r->block = NULL;
  GS_TRY(word(r, &f->name));
  return ends(r);
}

/* The word of each kind of form, and attributes that who asks for it sets. */
static const struct {
  const char *word;
  gs_fn_attr set[6]; /* a name that is NULL ends them */
} forms[GS_NFN] = {
    [GS_FN_SPLIT] = {"split", {
    {"blocks", GS_ATTR_INT, NULL, false}, {"dims", GS_ATTR_INTS, NULL, false},
    {"parts", GS_ATTR_INTS, NULL, false}, {"flat", GS_ATTR_INTS, NULL, true},
    {"kind", GS_ATTR_STRING, NULL, false}}},
    [GS_FN_PLACED] = {"placed", {
    {"capacity", GS_ATTR_INTS, NULL, true}, {"once", GS_ATTR_INTS, NULL, true},
    {"lead", GS_ATTR_INTS, NULL, true}, {"blank", GS_ATTR_INT, NULL, true},
    {"counts", GS_ATTR_INT, NULL, true}}}, [GS_FN_CACHED] = {.word = "cached"},
    [GS_FN_STACKED] = {"stacked", {{"stacked0", GS_ATTR_INT, NULL, true},
    {"stacked1", GS_ATTR_INT, NULL, true},
    {"stacked2", GS_ATTR_INT, NULL, true}}}};

static gs_status form(reader *r, gs_fn_kind kind) {
  const char *name;
  gs_function *f = r->fn = gs_push(r->a, &r->out->form[kind]);
  *f = (gs_function){.first = 1, .since = 1};
  r->block = NULL;
  GS_TRY(word(r, &name));
  split_name(name, r->a, &f->domain, &f->name);
  GS_TRY(ends(r));
  for (const gs_fn_attr *at = forms[kind].set; at->name; at++)
    *gs_push(r->a, &f->attr) = *at;
  return GS_OK;
}

static gs_status head(reader *r) {
  const char *name;
  gs_function *f = r->fn = gs_push(r->a, &r->out->at);
  *f = (gs_function){0};
  r->block = NULL;
  GS_TRY(word(r, &name));
  split_name(name, r->a, &f->domain, &f->name);
  GS_TRY(number(r, &f->first));
  f->since = f->first;
  if (eat(r, "-")) GS_TRY(number(r, &f->since));
  if (f->first < 1 || f->since < f->first) return bad(r, "not a range");
  return ends(r);
}

static gs_status attribute(reader *r) {
  static const struct {
    const char *name;
    gs_attr_kind kind;
  } kinds[] = {{"float", GS_ATTR_FLOAT},
               {"int", GS_ATTR_INT},
               {"string", GS_ATTR_STRING},
               {"ints", GS_ATTR_INTS},
                {"floats", GS_ATTR_FLOATS},
                {"strings", GS_ATTR_STRINGS},
                {"graph", GS_ATTR_GRAPH}};
  if (r->block) return bad(r, "attributes stand before the lines");
  gs_fn_attr at = {0};
  GS_TRY(word(r, &at.name));
  at.optional = eat(r, "?");
  if (!at.optional && eat(r, "=")) {
    gs_attr value = {.name = at.name};
    GS_TRY(literal(r, &value));
    value.f = (float)value.f; /* as in a model */
    at.kind = value.kind;
    at.value = gs_memdup(r->a, &value, sizeof value);
  } else if (eat(r, ":")) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !at.kind; i++)
      if (eat_word(r, kinds[i].name)) at.kind = kinds[i].kind;
    if (!at.kind)
      return bad(r, "float, int, string, ints, floats, strings or graph");
  } else {
    return bad(r, "'=' or ':' is expected");
  }
  *gs_push(r->a, &r->fn->attr) = at;
  return GS_OK;
}

/* ---- blocks ---- */

static gs_fn_block *new_block(reader *r) {
  r->block = gs_push(r->a, &r->fn->block);
  *r->block = (gs_fn_block){0};
  return r->block;
}

/* "= VALUE" or "!= VALUE", where it follows. */
static gs_status comparison(reader *r, gs_fn_test *t, gs_attr_kind kind) {
  bool differs = eat(r, "!=");
  if (!differs && !eat(r, "="))
    return t->rank || t->type ? bad(r, "'=' or '!=' is expected") : GS_OK;
  if (t->no) return bad(r, "'no' with a value");
  gs_attr v = {0};
  GS_TRY(literal(r, &v));
  t->no = differs;
  t->equal = gs_memdup(r->a, &v, sizeof v);
  return kind == v.kind ? GS_OK : bad(r, "the value is of a different kind");
}

static gs_status test(reader *r, gs_fn_test *t) {
  *t = (gs_fn_test){.no = eat_word(r, "no"), .rank = eat_word(r, "rank")};
  t->type = !t->rank && eat_word(r, "type");
  t->small = !t->rank && !t->type && eat_word(r, "small");
  if (eat(r, "$")) {
    GS_TRY(attr_name(r, &t->attr));
    int at = gs_function_attr(r->fn, t->attr);
    return comparison(r, t, r->fn->attr.at[at].kind);
  }
  bool each;
  GS_TRY(value_name(r, &t->name, &each));
  if (!t->name || each ||
      (gs_function_in(r->fn, t->name) < 0 &&
       (t->rank || t->type || t->small ||
        gs_function_out(r->fn, t->name) < 0)))
    return bad(r, "the function has no such operand or result");
  return t->rank || t->type ? comparison(r, t, GS_ATTR_INT) : GS_OK;
}

static gs_status when(reader *r, bool otherwise) {
  gs_fn_block *b = new_block(r);
  b->otherwise = otherwise;
  do GS_TRY(test(r, gs_push(r->a, &b->test)));
  while (eat(r, ","));
  return GS_OK;
}

/* ---- lines ---- */

/* Whether a line before this one, or the function, has such a value. */
static bool known(const reader *r, const char *name, bool each) {
  const gs_function *f = r->fn;
  int at = gs_function_in(f, name);
  if (at >= 0) return f->in.at[at].each == each;
  for (int b = 0; b < f->block.n; b++)
    for (int i = 0; i < f->block.at[b].line.n; i++) {
      const gs_fn_line *l = &f->block.at[b].line.at[i];
      for (int k = 0; k < l->out.n && l->each == each; k++)
        if (l->out.at[k].name && !strcmp(l->out.at[k].name, name)) return true;
    }
  return false;
}

static gs_status known_name(reader *r, const char **name, bool *each) {
  GS_TRY(value_name(r, name, each));
  if (*name && !known(r, *name, *each))
    return bad(r, "this value is not defined above");
  return GS_OK;
}

/* "@x[1]" */
static gs_status dims(reader *r, gs_fn_term *t) {
  bool each;
  GS_TRY(value_name(r, &t->dims, &each));
  if (!t->dims || each ||
      (gs_function_in(r->fn, t->dims) < 0 &&
       gs_function_out(r->fn, t->dims) < 0))
    return bad(r, "the function has no such operand or result");
  t->index = -1;
  if (!eat(r, "[")) return GS_OK;
  GS_TRY(number(r, &t->index));
  return eat(r, "]") ? GS_OK : bad(r, "']' is expected");
}

static gs_status term(reader *r, gs_fn_term *t) {
  *t = (gs_fn_term){0};
  space(r);
  if (isalpha((unsigned char)*r->s) || *r->s == '_')
    return known_name(r, &t->name, &t->each);
  if (eat(r, "@")) return dims(r, t);
  if (eat(r, "$")) {
    GS_TRY(reference(r, &t->attr, &t->index, &t->add));
  } else {
    gs_attr v = {0};
    GS_TRY(literal(r, &v));
    if (v.kind == GS_ATTR_STRING) return bad(r, "no operand is a text");
    t->literal = gs_memdup(r->a, &v, sizeof v);
  }
  return eat(r, ":") ? known_name(r, &t->like, &t->like_each) : GS_OK;
}

static gs_status terms(reader *r, gs_fn_line *l) {
  if (!eat(r, "(")) return bad(r, "'(' is expected");
  while (!eat(r, ")")) {
    gs_fn_term *t = gs_push(r->a, &l->in);
    GS_TRY(term(r, t));
    if ((t->each || t->like_each) && !l->each)
      return bad(r, "a line for each tensor has results for each");
    if (!eat(r, ",") && *r->s != ')') return bad(r, "',' or ')'");
  }
  return GS_OK;
}

static gs_status settings(reader *r, gs_fn_line *l) {
  for (space(r); *r->s; space(r)) {
    gs_fn_set *set = gs_push(r->a, &l->attr);
    *set = (gs_fn_set){0};
    GS_TRY(word(r, &set->value.name));
    if (!eat(r, "=")) return bad(r, "'=' is expected");
    set->inverse = eat_word(r, "inverse");
    if (set->inverse) space(r);
    if (set->inverse && *r->s != '$') return bad(r, "'$' is expected");
    if (eat(r, "$"))
      GS_TRY(reference(r, &set->from, &set->index, &set->add));
    else GS_TRY(literal(r, &set->value));
  }
  return GS_OK;
}

/* "$attribute(" instead of an operator: a graph. */
static gs_status body(reader *r, gs_fn_line *l) {
  const char *start = r->s, *name;
  if (!eat(r, "$")) return GS_OK;
  GS_TRY(attr_name(r, &name));
  int at = gs_function_attr(r->fn, name);
  if (r->fn->attr.at[at].kind == GS_ATTR_GRAPH) l->graph = name;
  else r->s = start; /* a constant */
  return GS_OK;
}

static gs_status line(reader *r) {
  gs_fn_line l = {.file = r->file, .number = r->number};
  const char *op = "";
  do {
    gs_fn_result out = {0};
    GS_TRY(value_name(r, &out.name, &out.each));
    if (out.name && gs_function_in(r->fn, out.name) >= 0)
      return bad(r, "an operand cannot be set");
    if (l.out.n && out.each != l.each)
      return bad(r, "results for each tensor, and others");
    l.each = out.each;
    *gs_push(r->a, &l.out) = out;
  } while (eat(r, ","));
  if (!eat(r, "=")) return bad(r, "'=' is expected");
  GS_TRY(body(r, &l));
  space(r);
  const char *start = r->s;
  if (isalpha((unsigned char)*r->s) && !l.graph) GS_TRY(word(r, &op));
  space(r);
  if (l.graph) {
    GS_TRY(terms(r, &l));
    if (l.out.n != 1 || l.in.n != 1 || l.each)
      return bad(r, "a graph takes one value and gives one");
  } else if (*r->s == '(') {
    split_name(op, r->a, &l.domain, &l.op_type);
    GS_TRY(terms(r, &l));
    GS_TRY(settings(r, &l));
  } else { /* another name for a value */
    r->s = start;
    GS_TRY(term(r, gs_push(r->a, &l.in)));
    const gs_fn_term *t = &l.in.at[0];
    if (l.out.n != 1 || (t->each || t->like_each) != l.each)
      return bad(r, "one name for one value is expected");
  }
  if (!r->block) new_block(r);
  *gs_push(r->a, &r->block->line) = l;
  return GS_OK;
}

static gs_status statement(reader *r) {
  if (eat_word(r, "function")) return head(r);
  if (eat_word(r, "gradient")) return gradient(r);
  if (eat_word(r, "helper")) return helper(r);
  for (int k = 0; k < GS_NFN; k++)
    if (eat_word(r, forms[k].word)) return form(r, (gs_fn_kind)k);
  if (!r->fn) return bad(r, "no function yet");
  if (eat_word(r, "attribute")) return attribute(r);
  if (eat_word(r, "derive")) {
    r->fn->derive = true;
    return GS_OK;
  }
  if (eat_word(r, "when")) return when(r, false);
  if (eat_word(r, "always")) {
    new_block(r);
    return GS_OK;
  }
  if (eat_word(r, "otherwise")) {
    if (!r->block || !r->block->test.n)
      return bad(r, "there is no 'when' before it");
    if (eat_word(r, "when")) return when(r, true);
    new_block(r)->otherwise = true;
    return GS_OK;
  }
  return line(r);
}

/* From its first line on, up to the next head, a function is its text. */
static bool begins_function(const char *line) {
  reader r = {.s = line};
  if (eat_word(&r, "function") || eat_word(&r, "gradient") ||
      eat_word(&r, "helper"))
    return true;
  for (int k = 0; k < GS_NFN; k++)
    if (eat_word(&r, forms[k].word)) return true;
  return false;
}

static gs_status read_line(reader *r, const char *line) {
  r->line = r->s = line;
  space(r);
  if (!*r->s) return GS_OK;
  GS_TRY(statement(r));
  space(r);
  return *r->s ? bad(r, "unexpected text") : GS_OK;
}

gs_status gs_functions_index(gs_arena *a, const char *const *lines,
                             gs_functions *out, gs_err *e) {
  *out = (gs_functions){.arena = a};
  static const char mark[] = "#file ";
  reader r = {.a = a, .out = out, .file = "functions", .e = e};
  for (; *lines; lines++) {
    r.number++;
    if (!strncmp(*lines, mark, sizeof mark - 1)) {
      r.file = *lines + sizeof mark - 1;
      r.number = 0;
      r.fn = NULL;
    } else if (r.fn && !begins_function(*lines)) {
      r.fn->body.n++;
    } else {
      GS_TRY(read_line(&r, *lines));
      if (r.fn) r.fn->body = (gs_fn_text){lines + 1, 0, r.file, r.number};
    }
  }
  return GS_OK;
}

gs_status gs_function_read(gs_arena *a, gs_function *f, gs_err *e) {
  gs_fn_text t = f->body;
  f->body = (gs_fn_text){0};
  reader r = {.a = a, .fn = f, .file = t.file, .number = t.number, .e = e};
  for (int i = 0; i < t.n; i++) {
    r.number++;
    GS_TRY(read_line(&r, t.line[i]));
  }
  return GS_OK;
}

static gs_status read_all(gs_arena *a, gs_function *f, int n, gs_err *e) {
  for (int i = 0; i < n; i++) GS_TRY(gs_function_read(a, &f[i], e));
  return GS_OK;
}

gs_status gs_functions_parse(gs_arena *a, const char *const *lines,
                             gs_functions *out, gs_err *e) {
  GS_TRY(gs_functions_index(a, lines, out, e));
  GS_TRY(read_all(a, out->at.at, out->at.n, e));
  GS_TRY(read_all(a, out->gradient.at, out->gradient.n, e));
  for (int k = 0; k < GS_NFN; k++)
    GS_TRY(read_all(a, out->form[k].at, out->form[k].n, e));
  return read_all(a, out->helper.at, out->helper.n, e);
}
